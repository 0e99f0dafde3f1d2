/* SPDX-License-Identifier: Apache-2.0 */
#include "os/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tmp.h"

#define OTHER_UID 65534

static mode_t mode_of(int fd) {
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        return st.st_mode & 07777;
}

/* A234 A236 */
static void missing_folders_are_made_private(void **state) {
        AUTO_CLOSE int fd = -1;
        AUTO_CLOSE int again = -1;
        struct error err = ERROR_INIT;
        char *tmp = tmp_new();
        char path[TMP_PATH_MAX];
        mode_t old = umask(0);

        assert_int_equal(dir_open_existing(tmp_path(path, tmp, "a/b/c"), &fd, &err), -ENOENT);
        assert_int_equal(err.code, MCPB_NO_ERROR);
        assert_int_equal(dir_open_private(path, &fd, &err), 0);
        assert_int_equal(mode_of(fd), 0700);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(dir_open_existing(path, &again, &err), 0);
        (void)close(TAKE_FD(again));
        assert_int_equal(dir_open_private(tmp_path(path, tmp, "a"), &again, &err), 0);
        assert_int_equal(mode_of(again), 0700);
        (void)umask(old);
        (void)tmp_free(tmp);
}

/* A234 A236 */
static void a_folder_that_others_can_enter_is_refused(void **state) {
        static const mode_t modes[] = { 0755, 0750, 0770, 0707, 0701, 0710 };
        struct error err = ERROR_INIT;
        char *tmp = tmp_new();
        char path[TMP_PATH_MAX];
        int fd = -1;

        assert_int_equal(mkdir(tmp_path(path, tmp, "open"), 0700), 0);
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                assert_int_equal(chmod(path, modes[i]), 0);
                assert_int_equal(dir_open_private(path, &fd, &err), -EPERM);
                assert_int_equal(err.code, MCPB_NOT_PERMITTED);
                assert_non_null(strstr(err.message, path));
                assert_non_null(strstr(err.hint, "chmod 700"));
                assert_int_equal(fd, -1);
        }
        (void)tmp_free(tmp);
}

static void a_link_in_place_of_the_folder_is_refused(void **state) {
        struct error err = ERROR_INIT;
        AUTO_CLOSE int ok = -1;
        char *tmp = tmp_new();
        char real[TMP_PATH_MAX];
        char path[TMP_PATH_MAX];
        int fd = -1;
        int r;

        assert_int_equal(mkdir(tmp_path(real, tmp, "real"), 0700), 0);
        assert_int_equal(symlink(real, tmp_path(path, tmp, "link")), 0);
        r = dir_open_private(path, &fd, &err);
        assert_true(r == -ELOOP || r == -ENOTDIR);
        assert_int_equal(err.code, MCPB_NOT_PERMITTED);
        /* On the way a link is all right: a home may be one. */
        assert_int_equal(dir_open_private(tmp_path(path, tmp, "link/below"), &ok, &err), 0);
        (void)tmp_free(tmp);
}

static void a_file_in_place_of_the_folder_is_refused(void **state) {
        struct error err = ERROR_INIT;
        char *tmp = tmp_new();
        char path[TMP_PATH_MAX];
        int fd = -1;

        assert_int_equal(mknod(tmp_path(path, tmp, "file"), S_IFREG | 0600, 0), 0);
        assert_int_equal(dir_open_private(path, &fd, &err), -ENOTDIR);
        assert_int_equal(dir_open_private("relative", &fd, &err), -EINVAL);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
        (void)tmp_free(tmp);
}

static void a_folder_of_another_user_is_refused(void **state) {
        struct error err = ERROR_INIT;
        char *tmp = tmp_new();
        char path[TMP_PATH_MAX];
        int fd = -1;

        if (geteuid() == 0) {
                assert_int_equal(mkdir(tmp_path(path, tmp, "theirs"), 0700), 0);
                assert_int_equal(chown(path, OTHER_UID, OTHER_UID), 0);
        } else {
                (void)snprintf(path, sizeof(path), "/usr");
        }
        assert_int_equal(dir_open_private(path, &fd, &err), -EPERM);
        assert_non_null(strstr(err.message, "another user"));
        (void)tmp_free(tmp);
}

static void a_folder_above_that_others_own_or_write_is_refused(void **state) {
        struct error err = ERROR_INIT;
        char *tmp = tmp_new();
        char above[TMP_PATH_MAX];
        char path[TMP_PATH_MAX];
        AUTO_CLOSE int ok = -1;
        int fd = -1;

        assert_int_equal(mkdir(tmp_path(above, tmp, "above"), 0700), 0);
        assert_int_equal(chmod(above, 0777), 0);
        assert_int_equal(dir_open_private(tmp_path(path, tmp, "above/ours"), &fd, &err), -EPERM);
        assert_non_null(strstr(err.message, "everybody"));
        assert_int_equal(chmod(above, 01777), 0); /* as /tmp: nobody can move ours away */
        assert_int_equal(dir_open_private(path, &ok, &err), 0);
        if (geteuid() == 0) {
                assert_int_equal(chown(above, OTHER_UID, OTHER_UID), 0);
                assert_int_equal(chmod(above, 0755), 0);
                assert_int_equal(dir_open_private(path, &fd, &err), -EPERM);
                assert_non_null(strstr(err.message, "another user"));
        }
        (void)tmp_free(tmp);
}

static int lock_in_child(int dir) {
        int status = 0;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                struct error err = ERROR_INIT;
                int fd = -1;
                int r = file_lock(dir, "lock", &fd, &err);

                child_exit(r == 0 ? 0 : r == -EEXIST && err.code == MCPB_EXISTS ? 1 : 2);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WEXITSTATUS(status);
}

static void a_lock_keeps_a_second_process_out(void **state) {
        struct error err = ERROR_INIT;
        AUTO_CLOSE int dir = -1;
        char *tmp = tmp_new();
        int fd = -1;

        dir = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(file_lock(dir, "lock", &fd, &err), 0);
        assert_int_equal(mode_of(fd) & 077, 0);
        assert_int_equal(lock_in_child(dir), 1);
        assert_int_equal(close(fd), 0);
        assert_int_equal(lock_in_child(dir), 0);

        assert_int_equal(symlinkat("/etc/passwd", dir, "link"), 0);
        assert_int_equal(file_lock(dir, "link", &fd, &err), -ELOOP);
        assert_int_equal(mkfifoat(dir, "pipe", 0600), 0);
        assert_int_equal(file_lock(dir, "pipe", &fd, &err), -EPERM);
        (void)tmp_free(tmp);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(missing_folders_are_made_private),
                cmocka_unit_test(a_folder_that_others_can_enter_is_refused),
                cmocka_unit_test(a_link_in_place_of_the_folder_is_refused),
                cmocka_unit_test(a_file_in_place_of_the_folder_is_refused),
                cmocka_unit_test(a_folder_of_another_user_is_refused),
                cmocka_unit_test(a_folder_above_that_others_own_or_write_is_refused),
                cmocka_unit_test(a_lock_keeps_a_second_process_out),
        };

        return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
