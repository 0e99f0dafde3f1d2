/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include "test.h"

static void only_well_formed_text_is_valid(void **state) {
        static const struct {
                const char *text;
                size_t len;
                bool valid;
        } table[] = {
                { "", 0, true },
                { "a\0b", 3, true },
                { "\xc3\xa4", 2, true },
                { "\xe2\x82\xac", 3, true },
                { "\xf0\x9f\x94\x91", 4, true },
                { "\xf4\x8f\xbf\xbf", 4, true },      /* U+10FFFF */
                { "\xf4\x90\x80\x80", 4, false },     /* behind it */
                { "\xf8\x88\x80\x80\x80", 5, false }, /* five bytes */
                { "\xc0\x80", 2, false },             /* overlong NUL */
                { "\xc1\xbf", 2, false },
                { "\xe0\x9f\xbf", 3, false },
                { "\xf0\x8f\xbf\xbf", 4, false },
                { "\xed\xa0\x80", 3, false }, /* a surrogate */
                { "\xed\xbf\xbf", 3, false },
                { "\xed\x9f\xbf", 3, true },
                { "\xee\x80\x80", 3, true },
                { "\x80", 1, false },
                { "\xff", 1, false },
                { "\xc3\x28", 2, false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                assert_int_equal(utf8_valid(table[i].text, table[i].len), table[i].valid);
}

static void a_character_cut_anywhere_is_invalid(void **state) {
        static const char *const chars[] = { "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x94\x91" };

        for (size_t i = 0; i < ARRAY_SIZE(chars); i++)
                for (size_t len = 1; len < strlen(chars[i]); len++)
                        assert_false(utf8_valid(chars[i], len));
}

static void what_could_harm_a_terminal_is_replaced(void **state) {
        static const struct {
                const char *in;
                const char *out;
        } table[] = {
                { "plain", "plain" },
                { "", "" },
                { "a\nb\tc", "a?b?c" },
                { "\x1b[31mred", "?[31mred" },
                { "\x7f", "?" },
                { "\xc2\x9b"
                  "31m",
                  "?31m" },                 /* CSI in one character */
                { "\xc2\xa0", "\xc2\xa0" }, /* no-break space */
                { "na\xc3\xafve", "na\xc3\xafve" },
                { "caf\xe9!", "caf?!" },
                { "\xed\xa0\x80x", "???x" },
                { "cut \xc3", "cut " },
                { "cut \xe2", "cut " },
                { "cut \xe2\x82", "cut " },
                { "cut \xf0\x9f\x94", "cut " },
                { "whole \xe2\x82\xac", "whole \xe2\x82\xac" },
                { "\x80\x80\x80\x80", "????" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                char text[64];

                (void)snprintf(text, sizeof(text), "%s", table[i].in);
                utf8_clean(text);
                assert_string_equal(text, table[i].out);
                assert_true(utf8_valid(text, strlen(text)));
        }
}

/* S9 */
static void a_copy_never_exceeds_its_bound(void **state) {
        static const char text[] = "ab\xe2\x82\xac"
                                   "c\x1b"
                                   "d";

        for (size_t max = 0; max <= sizeof(text); max++) {
                AUTO_FREE char *copy = utf8_clean_dup(text, sizeof(text) - 1, max);

                assert_non_null(copy);
                assert_true(strlen(copy) <= max);
                assert_true(utf8_valid(copy, strlen(copy)));
                if (max >= sizeof(text) - 1)
                        assert_string_equal(copy, "ab\xe2\x82\xac"
                                                  "c?d");
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_well_formed_text_is_valid),
                cmocka_unit_test(a_character_cut_anywhere_is_invalid),
                cmocka_unit_test(what_could_harm_a_terminal_is_replaced),
                cmocka_unit_test(a_copy_never_exceeds_its_bound),
        };

        return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
