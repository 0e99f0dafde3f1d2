/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One refresh of a grant, from the mark that says it is under way to the new token on the disk. The
 * order is the promise: mark durable, request, answer, new refresh token durable, and only then
 * does anybody get the access token (S7).
 */
#pragma once

#include "broker/grant.h"

/* @narrow NULL: all that was granted. The grant must be READY; it is pumped when the refresh is
 * over. */
int refresh_start(struct grant *g, const struct scope_set *narrow) MUST_CHECK;
void refresh_free(struct refresh *r);
/* In state UNSAVED: what could not be written is tried again after @usec, if that is not arranged
 * already. */
void refresh_save_again(struct grant *g, uint64_t usec);
/* At once, whatever was arranged. */
void refresh_save_now(struct grant *g);
/* Not for the time being: somebody else writes the record. */
void refresh_pause(struct grant *g);
/* Not at all: the grant is READY. */
void refresh_drop(struct grant *g);
/* Is a new refresh token of this grant in memory only, as the disk did not take it? */
bool refresh_is_unsaved(const struct grant *g);
