/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/limits.h"
#include "test.h"

static int parse(const char *text, size_t len, unsigned depth, const char **why) {
        AUTO_JSON json_t *value = NULL;
        int r = json_parse(text, len, depth, &value, why);

        assert_true((r == 0) == (value != NULL));
        return r;
}

static void exactly_one_value_is_parsed(void **state) {
        static const struct {
                const char *text;
                size_t len;
                int r;
        } table[] = {
                { "{}", 2, 0 },
                { " [1, 2] \n", 9, 0 },
                { "7", 1, 0 },
                { "\"x\"", 3, 0 },
                { "null", 4, 0 },
                { "", 0, -EBADMSG },
                { " ", 1, -EBADMSG },
                { "{}{}", 4, -EBADMSG },
                { "{} x", 4, -EBADMSG },
                { "{}\0", 3, -EBADMSG },
                { "{\"a\":1,}", 8, -EBADMSG },
                { "{'a':1}", 7, -EBADMSG },
                { "[01]", 4, -EBADMSG },
                { "[NaN]", 5, -EBADMSG },
                { "[1e999]", 7, -EBADMSG },
                { "[99999999999999999999]", 22, -EBADMSG },
                { "\"a\nb\"", 5, -EBADMSG },
                { "\"\\u0000\"", 8, -EBADMSG },
                { "{\"a\\u0000b\":1}", 14, -EBADMSG },
                { "\"\\ud800\"", 8, -EBADMSG },
                { "\"\xff\"", 3, -EBADMSG },
                { "\xef\xbb\xbf{}", 5, -EBADMSG },
                { "{\"a\":1,\"a\":1}", 13, -EBADMSG },
                { "{\"a\":1,\"\\u0061\":2}", 18, -EBADMSG },
                { "{\"b\":{\"a\":1,\"a\":1}}", 19, -EBADMSG },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                const char *why = NULL;

                assert_int_equal(parse(table[i].text, table[i].len, 8, &why), table[i].r);
                assert_true((why != NULL) == (table[i].r < 0));
                assert_int_equal(parse(table[i].text, table[i].len, 8, NULL), table[i].r);
        }
}

static void a_text_cut_anywhere_is_refused(void **state) {
        static const char text[] = "{\"a\":[1,2.5,true,\"\xe2\x82\xac\\n\"],\"b\":{}}";

        for (size_t len = 0; len < sizeof(text) - 1; len++)
                assert_int_equal(parse(text, len, 8, NULL), -EBADMSG);
        assert_int_equal(parse(text, sizeof(text) - 1, 8, NULL), 0);
}

/* S9 */
static void nesting_has_a_bound(void **state) {
        static const struct {
                const char *text;
                unsigned depth;
        } table[] = {
                { "1", 0 },
                { "[]", 1 },
                { "[[],[],{}]", 2 },
                { "{\"a\":[{}]}", 3 },
                { "[\"[[[[\"]", 1 },     /* within a string they do not count */
                { "[\"\\\"[[[[\"]", 1 }, /* nor behind an escaped quote */
                { "[\"\\\\\",[]]", 2 },  /* an escaped backslash ends the string */
        };
        char deep[2 * 5000 + 1] = { 0 };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                const char *why = NULL;
                size_t len = strlen(table[i].text);

                assert_int_equal(parse(table[i].text, len, table[i].depth, NULL), 0);
                if (table[i].depth == 0)
                        continue;
                assert_int_equal(parse(table[i].text, len, table[i].depth - 1, &why), -EBADMSG);
                assert_string_equal(why, "nested too deeply");
        }
        for (size_t i = 0; i < 5000; i++) {
                deep[i] = '[';
                deep[9999 - i] = ']';
        }
        assert_int_equal(parse(deep, 10000, LIMIT_JSON_DEPTH, NULL), -EBADMSG);
}

static void a_wrong_type_is_no_value(void **state) {
        AUTO_JSON json_t *o = json_pack("{ss si sb sn s[sis]}", "s", "x", "i", 7, "b", 1, "n", "a",
                                        "one", 2, "three");

        assert_string_equal(json_get_string(o, "s"), "x");
        assert_null(json_get_string(o, "i"));
        assert_null(json_get_string(o, "absent"));
        assert_null(json_get_string(NULL, "s"));
        assert_int_equal(json_get_int(o, "i", -1), 7);
        assert_int_equal(json_get_int(o, "s", -1), -1);
        assert_int_equal(json_get_int(NULL, "i", -1), -1);
        assert_true(json_get_bool(o, "b", false));
        assert_true(json_get_bool(o, "s", true));
        assert_false(json_get_bool(o, "i", false));
        assert_true(json_has_string(o, "a", "three"));
        assert_false(json_has_string(o, "a", "2"));
        assert_false(json_has_string(o, "s", "x"));
        assert_false(json_has_string(o, "absent", "x"));
}

static void one_value_has_one_canonical_text(void **state) {
        static const char one[] = "{\"b\":1,\"a\":{\"d\":[],\"c\":2}}";
        static const char other[] = " { \"a\" : {\"c\":2, \"d\":[]},\"b\":1}";
        AUTO_JSON json_t *a = NULL;
        AUTO_JSON json_t *b = NULL;
        AUTO_BUF struct buf text_a = BUF_INIT;
        AUTO_BUF struct buf text_b = BUF_INIT;

        assert_int_equal(json_parse(one, strlen(one), 8, &a, NULL), 0);
        assert_int_equal(json_parse(other, strlen(other), 8, &b, NULL), 0);
        assert_int_equal(json_write_canonical(&text_a, a), 0);
        assert_int_equal(json_write_canonical(&text_b, b), 0);
        assert_string_equal(text_a.data, "{\"a\":{\"c\":2,\"d\":[]},\"b\":1}");
        assert_string_equal(text_a.data, text_b.data);
}

/* S9 */
static void what_does_not_fit_is_not_written_in_part(void **state) {
        AUTO_JSON json_t *value = json_pack("[ssi]", "0123456789", "0123456789", 7);
        AUTO_BUF struct buf full = BUF_INIT;

        assert_int_equal(json_write(&full, value), 0);
        for (size_t max = 1; max <= full.len; max++) {
                AUTO_BUF struct buf b;

                buf_init(&b, max);
                assert_int_equal(buf_append(&b, "x", 1), 0);
                assert_int_equal(json_write(&b, value), -EMSGSIZE);
                assert_string_equal(b.data, "x");
        }
}

static void the_wiping_allocator_serves_jansson(void **state) {
        json_malloc_t old_malloc;
        json_free_t old_free;
        AUTO_BUF struct buf b = BUF_INIT;
        json_t *value = NULL;

        json_get_alloc_funcs(&old_malloc, &old_free);
        json_use_wiping_allocator();
        assert_int_equal(
                json_parse("{\"access_token\":\"x\",\"list\":[1,2,3]}", 35, 8, &value, NULL), 0);
        assert_int_equal(json_write(&b, value), 0);
        json_decref(value);
        json_set_alloc_funcs(old_malloc, old_free);
        assert_string_equal(b.data, "{\"access_token\":\"x\",\"list\":[1,2,3]}");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(exactly_one_value_is_parsed),
                cmocka_unit_test(a_text_cut_anywhere_is_refused),
                cmocka_unit_test(nesting_has_a_bound),
                cmocka_unit_test(a_wrong_type_is_no_value),
                cmocka_unit_test(one_value_has_one_canonical_text),
                cmocka_unit_test(what_does_not_fit_is_not_written_in_part),
                cmocka_unit_test(the_wiping_allocator_serves_jansson),
        };

        return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
