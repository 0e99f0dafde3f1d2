/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "rpc/rpc.h"

#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "os/sock.h"
#include "rpc/conn.h"

#define ACCEPT_AT_ONCE 8
#define ACCEPT_PAUSE_USEC USEC_PER_SEC
#define REFUSALS_LOGGED_PER_MINUTE 20

struct listener {
        struct list link;
        struct rpc *rpc;
        int fd;
        enum rpc_listener_kind kind;
        struct pump *pump;
        bool paused; /* no descriptors left: until the timer */
        sd_event_source *timer;
};

void rpc_log_refusal(struct rpc *rpc, pid_t pid, const struct error *err) {
        uint64_t now = clock_boot_usec();

        if (now - rpc->log_since >= 60 * USEC_PER_SEC) {
                rpc->log_since = now;
                rpc->log_count = 0;
        }
        if (rpc->log_count++ >= REFUSALS_LOGGED_PER_MINUTE)
                return;
        log_warning("refused process %d: %s (%s)", (int)pid, err->message, error_name(err->code));
}

/* Says one line to somebody who is not let in; whether it arrives is his affair. */
static void turn_away(struct rpc *rpc, int fd, pid_t pid, const struct error *err) {
        AUTO_BUF struct buf line = BUF_INIT;

        rpc->counts.refused++;
        rpc_log_refusal(rpc, pid, err);
        if (message_error(&line, NULL, err, NULL) == 0)
                (void)!send(fd, line.data, line.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static unsigned clients_of_pid(const struct rpc *rpc, pid_t pid) {
        const struct conn *c;
        unsigned n = 0;

        LIST_FOREACH(c, &rpc->conns, struct conn, link) {
                n += c->who.pid == pid;
        }
        return n;
}

static int admit(struct rpc *rpc, int fd, struct caller *who, struct error *err) {
        struct ucred cred;
        int r;

        r = sock_peer_cred(fd, &cred);
        if (r < 0)
                return error_set(err, MCPB_NOT_PERMITTED, -r, NULL,
                                 "This process cannot be seen from where the daemon runs");
        who->pid = cred.pid;
        who->uid = cred.uid;
        who->gid = cred.gid;
        if (cred.uid != geteuid())
                return error_set(err, MCPB_NOT_PERMITTED, EPERM, NULL,
                                 "This daemon belongs to another user");
        if (rpc->counts.clients >= LIMIT_CLIENTS)
                return error_set(err, MCPB_BUSY, EMFILE, "Try again later.",
                                 "The daemon has all the clients that it can serve");
        if (clients_of_pid(rpc, cred.pid) >= LIMIT_CLIENTS_PER_PID)
                return error_set(err, MCPB_BUSY, EMFILE, "Use one connection for many requests.",
                                 "This process has too many connections");
        r = sock_peer_pidfd(fd, cred.pid, &who->pidfd, NULL);
        if (r == -EMFILE || r == -ENFILE)
                return error_set(err, MCPB_BUSY, -r, "Try again later.",
                                 "The daemon has no descriptor left");
        if (r < 0)
                return error_set(err, MCPB_NOT_PERMITTED, -r, NULL,
                                 "The process that connected cannot be held on to");
        return 0;
}

static void take_client(struct listener *l, int fd) {
        struct rpc *rpc = l->rpc;
        struct caller who = { .pidfd = -1 };
        struct error err = ERROR_INIT;

        rpc->counts.accepted++;
        /*
         * Inherited from the listening socket; where it is not, no frame has a sender and none is
         * taken.
         */
        (void)!sock_set_passcred(fd);
        if (admit(rpc, fd, &who, &err) < 0) {
                turn_away(rpc, fd, who.pid, &err);
                (void)close(fd);
                return;
        }
        who.conn_id = ++rpc->last_conn_id;
        if (conn_new(rpc, fd, l->kind, &who) < 0)
                log_warning("no memory for a client");
}

static int on_pause_over(sd_event_source *s, uint64_t usec, void *userdata) {
        struct listener *l = userdata;

        l->paused = false;
        pump_update(l->pump);
        return 0;
}

/* Without descriptors the socket stays readable: the loop must not spin on it. */
static void pause_listener(struct listener *l) {
        uint64_t until = clock_boot_usec() + ACCEPT_PAUSE_USEC;
        int r;

        if (l->timer)
                r = loop_timer_set(l->timer, until);
        else
                r = loop_timer(l->rpc->event, until, on_pause_over, l, "rpc-accept-pause",
                               &l->timer);
        l->paused = r == 0;
        log_warning("no descriptors left for clients: pausing");
}

/* One of those that wait has its turn, or is freed. */
static void next_turn(struct rpc *rpc) {
        struct conn *c = LIST_FIRST(&rpc->ready, struct conn, ready);

        if (!c)
                return;
        list_remove(&c->ready);
        if (c->state == CONN_CLOSED)
                conn_free(c);
        else
                conn_turn(c);
}

/* Who knocks without end keeps nobody waiting that is in: for each that comes, one has its turn. */
static int on_listener_ready(void *userdata, uint32_t revents) {
        struct listener *l = userdata;

        for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
                int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd >= 0) {
                        take_client(l, fd);
                        next_turn(l->rpc);
                        continue;
                }
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                        pause_listener(l);
                if (errno != EINTR && errno != ECONNABORTED)
                        break;
        }
        return 0;
}

static short listener_events(void *userdata) {
        const struct listener *l = userdata;

        return l->paused ? 0 : POLLIN;
}

static const struct pump_ops listener_ops = {
        .on_ready = on_listener_ready,
        .events = listener_events,
        .priority = LOOP_CLIENT, /* below them it would starve while they are busy */
};

static void listener_free(struct listener *l) {
        (void)pump_free(l->pump);
        (void)loop_source_free(l->timer);
        list_remove(&l->link);
        (void)close(l->fd);
        free(l);
}

int rpc_add_listener(struct rpc *rpc, int fd, enum rpc_listener_kind kind) {
        AUTO_CLOSE int owned = fd;
        struct listener *l;
        int r;

        r = sock_set_passcred(fd);
        if (r < 0)
                return r;
        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->rpc = rpc;
        l->kind = kind;
        l->fd = TAKE_FD(owned);
        list_init(&l->link);
        r = pump_new(rpc->event, l->fd, &listener_ops, l, "rpc-listener", &l->pump);
        if (r < 0) {
                listener_free(l);
                return r;
        }
        list_append(&rpc->listeners, &l->link);
        return 0;
}

void rpc_stop_accepting(struct rpc *rpc) {
        struct listener *l;

        LIST_FOREACH(l, &rpc->listeners, struct listener, link) {
                listener_free(l);
        }
}

void rpc_wake(struct rpc *rpc, struct conn *c) {
        if (c && list_empty(&c->ready))
                list_append(&rpc->ready, &c->ready);
        (void)sd_event_source_set_enabled(rpc->ready_source, SD_EVENT_ONESHOT);
}

/*
 * One connection a time, then back to the loop: who sends much waits for who sends little. This
 * comes after the sockets, where a connection only joins the queue as long as there is one: so the
 * queue is fair, and cannot be kept waiting.
 */
static int on_ready(sd_event_source *s, void *userdata) {
        struct rpc *rpc = userdata;
        rpc_drained_fn drained;

        next_turn(rpc);
        if (!list_empty(&rpc->ready))
                rpc_wake(rpc, NULL);
        if (rpc->draining && list_empty(&rpc->conns) && rpc->drained) {
                drained = rpc->drained;
                rpc->drained = NULL;
                drained(rpc->drained_userdata); /* may free us */
        }
        return 0;
}

int rpc_drain(struct rpc *rpc, rpc_drained_fn done, void *userdata) {
        struct conn *c;

        if (rpc->draining)
                return -EALREADY;
        rpc->draining = true;
        rpc->drained = done;
        rpc->drained_userdata = userdata;
        rpc_stop_accepting(rpc);
        LIST_FOREACH(c, &rpc->conns, struct conn, link) {
                conn_settle(c);
        }
        rpc_wake(rpc, NULL);
        return 0;
}

void rpc_counts(const struct rpc *rpc, struct rpc_counts *ret) {
        const struct conn *c;

        *ret = rpc->counts;
        LIST_FOREACH(c, &rpc->conns, struct conn, link) {
                ret->open += c->state == CONN_OPEN;
                ret->out_bytes += c->out.len;
        }
}

int rpc_new(sd_event *event, const struct rpc_ops *ops, void *userdata, struct rpc **ret) {
        struct rpc *rpc = calloc(1, sizeof(*rpc));
        int r;

        if (!rpc)
                return -ENOMEM;
        rpc->event = sd_event_ref(event);
        rpc->ops = ops;
        rpc->userdata = userdata;
        list_init(&rpc->listeners);
        list_init(&rpc->conns);
        list_init(&rpc->ready);
        buf_init(&rpc->line, LIMIT_LINE_BYTES + 1);
        r = loop_defer(event, on_ready, rpc, "rpc-ready", &rpc->ready_source);
        if (r == 0)
                r = sd_event_source_set_priority(rpc->ready_source, LOOP_CLIENT + 1);
        if (r < 0) {
                (void)rpc_free(rpc);
                return r;
        }
        *ret = rpc;
        return 0;
}

struct rpc *rpc_free(struct rpc *rpc) {
        struct conn *c;

        if (!rpc)
                return NULL;
        rpc_stop_accepting(rpc);
        LIST_FOREACH(c, &rpc->conns, struct conn, link) {
                conn_free(c);
        }
        (void)loop_source_free(rpc->ready_source);
        buf_done(&rpc->line);
        (void)sd_event_unref(rpc->event);
        free(rpc);
        return NULL;
}
