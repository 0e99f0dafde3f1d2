/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/bridge.h"

#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "connect/bridge-state.h"
#include "loop/loop.h"

/* What the host wants answered when it has closed its end: so long, and no longer. */
#define LINGER_USEC (2 * USEC_PER_SEC)
#define GOODBYE_USEC (1 * USEC_PER_SEC)
#define PARSE_ERROR (-32700)
#define INVALID_REQUEST (-32600)
#define INVALID_PARAMS (-32602)
/* Our own requests to the host, and only those, have such an id. */
#define LOGIN_ID "mcp-connect/login/"

/* ---- the end ---- */

static int on_end_timer(sd_event_source *s, uint64_t usec, void *userdata);

static void set_end_timer(struct bridge *b, uint64_t usec) {
        if (loop_timer_arm(b->event, clock_boot_usec() + usec, on_end_timer, b, "bridge-end",
                           &b->timer) < 0)
                (void)sd_event_exit(b->event, 1);
}

static void leave(struct bridge *b) {
        (void)sd_event_exit(b->event, 0);
}

static void leave_if_told(struct bridge *b) {
        if (!b->goodbye && !access_is_reporting(b->access))
                leave(b);
}

static void on_goodbye(const struct call_end *end, void *userdata) {
        struct bridge *b = userdata;

        b->goodbye = NULL;
        leave_if_told(b);
}

/* Were it gone sooner, the broker could not say any more whose the reports are. */
static void on_reported(const mcpb_error *err, bool last, void *userdata) {
        struct bridge *b = userdata;

        if (err && streq(err->code, "busy"))
                reports_hold(b->reports);
        if (b->leaving && last)
                leave_if_told(b);
}

static void on_goodbye_head(struct call *c, const struct fetch_answer *a, void *userdata) {
        log_debug("the session's end: HTTP %u", a->status);
}

static int on_goodbye_body(struct call *c, const char *data, size_t len, void *userdata) {
        return 0;
}

static int add_goodbye_headers(struct fetch_request *f, void *userdata) {
        struct bridge *b = userdata;

        return session_add_headers(&b->session, f);
}

static void drop_list(struct bridge *b, struct list *l) {
        struct exchange *x;

        while ((x = LIST_FIRST(l, struct exchange, link))) {
                relay_leave_batch(b, x);
                (void)exchange_free(x);
        }
}

/* The server is told that the session is over, where there is one. */
static void say_goodbye(struct bridge *b) {
        static const struct call_ops ops = { .method = "DELETE",
                                             .accept = "application/json, text/event-stream",
                                             .add_headers = add_goodbye_headers,
                                             .on_head = on_goodbye_head,
                                             .on_body = on_goodbye_body,
                                             .on_end = on_goodbye };
        struct span none = SPAN_NONE;

        if (b->leaving)
                return;
        b->leaving = true;
        eras_stop(b);
        drop_list(b, &b->running);
        drop_list(b, &b->waiting);
        b->n_running = b->n_waiting = 0;
        b->listen = listen_free(b->listen);
        transport_close(b);
        reports_send(b->reports);
        if (b->session.id && call_new(&b->upstream, &ops, NULL, none, b, &b->goodbye) < 0)
                log_debug("the server is not told of the session's end: out of memory");
        set_end_timer(b, GOODBYE_USEC);
        leave_if_told(b);
}

static int on_end_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        struct bridge *b = userdata;

        if (b->leaving)
                leave(b);
        else
                say_goodbye(b);
        return 0;
}

void bridge_stop(struct bridge *b) {
        b->host_ended = true;
        say_goodbye(b);
}

/* A subscription never ends by itself, and an answered stream need not. */
static bool is_in_flight(const struct exchange *x) {
        return !x->answered && !x->cancelled && !x->away &&
               !streq_null(x->message.method, "subscriptions/listen");
}

static void leave_if_done(struct bridge *b) {
        struct exchange *x;

        if (!b->host_ended || b->leaving || !list_empty(&b->waiting))
                return;
        LIST_FOREACH(x, &b->running, struct exchange, link)
                if (is_in_flight(x))
                        return;
        say_goodbye(b);
}

/* ---- sending ---- */

static bool may_go(const struct bridge *b, const struct exchange *x) {
        if (b->n_running >= LIMIT_EXCHANGES)
                return false;
        if (x->internal)
                return true;
        if (eras_is_closed(b) || b->relist)
                return false;
        return (x->message.protocol_version && !b->eras.down) || !session_is_closed(&b->session);
}

void bridge_send(struct bridge *b, struct exchange *x) {
        x->url = b->endpoint;
        x->elsewhere = b->old_transport;
        list_append(&b->running, &x->link);
        b->n_running++;
        exchange_send(x);
        reports_proceed(b->reports);
}

static void send_next(struct bridge *b, struct exchange *x) {
        static const struct exchange_end no_memory = { .result = EXCHANGE_CUT,
                                                       .reason = "out of memory" };

        list_remove(&x->link);
        b->n_waiting--;
        if (eras_send(b, x))
                return;
        if (handshake_begin(b, x) == 0) {
                bridge_send(b, x);
                return;
        }
        relay_refusal(b, x, &no_memory);
        relay_leave_batch(b, x);
        (void)exchange_free(x);
}

void bridge_balance(struct bridge *b) {
        bool full = host_is_full(b->host);
        struct exchange *x;

        host_hold(b->host, full || b->n_waiting >= LIMIT_EXCHANGES_WAITING);
        if (full == b->paused)
                return;
        b->paused = full;
        LIST_FOREACH(x, &b->running, struct exchange, link)
                exchange_pause(x, full);
        if (b->listen)
                listen_pause(b->listen, full);
        transport_pause(b, full);
}

void bridge_proceed(struct bridge *b) {
        struct exchange *x;

        while (!b->leaving && !b->paused && !list_empty(&b->waiting) && transport_ready(b) &&
               (x = LIST_FIRST(&b->waiting, struct exchange, link)) && may_go(b, x))
                send_next(b, x);
        bridge_balance(b);
        leave_if_done(b);
}

int bridge_exchange(struct bridge *b, struct buf *line, struct message *m, struct exchange **ret) {
        struct message scanned;
        int r;

        if (!m) {
                r = message_scan(&scanned, line->data, line->len, NULL);
                if (r < 0)
                        return r;
                m = &scanned;
        }
        r = exchange_new(&b->upstream, line, m, b->message_max, &relay_ops, b, ret);
        if (r < 0) {
                message_done(m);
                return r;
        }
        if (!streq_null((*ret)->message.method, "subscriptions/listen")) /* it is to last */
                (*ret)->limit_usec = b->request_usec;
        (*ret)->may_resume = !(*ret)->message.protocol_version;
        return 0;
}

/* ---- what the host says ---- */

static void say_error(struct bridge *b, struct span id, int code, const char *text) {
        AUTO_BUF struct buf line = BUF_INIT;

        if (message_error(&line, id, code, text, NULL) == 0)
                host_send(b->host, (struct span){ line.data, line.len });
}

static struct exchange *find(struct list *l, struct span id) {
        struct exchange *x;

        LIST_FOREACH(x, l, struct exchange, link)
                if (x->message.kind == MESSAGE_REQUEST && !x->answered && !x->internal &&
                    !x->away && message_id_equal(exchange_host_id(x), id))
                        return x;
        return NULL;
}

/* It is as if it had never been said. */
static void forget(struct bridge *b, struct exchange *x, bool was_waiting) {
        list_remove(&x->link);
        if (was_waiting)
                b->n_waiting--;
        else
                b->n_running--;
        relay_leave_batch(b, x);
        (void)exchange_free(x);
}

/* True: the server need not hear of it. */
static bool take_cancel(struct bridge *b, const struct message *m) {
        struct exchange *x = find(&b->waiting, m->cancelled_id);

        if (x) {
                forget(b, x, true);
                return true;
        }
        x = find(&b->running, m->cancelled_id);
        if (!x)
                return eras_cancel(b, m->cancelled_id) || m->protocol_version != NULL;
        if (!x->message.protocol_version && streq(x->message.method, "initialize"))
                return true; /* MUST NOT be cancelled */
        if (x->message.protocol_version || !exchange_is_sent(x)) {
                /* 2026-07-28: the end of its stream is what tells the server. */
                forget(b, x, false);
                return true;
        }
        x->cancelled = true;
        if (!x->errand)
                return false;
        eras_tell_cancel(b, x);
        return true;
}

/* The person's answer to a login that the host was asked to show. */
static bool take_login_answer(struct bridge *b, const struct message *m) {
        AUTO_FREE char *id = NULL;
        AUTO_FREE char *action = NULL;
        struct span at = m->result;

        if (m->kind != MESSAGE_RESPONSE || jsonspan_string(m->id, &id) < 0 ||
            strncmp(id, LOGIN_ID, strlen(LOGIN_ID)) != 0)
                return false;
        if (jsonspan_member(at, "action", &at) == 0 && jsonspan_string(at, &action) == 0 &&
            !streq(action, "accept"))
                access_decline(b->access, id + strlen(LOGIN_ID));
        return true;
}

static bool refused_here(struct bridge *b, const struct message *m) {
        if (m->kind == MESSAGE_REQUEST && streq(m->method, "tools/call") && m->name &&
            catalog_ignores(b->catalog, m->name)) {
                say_error(b, m->id, INVALID_PARAMS, "This tool is ignored (--ignore-tool)");
                return true;
        }
        return false;
}

/* Takes @line and @m over. */
static void take_message(struct bridge *b, struct buf *line, struct message *m,
                         struct batch *batch) {
        bool waits = m->kind != MESSAGE_RESPONSE; /* whoever waits for those must not be stuck */
        struct exchange *x = NULL;
        bool nothing_to_send =
                refused_here(b, m) || take_login_answer(b, m) || eras_hear(b, m) ||
                (streq_null(m->method, "notifications/cancelled") && take_cancel(b, m));

        if (nothing_to_send) {
                message_done(m);
                return;
        }
        if (bridge_exchange(b, line, m, &x) < 0) {
                log_warning("a message of the host's is lost: out of memory");
                return;
        }
        if (batch && x->message.kind == MESSAGE_REQUEST) {
                x->batch = batch;
                batch->n_open++;
        }
        if (!waits) {
                bridge_send(b, x);
                return;
        }
        list_append(&b->waiting, &x->link);
        b->n_waiting++;
}

static void take_batch_item(struct bridge *b, struct span item, struct batch *batch) {
        AUTO_BUF struct buf line = { .max = b->message_max };
        struct span none = SPAN_NONE;
        const char *why = NULL;
        struct message m;

        if (buf_append(&line, item.p, item.len) < 0)
                return;
        if (message_scan(&m, line.data, line.len, &why) < 0 || m.kind == MESSAGE_BATCH)
                say_error(b, none, INVALID_REQUEST, why ? why : "a batch in a batch");
        else
                take_message(b, &line, &m, batch);
}

/* 2025-03-26 alone has batches. The server gets the messages one by one; the host gets one answer
 * to all. */
static void take_batch(struct bridge *b, const struct message *m) {
        struct batch *batch;
        struct span item;
        struct span none = SPAN_NONE;
        size_t pos = 0;

        if (!streq_null(b->session.version, "2025-03-26")) {
                say_error(b, none, INVALID_REQUEST,
                          "This version of the protocol has no batches: send one message a line");
                return;
        }
        batch = calloc(1, sizeof(*batch));
        if (!batch)
                return;
        batch->answers.max = b->message_max;
        batch->n_open = 1; /* us, until all its members are here */
        while (jsonspan_next_item(m->whole, &pos, &item))
                take_batch_item(b, item, batch);
        {
                struct exchange us = { .batch = batch };

                relay_leave_batch(b, &us);
        }
}

static void on_line(struct buf *line, void *userdata) {
        struct bridge *b = userdata;
        const char *why = NULL;
        struct message m = MESSAGE_INIT;
        int r;

        if (b->leaving)
                return;
        r = message_scan(&m, line->data, line->len, &why);
        if (r < 0) {
                log_warning("a line of the host's is no message: %s", why ? why : strerror(-r));
                say_error(b, r == -EPROTO ? m.id : SPAN_NONE,
                          r == -EPROTO ? INVALID_REQUEST : PARSE_ERROR,
                          why ? why : "out of memory");
                return;
        }
        if (m.kind == MESSAGE_BATCH) {
                take_batch(b, &m);
                message_done(&m);
        } else {
                take_message(b, line, &m, NULL);
        }
        bridge_proceed(b);
}

static void on_overlong(void *userdata) {
        struct bridge *b = userdata;
        struct span none = SPAN_NONE;

        log_warning("a line of the host's is longer than is allowed, and is left out");
        say_error(b, none, PARSE_ERROR, "The message is longer than is allowed");
}

static void on_host_end(int r, void *userdata) {
        struct bridge *b = userdata;

        b->host_ended = true;
        if (r < 0) {
                log_debug("the host: %s", strerror(-r));
                say_goodbye(b);
                return;
        }
        access_hurry(b->access);
        set_end_timer(b, LINGER_USEC);
        bridge_proceed(b);
}

static void on_drained(void *userdata) {
        bridge_proceed(userdata);
}

/* ---- logins ---- */

static bool on_login(const char *login, const char *url, void *userdata) {
        struct bridge *b = userdata;
        AUTO_JSON json_t *request = NULL;
        AUTO_BUF struct buf id = BUF_INIT;
        AUTO_BUF struct buf line = BUF_INIT;

        log_message(LOG_NOTICE, "a login is needed; open this address in a browser: %s", url);
        if (!b->session.url_elicitation || b->session.state < SESSION_OPENING)
                return false;
        if (buf_printf(&id, "%s%s", LOGIN_ID, login) < 0)
                return false;
        request = json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s}}", "jsonrpc", "2.0", "id",
                            id.data, "method", "elicitation/create", "params", "mode", "url",
                            "elicitationId", login, "url", url, "message",
                            "Log in to use this MCP server.");
        if (!request || json_write(&line, request) < 0)
                return false;
        host_send(b->host, (struct span){ line.data, line.len });
        return true;
}

static void on_login_over(const char *login, bool done, void *userdata) {
        struct bridge *b = userdata;
        AUTO_JSON json_t *note = NULL;
        AUTO_BUF struct buf line = BUF_INIT;

        log_message(LOG_NOTICE, done ? "logged in" : "the login came to nothing");
        if (!b->session.url_elicitation || b->session.state < SESSION_OPENING)
                return;
        note = json_pack("{s:s, s:s, s:{s:s}}", "jsonrpc", "2.0", "method",
                         "notifications/elicitation/complete", "params", "elicitationId", login);
        if (note && json_write(&line, note) == 0)
                host_send(b->host, (struct span){ line.data, line.len });
}

/* ---- life ---- */

static int set_up(struct bridge *b, struct bridge_options *o) {
        static const struct host_ops host_ops = { .on_line = on_line,
                                                  .on_overlong = on_overlong,
                                                  .on_end = on_host_end,
                                                  .on_drained = on_drained };
        static const struct access_ops access_ops = { .on_login = on_login,
                                                      .on_login_over = on_login_over,
                                                      .on_reported = on_reported };
        int r = host_new(o->event, o->in_fd, o->out_fd, o->message_max, &host_ops, b, &b->host);

        if (r < 0)
                return r;
        r = access_new(o->event, &o->access, &access_ops, b, &b->access);
        if (r < 0)
                return r;
        b->upstream.access = b->access;
        if (o->report)
                r = reports_new(o->event, b->access, o->access.server, o->access.account,
                                &b->reports);
        if (r < 0)
                return r;
        b->catalog = catalog_new();
        if (!b->catalog)
                return -ENOMEM;
        for (size_t i = 0; r == 0 && i < o->n_ignored_tools; i++)
                r = catalog_ignore(b->catalog, o->ignored_tools[i]);
        if (r == 0 && o->url) {
                b->upstream.url = strdup(o->url);
                r = b->upstream.url ? 0 : -ENOMEM;
        }
        return r;
}

int bridge_new(struct bridge_options *o, struct bridge **ret) {
        struct bridge *b = calloc(1, sizeof(*b));
        int r;

        if (!b)
                return -ENOMEM;
        b->event = sd_event_ref(o->event);
        b->server = o->access.server;
        b->message_max = o->message_max;
        b->request_usec = o->request_usec;
        b->transport = o->transport;
        b->old_transport = o->transport == TRANSPORT_SSE || o->transport == TRANSPORT_SSE_FIRST;
        list_init(&b->running);
        list_init(&b->waiting);
        session_init(&b->session);
        eras_init(&b->eras, o->message_max, o->modern_first);
        b->upstream.event = o->event;
        b->upstream.http = o->http;
        b->upstream.headers = TAKE(o->headers);
        b->upstream.n_headers = o->n_headers;
        for (size_t i = 0; i < o->n_headers; i++)
                if (strcasecmp(b->upstream.headers[i].name, "Authorization") == 0)
                        b->upstream.own_authorization = true;
        r = set_up(b, o);
        if (r < 0) {
                (void)bridge_free(b);
                return r;
        }
        *ret = b;
        return 0;
}

struct bridge *bridge_free(struct bridge *b) {
        if (!b)
                return NULL;
        eras_stop(b);
        drop_list(b, &b->running);
        drop_list(b, &b->waiting);
        (void)listen_free(b->listen);
        transport_close(b);
        free(b->endpoint);
        (void)call_free(b->goodbye);
        (void)reports_free(b->reports);
        (void)access_free(b->access);
        (void)host_free(b->host);
        (void)catalog_free(b->catalog);
        (void)loop_source_free(b->timer);
        (void)loop_source_free(b->opening);
        session_done(&b->session);
        eras_done(&b->eras);
        upstream_done(&b->upstream);
        (void)sd_event_unref(b->event);
        free(b);
        return NULL;
}
