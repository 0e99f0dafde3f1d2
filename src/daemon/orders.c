/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/orders.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "base/strmap.h"
#include "daemon/link.h"
#include "loop/loop.h"
#include "os/sock.h"

#define TOLD_MAX 256 /* files of which it was said that others may read them */

struct ordering {
        struct list link; /* in waiting, or in running */
        struct orders *owner;
        uint64_t id;
        struct order order; /* what is sent of it is in @head */
        json_t *head;
        struct link *stream; /* while it runs */
        sd_event_source *timer;
        order_done_fn fn;
        void *userdata;
        bool closed; /* the stream has ended, without a reply */
        bool ended;  /* session has no more to say of it */
        struct error err;
};

struct orders {
        sd_event *event;
        orders_start_fn start;
        void *userdata;
        struct list waiting;
        struct list running;
        size_t n_waiting;
        size_t n_running;
        sd_event_source *defer; /* for those whose turn it is */
        struct strmap *told;
        bool session;
};

static void ordering_free(struct ordering *q) {
        list_remove(&q->link);
        if (q->stream)
                q->owner->n_running--;
        else
                q->owner->n_waiting--;
        (void)loop_source_free(q->timer);
        (void)link_free(q->stream);
        json_decref(q->head);
        order_done(&q->order);
        free(q);
}

static int on_turn(sd_event_source *s, void *userdata);

/* Never from here, for who forgets an order is not called back. */
static void start_soon(struct orders *o) {
        int r = 0;

        if (!o->session || list_empty(&o->waiting) || o->n_running >= LIMIT_ORDERS)
                return;
        if (o->defer)
                r = sd_event_source_set_enabled(o->defer, SD_EVENT_ONESHOT);
        else
                r = loop_defer(o->event, on_turn, o, "orders", &o->defer);
        if (r < 0)
                log_debug("an order waits until it is given up: %s", strerror(-r));
}

/* --- the end of one ------------------------------------------------------------------------ */

static void complete(struct ordering *q, struct order_reply *p) {
        struct orders *o = q->owner;
        order_done_fn fn = q->fn;
        void *userdata = q->userdata;
        bool call = q->order.kind == ORDER_CALL;

        ordering_free(q);
        start_soon(o);
        if (p->r < 0)
                fn(p->r, NULL, NULL, &p->err, userdata);
        else
                fn(0, call ? &p->answer : NULL, call ? NULL : &p->bytes, NULL, userdata);
        order_reply_done(p);
}

static void fail(struct ordering *q, int r, const struct error *err) {
        struct order_reply p;

        order_reply_init(&p);
        p.r = r;
        p.err = *err;
        complete(q, &p);
}

/* The process is gone and said nothing; why, session knows if anybody does. */
static void fail_unanswered(struct ordering *q) {
        struct error err = q->err;

        if (err.code == MCPB_NO_ERROR)
                (void)error_set(&err, MCPB_RETRY, EAGAIN,
                                "Try again; the broker's log may say more",
                                "The program that gets identities ended without an answer");
        fail(q, -EAGAIN, &err);
}

/* Once for each file, or each use of it would be a line of the log. */
static void tell_exposed(struct orders *o, const char *path) {
        if (strmap_get(o->told, path) || strmap_count(o->told) >= TOLD_MAX)
                return;
        if (strmap_put(o->told, path, o) == 0)
                log_warning("The file %s holds an identity, and other users may read it: chmod "
                            "o-r would keep them from it",
                            path);
}

static int on_reply(struct frame *f, void *userdata) {
        struct ordering *q = userdata;
        struct order_reply p;
        int r;

        order_reply_init(&p);
        r = order_reply_from_head(&p, q->order.kind, f->head, &f->body);
        if (r == 0 && q->order.kind != ORDER_CALL && p.bytes.len > q->order.max)
                r = -EBADMSG;
        if (r < 0) {
                order_reply_done(&p);
                return r;
        }
        if (p.exposed && q->order.path)
                tell_exposed(q->owner, q->order.path);
        complete(q, &p);
        return 0;
}

static void on_closed(void *userdata) {
        struct ordering *q = userdata;

        q->closed = true;
        if (q->ended)
                fail_unanswered(q);
}

static const struct link_ops link_ops = { on_reply, on_closed };

/* --- the beginning ------------------------------------------------------------------------- */

/* More than the process gives itself: it knows better what it was that took so long. */
static uint64_t time_for(const struct order *o) {
        uint64_t usec = LIMIT_ORDER_WAIT_MSEC * USEC_PER_MSEC;

        if (o->kind == ORDER_RUN)
                usec += o->timeout_usec;
        if (o->kind == ORDER_CALL)
                usec += o->fetch.timeout_msec * USEC_PER_MSEC;
        return usec;
}

static int on_late(sd_event_source *s, uint64_t usec, void *userdata) {
        struct ordering *q = userdata;
        struct error err = ERROR_INIT;

        if (q->stream)
                (void)error_set(&err, MCPB_TIMEOUT, ETIMEDOUT, "Try again",
                                "The program that gets identities takes too long");
        else if (q->owner->session)
                (void)error_set(&err, MCPB_BUSY, EBUSY, "Try again",
                                "Too many identities are being got at once");
        else
                (void)error_set(&err, MCPB_RETRY, EAGAIN, "Try again in a moment",
                                "The process that starts programs has ended");
        fail(q, q->stream ? -ETIMEDOUT : -EAGAIN, &err);
        return 0;
}

static int begin(struct ordering *q) {
        struct orders *o = q->owner;
        AUTO_CLOSE int theirs = -1;
        struct link *stream = NULL;
        int fds[2] = { -1, -1 };
        int r = loop_timer_set(q->timer, clock_boot_usec() + time_for(&q->order));

        if (r == 0)
                r = sock_pair(fds);
        if (r < 0)
                return r;
        theirs = fds[1];
        r = link_new(o->event, fds[0], &link_ops, q, "identity", &stream);
        if (r < 0)
                return r;
        q->stream = stream;
        list_remove(&q->link);
        list_append(&o->running, &q->link);
        o->n_waiting--;
        o->n_running++;
        r = link_send(stream, q->head, &q->order.fetch.body, NULL, 0);
        return r < 0 ? r : o->start(q->id, theirs, o->userdata);
}

static void fail_to_begin(struct ordering *q, int r) {
        struct error err = ERROR_INIT;

        if (r == -ENOMEM)
                (void)error_oom(&err);
        else
                (void)error_set(&err, MCPB_RETRY, -r, "Try again in a moment",
                                "Cannot start the program that gets identities: %s", strerror(-r));
        fail(q, r, &err);
}

static int on_turn(sd_event_source *s, void *userdata) {
        struct orders *o = userdata;
        struct ordering *q;

        while (o->session && o->n_running < LIMIT_ORDERS &&
               (q = LIST_FIRST(&o->waiting, struct ordering, link)) != NULL) {
                int r = begin(q);

                if (r < 0)
                        fail_to_begin(q, r);
        }
        return 0;
}

static struct ordering *find(struct list *l, uint64_t id) {
        struct ordering *q;

        LIST_FOREACH(q, l, struct ordering, link)
                if (q->id == id)
                        return q;
        return NULL;
}

int orders_add(struct orders *o, uint64_t id, struct order *order, order_done_fn fn,
               void *userdata) {
        AUTO_JSON json_t *head = NULL;
        struct ordering *q;
        int r;

        if (o->n_waiting >= LIMIT_ORDERS_WAITING)
                return -EBUSY;
        r = order_to_head(order, &head);
        if (r < 0)
                return r;
        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        *q = (struct ordering){ .owner = o, .id = id, .fn = fn, .userdata = userdata };
        r = loop_timer(o->event, clock_boot_usec() + LIMIT_ORDER_WAIT_MSEC * USEC_PER_MSEC, on_late,
                       q, "order", &q->timer);
        if (r < 0) {
                free(q);
                return r;
        }
        order_init(&q->order, order->kind);
        order_move(&q->order, order);
        q->head = TAKE(head);
        list_append(&o->waiting, &q->link);
        o->n_waiting++;
        start_soon(o);
        return 0;
}

void orders_forget(struct orders *o, uint64_t id) {
        struct ordering *q = find(&o->running, id);

        if (!q)
                q = find(&o->waiting, id);
        if (!q)
                return;
        ordering_free(q);
        start_soon(o);
}

/* --- session ------------------------------------------------------------------------------- */

void orders_ended(struct orders *o, uint64_t id, const struct error *err) {
        struct ordering *q = find(&o->running, id);

        if (!q)
                return; /* it was answered, or forgotten */
        q->ended = true;
        if (err)
                q->err = *err;
        /* If its stream is still open, the reply may be in there. */
        if (q->closed)
                fail_unanswered(q);
}

void orders_session_here(struct orders *o) {
        o->session = true;
        start_soon(o);
}

static struct ordering *unanswered(struct orders *o) {
        struct ordering *q;

        LIST_FOREACH(q, &o->running, struct ordering, link) /* NOLINT(clang-analyzer-*) */
                if (q->closed)
                        return q;
        return NULL;
}

void orders_session_gone(struct orders *o) {
        struct ordering *q;

        o->session = false;
        LIST_FOREACH(q, &o->running, struct ordering, link)
                q->ended = true;
        while ((q = unanswered(o)) != NULL)
                fail_unanswered(q);
}

/* --- life ---------------------------------------------------------------------------------- */

int orders_new(sd_event *event, orders_start_fn start, void *userdata, struct orders **ret) {
        struct orders *o = calloc(1, sizeof(*o));

        if (!o)
                return -ENOMEM;
        *o = (struct orders){ .event = event, .start = start, .userdata = userdata };
        list_init(&o->waiting);
        list_init(&o->running);
        o->told = strmap_new();
        if (!o->told) {
                free(o);
                return -ENOMEM;
        }
        *ret = o;
        return 0;
}

struct orders *orders_free(struct orders *o) {
        if (!o)
                return NULL;
        while (!list_empty(&o->running))
                ordering_free(LIST_FIRST(&o->running, struct ordering, link));
        while (!list_empty(&o->waiting))
                ordering_free(LIST_FIRST(&o->waiting, struct ordering, link));
        (void)loop_source_free(o->defer);
        (void)strmap_free(o->told);
        free(o);
        return NULL;
}
