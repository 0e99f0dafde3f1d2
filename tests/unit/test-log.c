/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <fcntl.h>

#include "test.h"

/* What is written to stderr between the two. */
static int saved = -1;

static int begin(void) {
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        saved = dup(STDERR_FILENO);
        assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
        assert_int_equal(close(fds[1]), 0);
        return fds[0];
}

static void end(int fd, char *text, size_t size) {
        ssize_t n;

        assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
        assert_int_equal(close(saved), 0);
        n = read(fd, text, size - 1);
        assert_true(n >= 0);
        text[n] = '\0';
        assert_int_equal(close(fd), 0);
}

static void a_line_has_level_process_and_clean_text(void **state) {
        struct error err = ERROR_INIT;
        char text[4096];
        int fd = begin();

        log_open("mcp-test", LOG_INFO);
        log_info("peer '%s'", "a\nb\x1b[0m");
        log_debug("not shown");
        (void)error_set(&err, MCPB_LOCKED, EPERM, "Unlock it", "The store is locked");
        log_failure(LOG_ERR, &err, "starting");
        err.hint[0] = '\0';
        log_failure(LOG_WARNING, &err, "starting");
        end(fd, text, sizeof(text));
        assert_string_equal(text, "<6>mcp-test: peer 'a?b?[0m'\n"
                                  "<3>mcp-test: starting: The store is locked. Unlock it (locked)\n"
                                  "<4>mcp-test: starting: The store is locked (locked)\n");
}

/* S9 */
static void a_long_message_stays_one_line(void **state) {
        char text[4096];
        char many[2000] = { 0 };
        int fd = begin();

        for (size_t i = 0; i < sizeof(many) - 1; i++)
                many[i] = 'x';
        log_open("mcp-test", LOG_DEBUG);
        log_error("%s", many);
        end(fd, text, sizeof(text));
        assert_true(strlen(text) < 1200);
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void a_plain_log_has_no_prefix_and_a_copy_has_the_time(void **state) {
        char text[4096];
        char copy[4096] = "";
        int fds[2];
        int fd;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        fd = begin();
        log_open_plain("mcp-test", LOG_NOTICE, fds[1]);
        log_message(LOG_NOTICE, "once");
        log_info("not shown");
        end(fd, text, sizeof(text));
        assert_string_equal(text, "mcp-test: once\n");
        assert_true(read(fds[0], copy, sizeof(copy) - 1) > 0);
        assert_int_equal(copy[4], '-');
        assert_non_null(strstr(copy, "mcp-test["));
        assert_ptr_equal(strstr(copy, "]: once\n"), copy + strlen(copy) - strlen("]: once\n"));
        (void)close(fds[0]);
        (void)close(fds[1]);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_line_has_level_process_and_clean_text),
                cmocka_unit_test(a_long_message_stays_one_line),
                cmocka_unit_test(a_plain_log_has_no_prefix_and_a_copy_has_the_time),
        };

        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
