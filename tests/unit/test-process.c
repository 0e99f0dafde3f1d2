/* SPDX-License-Identifier: Apache-2.0 */
#include "os/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "test.h"

/* Each check runs in a child: hardening cannot be taken back. */
static int in_child(int (*fn)(void)) {
        int status = 0;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
                child_exit(fn());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int harden_and_look(void) {
        struct rlimit core;
        struct error err = ERROR_INIT;

        if (process_harden(&err) < 0)
                return 1;
        if (prctl(PR_GET_DUMPABLE) != 0)
                return 2;
        if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_cur != 0)
                return 3;
        return umask(0) == 077 ? 0 : 4;
}

/* S1 */
static void a_hardened_process_leaves_no_core_and_no_open_files(void **state) {
        assert_int_equal(in_child(harden_and_look), 0);
}

static int harden_without_stdio(void) {
        struct error err = ERROR_INIT;

        (void)close(0);
        (void)close(2);
        if (process_harden(&err) < 0)
                return 1;
        if (fcntl(0, F_GETFL) < 0 || fcntl(2, F_GETFL) < 0)
                return 2;
        return open("/dev/null", O_RDONLY | O_CLOEXEC) > 2 ? 0 : 3;
}

static void no_file_gets_the_number_of_a_closed_standard_stream(void **state) {
        assert_int_equal(in_child(harden_without_stdio), 0);
}

static int raise_ignored(void) {
        static const int signals[] = { SIGPIPE, SIGTERM, SIGINT, SIGHUP };

        if (process_ignore_signals() < 0)
                return 1;
        for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
                (void)raise(signals[i]);
        return 0;
}

static void a_worker_outlives_the_signals_of_a_stop(void **state) {
        assert_int_equal(in_child(raise_ignored), 0);
}

static int raise_pipe_then_term(void) {
        if (process_ignore_sigpipe() < 0)
                return 1;
        (void)raise(SIGPIPE);
        (void)raise(SIGTERM);
        return 0;
}

static void only_the_broken_pipe_is_ignored_elsewhere(void **state) {
        assert_int_equal(in_child(raise_pipe_then_term), -SIGTERM);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_hardened_process_leaves_no_core_and_no_open_files),
                cmocka_unit_test(no_file_gets_the_number_of_a_closed_standard_stream),
                cmocka_unit_test(a_worker_outlives_the_signals_of_a_stop),
                cmocka_unit_test(only_the_broken_pipe_is_ignored_elsewhere),
        };

        return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
