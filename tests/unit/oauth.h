/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of oauth/ share: answers made up from a status, a body and header fields.
 */
#pragma once

#include "test.h"

#include "base/url.h"
#include "oauth/asmeta.h"
#include "oauth/fields.h"

#define AUTO_REQUEST __attribute__((cleanup(fetch_request_done), unused))
#define AUTO_ANSWER __attribute__((cleanup(fetch_answer_done), unused))

#define ISSUER "https://as.example.com"

static inline void answer_make(struct fetch_answer *a, unsigned status, const char *body) {
        fetch_answer_init(a);
        a->outcome = FETCH_ANSWERED;
        a->status = status;
        a->reached = ADDRESS_PUBLIC;
        if (body)
                assert_int_equal(buf_append_str(&a->body, body), 0);
}

static inline void answer_none(struct fetch_answer *a, enum fetch_outcome outcome,
                               enum fetch_failure failure) {
        fetch_answer_init(a);
        a->outcome = outcome;
        a->failure = failure;
}

static inline const char *request_header(const struct fetch_request *f, const char *name) {
        for (size_t i = 0; i < f->n_headers; i++)
                if (streq(f->headers[i].name, name))
                        return f->headers[i].value;
        return NULL;
}

/* Metadata of a plain authorization server; each member is freed by as_metadata_done(). */
static inline void as_make(struct as_metadata *as) {
        *as = (struct as_metadata){
                .issuer = strdup(ISSUER),
                .authorization_endpoint = strdup(ISSUER "/authorize"),
                .token_endpoint = strdup(ISSUER "/token"),
                .registration_endpoint = strdup(ISSUER "/register"),
                .revocation_endpoint = strdup(ISSUER "/revoke"),
                .token_auth_methods = CLIENT_AUTH_BIT(CLIENT_AUTH_NONE) |
                                      CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC) |
                                      CLIENT_AUTH_BIT(CLIENT_AUTH_POST),
                .token_auth_methods_given = true,
                .grant_types = AS_GRANT_CODE | AS_GRANT_REFRESH,
                .response_types_given = true,
                .code_flow = true,
                .pkce_s256 = true,
        };
}

static inline void scopes_make(struct scope_set *s, const char *text) {
        size_t n_dropped = 0;

        assert_int_equal(scope_set_parse(s, text, &n_dropped), 0);
        assert_int_equal(n_dropped, 0);
}

static inline void assert_scopes(const struct scope_set *s, const char *text) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(scope_set_to_text(s, &b), 0);
        assert_string_equal(b.data ? b.data : "", text);
}
