/* SPDX-License-Identifier: Apache-2.0 */
#include "net/worker.h"

#include <strings.h>

#include "base/list.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/pump.h"
#include "net/listener.h"
#include "net/redirect.h"
#include "wire/chan.h"

#define PAGE_BYTES_MAX ((size_t)256 * 1024)

struct worker {
        sd_event *event;
        struct chan *chan;
        struct pump *pump;
        struct http *http;
        enum fetch_via via;
        const struct sockowner *owner;
        struct list listeners;
        size_t n_listeners;
        size_t n_fetches;
        bool leaving; /* another has taken our place: we end with what we have under way */
};

struct ear {
        struct list link;
        struct worker *worker;
        uint64_t id;
        struct listener *listener;
};

/* ---- out ---- */

static void leave(struct worker *w, int r) {
        (void)sd_event_exit(w->event, r);
}

static void leave_if_done(struct worker *w) {
        if (w->leaving && w->n_fetches == 0 && w->n_listeners == 0 && chan_idle(w->chan))
                leave(w, 0);
}

/* Failing to tell the keeper is the end: it would wait for ever. */
static void send_frame(struct worker *w, const json_t *head, struct buf *body) {
        AUTO_BUF struct buf none = BUF_INIT;
        int r = head ? chan_send(w->chan, head, body ? body : &none, NULL, 0) : -ENOMEM;

        if (r < 0) {
                if (r != -EPIPE)
                        log_error("cannot answer the keeper: %s", strerror(-r));
                leave(w, r == -EPIPE ? 0 : r);
                return;
        }
        pump_update(w->pump);
}

static int try_answer(struct worker *w, struct fetch_answer *a) {
        AUTO_JSON json_t *head = NULL;
        int r = fetch_answer_to_head(a, &head);

        return r < 0 ? r : chan_send(w->chan, head, &a->body, NULL, 0);
}

/* An answer whose headers do not fit into a frame when written as JSON was too large, after all. */
static void send_answer(struct worker *w, struct fetch_answer *a) {
        struct fetch_answer instead;
        int r = try_answer(w, a);

        if (r == -EMSGSIZE) {
                fetch_answer_init(&instead);
                instead.id = a->id;
                instead.outcome = FETCH_NO_ANSWER;
                instead.failure = FETCH_FAILURE_TOO_LARGE;
                instead.reason = strdup("the answer is larger than is allowed");
                instead.reached = a->reached;
                r = try_answer(w, &instead);
                fetch_answer_done(&instead);
        }
        if (r < 0) {
                log_error("cannot answer the keeper: %s", strerror(-r));
                leave(w, r == -EPIPE ? 0 : r);
                return;
        }
        pump_update(w->pump);
}

static void send_refusal(struct worker *w, uint64_t id, enum fetch_failure failure,
                         const char *reason) {
        struct fetch_answer a;

        fetch_answer_init(&a);
        a.id = id;
        a.outcome = FETCH_NOT_SENT;
        a.failure = failure;
        a.reason = strdup(reason);
        send_answer(w, &a);
        fetch_answer_done(&a);
}

/* ---- fetches ---- */

static void on_fetched(struct fetch_answer *a, void *userdata) {
        struct worker *w = userdata;

        w->n_fetches--;
        send_answer(w, a);
        leave_if_done(w);
}

static bool carries_credential(const struct fetch_request *f) {
        static const char *const names[] = { "Authorization", "DPoP", "Cookie" };

        for (size_t i = 0; i < f->n_headers; i++)
                for (size_t k = 0; k < ARRAY_SIZE(names); k++)
                        if (strcasecmp(f->headers[i].name, names[k]) == 0)
                                return true;
        /* Nor does it go where identities are told. */
        return f->key_pem.len > 0 || f->link_local;
}

static int op_fetch(struct worker *w, const json_t *head, struct buf *body) {
        struct fetch_request f;
        uint64_t id;
        int r;

        fetch_request_init(&f);
        r = fetch_request_from_head(&f, head, body);
        if (r < 0)
                return r;
        id = f.id;
        if (w->via == FETCH_EXPLORE && carries_credential(&f)) {
                send_refusal(w, id, FETCH_FAILURE_PROTOCOL, "this worker sends no credentials");
                fetch_request_done(&f);
                return 0;
        }
        r = http_fetch(w->http, &f, on_fetched, w);
        if (r == 0) {
                w->n_fetches++;
                return 0;
        }
        fetch_request_done(&f);
        if (r == -EEXIST)
                return -EBADMSG;
        send_refusal(w, id, FETCH_FAILURE_WORKER,
                     r == -EBUSY ? "too many requests at once" : strerror(-r));
        return 0;
}

static int get_id(const json_t *head, const char *key, uint64_t *ret) {
        const json_t *value = json_object_get(head, key);

        if (!json_is_integer(value) || json_integer_value(value) < 0)
                return -EBADMSG;
        *ret = (uint64_t)json_integer_value(value);
        return 0;
}

static int op_cancel(struct worker *w, const json_t *head, struct buf *body) {
        uint64_t id;
        int r = get_id(head, "id", &id);

        if (r == 0 && http_cancel(w->http, id) == 0)
                w->n_fetches--;
        return r;
}

static int op_leave(struct worker *w, const json_t *head, struct buf *body) {
        w->leaving = true;
        return 0;
}

/* ---- listeners ---- */

static struct ear *find_ear(struct worker *w, uint64_t id) {
        struct ear *e;

        LIST_FOREACH(e, &w->listeners, struct ear, link)
                if (e->id == id)
                        return e;
        return NULL;
}

static void ear_free(struct ear *e) {
        list_remove(&e->link);
        e->worker->n_listeners--;
        (void)listener_free(e->listener);
        free(e);
}

static void on_redirect(struct listener *l, uint64_t request, struct buf *query, void *userdata) {
        struct ear *e = userdata;
        AUTO_JSON json_t *head = json_pack("{ss sI sI}", "op", "redirect", "id", (json_int_t)e->id,
                                           "request", (json_int_t)request);

        send_frame(e->worker, head, query);
}

static void on_listener_end(struct listener *l, void *userdata) {
        struct ear *e = userdata;
        struct worker *w = e->worker;

        ear_free(e);
        leave_if_done(w);
}

static void send_listen_failed(struct worker *w, uint64_t id, const char *reason) {
        AUTO_JSON json_t *head = json_pack("{ss sI ss}", "op", "listen-failed", "id",
                                           (json_int_t)id, "reason", reason);

        send_frame(w, head, NULL);
}

static int start_listening(struct worker *w, uint64_t id, const struct listener_options *options,
                           uint16_t *ret_port, struct error *err) {
        static const struct listener_ops ops = { .on_redirect = on_redirect,
                                                 .on_end = on_listener_end };
        struct ear *e;
        int r;

        if (w->n_listeners >= LIMIT_LISTENERS)
                return error_set(err, MCPB_BUSY, EBUSY, NULL, "Too many logins at once");
        e = calloc(1, sizeof(*e));
        if (!e)
                return error_oom(err);
        r = listener_new(w->event, w->owner, options, &ops, e, &e->listener, err);
        if (r < 0) {
                free(e);
                return r;
        }
        e->worker = w;
        e->id = id;
        list_append(&w->listeners, &e->link);
        w->n_listeners++;
        *ret_port = listener_port(e->listener);
        return 0;
}

static int op_listen(struct worker *w, const json_t *head, struct buf *body) {
        struct listener_options options = { .path = json_get_string(head, "path"),
                                            .ipv6 = json_get_bool(head, "ipv6", false) };
        AUTO_JSON json_t *answer = NULL;
        struct error err = ERROR_INIT;
        uint16_t bound = 0;
        uint64_t id;
        uint64_t port;

        if (get_id(head, "id", &id) < 0 || get_id(head, "port", &port) < 0 || port > UINT16_MAX ||
            !options.path || !redirect_path_valid(options.path) || find_ear(w, id))
                return -EBADMSG;
        options.port = (uint16_t)port;
        if (start_listening(w, id, &options, &bound, &err) < 0) {
                send_listen_failed(w, id, err.message);
                return 0;
        }
        answer = json_pack("{ss sI si}", "op", "listening", "id", (json_int_t)id, "port",
                           (int)bound);
        send_frame(w, answer, NULL);
        return 0;
}

static int op_page(struct worker *w, const json_t *head, struct buf *body) {
        uint64_t id;
        uint64_t request;
        uint64_t status;
        struct ear *e;
        int r;

        if (get_id(head, "id", &id) < 0 || get_id(head, "request", &request) < 0 ||
            get_id(head, "status", &status) < 0 || (status != 200 && status != 400) ||
            body->len > PAGE_BYTES_MAX)
                return -EBADMSG;
        e = find_ear(w, id);
        if (!e)
                return 0;
        r = listener_page(e->listener, request, (unsigned)status, body);
        if (r < 0 && r != -ENOENT)
                log_debug("cannot show a page: %s", strerror(-r));
        return 0;
}

static int op_unlisten(struct worker *w, const json_t *head, struct buf *body) {
        uint64_t id;
        struct ear *e;
        int r = get_id(head, "id", &id);

        e = r == 0 ? find_ear(w, id) : NULL;
        if (e)
                listener_finish(e->listener);
        return r;
}

/* ---- in ---- */

static int dispatch(struct worker *w, struct frame *f) {
        static const struct {
                const char *op;
                int (*handle)(struct worker *w, const json_t *head, struct buf *body);
                bool deal_only;
        } ops[] = {
                { "fetch", op_fetch, false },      { "cancel", op_cancel, false },
                { "listen", op_listen, true },     { "page", op_page, true },
                { "unlisten", op_unlisten, true }, { "leave", op_leave, false },
        };
        const char *op = json_get_string(f->head, "op");

        if (!op || f->n_fds > 0)
                return -EBADMSG;
        for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
                if (streq(ops[i].op, op) && (!ops[i].deal_only || w->via == FETCH_DEAL))
                        return ops[i].handle(w, f->head, &f->body);
        return -EBADMSG;
}

static int take_frames(struct worker *w) {
        int r;

        for (;;) {
                struct frame f = FRAME_INIT;

                r = chan_next(w->chan, &f);
                if (r <= 0)
                        return r;
                r = dispatch(w, &f);
                frame_done(&f);
                if (r < 0)
                        return r;
        }
}

static int on_chan_ready(void *userdata, uint32_t revents) {
        struct worker *w = userdata;
        int r = chan_read(w->chan);
        int taken = r == 0 ? take_frames(w) : 0;

        if (r == 0)
                r = taken;
        if (r == 0)
                r = chan_flush(w->chan);
        if (r == 0) {
                leave_if_done(w);
                return 0;
        }
        if (r != -EPIPE)
                log_error("the keeper's stream is broken: %s", strerror(-r));
        leave(w, r == -EPIPE ? 0 : r); /* the keeper is gone, and nobody waits for us */
        return r;
}

static short chan_wants(void *userdata) {
        struct worker *w = userdata;

        return chan_events(w->chan);
}

/* ---- life ---- */

int worker_new(sd_event *event, const struct worker_options *options, struct worker **ret,
               struct error *err) {
        static const struct pump_ops ops = { .on_ready = on_chan_ready,
                                             .events = chan_wants,
                                             .priority = LOOP_WORKER };
        AUTO_CLOSE int fd = options->fd;
        struct worker *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return error_oom(err);
        w->event = sd_event_ref(event);
        w->via = options->via;
        w->owner = options->owner;
        list_init(&w->listeners);
        r = http_new(event, &options->http, &w->http, err);
        if (r == 0) {
                w->chan = chan_new(fd);
                if (w->chan)
                        (void)TAKE_FD(fd);
                else
                        r = -ENOMEM;
        }
        if (r == 0)
                r = pump_new(event, chan_fd(w->chan), &ops, w, "keeper", &w->pump);
        if (r < 0) {
                (void)worker_free(w);
                return error_fallback(err, r, "Starting the network worker");
        }
        *ret = w;
        return 0;
}

struct worker *worker_free(struct worker *w) {
        struct ear *e;

        if (!w)
                return NULL;
        LIST_FOREACH(e, &w->listeners, struct ear, link)
                ear_free(e);
        (void)http_free(w->http);
        (void)pump_free(w->pump);
        (void)chan_free(w->chan);
        (void)sd_event_unref(w->event);
        free(w);
        return NULL;
}

int worker_tell_sandbox(struct worker *w, const struct sandbox_report *report) {
        AUTO_JSON json_t *head = NULL;
        json_t *status = NULL;
        int r = sandbox_status_json(report, &status);

        if (r < 0)
                return r;
        head = json_pack("{ss so}", "op", "sandbox", "sandbox", status);
        send_frame(w, head, NULL);
        return 0;
}
