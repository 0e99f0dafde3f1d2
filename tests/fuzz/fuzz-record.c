/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of the store from somebody who may have the keys or not: as it stands, and as what is
 * inside a seal.
 */
#include <stdint.h>
#include <stdlib.h>

#include "crypto/init.h"
#include "store/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok) {
        if (!ok)
                abort();
}

/* What was read can be written, and read again as the same. */
static void round_trip(const struct record_keys *k, const struct record *rec) {
        AUTO_RECORD struct record back = RECORD_INIT;
        AUTO_BUF struct buf plain = BUF_INIT;
        AUTO_BUF struct buf file = BUF_INIT;
        char name[RECORD_NAME_SIZE];

        if (record_plain_write(&plain, rec->kind, rec->key, rec->value, NULL) < 0)
                return; /* a value of the full depth in a longer text: too large */
        record_name(k, rec->kind, rec->key, name);
        must(record_seal(k, name, 1, &plain, &file) == 0);
        must(record_open(k, name, file.data, file.len, &back) == 0);
        must(back.kind == rec->kind && streq(back.key, rec->key) &&
             json_equal(back.value, rec->value) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static struct record_keys k;
        AUTO_RECORD struct record rec = RECORD_INIT;
        AUTO_RECORD struct record inner = RECORD_INIT;
        AUTO_BUF struct buf plain = BUF_INIT;
        AUTO_BUF struct buf file = BUF_INIT;
        char name[RECORD_NAME_SIZE];

        if (!k.names) {
                must(crypto_init(NULL) == 0);
                k.names = secret_new(SECRET_KEY_BYTES);
                k.records = secret_new(SECRET_KEY_BYTES);
        }
        record_name(&k, STORE_GRANT, "k", name);
        must(record_open(&k, name, data, size, &rec) < 0); /* nobody guesses a tag */
        if (record_plain_read((const char *)data, size, &inner) == 0)
                round_trip(&k, &inner);
        if (size > 65536 || buf_append(&plain, data, size) < 0)
                return 0;
        must(record_seal(&k, name, 1, &plain, &file) == 0);
        if (record_open(&k, name, file.data, file.len, &rec) == 0)
                must(rec.kind == STORE_GRANT && streq(rec.key, "k"));
        return 0;
}
