/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of an identity provider, from the first thing it wants to know to its token: what
 * identity/ asks for is carried out by the workers.
 */
#pragma once

#include "identity/identity.h"

struct broker;
struct obtain;

/* Exactly one of the two is given. @result is the callee's to take from. The run is over, and freed
 * behind this. */
typedef void (*obtain_done_fn)(struct identity_result *result, const struct error *err,
                               void *userdata);

/* @text is that of Identity=. Never calls back from here. */
int obtain_start(struct broker *b, const char *text, const char *audience, obtain_done_fn fn,
                 void *userdata, struct obtain **ret, struct error *err) MUST_CHECK;
/* It is not wanted any more: no callback follows. */
struct obtain *obtain_free(struct obtain *o);
