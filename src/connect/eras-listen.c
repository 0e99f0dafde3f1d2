/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/log.h"
#include "connect/bridge-state.h"
#include "connect/pause.h"
#include "loop/loop.h"

#define WATCHES_MAX 32 /* each is a request that stays open */

/* One subscriptions/listen, opened again whenever it ends. */
struct watch {
        struct list link;
        struct bridge *bridge;
        char *uri;                 /* NULL: lists */
        struct exchange *asked;    /* the host's request, until the server agrees */
        struct exchange *exchange; /* one of the running; NULL: not open just now */
        sd_event_source *timer;
        uint64_t pause_usec;
        bool agreed;
        bool over; /* ends as soon as no callback of its stream is under way */
};

static struct watch *watch_free(struct watch *w) {
        struct bridge *b = w->bridge;

        list_remove(&w->link);
        b->eras.n_listens--;
        if (w->asked) {
                relay_leave_batch(b, w->asked);
                w->asked = exchange_free(w->asked);
        }
        w->timer = loop_source_free(w->timer);
        free(w->uri);
        free(w);
        return NULL;
}

/* With the stream, so that the server knows. */
static void end_watch(struct watch *w) {
        struct bridge *b = w->bridge;
        struct exchange *x = TAKE(w->exchange);

        if (x) {
                b->n_running--;
                (void)exchange_free(x);
        }
        (void)watch_free(w);
}

void watch_stop(struct bridge *b) {
        struct watch *w;

        while ((w = LIST_FIRST(&b->eras.listens, struct watch, link))) {
                if (w->exchange)
                        w->exchange->watch = NULL; /* it ends with the others */
                (void)watch_free(w);
        }
}

static struct watch *find(struct bridge *b, const char *uri) {
        struct watch *w;

        LIST_FOREACH(w, &b->eras.listens, struct watch, link)
                if (uri ? streq_null(w->uri, uri) : !w->uri)
                        return w;
        return NULL;
}

static int open_stream(struct watch *w) {
        struct bridge *b = w->bridge;
        AUTO_BUF struct buf line = { .max = b->message_max };
        char id[48];
        int r = translate_write_listen(&b->eras.words, eras_new_id(&b->eras, id), w->uri, &line);

        r = r < 0 ? r : eras_say(b, &line, &w->exchange);
        if (r == 0)
                w->exchange->watch = w;
        return r;
}

static void again_later(struct watch *w);

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        struct watch *w = userdata;

        if (w->over)
                end_watch(w);
        else if (open_stream(w) < 0)
                again_later(w);
        return 0;
}

static void set_timer(struct watch *w, uint64_t usec) {
        if (loop_timer_arm(w->bridge->event, clock_boot_usec() + usec, on_timer, w, "watch",
                           &w->timer) < 0)
                log_debug("a subscription stays as it is: no timer");
}

static void again_later(struct watch *w) {
        set_timer(w, pause_next(&w->pause_usec));
}

/* ---- what the host wants ---- */

static struct watch *watch_new(struct bridge *b, const char *uri) {
        struct watch *w = calloc(1, sizeof(*w));

        if (!w)
                return NULL;
        w->bridge = b;
        w->pause_usec = PAUSE_MIN_USEC;
        w->uri = uri ? strdup(uri) : NULL;
        if (uri && !w->uri) {
                free(w);
                return NULL;
        }
        list_append(&b->eras.listens, &w->link);
        b->eras.n_listens++;
        return w;
}

static void open_for_lists(struct bridge *b) {
        struct watch *w = find(b, NULL);

        if (w)
                return;
        w = watch_new(b, NULL);
        if (!w || open_stream(w) < 0)
                log_warning("changes of the server's lists will not be seen: out of memory");
        if (w && !w->exchange)
                end_watch(w);
}

void watch_open(struct bridge *b, struct exchange *x) {
        struct watch *w;

        if (!x) {
                open_for_lists(b);
                return;
        }
        w = x->message.name ? find(b, x->message.name) : NULL;
        if (!x->message.name)
                eras_refuse(b, x, CODE_INVALID_PARAMS, "uri is missing");
        else if (!translate_server_can(&b->eras.words, "resources", "subscribe"))
                eras_refuse(b, x, CODE_METHOD_NOT_FOUND, "The server has no subscriptions");
        else if (w && w->agreed)
                eras_answer(b, x, "{}");
        else if (w)
                eras_refuse(b, x, CODE_INVALID_REQUEST, "This subscription is under way");
        else if (b->eras.n_listens >= WATCHES_MAX)
                eras_refuse(b, x, REFUSAL_CODE, "Too many subscriptions");
        else if (!(w = watch_new(b, x->message.name)))
                eras_refuse(b, x, REFUSAL_CODE, "out of memory");
        else {
                w->asked = x;
                if (open_stream(w) < 0) {
                        eras_refuse(b, TAKE(w->asked), REFUSAL_CODE, "out of memory");
                        end_watch(w);
                }
        }
}

void watch_close(struct bridge *b, const char *uri) {
        struct watch *w = find(b, uri);

        if (!w)
                return;
        if (w->asked)
                eras_refuse(b, TAKE(w->asked), REFUSAL_CODE, "The subscription was given up");
        end_watch(w);
}

bool watch_cancel(struct bridge *b, struct span id) {
        struct watch *w;

        LIST_FOREACH(w, &b->eras.listens, struct watch, link) {
                if (!w->asked || !message_id_equal(w->asked->message.id, id))
                        continue;
                end_watch(w);
                return true;
        }
        return false;
}

/* ---- what the server says ---- */

static bool agrees(const struct watch *w, const struct message *m) {
        struct span at = m->params;
        struct span uri;
        size_t pos = 0;

        if (!w->uri)
                return true;
        if (jsonspan_member(at, "notifications", &at) < 0 ||
            jsonspan_member(at, "resourceSubscriptions", &at) < 0)
                return false;
        while (jsonspan_next_item(at, &pos, &uri))
                if (jsonspan_string_is(uri, w->uri))
                        return true;
        return false;
}

static void end_soon(struct watch *w) {
        w->over = true;
        set_timer(w, 0);
}

static void acknowledged(struct watch *w, const struct message *m) {
        struct exchange *asked = TAKE(w->asked);
        struct bridge *b = w->bridge;

        w->pause_usec = PAUSE_MIN_USEC;
        w->agreed = agrees(w, m);
        if (w->agreed && asked)
                eras_answer(b, asked, "{}");
        else if (asked)
                eras_refuse(b, asked, CODE_INVALID_PARAMS,
                            "The server does not tell what becomes of this resource");
        if (!w->agreed)
                end_soon(w);
}

bool watch_unasked(struct bridge *b, struct exchange *x, const struct message *m) {
        struct watch *w = x->watch;

        if (m->kind == MESSAGE_REQUEST || streq(m->method, "notifications/cancelled"))
                return true;
        if (!streq(m->method, "notifications/subscriptions/acknowledged"))
                return false;
        acknowledged(w, m);
        return true;
}

bool watch_answered(struct bridge *b, struct exchange *x, const struct message *m) {
        AUTO_BUF struct buf text = { .max = b->message_max };
        struct watch *w = x->watch;

        if (m->error.len == 0)
                return true; /* its end will tell: the server closes it, and may be there again */
        if (w->asked && message_write_with_id(&text, m, w->asked->message.id) == 0)
                relay_answer(b, w->asked, (struct span){ text.data, text.len });
        if (w->asked)
                relay_leave_batch(b, w->asked);
        w->asked = exchange_free(w->asked);
        end_soon(w);
        return true;
}

bool watch_ended(struct bridge *b, struct exchange *x, const struct exchange_end *end) {
        struct watch *w = x->watch;
        bool refused = end->result == EXCHANGE_HTTP && end->status < 500 && end->status != 429;

        w->exchange = NULL;
        (void)exchange_free(x);
        if (w->asked)
                relay_refusal(b, w->asked, end);
        if (w->asked || w->over || refused || b->leaving)
                (void)watch_free(w);
        else
                again_later(w);
        return true;
}
