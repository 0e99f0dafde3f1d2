/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "store/folder.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/limits.h"

/*
 * ".NAME.tmp": no valid name begins with a dot. One fixed name a file, so that what crashes and
 * full disks leave behind is bounded by the number of records.
 */
#define TMP_SUFFIX ".tmp"
#define TMP_NAME_MAX (1 + FOLDER_NAME_MAX + sizeof(TMP_SUFFIX) - 1)

#define HINT_DISK "Look at the disk and its messages in the journal; the last state is still there"
#define HINT_FULL "Free some space, or raise the quota; the last state is still there"
#define HINT_READ_ONLY "The file system is read-only: remount it writable"

static int call_openat(void *data, int dirfd, const char *name, int flags, mode_t mode) {
        return openat(dirfd, name, flags, mode);
}

static int call_fstat(void *data, int fd, struct stat *st) {
        return fstat(fd, st);
}

static ssize_t call_read(void *data, int fd, void *p, size_t n) {
        return read(fd, p, n);
}

static ssize_t call_write(void *data, int fd, const void *p, size_t n) {
        return write(fd, p, n);
}

static int call_fsync(void *data, int fd) {
        return fsync(fd);
}

static int call_close(void *data, int fd) {
        return close(fd);
}

static int call_renameat(void *data, int dirfd, const char *from, const char *to) {
        return renameat(dirfd, from, dirfd, to);
}

static int call_unlinkat(void *data, int dirfd, const char *name) {
        return unlinkat(dirfd, name, 0);
}

void folder_init(struct folder *f, int dirfd) {
        static const struct folder_calls kernel = {
                .openat = call_openat,
                .fstat = call_fstat,
                .read = call_read,
                .write = call_write,
                .fsync = call_fsync,
                .close = call_close,
                .renameat = call_renameat,
                .unlinkat = call_unlinkat,
        };

        *f = (struct folder){ .dirfd = dirfd, .calls = &kernel };
}

bool folder_name_valid(const char *name) {
        size_t len = strnlen(name, FOLDER_NAME_MAX + 1);

        return len > 0 && len <= FOLDER_NAME_MAX &&
               strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static int bad_name(struct error *err) {
        return error_set(err, MCPB_INTERNAL, EINVAL, NULL, "Not a name for a file of the store");
}

/* @doing reads on: "Cannot write". */
static int failed(struct error *err, int errnum, const char *doing, const char *name) {
        const char *hint = errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG ? HINT_FULL
                           : errnum == EROFS                                       ? HINT_READ_ONLY
                                                                                   : HINT_DISK;

        return error_set(err, MCPB_STORE_UNAVAILABLE, errnum, hint, "Cannot %s %s: %s", doing, name,
                         strerror(errnum));
}

static int open_again(const struct folder *f, const char *name, int flags) {
        int fd;

        do
                fd = f->calls->openat(f->calls_data, f->dirfd, name, flags, 0600);
        while (fd < 0 && errno == EINTR);
        return fd < 0 ? -errno : fd;
}

static int sync_again(const struct folder *f, int fd) {
        int r;

        do
                r = f->calls->fsync(f->calls_data, fd);
        while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : 0;
}

/* An interrupted close() has closed on Linux: never again. */
static int close_once(const struct folder *f, int fd) {
        return f->calls->close(f->calls_data, fd) < 0 && errno != EINTR ? -errno : 0;
}

static int read_all(const struct folder *f, int fd, size_t max, struct buf *ret) {
        size_t before = ret->len;
        struct stat st;

        if (f->calls->fstat(f->calls_data, fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
                return -EPERM;
        if (st.st_size < 0 || (uint64_t)st.st_size > max)
                return -EMSGSIZE;
        for (;;) {
                /* One more than allowed, to see a file that grew. */
                size_t room = max - (ret->len - before) + 1;
                ssize_t n;
                int r;

                room = room > 65536 ? 65536 : room;
                r = buf_reserve(ret, room);
                if (r < 0)
                        return r;
                n = f->calls->read(f->calls_data, fd, ret->data + ret->len, room);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                ret->len += (size_t)n;
                if (ret->len - before > max)
                        return -EMSGSIZE;
        }
        ret->data[ret->len] = '\0';
        return 0;
}

int folder_read(const struct folder *f, const char *name, size_t max, struct buf *ret,
                struct error *err) {
        size_t before = ret->len;
        int fd;
        int r;

        if (!folder_name_valid(name))
                return bad_name(err);
        fd = open_again(f, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd == -ENOENT)
                return error_set(err, MCPB_NOT_FOUND, ENOENT, NULL, "There is no file %s", name);
        if (fd < 0)
                return failed(err, -fd, "open", name);
        r = read_all(f, fd, max, ret);
        (void)close_once(f, fd);
        if (r == 0)
                return 0;
        buf_truncate(ret, before);
        if (r == -EPERM)
                return error_set(err, MCPB_STORE_CORRUPT, EPERM, NULL,
                                 "%s is no regular file of this user", name);
        if (r == -EMSGSIZE)
                return error_set(err, MCPB_STORE_CORRUPT, EMSGSIZE, NULL, "%s is too large", name);
        return failed(err, -r, "read", name);
}

static int write_all(const struct folder *f, int fd, const void *data, size_t len) {
        const char *p = data;

        while (len > 0) {
                ssize_t n = f->calls->write(f->calls_data, fd, p, len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EIO; /* makes no progress and does not say why */
                p += n;
                len -= (size_t)n;
        }
        return 0;
}

/* The whole data, on the disk, under the temporary name. */
static int write_tmp(const struct folder *f, const char *tmp, const void *data, size_t len) {
        const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
        int fd = open_again(f, tmp, flags);
        int r;
        int r2;

        /* A leftover that the sweep could not remove, or of a write that failed. */
        if (fd == -EEXIST && f->calls->unlinkat(f->calls_data, f->dirfd, tmp) == 0)
                fd = open_again(f, tmp, flags);
        if (fd < 0)
                return fd;
        r = write_all(f, fd, data, len);
        if (r == 0)
                r = sync_again(f, fd);
        r2 = close_once(f, fd); /* NFS tells a full disk only here */
        return r < 0 ? r : r2;
}

int folder_write(const struct folder *f, const char *name, const void *data, size_t len,
                 struct error *err) {
        char tmp[TMP_NAME_MAX + 1];
        int r;

        if (!folder_name_valid(name))
                return bad_name(err);
        (void)snprintf(tmp, sizeof(tmp), ".%s" TMP_SUFFIX, name);
        r = write_tmp(f, tmp, data, len);
        if (r == 0 && f->calls->renameat(f->calls_data, f->dirfd, tmp, name) < 0)
                r = -errno;
        if (r < 0) {
                (void)f->calls->unlinkat(f->calls_data, f->dirfd, tmp);
                return failed(err, -r, "write", name);
        }
        /* From here on the new file is there; but it is not told before it survives a power cut. */
        r = sync_again(f, f->dirfd);
        return r < 0 ? failed(err, -r, "make durable", name) : 0;
}

int folder_remove(const struct folder *f, const char *name, struct error *err) {
        int r;

        if (!folder_name_valid(name))
                return bad_name(err);
        if (f->calls->unlinkat(f->calls_data, f->dirfd, name) < 0)
                return errno == ENOENT ? error_set(err, MCPB_NOT_FOUND, ENOENT, NULL,
                                                   "There is no file %s", name)
                                       : failed(err, errno, "remove", name);
        r = sync_again(f, f->dirfd);
        return r < 0 ? failed(err, -r, "remove for good", name) : 0;
}

/* Through a descriptor of its own: the position in a folder belongs to the open file. */
static int open_listing(const struct folder *f, DIR **ret, struct error *err) {
        int fd = open_again(f, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir;

        if (fd < 0)
                return failed(err, -fd, "open", "the folder of the store");
        dir = fdopendir(fd);
        if (!dir) {
                int r = -errno;

                (void)close(fd);
                return failed(err, -r, "list", "the folder of the store");
        }
        *ret = dir;
        return 0;
}

/* Calls @fn with each name in the folder. */
static int walk(const struct folder *f, int (*fn)(const char *name, void *userdata), void *userdata,
                struct error *err) {
        DIR *dir = NULL;
        int r = open_listing(f, &dir, err);

        if (r < 0)
                return r;
        assert(dir);
        for (;;) {
                const struct dirent *e;

                errno = 0;
                /* cppcheck-suppress readdirCalled */
                e = readdir(dir); /* one thread, and a stream of our own */
                if (!e) {
                        if (errno != 0)
                                r = failed(err, errno, "list", "the folder of the store");
                        break;
                }
                r = fn(e->d_name, userdata);
                if (r < 0)
                        break;
        }
        (void)closedir(dir);
        return r;
}

struct listing {
        int (*fn)(const char *name, void *userdata);
        void *userdata;
        size_t n;
};

static int on_list_name(const char *name, void *userdata) {
        struct listing *l = userdata;

        if (!folder_name_valid(name))
                return 0;
        if (++l->n > LIMIT_RECORDS)
                return -E2BIG;
        return l->fn(name, l->userdata);
}

int folder_list(const struct folder *f, int (*fn)(const char *name, void *userdata), void *userdata,
                struct error *err) {
        struct listing l = { .fn = fn, .userdata = userdata };
        int r = walk(f, on_list_name, &l, err);

        if (r == -E2BIG && l.n > LIMIT_RECORDS)
                return error_set(err, MCPB_STORE_UNAVAILABLE, E2BIG, "Is this the right folder?",
                                 "More than %d files in the folder of the store", LIMIT_RECORDS);
        return r;
}

struct sweep {
        const struct folder *folder;
        size_t n;
        int failed; /* errno of the first that could not be removed */
};

static bool is_tmp(const char *name) {
        size_t len = strnlen(name, TMP_NAME_MAX + 1);
        const size_t n_suffix = strlen(TMP_SUFFIX);
        char inner[FOLDER_NAME_MAX + 1] = "";

        if (len < 2 + n_suffix || len > TMP_NAME_MAX || name[0] != '.' ||
            !streq(name + len - n_suffix, TMP_SUFFIX))
                return false;
        memcpy(inner, name + 1, len - 1 - n_suffix);
        return folder_name_valid(inner);
}

static int on_sweep_name(const char *name, void *userdata) {
        struct sweep *s = userdata;

        if (!is_tmp(name))
                return 0;
        if (s->folder->calls->unlinkat(s->folder->calls_data, s->folder->dirfd, name) == 0)
                s->n++;
        else if (errno != ENOENT && s->failed == 0)
                s->failed = errno;
        return 0;
}

int folder_sweep(const struct folder *f, size_t *ret_n, struct error *err) {
        struct sweep s = { .folder = f };
        int r = walk(f, on_sweep_name, &s, err);

        if (r < 0)
                return r;
        if (s.failed != 0)
                return failed(err, s.failed, "remove", "a leftover in the folder of the store");
        if (ret_n)
                *ret_n = s.n;
        return 0;
}
