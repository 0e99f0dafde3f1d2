/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tools of the MCP server.
 */
#pragma once

#include <jansson.h>

json_t *tools_list(void);
const char *tool_scope(const char *name); /* NULL: no such tool */
json_t *tool_call(const char *name, const json_t *arguments);
