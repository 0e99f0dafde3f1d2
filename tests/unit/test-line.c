/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/line.h"

#include "base/limits.h"
#include "test.h"

static void a_line_is_taken_without_its_end(void **state) {
        static const struct {
                const char *in;
                int r;
                const char *line;
                const char *rest;
        } table[] = {
                { "{}\n", 1, "{}", "" },
                { "{}\r\n", 1, "{}", "" },
                { "\n", 1, "", "" },
                { "\r\n", 1, "", "" },
                { "a\rb\n", 1, "a\rb", "" },
                { "a\r\r\n", 1, "a\r", "" },
                { "one\ntwo", 1, "one", "two" },
                { "half", 0, "", "half" },
                { "half\r", 0, "", "half\r" },
                { "", 0, "", "" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf in = BUF_INIT;
                AUTO_BUF struct buf line = BUF_INIT;
                size_t scanned = 0;

                assert_int_equal(buf_append_str(&in, table[i].in), 0);
                assert_int_equal(line_take(&in, &scanned, 100, &line), table[i].r);
                assert_int_equal(line.len, strlen(table[i].line));
                assert_memory_equal(line.data ? line.data : "", table[i].line, line.len);
                assert_int_equal(in.len, strlen(table[i].rest));
                assert_memory_equal(in.data, table[i].rest, in.len);
        }
}

static void lines_survive_a_cut_at_every_byte(void **state) {
        static const char text[] = "first\r\n\nthird line\n";

        for (size_t cut = 0; cut < sizeof(text); cut++) {
                AUTO_BUF struct buf in = BUF_INIT;
                AUTO_BUF struct buf all = BUF_INIT;
                size_t scanned = 0;

                for (size_t part = 0; part < 2; part++) {
                        AUTO_BUF struct buf line = BUF_INIT;
                        size_t from = part ? cut : 0;
                        size_t n = part ? sizeof(text) - 1 - cut : cut;

                        if (part && cut == sizeof(text) - 1)
                                break;
                        n = part ? n : (cut < sizeof(text) - 1 ? cut : sizeof(text) - 1);
                        assert_int_equal(buf_append(&in, text + from, n), 0);
                        while (line_take(&in, &scanned, 100, &line) == 1)
                                assert_int_equal(buf_printf(&all, "<%s>", line.data), 0);
                }
                assert_string_equal(all.data, "<first><><third line>");
                assert_int_equal(in.len, 0);
        }
}

static void the_same_bytes_are_not_looked_at_twice(void **state) {
        AUTO_BUF struct buf in = BUF_INIT;
        AUTO_BUF struct buf line = BUF_INIT;
        size_t scanned = 0;

        assert_int_equal(buf_append_str(&in, "abc"), 0);
        assert_int_equal(line_take(&in, &scanned, 100, &line), 0);
        assert_int_equal(scanned, 3);
        assert_int_equal(buf_append_str(&in, "d\ne"), 0);
        assert_int_equal(line_take(&in, &scanned, 100, &line), 1);
        assert_string_equal(line.data, "abcd");
        assert_int_equal(scanned, 0);
}

/* S9 */
static void a_line_has_a_bound(void **state) {
        static const struct {
                const char *in;
                int r;
        } table[] = {
                { "12345678\n", 1 },        { "12345678\r\n", 1 }, { "123456789\n", -EMSGSIZE },
                { "123456789", -EMSGSIZE }, { "12345678\r", 0 },   { "12345678", 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf in = BUF_INIT;
                AUTO_BUF struct buf line = BUF_INIT;
                size_t scanned = 0;

                assert_int_equal(buf_append_str(&in, table[i].in), 0);
                assert_int_equal(line_take(&in, &scanned, 8, &line), table[i].r);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_line_is_taken_without_its_end),
                cmocka_unit_test(lines_survive_a_cut_at_every_byte),
                cmocka_unit_test(the_same_bytes_are_not_looked_at_twice),
                cmocka_unit_test(a_line_has_a_bound),
        };

        return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}
