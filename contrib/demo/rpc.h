/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON-RPC messages, and the numbers that MCP gives its errors.
 */
#pragma once

#include <jansson.h>

#include "exchange.h"

enum {
        RPC_PARSE_ERROR = -32700,
        RPC_INVALID_REQUEST = -32600,
        RPC_METHOD_NOT_FOUND = -32601,
        RPC_INVALID_PARAMS = -32602,
        RPC_HEADER_MISMATCH = -32020,
        RPC_MISSING_CAPABILITY = -32021,
        RPC_UNSUPPORTED_VERSION = -32022,
};

json_t *rpc_result(const json_t *id, json_t *result); /* takes result */
/* The answer of this request, with that status of HTTP; takes data, which may be NULL. */
json_t *rpc_error(struct exchange *x, unsigned status, const json_t *id, int code, const char *text,
                  json_t *data);
/* What a program would see of it: false for what is no JSON-RPC 2.0 message at all. */
bool rpc_is_message(const json_t *message);
