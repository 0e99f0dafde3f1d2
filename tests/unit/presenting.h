/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of oauth/present share: a client that has everything, at an issuer that takes it.
 */
#pragma once

#include "keys.h"
#include "oauth.h"
#include "oauth/present.h"

#define RESOURCE "https://mcp.example.com/mcp"
/* {"alg":"ES256"}, {"sub":"spiffe://d/a"} */
#define SVID "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzcGlmZmU6Ly9kL2EifQ.AAAA"
#define NOW_SEC ((uint64_t)1700000000)
#define NOW (NOW_SEC * USEC_PER_SEC)

struct fixture {
        struct as_metadata as;
        struct registration reg;
        struct scope_set scopes;
        struct buf cert;
        struct buf key;
        struct present_params p;
};

static inline void fixture_init(struct fixture *f, enum present how) {
        *f = (struct fixture){ .reg = { .issuer = strdup(ISSUER),
                                        .client_id = strdup("cl&ent"),
                                        .client_secret = strdup("hush"),
                                        .client_key = strdup(KEY_P256_PKCS8) } };
        as_make(&f->as);
        f->as.mtls_token_endpoint = strdup("https://mtls.example/token");
        scopes_make(&f->scopes, "b a");
        assert_int_equal(buf_append_str(&f->cert, "cert"), 0);
        assert_int_equal(buf_append_str(&f->key, "key"), 0);
        f->p = (struct present_params){ .how = how,
                                        .as = &f->as,
                                        .registration = &f->reg,
                                        .assertion = how == PRESENT_JWT_SPIFFE ? SVID : "a.b+c",
                                        .resource = RESOURCE,
                                        .scopes = &f->scopes,
                                        .attestation = "at.te.st",
                                        .cert_pem = &f->cert,
                                        .key_pem = &f->key,
                                        .now_wall = NOW };
}

static inline void fixture_done(struct fixture *f) {
        as_metadata_done(&f->as);
        registration_done(&f->reg);
        scope_set_done(&f->scopes);
        buf_done(&f->cert);
        buf_done(&f->key);
}
#define AUTO_FIXTURE __attribute__((cleanup(fixture_done), unused))
