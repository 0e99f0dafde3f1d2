/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "rpc/conn.h"

#include <assert.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "os/sock.h"
#include "wire/line.h"

#define LINES_PER_TURN 16

#define TO(state) (1U << (state))
static const unsigned conn_allowed[CONN_STATE_COUNT] = {
        [CONN_ATTESTING] = TO(CONN_GREETED) | TO(CONN_CLOSED),
        [CONN_GREETED] = TO(CONN_CONFIRMING) | TO(CONN_CLOSED),
        [CONN_CONFIRMING] = TO(CONN_OPEN) | TO(CONN_CLOSED),
        [CONN_OPEN] = TO(CONN_CLOSED),
};
static const char *const conn_names[CONN_STATE_COUNT] = {
        [CONN_ATTESTING] = "attesting",   [CONN_GREETED] = "greeted",
        [CONN_CONFIRMING] = "confirming", [CONN_OPEN] = "open",
        [CONN_CLOSED] = "closed",
};

void conn_set_state(struct conn *c, enum conn_state state) {
        assert(conn_allowed[c->state] & TO(state));
        log_debug("client %llu: %s -> %s", (unsigned long long)c->who.conn_id, conn_names[c->state],
                  conn_names[state]);
        c->state = state;
}

/* Sends what goes without waiting. -errno: the client is gone. */
static int flush(struct conn *c) {
        while (c->out.len > 0) {
                ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0)
                        return -errno;
                buf_consume(&c->out, (size_t)n);
                c->unread_usec = 0;
        }
        if (c->out.len == 0) {
                buf_done(&c->out);
                c->unread_usec = 0;
        } else if (c->unread_usec == 0) {
                c->unread_usec = clock_boot_usec();
        }
        return 0;
}

void conn_fail(struct conn *c, const struct error *err) {
        if (c->state == CONN_CLOSED)
                return;
        if (err && message_error(&c->out, NULL, err, NULL) == 0)
                (void)flush(c);
        conn_set_state(c, CONN_CLOSED);
        pump_update(c->pump);
        rpc_wake(c->rpc, c);
}

void conn_refuse(struct conn *c, const struct error *err) {
        if (c->state == CONN_CLOSED)
                return;
        c->rpc->counts.refused++;
        rpc_log_refusal(c->rpc, c->who.pid, err);
        conn_fail(c, err);
}

/*
 * May the next line be taken? Otherwise the client waits: in its own socket buffer, not in our
 * memory.
 */
static bool may_take(const struct conn *c) {
        return (c->state == CONN_GREETED || c->state == CONN_OPEN) && !c->rpc->draining &&
               c->n_requests < LIMIT_REQUESTS_PER_CLIENT && c->out.len < LIMIT_OUT_PAUSE_BYTES;
}

static bool may_read(const struct conn *c) {
        return may_take(c) && !c->has_line && !c->eof;
}

static short conn_events(void *userdata) {
        const struct conn *c = userdata;
        short events = 0;

        if (c->state == CONN_CLOSED)
                return 0;
        if (may_read(c))
                events |= POLLIN;
        if (c->out.len > 0)
                events |= POLLOUT;
        /* A hang-up is told with any event; POLLPRI never comes of a client that behaves. */
        return events ? events : POLLPRI;
}

static uint64_t sooner(uint64_t a, uint64_t since, unsigned sec) {
        uint64_t b = since + sec * USEC_PER_SEC;

        return since > 0 && b < a ? b : a;
}

static uint64_t next_deadline(const struct conn *c) {
        uint64_t at = UINT64_MAX;

        if (c->state != CONN_OPEN)
                at = sooner(at, c->since_usec, LIMIT_HELLO_SEC);
        at = sooner(at, c->half_usec, LIMIT_HALF_LINE_SEC);
        at = sooner(at, c->unread_usec, LIMIT_STALL_SEC);
        if (c->n_requests == 0)
                at = sooner(at, c->heard_usec, LIMIT_IDLE_SEC);
        return at;
}

static int on_conn_timer(sd_event_source *s, uint64_t usec, void *userdata);

/*
 * The timer is only ever brought forward here; when it fires early it looks again. Most requests
 * touch no timer.
 */
static void arm(struct conn *c) {
        uint64_t at = next_deadline(c);
        int r = 0;

        if (c->timer_usec <= at || c->state == CONN_CLOSED)
                return;
        if (c->timer)
                r = loop_timer_set(c->timer, at);
        else
                r = loop_timer(c->rpc->event, at, on_conn_timer, c, "rpc-client", &c->timer);
        if (r < 0)
                conn_fail(c, NULL);
        else
                c->timer_usec = at;
}

static const char *overdue(const struct conn *c, uint64_t now) {
        if (c->state != CONN_OPEN && now >= c->since_usec + LIMIT_HELLO_SEC * USEC_PER_SEC)
                return "No session was opened in time";
        if (c->half_usec > 0 && now >= c->half_usec + LIMIT_HALF_LINE_SEC * USEC_PER_SEC)
                return "A line was begun and not finished";
        if (c->unread_usec > 0 && now >= c->unread_usec + LIMIT_STALL_SEC * USEC_PER_SEC)
                return "The answers were not read";
        return "Nothing was said for a long time";
}

static int on_conn_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        struct conn *c = userdata;
        uint64_t now = clock_boot_usec();
        struct error err;

        c->timer_usec = UINT64_MAX;
        if (now < next_deadline(c)) {
                arm(c);
                return 0;
        }
        (void)error_set(&err, MCPB_TIMEOUT, ETIMEDOUT, NULL, "%s", overdue(c, now));
        conn_fail(c, &err);
        return 0;
}

static void line_too_long(struct conn *c) {
        struct error err;

        (void)error_set(&err, MCPB_BAD_REQUEST, EMSGSIZE, NULL, "A line is longer than %d bytes",
                        c->state == CONN_OPEN ? LIMIT_LINE_BYTES : LIMIT_OPEN_LINE_BYTES);
        conn_fail(c, &err);
}

static void take_lines(struct conn *c) {
        for (int i = 0; i < LINES_PER_TURN && may_take(c); i++) {
                struct buf *line = &c->rpc->line;
                size_t max = c->state == CONN_OPEN ? LIMIT_LINE_BYTES : LIMIT_OPEN_LINE_BYTES;
                int r = line_take(&c->in, &c->scanned, max, line);

                if (r == -EMSGSIZE)
                        line_too_long(c);
                else if (r < 0)
                        conn_fail(c, NULL);
                if (r <= 0) {
                        c->has_line = false;
                        break;
                }
                c->half_usec = 0;
                conn_on_line(c, line->data, line->len);
                buf_clear(line); /* what was in it may be a secret */
        }
        if (c->rpc->line.cap > sizeof(c->rpc->scratch))
                buf_done(&c->rpc->line);
        if (c->in.len == 0) {
                c->has_line = false;
                buf_done(&c->in);
        } else if (!c->has_line && c->half_usec == 0) {
                c->half_usec = c->heard_usec;
        }
}

void conn_settle(struct conn *c) {
        int r;

        if (c->in_turn || c->state == CONN_CLOSED)
                return;
        r = flush(c);
        if (r < 0) {
                conn_fail(c, NULL);
                return;
        }
        if (c->n_requests == 0 && c->out.len == 0 && c->state != CONN_CONFIRMING &&
            (c->rpc->draining || (c->eof && !c->has_line))) {
                conn_fail(c, NULL);
                return;
        }
        if (c->rpc->draining && c->state != CONN_OPEN) {
                conn_fail(c, NULL);
                return;
        }
        if (c->has_line && may_take(c))
                rpc_wake(c->rpc, c);
        arm(c);
        pump_update(c->pump);
}

void conn_turn(struct conn *c) {
        if (c->state == CONN_CLOSED)
                return;
        c->in_turn = true;
        if (c->has_line)
                take_lines(c);
        c->in_turn = false;
        conn_settle(c);
}

/* The kernel says who sent these bytes; it never hands over those of two senders at once. */
static int check_sender(struct conn *c, const struct ucred *sender) {
        struct error err;

        if (sender->pid != c->who.pid || sender->uid != c->who.uid)
                (void)error_set(&err, MCPB_NOT_PERMITTED, EPERM,
                                "Each process opens a connection of its own.",
                                "This message was sent by process %d, not by the one that "
                                "connected",
                                (int)sender->pid);
        else if (!pidfd_alive(c->who.pidfd))
                (void)error_set(&err, MCPB_NOT_PERMITTED, ESRCH, NULL,
                                "The process that connected is gone");
        else
                return 0;
        conn_refuse(c, &err);
        return -EPERM;
}

static void conn_read(struct conn *c, bool hung_up) {
        struct rpc *rpc = c->rpc;
        struct ucred sender = { 0 };
        ssize_t n = sock_recv_cred(c->fd, rpc->scratch, sizeof(rpc->scratch), &sender);
        int r;

        if (n == -EAGAIN || n == -EINTR)
                return;
        if (n < 0 || (n == 0 && hung_up)) {
                conn_fail(c, NULL);
                return;
        }
        c->heard_usec = clock_boot_usec();
        if (n == 0) {
                c->eof = true; /* half a line that is left over will not be finished */
                return;
        }
        r = check_sender(c, &sender);
        if (r == 0)
                r = buf_append(&c->in, rpc->scratch, (size_t)n);
        mem_wipe(rpc->scratch, (size_t)n);
        if (r < 0)
                conn_fail(c, NULL);
        else
                c->has_line = true;
}

static int on_conn_ready(void *userdata, uint32_t revents) {
        struct conn *c = userdata;
        bool hung_up = revents & (POLLHUP | POLLERR);

        if (c->state == CONN_CLOSED)
                return 0;
        if (may_read(c) && (revents & (POLLIN | POLLHUP | POLLERR)))
                conn_read(c, hung_up);
        else if (hung_up || (revents & POLLPRI))
                conn_fail(c, NULL); /* nobody is left to answer, or out-of-band bytes */
        if (c->has_line && !list_empty(&c->rpc->ready)) {
                rpc_wake(c->rpc, c); /* others wait for their turn already */
                conn_settle(c);
        } else {
                conn_turn(c);
        }
        return 0;
}

static const struct pump_ops conn_ops = {
        .on_ready = on_conn_ready,
        .events = conn_events,
        .priority = LOOP_CLIENT,
};

int conn_new(struct rpc *rpc, int fd, enum rpc_listener_kind kind, const struct caller *who) {
        struct conn *c = calloc(1, sizeof(*c));
        int r;

        if (!c) {
                (void)close(fd);
                (void)close(who->pidfd);
                return -ENOMEM;
        }
        c->rpc = rpc;
        c->fd = fd;
        c->kind = kind;
        c->who = *who;
        c->who.evidence = &c->evidence;
        c->timer_usec = UINT64_MAX;
        c->since_usec = c->heard_usec = clock_boot_usec();
        list_init(&c->ready);
        list_init(&c->requests);
        buf_init(&c->in, LIMIT_LINE_BYTES + 2 * sizeof(rpc->scratch));
        buf_init(&c->out, LIMIT_OUT_BYTES_PER_CLIENT);
        list_append(&rpc->conns, &c->link);
        rpc->counts.clients++;
        r = pump_new(rpc->event, fd, &conn_ops, c, "rpc-client", &c->pump);
        if (r < 0) {
                conn_free(c);
                return r;
        }
        arm(c);
        conn_attest(c);
        return 0;
}

void conn_free(struct conn *c) {
        list_remove(&c->link);
        list_remove(&c->ready);
        c->rpc->counts.clients--;
        c->state = CONN_CLOSED;
        conn_forget_attestation(c);
        conn_abandon_requests(c);
        (void)loop_source_free(c->timer);
        (void)pump_free(c->pump);
        (void)close(c->fd);
        (void)close(c->who.pidfd);
        json_decref(c->open_id);
        buf_done(&c->nonce);
        buf_done(&c->in);
        buf_done(&c->out);
        free(c);
}
