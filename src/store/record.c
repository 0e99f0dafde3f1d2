/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "store/record.h"

#include <assert.h>
#include <endian.h>

#include "base/codec.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "crypto/hash.h"
#include "crypto/seal.h"

/* The first bytes of a file, all little-endian. They are associated data as they stand. */
struct head {
        char magic[8];
        uint32_t version;
        uint32_t epoch; /* which master key: 1 until there is a rekeying */
        uint64_t generation;
};
static_assert(sizeof(struct head) == RECORD_HEAD_BYTES, "no padding");

static const char record_magic[8] = "mcpb-rec";
#define RECORD_VERSION 1
#define RECORD_EPOCH 1

struct associated {
        struct head head;
        uint8_t store_id[STORE_ID_BYTES];
        char name[RECORD_NAME_CHARS];
};
static_assert(sizeof(struct associated) == RECORD_HEAD_BYTES + STORE_ID_BYTES + RECORD_NAME_CHARS,
              "no padding");

static const char *const kind_names[STORE_KIND_COUNT] = {
        [STORE_SERVER] = "server", [STORE_REGISTRATION] = "registration", [STORE_GRANT] = "grant",
        [STORE_LOGIN] = "login",   [STORE_AUDIT_KEYS] = "audit-keys",
};

const char *store_kind_name(enum store_kind kind) {
        const char *name = (unsigned)kind < STORE_KIND_COUNT ? kind_names[kind] : NULL;

        return name ? name : "record";
}

static int kind_from_name(const char *name, enum store_kind *ret) {
        for (int kind = 0; kind < STORE_KIND_COUNT; kind++) {
                if (streq(kind_names[kind], name)) {
                        *ret = (enum store_kind)kind;
                        return 0;
                }
        }
        return -EBADMSG;
}

void record_done(struct record *r) {
        r->key = str_wipe_free(r->key);
        json_decref(r->value);
        *r = RECORD_INIT;
}

bool record_key_valid(const char *key) {
        size_t len = strnlen(key, LIMIT_STORE_KEY_BYTES + 1);

        return len > 0 && len <= LIMIT_STORE_KEY_BYTES && utf8_valid(key, len);
}

void record_name(const struct record_keys *k, enum store_kind kind, const char *key,
                 char ret_name[static RECORD_NAME_SIZE]) {
        char text[32 + LIMIT_STORE_KEY_BYTES];
        const char *kind_name = store_kind_name(kind);
        size_t n_kind = strlen(kind_name) + 1; /* with its NUL, which no key holds */
        size_t n_key = strlen(key);
        uint8_t hash[HASH_BYTES];

        assert(n_kind <= 32 && n_key <= LIMIT_STORE_KEY_BYTES);
        memcpy(text, kind_name, n_kind);
        memcpy(text + n_kind, key, n_key);
        hash_keyed(hash, secret_peek(k->names), text, n_kind + n_key);
        hex_format(ret_name, hash, sizeof(hash));
}

bool record_name_valid(const char *name) {
        return strnlen(name, RECORD_NAME_SIZE) == RECORD_NAME_CHARS &&
               strspn(name, "0123456789abcdef") == RECORD_NAME_CHARS;
}

int record_plain_read(const char *plain, size_t len, struct record *ret) {
        AUTO_JSON json_t *object = NULL;
        enum store_kind kind = STORE_KIND_COUNT;
        const char *kind_name;
        const char *key;
        char *copy;
        int r;

        /* The value of a record may be as deep as a request: one more for what stands around it. */
        r = json_parse(plain, len, LIMIT_JSON_DEPTH + 1, &object, NULL);
        if (r < 0)
                return r;
        kind_name = json_get_string(object, "kind");
        key = json_get_string(object, "key");
        if (!kind_name || kind_from_name(kind_name, &kind) < 0 || !key || !record_key_valid(key) ||
            !json_is_object(json_object_get(object, "value")))
                return -EBADMSG;
        copy = strdup(key);
        if (!copy)
                return -ENOMEM;
        *ret = (struct record){ .kind = kind,
                                .key = copy,
                                .value = json_incref(json_object_get(object, "value")) };
        return 0;
}

/* Blanks behind JSON are still JSON; sizes in steps tell little of what is inside. */
static int pad(struct buf *b) {
        size_t n = (RECORD_PAD_BYTES - b->len % RECORD_PAD_BYTES) % RECORD_PAD_BYTES;
        int r = buf_reserve(b, n);

        if (r < 0)
                return r;
        while (n-- > 0)
                b->data[b->len++] = ' ';
        b->data[b->len] = '\0';
        return 0;
}

int record_plain_write(struct buf *ret, enum store_kind kind, const char *key, const json_t *value,
                       json_t **ret_value) {
        AUTO_BUF struct buf plain = BUF_INIT;
        AUTO_JSON json_t *object = json_object();
        struct record back = RECORD_INIT;
        int r;

        if (!json_is_object(value))
                return -EINVAL;
        buf_init(&plain, LIMIT_RECORD_BYTES - RECORD_HEAD_BYTES - SEAL_OVERHEAD);
        if (!object ||
            json_object_set_new(object, "kind", json_string(store_kind_name(kind))) < 0 ||
            json_object_set_new(object, "key", json_string(key)) < 0 ||
            /* Only counted, never changed. */
            json_object_set(object, "value", (json_t *)(uintptr_t)value) < 0)
                return -ENOMEM;
        r = json_write(&plain, object);
        if (r == 0)
                r = pad(&plain);
        if (r < 0)
                return r;
        r = record_plain_read(plain.data, plain.len, &back);
        if (r < 0)
                return r == -EBADMSG ? -EINVAL : r;
        if (ret_value)
                *ret_value = TAKE(back.value);
        record_done(&back);
        buf_move(ret, &plain);
        return 0;
}

static void associate(const struct record_keys *k, const struct head *head, const char *name,
                      struct associated *ret) {
        *ret = (struct associated){ .head = *head };
        memcpy(ret->store_id, k->store_id, sizeof(ret->store_id));
        memcpy(ret->name, name, sizeof(ret->name));
}

int record_seal(const struct record_keys *k, const char *name, uint64_t generation,
                const struct buf *plain, struct buf *ret) {
        struct head head = { .version = htole32(RECORD_VERSION),
                             .epoch = htole32(RECORD_EPOCH),
                             .generation = htole64(generation) };
        struct associated ad;
        size_t before = ret->len;
        int r;

        assert(record_name_valid(name) && generation > 0);
        memcpy(head.magic, record_magic, sizeof(head.magic));
        associate(k, &head, name, &ad);
        r = buf_append(ret, &head, sizeof(head));
        if (r == 0)
                r = seal(ret, k->records, &ad, sizeof(ad), plain->data, plain->len);
        if (r < 0)
                buf_truncate(ret, before);
        return r;
}

int record_open(const struct record_keys *k, const char *name, const void *data, size_t len,
                struct record *ret) {
        struct record rec = RECORD_INIT;
        AUTO_BUF struct buf plain = BUF_INIT;
        char real_name[RECORD_NAME_SIZE];
        struct head head;
        struct associated ad;
        int r;

        if (len < sizeof(head) + SEAL_OVERHEAD || len > LIMIT_RECORD_BYTES ||
            !record_name_valid(name))
                return -EBADMSG;
        memcpy(&head, data, sizeof(head));
        if (memcmp(head.magic, record_magic, sizeof(record_magic)) != 0 ||
            le32toh(head.version) != RECORD_VERSION || le32toh(head.epoch) != RECORD_EPOCH ||
            head.generation == 0)
                return -EBADMSG;
        associate(k, &head, name, &ad);
        r = unseal(&plain, k->records, &ad, sizeof(ad), (const char *)data + sizeof(head),
                   len - sizeof(head));
        if (r == 0)
                r = record_plain_read(plain.data, plain.len, &rec);
        if (r < 0)
                return r;
        assert(rec.key);
        /* The name is bound to the contents twice: sealed with it, and made of what is inside. */
        record_name(k, rec.kind, rec.key, real_name);
        if (!streq(real_name, name)) {
                record_done(&rec);
                return -EBADMSG;
        }
        rec.generation = le64toh(head.generation);
        *ret = rec;
        return 0;
}
