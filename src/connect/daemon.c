/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "connect/daemon.h"

#include <poll.h>
#include <sys/epoll.h>

/* What the host said before it went is worth so much. */
#define LINGER_MSEC 2000

/* There may be something to read all the same. */
static bool is_gone(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLRDHUP };

        return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLRDHUP));
}

static int watch(int epoll_fd, int fd, uint32_t events) {
        struct epoll_event e = { .events = events };

        if (fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0)
                return 0;
        return errno == EPERM ? 0 : -errno; /* a file has nobody at its other end */
}

/* Readable when @stop_fd is, and when nobody writes to @host_fd any more. */
static int join(int stop_fd, int host_fd, int *ret) {
        AUTO_CLOSE int fd = epoll_create1(EPOLL_CLOEXEC);
        int r = fd < 0 ? -errno : watch(fd, stop_fd, EPOLLIN);

        if (r == 0)
                r = watch(fd, host_fd, EPOLLRDHUP);
        if (r == 0)
                *ret = TAKE_FD(fd);
        return r;
}

int daemon_connect(const mcpb_options *options, int host_fd, int *cancel_fd, mcpb_client **ret,
                   mcpb_error *err) {
        mcpb_options o = *options;
        int r = *cancel_fd < 0 ? join(options->cancel_fd, host_fd, cancel_fd) : 0;

        if (r < 0)
                return r;
        if (!is_gone(host_fd)) {
                o.cancel_fd = *cancel_fd;
                r = mcpb_client_new(&o, ret, err);
                if (r != -ECANCELED || !is_gone(host_fd))
                        return r;
                mcpb_error_done(err);
        }
        o.cancel_fd = options->cancel_fd;
        o.timeout_msec = LINGER_MSEC;
        return mcpb_client_new(&o, ret, err);
}
