/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jsonspan.h"

#include "oom.h"
#include "spans.h"

static int check(const char *text) {
        const char *why = NULL;
        int r = jsonspan_check(text, strlen(text), 8, &why);

        assert_int_equal(r == 0, why == NULL);
        return r;
}

static void what_is_json_passes(void **state) {
        static const char *const table[] = {
                "{}",
                "[]",
                " \t\r\n{ \"a\" : [ 1 , 2 ] } \n",
                "0",
                "-0",
                "10",
                "-1.5e+10",
                "1E5",
                "0.0",
                "123456789012345678901234567890",
                "1e99999",
                "true",
                "false",
                "null",
                "\"\"",
                "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"",
                "\"\\ud83d\\udd11\"",
                "\"\\ud83d\"",   /* half a pair: JavaScript writes it so when it cut a text */
                "\"a\\u0000b\"", /* an escaped NUL */
                "\"\x7f\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91\"",
                "\"eight..8 eight..8 eight..8\\n, and a tail\"",
                "{\"a\":1,\"a\":2}",
                "[[[[[[[[]]]]]]]]",
                "[[],[[]],{},[{}],[],0]",
                "{\"a\":{\"b\":{}},\"c\":[]}",
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (check(table[i]) < 0)
                        fail_msg("refused: %s", table[i]);
}

static void what_is_not_json_is_refused(void **state) {
        static const char *const table[] = {
                "",
                " ",
                "{",
                "[",
                "}",
                "[1,]",
                "[,1]",
                "[1 2]",
                "[1}",
                "{\"a\":1]",
                "{\"a\"}",
                "{\"a\":}",
                "{\"a\":1,}",
                "{a:1}",
                "{1:1}",
                "{\"a\" 1}",
                "{,}",
                "01",
                "-",
                "+1",
                ".5",
                "1.",
                "1.e5",
                "1e",
                "1e+",
                "0x10",
                "1a",
                "--1",
                "NaN",
                "nul",
                "nullx",
                "True",
                "\"",
                "\"a",
                "\"\\",
                "\"\\\"",
                "\"\\x41\"",
                "\"\\u12\"",
                "\"\\u12g4\"",
                "\"\\u 123\"",
                "\"a\nb\"",
                "\"eight..8 eight..8\x1f eight..8\"",
                "\"\x01\"",
                "\"\xff\"",
                "\"\xc3\"",
                "\"\xc3\x28\"",
                "\"\xed\xa0\x80\"",
                "\"eight..8\xc0\x80 eight..8\"",
                "'a'",
                "1 2",
                "{} x",
                "{}{}",
                "\xef\xbb\xbf{}",
                "/**/1",
                "[[[[[[[[[]]]]]]]]]", /* one deeper than allowed */
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (check(table[i]) != -EBADMSG)
                        fail_msg("passed: %s", table[i]);
        assert_int_equal(jsonspan_check("1\0", 2, 8, NULL), -EBADMSG);
        assert_int_equal(jsonspan_check("\"\0\"", 3, 8, NULL), -EBADMSG);
        assert_int_equal(jsonspan_check("\"\\\0\"", 4, 8, NULL), -EBADMSG);
}

/* S9 */
static void nesting_ends_at_the_bound_given(void **state) {
        char text[2 * JSONSPAN_DEPTH_MAX + 2];
        const char *why = NULL;

        for (size_t depth = 1; depth <= JSONSPAN_DEPTH_MAX; depth++) {
                bool object = depth % 2;
                struct span value;
                size_t pos = 0;

                for (size_t i = 0; i < depth; i++) {
                        text[i] = '[';
                        text[2 * depth - 1 - i] = ']';
                }
                text[depth - 1] = object ? '{' : '[';
                text[depth] = object ? '}' : ']';
                assert_int_equal(jsonspan_check(text, 2 * depth, (unsigned)depth, NULL), 0);
                assert_int_equal(jsonspan_check(text, 2 * depth, (unsigned)depth - 1, &why),
                                 -EBADMSG);
                assert_string_equal(why, "nested too deeply");
                if (depth > 1) {
                        assert_true(
                                jsonspan_next_item((struct span){ text, 2 * depth }, &pos, &value));
                        assert_int_equal(value.len, 2 * depth - 2);
                }
        }
}

/* The kind of bracket is remembered at each level: a wrong one anywhere is seen. */
static void each_bracket_closes_its_own(void **state) {
        enum { DEPTH = 200 };
        char text[8 * DEPTH];
        size_t len = 0;

        for (size_t i = 0; i < DEPTH; i++)
                len += (size_t)snprintf(text + len, sizeof(text) - len, i % 3 ? "[" : "{\"k\":");
        text[len++] = '0';
        for (size_t i = DEPTH; i-- > 0;)
                text[len++] = i % 3 ? ']' : '}';
        assert_int_equal(jsonspan_check(text, len, DEPTH, NULL), 0);
        for (size_t i = len - DEPTH; i < len; i++) {
                text[i] = text[i] == ']' ? '}' : ']';
                assert_int_equal(jsonspan_check(text, len, DEPTH, NULL), -EBADMSG);
                text[i] = text[i] == ']' ? '}' : ']';
        }
}

static void a_text_cut_anywhere_is_refused(void **state) {
        static const char text[] =
                "{\"a\":[1.5e3,true,null,\"\\u00e4\xe2\x82\xac\"],\"b\":{\"c\":\"x\"}}";

        for (size_t len = 0; len < sizeof(text) - 1; len++) {
                AUTO_FREE char *cut = malloc(len + 1); /* exactly as large: ASan sees the end */

                assert_non_null(cut);
                memcpy(cut, text, len);
                assert_int_equal(jsonspan_check(cut, len, 8, NULL), -EBADMSG);
        }
}

/* A character is seen wherever it stands in a word of eight bytes. */
static void nothing_is_missed_within_a_word(void **state) {
        for (size_t len = 0; len < 40; len++) {
                for (size_t at = 0; at < len; at++) {
                        AUTO_FREE char *text = malloc(len + 2);
                        size_t pos = 0;
                        struct span value;
                        struct span key;

                        assert_non_null(text);
                        for (size_t i = 0; i < len + 2; i++)
                                text[i] = i == 0 || i == len + 1 ? '"' : 'x';
                        assert_int_equal(jsonspan_check(text, len + 2, 1, NULL), 0);
                        text[1 + at] = '\x1f';
                        assert_int_equal(jsonspan_check(text, len + 2, 1, NULL), -EBADMSG);
                        text[1 + at] = '\x80';
                        assert_int_equal(jsonspan_check(text, len + 2, 1, NULL), -EBADMSG);
                        text[1 + at] = '"';
                        assert_int_equal(jsonspan_check(text, len + 2, 1, NULL), -EBADMSG);
                        text[1 + at] = '\\'; /* \x, or \" and so no end */
                        assert_int_equal(jsonspan_check(text, len + 2, 1, NULL), -EBADMSG);
                        text[0] = '{';
                        assert_false(jsonspan_next_member((struct span){ text, len + 2 }, &pos,
                                                          &key, &value));
                }
        }
}

static void members_and_items_come_in_order(void **state) {
        static const char *const expected[][2] = {
                { "\"a\"", "1" },      { "\"b\"", "[ {\"x\":\"]\"}, \"}\" ]" },
                { "\"c\\\"\"", "{}" }, { "\"d\"", "\"\\\\\"" },
                { "\"e\"", "-1.5e3" }, { "\"f\"", "null" },
        };
        static const char *const items[] = { "{\"x\":\"]\"}", "\"}\"" };
        struct span object = span_of("{ \"a\" : 1 , \"b\":[ {\"x\":\"]\"}, \"}\" ], \"c\\\"\":{},"
                                     "\"d\":\"\\\\\" ,\"e\":-1.5e3,\"f\":null}");
        struct span array = SPAN_NONE;
        struct span value;
        struct span key;
        size_t pos = 0;
        size_t n = 0;

        assert_int_equal(jsonspan_check(object.p, object.len, 8, NULL), 0);
        while (jsonspan_next_member(object, &pos, &key, &value)) {
                assert_true(n < ARRAY_SIZE(expected));
                assert_span(key, expected[n][0]);
                assert_span(value, expected[n++][1]);
        }
        assert_int_equal(n, ARRAY_SIZE(expected));
        assert_false(jsonspan_next_member(object, &pos, &key, &value));

        assert_int_equal(jsonspan_member(object, "b", &array), 0);
        pos = n = 0;
        while (jsonspan_next_item(array, &pos, &value))
                assert_span(value, items[n++]);
        assert_int_equal(n, ARRAY_SIZE(items));
        assert_false(jsonspan_next_item(array, &pos, &value));
}

static void what_is_empty_or_of_another_type_has_no_parts(void **state) {
        static const char *const table[] = { "{}", "{ }", "[]", "[ ]", "1", "\"{\"", "null" };
        struct span value = SPAN_NONE;
        struct span key;
        size_t pos = 0;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                pos = 0;
                assert_false(jsonspan_next_member(span_of(table[i]), &pos, &key, &value));
                pos = 0;
                assert_false(jsonspan_next_item(span_of(table[i]), &pos, &value));
                assert_int_equal(jsonspan_member(span_of(table[i]), "a", &value), -ENOENT);
        }
        assert_false(jsonspan_next_member(SPAN_NONE, &pos, &key, &value));
        assert_false(jsonspan_next_item(SPAN_NONE, &pos, &value));
        assert_int_equal(value.len, 0);
}

static void a_member_is_found_by_what_its_key_means(void **state) {
        struct span object = span_of("{\"a\":1,\"\\u0062\":2,\"\\ud83d\\udd11\":3,\"a\\u0000\":4,"
                                     "\"\xc3\xa4\":5,\"\\u00E9\\n\":6,\"\\ud83d\":7,\"\":8}");
        static const char *const table[][2] = {
                { "a", "1" }, { "b", "2" },        { "\xf0\x9f\x94\x91", "3" },
                { "", "8" },  { "\xc3\xa4", "5" }, { "\xc3\xa9\n", "6" },
        };
        struct span value = SPAN_NONE;

        assert_int_equal(jsonspan_check(object.p, object.len, 1, NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                assert_int_equal(jsonspan_member(object, table[i][0], &value), 0);
                assert_span(value, table[i][1]);
        }
        assert_int_equal(jsonspan_member(object, "c", &value), -ENOENT);
        assert_int_equal(jsonspan_member(object, "\\u0062", &value), -ENOENT);
        assert_int_equal(jsonspan_member(object, "\xc3", &value), -ENOENT);
        assert_int_equal(jsonspan_member(object, "\xc3\xa9", &value), -ENOENT);
}

static void of_duplicates_the_last_counts(void **state) {
        struct span value = SPAN_NONE;

        assert_int_equal(jsonspan_member(span_of("{\"a\":1,\"b\":9,\"\\u0061\":2}"), "a", &value),
                         0);
        assert_span(value, "2");
}

static void a_string_is_decoded(void **state) {
        static const struct {
                const char *in;
                const char *out; /* NULL: refused */
        } table[] = {
                { "\"\"", "" },
                { "\"abc\"", "abc" },
                { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
                { "\"x\\u0041\\u00e4\\u20AC\\ud83d\\udd11y\"", "xA\xc3\xa4\xe2\x82\xac"
                                                               "\xf0\x9f\x94\x91y" },
                { "\"\xe2\x82\xac\"", "\xe2\x82\xac" },
                { "\"\\ud83d\"", NULL },
                { "\"\\udd11\"", NULL },
                { "\"\\udd11\\ud83d\"", NULL },
                { "\"\\ud83dx\\udd11\"", NULL },
                { "\"\\ud83d\\u0041\"", NULL },
                { "\"\\u0000\"", NULL },
                { "\"a\\u0000b\"", NULL },
                { "1", NULL },
                { "{}", NULL },
                { "", NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FREE char *text = NULL;
                int r = jsonspan_string(span_of(table[i].in), &text);

                assert_int_equal(r, table[i].out ? 0 : -EBADMSG);
                if (table[i].out)
                        assert_string_equal(text, table[i].out);
                else
                        assert_null(text);
        }
}

static void a_decoded_string_may_hold_nul_in_a_buffer(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(buf_append_str(&b, "<"), 0);
        assert_int_equal(jsonspan_decode(&b, span_of("\"a\\u0000b\"")), 0);
        assert_int_equal(b.len, 4);
        assert_memory_equal(b.data, "<a\0b", 5);
        assert_int_equal(jsonspan_decode(&b, span_of("\"xyz\\ud800\"")), -EBADMSG);
        assert_int_equal(jsonspan_decode(&b, span_of("17")), -EBADMSG);
        assert_int_equal(b.len, 4);
        assert_int_equal(b.data[4], 0);
}

static void values_are_the_same_by_what_they_mean(void **state) {
        static const struct {
                const char *a;
                const char *b;
                bool same;
        } table[] = {
                { "1", "1", true },
                { "1", "\"1\"", false },
                { "\"a\"", "\"\\u0061\"", true },
                { "\"\xc3\xa9\"", "\"\\u00e9\"", true },
                { "\"\\ud83d\\udd11\"", "\"\xf0\x9f\x94\x91\"", true },
                { "\"\\ud83d\"", "\"\\uD83D\"", true },
                { "\"\\ud83d\"", "\"\\ud83c\"", false },
                { "\"a\"", "\"b\"", false },
                { "\"a\"", "\"ab\"", false },
                { "\"a\\u0062\"", "\"a\"", false },
                { "\"a\\u0000\"", "\"a\"", false },
                { "\"\\/\"", "\"/\"", true },
                { "\"A\"", "\"a\"", false },
                { "1", "1.0", true },
                { "1", "1e0", true },
                { "100", "1E+2", true },
                { "100", "0.1e3", true },
                { "12.50", "125e-1", true },
                { "0.00125", "1.25e-3", true },
                { "1.05", "10.5e-1", true },
                { "1.05", "1.5", false },
                { "0", "-0.0e5", true },
                { "1", "-1", false },
                { "1", "10", false },
                { "1", "0.1", false },
                { "12", "21", false },
                { "9007199254740993", "9007199254740992", false },
                { "1e400", "1e401", false },
                { "1e99999999999999999999", "1", false },
                { "true", "true", false }, /* no id is one */
                { "null", "null", false },
                { "", "", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct span a = span_of(table[i].a);
                struct span b = span_of(table[i].b);

                if (jsonspan_same(a, b) != table[i].same || jsonspan_same(b, a) != table[i].same)
                        fail_msg("%s and %s", table[i].a, table[i].b);
        }
}

static void an_integer_is_written_in_decimal_digits(void **state) {
        static const struct {
                const char *in;
                const char *out; /* NULL: none */
        } table[] = {
                { "42", "42" },
                { "-7", "-7" },
                { "0", "0" },
                { "-0", "0" },
                { "0.0", "0" },
                { "42.0", "42" },
                { "1e2", "100" },
                { "-1.5E1", "-15" },
                { "1.25e2", "125" },
                { "10.0e1", "100" },
                { "0.1e1", "1" },
                { "9007199254740993", "9007199254740993" },
                { "1e63", "1000000000000000000000000000000000000000000000000000000000000000" },
                { "1e64", NULL },
                { "1e-1", NULL },
                { "1.5", NULL },
                { "12.05e1", NULL },
                { "1e99999999999999999999", NULL },
                { "1e-99999999999999999999", NULL },
                { "\"1\"", NULL },
                { "true", NULL },
                { "", NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf b = BUF_INIT;
                int r = jsonspan_integer(&b, span_of(table[i].in));

                assert_int_equal(r, table[i].out ? 0 : -ERANGE);
                if (table[i].out)
                        assert_string_equal(b.data, table[i].out);
        }
}

static void only_blanks_that_mean_nothing_go(void **state) {
        static const char *const table[][2] = {
                { "{}", "{}" },
                { "{ \"a b\" :\r\n[ 1 ,\t2 ] , \"c\": \" \\\" \" }",
                  "{\"a b\":[1,2],\"c\":\" \\\" \"}" },
                { "[1.50, 1e2,\n\"\\u0061\"]", "[1.50,1e2,\"\\u0061\"]" },
                { "{\"a\":1}\n", "{\"a\":1}" },
                { "12", "12" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf b = BUF_INIT;

                assert_int_equal(jsonspan_compact(&b, span_of(table[i][0])), 0);
                assert_string_equal(b.data, table[i][1]);
        }
}

static void any_text_becomes_a_json_string(void **state) {
        static const char *const table[][2] = {
                { "", "\"\"" },
                { "plain", "\"plain\"" },
                { "a\"b\\c", "\"a\\\"b\\\\c\"" },
                { "a\nb\x1f", "\"a\\u000ab\\u001f\"" },
                { "\xe2\x82\xac", "\"\xe2\x82\xac\"" },
                { "x\xff\xc3", "\"x\xef\xbf\xbd\xef\xbf\xbd\"" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf b = BUF_INIT;

                assert_int_equal(jsonspan_quote(&b, table[i][0], strlen(table[i][0])), 0);
                assert_string_equal(b.data, table[i][1]);
                assert_int_equal(jsonspan_check(b.data, b.len, 0, NULL), 0);
        }
}

static void a_full_buffer_keeps_what_it_had(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;

        buf_init(&b, 6);
        assert_int_equal(buf_append_str(&b, "abc"), 0);
        assert_int_equal(jsonspan_compact(&b, span_of("[1, 2, 3]")), -EMSGSIZE);
        assert_string_equal(b.data, "abc");
        assert_int_equal(jsonspan_quote(&b, "12345", 5), -EMSGSIZE);
        assert_string_equal(b.data, "abc");
        assert_int_equal(jsonspan_decode(&b, span_of("\"12345\"")), -EMSGSIZE);
        assert_string_equal(b.data, "abc");
}

static void blanks_around_a_value_are_trimmed(void **state) {
        assert_span(jsonspan_trim(" \r\n{ } \t", 8), "{ }");
        assert_span(jsonspan_trim("1", 1), "1");
        assert_int_equal(jsonspan_trim("  ", 2).len, 0);
}

static int use_everything(void *userdata) {
        AUTO_FREE char *text = NULL;
        AUTO_BUF struct buf b = BUF_INIT;
        int r = jsonspan_string(span_of("\"abc\""), &text);

        r = r < 0 ? r : jsonspan_decode(&b, span_of("\"abc\""));
        buf_done(&b);
        r = r < 0 ? r : jsonspan_compact(&b, span_of("[1 ]"));
        buf_done(&b);
        r = r < 0 ? r : jsonspan_quote(&b, "abc", 3);
        buf_done(&b);
        return r < 0 ? r : jsonspan_integer(&b, span_of("12"));
}

static void each_failed_allocation_is_reported(void **state) {
        assert_int_equal(oom_sweep(use_everything, NULL), 5);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_json_passes),
                cmocka_unit_test(what_is_not_json_is_refused),
                cmocka_unit_test(nesting_ends_at_the_bound_given),
                cmocka_unit_test(each_bracket_closes_its_own),
                cmocka_unit_test(a_text_cut_anywhere_is_refused),
                cmocka_unit_test(nothing_is_missed_within_a_word),
                cmocka_unit_test(members_and_items_come_in_order),
                cmocka_unit_test(what_is_empty_or_of_another_type_has_no_parts),
                cmocka_unit_test(a_member_is_found_by_what_its_key_means),
                cmocka_unit_test(of_duplicates_the_last_counts),
                cmocka_unit_test(a_string_is_decoded),
                cmocka_unit_test(a_decoded_string_may_hold_nul_in_a_buffer),
                cmocka_unit_test(values_are_the_same_by_what_they_mean),
                cmocka_unit_test(an_integer_is_written_in_decimal_digits),
                cmocka_unit_test(only_blanks_that_mean_nothing_go),
                cmocka_unit_test(any_text_becomes_a_json_string),
                cmocka_unit_test(a_full_buffer_keeps_what_it_had),
                cmocka_unit_test(blanks_around_a_value_are_trimmed),
                cmocka_unit_test(each_failed_allocation_is_reported),
        };

        return cmocka_run_group_tests_name("jsonspan", tests, NULL, NULL);
}
