/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/pkce.h"

#include "base/codec.h"
#include "crypto/hash.h"
#include "crypto/rand.h"

#define VERIFIER_BYTES 32
#define VERIFIER_CHARS_MIN 43
#define VERIFIER_CHARS_MAX 128

int pkce_verifier(struct buf *b) {
        return random_text(b, VERIFIER_BYTES);
}

int pkce_challenge(struct buf *b, const char *verifier) {
        static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789-._~";
        size_t len = strlen(verifier);
        uint8_t digest[SHA256_BYTES];

        if (len < VERIFIER_CHARS_MIN || len > VERIFIER_CHARS_MAX ||
            strspn(verifier, unreserved) != len)
                return -EINVAL;
        sha256(digest, verifier, len);
        return base64url_append(b, digest, sizeof(digest));
}
