/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hmac.h"

#include <sodium.h>

#include "base/buf.h"

void hmac_sha256(uint8_t out[static HMAC_BYTES], const void *key, size_t n_key, const void *data,
                 size_t len) {
        crypto_auth_hmacsha256_state state;

        /* The one call that does all wants a key of exactly 32 bytes. */
        (void)crypto_auth_hmacsha256_init(&state, n_key > 0 ? key : "", n_key);
        if (len > 0)
                (void)crypto_auth_hmacsha256_update(&state, data, len);
        (void)crypto_auth_hmacsha256_final(&state, out);
        mem_wipe(&state, sizeof(state));
}
