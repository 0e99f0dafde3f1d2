/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header fields of 2026-07-28 that say again what the body says, so that what stands between
 * can route without parsing: Mcp-Method, Mcp-Name, Mcp-Param-*. (MCP-Protocol-Version is for who
 * knows the era.) What a server or a host wrote becomes a field only in a form that ends no field.
 */
#pragma once

#include "connect/catalog.h"
#include "connect/message.h"
#include "wire/fetch.h"

/*
 * Adds the fields for one request or notification; for anything else none. -E2BIG: more than a head
 * may hold (LIMIT_HEADERS, LIMIT_HEADER_BYTES). -ENOMEM. After an error the request is of no use.
 */
int mirror_add(struct fetch_request *f, const struct message *m, const struct catalog *c)
        MUST_CHECK;
