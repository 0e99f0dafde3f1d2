/* SPDX-License-Identifier: Apache-2.0 */
#include "os/io.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#define READ_CHUNK ((size_t)64 * 1024)

static int wait_writable(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLOUT };

        for (;;) {
                if (poll(&p, 1, -1) >= 0)
                        return 0;
                if (errno != EINTR)
                        return -errno;
        }
}

int io_write_full(int fd, const void *data, size_t len) {
        const char *p = data;

        while (len > 0) {
                ssize_t n = write(fd, p, len);

                if (n < 0 && errno == EAGAIN) {
                        int r = wait_writable(fd);

                        if (r < 0)
                                return r;
                } else if (n < 0 && errno != EINTR) {
                        return -errno;
                } else if (n > 0) {
                        p += n;
                        len -= (size_t)n;
                }
        }
        return 0;
}

int io_read_full(int fd, size_t max, struct buf *ret) {
        size_t before = ret->len;

        for (;;) {
                /* One byte more than may be there: that is how too much is seen. */
                size_t room = max - (ret->len - before) + 1;
                ssize_t n;
                int r;

                room = room < READ_CHUNK ? room : READ_CHUNK;
                r = buf_reserve(ret, room);
                if (r < 0) {
                        buf_truncate(ret, before);
                        return r;
                }
                n = read(fd, ret->data + ret->len, room);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        r = -errno;
                        buf_truncate(ret, before);
                        return r;
                }
                ret->len += (size_t)n;
                ret->data[ret->len] = '\0';
                if (n == 0)
                        return 0;
                if (ret->len - before > max) {
                        buf_truncate(ret, before);
                        return -EFBIG;
                }
        }
}

int io_read_file_at(int dirfd, const char *name, size_t max, struct buf *ret) {
        AUTO_CLOSE int fd = -1;
        struct stat st;

        /* Non-blocking, or opening a pipe that somebody put there would wait for ever. */
        fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
        return io_read_full(fd, max, ret);
}

int fd_set_nonblock(int fd) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0)
                return -errno;
        return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int fd_set_cloexec(int fd, bool on) {
        return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0 ? -errno : 0;
}
