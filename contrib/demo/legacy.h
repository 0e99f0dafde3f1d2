/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol of 2025: sessions that begin with initialize, and in its first version batches.
 */
#pragma once

#include "exchange.h"

/* A new one, remembered by its id; the table's. */
struct session *legacy_session(struct demo *d, enum protocol version);
/* Whether the headers of a request that is no initialize are right; false: it was answered. */
bool legacy_admits(struct exchange *x);
/* What is answered to the message; NULL: nothing, or the HTTP answer is there already. */
json_t *legacy_answer(struct exchange *x, const char *scope) __attribute__((warn_unused_result));
