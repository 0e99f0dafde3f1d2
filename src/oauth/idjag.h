/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first of the two steps of enterprise-managed authorization (SEP-990): an identity provider
 * makes, of who somebody is to it, an assertion for one authorization server (an ID-JAG). That is
 * no access token, and goes to nobody but the second step there: present.h.
 */
#pragma once

#include "oauth/token.h"

struct id_jag_params {
        const char *idp_token_endpoint;
        const char *idp_client_id;     /* there, not at the other (A186) */
        const char *idp_client_secret; /* NULL: a public client */
        const char *subject_token;
        const char *subject_token_type; /* NULL: ...:id_token */
        const char *audience;           /* the issuer of the second step */
        const char *resource;
        const struct scope_set *scopes; /* NULL, or empty: no scope parameter */
};
/* BAD_CONFIG: the endpoint is none that a secret may go to. */
int id_jag_request(struct fetch_request *f, const struct id_jag_params *p, struct error *err)
        MUST_CHECK;
/* Appends to @jag what goes to p->audience, and to nobody else. @fault may be NULL. */
int id_jag_answer(struct buf *jag, const struct id_jag_params *p, const struct fetch_answer *answer,
                  struct token_fault *fault, struct error *err) MUST_CHECK;
