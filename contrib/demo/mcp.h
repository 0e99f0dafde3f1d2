/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MCP server's HTTP: which request is for whom, in which transport and of which era.
 */
#pragma once

#include "exchange.h"

enum step mcp_step(const struct demo *d, const struct request *r);
void mcp_handle(struct exchange *x);
