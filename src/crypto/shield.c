/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/shield.h"

#include "crypto/seal.h"

struct shield {
        struct secret *key;
};

struct shield *shield_new(void) {
        struct shield *s = calloc(1, sizeof(*s));

        if (!s)
                return NULL;
        s->key = secret_new_random(SECRET_KEY_BYTES);
        return s->key ? s : shield_free(s);
}

struct shield *shield_free(struct shield *s) {
        if (s) {
                s->key = secret_free(s->key);
                free(s);
        }
        return NULL;
}

int shield_put(struct shield *s, const void *data, size_t len, struct shielded *ret) {
        AUTO_BUF struct buf sealed = BUF_INIT;
        size_t size;
        int r;

        r = seal(&sealed, s->key, NULL, 0, data, len);
        if (r < 0)
                return r;
        size = sealed.len;
        shielded_done(ret);
        /* Ciphertext: the room that the buffer has too much is not worth a second allocation. */
        *ret = (struct shielded){ .data = (uint8_t *)TAKE(sealed.data), .size = size };
        sealed = BUF_INIT;
        return 0;
}

int shield_open(struct shield *s, const struct shielded *t, struct buf *out) {
        if (!t->data)
                return -ENOENT;
        return unseal(out, s->key, NULL, 0, t->data, t->size);
}

void shielded_done(struct shielded *t) {
        mem_wipe(t->data, t->size);
        free(t->data);
        *t = SHIELDED_INIT;
}
