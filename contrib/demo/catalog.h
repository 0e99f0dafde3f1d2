/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the MCP server offers: its two tools, and with --more tools for each part of a transport,
 * prompts and resources. The same in all versions of the protocol.
 */
#pragma once

#include "exchange.h"

json_t *catalog_tools(const struct demo *d);
/* NULL: no such tool, or one that no client may call. */
const json_t *catalog_schema(const struct demo *d, const json_t *tools, const char *name);
/*
 * The answer to a method that has nothing to do with sessions; NULL if there is no such method, or
 * if a challenge is the answer: then the reply has a status.
 */
json_t *catalog_answer(struct exchange *x, const json_t *message, const char *scope);
