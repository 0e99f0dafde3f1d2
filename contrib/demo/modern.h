/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol of 2026-07-28: no session, each request says all that it needs, in its head too.
 */
#pragma once

#include "exchange.h"

bool modern_only(const struct demo *d);
/* Whether the message of the exchange is of this era, at a server that speaks it. */
bool modern_is(const struct exchange *x);
/* NULL: nothing, or the HTTP answer is there already. */
json_t *modern_answer(struct exchange *x, const char *scope) __attribute__((warn_unused_result));
