/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "client/client.h"

void client_set_deadline(mcpb_client *c, int timeout_msec) {
        c->deadline_usec = timeout_msec < 0
                                   ? UINT64_MAX
                                   : clock_boot_usec() + (uint64_t)timeout_msec * USEC_PER_MSEC;
}

int client_msec_until(uint64_t usec) {
        uint64_t now;
        uint64_t msec;

        if (usec == UINT64_MAX)
                return -1;
        now = clock_boot_usec();
        if (usec <= now)
                return 0;
        msec = (usec - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
        return msec < 3600000 ? (int)msec : 3600000;
}

int client_wait(mcpb_client *c, int fd, short events, uint64_t until_usec, mcpb_error *err) {
        struct pollfd fds[] = {
                { .fd = fd, .events = events },
                { .fd = c->cancel_fd, .events = POLLIN },
                { .fd = c->user_cancel_fd, .events = POLLIN },
        };
        uint64_t first = until_usec < c->deadline_usec ? until_usec : c->deadline_usec;

        for (;;) {
                int n = poll(fds, ARRAY_SIZE(fds), client_msec_until(first));
                uint64_t now;

                if (n < 0 && errno != EINTR)
                        return client_error(err, MCPB_INTERNAL, errno, NULL, "poll: %s",
                                            strerror(errno));
                if (n < 0)
                        continue; /* a signal: if it was to cancel, the event is there now */
                if (fds[1].revents) {
                        eventfd_t unused;

                        (void)eventfd_read(c->cancel_fd, &unused);
                }
                if (fds[1].revents || fds[2].revents)
                        return client_error(err, MCPB_CANCELLED, ECANCELED, NULL, "Cancelled");
                if (fds[0].revents)
                        return 0;
                now = clock_boot_usec();
                if (now >= c->deadline_usec)
                        return client_error(err, MCPB_TIMEOUT, ETIMEDOUT, "Try again.",
                                            "The daemon did not answer in time");
                if (now >= until_usec)
                        return -EAGAIN;
        }
}

void mcpb_cancel(mcpb_client *c) {
        int saved = errno; /* a signal handler leaves no trace */

        (void)eventfd_write(c->cancel_fd, 1);
        errno = saved;
}
