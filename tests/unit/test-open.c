/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor opens, and in which order it lets go of it. */
#include <fcntl.h>
#include <sys/file.h>

#include "daemon/supervisor.h"
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

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_socket_goes_before_the_lock_that_the_next_daemon_waits_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
