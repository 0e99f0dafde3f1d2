/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "test.h"

static void base64url_has_one_text_for_each_value(void **state) {
        static const struct {
                const char *bytes;
                const char *text;
        } table[] = {
                { "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" }, { "\xfb\xff", "-_8" }
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf out = BUF_INIT;
                AUTO_BUF struct buf back = BUF_INIT;

                assert_int_equal(base64url_append(&out, table[i].bytes, strlen(table[i].bytes)), 0);
                assert_string_equal(out.data, table[i].text);
                assert_int_equal(base64url_decode(&back, out.data, out.len), 0);
                assert_int_equal(back.len, strlen(table[i].bytes));
                assert_memory_equal(back.data, table[i].bytes, back.len);
        }
}

static void base64url_refuses_what_is_not_canonical(void **state) {
        static const char *const bad[] = { "Zg==", "Z", "Zh", "Zm8+", "Z m8" };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                AUTO_BUF struct buf b = BUF_INIT;

                assert_int_equal(base64url_decode(&b, bad[i], strlen(bad[i])), -EBADMSG);
        }
}

static void hex_has_one_text_for_each_value(void **state) {
        static const char *const bad[] = { "0", "0g", "AB", "aB", "0x", " 00", "0\n" };
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(hex_decode(&b, "00ff7f", 6), 0);
        assert_int_equal(b.len, 3);
        assert_memory_equal(b.data, "\x00\xff\x7f", 3);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(hex_decode(&b, bad[i], strlen(bad[i])), -EBADMSG);
        assert_int_equal(b.len, 3);
}

static void percent_encoding_keeps_what_it_is_told_to(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(percent_append(&b, "aZ9-._~ /+*%\xc3\xa4", ""), 0);
        assert_string_equal(b.data, "aZ9-._~%20%2F%2B%2A%25%C3%A4");
        buf_clear(&b);
        assert_int_equal(percent_append(&b, "/a b/", "/"), 0);
        assert_string_equal(b.data, "/a%20b/");
}

static void form_round_trip_keeps_every_byte(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;
        struct form form = FORM_INIT;
        bool twice = false;

        assert_int_equal(form_append_pair(&b, "se:c ret", "a&b=c+d%e\xc3\xa4"), 0);
        assert_int_equal(form_append_pair(&b, "empty", ""), 0);
        assert_string_equal(b.data, "se%3Ac+ret=a%26b%3Dc%2Bd%25e%C3%A4&empty=");
        assert_int_equal(form_parse(&form, b.data, b.len), 0);
        assert_string_equal(form_get(&form, "se:c ret", &twice), "a&b=c+d%e\xc3\xa4");
        assert_string_equal(form_get(&form, "empty", &twice), "");
        assert_null(form_get(&form, "absent", &twice));
        assert_false(twice);
        form_done(&form);
}

static void form_says_when_a_name_is_repeated(void **state) {
        struct form form = FORM_INIT;
        bool twice = false;

        assert_int_equal(form_parse(&form, "code=1&code=2", 13), 0);
        assert_null(form_get(&form, "code", &twice));
        assert_true(twice);
        form_done(&form);
}

static void form_refuses_broken_escapes(void **state) {
        static const char *const bad[] = { "a=%", "a=%4", "a=%zz", "a=%00", "a=%ff" };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct form form = FORM_INIT;

                assert_int_equal(form_parse(&form, bad[i], strlen(bad[i])), -EBADMSG);
        }
}

static void numbers_and_durations_are_read_strictly(void **state) {
        uint64_t n = 0;

        assert_int_equal(number_parse("65535", 65535, &n), 0);
        assert_int_equal(n, 65535);
        assert_int_equal(number_parse("65536", 65535, &n), -ERANGE);
        assert_int_equal(number_parse("18446744073709551616", UINT64_MAX, &n), -ERANGE);
        assert_int_equal(number_parse("-1", 9, &n), -EINVAL);
        assert_int_equal(number_parse("", 9, &n), -EINVAL);
        assert_int_equal(duration_parse("15m", &n), 0);
        assert_int_equal(n, 900);
        assert_int_equal(duration_parse("90", &n), 0);
        assert_int_equal(n, 90);
        assert_int_equal(duration_parse("m", &n), -EINVAL);
        assert_int_equal(duration_parse("1w", &n), -EINVAL);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(base64url_has_one_text_for_each_value),
                cmocka_unit_test(base64url_refuses_what_is_not_canonical),
                cmocka_unit_test(hex_has_one_text_for_each_value),
                cmocka_unit_test(percent_encoding_keeps_what_it_is_told_to),
                cmocka_unit_test(form_round_trip_keeps_every_byte),
                cmocka_unit_test(form_says_when_a_name_is_repeated),
                cmocka_unit_test(form_refuses_broken_escapes),
                cmocka_unit_test(numbers_and_durations_are_read_strictly),
        };

        return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
