/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON Web Tokens (RFC 7515, 7517, 7519), read, verified and made, with OpenSSL alone. What is read
 * here is of a peer that may be hostile: a text is judged whole before any of it is believed.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What can be verified, as metadata lists it. */
#define JWT_ALGORITHMS "ES256 ES384 RS256 PS256 EdDSA Ed25519"
#define JWT_SKEW_SEC 60 /* how far the clocks of two hosts may be apart */

struct jwt {
        char *text;
        json_t *header;
        json_t *claims;
        unsigned char *signature;
        size_t n_signature;
        size_t n_signed; /* of the text: header, dot, claims */
};

/* False: not a JWT, or none of those taken here (no "crit", a known "alg"). */
bool jwt_parse(struct jwt *j, const char *text);
void jwt_done(struct jwt *j);
const char *jwt_type(const struct jwt *j);                    /* "typ", or "" */
const char *jwt_claim(const struct jwt *j, const char *name); /* of a string, else NULL */
bool jwt_for(const struct jwt *j, const char *audience);      /* among those in "aud" */
bool jwt_for_alone(const struct jwt *j, const char *audience);
/* Why its times will not do: static text, NULL if they will. "exp" is needed. */
const char *jwt_time_fault(const struct jwt *j, int64_t now);

bool jwt_verify(const struct jwt *j, const json_t *jwk);
/* By the key that "kid" names, or without one by any. */
bool jwt_verify_set(const struct jwt *j, const json_t *jwks);

/* A file with a key set, or with one key; NULL: it cannot be read, or there is no key in it. */
json_t *jwks_read(const char *path) __attribute__((warn_unused_result));
/* RFC 7638; NULL: not the public half of a signing key, and nothing else. */
char *jwk_thumbprint(const json_t *jwk) __attribute__((warn_unused_result));
