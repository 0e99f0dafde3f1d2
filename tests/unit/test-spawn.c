/* SPDX-License-Identifier: Apache-2.0 */
#include "os/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "os/io.h"
#include "os/sock.h"
#include "test.h"

/* argv is not const, for the sake of exec; nothing writes to it. */
#define ARG(s) ((char *)(uintptr_t)(s))

/* What `sh -c script` writes to its standard output; *ret_status its wait status. */
static char *output(struct spawn s, const char *script, int *ret_status) {
        char *const argv[] = { ARG("sh"), ARG("-c"), ARG(script), NULL };
        AUTO_BUF struct buf b = BUF_INIT;
        struct error err = ERROR_INIT;
        struct spawn_fd fds[SPAWN_FDS_MAX];
        int out[2];
        pid_t pid = 0;

        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        if (s.n_fds > 0)
                memcpy(fds, s.fds, s.n_fds * sizeof(*fds));
        fds[s.n_fds++] = (struct spawn_fd){ out[1], 1 };
        s.fds = fds;
        s.path = "/bin/sh";
        s.argv = argv;
        assert_int_equal(spawn(&s, &pid, NULL, &err), 0);
        assert_int_equal(close(out[1]), 0);
        assert_int_equal(io_read_full(out[0], 65536, &b), 0);
        assert_int_equal(close(out[0]), 0);
        assert_int_equal(waitpid(pid, ret_status, 0), pid);
        return buf_steal(&b);
}

static void only_the_named_descriptors_arrive(void **state) {
        AUTO_FREE char *text = NULL;
        AUTO_CLOSE int inherited = open("/dev/null", O_RDONLY); /* on purpose without O_CLOEXEC */
        AUTO_CLOSE int high = fcntl(inherited, F_DUPFD, 200);
        struct spawn_fd fds[] = { { inherited, 5 } };
        int status = 1;

        assert_true(high >= 200);
        text = output((struct spawn){ .fds = fds, .n_fds = 1 },
                      "i=0; while [ $i -lt 256 ]; do [ -e /proc/$$/fd/$i ] && echo $i; i=$((i+1)); "
                      "done",
                      &status);
        assert_string_equal(text, "0\n1\n2\n5\n");
        assert_int_equal(status, 0);
}

static void descriptors_may_change_places(void **state) {
        AUTO_FREE char *text = NULL;
        int a[2];
        int b[2];
        int status = 1;

        assert_int_equal(pipe2(a, O_CLOEXEC), 0);
        assert_int_equal(pipe2(b, O_CLOEXEC), 0);
        assert_int_equal(io_write_full(a[1], "A\n", 2), 0);
        assert_int_equal(io_write_full(b[1], "B\n", 2), 0);
        assert_true(a[0] < 10 && b[0] < 10);
        {
                struct spawn_fd fds[] = { { a[0], b[0] }, { b[0], a[0] } };
                char script[128];

                (void)snprintf(script, sizeof(script), "read x <&%d; read y <&%d; echo $x $y", a[0],
                               b[0]);
                text = output((struct spawn){ .fds = fds, .n_fds = 2 }, script, &status);
        }
        assert_string_equal(text, "B A\n");
        for (int i = 0; i < 2; i++) {
                assert_int_equal(close(a[i]), 0); /* ours stayed open */
                assert_int_equal(close(b[i]), 0);
        }
}

static void standard_streams_are_empty_unless_given(void **state) {
        AUTO_FREE char *text = NULL;
        int status = 1;

        text = output((struct spawn){ 0 }, "cat; readlink /proc/$$/fd/0 /proc/$$/fd/2", &status);
        assert_string_equal(text, "/dev/null\n/dev/null\n");
        assert_int_equal(status, 0);
}

static void signals_begin_afresh(void **state) {
        AUTO_FREE char *text = NULL;
        sigset_t block;
        sigset_t old;
        int status = 1;

        assert_int_equal(sigemptyset(&block), 0);
        assert_int_equal(sigaddset(&block, SIGUSR1), 0);
        assert_int_equal(sigprocmask(SIG_BLOCK, &block, &old), 0);
        assert_true(signal(SIGTERM, SIG_IGN) != SIG_ERR);
        text = output((struct spawn){ 0 },
                      /* Without the two signals of the C library's own, which a caller may have
                 * ignored. */
                      "while read k v; do case $k in SigBlk:|SigIgn:) echo $k${v#?????????};; "
                      "esac; done < /proc/self/status",
                      &status);
        assert_string_equal(text, "SigBlk:0000000\nSigIgn:0000000\n");
        assert_true(signal(SIGTERM, SIG_DFL) == SIG_IGN);
        assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
}

static void the_environment_is_the_one_given(void **state) {
        AUTO_FREE char *text = NULL;
        char *envp[] = { ARG("ONLY=this"), NULL };
        int status = 1;

        assert_int_equal(setenv("MCPB_SECRET", "x", 1), 0);
        text = output((struct spawn){ .envp = envp }, "echo $ONLY ${MCPB_SECRET-gone}", &status);
        assert_string_equal(text, "this gone\n");
}

static void session_and_folder_are_set(void **state) {
        AUTO_FREE char *text = NULL;
        char expected[64];
        int status = 1;

        text = output((struct spawn){ .new_session = true, .cwd = "/usr", .die_with_us = true },
                      "pwd; read a b c d e f rest < /proc/$$/stat; [ $$ = $f ] && echo leader",
                      &status);
        (void)snprintf(expected, sizeof(expected), "/usr\nleader\n");
        assert_string_equal(text, expected);
}

static void a_program_that_is_missing_is_said_at_once(void **state) {
        char *argv[] = { ARG("x"), NULL };
        struct error err = ERROR_INIT;
        struct spawn s = { .path = "/nonexistent/program", .argv = argv };
        pid_t pid = -1;
        int pidfd = -1;

        assert_int_equal(spawn(&s, &pid, &pidfd, &err), -ENOENT);
        assert_int_equal(err.code, MCPB_NOT_FOUND);
        assert_non_null(strstr(err.message, "/nonexistent/program"));
        s.path = "/etc/passwd";
        assert_int_equal(spawn(&s, &pid, &pidfd, &err), -EACCES);
        assert_int_equal(setenv("PATH", "/usr/bin:/bin", 1), 0);
        s.path = "no-such-command-anywhere";
        s.search = true;
        assert_int_equal(spawn(&s, &pid, &pidfd, &err), -ENOENT);
        s.path = "true";
        s.cwd = "/nonexistent";
        assert_int_equal(spawn(&s, &pid, &pidfd, &err), -ENOENT);
        assert_int_equal(err.code, MCPB_INTERNAL);
        assert_int_equal(pid, -1);
        assert_int_equal(pidfd, -1);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left to reap */
        assert_int_equal(errno, ECHILD);
}

static void wrong_arguments_start_nothing(void **state) {
        char *argv[] = { ARG("true"), NULL };
        char *none[] = { NULL };
        struct spawn_fd far[] = { { 0, 64 } };
        struct spawn_fd negative[] = { { -1, 3 } };
        struct spawn s = { .path = "true", .argv = none, .search = true };
        pid_t pid = -1;

        assert_int_equal(spawn(&s, &pid, NULL, NULL), -EINVAL);
        s = (struct spawn){ .path = "true", .argv = argv, .search = true, .fds = far, .n_fds = 1 };
        assert_int_equal(spawn(&s, &pid, NULL, NULL), -EINVAL);
        s.fds = negative;
        assert_int_equal(spawn(&s, &pid, NULL, NULL), -EINVAL);
        s.n_fds = SPAWN_FDS_MAX + 1;
        assert_int_equal(spawn(&s, &pid, NULL, NULL), -EINVAL);
}

static void the_pidfd_tells_the_end(void **state) {
        char *argv[] = { ARG("cat"), NULL };
        struct error err = ERROR_INIT;
        struct spawn_fd fds[1];
        struct spawn s = { .path = "cat", .argv = argv, .search = true, .fds = fds, .n_fds = 1 };
        AUTO_CLOSE int pidfd = -1;
        struct pollfd end = { .events = POLLIN };
        int in[2];
        pid_t pid = -1;

        pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
        if (pidfd < 0 && errno == ENOSYS)
                skip(); /* valgrind 3.19 */
        (void)close(TAKE_FD(pidfd));
        assert_int_equal(pipe2(in, O_CLOEXEC), 0);
        fds[0] = (struct spawn_fd){ in[0], 0 };
        assert_int_equal(spawn(&s, &pid, &pidfd, &err), 0);
        assert_true(pidfd_alive(pidfd));
        assert_int_equal(close(in[0]), 0);
        assert_int_equal(close(in[1]), 0);
        end.fd = pidfd;
        assert_int_equal(poll(&end, 1, -1), 1);
        assert_false(pidfd_alive(pidfd));
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_the_named_descriptors_arrive),
                cmocka_unit_test(descriptors_may_change_places),
                cmocka_unit_test(standard_streams_are_empty_unless_given),
                cmocka_unit_test(signals_begin_afresh),
                cmocka_unit_test(the_environment_is_the_one_given),
                cmocka_unit_test(session_and_folder_are_set),
                cmocka_unit_test(a_program_that_is_missing_is_said_at_once),
                cmocka_unit_test(wrong_arguments_start_nothing),
                cmocka_unit_test(the_pidfd_tells_the_end),
        };

        return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
