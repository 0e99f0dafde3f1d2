/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host is told where the server's own response is missing: a JSON-RPC error in plain
 * words, with what to do next. Codes: -32000 with data.code, the broker's names; -32042 for a login
 * where the host can show it. Never one that the protocol gives a meaning of its own.
 */
#pragma once

#include "connect/exchange.h"

#define REFUSAL_CODE (-32000)
#define REFUSAL_URL_ELICITATION (-32042)

/* @id: of the request. @url_elicitation: the host knows -32042 (2025-11-25). */
int refusal_write(struct buf *out, struct span id, const struct exchange_end *end,
                  bool url_elicitation) MUST_CHECK;
