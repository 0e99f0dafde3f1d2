/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/seal.h"

#include <assert.h>
#include <sodium.h>

static_assert(SEAL_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
static_assert(SEAL_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
static_assert(SECRET_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");

int seal(struct buf *out, const struct secret *key, const void *ad, size_t n_ad, const void *plain,
         size_t n) {
        unsigned long long n_text = 0;
        uint8_t *to;
        int r;

        assert(secret_size(key) == SECRET_KEY_BYTES);
        if (n > SIZE_MAX - SEAL_OVERHEAD)
                return -EMSGSIZE;
        r = buf_reserve(out, SEAL_OVERHEAD + n);
        if (r < 0)
                return r;
        to = (uint8_t *)out->data + out->len;
        randombytes_buf(to, SEAL_NONCE_BYTES);
        (void)crypto_aead_xchacha20poly1305_ietf_encrypt(to + SEAL_NONCE_BYTES, &n_text, plain, n,
                                                         ad, n_ad, NULL, to, secret_peek(key));
        assert(n_text == n + SEAL_TAG_BYTES);
        out->len += SEAL_OVERHEAD + n;
        out->data[out->len] = '\0';
        return 0;
}

int unseal(struct buf *out, const struct secret *key, const void *ad, size_t n_ad,
           const void *sealed, size_t n) {
        const uint8_t *from = sealed;
        unsigned long long n_plain = 0;
        uint8_t *to;
        int r;

        assert(secret_size(key) == SECRET_KEY_BYTES);
        if (n < SEAL_OVERHEAD)
                return -EBADMSG;
        r = buf_reserve(out, n - SEAL_OVERHEAD);
        if (r < 0)
                return r;
        to = (uint8_t *)out->data + out->len;
        if (crypto_aead_xchacha20poly1305_ietf_decrypt(to, &n_plain, NULL, from + SEAL_NONCE_BYTES,
                                                       n - SEAL_NONCE_BYTES, ad, n_ad, from,
                                                       secret_peek(key)) != 0) {
                mem_wipe(to, n - SEAL_OVERHEAD);
                return -EBADMSG;
        }
        out->len += n - SEAL_OVERHEAD;
        out->data[out->len] = '\0';
        return 0;
}
