/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs attempts inside a sandbox: a child enters it, tries one thing after another, and sends what
 * each gave through a pipe that it had before.
 */
#pragma once

#include <sys/wait.h>

#include "base/util.h"
#include "sandbox/sandbox.h"
#include "test.h"

#define ANY_ERROR (-100000)

/* What an attempt may use: all of it open before the door closes. */
struct scene {
        char *folder; /* a folder of the test's; the writer's state folder is "state" in it */
        int state_dirfd;
        int file;     /* open for reading and writing */
        int listener; /* a UNIX socket that listens, with one client waiting */
        int client;
        int tcp; /* a TCP socket that listens on the loopback address */
        uint16_t port;
        int tcp_unconnected;
        int unix_unconnected;
};

struct attempt {
        const char *name;
        int (*fn)(struct scene *scene); /* 0 or -errno */
        int expect;
};

static inline int run_attempts(const struct sandbox_profile *p, struct scene *scene,
                               const struct attempt *attempts, size_t n_attempts, int out) {
        struct sandbox_report report;
        struct error err = ERROR_INIT;

        if (sandbox_enter(p, &report, &err) < 0) {
                (void)fprintf(stderr, "%s\n", err.message);
                return 2;
        }
        for (size_t i = 0; i < n_attempts; i++) {
                int r = attempts[i].fn(scene);

                if (write(out, &r, sizeof(r)) != sizeof(r))
                        return 3;
        }
        return 0;
}

static inline void inside(const struct sandbox_profile *p, struct scene *scene,
                          const struct attempt *attempts, size_t n_attempts) {
        int status = 0;
        int fds[2];
        pid_t pid;

        assert_int_equal(pipe(fds), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)close(fds[0]);
                child_exit(run_attempts(p, scene, attempts, n_attempts, fds[1]));
        }
        assert_int_equal(close(fds[1]), 0);
        for (size_t i = 0; i < n_attempts; i++) {
                int r = 0;

                if (read(fds[0], &r, sizeof(r)) != sizeof(r))
                        fail_msg("the sandbox ended the process at: %s", attempts[i].name);
                if (attempts[i].expect == ANY_ERROR ? r >= 0 : r != attempts[i].expect)
                        fail_msg("%s: %d (%s), not %d", attempts[i].name, r,
                                 strerror(r < 0 ? -r : 0), attempts[i].expect);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(close(fds[0]), 0);
}
