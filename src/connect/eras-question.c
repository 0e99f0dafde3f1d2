/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "connect/bridge-state.h"

#define AWAY_MAX 32 /* requests that the host was asked about, and has not made again so far */

static struct span content(const struct buf *b) {
        return (struct span){ b->data, b->len };
}

static void say(struct bridge *b, struct buf *line) {
        struct exchange *x = NULL;

        if (eras_say(b, line, &x) < 0)
                log_warning("the server is not answered: out of memory");
        buf_clear(line);
}

/* ---- asking ---- */

static bool may_ask(const struct exchange *x) {
        return x->errand && x->message.kind == MESSAGE_REQUEST && !x->answered && !x->cancelled &&
               (streq(x->message.method, "tools/call") || streq(x->message.method, "prompts/get") ||
                streq(x->message.method, "resources/read"));
}

/* On the server's own stream it is not said for whose sake it asks: the oldest request is it. */
static struct exchange *find_asker(struct bridge *b, struct exchange *x) {
        if (x && may_ask(x))
                return x;
        LIST_FOREACH(x, &b->running, struct exchange, link)
                if (may_ask(x))
                        return x;
        return NULL;
}

static void refuse_all(struct bridge *b, struct exchange *x) {
        AUTO_BUF struct buf line = { .max = b->message_max };

        while (questions_next_refusal(x->questions, &line) > 0)
                say(b, &line);
}

static size_t count_away(struct bridge *b, struct exchange **ret_oldest) {
        struct exchange *x;
        size_t n = 0;

        *ret_oldest = NULL;
        LIST_FOREACH(x, &b->running, struct exchange, link) {
                if (!x->away)
                        continue;
                *ret_oldest = *ret_oldest ? *ret_oldest : x;
                n++;
        }
        LIST_FOREACH(x, &b->eras.away, struct exchange, link)
                n++;
        return n;
}

/* The host does not come back: who has waited for it for long is given up. */
static void make_room(struct bridge *b) {
        struct exchange *running;

        if (count_away(b, &running) < AWAY_MAX)
                return;
        log_warning("a request that the client was asked about is given up: there are too many");
        if (!list_empty(&b->eras.away)) {
                (void)exchange_free(LIST_FIRST(&b->eras.away, struct exchange, link));
                return;
        }
        refuse_all(b, running);
        running->away = false;
        running->cancelled = true; /* nobody wants its answer; its end frees it */
}

/* The host's request is over with this; it makes another. */
static void tell_host(struct bridge *b, struct exchange *x) {
        AUTO_BUF struct buf text = { .max = b->message_max };

        if (questions_write(x->questions, x->errand->message.id, ++b->eras.last_id, &text) < 0) {
                log_warning("the client is not asked: out of memory");
                refuse_all(b, x);
                return;
        }
        relay_answer(b, x, content(&text));
        x->away = true;
}

static int add(struct exchange *x, const struct message *m, uint64_t number) {
        if (!x->questions) {
                x->questions = calloc(1, sizeof(*x->questions));
                if (!x->questions)
                        return -ENOMEM;
                questions_init(x->questions);
        }
        return questions_add(x->questions, m, number);
}

void question_ask(struct bridge *b, struct exchange *x, const struct message *m) {
        AUTO_BUF struct buf line = { .max = b->message_max };
        struct exchange *asker = find_asker(b, x);

        if (!asker || add(asker, m, ++b->eras.last_id) < 0) {
                if (message_error(&line, m->id, CODE_INVALID_REQUEST,
                                  "There is no request that the client could be asked about",
                                  NULL) == 0)
                        say(b, &line);
                return;
        }
        if (asker->away)
                return; /* it is told when the host comes back */
        make_room(b);
        tell_host(b, asker);
}

bool question_withdraw(struct bridge *b, struct span id) {
        struct exchange *x;

        LIST_FOREACH(x, &b->running, struct exchange, link)
                if (x->questions && questions_withdraw(x->questions, id))
                        return true;
        return false;
}

/* ---- the host's request again ---- */

static struct exchange *find_in(struct list *l, struct span state) {
        struct exchange *x;

        LIST_FOREACH(x, l, struct exchange, link) {
                struct span own = SPAN_NONE;

                if (!x->away)
                        continue;
                own = (struct span){ x->questions->state, strlen(x->questions->state) };
                if (jsonspan_same(own, state))
                        return x;
        }
        return NULL;
}

static struct exchange *find(struct bridge *b, struct span state) {
        struct exchange *x = find_in(&b->running, state);

        return x ? x : find_in(&b->eras.away, state);
}

static void answer_questions(struct bridge *b, struct exchange *x, struct span responses) {
        AUTO_BUF struct buf line = { .max = b->message_max };

        while (questions_next_answer(x->questions, responses, &line) > 0)
                say(b, &line);
}

/* What came while the host was away. */
static void give_kept(struct bridge *b, struct exchange *x) {
        AUTO_MESSAGE struct message kept = MESSAGE_INIT;
        bool over = !x->call && !x->timer;

        if (message_scan(&kept, x->refusal.data, x->refusal.len, NULL) == 0)
                (void)down_answered(b, x, &kept);
        buf_done(&x->refusal);
        if (over)
                (void)exchange_free(x); /* it was one of those that are over */
}

/* -ENOENT: nothing of this name. */
static int resume(struct bridge *b, struct exchange *x, struct span state) {
        struct exchange *old = find(b, state);
        struct span responses = SPAN_NONE;
        struct errand *e = NULL;

        if (!old)
                return -ENOENT;
        if (errand_new(&x->line, &x->message, &e) < 0)
                return -ENOMEM;
        (void)exchange_free(x);
        (void)errand_free(old->errand);
        old->errand = e;
        old->away = false;
        if (jsonspan_member(e->message.params, "inputResponses", &responses) == 0)
                answer_questions(b, old, responses);
        if (old->refusal.len > 0)
                give_kept(b, old);
        else if (old->questions->n > 0)
                tell_host(b, old);
        return 0;
}

static bool is_ours(struct span state) {
        AUTO_FREE char *text = NULL;

        return jsonspan_string(state, &text) == 0 && !streq(text, QUESTION_AGAIN) &&
               strncmp(text, QUESTION_STATE, strlen(QUESTION_STATE)) == 0;
}

bool question_resume(struct bridge *b, struct exchange *x) {
        struct span state = SPAN_NONE;
        int r;

        if (jsonspan_member(x->message.params, "requestState", &state) < 0 || !is_ours(state))
                return false;
        r = resume(b, x, state);
        if (r == -ENOENT)
                eras_refuse(b, x, CODE_INVALID_PARAMS, "The requestState is not known any more");
        else if (r < 0)
                eras_refuse(b, x, REFUSAL_CODE, "out of memory");
        return true;
}

/* ---- what the server says meanwhile ---- */

bool question_keep(struct bridge *b, struct exchange *x, const struct message *m) {
        if (!x->away)
                return false;
        x->refusal.max = b->message_max;
        if (buf_append(&x->refusal, m->whole.p, m->whole.len) < 0)
                log_warning("an answer is lost: out of memory");
        return true;
}

bool question_ended(struct bridge *b, struct exchange *x, const struct exchange_end *end) {
        struct span id = x->message.id;

        x->refusal.max = b->message_max;
        if (x->refusal.len == 0 && refusal_write(&x->refusal, id, end, false) < 0)
                log_warning("a request stays unanswered: out of memory");
        if (x->late)
                eras_tell_cancel(b, x);
        list_append(&b->eras.away, &x->link);
        return true;
}

void question_stop(struct bridge *b) {
        struct exchange *x;

        while ((x = LIST_FIRST(&b->eras.away, struct exchange, link)))
                (void)exchange_free(x);
}
