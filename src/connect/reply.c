/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/reply.h"

#include <strings.h>

#include "base/limits.h"
#include "base/log.h"

#define OTHER_BYTES ((size_t)4096)

void reply_init(struct reply *r, const struct reply_ops *ops, void *userdata, size_t message_max) {
        *r = (struct reply){
                .ops = ops, .userdata = userdata, .message_max = message_max, .retry_msec = -1
        };
        r->body.max = message_max;
        sse_init(&r->sse, r->message_max);
}

void reply_done(struct reply *r) {
        buf_done(&r->body);
        sse_done(&r->sse);
        reply_forget_place(r);
}

bool reply_can_resume(const struct reply *r) {
        return r->event_id && *r->event_id;
}

void reply_forget_place(struct reply *r) {
        free(r->event_id);
        r->event_id = NULL;
}

int reply_add_place(const struct reply *r, struct fetch_request *f) {
        return reply_can_resume(r) ? fetch_request_add_header(f, "Last-Event-ID", r->event_id) : 0;
}

static void note_event_id(struct reply *r, const char *id) {
        char *copy = strdup(id);

        if (!copy)
                return;
        reply_forget_place(r);
        r->event_id = copy;
}

static bool type_is(const char *value, const char *type) {
        size_t n = strlen(type);

        return value && strncasecmp(value, type, n) == 0 && strchr("; \t", value[n]);
}

void reply_begin(struct reply *r, const struct fetch_answer *a) {
        const char *type = fetch_answer_header(a, "content-type");

        buf_done(&r->body);
        r->body.max = r->message_max;
        sse_done(&r->sse);
        sse_init(&r->sse, r->message_max);
        r->status = a->status;
        r->why = NULL;
        r->bytes = 0;
        if (a->status == 202 || a->status == 204)
                r->kind = REPLY_NOTHING;
        else if (type_is(type, "application/json"))
                r->kind = REPLY_JSON;
        else if (type_is(type, "text/event-stream") && a->status < 300)
                r->kind = REPLY_EVENTS;
        else
                r->kind = REPLY_OTHER;
}

static int wrong(struct reply *r, int errnum, const char *why) {
        r->why = why;
        return -errnum;
}

static void tell(struct reply *r, struct span text) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        const char *why = NULL;

        if (message_scan(&m, text.p, text.len, &why) == 0)
                r->ops->on_message(&m, r->userdata);
        else
                /* The body of a refusal is often JSON of another kind. */
                log_message(r->status < 300 ? LOG_WARNING : LOG_DEBUG,
                            "a message of the server is left out: %s", why ? why : "no memory");
}

/* One JSON value: a message, or a batch of them (2025-03-26). */
static int take_value(struct reply *r, const char *data, size_t len) {
        struct span whole;
        struct span item;
        size_t pos = 0;

        if (jsonspan_check(data, len, LIMIT_MESSAGE_DEPTH, NULL) < 0)
                return wrong(r, EBADMSG, "the server's answer is not JSON");
        whole = jsonspan_trim(data, len);
        if (jsonspan_type(whole) == JSONSPAN_OBJECT) {
                tell(r, whole);
                return 0;
        }
        if (jsonspan_type(whole) != JSONSPAN_ARRAY)
                return wrong(r, EBADMSG, "the server's answer is no JSON-RPC message");
        while (jsonspan_next_item(whole, &pos, &item))
                if (jsonspan_type(item) == JSONSPAN_OBJECT)
                        tell(r, item);
        return 0;
}

static int on_event(const struct sse_event *e, void *userdata) {
        struct reply *r = userdata;

        if (e->id_seen)
                note_event_id(r, e->id);
        if (e->retry_msec >= 0)
                r->retry_msec = e->retry_msec;
        if (!e->has_data || e->len == 0)
                return 0;
        if (!streq(e->type, "message")) {
                if (r->ops->on_other_event)
                        r->ops->on_other_event(e, r->userdata);
                return 0;
        }
        /* One bad event is the server's slip, and no reason to lose the others. */
        if (take_value(r, e->data, e->len) < 0) {
                log_warning("an event of the server is left out: %s", r->why);
                r->why = NULL;
        }
        return 0;
}

int reply_feed(struct reply *r, const char *data, size_t len) {
        int e = 0;

        r->bytes += len;
        switch (r->kind) {
        case REPLY_EVENTS:
                e = sse_feed(&r->sse, data, len, on_event, r);
                break;
        case REPLY_JSON:
                e = buf_append(&r->body, data, len);
                break;
        case REPLY_OTHER:
                if (r->body.len < OTHER_BYTES)
                        e = buf_append(&r->body, data,
                                       len < OTHER_BYTES - r->body.len ? len
                                                                       : OTHER_BYTES - r->body.len);
                break;
        case REPLY_NOTHING:
        case REPLY_KIND_COUNT:
                break;
        }
        if (e == -EMSGSIZE)
                return wrong(r, EMSGSIZE, "the server's answer is longer than is allowed");
        return e;
}

int reply_end(struct reply *r) {
        if (r->kind != REPLY_JSON || r->body.len == 0)
                return 0;
        return take_value(r, r->body.data, r->body.len);
}
