/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing the store: which slot opens it, what is loaded from it, and what must be gone
 * when it is locked.
 */
#pragma once

#include "broker/broker.h"

struct custody;

int custody_new(struct broker *b, const struct broker_options *o, struct custody **ret) MUST_CHECK;
struct custody *custody_free(struct custody *c);
int custody_start(struct custody *c, broker_ready_fn ready, void *userdata) MUST_CHECK;
/* Wipes what must not stay in memory; every call that waits is answered `locked`. Nothing may be
 * under way. */
void custody_lock(struct custody *c);
bool custody_is_busy(const struct custody *c);   /* the store is being opened */
json_t *custody_status(const struct custody *c); /* for broker.status; NULL: out of memory */
