/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hash.h"

#include <assert.h>
#include <sodium.h>

static void blake2b(uint8_t *out, size_t n_out, const uint8_t *key, const void *data, size_t len) {
        /* Fails for sizes out of range only, and ours are constants. */
        int r = crypto_generichash(out, n_out, data, len, key, key ? HASH_KEY_BYTES : 0);

        assert(r == 0);
}

void hash_keyed(uint8_t out[static HASH_BYTES], const uint8_t key[static HASH_KEY_BYTES],
                const void *data, size_t len) {
        blake2b(out, HASH_BYTES, key, data, len);
}

void hash_keyed_short(uint8_t out[static HASH_SHORT_BYTES],
                      const uint8_t key[static HASH_KEY_BYTES], const void *data, size_t len) {
        blake2b(out, HASH_SHORT_BYTES, key, data, len);
}

void hash_plain(uint8_t out[static HASH_BYTES], const void *data, size_t len) {
        blake2b(out, HASH_BYTES, NULL, data, len);
}

void sha256(uint8_t out[static SHA256_BYTES], const void *data, size_t len) {
        (void)crypto_hash_sha256(out, data, len);
}

bool secret_equal(const void *a, const void *b, size_t len) {
        return sodium_memcmp(a, b, len) == 0;
}
