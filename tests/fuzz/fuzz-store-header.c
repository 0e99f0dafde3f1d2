/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a store, which is read before anything proves who wrote it; and the key file beside
 * it.
 */
#include <stdint.h>
#include <stdlib.h>

#include "crypto/init.h"
#include "store/header.h"
#include "store/slot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok) {
        if (!ok)
                abort();
}

static void use(json_t *header, const struct secret *key) {
        AUTO_JSON json_t *back = NULL;
        AUTO_BUF struct buf text = BUF_INIT;
        json_t *slot;
        size_t i;

        must(header_verify(header, key) == -EBADMSG);
        json_array_foreach(header_slots(header), i, slot) {
                struct secret *master = NULL;

                must(header_slot(header, json_get_string(slot, "id")) == slot);
                must(slot_unwrap(header_store_id(header), key, slot, &master) == -EKEYREJECTED);
        }
        (void)!header_slot_add(header, SLOT_FILE, NULL, &slot);
        (void)!header_slot_remove(header, "1");
        if (header_write(header, key, &text) < 0)
                return; /* canonical and longer than the limit */
        /* A slot that was added has no wrapped key yet: then it is rightly refused. */
        if (header_parse(text.data, text.len, &back, NULL) == 0)
                must(header_verify(back, key) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static struct secret *key;
        struct secret *file_key = NULL;
        json_t *header = NULL;

        if (!key) {
                must(crypto_init(NULL) == 0);
                key = secret_new_random(SECRET_KEY_BYTES);
        }
        if (slot_file_key(data, size, &file_key) == 0)
                file_key = secret_free(file_key);
        if (header_parse(data, size, &header, NULL) == 0)
                use(header, key);
        json_decref(header);
        return 0;
}
