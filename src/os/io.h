/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing whole things through descriptors, with every short count and EINTR seen to.
 */
#pragma once

#include "base/buf.h"

/* Writes all of it, waiting where it must (also on a non-blocking descriptor). 0 or -errno;
 * -EPIPE without a signal only where SIGPIPE is ignored. */
int io_write_full(int fd, const void *data, size_t len) MUST_CHECK;

/*
 * Appends the whole of a regular file below @dirfd (AT_FDCWD: the working directory) to @ret. A
 * symbolic link as the last part is refused (-ELOOP), as are devices and pipes (-EINVAL) and more
 * than @max bytes (-EFBIG). On failure @ret is as before.
 */
int io_read_file_at(int dirfd, const char *name, size_t max, struct buf *ret) MUST_CHECK;

/* Appends what @fd gives until its end, at most @max bytes (-EFBIG). For files and pipes. */
int io_read_full(int fd, size_t max, struct buf *ret) MUST_CHECK;

int fd_set_nonblock(int fd) MUST_CHECK;
int fd_set_cloexec(int fd, bool on) MUST_CHECK;
