/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>

#include "audit/line.h"

_Static_assert(crypto_sign_SECRETKEYBYTES <= SECRET_BYTES_MAX, "a signing key fits into a slot");
_Static_assert(crypto_sign_BYTES == AUDIT_SIGNATURE_BYTES, "Ed25519");
_Static_assert(crypto_sign_PUBLICKEYBYTES == AUDIT_PUBLIC_BYTES, "Ed25519");

void sign_keypair(uint8_t *key, const uint8_t *seed) {
        uint8_t public_key[crypto_sign_PUBLICKEYBYTES];

        (void)crypto_sign_seed_keypair(public_key, key, seed);
}

void sign_detached(uint8_t signature[static AUDIT_SIGNATURE_BYTES], const void *data, size_t len,
                   const uint8_t *key) {
        (void)crypto_sign_detached(signature, NULL, data, len, key);
}

bool sign_verify(const uint8_t signature[static AUDIT_SIGNATURE_BYTES], const void *data,
                 size_t len, const uint8_t public_key[static AUDIT_PUBLIC_BYTES]) {
        return crypto_sign_verify_detached(signature, data, len, public_key) == 0;
}
