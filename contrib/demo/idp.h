/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identity provider of an enterprise (--idp): an issuer of its own, where the person logs in,
 * and which says by an ID-JAG (SEP-990) that a client may act for that person at the MCP server's
 * issuer.
 */
#pragma once

#include "exchange.h"
#include "jwt.h"

#define IDP_SCOPES "openid email offline_access"
#define IDP_SCOPE_DEFAULT "openid"

/* Whether the request is for the identity provider. */
bool idp_is_here(const struct exchange *x);
/* For the answer to a login or a refresh; for free(). */
char *idp_id_token(const struct exchange *x, const struct family *f, const char *nonce)
        __attribute__((warn_unused_result));
/* Token exchange there: an ID-JAG for what its own login gave. */
void idp_exchange(struct exchange *x, const struct client *client);

/* Whether an assertion is an ID-JAG, by its own word. */
bool idp_is_jag(const char *assertion);
/* The grant that takes it, at the MCP server's issuer. */
void idp_jag_grant(struct exchange *x, const struct client *client);
