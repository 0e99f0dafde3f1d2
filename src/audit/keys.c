/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/line.h"

#include <stdio.h>

#include "base/codec.h"
#include "crypto/rand.h"

struct audit_keys *audit_keys_free(struct audit_keys *k) {
        if (k) {
                (void)secret_free(k->mac);
                (void)secret_free(k->sign);
                (void)secret_free(k->fingerprint);
                free(k);
        }
        return NULL;
}

int audit_keys_new(struct audit_keys **ret) {
        AUTO_AUDIT_KEYS struct audit_keys *k = calloc(1, sizeof(*k));
        uint8_t seed[SIGN_SEED_BYTES];

        if (!k)
                return -ENOMEM;
        k->fresh = true;
        k->mac = secret_new_random(HASH_KEY_BYTES);
        k->fingerprint = secret_new_random(HASH_KEY_BYTES);
        if (!k->mac || !k->fingerprint)
                return -ENOBUFS;
        random_bytes(seed, sizeof(seed));
        k->sign = sign_key_new(seed);
        mem_wipe(seed, sizeof(seed));
        if (!k->sign)
                return -ENOBUFS;
        *ret = TAKE(k);
        return 0;
}

static int put_bytes(json_t *object, const char *name, const uint8_t *data, size_t len) {
        AUTO_BUF struct buf text = BUF_INIT;

        if (base64url_append(&text, data, len) < 0)
                return -ENOMEM;
        return json_object_set_new(object, name, json_string(text.data)) < 0 ? -ENOMEM : 0;
}

int audit_keys_to_json(const struct audit_keys *k, json_t **ret) {
        AUTO_JSON json_t *o = json_object();

        if (!o || json_object_set_new(o, "v", json_integer(1)) < 0 ||
            json_object_set_new(o, "seq", json_integer((json_int_t)k->seq)) < 0 ||
            json_object_set_new(o, "offset", json_integer((json_int_t)k->offset)) < 0 ||
            json_object_set_new(o, "fresh", json_boolean(k->fresh)) < 0 ||
            put_bytes(o, "prev", k->prev, sizeof(k->prev)) < 0 ||
            put_bytes(o, "mac", secret_peek(k->mac), HASH_KEY_BYTES) < 0 ||
            put_bytes(o, "sign", sign_key_seed(k->sign), SIGN_SEED_BYTES) < 0 ||
            put_bytes(o, "fingerprint", secret_peek(k->fingerprint), HASH_KEY_BYTES) < 0)
                return -ENOMEM;
        *ret = TAKE(o);
        return 0;
}

/* Exactly @len bytes, or -EBADMSG. */
static int get_bytes(const json_t *object, const char *name, uint8_t *ret, size_t len) {
        AUTO_BUF struct buf data = BUF_INIT;
        const char *text = json_get_string(object, name);
        int r = text ? base64url_decode(&data, text, strlen(text)) : -EBADMSG;

        if (r < 0)
                return r;
        if (data.len != len)
                return -EBADMSG;
        memcpy(ret, data.data, len);
        return 0;
}

static int get_secret(const json_t *object, const char *name, struct secret **ret) {
        uint8_t bytes[HASH_KEY_BYTES];
        int r = get_bytes(object, name, bytes, sizeof(bytes));

        if (r == 0) {
                *ret = secret_new_from(bytes, sizeof(bytes));
                r = *ret ? 0 : -ENOBUFS;
        }
        mem_wipe(bytes, sizeof(bytes));
        return r;
}

static int get_keys(const json_t *value, struct audit_keys *k) {
        uint8_t seed[SIGN_SEED_BYTES];
        int r = get_secret(value, "mac", &k->mac);

        if (r == 0)
                r = get_secret(value, "fingerprint", &k->fingerprint);
        if (r == 0)
                r = get_bytes(value, "sign", seed, sizeof(seed));
        if (r == 0) {
                k->sign = sign_key_new(seed);
                r = k->sign ? 0 : -ENOBUFS;
        }
        mem_wipe(seed, sizeof(seed));
        return r;
}

int audit_keys_from_json(struct audit_keys **ret, const json_t *value) {
        AUTO_AUDIT_KEYS struct audit_keys *k = calloc(1, sizeof(*k));
        json_int_t seq = json_get_int(value, "seq", -1);
        json_int_t offset = json_get_int(value, "offset", -1);
        int r;

        if (!k)
                return -ENOMEM;
        if (json_get_int(value, "v", 0) != 1 || seq < 0 || offset < 0)
                return -EBADMSG;
        k->seq = (uint64_t)seq;
        k->offset = (uint64_t)offset;
        k->fresh = json_get_bool(value, "fresh", false);
        r = get_bytes(value, "prev", k->prev, sizeof(k->prev));
        if (r == 0)
                r = get_keys(value, k);
        if (r < 0)
                return r;
        *ret = TAKE(k);
        return 0;
}

const uint8_t *audit_keys_mac(const struct audit_keys *k, uint64_t *ret_seq) {
        if (ret_seq)
                *ret_seq = k->seq;
        return secret_peek(k->mac);
}

void audit_keys_public(const struct audit_keys *k, uint8_t out[static SIGN_PUBLIC_BYTES]) {
        sign_key_public(k->sign, out);
}

void audit_fingerprint(const struct audit_keys *k, const char *token, size_t len,
                       struct audit_token *ret) {
        static const char prefix[] = "hmac:";
        uint8_t hash[HASH_SHORT_BYTES];

        _Static_assert(sizeof(prefix) + 2 * sizeof(hash) <= AUDIT_TOKEN_BYTES, "room for the text");
        hash_keyed_short(hash, secret_peek(k->fingerprint), token, len);
        memcpy(ret->text, prefix, sizeof(prefix));
        hex_format(ret->text + strlen(prefix), hash, sizeof(hash));
}

/* --- Checkpoints ---------------------------------------------------------- */

static int format_statement(const struct audit_checkpoint *c, struct buf *out) {
        char hash[2 * HASH_BYTES + 1];

        hex_format(hash, c->hash, HASH_BYTES);
        return buf_printf(out, "{\"seq\":%llu,\"hash\":\"%s\",\"time\":\"%s\"",
                          (unsigned long long)c->seq, hash, c->time);
}

int audit_checkpoint_sign(struct audit_checkpoint *c, const struct audit_keys *k) {
        AUTO_BUF struct buf text = BUF_INIT;
        int r = format_statement(c, &text);

        if (r < 0)
                return r;
        sign(c->signature, k->sign, text.data, text.len);
        return 0;
}

bool audit_checkpoint_verify(const struct audit_checkpoint *c,
                             const uint8_t public_key[static SIGN_PUBLIC_BYTES]) {
        AUTO_BUF struct buf text = BUF_INIT;

        return format_statement(c, &text) == 0 &&
               sign_verify(c->signature, public_key, text.data, text.len);
}

int audit_checkpoint_format(const struct audit_checkpoint *c, struct buf *out) {
        char signature[2 * SIGNATURE_BYTES + 1];
        int r = format_statement(c, out);

        hex_format(signature, c->signature, SIGNATURE_BYTES);
        return r < 0 ? r : buf_printf(out, ",\"signature\":\"%s\"}", signature);
}

int audit_checkpoint_parse(struct audit_checkpoint *ret, const char *text, size_t len) {
        AUTO_JSON json_t *o = NULL;
        struct audit_checkpoint c = { 0 };
        const char *hash;
        const char *signature;
        const char *when;
        json_int_t seq;
        int r = json_parse(text, len, 2, &o, NULL);

        if (r < 0)
                return r;
        seq = json_get_int(o, "seq", -1);
        hash = json_get_string(o, "hash");
        signature = json_get_string(o, "signature");
        when = json_get_string(o, "time");
        if (seq < 0 || !hash || strlen(hash) != 2 * HASH_BYTES || !signature ||
            strlen(signature) != 2 * SIGNATURE_BYTES || !when || strlen(when) >= sizeof(c.time) ||
            strpbrk(when, "\"\\"))
                return -EBADMSG;
        c.seq = (uint64_t)seq;
        memcpy(c.time, when, strlen(when));
        if (audit_hex_decode(hash, HASH_BYTES, c.hash) < 0 ||
            audit_hex_decode(signature, SIGNATURE_BYTES, c.signature) < 0)
                return -EBADMSG;
        *ret = c;
        return 0;
}
