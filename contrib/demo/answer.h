/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an answer goes out: as JSON, as a stream, as a script wants it, or damaged.
 */
#pragma once

#include <jansson.h>

#include "exchange.h"

/* Takes the answer; the exchange says what else belongs to it. */
void answer_send(struct exchange *x, json_t *answer);
