/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/exchange.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "loop/loop.h"

#define RETRY_MSEC_DEFAULT 1000
#define RETRY_MSEC_MAX (60 * 1000)
#define RESUMES_MAX 5
/* How long a stream may stay open behind its response: its connection is good for the next request
 * if it ends by itself. */
#define LINGER_USEC (2 * USEC_PER_SEC)

static void start_call(struct exchange *x);

/* ---- the end ---- */

static void finish(struct exchange *x, enum exchange_result result, const char *reason,
                   const struct call_end *call) {
        struct exchange_end end = {
                .result = result, .status = x->status, .reason = reason, .call = call
        };

        if (result == EXCHANGE_HTTP && x->reply.body.len > 0)
                end.body = (struct span){ x->reply.body.data, x->reply.body.len };
        x->timer = loop_source_free(x->timer);
        x->deadline = loop_source_free(x->deadline);
        x->call = call_free(x->call);
        x->ops->on_done(x, &end, x->userdata);
}

bool exchange_owes(const struct exchange *x) {
        return x->message.kind == MESSAGE_REQUEST && !x->answered;
}

/* The response is missing. Can the rest of the stream be had? */
static bool can_resume(const struct exchange *x) {
        return x->may_resume && reply_can_resume(&x->reply) && x->n_resumed < RESUMES_MAX &&
               !x->cancelled;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        struct exchange *x = userdata;

        if (x->answered) {
                finish(x, EXCHANGE_DONE, NULL, NULL);
                return 0;
        }
        x->resuming = true;
        start_call(x);
        return 0;
}

static int set_timer(struct exchange *x, uint64_t usec) {
        return loop_timer_arm(x->upstream->event, clock_boot_usec() + usec, on_timer, x, "exchange",
                              &x->timer);
}

static void resume_later(struct exchange *x) {
        long msec = x->reply.retry_msec >= 0 ? x->reply.retry_msec : RETRY_MSEC_DEFAULT;

        if (msec > RETRY_MSEC_MAX)
                msec = RETRY_MSEC_MAX;
        x->n_resumed++;
        if (set_timer(x, (uint64_t)msec * USEC_PER_MSEC) < 0)
                finish(x, EXCHANGE_CUT, "out of memory", NULL);
}

static void ended_without_response(struct exchange *x) {
        if (can_resume(x))
                resume_later(x);
        else if (x->status >= 300)
                finish(x, EXCHANGE_HTTP, NULL, NULL);
        else
                finish(x, EXCHANGE_CUT,
                       x->reply.why                    ? x->reply.why
                       : x->reply.kind == REPLY_EVENTS ? "the server's stream ended before "
                                                         "the response came"
                                                       : "the server's answer holds no response",
                       NULL);
}

/* ---- what arrives ---- */

static void pass_on(struct exchange *x, const struct message *m, bool mine) {
        x->n_resumed = 0;
        if (mine)
                x->answered = true;
        x->ops->on_message(x, m, mine, x->userdata);
}

/* An error about a request that the server could not even read has no id: it is for this one. */
static void pass_anonymous_error(struct exchange *x, const struct message *m) {
        AUTO_BUF struct buf text = { .max = m->whole.len + x->message.id.len + 64 };
        AUTO_MESSAGE struct message named = MESSAGE_INIT;

        if (message_write_with_id(&text, m, x->message.id) == 0 &&
            message_scan(&named, text.data, text.len, NULL) == 0)
                pass_on(x, &named, true);
}

static void on_message(const struct message *m, void *userdata) {
        struct exchange *x = userdata;
        bool anonymous = m->kind == MESSAGE_RESPONSE && m->error.len > 0 && m->id.len == 0 &&
                         !(x->status == 404 && x->in_session); /* the session's end */

        if (m->kind != MESSAGE_RESPONSE)
                pass_on(x, m, false);
        else if (exchange_owes(x) && message_id_equal(m->id, x->message.id))
                pass_on(x, m, true);
        else if (anonymous && exchange_owes(x) && x->reply.kind == REPLY_JSON)
                pass_anonymous_error(x, m);
        else
                log_debug("a response to nothing that was asked is left out");
}

static void on_head(struct call *c, const struct fetch_answer *a, void *userdata) {
        struct exchange *x = userdata;

        x->status = a->status;
        reply_begin(&x->reply, a);
        x->ops->on_head(x, a, x->userdata);
}

static int on_body(struct call *c, const char *data, size_t len, void *userdata) {
        struct exchange *x = userdata;
        int r;

        if (x->answered && x->reply.kind != REPLY_EVENTS)
                return 0;
        r = reply_feed(&x->reply, data, len);
        if (r == 0 && x->answered && x->reply.kind == REPLY_EVENTS && !x->lingers) {
                x->lingers = true;
                r = set_timer(x, LINGER_USEC);
        }
        return r;
}

static void on_end(const struct call_end *end, void *userdata) {
        struct exchange *x = userdata;
        bool whole = end->result == CALL_ANSWERED;

        if (!x->audit_id && end->audit_id)
                x->audit_id = strdup(end->audit_id);
        x->call = NULL;
        if (whole && reply_end(&x->reply) < 0 && !x->reply.why)
                x->reply.why = "out of memory";
        if (whole && x->status < 300 && x->elsewhere && exchange_owes(x))
                return; /* it was taken */
        if (x->answered || (whole && !exchange_owes(x) && x->status < 300))
                finish(x, EXCHANGE_DONE, NULL, NULL);
        else if (whole || (x->status && x->status < 300 && (x->reply.why || can_resume(x))))
                ended_without_response(x);
        else
                finish(x, EXCHANGE_FAILED, end->reason, end);
}

/* ---- sending ---- */

static int add_headers(struct fetch_request *f, void *userdata) {
        struct exchange *x = userdata;
        int r = x->ops->add_headers(x, f, x->userdata);

        if (r == 0 && x->resuming)
                r = reply_add_place(&x->reply, f);
        return r;
}

static void start_call(struct exchange *x) {
        static const struct call_ops post = { .method = "POST",
                                              .accept = "application/json, text/event-stream",
                                              .json = true,
                                              .add_headers = add_headers,
                                              .on_head = on_head,
                                              .on_body = on_body,
                                              .on_end = on_end };
        static const struct call_ops get = { .method = "GET",
                                             .accept = "text/event-stream",
                                             .add_headers = add_headers,
                                             .on_head = on_head,
                                             .on_body = on_body,
                                             .on_end = on_end };
        struct span body = { x->line.data, x->line.len };
        struct span none = SPAN_NONE;

        if (call_new(x->upstream, x->resuming ? &get : &post, x->url, x->resuming ? none : body, x,
                     &x->call) == 0)
                return;
        finish(x, EXCHANGE_CUT, "out of memory", NULL);
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata) {
        struct exchange *x = userdata;

        if (exchange_owes(x)) {
                x->late = true;
                finish(x, EXCHANGE_CUT, "the server did not answer in time", NULL);
        }
        return 0;
}

static void set_deadline(struct exchange *x) {
        if (x->limit_usec == 0 || x->deadline || x->message.kind != MESSAGE_REQUEST)
                return;
        if (loop_timer(x->upstream->event, x->begun_usec + x->limit_usec, on_deadline, x,
                       "exchange-deadline", &x->deadline) < 0)
                log_debug("a request has no deadline: out of memory");
}

void exchange_send(struct exchange *x) {
        x->begun_usec = clock_boot_usec();
        set_deadline(x);
        x->status = 0;
        x->resuming = x->lingers = false;
        x->n_resumed = 0;
        reply_forget_place(&x->reply);
        start_call(x);
}

void exchange_deliver(struct exchange *x, const struct message *m) {
        pass_on(x, m, true);
        if (!x->call)
                finish(x, EXCHANGE_DONE, NULL, NULL);
}

void exchange_fail(struct exchange *x, const char *reason) {
        if (!x->answered)
                finish(x, EXCHANGE_CUT, reason, NULL);
}

struct span exchange_host_id(const struct exchange *x) {
        struct span none = SPAN_NONE;

        return x->away ? none : x->errand ? x->errand->message.id : x->message.id;
}

bool exchange_is_sent(const struct exchange *x) {
        return x->status != 0 || x->resuming || (x->call && call_is_sent(x->call));
}

void exchange_pause(struct exchange *x, bool pause) {
        if (x->call)
                call_pause(x->call, pause);
}

void exchange_abandon(struct exchange *x) {
        x->call = call_free(x->call);
        x->timer = loop_source_free(x->timer);
        x->deadline = loop_source_free(x->deadline);
}

/* ---- life ---- */

int exchange_new(struct upstream *u, struct buf *line, struct message *m, size_t message_max,
                 const struct exchange_ops *ops, void *userdata, struct exchange **ret) {
        static const struct reply_ops reply_ops = { .on_message = on_message };
        struct exchange *x = calloc(1, sizeof(*x));

        if (!x)
                return -ENOMEM;
        list_init(&x->link);
        x->upstream = u;
        x->ops = ops;
        x->userdata = userdata;
        buf_move(&x->line, line);
        x->message = *m;
        *m = (struct message){ 0 };
        reply_init(&x->reply, &reply_ops, x, message_max);
        *ret = x;
        return 0;
}

struct exchange *exchange_free(struct exchange *x) {
        if (!x)
                return NULL;
        exchange_abandon(x);
        list_remove(&x->link);
        reply_done(&x->reply);
        message_done(&x->message);
        buf_done(&x->line);
        buf_done(&x->refusal);
        (void)errand_free(x->errand);
        if (x->questions)
                questions_done(x->questions);
        free(x->questions);
        free(x->audit_id);
        free(x);
        return NULL;
}
