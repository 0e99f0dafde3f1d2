/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands before the MCP server: who may ask it, and how others learn what to do.
 */
#pragma once

#include "exchange.h"

#define PRM_PATH "/.well-known/oauth-protected-resource"

bool guard_is_path(const struct demo *d, const char *path);
/* Whether a resource indicator names one of the resources served here. */
bool guard_is_resource(const struct demo *d, const char *resource);
void guard_prm(struct exchange *x);
/* The scope of the token, or NULL once a challenge was answered. */
const char *guard_authorize(struct exchange *x);
/* A 401 or 403 with the challenge in the shape that was asked for. */
void guard_challenge(struct exchange *x, unsigned status, const char *scope, const char *error,
                     const char *description);
