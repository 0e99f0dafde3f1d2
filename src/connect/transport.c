/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "connect/bridge-state.h"
#include "connect/oldsse.h"

/* Everything that waits hears why it waits in vain. */
static void refuse_waiting(struct bridge *b, const struct exchange_end *end) {
        struct exchange *x;

        while ((x = LIST_FIRST(&b->waiting, struct exchange, link))) {
                list_remove(&x->link);
                b->n_waiting--;
                if (x->refusal.len > 0)
                        relay_answer(b, x, (struct span){ x->refusal.data, x->refusal.len });
                else if (!x->internal)
                        relay_refusal(b, x, end);
                relay_leave_batch(b, x);
                (void)exchange_free(x);
        }
        if (b->session.state == SESSION_STARTING)
                session_forget(&b->session); /* by our own initialize, which was one of them */
        eras_no_session(b);
}

/* There is no such stream: the server speaks neither transport in the older era. */
static void no_stream(struct bridge *b, unsigned status, const struct call_end *call) {
        struct exchange *first = LIST_FIRST(&b->waiting, struct exchange, link);
        struct exchange_end end = { .result = EXCHANGE_FAILED,
                                    .reason = call->reason ? call->reason
                                                           : "the server has no event stream",
                                    .call = call };
        bool says_no = status >= 400 && status < 500 && call->result != CALL_NO_ACCESS;

        b->old_transport = b->transport != TRANSPORT_AUTO;
        if (b->old_transport || !says_no || !first || !eras_try_modern(b, first, &end))
                refuse_waiting(b, &end);
}

static void on_open(const char *url, void *userdata) {
        struct bridge *b = userdata;
        struct exchange *first = LIST_FIRST(&b->waiting, struct exchange, link);

        log_debug("the server speaks HTTP+SSE");
        free(b->endpoint);
        b->endpoint = strdup(url);
        if (!b->endpoint)
                return;
        /* This is another session; unless the host is about to begin one, that is our business. */
        if (b->session.initialize.len > 0 && b->session.state == SESSION_NONE && first &&
            !streq_null(first->message.method, "initialize"))
                handshake_anew(b);
        bridge_proceed(b);
}

static void on_message(const struct message *m, void *userdata) {
        struct bridge *b = userdata;
        struct exchange *x;

        if (m->kind != MESSAGE_RESPONSE) {
                relay_unasked(b, NULL, m);
                return;
        }
        LIST_FOREACH(x, &b->running, struct exchange, link) {
                if (!exchange_owes(x) || !message_id_equal(x->message.id, m->id))
                        continue;
                exchange_deliver(x, m);
                return;
        }
        log_debug("a response to nothing that was asked is left out");
}

static void on_end(bool was_open, unsigned status, const struct call_end *end, void *userdata) {
        struct bridge *b = userdata;
        struct exchange *x;

        b->oldsse = oldsse_free(b->oldsse);
        free(b->endpoint);
        b->endpoint = NULL;
        if (was_open) {
                log_message(LOG_NOTICE, "the server's stream has ended");
                session_forget(&b->session);
                LIST_FOREACH(x, &b->running, struct exchange, link)
                        if (x->elsewhere)
                                exchange_fail(x,
                                              "the server's stream ended before the response came");
        } else if (b->transport == TRANSPORT_SSE_FIRST && (status == 404 || status == 405)) {
                b->old_transport = false;
                b->transport = TRANSPORT_HTTP;
        } else {
                no_stream(b, status, end);
        }
        bridge_proceed(b);
}

bool transport_ready(struct bridge *b) {
        static const struct oldsse_ops ops = { .on_open = on_open,
                                               .on_message = on_message,
                                               .on_end = on_end };

        if (!b->old_transport || b->endpoint)
                return true;
        if (!b->oldsse && oldsse_new(&b->upstream, b->message_max, &ops, b, &b->oldsse) < 0)
                log_warning("no event stream: out of memory");
        return false;
}

bool transport_fall_back(struct bridge *b, struct exchange *x, const struct exchange_end *end) {
        bool old = end->status == 400 || end->status == 404 || end->status == 405;

        if (b->transport != TRANSPORT_AUTO || b->old_transport || b->leaving || x->repeated ||
            x->message.protocol_version || end->result != EXCHANGE_HTTP || !old ||
            !streq_null(x->message.method, "initialize"))
                return false;
        x->repeated = true;
        b->old_transport = true;
        session_forget(&b->session);
        if (x->internal) /* the others wait for it */
                b->session.state = SESSION_STARTING;
        list_prepend(&b->waiting, &x->link);
        b->n_waiting++;
        return true;
}

void transport_close(struct bridge *b) {
        b->oldsse = oldsse_free(b->oldsse);
}

void transport_pause(struct bridge *b, bool pause) {
        if (b->oldsse)
                oldsse_pause(b->oldsse, pause);
}
