/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/listen.h"

#include "base/clock.h"
#include "base/log.h"
#include "connect/pause.h"
#include "loop/loop.h"

#define SETTLE_USEC (2 * USEC_PER_SEC) /* a server that does not even answer holds nobody up */

struct listen {
        struct upstream *upstream;
        const struct listen_ops *ops;
        void *userdata;
        struct call *call;
        struct reply reply;
        sd_event_source *timer;
        sd_event_source *settle;
        bool settled;
        unsigned status;
        uint64_t pause_usec;
};

static void settled(struct listen *l) {
        if (l->settled)
                return;
        l->settled = true;
        l->settle = loop_source_free(l->settle);
        l->ops->on_settled(l->userdata);
}

static int on_settle_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        settled(userdata);
        return 0;
}

static void on_message(const struct message *m, void *userdata) {
        struct listen *l = userdata;

        l->pause_usec = PAUSE_MIN_USEC;
        l->ops->on_message(m, l->userdata);
}

static int add_headers(struct fetch_request *f, void *userdata) {
        struct listen *l = userdata;
        int r = l->ops->add_headers(f, l->userdata);

        return r < 0 ? r : reply_add_place(&l->reply, f);
}

static void on_head(struct call *c, const struct fetch_answer *a, void *userdata) {
        struct listen *l = userdata;

        l->status = a->status;
        reply_begin(&l->reply, a);
        if (l->reply.kind == REPLY_EVENTS)
                settled(l);
}

static int on_body(struct call *c, const char *data, size_t len, void *userdata) {
        struct listen *l = userdata;

        return l->reply.kind == REPLY_EVENTS ? reply_feed(&l->reply, data, len) : 0;
}

static void open_stream(struct listen *l);

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        open_stream(userdata);
        return 0;
}

/* The server says how long to wait; where it does not, or answers nothing, the pauses grow. */
static void again_later(struct listen *l) {
        uint64_t usec = pause_next(&l->pause_usec);

        if (l->reply.retry_msec >= 0 && (uint64_t)l->reply.retry_msec * USEC_PER_MSEC > usec)
                usec = (uint64_t)l->reply.retry_msec * USEC_PER_MSEC;
        if (usec > PAUSE_MAX_USEC)
                usec = PAUSE_MAX_USEC;
        if (loop_timer_arm(l->upstream->event, clock_boot_usec() + usec, on_timer, l, "listen",
                           &l->timer) < 0)
                log_debug("the server's stream is not opened again: no timer");
}

static void on_end(const struct call_end *end, void *userdata) {
        struct listen *l = userdata;
        unsigned status = l->status;

        l->call = NULL;
        l->status = 0;
        if (end->result == CALL_NO_ACCESS)
                log_debug("the server's stream: %s", end->reason);
        settled(l);
        /* Any other refusal, 404 and 405 above all, says that there is no such stream; if a
         * session was lost, the next request finds out. */
        if (status == 0 ? end->result != CALL_NO_ACCESS
                        : status < 300 || status == 429 || status >= 500)
                again_later(l);
}

static void open_stream(struct listen *l) {
        static const struct call_ops ops = { .method = "GET",
                                             .accept = "text/event-stream",
                                             .add_headers = add_headers,
                                             .on_head = on_head,
                                             .on_body = on_body,
                                             .on_end = on_end };
        struct span none = SPAN_NONE;

        if (call_new(l->upstream, &ops, NULL, none, l, &l->call) < 0)
                again_later(l);
}

int listen_new(struct upstream *u, size_t message_max, const struct listen_ops *ops, void *userdata,
               struct listen **ret) {
        static const struct reply_ops reply_ops = { .on_message = on_message };
        struct listen *l = calloc(1, sizeof(*l));

        if (!l)
                return -ENOMEM;
        l->upstream = u;
        l->ops = ops;
        l->userdata = userdata;
        l->pause_usec = PAUSE_MIN_USEC;
        reply_init(&l->reply, &reply_ops, l, message_max);
        if (loop_timer(u->event, clock_boot_usec() + SETTLE_USEC, on_settle_timer, l,
                       "listen-settle", &l->settle) < 0) {
                (void)listen_free(l);
                return -ENOMEM;
        }
        open_stream(l);
        *ret = l;
        return 0;
}

struct listen *listen_free(struct listen *l) {
        if (!l)
                return NULL;
        (void)call_free(l->call);
        (void)loop_source_free(l->timer);
        (void)loop_source_free(l->settle);
        reply_done(&l->reply);
        free(l);
        return NULL;
}

void listen_pause(struct listen *l, bool pause) {
        if (l->call)
                call_pause(l->call, pause);
}
