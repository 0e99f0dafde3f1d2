/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/oldsse.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/url.h"
#include "loop/loop.h"

#define ENDPOINT_USEC (10 * USEC_PER_SEC)

struct oldsse {
        struct upstream *upstream;
        const struct oldsse_ops *ops;
        void *userdata;
        struct call *call;
        struct reply reply;
        sd_event_source *timer;
        unsigned status;
        bool open;
        const char *why; /* we end it */
};

static void on_message(const struct message *m, void *userdata) {
        struct oldsse *o = userdata;

        o->ops->on_message(m, o->userdata);
}

static void on_other_event(const struct sse_event *e, void *userdata) {
        struct oldsse *o = userdata;
        AUTO_FREE char *url = NULL;

        if (!streq(e->type, "endpoint") || o->open)
                return;
        /* The token goes there too: so it must be the same server. */
        url = url_resolve_within(o->upstream->url, e->data);
        if (!url) {
                o->why = "the address that the server names for messages is not its own";
                return;
        }
        o->open = true;
        o->timer = loop_source_free(o->timer);
        o->ops->on_open(url, o->userdata);
}

static void on_head(struct call *c, const struct fetch_answer *a, void *userdata) {
        struct oldsse *o = userdata;

        o->status = a->status;
        reply_begin(&o->reply, a);
        if (o->reply.kind != REPLY_EVENTS && a->status < 300)
                o->why = "the server's answer to GET is no event stream";
}

static int on_body(struct call *c, const char *data, size_t len, void *userdata) {
        struct oldsse *o = userdata;
        int r = o->reply.kind == REPLY_EVENTS && !o->why ? reply_feed(&o->reply, data, len) : 0;

        return o->why ? -EBADMSG : r;
}

static void on_end(const struct call_end *end, void *userdata) {
        struct oldsse *o = userdata;
        struct call_end judged = *end;

        o->call = NULL;
        o->timer = loop_source_free(o->timer);
        if (o->why)
                judged.reason = o->why;
        o->ops->on_end(o->open, o->status, &judged, o->userdata);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        static const struct call_end end = { .result = CALL_IN_DOUBT,
                                             .reason = "the server does not say where to send "
                                                       "messages to" };
        struct oldsse *o = userdata;

        o->call = call_free(o->call);
        o->ops->on_end(false, o->status, &end, o->userdata);
        return 0;
}

int oldsse_new(struct upstream *u, size_t message_max, const struct oldsse_ops *ops, void *userdata,
               struct oldsse **ret) {
        static const struct reply_ops reply_ops = { .on_message = on_message,
                                                    .on_other_event = on_other_event };
        static const struct call_ops call_ops = { .method = "GET",
                                                  .accept = "text/event-stream",
                                                  .on_head = on_head,
                                                  .on_body = on_body,
                                                  .on_end = on_end };
        struct oldsse *o = calloc(1, sizeof(*o));
        int r;

        if (!o)
                return -ENOMEM;
        o->upstream = u;
        o->ops = ops;
        o->userdata = userdata;
        reply_init(&o->reply, &reply_ops, o, message_max);
        r = loop_timer(u->event, clock_boot_usec() + ENDPOINT_USEC, on_timer, o, "oldsse",
                       &o->timer);
        if (r == 0)
                r = call_new(u, &call_ops, NULL, SPAN_NONE, o, &o->call);
        if (r < 0) {
                (void)oldsse_free(o);
                return r;
        }
        *ret = o;
        return 0;
}

struct oldsse *oldsse_free(struct oldsse *o) {
        if (!o)
                return NULL;
        (void)call_free(o->call);
        (void)loop_source_free(o->timer);
        reply_done(&o->reply);
        free(o);
        return NULL;
}

void oldsse_pause(struct oldsse *o, bool pause) {
        if (o->call)
                call_pause(o->call, pause);
}
