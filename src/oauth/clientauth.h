/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a client proves itself at the token, revocation and registration endpoints (A127 to A131):
 * one method a request, never two.
 */
#pragma once

#include "base/error.h"
#include "wire/fetch.h"

struct registration;
struct as_metadata;

#define CLIENT_AUTH_TABLE(X)                                                              \
        X(ANY, "") /* not settled: see client_auth_resolve() */                           \
        X(NONE, "none")                                                                   \
        X(BASIC, "client_secret_basic")                                                   \
        X(POST, "client_secret_post")                                                     \
        X(PRIVATE_KEY_JWT, "private_key_jwt")                                             \
        X(SECRET_JWT, "client_secret_jwt") /* from here on: not by client_auth_apply() */ \
        X(TLS, "tls_client_auth")                                                         \
        X(SELF_SIGNED_TLS, "self_signed_tls_client_auth")                                 \
        X(SPIFFE_JWT, "spiffe_jwt")                                                       \
        X(SPIFFE_X509, "spiffe_x509")                                                     \
        X(ATTESTATION, "attest_jwt_client_auth")                                          \
        X(ATTESTATION_DPOP, "attest_jwt_client_auth_dpop")

enum client_auth {
#define X(constant, name) CLIENT_AUTH_##constant,
        CLIENT_AUTH_TABLE(X)
#undef X
                CLIENT_AUTH_COUNT,
};

/* A mask of methods: what a server lists. */
#define CLIENT_AUTH_BIT(a) (1u << (a))

const char *client_auth_name(enum client_auth a);
int client_auth_from_name(const char *name, enum client_auth *ret) MUST_CHECK; /* -ENOENT */
bool client_auth_served(enum client_auth a);

/* The method for this client at this server: the registered one, else the strongest that both
 * allow (A128). UNSUPPORTED names what the server wants. */
int client_auth_resolve(const struct registration *reg, const struct as_metadata *as,
                        enum client_auth *ret, struct error *err) MUST_CHECK;

/* A form for one of the issuer's endpoints: what goes into it is between these two. The second
 * takes what became of that, adds who we are, and on any failure leaves nothing of the request. */
int client_form_begin(struct fetch_request *f, const char *endpoint) MUST_CHECK;
int client_form_end(struct fetch_request *f, int r, const struct registration *reg,
                    const struct as_metadata *as, struct error *err) MUST_CHECK;
/* The same beginning, for a body of another type. */
int client_request_begin(struct fetch_request *f, const char *endpoint, const char *type)
        MUST_CHECK;

/* Puts client identification and proof into a form request: header or body. Refuses (INTERNAL) a
 * registration of another issuer (A69). */
int client_auth_apply(struct fetch_request *f, const struct registration *reg,
                      const struct as_metadata *as, struct error *err) MUST_CHECK;
/* The same at a time of one's own; an assertion says when it was made. */
int client_auth_apply_at(struct fetch_request *f, const struct registration *reg,
                         const struct as_metadata *as, uint64_t now_wall, struct error *err)
        MUST_CHECK;

/* What stands before an assertion; others have other types. */
#define CLIENT_ASSERTION_JWT "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
int client_assertion_put(struct fetch_request *f, const char *type, const char *assertion)
        MUST_CHECK;
