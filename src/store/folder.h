/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer's side of the store: whole files in one folder, replaced so that a crash, a full disk
 * or a torn write at any point leaves either the old file or the new one. Synchronous: runs in the
 * writer process, which has nothing else to do. Sees sealed bytes only. One process at a time (the
 * daemon's lock).
 *
 * Write: temporary file (O_EXCL, 0600), write, fsync, rename, fsync of the folder; only then 0 is
 * returned.
 */
#pragma once

#include <sys/stat.h>

#include "base/buf.h"
#include "base/error.h"

/* The system calls, so that a test can make each of them fail. As their namesakes: -1 and errno. */
struct folder_calls {
        int (*openat)(void *data, int dirfd, const char *name, int flags, mode_t mode);
        int (*fstat)(void *data, int fd, struct stat *st);
        ssize_t (*read)(void *data, int fd, void *p, size_t n);
        ssize_t (*write)(void *data, int fd, const void *p, size_t n);
        int (*fsync)(void *data, int fd);
        int (*close)(void *data, int fd);
        int (*renameat)(void *data, int dirfd, const char *from, const char *to);
        int (*unlinkat)(void *data, int dirfd, const char *name);
};

struct folder {
        int dirfd; /* borrowed; O_RDONLY | O_DIRECTORY (an O_PATH descriptor cannot be synced) */
        const struct folder_calls *calls;
        void *calls_data;
};

void folder_init(struct folder *f, int dirfd);

#define FOLDER_NAME_MAX 64
bool folder_name_valid(const char *name); /* 1 to 64 of [a-z0-9-] */

/*
 * All: 0 or -errno, with @err (may be NULL) filled. -EINVAL for a bad name.
 * read: appends to @ret; -ENOENT; -EMSGSIZE above @max; -ELOOP, -EPERM for what is no regular file
 * of our own.
 * write: after a failure the folder holds the old file, or the new one; @err tells what to do (free
 * space).
 * remove: durable when it returns; -ENOENT.
 */
int folder_read(const struct folder *f, const char *name, size_t max, struct buf *ret,
                struct error *err) MUST_CHECK;
int folder_write(const struct folder *f, const char *name, const void *data, size_t len,
                 struct error *err) MUST_CHECK;
int folder_remove(const struct folder *f, const char *name, struct error *err) MUST_CHECK;

/*
 * Calls @fn with each valid name; a negative return of @fn ends the walk and is returned. -E2BIG
 * above LIMIT_RECORDS.
 */
int folder_list(const struct folder *f, int (*fn)(const char *name, void *userdata), void *userdata,
                struct error *err) MUST_CHECK;

/*
 * Removes the leftovers of a crash; once, before the first write. *@ret_n (may be NULL) = how many.
 */
int folder_sweep(const struct folder *f, size_t *ret_n, struct error *err) MUST_CHECK;
