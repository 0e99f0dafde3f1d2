/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/rand.h"

#include <sodium.h>

#include "base/codec.h"

void random_bytes(void *p, size_t len) {
        randombytes_buf(p, len);
}

int random_text(struct buf *b, size_t n_bytes) {
        uint8_t bytes[RANDOM_TEXT_BYTES_MAX];
        int r;

        if (n_bytes == 0 || n_bytes > sizeof(bytes))
                return -EINVAL;
        randombytes_buf(bytes, n_bytes);
        r = base64url_append(b, bytes, n_bytes);
        mem_wipe(bytes, sizeof(bytes));
        return r;
}
