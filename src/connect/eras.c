/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/eras.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "connect/bridge-state.h"

static bool is_initialize(const struct exchange *x) {
        return !x->message.protocol_version && !x->internal &&
               streq_null(x->message.method, "initialize");
}

void eras_init(struct eras *e, size_t message_max, bool modern_first) {
        *e = (struct eras){ 0 };
        translate_init(&e->words, message_max);
        list_init(&e->errands);
        list_init(&e->listens);
        list_init(&e->away);
        list_init(&e->listeners);
        e->level = -1;
        e->modern_first = modern_first;
}

static struct exchange *drop(struct bridge *b, struct exchange *x) {
        if (x)
                relay_leave_batch(b, x);
        return exchange_free(x);
}

static void drop_errand(struct bridge *b, struct errand *e) {
        struct exchange owner = { .batch = e->batch };

        relay_leave_batch(b, &owner);
        (void)errand_free(e);
}

void eras_stop(struct bridge *b) {
        struct errand *e;

        watch_stop(b);
        b->eras.held = drop(b, b->eras.held);
        b->eras.discover = b->eras.set_level = NULL;
        question_stop(b);
        listener_stop(b);
        while ((e = LIST_FIRST(&b->eras.errands, struct errand, link)))
                drop_errand(b, e);
}

void eras_done(struct eras *e) {
        translate_done(&e->words);
}

struct span eras_new_id(struct eras *e, char id[static 48]) {
        int n = snprintf(id, 48, "\"mcp-connect/%" PRIu64 "\"", ++e->last_id);

        return (struct span){ id, (size_t)n };
}

/* ---- exchanges of our own ---- */

int eras_say(struct bridge *b, struct buf *line, struct exchange **ret) {
        struct exchange *x = NULL;
        int r = bridge_exchange(b, line, NULL, &x);

        if (r < 0)
                return r;
        x->internal = true;
        *ret = x;
        bridge_send(b, x);
        return 0;
}

int eras_rewrite(struct exchange *x, struct buf *line) {
        struct message m = MESSAGE_INIT;
        int r = message_scan(&m, line->data, line->len, NULL);

        if (r < 0)
                return r;
        if (!x->errand)
                r = errand_new(&x->line, &x->message, &x->errand);
        if (r < 0) {
                message_done(&m);
                return r;
        }
        message_done(&x->message);
        buf_move(&x->line, line);
        x->message = m;
        x->may_resume = !m.protocol_version;
        return 0;
}

void eras_answer(struct bridge *b, struct exchange *x, const char *result) {
        AUTO_BUF struct buf text = { .max = b->message_max };

        if (x->message.kind == MESSAGE_REQUEST &&
            translate_write_result(x->message.id, result, &text) == 0)
                relay_answer(b, x, (struct span){ text.data, text.len });
        (void)drop(b, x);
}

void eras_refuse(struct bridge *b, struct exchange *x, int code, const char *why) {
        AUTO_BUF struct buf text = BUF_INIT;

        if (x->message.kind == MESSAGE_REQUEST &&
            message_error(&text, x->message.id, code, why, NULL) == 0)
                relay_answer(b, x, (struct span){ text.data, text.len });
        (void)drop(b, x);
}

/* ---- is it a modern server? ---- */

/* Asked before any initialize: does that answer of the server's, or its want of words, say that it
 * has no such method? */
static bool is_legacy_then(const struct exchange_end *end) {
        return end->result == EXCHANGE_DONE ||
               (end->result == EXCHANGE_HTTP &&
                translate_may_be_legacy("server/discover", end->status, 0));
}

/* Not modern, or not so that we could speak to it: the host gets what the server said at first. Or
 * its initialize goes out now, if it did not before. */
static void give_up_discovery(struct bridge *b, const struct exchange_end *end) {
        struct exchange *held = TAKE(b->eras.held);

        b->eras.discover = NULL;
        session_forget(&b->session);
        if (!held)
                return;
        if (b->eras.modern_first && is_legacy_then(end)) {
                b->eras.modern_first = false;
                list_prepend(&b->waiting, &held->link);
                b->n_waiting++;
                return;
        }
        if (held->refusal.len > 0)
                relay_answer(b, held, (struct span){ held->refusal.data, held->refusal.len });
        else
                relay_refusal(b, held, end);
        (void)drop(b, held);
}

static int ask_discover(struct bridge *b) {
        AUTO_BUF struct buf line = { .max = b->message_max };
        char id[48];
        int r = translate_write_discover(&b->eras.words, eras_new_id(&b->eras, id), &line);

        return r < 0 ? r : eras_say(b, &line, &b->eras.discover);
}

/* It refuses the version, and names it among those that it has: that is to be tried once more. */
static void discover_again(struct bridge *b, const struct exchange *x, const struct message *m) {
        if (!x->repeated && message_error_code(m) == CODE_UNSUPPORTED_VERSION &&
            translate_offers_modern(m->error) && ask_discover(b) == 0)
                b->eras.discover->repeated = true;
}

/* Takes the host's initialize over. */
static void discover(struct bridge *b, struct exchange *x) {
        static const struct exchange_end no_memory = { .result = EXCHANGE_CUT,
                                                       .reason = "out of memory" };
        int r;

        if (b->eras.held) {
                eras_refuse(b, x, CODE_INVALID_REQUEST, "initialize is under way already");
                return;
        }
        b->eras.held = x;
        r = translate_hear_initialize(&b->eras.words, &x->message);
        r = r < 0 ? r : ask_discover(b);
        if (r < 0)
                give_up_discovery(b, &no_memory);
}

static void discovered(struct bridge *b) {
        AUTO_BUF struct buf text = { .max = b->message_max };
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        struct exchange *held = TAKE(b->eras.held);

        b->eras.discover = NULL;
        if (!b->eras.up)
                log_message(LOG_INFO, "the server speaks " TRANSLATE_MODERN
                                      " alone; what an older client says is translated");
        b->eras.up = true;
        if (translate_write_initialized(&b->eras.words, &held->message, b->server, &text) == 0 &&
            message_scan(&m, text.data, text.len, NULL) == 0) {
                session_take_result(&b->session, &m);
                relay_answer(b, held, m.whole);
        } else {
                session_forget(&b->session);
                log_warning("initialize stays unanswered: out of memory");
        }
        (void)drop(b, held);
}

/* A host's initialize that was refused: by a server that is modern alone? */
static bool initialize_refused(struct bridge *b, struct exchange *x, const struct message *m) {
        if (m->error.len == 0 || b->old_transport ||
            !translate_may_be_modern(x->status, message_error_code(m)))
                return false;
        x->refusal.max = b->message_max;
        return buf_append(&x->refusal, m->whole.p, m->whole.len) == 0;
}

/* ---- the hooks ---- */

bool eras_hear(struct bridge *b, const struct message *m) {
        return b->eras.up && up_hear(b, m);
}

bool eras_cancel(struct bridge *b, struct span id) {
        if (b->eras.up)
                return up_cancel(b, id);
        /* A modern server knows the end of a stream alone; so what is over cannot be cancelled. */
        return listener_cancel(b, id) || (b->eras.modern && b->session.state == SESSION_NONE);
}

bool eras_send(struct bridge *b, struct exchange *x) {
        if (x->internal || x->errand || x->message.kind == MESSAGE_RESPONSE)
                return false;
        if (x->message.protocol_version)
                return down_send(b, x);
        if (!is_initialize(x))
                return b->eras.up && up_send(b, x);
        b->eras.down = false; /* from now on the host has a session of its own */
        if (!b->eras.up && (!b->eras.modern_first || b->old_transport))
                return false;
        if (session_begin(&b->session, &x->message) < 0)
                eras_refuse(b, x, CODE_INVALID_REQUEST, "out of memory");
        else
                discover(b, x);
        return true;
}

bool eras_try_modern(struct bridge *b, struct exchange *x, const struct exchange_end *end) {
        if (!is_initialize(x) || b->eras.held ||
            refusal_write(&x->refusal, x->message.id, end, false) < 0)
                return false;
        list_remove(&x->link);
        b->n_waiting--;
        discover(b, x);
        return true;
}

static bool is_our_initialize(const struct exchange *x) {
        return x->internal && streq_null(x->message.method, "initialize");
}

bool eras_answered(struct bridge *b, struct exchange *x, const struct message *m) {
        if (x == b->eras.discover) {
                if (m->result.len > 0 && translate_hear_discovered(&b->eras.words, m->result) == 0)
                        discovered(b);
                else
                        discover_again(b, x, m);
                return true;
        }
        if (x->watch)
                return watch_answered(b, x, m);
        if (b->eras.down && is_our_initialize(x))
                down_hear(b, m);
        if (is_initialize(x) && !b->eras.up)
                return initialize_refused(b, x, m);
        if (x->errand)
                return x->errand->message.protocol_version ? down_answered(b, x, m)
                                                           : up_answered(b, x, m);
        return x->message.protocol_version && !x->internal && down_refused(b, x, m);
}

bool eras_unasked(struct bridge *b, struct exchange *x, const struct message *m) {
        if (x && x->watch)
                return watch_unasked(b, x, m);
        if (b->eras.down)
                return down_unasked(b, x, m);
        if (b->eras.up && m->kind == MESSAGE_REQUEST) {
                log_warning("the server asks the client directly, as " TRANSLATE_MODERN
                            " has it not: %s",
                            m->method);
                return true;
        }
        return false;
}

/* Without words for it: what an answer of HTTP alone may mean. */
static bool http_refused(struct bridge *b, struct exchange *x, const struct exchange_end *end) {
        if (!x->message.protocol_version || x->message.kind != MESSAGE_REQUEST || x->internal ||
            x->errand || b->eras.modern || end->result != EXCHANGE_HTTP ||
            !translate_may_be_legacy(x->message.method, end->status, 0))
                return false;
        x->refusal.max = b->message_max;
        return refusal_write(&x->refusal, x->message.id, end, false) == 0;
}

bool eras_ended(struct bridge *b, struct exchange *x, const struct exchange_end *end) {
        if (x->watch)
                return watch_ended(b, x, end);
        if (x == b->eras.discover)
                give_up_discovery(b, end);
        if (x == b->eras.set_level)
                b->eras.set_level = NULL;
        if (x->away)
                return question_ended(b, x, end);
        if (x->refusal.len == 0 && !http_refused(b, x, end))
                return false;
        if (x->message.protocol_version)
                down_begin(b, x);
        else
                discover(b, x);
        return true;
}
