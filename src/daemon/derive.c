/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/derive.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "crypto/kdf.h"
#include "loop/loop.h"
#include "os/sock.h"

#define DERIVE_SEC 60

struct derive {
        int fd;
        struct buf out; /* the request: parameters and passphrase */
        unsigned char key[SECRET_KEY_BYTES];
        size_t n_key;
        sd_event_source *io;
        sd_event_source *timer;
        derive_done_fn done;
        void *userdata;
};

static void derive_free(struct derive *d) {
        d->io = loop_source_free(d->io);
        d->timer = loop_source_free(d->timer);
        if (d->fd >= 0)
                (void)close(d->fd);
        buf_done(&d->out);
        mem_wipe(d->key, sizeof(d->key));
        free(d);
}

static void complete(struct derive *d, int r) {
        derive_done_fn done = d->done;
        void *userdata = d->userdata;
        struct secret *key = NULL;

        if (r == 0) {
                key = secret_new_from(d->key, sizeof(d->key));
                r = key ? 0 : -ENOBUFS;
        }
        derive_free(d);
        done(r, key, userdata);
}

static int write_request(struct derive *d) {
        while (d->out.len > 0) {
                ssize_t n = send(d->fd, d->out.data, d->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0)
                        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
                buf_consume(&d->out, (size_t)n);
        }
        return sd_event_source_set_io_events(d->io, EPOLLIN);
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        struct derive *d = userdata;
        ssize_t n;
        int r = 0;

        if (revents & EPOLLOUT && d->out.len > 0)
                r = write_request(d);
        if (r < 0) {
                complete(d, r);
                return 0;
        }
        if (!(revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                return 0;
        n = recv(d->fd, d->key + d->n_key, sizeof(d->key) - d->n_key, MSG_DONTWAIT);
        if (n < 0) {
                if (errno != EAGAIN && errno != EINTR)
                        complete(d, -errno);
                return 0;
        }
        d->n_key += (size_t)n;
        if (d->n_key == sizeof(d->key))
                complete(d, 0);
        else if (n == 0)
                complete(d, -EPROTO);
        return 0;
}

static int on_time(sd_event_source *s, uint64_t usec, void *userdata) {
        complete(userdata, -ETIMEDOUT);
        return 0;
}

int derive_start(sd_event *event, const struct kdf_params *params, struct buf *passphrase,
                 derive_done_fn done, void *userdata, int *ret_child) {
        struct derive *d = calloc(1, sizeof(*d));
        int fds[2] = { -1, -1 };
        int r;

        if (!d)
                return -ENOMEM;
        d->fd = -1;
        d->done = done;
        d->userdata = userdata;
        r = kdf_request_append(&d->out, params, passphrase->data, passphrase->len);
        buf_done(passphrase);
        if (r == 0)
                r = sock_pair(fds);
        if (r == 0) {
                d->fd = fds[0];
                r = sd_event_add_io(event, &d->io, d->fd, EPOLLOUT | EPOLLIN, on_io, d);
        }
        if (r >= 0)
                r = loop_timer(event, clock_boot_usec() + DERIVE_SEC * USEC_PER_SEC, on_time, d,
                               "key derivation", &d->timer);
        if (r < 0) {
                if (fds[1] >= 0)
                        (void)close(fds[1]);
                derive_free(d);
                return r;
        }
        *ret_child = fds[1];
        return 0;
}
