/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "connect/bridge-state.h"

static struct span content(const struct buf *b) {
        return (struct span){ b->data, b->len };
}

/* ---- is it a legacy server? ---- */

bool down_refused(struct bridge *b, struct exchange *x, const struct message *m) {
        struct span type;
        int code = message_error_code(m);

        if (translate_is_modern_code(code) ||
            (m->error.len == 0 && (streq(x->message.method, "server/discover") ||
                                   jsonspan_member(m->result, "resultType", &type) == 0)))
                b->eras.modern = true;
        if (m->error.len == 0 || b->eras.modern ||
            !translate_may_be_legacy(x->message.method, x->status, code))
                return false;
        x->refusal.max = b->message_max;
        return buf_append(&x->refusal, m->whole.p, m->whole.len) == 0;
}

/* What the host would say, had it a handshake. */
static int begin_session(struct bridge *b, const struct message *m) {
        static const char initialized[] =
                "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";
        AUTO_BUF struct buf line = { .max = b->message_max };
        AUTO_BUF struct buf then = { .max = b->message_max };
        char id[48];
        int r = translate_hear_meta(&b->eras.words, m);

        r = r < 0 ? r
                  : translate_write_initialize(&b->eras.words, eras_new_id(&b->eras, id), &line);
        r = r < 0 ? r : buf_append_str(&then, initialized);
        if (r < 0)
                return r;
        buf_move(&b->session.initialize, &line);
        buf_move(&b->session.initialized, &then);
        handshake_anew(b);
        return 0;
}

/* The request waits until it is known what the server is. */
void down_begin(struct bridge *b, struct exchange *x) {
        x->answered = false;
        list_prepend(&b->waiting, &x->link);
        b->n_waiting++;
        if (b->eras.down || b->eras.modern)
                return;
        b->eras.down = b->eras.deciding = true;
        if (begin_session(b, &x->message) < 0)
                eras_no_session(b);
}

void down_hear(struct bridge *b, const struct message *m) {
        b->eras.level = -1;
        if (m->result.len == 0)
                b->eras.modern = b->eras.deciding; /* it knows neither, but it answers */
        else if (translate_hear_initialized(&b->eras.words, m->result) < 0)
                log_warning("what the server says of itself is lost: out of memory");
        else if (b->eras.deciding) {
                b->eras.deciding = false;
                log_message(LOG_INFO, "the server is older than " TRANSLATE_MODERN
                                      "; what the client says is translated");
        }
}

void eras_no_session(struct bridge *b) {
        if (b->eras.deciding)
                b->eras.down = b->eras.deciding = false;
}

void eras_session(struct bridge *b) {
        if (b->eras.down)
                listener_again(b);
}

/* ---- what the host says ---- */

bool eras_is_closed(const struct bridge *b) {
        return b->eras.set_level != NULL;
}

static void refuse_version(struct bridge *b, struct exchange *x) {
        AUTO_BUF struct buf data = BUF_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        const char *asked = x->message.protocol_version;
        int r = buf_append_str(&data, "{\"supported\":[\"" TRANSLATE_MODERN "\"],\"requested\":");

        r = r < 0 ? r : jsonspan_quote(&data, asked, strlen(asked));
        r = r < 0 ? r : buf_append_str(&data, "}");
        r = r < 0 ? r
                  : message_error(&text, x->message.id, CODE_UNSUPPORTED_VERSION,
                                  "Unsupported protocol version", data.data);
        if (r == 0 && x->message.kind == MESSAGE_REQUEST)
                relay_answer(b, x, content(&text));
        relay_leave_batch(b, x);
        (void)exchange_free(x);
}

static void describe(struct bridge *b, struct exchange *x) {
        AUTO_BUF struct buf text = { .max = b->message_max };

        if (translate_write_discovered(&b->eras.words, x->message.id, &text) < 0) {
                eras_refuse(b, x, REFUSAL_CODE, "out of memory");
                return;
        }
        relay_answer(b, x, content(&text));
        relay_leave_batch(b, x);
        (void)exchange_free(x);
}

static bool is_gone(const char *method) {
        static const char *const gone[] = { "initialize", "ping", "logging/setLevel",
                                            "resources/subscribe", "resources/unsubscribe" };

        for (size_t i = 0; i < ARRAY_SIZE(gone); i++)
                if (streq(method, gone[i]))
                        return true;
        return strncmp(method, "tasks/", strlen("tasks/")) == 0;
}

static bool take_request(struct bridge *b, struct exchange *x) {
        const char *method = x->message.method;

        if (streq(method, "server/discover"))
                describe(b, x);
        else if (streq(method, "subscriptions/listen"))
                listener_open(b, x);
        else if (is_gone(method))
                eras_refuse(b, x, CODE_METHOD_NOT_FOUND,
                            "There is no such method in " TRANSLATE_MODERN);
        else
                return question_resume(b, x);
        return true;
}

/* True: it waits until the server has been told how much the host wants to hear. Less than another
 * request wants is never asked for: the others are left out here. */
static bool wait_for_level(struct bridge *b, struct exchange *x) {
        AUTO_BUF struct buf line = BUF_INIT;
        int level = translate_wanted_level(&x->message);
        char id[48];

        if (level < 0 || (b->eras.level >= 0 && b->eras.level <= level) ||
            !translate_server_can(&b->eras.words, "logging", NULL))
                return false;
        b->eras.level = level;
        if (translate_write_set_level(eras_new_id(&b->eras, id), level, &line) < 0 ||
            eras_say(b, &line, &b->eras.set_level) < 0)
                return false;
        list_prepend(&b->waiting, &x->link);
        b->n_waiting++;
        return true;
}

static bool rewrite(struct bridge *b, struct exchange *x) {
        AUTO_BUF struct buf line = { .max = b->message_max };
        int r = translate_down(&x->message, &line);

        buf_done(&x->refusal);
        r = r < 0 ? r : eras_rewrite(x, &line);
        if (r < 0)
                eras_refuse(b, x, REFUSAL_CODE, "out of memory");
        return r < 0;
}

bool down_send(struct bridge *b, struct exchange *x) {
        if (!b->eras.down) {
                if (x->refusal.len == 0)
                        return false;
                relay_answer(b, x, content(&x->refusal));
                relay_leave_batch(b, x);
                (void)exchange_free(x);
                return true;
        }
        if (!streq(x->message.protocol_version, TRANSLATE_MODERN)) {
                refuse_version(b, x);
                return true;
        }
        if (x->message.kind == MESSAGE_REQUEST && (take_request(b, x) || wait_for_level(b, x)))
                return true;
        return rewrite(b, x);
}

void eras_tell_cancel(struct bridge *b, const struct exchange *x) {
        AUTO_BUF struct buf line = { .max = b->message_max };
        struct exchange *said = NULL;

        if (translate_write_cancel(x->message.id, &line) < 0 || eras_say(b, &line, &said) < 0)
                log_warning("the server does not hear that a request was cancelled");
}

/* ---- what the server says ---- */

static bool shows_addresses(struct bridge *b, struct exchange *x, const struct message *m) {
        const struct message *asked = &x->errand->message;
        AUTO_BUF struct buf text = { .max = b->message_max };

        if (message_error_code(m) != CODE_URL_ELICITATION || !translate_shows_addresses(asked) ||
            question_write_addresses(m->error, asked->id, &text) < 0)
                return false;
        relay_answer(b, x, content(&text));
        return true;
}

bool down_answered(struct bridge *b, struct exchange *x, const struct message *m) {
        AUTO_BUF struct buf text = { .max = b->message_max + 4096 };
        AUTO_MESSAGE struct message answer = MESSAGE_INIT;

        if (question_keep(b, x, m) || shows_addresses(b, x, m))
                return true;
        if (translate_answer_down(&x->errand->message, m, &text) < 0 ||
            message_scan(&answer, text.data, text.len, NULL) < 0)
                log_warning("a request stays unanswered: out of memory");
        else
                relay_response(b, x, &answer);
        return true;
}

static bool wants_log(const struct exchange *x, int level) {
        int wanted = x->errand && !x->away ? translate_wanted_level(&x->errand->message) : -1;

        return wanted >= 0 && wanted <= level;
}

/* Only who asked for the log may get it. */
static bool nobody_wants_log(struct bridge *b, struct exchange *x, const struct message *m) {
        int level = translate_level(m);
        struct exchange *other;

        if (x)
                return !wants_log(x, level);
        LIST_FOREACH(other, &b->running, struct exchange, link)
                if (wants_log(other, level))
                        return false;
        return true;
}

static void answer_server(struct bridge *b, const struct message *m) {
        AUTO_BUF struct buf line = { .max = b->message_max };
        struct exchange *said = NULL;
        int r = streq(m->method, "ping") ? translate_write_result(m->id, "{}", &line)
                                         : message_error(&line, m->id, CODE_METHOD_NOT_FOUND,
                                                         "The client has no such method", NULL);

        if (r < 0 || eras_say(b, &line, &said) < 0)
                log_warning("the server is not answered: out of memory");
}

static bool take_note(struct bridge *b, struct exchange *x, const struct message *m) {
        if (streq(m->method, "notifications/message"))
                return nobody_wants_log(b, x, m);
        if (streq(m->method, "notifications/progress"))
                return x && x->away;
        if (streq(m->method, "notifications/cancelled")) {
                if (!question_withdraw(b, m->cancelled_id))
                        log_debug("the server withdraws what it has not asked");
                return true;
        }
        return listener_tell(b, m) || streq(m->method, "notifications/elicitation/complete") ||
               streq(m->method, "notifications/tasks/status");
}

bool down_unasked(struct bridge *b, struct exchange *x, const struct message *m) {
        if (m->kind == MESSAGE_NOTIFICATION)
                return take_note(b, x, m);
        if (m->kind != MESSAGE_REQUEST)
                return false;
        if (question_is_one(m->method))
                question_ask(b, x, m);
        else
                answer_server(b, m);
        return true;
}
