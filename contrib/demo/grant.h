/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token and the revocation endpoint. A refresh token is good for one use (unless --no-rotate);
 * whoever shows a used one, or a used code, costs the whole family its life.
 */
#pragma once

#include "exchange.h"

void grant_handle(struct exchange *x);
/* A new grant; NULL once an error was answered. */
struct family *grant_family(struct exchange *x, const char *client_id, const char *scope,
                            const char *resource);
/* Whether refresh tokens are to be had with this scope. */
bool grant_may_refresh(const struct demo *d, const struct client *client, const char *scope);
/* One access token, and a refresh token where there is to be a new one. */
void grant_issue(struct exchange *x, struct family *family, const char *scope, bool with_refresh);
void grant_revoke(struct exchange *x);
