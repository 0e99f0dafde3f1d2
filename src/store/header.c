/* SPDX-License-Identifier: Apache-2.0 */
#include "store/header.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/codec.h"
#include "base/limits.h"
#include "crypto/hash.h"
#include "crypto/rand.h"
#include "store/record.h"
#include "store/slot.h"

#define HEADER_DEPTH 8
#define SLOT_ID_MAX 1000000000
#define SLOT_TEXT_MAX 64
#define WRAPPED_TEXT_MAX 1024 /* room for slots whose wrapped key carries more */

int header_new(json_t **ret) {
        uint8_t id[STORE_ID_BYTES];
        char text[2 * STORE_ID_BYTES + 1];
        json_t *header;

        random_bytes(id, sizeof(id));
        hex_format(text, id, sizeof(id));
        header = json_pack("{s:i, s:s, s:i, s:[]}", "format", HEADER_FORMAT, "store_id", text,
                           "next_slot", 1, "slots");
        if (!header)
                return -ENOMEM;
        *ret = header;
        return 0;
}

static bool is_lower_hex(const char *text, size_t len) {
        return text && strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

static bool is_word(const char *text) {
        return text && text[0] != '\0' && strlen(text) <= SLOT_TEXT_MAX &&
               strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(text);
}

/* 0, -EBADMSG, -ENOMEM; so are the two below. */
static int slot_check(const json_t *header, const json_t *slot, json_int_t next) {
        const char *id = json_get_string(slot, "id");
        const char *type = json_get_string(slot, "type");
        const char *wrapped = json_get_string(slot, "wrapped");
        const json_t *params = json_object_get(slot, "params");
        const struct slot_type *known;
        uint64_t number = 0;

        if (!id || !is_word(type) || !wrapped || strlen(wrapped) > WRAPPED_TEXT_MAX ||
            !json_is_object(params))
                return -EBADMSG;
        /* header_slot() finds the first of that id: ids are unique. */
        if (id[0] == '0' || number_parse(id, SLOT_ID_MAX, &number) < 0 ||
            number >= (uint64_t)next || header_slot(header, id) != slot)
                return -EBADMSG;
        known = slot_type_find(type);
        return known ? known->check(params) : 0;
}

static int header_check(const json_t *header) {
        const json_t *slots = json_object_get(header, "slots");
        json_int_t next = json_get_int(header, "next_slot", 0);
        const json_t *slot;
        size_t i;

        if (!is_lower_hex(header_store_id(header), 2 * STORE_ID_BYTES) ||
            !is_lower_hex(json_get_string(header, "mac"), 2 * HASH_BYTES) ||
            !json_is_array(slots) || json_array_size(slots) == 0 ||
            json_array_size(slots) > LIMIT_STORE_SLOTS || next < 1 || next > SLOT_ID_MAX)
                return -EBADMSG;
        json_array_foreach(slots, i, slot) {
                int r = slot_check(header, slot, next);

                if (r < 0)
                        return r;
        }
        return 0;
}

int header_parse(const void *data, size_t len, json_t **ret, struct error *err) {
        AUTO_JSON json_t *header = NULL;
        const char *why = "not the header of a store";
        json_int_t format;
        int r;

        r = len > LIMIT_STORE_HEADER_BYTES ? -EBADMSG
                                           : json_parse(data, len, HEADER_DEPTH, &header, &why);
        format = json_get_int(header, "format", 0);
        if (r == 0 && format > HEADER_FORMAT)
                return error_set(err, MCPB_UNSUPPORTED, EPROTONOSUPPORT,
                                 "Install that version, or move the store away and log in again",
                                 "The store was made by a later version (format %" PRIdMAX ")",
                                 (intmax_t)format);
        if (r == 0)
                r = format == HEADER_FORMAT ? header_check(header) : -EBADMSG;
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return error_set(err, MCPB_STORE_CORRUPT, EBADMSG,
                                 "Restore the file \"" STORE_HEADER_NAME "\" from a backup",
                                 "The header of the store is damaged: %s", why);
        *ret = TAKE(header);
        return 0;
}

/* Over the canonical form of all members but "mac" itself, also those that are not known here. */
static int compute_mac(const json_t *header, const struct secret *mac_key,
                       char ret_text[static 2 * HASH_BYTES + 1]) {
        AUTO_JSON json_t *bare = json_deep_copy(header);
        AUTO_BUF struct buf text = BUF_INIT;
        uint8_t mac[HASH_BYTES];
        int r;

        if (!bare)
                return -ENOMEM;
        (void)json_object_del(bare, "mac"); /* a new header has none */
        r = json_write_canonical(&text, bare);
        if (r < 0)
                return r;
        hash_keyed(mac, secret_peek(mac_key), text.data, text.len);
        hex_format(ret_text, mac, sizeof(mac));
        return 0;
}

int header_write(json_t *header, const struct secret *mac_key, struct buf *ret) {
        char mac[2 * HASH_BYTES + 1];
        AUTO_BUF struct buf text = BUF_INIT;
        int r;

        buf_init(&text, LIMIT_STORE_HEADER_BYTES);
        r = compute_mac(header, mac_key, mac);
        if (r < 0)
                return r;
        if (json_object_set_new(header, "mac", json_string(mac)) < 0)
                return -ENOMEM;
        r = json_write_canonical(&text, header);
        if (r == 0)
                r = buf_append_str(&text, "\n");
        return r < 0 ? r : buf_append(ret, text.data, text.len);
}

int header_verify(const json_t *header, const struct secret *mac_key) {
        const char *given = json_get_string(header, "mac");
        char mac[2 * HASH_BYTES + 1];
        int r = compute_mac(header, mac_key, mac);

        if (r < 0)
                return r;
        return given && strlen(given) == strlen(mac) && secret_equal(given, mac, strlen(mac))
                       ? 0
                       : -EBADMSG;
}

const char *header_store_id(const json_t *header) {
        return json_get_string(header, "store_id");
}

json_t *header_slots(const json_t *header) {
        return json_object_get(header, "slots");
}

json_t *header_slot(const json_t *header, const char *id) {
        json_t *slot;
        size_t i;

        json_array_foreach(header_slots(header), i, slot) {
                const char *its = json_get_string(slot, "id");

                if (its && streq(its, id))
                        return slot;
        }
        return NULL;
}

int header_slot_add(json_t *header, const char *type, const json_t *params, json_t **ret_slot) {
        const struct slot_type *known = slot_type_find(type);
        json_int_t next = json_get_int(header, "next_slot", 1);
        AUTO_JSON json_t *copy = params ? json_deep_copy(params) : json_object();
        AUTO_JSON json_t *slot = NULL;
        char id[24];
        int r;

        if (!copy)
                return -ENOMEM;
        r = known ? known->check(copy) : -EBADMSG;
        if (r < 0)
                return r == -EBADMSG ? -EINVAL : r;
        if (json_array_size(header_slots(header)) >= LIMIT_STORE_SLOTS || next >= SLOT_ID_MAX)
                return -ENOSPC;
        (void)snprintf(id, sizeof(id), "%" PRIdMAX, (intmax_t)next);
        slot = json_pack("{s:s, s:s, s:O}", "id", id, "type", type, "params", copy);
        if (!slot || json_object_set_new(header, "next_slot", json_integer(next + 1)) < 0 ||
            json_array_append(header_slots(header), slot) < 0)
                return -ENOMEM;
        *ret_slot = slot;
        return 0;
}

int header_slot_remove(json_t *header, const char *id) {
        json_t *slots = header_slots(header);

        for (size_t i = 0; i < json_array_size(slots); i++) {
                if (!streq(json_get_string(json_array_get(slots, i), "id"), id))
                        continue;
                if (json_array_size(slots) == 1)
                        return -EPERM;
                (void)json_array_remove(slots, i);
                return 0;
        }
        return -ENOENT;
}
