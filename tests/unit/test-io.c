/* SPDX-License-Identifier: Apache-2.0 */
#include "os/io.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include "tmp.h"

static void put(const char *path, const char *text) {
        AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(io_write_full(fd, text, strlen(text)), 0);
}

static void a_file_is_read_whole_or_not_at_all(void **state) {
        static const struct {
                const char *text;
                size_t max;
                int r;
        } table[] = {
                { "", 0, 0 },
                { "x", 0, -EFBIG },
                { "12345", 5, 0 },
                { "123456", 5, -EFBIG },
        };
        char *folder = tmp_new();
        char path[TMP_PATH_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf b = BUF_INIT;

                put(tmp_path(path, folder, "f"), table[i].text);
                assert_int_equal(buf_append_str(&b, "before "), 0);
                assert_int_equal(io_read_file_at(AT_FDCWD, path, table[i].max, &b), table[i].r);
                assert_string_equal(b.data + 7, table[i].r == 0 ? table[i].text : "");
        }
        (void)tmp_free(folder);
}

static void what_is_no_file_is_not_read(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_CLOSE int dir = -1;
        char *folder = tmp_new();
        char path[TMP_PATH_MAX];

        dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(io_read_file_at(dir, "absent", 10, &b), -ENOENT);
        assert_int_equal(symlinkat("/etc/passwd", dir, "link"), 0);
        assert_int_equal(io_read_file_at(dir, "link", 100000, &b), -ELOOP);
        assert_int_equal(mkfifoat(dir, "pipe", 0600), 0);
        assert_int_equal(io_read_file_at(dir, "pipe", 10, &b), -EINVAL);
        assert_int_equal(io_read_file_at(dir, ".", 10, &b), -EISDIR);
        assert_int_equal(io_read_file_at(AT_FDCWD, "/dev/null", 10, &b), -EINVAL);
        put(tmp_path(path, folder, "f"), "abc");
        assert_int_equal(io_read_file_at(dir, "f", 10, &b), 0);
        assert_string_equal(b.data, "abc");
        (void)tmp_free(folder);
}

static void *read_all(void *userdata) {
        int fd = *(int *)userdata;
        static size_t total;
        char data[8192];
        ssize_t n;

        total = 0;
        while ((n = read(fd, data, sizeof(data))) > 0)
                total += (size_t)n;
        return &total;
}

static void a_full_pipe_is_waited_for(void **state) {
        AUTO_FREE char *data = calloc(1, 1 << 20);
        pthread_t reader;
        void *total = NULL;
        int fds[2];

        assert_non_null(data);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(fd_set_nonblock(fds[1]), 0);
        assert_int_equal(pthread_create(&reader, NULL, read_all, &fds[0]), 0);
        assert_int_equal(io_write_full(fds[1], data, 1 << 20), 0);
        assert_int_equal(close(fds[1]), 0);
        assert_int_equal(pthread_join(reader, &total), 0);
        assert_int_equal(*(size_t *)total, 1 << 20);
        assert_int_equal(close(fds[0]), 0);
}

static void a_pipe_without_reader_is_an_error(void **state) {
        int fds[2];

        (void)signal(SIGPIPE, SIG_IGN);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(close(fds[0]), 0);
        assert_int_equal(io_write_full(fds[1], "x", 1), -EPIPE);
        assert_int_equal(close(fds[1]), 0);
        assert_int_equal(io_write_full(-1, "x", 1), -EBADF);
}

static void flags_are_set(void **state) {
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        assert_int_equal(fd_set_cloexec(fds[0], true), 0);
        assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
        assert_int_equal(fd_set_cloexec(fds[0], false), 0);
        assert_int_equal(fcntl(fds[0], F_GETFD), 0);
        assert_int_equal(fd_set_nonblock(fds[0]), 0);
        assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
        assert_int_equal(fd_set_nonblock(-1), -EBADF);
        assert_int_equal(fd_set_cloexec(-1, true), -EBADF);
        assert_int_equal(close(fds[0]), 0);
        assert_int_equal(close(fds[1]), 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_file_is_read_whole_or_not_at_all),
                cmocka_unit_test(what_is_no_file_is_not_read),
                cmocka_unit_test(a_full_pipe_is_waited_for),
                cmocka_unit_test(a_pipe_without_reader_is_an_error),
                cmocka_unit_test(flags_are_set),
        };

        return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
