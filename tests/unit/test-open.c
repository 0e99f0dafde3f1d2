/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor opens, and in which order it lets go of it. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "daemon/supervisor.h"
#include "os/sock.h"
#include "test.h"
#include "tmp.h"

static struct {
        int dirfd; /* the state folder */
        unsigned n_unlinked;
        bool locked; /* when the socket was removed */
} seen;

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);

int __wrap_unlink(const char *path) {
        AUTO_CLOSE int fd = openat(seen.dirfd, "lock", O_RDWR | O_CLOEXEC);

        if (seen.dirfd > 0) {
                seen.n_unlinked++;
                seen.locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
        }
        return __real_unlink(path);
}

static void the_socket_goes_before_the_lock_that_the_next_daemon_waits_for(void **state) {
        char *tmp = tmp_new();
        char dir[TMP_PATH_MAX];
        char socket[TMP_PATH_MAX];
        struct options o = { .vendor_dir = tmp,
                             .config_dir = tmp,
                             .state_dir = tmp_path(dir, tmp, "state"),
                             .socket = tmp_path(socket, tmp, "run/socket") };
        struct supervisor_files f;
        struct error err = ERROR_INIT;

        assert_int_equal(supervisor_open(&o, &f, &err), 0);
        assert_int_equal(access(socket, F_OK), 0);
        seen.dirfd = open(dir, O_DIRECTORY | O_CLOEXEC);
        supervisor_files_done(&f);
        assert_int_equal(seen.n_unlinked, 1);
        assert_true(seen.locked);
        assert_true(access(socket, F_OK) < 0);
        (void)close(seen.dirfd);
        seen.dirfd = 0;
        (void)tmp_free(tmp);
}

/* Listens there until somebody comes. */
static void dying_keeper(const char *path) {
        struct error err = ERROR_INIT;
        struct pollfd p = { .events = POLLIN };

        if (sock_listen_unix(path, &p.fd, &err) < 0)
                child_exit(1);
        if (kill(getppid(), SIGUSR1) < 0 || poll(&p, 1, 10000) != 1)
                child_exit(1);
        child_exit(0);
}

/* S7 */
static void a_daemon_takes_over_from_one_that_is_just_dying(void **state) {
        char *tmp = tmp_new();
        char dir[TMP_PATH_MAX];
        char socket[TMP_PATH_MAX];
        struct options o = { .vendor_dir = tmp,
                             .config_dir = tmp,
                             .state_dir = tmp_path(dir, tmp, "state"),
                             .socket = tmp_path(socket, tmp, "run/socket") };
        struct supervisor_files f;
        struct error err = ERROR_INIT;
        sigset_t set;
        int status = 0;
        int r;
        pid_t pid;

        assert_int_equal(sigemptyset(&set), 0);
        assert_int_equal(sigaddset(&set, SIGUSR1), 0);
        assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                dying_keeper(socket);
        assert_int_equal(sigwaitinfo(&set, NULL), SIGUSR1);
        r = supervisor_open(&o, &f, &err);
        if (r < 0)
                print_message("%s\n", err.message);
        assert_int_equal(r, 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        supervisor_files_done(&f);
        (void)tmp_free(tmp);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_socket_goes_before_the_lock_that_the_next_daemon_waits_for),
                cmocka_unit_test(a_daemon_takes_over_from_one_that_is_just_dying),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
