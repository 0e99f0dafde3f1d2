/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/sign.h"

#include <assert.h>
#include <sodium.h>

_Static_assert(crypto_sign_SECRETKEYBYTES <= SECRET_BYTES_MAX, "a signing key fits into a slot");
_Static_assert(crypto_sign_SEEDBYTES == SIGN_SEED_BYTES, "Ed25519");
_Static_assert(crypto_sign_PUBLICKEYBYTES == SIGN_PUBLIC_BYTES, "Ed25519");
_Static_assert(crypto_sign_BYTES == SIGNATURE_BYTES, "Ed25519");

struct secret *sign_key_new(const uint8_t seed[static SIGN_SEED_BYTES]) {
        struct secret *key = secret_new(crypto_sign_SECRETKEYBYTES);
        uint8_t public_key[SIGN_PUBLIC_BYTES];

        if (key)
                (void)crypto_sign_seed_keypair(public_key, secret_data(key), seed);
        return key;
}

/* libsodium's key is the seed and behind it the public key. */
const uint8_t *sign_key_seed(const struct secret *key) {
        assert(secret_size(key) == crypto_sign_SECRETKEYBYTES);
        return secret_peek(key);
}

void sign_key_public(const struct secret *key, uint8_t out[static SIGN_PUBLIC_BYTES]) {
        memcpy(out, sign_key_seed(key) + SIGN_SEED_BYTES, SIGN_PUBLIC_BYTES);
}

void sign(uint8_t signature[static SIGNATURE_BYTES], const struct secret *key, const void *data,
          size_t len) {
        assert(secret_size(key) == crypto_sign_SECRETKEYBYTES);
        (void)crypto_sign_detached(signature, NULL, data, len, secret_peek(key));
}

bool sign_verify(const uint8_t signature[static SIGNATURE_BYTES],
                 const uint8_t public_key[static SIGN_PUBLIC_BYTES], const void *data, size_t len) {
        return crypto_sign_verify_detached(signature, data, len, public_key) == 0;
}
