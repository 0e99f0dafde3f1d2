/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "connect/bridge-state.h"
#include "connect/mirror.h"

/* ---- to the host ---- */

void relay_leave_batch(struct bridge *b, struct exchange *x) {
        struct batch *batch = x->batch;

        if (!batch)
                return;
        x->batch = NULL;
        if (--batch->n_open > 0)
                return;
        if (batch->answers.len > 0 && buf_append(&batch->answers, "]", 1) == 0)
                host_send(b->host, (struct span){ batch->answers.data, batch->answers.len });
        buf_done(&batch->answers);
        free(batch);
}

void relay_answer(struct bridge *b, struct exchange *x, struct span text) {
        struct batch *batch = x->batch;
        int r;

        if (x->cancelled || x->internal)
                return;
        if (!batch) {
                host_send(b->host, text);
                bridge_balance(b);
                return;
        }
        r = buf_append(&batch->answers, batch->answers.len == 0 ? "[" : ",", 1);
        if (r == 0)
                r = buf_append(&batch->answers, text.p, text.len);
        if (r < 0)
                log_warning("an answer of a batch is lost: %s", strerror(-r));
}

static bool host_shows_urls(const struct bridge *b, const struct exchange *x) {
        const struct message *said = x->errand ? &x->errand->message : &x->message;

        return b->session.url_elicitation && !said->protocol_version;
}

void relay_refusal(struct bridge *b, struct exchange *x, const struct exchange_end *end) {
        AUTO_BUF struct buf text = BUF_INIT;

        if (x->message.kind != MESSAGE_REQUEST) {
                log_warning("%s was not taken by the server: %s",
                            x->message.method ? x->message.method : "a response",
                            end->reason ? end->reason : "HTTP error");
                return;
        }
        if (x->cancelled)
                return;
        if (refusal_write(&text, exchange_host_id(x), end, host_shows_urls(b, x)) < 0)
                log_warning("a request stays unanswered: out of memory");
        else
                relay_answer(b, x, (struct span){ text.data, text.len });
}

void relay_unasked(struct bridge *b, struct exchange *x, const struct message *m) {
        if (eras_unasked(b, x, m))
                return;
        if (m->kind == MESSAGE_RESPONSE) {
                log_debug("a response to nothing that was asked is left out");
                return;
        }
        host_send(b->host, m->whole);
        bridge_balance(b);
}

/* ---- tools ---- */

static void on_tool_dropped(const char *tool, const char *why, void *userdata) {
        if (why)
                log_warning("the tool \"%s\" is left out: %s", tool, why);
        else
                log_debug("the tool \"%s\" is ignored", tool);
}

/* The message with another result in it; all other bytes as they were. */
static void answer_with_result(struct bridge *b, struct exchange *x, const struct message *m,
                               const struct buf *result) {
        const char *end = m->whole.p + m->whole.len;
        const char *behind = m->result.p + m->result.len;
        AUTO_BUF struct buf text = { .max = b->message_max + 1 };
        int r = buf_append(&text, m->whole.p, (size_t)(m->result.p - m->whole.p));

        if (r == 0)
                r = buf_append(&text, result->data, result->len);
        if (r == 0)
                r = buf_append(&text, behind, (size_t)(end - behind));
        if (r < 0)
                log_warning("the list of tools is lost: %s", strerror(-r));
        else
                relay_answer(b, x, (struct span){ text.data, text.len });
}

static void answer_tools(struct bridge *b, struct exchange *x, const struct message *m) {
        AUTO_BUF struct buf result = { .max = b->message_max };
        int r = catalog_take(b->catalog, m->result, x->message.protocol_version != NULL, &result,
                             on_tool_dropped, NULL);

        if (r < 0)
                log_warning("the list of tools is passed on unread: %s", strerror(-r));
        if (r == 0 && result.len > 0)
                answer_with_result(b, x, m, &result);
        else
                relay_answer(b, x, m->whole);
}

/* ---- from the exchanges ---- */

static int add_headers(struct exchange *x, struct fetch_request *f, void *userdata) {
        struct bridge *b = userdata;
        int r;

        if (!x->message.protocol_version) {
                x->in_session = b->session.id ? b->session.number : 0;
                return session_add_headers(&b->session, f);
        }
        r = fetch_request_add_header(f, "MCP-Protocol-Version", x->message.protocol_version);
        return r < 0 ? r : mirror_add(f, &x->message, b->catalog);
}

static bool is_initialize(const struct exchange *x) {
        return !x->message.protocol_version && streq_null(x->message.method, "initialize");
}

static void on_head(struct exchange *x, const struct fetch_answer *a, void *userdata) {
        struct bridge *b = userdata;

        if (is_initialize(x) && session_take_head(&b->session, a) < 0)
                log_warning("the server's session id cannot be sent back; it is left out");
}

void relay_response(struct bridge *b, struct exchange *x, const struct message *m) {
        if (is_initialize(x))
                session_take_result(&b->session, m);
        if (streq_null(x->message.method, "tools/list") && m->result.len > 0 && !x->internal)
                answer_tools(b, x, m);
        else
                relay_answer(b, x, m->whole);
        report_response(b->reports, x, m); /* the host need not wait for it */
}

static void on_message(struct exchange *x, const struct message *m, bool mine, void *userdata) {
        struct bridge *b = userdata;

        if (!mine)
                relay_unasked(b, x, m);
        else if (!relist_answered(b, x, m) && !eras_answered(b, x, m))
                relay_response(b, x, m);
}

/* Whoever gives up says so (2025); later the end of the connection says it. */
static void tell_cancelled(struct bridge *b, const struct exchange *x) {
        AUTO_BUF struct buf line = BUF_INIT;
        struct exchange *note = NULL;

        if (!x->late || x->message.protocol_version || b->leaving ||
            streq(x->message.method, "initialize"))
                return;
        if (buf_printf(&line,
                       "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
                       "\"requestId\":%.*s,\"reason\":\"timeout\"}}",
                       (int)x->message.id.len, x->message.id.p) < 0 ||
            bridge_exchange(b, &line, NULL, &note) < 0)
                return;
        note->internal = true;
        bridge_send(b, note);
}

static void on_done(struct exchange *x, const struct exchange_end *end, void *userdata) {
        struct bridge *b = userdata;
        bool owed =
                x->message.kind != MESSAGE_REQUEST ? end->result != EXCHANGE_DONE : !x->answered;

        list_remove(&x->link);
        b->n_running--;
        if (relist_ended(b, x) || eras_ended(b, x, end) || handshake_lost(b, x, end) ||
            transport_fall_back(b, x, end)) {
                bridge_proceed(b);
                return;
        }
        if (owed && !x->internal) {
                report_failure(b->reports, x);
                relay_refusal(b, x, end);
        }
        tell_cancelled(b, x);
        handshake_done(b, x, end);
        relay_leave_batch(b, x);
        (void)exchange_free(x);
        bridge_proceed(b);
}

const struct exchange_ops relay_ops = {
        .add_headers = add_headers, .on_head = on_head, .on_message = on_message, .on_done = on_done
};
