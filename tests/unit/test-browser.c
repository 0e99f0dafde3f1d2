/* SPDX-License-Identifier: Apache-2.0 */
#include "os/browser.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tmp.h"

#define LOGIN "https://as.example.com/authorize?x=$(id);id|id&state=a"

/* A100 A101 A235 */
static void only_what_a_browser_may_be_given_is_given(void **state) {
        static const struct {
                const char *url;
                bool allowed;
        } table[] = {
                { LOGIN, true },
                { "http://127.0.0.1:4711/authorize", true },
                { "http://as.example.com/authorize", false },
                { "file:///etc/passwd", false },
                { "javascript:alert(1)", false },
                { "vscode://x/y", false },
                { "https://as.example.com/a'b", false },
                { "https://as.example.com/a`b`", false },
                { "https://as.example.com/a\"b", false },
                { "https://as.example.com/a b", false },
                { "https://as.example.com/a\nb", false },
                { "--profile=/tmp", false },
                { "", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                if (browser_url_allowed(table[i].url) != table[i].allowed)
                        fail_msg("%s", table[i].url);
                if (!table[i].allowed)
                        assert_false(browser_open("true", table[i].url));
        }
}

/* A program that says what it was given: how many arguments, and the first. */
static void program_write(const char *path, const char *fifo) {
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        assert_true(fprintf(f, "#!/bin/sh\nprintf '%%s\\n' $# \"$1\" >%s\n", fifo) > 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path, 0700), 0);
}

static void expect_said(const char *fifo) {
        char said[256] = "";
        FILE *f = fopen(fifo, "r"); /* until it is written to */

        assert_non_null(f);
        (void)!fread(said, 1, sizeof(said) - 1, f);
        assert_int_equal(fclose(f), 0);
        assert_string_equal(said, "1\n" LOGIN "\n");
        assert_true(wait(NULL) > 0);
}

/* A101 A235 */
static void the_url_arrives_as_one_argument_and_no_shell_sees_it(void **state) {
        char *tmp = tmp_new();
        char program[TMP_PATH_MAX];
        char fifo[TMP_PATH_MAX];
        char list[4 * TMP_PATH_MAX];

        (void)tmp_path(program, tmp, "browser");
        (void)tmp_path(fifo, tmp, "fifo");
        assert_int_equal(mkfifo(fifo, 0600), 0);
        program_write(program, fifo);
        assert_true(browser_open(program, LOGIN));
        expect_said(fifo);

        /* What would need a shell's rules is passed over. */
        (void)snprintf(list, sizeof(list), "%s %%s:/nonexistent/x:%s --new:%s", program, program,
                       program);
        assert_int_equal(setenv("BROWSER", list, 1), 0);
        assert_true(browser_open(NULL, LOGIN));
        expect_said(fifo);
        (void)tmp_free(tmp);
}

/* A111 */
static void where_there_is_no_browser_none_is_claimed(void **state) {
        assert_int_equal(unsetenv("DISPLAY") | unsetenv("WAYLAND_DISPLAY"), 0);
        assert_int_equal(unsetenv("BROWSER"), 0);
        assert_false(browser_open(NULL, LOGIN));
        assert_int_equal(setenv("BROWSER", "/nonexistent/a::/nonexistent/b", 1), 0);
        assert_false(browser_open(NULL, LOGIN));
        assert_false(browser_open("/nonexistent/c", LOGIN));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_what_a_browser_may_be_given_is_given),
                cmocka_unit_test(the_url_arrives_as_one_argument_and_no_shell_sees_it),
                cmocka_unit_test(where_there_is_no_browser_none_is_claimed),
        };

        return cmocka_run_group_tests_name("browser", tests, NULL, NULL);
}
