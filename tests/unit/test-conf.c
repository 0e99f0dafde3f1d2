/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/conf.h"
#include "test.h"

/* Writes down what it is given as "line section key value|". */
static int note(const struct conf_item *item, void *userdata, struct error *err) {
        struct buf *b = userdata;

        (void)err;
        assert_int_equal(buf_printf(b, "%u %s %s %s|", item->line, item->section,
                                    item->key ? item->key : "-", item->value ? item->value : "-"),
                         0);
        return 0;
}

static int parse(const char *data, size_t len, struct buf *b, struct error *err) {
        return conf_parse("f.conf", data, len, note, b, err);
}

static void sections_keys_and_values_come_with_their_line(void **state) {
        static const char text[] = "# comment\n; another\n\n[Policy]\nTimezone=UTC\n[Rule a b]\n"
                                   "Server = https://x ;not a comment # nor this  \nEmpty=\n"
                                   "Set=agent.uid=1000";
        AUTO_BUF struct buf b = BUF_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(parse(text, strlen(text), &b, &err), 0);
        assert_string_equal(b.data, "4 Policy - -|5 Policy Timezone UTC|6 Rule a b - -|"
                                    "7 Rule a b Server https://x ;not a comment # nor this|"
                                    "8 Rule a b Empty |9 Rule a b Set agent.uid=1000|");
}

/* S9 */
static void what_could_be_read_in_two_ways_is_refused_with_its_line(void **state) {
        static const struct {
                const char *text;
                size_t len; /* 0: to the NUL */
                const char *message;
        } table[] = {
                { "[A]\nKey: value\n", 0, "f.conf:2: not of the form" },
                { "[A]\nKey: a=b\n", 0, "f.conf:2: the key holds" },
                { "[A]\n=b\n", 0, "f.conf:2: there is no key" },
                { "[A]\n =b\n", 0, "f.conf:2: the line begins with a blank" },
                { "[A]\nA=b\n continued\n", 0, "f.conf:3: the line begins with a blank" },
                { "[A]\n\nK\n", 0, "f.conf:3: not of the form" },
                { "A=b\n", 0, "f.conf:1: A= stands before" },
                { "[A] x\n", 0, "f.conf:1: there is text behind" },
                { "[A]]\n", 0, "f.conf:1: there is text behind" },
                { "[[A]\n", 0, "f.conf:1: '[' within" },
                { "[A\n", 0, "f.conf:1: ']' is missing" },
                { "[]\n", 0, "f.conf:1: the section has no name" },
                { "[ A]\n", 0, "f.conf:1: the section's name begins" },
                { "[A]\nB=c\r\n", 0, "f.conf:2: the line ends in a carriage return" },
                { "[A]\nB=\tc\n", 0, "f.conf:2: the line holds a control" },
                { "[A]\nB=\x7f\n", 0, "f.conf:2: the line holds a control" },
                { "[A]\nB=\xc2\x9b"
                  "31m\n",
                  0, "f.conf:2: the line holds a control" },
                { "[A]\n#\x1b[31m\n", 0, "f.conf:2: the line holds a control" },
                { "[A]\nB=\0\n", 8, "f.conf:2: the line holds a NUL" },
                { "[A]\nB=\xff\n", 0, "f.conf:2: the line is not UTF-8" },
                { "[A]\nB=\xc3\n", 0, "f.conf:2: the line is not UTF-8" },
                { "\xef\xbb\xbf[A]\n", 0, "f.conf:1: the file begins with a byte-order mark" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf b = BUF_INIT;
                struct error err = ERROR_INIT;
                size_t len = table[i].len ? table[i].len : strlen(table[i].text);

                assert_int_equal(parse(table[i].text, len, &b, &err), -EINVAL);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                if (strncmp(err.message, table[i].message, strlen(table[i].message)) != 0)
                        fail_msg("%zu: %s", i, err.message);
        }
}

/* S9 */
static void a_line_of_4096_bytes_is_read_and_one_more_is_refused(void **state) {
        for (size_t more = 0; more < 2; more++) {
                AUTO_BUF struct buf in = BUF_INIT;
                AUTO_BUF struct buf out = BUF_INIT;
                struct error err = ERROR_INIT;

                assert_int_equal(buf_append_str(&in, "[A]\nB="), 0);
                while (in.len < 4 + CONF_LINE_MAX + more)
                        assert_int_equal(buf_append_str(&in, "x"), 0);
                assert_int_equal(parse(in.data, in.len, &out, &err), more ? -EINVAL : 0);
                if (more == 0)
                        assert_int_equal(out.len, strlen("1 A - -|2 A B |") + CONF_LINE_MAX - 2);
        }
}

/* S9 */
static void a_file_over_the_maximum_is_refused(void **state) {
        AUTO_FREE char *data = calloc(1, CONF_FILE_MAX + 1);
        AUTO_BUF struct buf out = BUF_INIT;
        struct error err = ERROR_INIT;

        assert_non_null(data);
        assert_int_equal(parse(data, CONF_FILE_MAX + 1, &out, &err), -EFBIG);
}

static void a_file_cut_at_every_byte_is_read_or_refused_and_never_more_than_it_says(void **state) {
        static const char text[] = "[Policy]\nTimezone=UTC\n[Rule a]\nServer=https://\xc3\xa4\n";
        AUTO_BUF struct buf whole = BUF_INIT;

        assert_int_equal(parse(text, strlen(text), &whole, NULL), 0);
        for (size_t n = 0; n < strlen(text); n++) {
                AUTO_BUF struct buf b = BUF_INIT;
                AUTO_FREE char *copy =
                        malloc(n ? n : 1); /* exact: a sanitizer sees one byte more */
                struct error err = ERROR_INIT;
                int r;

                assert_non_null(copy);
                memcpy(copy, text, n);
                r = parse(copy, n, &b, &err);
                assert_true(r == 0 || (r == -EINVAL && err.code == MCPB_BAD_CONFIG));
                if (b.len > 1)
                        assert_memory_equal(b.data, whole.data, b.len - 1);
        }
}

static int stop_at_second(const struct conf_item *item, void *userdata, struct error *err) {
        int *n = userdata;

        return ++*n == 2 ? conf_error(item, err, "Leave it out", "no %s", "thanks") : 0;
}

static void the_callers_refusal_ends_the_reading_and_names_the_place(void **state) {
        struct error err = ERROR_INIT;
        int n = 0;

        assert_int_equal(conf_parse("x", "[A]\n\nb=c\nd=e\n", 13, stop_at_second, &n, &err),
                         -EINVAL);
        assert_int_equal(n, 2);
        assert_string_equal(err.message, "x:3: no thanks");
        assert_string_equal(err.hint, "Leave it out");
}

static void words_and_booleans_are_read_strictly(void **state) {
        const char *p = "  one two   three ";
        size_t n = 0;
        bool b = false;

        p = conf_word(p, &n);
        assert_int_equal(n, 3);
        assert_memory_equal(p, "one", 3);
        p = conf_word(p + n, &n);
        assert_memory_equal(p, "two", 3);
        p = conf_word(p + n, &n);
        assert_memory_equal(p, "three", 5);
        assert_null(conf_word(p + n, &n));
        assert_int_equal(conf_bool("yes", &b), 0);
        assert_true(b);
        assert_int_equal(conf_bool("false", &b), 0);
        assert_false(b);
        assert_int_equal(conf_bool("Yes", &b), -EINVAL);
        assert_int_equal(conf_bool("", &b), -EINVAL);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(sections_keys_and_values_come_with_their_line),
                cmocka_unit_test(what_could_be_read_in_two_ways_is_refused_with_its_line),
                cmocka_unit_test(a_line_of_4096_bytes_is_read_and_one_more_is_refused),
                cmocka_unit_test(a_file_over_the_maximum_is_refused),
                cmocka_unit_test(
                        a_file_cut_at_every_byte_is_read_or_refused_and_never_more_than_it_says),
                cmocka_unit_test(the_callers_refusal_ends_the_reading_and_names_the_place),
                cmocka_unit_test(words_and_booleans_are_read_strictly),
        };

        return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
