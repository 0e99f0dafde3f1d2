/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MCP server: the protected resource, its metadata document, and two tools.
 */
#pragma once

#include "exchange.h"

enum step mcp_step(const struct demo *d, const struct request *r);
void mcp_handle(struct exchange *x);
/* Whether a resource indicator names one of the resources served here. */
bool mcp_is_resource(const struct demo *d, const char *resource);
