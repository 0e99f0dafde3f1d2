/* SPDX-License-Identifier: Apache-2.0 */
#include "store/slot.h"

#include <assert.h>

#include "base/codec.h"
#include "crypto/seal.h"

#define WRAPPED_BYTES (SECRET_KEY_BYTES + SEAL_OVERHEAD)

static int check_passphrase(const json_t *params) {
        struct kdf_params p;

        return kdf_params_from_json(params, &p);
}

static int check_file(const json_t *params) {
        return json_is_object(params) ? 0 : -EBADMSG;
}

const struct slot_type *slot_type_find(const char *name) {
        static const struct slot_type types[] = {
                { .name = SLOT_PASSPHRASE, .interactive = true, .check = check_passphrase },
                { .name = SLOT_FILE, .plain = true, .check = check_file },
        };

        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                if (streq(types[i].name, name))
                        return &types[i];
        }
        return NULL;
}

int slot_passphrase_new(struct kdf_params *ret, json_t **ret_params) {
        struct kdf_params p;
        int r;

        kdf_params_new(&p);
        r = kdf_params_to_json(&p, ret_params);
        if (r == 0)
                *ret = p;
        return r;
}

int slot_passphrase_params(const json_t *params, struct kdf_params *ret) {
        return kdf_params_from_json(params, ret);
}

int slot_file_new(struct secret **ret_key, struct buf *ret_contents) {
        AUTO_SECRET struct secret *key = secret_new_random(SECRET_KEY_BYTES);
        size_t before = ret_contents->len;
        int r;

        if (!key)
                return -ENOBUFS;
        r = hex_append(ret_contents, secret_peek(key), SECRET_KEY_BYTES);
        if (r == 0)
                r = buf_append_str(ret_contents, "\n");
        if (r < 0) {
                buf_truncate(ret_contents, before);
                return r;
        }
        *ret_key = TAKE(key);
        return 0;
}

int slot_file_key(const void *contents, size_t len, struct secret **ret_key) {
        AUTO_BUF struct buf bytes = BUF_INIT;
        const char *text = contents;
        int r;

        /* An editor, a secret manager or echo may have dropped the newline. */
        if (len == 2 * (size_t)SECRET_KEY_BYTES + 1 && text[len - 1] == '\n')
                len--;
        if (len != 2 * (size_t)SECRET_KEY_BYTES)
                return -EBADMSG;
        r = hex_decode(&bytes, text, len);
        if (r < 0)
                return r;
        *ret_key = secret_new_from(bytes.data, bytes.len);
        return *ret_key ? 0 : -ENOBUFS;
}

/* What the wrapped key is bound to: nobody can move it to another slot, type, store or salt. */
static int binding(const char *store_id, const json_t *slot, struct buf *ret) {
        AUTO_JSON json_t *bound = json_pack(
                "{s:s, s:O, s:O, s:O}", "store_id", store_id, "id", json_object_get(slot, "id"),
                "type", json_object_get(slot, "type"), "params", json_object_get(slot, "params"));

        return bound ? json_write_canonical(ret, bound) : -ENOMEM;
}

int slot_wrap(const char *store_id, const struct secret *wrapping_key, const struct secret *master,
              json_t *slot) {
        AUTO_BUF struct buf ad = BUF_INIT;
        AUTO_BUF struct buf wrapped = BUF_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        int r;

        assert(secret_size(master) == SECRET_KEY_BYTES);
        r = binding(store_id, slot, &ad);
        if (r == 0)
                r = seal(&wrapped, wrapping_key, ad.data, ad.len, secret_peek(master),
                         SECRET_KEY_BYTES);
        if (r == 0)
                r = base64url_append(&text, wrapped.data, wrapped.len);
        if (r < 0)
                return r;
        return json_object_set_new(slot, "wrapped", json_string(text.data)) < 0 ? -ENOMEM : 0;
}

int slot_unwrap(const char *store_id, const struct secret *wrapping_key, const json_t *slot,
                struct secret **ret_master) {
        AUTO_BUF struct buf ad = BUF_INIT;
        AUTO_BUF struct buf wrapped = BUF_INIT;
        AUTO_BUF struct buf plain = BUF_INIT;
        const char *text = json_get_string(slot, "wrapped");
        int r;

        if (!text)
                return -EKEYREJECTED;
        r = base64url_decode(&wrapped, text, strlen(text));
        if (r == 0 && wrapped.len != WRAPPED_BYTES)
                r = -EBADMSG;
        if (r == 0)
                r = binding(store_id, slot, &ad);
        if (r == 0)
                r = unseal(&plain, wrapping_key, ad.data, ad.len, wrapped.data, wrapped.len);
        if (r < 0)
                return r == -EBADMSG ? -EKEYREJECTED : r;
        *ret_master = secret_new_from(plain.data, plain.len);
        return *ret_master ? 0 : -ENOBUFS;
}
