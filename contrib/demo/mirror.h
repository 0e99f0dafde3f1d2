/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the head of a request of 2026-07-28 has to repeat of its body.
 */
#pragma once

#include "exchange.h"

/* What is wrong with Mcp-Method, Mcp-Name or an Mcp-Param header; NULL: nothing. */
const char *mirror_complaint(const struct exchange *x);
