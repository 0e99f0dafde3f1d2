/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-broker-identity: one order in, one reply out, and gone. A process of its own because it opens
 * files, starts programs and connects to sockets, which the keeper may not, and because what comes
 * of it is a secret, which session may not see. Descriptor 0 is a stream socket to the keeper.
 * Not closed in by more than that no privilege is gained: what a command needs, nobody here knows.
 */
#include "config.h"

#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/log.h"
#include "hands/hands.h"
#include "http/client.h"
#include "os/alloc.h"
#include "os/io.h"
#include "os/process.h"
#include "wire/chan.h"

enum {
        EXIT_OURS = 1,
        EXIT_REQUEST = 2,
};

#define KEEPER_FD 0

static bool is_stream_socket(int fd) {
        socklen_t len = sizeof(int);
        int type = 0;

        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

static int wait_for(const struct chan *c) {
        struct pollfd p = { .fd = chan_fd(c), .events = chan_events(c) };

        return poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

static int receive(struct chan *c, struct frame *ret) {
        for (;;) {
                int r = chan_read(c);
                int n = chan_next(c, ret);

                if (n != 0)
                        return n < 0 ? n : 0;
                if (r == 0)
                        r = wait_for(c);
                if (r < 0)
                        return r;
        }
}

static int send_all(struct chan *c, const json_t *head, struct buf *body) {
        int r = chan_send(c, head, body, NULL, 0);

        while (r == 0 && !chan_idle(c)) {
                r = wait_for(c);
                if (r == 0)
                        r = chan_flush(c);
        }
        return r;
}

static void carry_out(struct order *o, struct order_reply *p) {
        switch (o->kind) {
        case ORDER_READ:
                hands_read(o, HANDS_ARC_FOLDER, p);
                return;
        case ORDER_RUN:
                hands_run(o, KEEPER_FD, p);
                return;
        case ORDER_CALL:
                p->r = http_init();
                if (p->r == 0)
                        hands_call(o, KEEPER_FD, p);
                break;
        case ORDER_KIND_COUNT:
                p->r = -EINVAL;
                break;
        }
        (void)error_fallback(&p->err, p->r, "Carrying out an order");
}

static int try_reply(struct chan *c, struct order_reply *p, enum order_kind kind) {
        AUTO_JSON json_t *head = NULL;
        int r = order_reply_to_head(p, kind, &head);

        if (r < 0)
                return r;
        return send_all(c, head, kind == ORDER_CALL ? &p->answer.body : &p->bytes);
}

/* An answer whose headers do not fit into a frame when written as JSON was too large, after all. */
static int reply(struct chan *c, struct order_reply *p, enum order_kind kind) {
        int r = try_reply(c, p, kind);

        if (r != -EMSGSIZE)
                return r;
        order_reply_done(p);
        p->r = error_set(&p->err, MCPB_IDENTITY_FAILED, EFBIG, NULL,
                         "The answer is larger than is allowed");
        return try_reply(c, p, kind);
}

static int serve(struct chan *c) {
        struct frame f = FRAME_INIT;
        struct order_reply p;
        struct order o;
        int r = receive(c, &f);

        order_init(&o, ORDER_READ);
        order_reply_init(&p);
        if (r == 0)
                r = f.n_fds > 0 ? -EBADMSG : order_from_head(&o, f.head, &f.body);
        frame_done(&f);
        if (r == 0) {
                carry_out(&o, &p);
                r = reply(c, &p, o.kind);
        }
        order_done(&o);
        order_reply_done(&p);
        return r;
}

static int begin(struct error *err) {
        int r = process_harden(err);

        json_use_wiping_allocator();
        if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                r = -errno;
        if (r == 0 && clearenv() != 0)
                r = -ENOMEM;
        if (r == 0)
                r = process_ignore_sigpipe();
        if (r == 0)
                r = fd_set_nonblock(KEEPER_FD);
        if (r == 0)
                r = fd_set_cloexec(KEEPER_FD, true);
        return error_fallback(err, r, "Starting");
}

int main(int argc, char *argv[]) {
        struct error err = ERROR_INIT;
        struct chan *c;
        int r;

        if (argc != 1 || !is_stream_socket(KEEPER_FD)) {
                (void)fputs("mcp-broker-identity is a part of mcp-brokerd, which starts it; not "
                            "for use by hand.\n",
                            stderr);
                return EXIT_REQUEST;
        }
        log_open("mcp-broker-identity", LOG_INFO);
        (void)alarm(LIMIT_ORDER_SEC); /* a keeper that says nothing does not keep us */
        r = begin(&err);
        if (r < 0) {
                log_failure(LOG_ERR, &err, "mcp-broker-identity");
                return EXIT_OURS;
        }
        if (!alloc_is_wiping())
                log_debug("freed memory is not wiped in this build");
        c = chan_new(KEEPER_FD);
        r = c ? serve(c) : -ENOMEM;
        (void)chan_free(c);
        return r == 0 ? 0 : r == -ENOMEM ? EXIT_OURS : EXIT_REQUEST;
}
