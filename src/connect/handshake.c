/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/log.h"
#include "connect/bridge-state.h"
#include "loop/loop.h"

/* What the host has said last, and the server's stream, may take so long: then the rest goes on
 * without. */
#define OPENING_USEC (5 * USEC_PER_SEC)

static bool is_initialize(const struct exchange *x) {
        return streq_null(x->message.method, "initialize");
}

static bool is_initialized(const struct exchange *x) {
        return streq_null(x->message.method, "notifications/initialized");
}

/* ---- the server's own stream ---- */

static int add_headers(struct fetch_request *f, void *userdata) {
        struct bridge *b = userdata;

        return session_add_headers(&b->session, f);
}

static void on_message(const struct message *m, void *userdata) {
        relay_unasked(userdata, NULL, m);
}

static void on_settled(void *userdata) {
        struct bridge *b = userdata;

        b->opening = loop_source_free(b->opening);
        if (b->session.state == SESSION_OPENING)
                b->session.state = SESSION_READY;
        bridge_proceed(b);
}

static int on_opening_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        log_warning("the server takes its time to begin the session; going on");
        on_settled(userdata);
        return 0;
}

/* From now on the rest waits until the server has taken it, and its own stream is open or refused:
 * else what it says at once would be lost. */
static int begin_opening(struct bridge *b) {
        b->opening = loop_source_free(b->opening);
        return loop_timer(b->event, clock_boot_usec() + OPENING_USEC, on_opening_timer, b,
                          "bridge-opening", &b->opening);
}

static void open_listen(struct bridge *b) {
        static const struct listen_ops ops = { .add_headers = add_headers,
                                               .on_message = on_message,
                                               .on_settled = on_settled };

        b->listen = listen_free(b->listen);
        if (b->old_transport || listen_new(&b->upstream, b->message_max, &ops, b, &b->listen) < 0)
                b->session.state = SESSION_READY; /* there is no other stream */
}

/* ---- the host's handshake ---- */

int handshake_begin(struct bridge *b, struct exchange *x) {
        if (x->message.protocol_version || x->internal)
                return 0;
        if (is_initialize(x)) {
                b->listen = listen_free(b->listen);
                return session_begin(&b->session, &x->message);
        }
        if (is_initialized(x) && b->session.state == SESSION_ANSWERED) {
                int r = begin_opening(b);

                return r < 0 ? r : session_note_initialized(&b->session, &x->message);
        }
        return 0;
}

/* ---- another session, where the server has lost the last ---- */

/* One of the host's lines again, by the bridge itself; its answer is nobody else's business. */
static int say_again(struct bridge *b, const struct buf *line) {
        AUTO_BUF struct buf copy = { .max = b->message_max };
        struct exchange *x = NULL;
        int r = buf_append(&copy, line->data, line->len);

        if (r == 0)
                r = bridge_exchange(b, &copy, NULL, &x);
        if (r < 0)
                return r;
        x->internal = true;
        bridge_send(b, x);
        return 0;
}

void handshake_anew(struct bridge *b) {
        b->listen = listen_free(b->listen);
        session_forget(&b->session);
        b->session.state = SESSION_STARTING;
        if (say_again(b, &b->session.initialize) < 0)
                b->session.state = SESSION_NONE;
}

bool handshake_lost(struct bridge *b, struct exchange *x, const struct exchange_end *end) {
        if (end->result != EXCHANGE_HTTP || end->status != 404 || !x->in_session || x->repeated ||
            x->internal || is_initialize(x) || b->leaving)
                return false;
        x->repeated = true;
        list_prepend(&b->waiting, &x->link);
        b->n_waiting++;
        if (session_is_closed(&b->session) || x->in_session != b->session.number)
                return true; /* another is being begun, or has been, since it was sent */
        log_message(LOG_NOTICE, "the server has lost the session; beginning another");
        handshake_anew(b);
        return true;
}

static void anew_failed(struct bridge *b) {
        log_warning("the server does not begin another session");
        session_forget(&b->session);
        eras_no_session(b);
}

static void initialize_done(struct bridge *b, const struct exchange *x) {
        bool answered = b->session.state == SESSION_ANSWERED;

        if (!answered && !x->internal)
                session_forget(&b->session);
        if (!x->internal)
                return;
        if (!answered) {
                anew_failed(b);
                return;
        }
        if (b->session.initialized.len == 0)
                return; /* the host has yet to say it */
        b->session.state = SESSION_OPENING;
        if (begin_opening(b) < 0 || say_again(b, &b->session.initialized) < 0)
                anew_failed(b);
}

void handshake_done(struct bridge *b, struct exchange *x, const struct exchange_end *end) {
        if (x->message.protocol_version)
                return;
        if (is_initialize(x))
                initialize_done(b, x);
        else if (is_initialized(x) && b->session.state == SESSION_OPENING && !b->leaving) {
                open_listen(b);
                eras_session(b);
        }
}
