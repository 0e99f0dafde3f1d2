/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys that sign for us at authorization servers (RFC 7515, 7517, 7518, 8037): EC on P-256
 * and P-384, RSA, Ed25519. The key lives in OpenSSL's memory, which wipes it. Out of here go
 * signatures (jws.h), its public half, and, for a sealed record or TLS, the PKCS#8 form: that is
 * the secret itself.
 */
#pragma once

#include "base/json.h"

enum jose_alg {
        JOSE_ES256,
        JOSE_ES384,
        JOSE_RS256,
        JOSE_PS256,
        JOSE_EDDSA,
        JOSE_ED25519, /* the same by its own name (RFC 9864 2.2) */
        JOSE_ALG_COUNT,
};

const char *jose_alg_name(enum jose_alg a);
int jose_alg_from_name(const char *name, enum jose_alg *ret) MUST_CHECK; /* -ENOENT */

struct jose_key;

/* ES256, ES384 or EdDSA; -EOPNOTSUPP for RSA, whose making takes too long. -ENOMEM, -EIO. */
int jose_key_generate(enum jose_alg a, struct jose_key **ret) MUST_CHECK;
/*
 * What an operator has: PEM (PKCS#8, SEC1, PKCS#1; what else stands in the file, as certificates,
 * is passed over) or a private JWK, whose "alg" is then the default. BAD_CONFIG says what is wrong:
 * an encrypted key, one of another kind, one whose halves do not belong together.
 */
int jose_key_read(const void *text, size_t len, struct jose_key **ret, struct error *err)
        MUST_CHECK;
/* PKCS#8. -EBADMSG, -EOPNOTSUPP for a key of another kind, -ENOMEM. */
int jose_key_from_der(const void *der, size_t len, struct jose_key **ret) MUST_CHECK;
struct jose_key *jose_key_free(struct jose_key *k);
DEFINE_CLEANUP(struct jose_key *, jose_key, jose_key_free)
#define AUTO_JOSE_KEY __attribute__((cleanup(cleanup_jose_key), unused))

/* Appended; PKCS#8, not encrypted: secret. -ENOMEM, -EMSGSIZE, -EIO. */
int jose_key_to_der(const struct jose_key *k, struct buf *out) MUST_CHECK;
int jose_key_to_pem(const struct jose_key *k, struct buf *out) MUST_CHECK;

bool jose_key_can(const struct jose_key *k, enum jose_alg a);
/* P-256: ES256, P-384: ES384, RSA: RS256, Ed25519: EdDSA, unless its JWK said otherwise. */
enum jose_alg jose_key_default_alg(const struct jose_key *k);

/* The public key as a JWK: the required members of RFC 7638 3.2 and no more. */
int jose_key_public(const struct jose_key *k, json_t **ret) MUST_CHECK;
/* Appends the JWK thumbprint (RFC 7638): SHA-256, base64url, 43 characters. */
int jose_key_thumbprint(const struct jose_key *k, struct buf *out) MUST_CHECK;
