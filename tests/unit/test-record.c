/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/codec.h"
#include "base/limits.h"
#include "crypto/init.h"
#include "crypto/seal.h"
#include "store/header.h"
#include "store/record.h"
#include "store/slot.h"
#include "test.h"

#define KEY "https://as.example|client|me|https://mcp.example/"

static struct secret *keys[2];

static int start(void **state) {
        static struct record_keys k;

        if (crypto_init(NULL) < 0)
                return -1;
        /* Fixed, so that the file below opens. */
        keys[0] = secret_new(SECRET_KEY_BYTES);
        keys[1] = secret_new(SECRET_KEY_BYTES);
        for (size_t i = 0; i < SECRET_KEY_BYTES; i++) {
                secret_data(keys[0])[i] = (uint8_t)i;
                secret_data(keys[1])[i] = (uint8_t)(0x80 + i);
        }
        k.names = keys[0];
        k.records = keys[1];
        for (size_t i = 0; i < STORE_ID_BYTES; i++)
                k.store_id[i] = (uint8_t)(0xf0 + i);
        *state = &k;
        return 0;
}

static int stop(void **state) {
        keys[0] = secret_free(keys[0]);
        keys[1] = secret_free(keys[1]);
        assert_int_equal(secret_slab_used(), 0);
        crypto_done();
        return 0;
}

static json_t *value_new(const char *text) {
        json_t *value = NULL;

        assert_int_equal(json_parse(text, strlen(text), LIMIT_JSON_DEPTH, &value, NULL), 0);
        return value;
}

static void seal_text(const struct record_keys *k, const char *name, const char *text,
                      struct buf *ret) {
        AUTO_BUF struct buf plain = BUF_INIT;

        assert_int_equal(buf_append_str(&plain, text), 0);
        assert_int_equal(record_seal(k, name, 7, &plain, ret), 0);
}

/* A whole record, and its name. */
static void make(const struct record_keys *k, char name[static RECORD_NAME_SIZE], struct buf *ret) {
        AUTO_JSON json_t *value = value_new("{\"refresh\":\"mcp_rt_1\",\"later\":[1,null]}");
        AUTO_BUF struct buf plain = BUF_INIT;

        record_name(k, STORE_GRANT, KEY, name);
        assert_int_equal(record_plain_write(&plain, STORE_GRANT, KEY, value, NULL), 0);
        assert_int_equal(record_seal(k, name, 7, &plain, ret), 0);
}

static void a_record_opens_as_it_was_sealed(void **state) {
        AUTO_JSON json_t *value = value_new("{\"refresh\":\"mcp_rt_1\",\"later\":[1,null]}");
        AUTO_BUF struct buf file = BUF_INIT;
        AUTO_RECORD struct record rec = RECORD_INIT;
        char name[RECORD_NAME_SIZE];

        make(*state, name, &file);
        assert_int_equal(record_open(*state, name, file.data, file.len, &rec), 0);
        assert_int_equal(rec.kind, STORE_GRANT);
        assert_int_equal(rec.generation, 7);
        assert_string_equal(rec.key, KEY);
        assert_true(json_equal(rec.value, value));
}

/* S7 */
static void one_changed_byte_anywhere_is_refused(void **state) {
        AUTO_BUF struct buf file = BUF_INIT;
        AUTO_RECORD struct record rec = RECORD_INIT;
        char name[RECORD_NAME_SIZE];

        make(*state, name, &file);
        for (size_t i = 0; i < file.len; i++) {
                for (int bit = 0; bit < 8; bit += 7) {
                        file.data[i] = (char)(file.data[i] ^ (1 << bit));
                        assert_int_equal(record_open(*state, name, file.data, file.len, &rec),
                                         -EBADMSG);
                        file.data[i] = (char)(file.data[i] ^ (1 << bit));
                }
        }
        assert_null(rec.value);
}

/* S7 */
static void a_record_cut_anywhere_or_longer_is_refused(void **state) {
        AUTO_BUF struct buf file = BUF_INIT;
        AUTO_RECORD struct record rec = RECORD_INIT;
        char name[RECORD_NAME_SIZE];

        make(*state, name, &file);
        for (size_t n = 0; n < file.len; n++)
                assert_int_equal(record_open(*state, name, file.data, n, &rec), -EBADMSG);
        assert_int_equal(buf_append(&file, "", 1), 0);
        assert_int_equal(record_open(*state, name, file.data, file.len, &rec), -EBADMSG);
}

static void a_record_under_another_name_or_of_another_store_is_refused(void **state) {
        struct record_keys other = *(const struct record_keys *)*state;
        AUTO_BUF struct buf file = BUF_INIT;
        AUTO_RECORD struct record rec = RECORD_INIT;
        char name[RECORD_NAME_SIZE];
        char wrong[RECORD_NAME_SIZE];

        make(*state, name, &file);
        record_name(*state, STORE_REGISTRATION, KEY, wrong);
        assert_int_equal(record_open(*state, wrong, file.data, file.len, &rec), -EBADMSG);
        record_name(*state, STORE_GRANT, KEY "2", wrong);
        assert_int_equal(record_open(*state, wrong, file.data, file.len, &rec), -EBADMSG);
        assert_int_equal(record_open(*state, "../../etc/passwd", file.data, file.len, &rec),
                         -EBADMSG);
        other.store_id[15] ^= 1;
        assert_int_equal(record_open(&other, name, file.data, file.len, &rec), -EBADMSG);
}

/* One who has the keys and a bug: the contents must fit the name even so. */
static void what_is_sealed_must_be_a_record_of_that_name(void **state) {
        static const char *const bad[] = {
                "",
                "{}",
                "[]",
                "{\"kind\":\"grant\",\"key\":\"" KEY "\"}",
                "{\"kind\":\"grant\",\"key\":\"" KEY "\",\"value\":[]}",
                "{\"kind\":\"grant\",\"key\":\"\",\"value\":{}}",
                "{\"kind\":\"grant\",\"key\":5,\"value\":{}}",
                "{\"kind\":\"Grant\",\"key\":\"" KEY "\",\"value\":{}}",
                "{\"kind\":\"login\",\"key\":\"" KEY "\",\"value\":{}}",
                "{\"kind\":\"grant\",\"key\":\"other\",\"value\":{}}",
                "{\"kind\":\"grant\",\"key\":\"" KEY "\",\"value\":{}} x",
                "{\"kind\":\"grant\",\"key\":\"" KEY "\",\"value\":{},\"value\":{}}",
        };
        char name[RECORD_NAME_SIZE];

        record_name(*state, STORE_GRANT, KEY, name);
        for (size_t i = 0; i <= ARRAY_SIZE(bad); i++) {
                const char *good = "{\"kind\":\"grant\",\"key\":\"" KEY "\",\"value\":{}}";
                AUTO_BUF struct buf file = BUF_INIT;
                AUTO_RECORD struct record rec = RECORD_INIT;

                seal_text(*state, name, i < ARRAY_SIZE(bad) ? bad[i] : good, &file);
                assert_int_equal(record_open(*state, name, file.data, file.len, &rec),
                                 i < ARRAY_SIZE(bad) ? -EBADMSG : 0);
        }
}

static void names_tell_kind_and_key_apart(void **state) {
        char a[RECORD_NAME_SIZE];
        char b[RECORD_NAME_SIZE];

        record_name(*state, STORE_SERVER, "x", a);
        for (int kind = 1; kind < STORE_KIND_COUNT; kind++) {
                record_name(*state, (enum store_kind)kind, "x", b);
                assert_string_not_equal(a, b);
        }
        record_name(*state, STORE_SERVER, "x", b);
        assert_string_equal(a, b);
        assert_true(record_name_valid(a));
        a[63] = 'A';
        assert_false(record_name_valid(a));
        assert_false(record_name_valid(""));
        assert_false(record_name_valid("store"));
}

/* S9 */
static void only_what_can_be_read_again_is_written(void **state) {
        AUTO_BUF struct buf plain = BUF_INIT;
        AUTO_BUF struct buf big = BUF_INIT;
        AUTO_JSON json_t *nul = json_pack("{s:s#}", "a", "\0", 1);
        AUTO_JSON json_t *array = json_array();
        AUTO_JSON json_t *deep = json_object();
        AUTO_JSON json_t *large = NULL;

        assert_int_equal(record_plain_write(&plain, STORE_GRANT, "k", array, NULL), -EINVAL);
        if (nul) /* some versions of jansson refuse to make it */
                assert_int_equal(record_plain_write(&plain, STORE_GRANT, "k", nul, NULL), -EINVAL);
        for (int depth = 1; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
                json_t *outer;

                assert_int_equal(record_plain_write(&plain, STORE_GRANT, "k", deep, NULL),
                                 depth <= LIMIT_JSON_DEPTH ? 0 : -EINVAL);
                outer = json_object();
                assert_int_equal(json_object_set(outer, "a", deep), 0);
                json_decref(deep);
                deep = outer;
        }
        for (int i = 0; i < LIMIT_RECORD_BYTES / 16 + 1; i++)
                assert_int_equal(buf_append(&big, "0123456789abcdef", 16), 0);
        large = json_pack("{s:s}", "a", big.data);
        assert_int_equal(record_plain_write(&plain, STORE_GRANT, "k", large, NULL), -EMSGSIZE);
}

static void sizes_tell_steps_only(void **state) {
        AUTO_BUF struct buf text = BUF_INIT;

        for (int i = 0; i < 600; i++) {
                AUTO_BUF struct buf plain = BUF_INIT;
                AUTO_JSON json_t *value = json_pack("{s:s}", "a", text.data ? text.data : "");

                assert_int_equal(record_plain_write(&plain, STORE_GRANT, "k", value, NULL), 0);
                assert_int_equal(plain.len % RECORD_PAD_BYTES, 0);
                assert_int_equal(buf_append(&text, "x", 1), 0);
        }
}

/* --- slots --- */

static void a_key_file_is_read_strictly(void **state) {
        AUTO_SECRET struct secret *made = NULL;
        AUTO_BUF struct buf text = BUF_INIT;

        assert_int_equal(slot_file_new(&made, &text), 0);
        assert_int_equal(text.len, 65);
        for (size_t n = 0; n <= text.len; n++) {
                AUTO_SECRET struct secret *key = NULL;

                assert_int_equal(slot_file_key(text.data, n, &key), n >= 64 ? 0 : -EBADMSG);
                if (key)
                        assert_memory_equal(secret_peek(key), secret_peek(made), SECRET_KEY_BYTES);
        }
        assert_int_equal(buf_append(&text, "\n", 1), 0);
        assert_int_equal(slot_file_key(text.data, text.len, &made), -EBADMSG);
        text.data[0] = 'g';
        assert_int_equal(slot_file_key(text.data, 64, &made), -EBADMSG);
}

static json_t *slot_of(const char *id, const char *type, const char *salt) {
        return json_pack("{s:s, s:s, s:{s:s, s:i, s:i}}", "id", id, "type", type, "params", "salt",
                         salt, "opslimit", 1, "memlimit", 8192);
}

static void a_wrapped_key_opens_in_its_own_slot_only(void **state) {
        static const char salt[] = "00000000000000000000000000000000";
        static const char salt2[] = "00000000000000000000000000000001";
        AUTO_SECRET struct secret *wrapping = secret_new_random(SECRET_KEY_BYTES);
        AUTO_SECRET struct secret *other = secret_new_random(SECRET_KEY_BYTES);
        AUTO_SECRET struct secret *master = NULL;
        AUTO_JSON json_t *slot = slot_of("1", "passphrase", salt);
        const char *wrapped;

        assert_int_equal(slot_wrap("a", wrapping, keys[1], slot), 0);
        wrapped = json_get_string(slot, "wrapped");
        assert_int_equal(slot_unwrap("a", wrapping, slot, &master), 0);
        assert_memory_equal(secret_peek(master), secret_peek(keys[1]), SECRET_KEY_BYTES);
        master = secret_free(master);

        assert_int_equal(slot_unwrap("a", other, slot, &master), -EKEYREJECTED);
        assert_int_equal(slot_unwrap("b", wrapping, slot, &master), -EKEYREJECTED);
        for (int i = 0; i < 3; i++) {
                AUTO_JSON json_t *moved = slot_of(
                        i == 0 ? "2" : "1", i == 1 ? "file" : "passphrase", i == 2 ? salt2 : salt);

                assert_int_equal(json_object_set_new(moved, "wrapped", json_string(wrapped)), 0);
                assert_int_equal(slot_unwrap("a", wrapping, moved, &master), -EKEYREJECTED);
                assert_int_equal(json_object_set_new(moved, "wrapped", json_string("AA")), 0);
                assert_int_equal(slot_unwrap("a", wrapping, moved, &master), -EKEYREJECTED);
        }
}

static void a_passphrase_slot_tells_its_costs(void **state) {
        struct kdf_params made;
        struct kdf_params read;
        AUTO_JSON json_t *params = NULL;

        assert_int_equal(slot_passphrase_new(&made, &params), 0);
        assert_int_equal(slot_passphrase_params(params, &read), 0);
        assert_memory_equal(&made, &read, sizeof(made));
        assert_int_equal(json_object_set_new(params, "memlimit", json_integer(1)), 0);
        assert_int_equal(slot_passphrase_params(params, &read), -EBADMSG);
        assert_null(slot_type_find("secret-service"));
        assert_true(slot_type_find(SLOT_FILE)->plain);
        assert_true(slot_type_find(SLOT_PASSPHRASE)->interactive);
}

/* --- the header --- */

static json_t *header_make(void) {
        AUTO_SECRET struct secret *wrapping = secret_new_random(SECRET_KEY_BYTES);
        json_t *header = NULL;
        json_t *slot = NULL;

        assert_int_equal(header_new(&header), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(header_slot_add(header, SLOT_FILE, NULL, &slot), 0);
                assert_int_equal(slot_wrap(header_store_id(header), wrapping, keys[0], slot), 0);
        }
        return header;
}

/* S7 */
static void a_header_changed_or_cut_anywhere_is_refused(void **state) {
        AUTO_JSON json_t *header = header_make();
        AUTO_BUF struct buf text = BUF_INIT;
        AUTO_JSON json_t *same = NULL;

        assert_int_equal(header_write(header, keys[1], &text), 0);
        for (size_t i = 0; i < text.len; i++) {
                AUTO_JSON json_t *back = NULL;
                int r;

                if (i + 1 < text.len) /* the newline at the end may be missing */
                        assert_true(header_parse(text.data, i, &back, NULL) < 0);
                text.data[i] = (char)(text.data[i] ^ 1);
                r = header_parse(text.data, text.len, &back, NULL);
                if (r == 0)
                        r = header_verify(back, keys[1]);
                assert_true(r < 0);
                text.data[i] = (char)(text.data[i] ^ 1);
        }
        assert_int_equal(header_parse(text.data, text.len, &same, NULL), 0);
        assert_int_equal(header_verify(same, keys[1]), 0);
        assert_int_equal(header_verify(same, keys[0]), -EBADMSG);
}

/* Takes the members of @change over into a good header; null removes one. */
static int parse_changed(const char *change, struct error *err) {
        AUTO_JSON json_t *header = header_make();
        AUTO_JSON json_t *members = value_new(change);
        AUTO_JSON json_t *back = NULL;
        AUTO_BUF struct buf text = BUF_INIT;
        const char *name;
        json_t *value;

        assert_int_equal(header_write(header, keys[1], &text), 0);
        json_object_foreach(members, name, value) {
                if (json_is_null(value))
                        (void)json_object_del(header, name);
                else
                        assert_int_equal(json_object_set(header, name, value), 0);
        }
        buf_clear(&text);
        assert_int_equal(json_write(&text, header), 0);
        return header_parse(text.data, text.len, &back, err);
}

static void a_header_is_checked_before_it_is_believed(void **state) {
        static const struct {
                const char *change;
                int r;
                enum error_code code;
        } table[] = {
                { "{}", 0, MCPB_NO_ERROR },
                { "{\"later\":{\"a\":1}}", 0, MCPB_NO_ERROR },
                { "{\"format\":2}", -EPROTONOSUPPORT, MCPB_UNSUPPORTED },
                { "{\"format\":0}", -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"format\":\"1\"}", -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"store_id\":null}", -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"store_id\":\"00\"}", -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"store_id\":\"0000000000000000000000000000000G\"}", -EBADMSG,
                  MCPB_STORE_CORRUPT },
                { "{\"mac\":null}", -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"mac\":\"aa\"}", -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"slots\":null}", -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"slots\":[]}", -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"slots\":[5]}", -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"next_slot\":2}", -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"next_slot\":null}", -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"next_slot\":2000000000}", -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"slots\":[{\"id\":\"1\",\"type\":\"tpm\",\"params\":{},\"wrapped\":\"AA\"}]}",
                  0, MCPB_NO_ERROR },
                { "{\"slots\":[{\"id\":\"01\",\"type\":\"file\",\"params\":{},\"wrapped\":\"AA\"}]"
                  "}",
                  -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"slots\":[{\"id\":\"1\",\"type\":\"\\n\",\"params\":{},\"wrapped\":\"AA\"}]}",
                  -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"slots\":[{\"id\":\"1\",\"type\":\"file\",\"wrapped\":\"AA\"}]}", -EBADMSG,
                  MCPB_STORE_CORRUPT },
                { "{\"slots\":[{\"id\":\"1\",\"type\":\"file\",\"params\":{}}]}", -EBADMSG,
                  MCPB_STORE_CORRUPT },
                { "{\"slots\":[{\"id\":\"1\",\"type\":\"passphrase\",\"params\":{},\"wrapped\":"
                  "\"AA\"}]}",
                  -EBADMSG, MCPB_STORE_CORRUPT },
                { "{\"slots\":[{\"id\":\"1\",\"type\":\"tpm\",\"params\":{},\"wrapped\":\"AA\"},"
                  "{\"id\":\"1\",\"type\":\"tpm\",\"params\":{},\"wrapped\":\"AA\"}]}",
                  -EBADMSG, MCPB_STORE_CORRUPT },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct error err = ERROR_INIT;

                assert_int_equal(parse_changed(table[i].change, &err), table[i].r);
                assert_int_equal(err.code, table[i].code);
        }
}

static void slots_have_a_bound_and_never_reuse_a_number(void **state) {
        AUTO_JSON json_t *header = header_make();
        AUTO_JSON json_t *bad = json_object();
        json_t *slot = NULL;
        int n = 2;

        assert_int_equal(header_slot_add(header, "later", NULL, &slot), -EINVAL);
        assert_int_equal(header_slot_add(header, SLOT_PASSPHRASE, bad, &slot), -EINVAL);
        assert_int_equal(header_slot_remove(header, "2"), 0);
        assert_int_equal(header_slot_remove(header, "2"), -ENOENT);
        assert_int_equal(header_slot_remove(header, "1"), -EPERM);
        assert_int_equal(header_slot_add(header, SLOT_FILE, NULL, &slot), 0);
        assert_string_equal(json_get_string(slot, "id"), "3");
        while (header_slot_add(header, SLOT_FILE, NULL, &slot) == 0)
                n++;
        assert_int_equal(n, LIMIT_STORE_SLOTS);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_record_opens_as_it_was_sealed),
                cmocka_unit_test(one_changed_byte_anywhere_is_refused),
                cmocka_unit_test(a_record_cut_anywhere_or_longer_is_refused),
                cmocka_unit_test(a_record_under_another_name_or_of_another_store_is_refused),
                cmocka_unit_test(what_is_sealed_must_be_a_record_of_that_name),
                cmocka_unit_test(names_tell_kind_and_key_apart),
                cmocka_unit_test(only_what_can_be_read_again_is_written),
                cmocka_unit_test(sizes_tell_steps_only),
                cmocka_unit_test(a_key_file_is_read_strictly),
                cmocka_unit_test(a_wrapped_key_opens_in_its_own_slot_only),
                cmocka_unit_test(a_passphrase_slot_tells_its_costs),
                cmocka_unit_test(a_header_changed_or_cut_anywhere_is_refused),
                cmocka_unit_test(a_header_is_checked_before_it_is_believed),
                cmocka_unit_test(slots_have_a_bound_and_never_reuse_a_number),
        };

        return cmocka_run_group_tests_name("record", tests, start, stop);
}
