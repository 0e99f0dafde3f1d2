/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/kdf.h"

#include <assert.h>
#include <sodium.h>

#include "base/codec.h"
#include "base/limits.h"
#include "crypto/rand.h"

static_assert(KDF_SALT_BYTES == crypto_pwhash_SALTBYTES, "salt");
static_assert(KDF_MEMLIMIT_MIN == crypto_pwhash_MEMLIMIT_MIN, "memory");
static_assert(SUBKEY_CONTEXT_BYTES == crypto_kdf_CONTEXTBYTES, "context");
static_assert(SECRET_KEY_BYTES == crypto_kdf_KEYBYTES, "master key");

void kdf_params_new(struct kdf_params *ret) {
        *ret = (struct kdf_params){ .opslimit = crypto_pwhash_argon2id_OPSLIMIT_MODERATE,
                                    .memlimit = crypto_pwhash_argon2id_MEMLIMIT_MODERATE };
        random_bytes(ret->salt, sizeof(ret->salt));
}

static bool in_bounds(const struct kdf_params *p) {
        return p->opslimit >= 1 && p->opslimit <= KDF_OPSLIMIT_MAX &&
               p->memlimit >= KDF_MEMLIMIT_MIN && p->memlimit <= KDF_MEMLIMIT_MAX;
}

int kdf_params_to_json(const struct kdf_params *p, json_t **ret) {
        char salt[2 * KDF_SALT_BYTES + 1];
        json_t *value;

        hex_format(salt, p->salt, sizeof(p->salt));
        value = json_pack("{s:s, s:I, s:I}", "salt", salt, "opslimit", (json_int_t)p->opslimit,
                          "memlimit", (json_int_t)p->memlimit);
        if (!value)
                return -ENOMEM;
        *ret = value;
        return 0;
}

int kdf_params_from_json(const json_t *value, struct kdf_params *ret) {
        AUTO_BUF struct buf salt = BUF_INIT;
        const char *text = json_get_string(value, "salt");
        json_int_t opslimit = json_get_int(value, "opslimit", 0);
        json_int_t memlimit = json_get_int(value, "memlimit", 0);
        struct kdf_params p = { 0 };
        int r;

        if (!text || strlen(text) != 2 * (size_t)KDF_SALT_BYTES || opslimit <= 0 || memlimit <= 0)
                return -EBADMSG;
        p.opslimit = (uint64_t)opslimit;
        p.memlimit = (uint64_t)memlimit;
        if (!in_bounds(&p))
                return -EBADMSG;
        r = hex_decode(&salt, text, strlen(text));
        if (r < 0)
                return r;
        memcpy(p.salt, salt.data, sizeof(p.salt));
        *ret = p;
        return 0;
}

int kdf_derive(const struct kdf_params *p, const void *passphrase, size_t len,
               struct secret **ret) {
        AUTO_SECRET struct secret *key = NULL;

        if (len == 0 || len > LIMIT_PASSPHRASE_BYTES || !in_bounds(p))
                return -EINVAL;
        key = secret_new(SECRET_KEY_BYTES);
        if (!key)
                return -ENOBUFS;
        /* The sizes are right: what is left to fail is the memory that the function is to fill. */
        if (crypto_pwhash(secret_data(key), SECRET_KEY_BYTES, passphrase, len, p->salt, p->opslimit,
                          (size_t)p->memlimit, crypto_pwhash_ALG_ARGON2ID13) != 0)
                return -ENOMEM;
        *ret = TAKE(key);
        return 0;
}

int kdf_request_append(struct buf *b, const struct kdf_params *p, const void *passphrase,
                       size_t len) {
        AUTO_JSON json_t *head = NULL;
        size_t before = b->len;
        int r;

        if (len == 0 || len > LIMIT_PASSPHRASE_BYTES || !in_bounds(p))
                return -EINVAL;
        r = kdf_params_to_json(p, &head);
        if (r < 0)
                return r;
        if (json_object_set_new(head, "len", json_integer((json_int_t)len)) < 0)
                return -ENOMEM;
        r = json_write(b, head);
        if (r == 0)
                r = buf_append_str(b, "\n");
        if (r == 0)
                r = buf_append(b, passphrase, len);
        if (r < 0)
                buf_truncate(b, before);
        return r;
}

int kdf_request_parse(const char *line, size_t len, struct kdf_params *ret,
                      size_t *ret_n_passphrase) {
        AUTO_JSON json_t *head = NULL;
        json_int_t n;
        int r;

        if (len >= KDF_REQUEST_LINE_MAX)
                return -EBADMSG;
        r = json_parse(line, len, 1, &head, NULL);
        if (r < 0)
                return r;
        n = json_get_int(head, "len", 0);
        if (n <= 0 || n > LIMIT_PASSPHRASE_BYTES)
                return -EBADMSG;
        r = kdf_params_from_json(head, ret);
        if (r < 0)
                return r;
        *ret_n_passphrase = (size_t)n;
        return 0;
}

struct secret *subkey_new(const struct secret *master, uint64_t id,
                          const char context[static SUBKEY_CONTEXT_BYTES]) {
        struct secret *key;

        assert(secret_size(master) == SECRET_KEY_BYTES);
        key = secret_new(SECRET_KEY_BYTES);
        if (key)
                (void)crypto_kdf_derive_from_key(secret_data(key), SECRET_KEY_BYTES, id, context,
                                                 secret_peek(master));
        return key;
}
