/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "loop/loop.h"
#include "os/spawn.h"
#include "session/child.h"
#include "test.h"

#define LONG_USEC (600 * USEC_PER_SEC)

struct result {
        sd_event *event;
        struct child *child;
        int status;
        enum error_code code;
        int calls;
};

static void on_done(int status, const struct error *err, void *userdata) {
        struct result *r = userdata;

        r->status = status;
        r->code = err ? err->code : MCPB_NO_ERROR;
        r->calls++;
        r->child = child_free(r->child);
        (void)sd_event_exit(r->event, 0);
}

static int start(struct result *r, const char *path, const char *script, int in,
                 uint64_t limit_usec, struct error *err) {
        char *argv[] = { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                         (char *)(uintptr_t)script, NULL };
        char *envp[] = { NULL };
        const struct spawn_fd fds[] = { { in, STDIN_FILENO } };
        const struct spawn s = {
                .path = path, .argv = argv, .envp = envp, .fds = fds, .n_fds = in >= 0 ? 1 : 0
        };

        return child_start(r->event, &s, "the helper", limit_usec, on_done, r, &r->child, err);
}

static int loop_make(void **state) {
        struct result *r = calloc(1, sizeof(*r));
        sigset_t set;

        assert_non_null(r);
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGCHLD);
        assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
        assert_int_equal(loop_new(&r->event), 0);
        *state = r;
        return 0;
}

static int loop_remove(void **state) {
        struct result *r = *state;

        /* Nothing is left of any child, not even a zombie. */
        assert_int_equal(waitpid(-1, NULL, 0), -1);
        assert_int_equal(errno, ECHILD);
        r->event = loop_free(r->event);
        free(r);
        return 0;
}

static void the_end_of_a_child_is_told_once(void **state) {
        static const struct {
                const char *script;
                int status;
        } table[] = { { "exit 0", 0 },
                      { "exit 7", 7 },
                      { "exit 255", 255 },
                      { "kill -KILL $$", 128 + SIGKILL },
                      { "kill -TERM $$", 128 + SIGTERM } };
        struct result *r = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct error err = ERROR_INIT;

                r->calls = 0;
                assert_int_equal(start(r, "/bin/sh", table[i].script, -1, LONG_USEC, &err), 0);
                assert_int_equal(r->calls, 0);
                assert_int_equal(sd_event_loop(r->event), 0);
                assert_int_equal(r->calls, 1);
                assert_int_equal(r->status, table[i].status);
                assert_int_equal(r->code, MCPB_NO_ERROR);
                assert_null(r->child);
                r->event = loop_free(r->event);
                assert_int_equal(loop_new(&r->event), 0);
        }
}

/* S9 */
static void a_child_whose_time_is_over_is_killed(void **state) {
        struct result *r = *state;
        struct error err = ERROR_INIT;
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        /* it waits for input that never comes */
        assert_int_equal(start(r, "/bin/sh", "read line", fds[0], 1, &err), 0);
        assert_int_equal(sd_event_loop(r->event), 0);
        assert_int_equal(r->calls, 1);
        assert_int_equal(r->status, -1);
        assert_int_equal(r->code, MCPB_TIMEOUT);
        (void)close(fds[0]);
        (void)close(fds[1]);
}

static void freeing_kills_without_a_word(void **state) {
        struct result *r = *state;
        struct error err = ERROR_INIT;
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(start(r, "/bin/sh", "read line", fds[0], LONG_USEC, &err), 0);
        r->child = child_free(r->child);
        assert_int_equal(r->calls, 0);
        (void)close(fds[0]);
        (void)close(fds[1]);
        assert_null(child_free(NULL));
}

static void a_program_that_is_not_there_is_said_at_once(void **state) {
        struct result *r = *state;
        struct error err = ERROR_INIT;

        assert_true(start(r, "/nonexistent/program", "", -1, LONG_USEC, &err) < 0);
        assert_int_equal(err.code, MCPB_NOT_FOUND);
        assert_null(r->child);
        assert_int_equal(r->calls, 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, loop_make, loop_remove)
                T(the_end_of_a_child_is_told_once),
                T(a_child_whose_time_is_over_is_killed),
                T(freeing_kills_without_a_word),
                T(a_program_that_is_not_there_is_said_at_once),
#undef T
        };

        return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
