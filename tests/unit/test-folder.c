/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "store/folder.h"
#include "test.h"

#define NAME "0123abcd"
#define OLD "the old record"

/*
 * A folder whose system calls are counted, written down, and made to fail: the call number `at`
 * (from 1) fails with `errnum`, or writes but half. With `crash` that call and all after it do
 * nothing: as if the process had been killed before it.
 */
struct rig {
        char path[64];
        struct folder folder;
        const struct folder_calls *real;
        struct buf trace;
        unsigned n_calls;
        unsigned at;
        int errnum;
        bool crash;
        bool half;           /* the write is cut short instead of failing */
        bool half_then_full; /* and the next one finds the disk full */
};

enum verdict { PASS, FAIL };

static enum verdict enter(struct rig *rig, const char *call) {
        rig->n_calls++;
        assert_int_equal(buf_printf(&rig->trace, "%s ", call), 0);
        if (rig->at == 0 || rig->n_calls < rig->at)
                return PASS;
        if (rig->crash || (rig->n_calls == rig->at && !rig->half)) {
                errno = rig->crash ? EIO : rig->errnum;
                return FAIL;
        }
        return PASS;
}

static int rig_openat(void *data, int dirfd, const char *name, int flags, mode_t mode) {
        struct rig *rig = data;

        return enter(rig, flags & O_CREAT ? "create" : "open") == FAIL
                       ? -1
                       : rig->real->openat(NULL, dirfd, name, flags, mode);
}

static int rig_fstat(void *data, int fd, struct stat *st) {
        struct rig *rig = data;

        return enter(rig, "stat") == FAIL ? -1 : rig->real->fstat(NULL, fd, st);
}

static ssize_t rig_read(void *data, int fd, void *p, size_t n) {
        struct rig *rig = data;

        return enter(rig, "read") == FAIL ? -1 : rig->real->read(NULL, fd, p, n);
}

static ssize_t rig_write(void *data, int fd, const void *p, size_t n) {
        struct rig *rig = data;

        if (enter(rig, "write") == FAIL)
                return -1;
        if (rig->half && rig->n_calls == rig->at) {
                if (rig->half_then_full) {
                        rig->half = false;
                        rig->errnum = ENOSPC;
                        rig->at++;
                }
                n /= 2;
        }
        return rig->real->write(NULL, fd, p, n);
}

static int rig_fsync(void *data, int fd) {
        struct rig *rig = data;

        return enter(rig, fd == rig->folder.dirfd ? "fsync-folder" : "fsync") == FAIL
                       ? -1
                       : rig->real->fsync(NULL, fd);
}

/* The descriptor is closed in any case: the test must not run out of them. */
static int rig_close(void *data, int fd) {
        struct rig *rig = data;
        enum verdict v = enter(rig, "close");
        int errnum = errno;
        int r = rig->real->close(NULL, fd);

        errno = errnum;
        return v == FAIL ? -1 : r;
}

static int rig_renameat(void *data, int dirfd, const char *from, const char *to) {
        struct rig *rig = data;

        return enter(rig, "rename") == FAIL ? -1 : rig->real->renameat(NULL, dirfd, from, to);
}

static int rig_unlinkat(void *data, int dirfd, const char *name) {
        struct rig *rig = data;

        return enter(rig, "unlink") == FAIL ? -1 : rig->real->unlinkat(NULL, dirfd, name);
}

static const struct folder_calls rigged = {
        .openat = rig_openat,
        .fstat = rig_fstat,
        .read = rig_read,
        .write = rig_write,
        .fsync = rig_fsync,
        .close = rig_close,
        .renameat = rig_renameat,
        .unlinkat = rig_unlinkat,
};

/* From here on everything works, as after a restart. */
static void heal(struct rig *rig) {
        rig->at = 0;
        rig->n_calls = 0;
        rig->crash = rig->half = rig->half_then_full = false;
        buf_clear(&rig->trace);
}

static int setup(void **state) {
        struct rig *rig = calloc(1, sizeof(*rig));
        int fd;

        if (!rig)
                return -1;
        (void)snprintf(rig->path, sizeof(rig->path), "/tmp/mcpb-test-folder-XXXXXX");
        if (!mkdtemp(rig->path))
                return -1;
        fd = open(rig->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        folder_init(&rig->folder, fd);
        rig->real = rig->folder.calls;
        rig->folder.calls = &rigged;
        rig->folder.calls_data = rig;
        *state = rig;
        return fd < 0 ? -1 : 0;
}

static int remove_name(const char *name, void *userdata) {
        return folder_remove(userdata, name, NULL);
}

static int teardown(void **state) {
        struct rig *rig = *state;

        heal(rig);
        assert_int_equal(folder_sweep(&rig->folder, NULL, NULL), 0);
        assert_int_equal(folder_list(&rig->folder, remove_name, &rig->folder, NULL), 0);
        (void)close(rig->folder.dirfd);
        if (rmdir(rig->path) < 0)
                return -1; /* something was left that is neither a record nor swept */
        buf_done(&rig->trace);
        free(rig);
        return 0;
}

static void assert_holds(struct rig *rig, const char *name, const void *data, size_t len) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(folder_read(&rig->folder, name, 1024 * 1024, &b, NULL), 0);
        assert_int_equal(b.len, len);
        assert_memory_equal(b.data, data, len);
}

/* 0: the old record, 1: the new one; anything else fails the test. */
static int old_or_new(struct rig *rig, const struct buf *new) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(folder_read(&rig->folder, NAME, 1024 * 1024, &b, NULL), 0);
        if (b.len == strlen(OLD) && memcmp(b.data, OLD, b.len) == 0)
                return 0;
        assert_int_equal(b.len, new->len);
        assert_memory_equal(b.data, new->data, b.len);
        return 1;
}

/* Large enough that half a write is seen. */
static void make_new(struct buf *new) {
        for (int i = 0; i < 5000; i++)
                assert_int_equal(buf_printf(new, "%d,", i), 0);
}

static void what_was_written_is_read(void **state) {
        struct rig *rig = *state;
        struct stat st;

        assert_int_equal(folder_write(&rig->folder, NAME, "", 0, NULL), 0);
        assert_holds(rig, NAME, "", 0);
        assert_int_equal(folder_write(&rig->folder, NAME, "a\0b", 3, NULL), 0);
        assert_holds(rig, NAME, "a\0b", 3);
        assert_int_equal(fstatat(rig->folder.dirfd, NAME, &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(folder_remove(&rig->folder, NAME, NULL), 0);
        assert_int_equal(folder_remove(&rig->folder, NAME, NULL), -ENOENT);
}

/* S7 */
static void a_write_is_told_only_after_file_rename_and_folder_are_synced(void **state) {
        struct rig *rig = *state;

        assert_int_equal(folder_write(&rig->folder, NAME, OLD, strlen(OLD), NULL), 0);
        assert_string_equal(rig->trace.data, "create write fsync close rename fsync-folder ");
        heal(rig);
        assert_int_equal(folder_write(&rig->folder, NAME, "b", 1, NULL), 0);
        assert_string_equal(rig->trace.data, "create write fsync close rename fsync-folder ");
        heal(rig);
        assert_int_equal(folder_remove(&rig->folder, NAME, NULL), 0);
        assert_string_equal(rig->trace.data, "unlink fsync-folder ");
}

/* S7 */
static void a_failure_of_any_call_leaves_old_or_new_and_is_told(void **state) {
        static const int errnums[] = { ENOSPC, EIO, EDQUOT, EROFS };
        struct rig *rig = *state;
        AUTO_BUF struct buf new = BUF_INIT;

        make_new(&new);
        for (size_t e = 0; e < ARRAY_SIZE(errnums); e++) {
                for (unsigned at = 1; at <= 6; at++) {
                        struct error err = ERROR_INIT;
                        bool renamed = at == 6;
                        size_t n = 77;

                        heal(rig);
                        assert_int_equal(folder_write(&rig->folder, NAME, OLD, strlen(OLD), NULL),
                                         0);
                        heal(rig);
                        rig->at = at;
                        rig->errnum = errnums[e];
                        assert_int_equal(folder_write(&rig->folder, NAME, new.data, new.len, &err),
                                         -errnums[e]);
                        assert_int_equal(err.code, MCPB_STORE_UNAVAILABLE);
                        assert_true(err.hint[0] != '\0');
                        heal(rig);
                        assert_int_equal(old_or_new(rig, &new), renamed ? 1 : 0);
                        /* The failed write has taken its temporary file with it. */
                        assert_int_equal(folder_sweep(&rig->folder, &n, NULL), 0);
                        assert_int_equal(n, 0);
                        assert_int_equal(folder_write(&rig->folder, NAME, new.data, new.len, NULL),
                                         0);
                        assert_int_equal(old_or_new(rig, &new), 1);
                }
        }
}

/* S7 */
static void a_crash_before_any_call_leaves_old_or_new_and_is_swept(void **state) {
        struct rig *rig = *state;
        AUTO_BUF struct buf new = BUF_INIT;
        unsigned n_old = 0;

        make_new(&new);
        for (unsigned at = 1; at <= 7; at++) {
                size_t n = 77;

                heal(rig);
                assert_int_equal(folder_write(&rig->folder, NAME, OLD, strlen(OLD), NULL), 0);
                heal(rig);
                rig->at = at;
                rig->crash = true;
                /*
                 * Whatever it says: a killed process says nothing. But it must not have said 0 too
                 * early.
                 */
                if (folder_write(&rig->folder, NAME, new.data, new.len, NULL) == 0)
                        assert_int_equal(at, 7);
                heal(rig);
                if (old_or_new(rig, &new) == 0)
                        n_old++;
                assert_int_equal(folder_sweep(&rig->folder, &n, NULL), 0);
                assert_int_equal(n, at >= 2 && at <= 5 ? 1 : 0);
                (void)old_or_new(rig, &new);
                assert_int_equal(folder_write(&rig->folder, NAME, new.data, new.len, NULL), 0);
                assert_int_equal(old_or_new(rig, &new), 1);
        }
        assert_int_equal(n_old, 5); /* create write fsync close rename */
}

/* S7 */
static void a_crash_at_the_first_write_leaves_nothing_or_all(void **state) {
        struct rig *rig = *state;

        for (unsigned at = 1; at <= 6; at++) {
                AUTO_BUF struct buf b = BUF_INIT;
                int r;

                heal(rig);
                rig->at = at;
                rig->crash = true;
                assert_true(folder_write(&rig->folder, NAME, OLD, strlen(OLD), NULL) < 0);
                heal(rig);
                r = folder_read(&rig->folder, NAME, 100, &b, NULL);
                assert_int_equal(r, at <= 5 ? -ENOENT : 0);
                if (r == 0)
                        assert_string_equal(b.data, OLD);
                assert_int_equal(folder_sweep(&rig->folder, NULL, NULL), 0);
        }
}

/* S7 */
static void a_short_write_is_finished(void **state) {
        struct rig *rig = *state;
        AUTO_BUF struct buf new = BUF_INIT;

        make_new(&new);
        rig->at = 2;
        rig->half = true;
        assert_int_equal(folder_write(&rig->folder, NAME, new.data, new.len, NULL), 0);
        assert_string_equal(rig->trace.data, "create write write fsync close rename fsync-folder ");
        assert_holds(rig, NAME, new.data, new.len);
}

/* S7 */
static void a_short_write_on_a_full_disk_keeps_the_old(void **state) {
        struct rig *rig = *state;
        AUTO_BUF struct buf new = BUF_INIT;

        make_new(&new);
        assert_int_equal(folder_write(&rig->folder, NAME, OLD, strlen(OLD), NULL), 0);
        heal(rig);
        rig->at = 2;
        rig->half = rig->half_then_full = true;
        assert_int_equal(folder_write(&rig->folder, NAME, new.data, new.len, NULL), -ENOSPC);
        assert_string_equal(rig->trace.data, "create write write close unlink ");
        heal(rig);
        assert_int_equal(old_or_new(rig, &new), 0);
}

static void an_interrupted_call_is_made_again(void **state) {
        static const unsigned interruptible[] = { 1, 2, 3, 4, 6 };
        struct rig *rig = *state;

        for (size_t i = 0; i < ARRAY_SIZE(interruptible); i++) {
                heal(rig);
                rig->at = interruptible[i];
                rig->errnum = EINTR;
                assert_int_equal(folder_write(&rig->folder, NAME, OLD, strlen(OLD), NULL), 0);
                heal(rig);
                assert_holds(rig, NAME, OLD, strlen(OLD));
        }
}

/* A file system that takes nothing and says nothing must not hold the writer for ever. */
static ssize_t write_nothing(void *data, int fd, const void *p, size_t n) {
        return 0;
}

static void a_write_without_progress_fails(void **state) {
        struct rig *rig = *state;
        struct folder_calls calls = rigged;
        struct folder f = rig->folder;

        calls.write = write_nothing;
        f.calls = &calls;
        assert_int_equal(folder_write(&f, NAME, OLD, strlen(OLD), NULL), -EIO);
        assert_int_equal(folder_read(&rig->folder, NAME, 100, &rig->trace, NULL), -ENOENT);
}

/* S7 */
static void a_failed_removal_leaves_the_whole_record_or_none(void **state) {
        struct rig *rig = *state;

        for (unsigned at = 1; at <= 2; at++) {
                AUTO_BUF struct buf b = BUF_INIT;

                heal(rig);
                assert_int_equal(folder_write(&rig->folder, NAME, OLD, strlen(OLD), NULL), 0);
                heal(rig);
                rig->at = at;
                rig->errnum = EIO;
                assert_int_equal(folder_remove(&rig->folder, NAME, NULL), -EIO);
                heal(rig);
                assert_int_equal(folder_read(&rig->folder, NAME, 100, &b, NULL),
                                 at == 1 ? 0 : -ENOENT);
        }
}

static void a_failed_read_gives_nothing(void **state) {
        struct rig *rig = *state;

        assert_int_equal(folder_write(&rig->folder, NAME, OLD, strlen(OLD), NULL), 0);
        for (unsigned at = 1; at <= 4; at++) {
                AUTO_BUF struct buf b = BUF_INIT;

                heal(rig);
                assert_int_equal(buf_append(&b, "kept", 4), 0);
                rig->at = at;
                rig->errnum = EIO;
                assert_int_equal(folder_read(&rig->folder, NAME, 100, &b, NULL), -EIO);
                assert_string_equal(b.data, "kept");
                heal(rig);
                rig->at = at;
                rig->errnum = EINTR;
                if (at != 2) /* fstat is not interruptible */
                        assert_int_equal(folder_read(&rig->folder, NAME, 100, &b, NULL), 0);
        }
}

/* S9 */
static void a_file_above_the_limit_is_refused(void **state) {
        struct rig *rig = *state;
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(folder_write(&rig->folder, NAME, OLD, strlen(OLD), NULL), 0);
        assert_int_equal(folder_read(&rig->folder, NAME, strlen(OLD) - 1, &b, NULL), -EMSGSIZE);
        assert_int_equal(b.len, 0);
        assert_int_equal(folder_read(&rig->folder, NAME, strlen(OLD), &b, NULL), 0);
}

static void what_is_no_regular_file_is_not_read(void **state) {
        struct rig *rig = *state;
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(folder_write(&rig->folder, NAME, OLD, strlen(OLD), NULL), 0);
        assert_int_equal(symlinkat(NAME, rig->folder.dirfd, "link"), 0);
        assert_int_equal(mkfifoat(rig->folder.dirfd, "fifo", 0600), 0);
        assert_int_equal(mkdirat(rig->folder.dirfd, "folder", 0700), 0);
        assert_int_equal(folder_read(&rig->folder, "link", 100, &b, NULL), -ELOOP);
        assert_int_equal(folder_read(&rig->folder, "fifo", 100, &b, NULL), -EPERM);
        assert_int_equal(folder_read(&rig->folder, "folder", 100, &b, NULL), -EPERM);
        /* A write goes over a link, never through it. */
        assert_int_equal(folder_write(&rig->folder, "link", "x", 1, NULL), 0);
        assert_holds(rig, NAME, OLD, strlen(OLD));
        assert_holds(rig, "link", "x", 1);
        assert_int_equal(unlinkat(rig->folder.dirfd, "folder", AT_REMOVEDIR), 0);
}

static void a_link_in_place_of_the_temporary_file_is_not_followed(void **state) {
        struct rig *rig = *state;

        assert_int_equal(folder_write(&rig->folder, "other", OLD, strlen(OLD), NULL), 0);
        assert_int_equal(symlinkat("other", rig->folder.dirfd, "." NAME ".tmp"), 0);
        assert_int_equal(folder_write(&rig->folder, NAME, "x", 1, NULL), 0);
        assert_holds(rig, "other", OLD, strlen(OLD));
        assert_holds(rig, NAME, "x", 1);
}

static void names_cannot_leave_the_folder(void **state) {
        static const char *const bad[] = {
                "",
                ".",
                "..",
                "../x",
                "a/b",
                "A",
                "a.b",
                ".a.tmp",
                "a b",
                "\xc3\xa4",
                "01234567890123456789012345678901234567890123456789012345678901234"
        };
        struct rig *rig = *state;
        AUTO_BUF struct buf b = BUF_INIT;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                assert_false(folder_name_valid(bad[i]));
                assert_int_equal(folder_read(&rig->folder, bad[i], 100, &b, NULL), -EINVAL);
                assert_int_equal(folder_write(&rig->folder, bad[i], "", 0, NULL), -EINVAL);
                assert_int_equal(folder_remove(&rig->folder, bad[i], NULL), -EINVAL);
        }
        assert_int_equal(rig->n_calls, 0);
}

static int count_name(const char *name, void *userdata) {
        size_t *n = userdata;

        (*n)++;
        return streq(name, "stop") ? -ECANCELED : 0;
}

static void a_list_has_whole_files_only(void **state) {
        struct rig *rig = *state;
        size_t n = 0;
        int fd;

        for (char c = 'a'; c <= 'z'; c++)
                assert_int_equal(folder_write(&rig->folder, (char[]){ c, '\0' }, "x", 1, NULL), 0);
        fd = openat(rig->folder.dirfd, ".a.tmp", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void)close(fd);
        for (int twice = 0; twice < 2; twice++) {
                n = 0;
                assert_int_equal(folder_list(&rig->folder, count_name, &n, NULL), 0);
                assert_int_equal(n, 26);
        }
        assert_int_equal(folder_write(&rig->folder, "stop", "x", 1, NULL), 0);
        assert_int_equal(folder_list(&rig->folder, count_name, &n, NULL), -ECANCELED);
        rig->n_calls = 0;
        rig->at = 1;
        rig->errnum = EMFILE;
        assert_int_equal(folder_list(&rig->folder, count_name, &n, NULL), -EMFILE);
}

static void the_sweep_takes_its_own_leftovers_only(void **state) {
        static const char *const names[] = { ".a.tmp", ".b-1.tmp", ".A.tmp",  ".tmp",
                                             "..tmp",  ".x.tmp2",  ".a.b.tmp" };
        struct rig *rig = *state;
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                int fd = openat(rig->folder.dirfd, names[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

                assert_true(fd >= 0);
                (void)close(fd);
        }
        rig->at = 2; /* open, unlink */
        rig->errnum = EACCES;
        assert_int_equal(folder_sweep(&rig->folder, &n, NULL), -EACCES);
        heal(rig);
        assert_int_equal(folder_sweep(&rig->folder, &n, NULL), 0);
        assert_int_equal(n, 1); /* the other went in the first sweep */
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_int_equal(unlinkat(rig->folder.dirfd, names[i], 0), i < 2 ? -1 : 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                T(what_was_written_is_read),
                T(a_write_is_told_only_after_file_rename_and_folder_are_synced),
                T(a_failure_of_any_call_leaves_old_or_new_and_is_told),
                T(a_crash_before_any_call_leaves_old_or_new_and_is_swept),
                T(a_crash_at_the_first_write_leaves_nothing_or_all),
                T(a_short_write_is_finished),
                T(a_short_write_on_a_full_disk_keeps_the_old),
                T(an_interrupted_call_is_made_again),
                T(a_write_without_progress_fails),
                T(a_failed_removal_leaves_the_whole_record_or_none),
                T(a_failed_read_gives_nothing),
                T(a_file_above_the_limit_is_refused),
                T(what_is_no_regular_file_is_not_read),
                T(a_link_in_place_of_the_temporary_file_is_not_followed),
                T(names_cannot_leave_the_folder),
                T(a_list_has_whole_files_only),
                T(the_sweep_takes_its_own_leftovers_only),
        };

        return cmocka_run_group_tests_name("folder", tests, NULL, NULL);
}
