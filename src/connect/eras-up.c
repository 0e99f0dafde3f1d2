/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "connect/bridge-state.h"

#define ERRANDS_MAX 128 /* requests that wait for the host's answers */

static struct span content(const struct buf *b) {
        return (struct span){ b->data, b->len };
}

/* ---- rounds ---- */

/* The request again, with what the host has answered. */
static int send_again(struct bridge *b, struct errand *e) {
        AUTO_BUF struct buf responses = { .max = b->message_max };
        AUTO_BUF struct buf line = { .max = b->message_max };
        struct exchange *x = NULL;
        char id[48];
        int r = errand_write_responses(e, &responses);

        r = r < 0 ? r
                  : translate_up(&b->eras.words, &e->message, eras_new_id(&b->eras, id),
                                 content(&responses), content(&e->state), &line);
        r = r < 0 ? r : bridge_exchange(b, &line, NULL, &x);
        if (r < 0)
                return r;
        list_remove(&e->link);
        x->errand = e;
        x->batch = TAKE(e->batch);
        list_append(&b->waiting, &x->link);
        b->n_waiting++;
        return 0;
}

/* It comes to nothing: @text is the host's answer. */
static void end_errand(struct bridge *b, struct errand *e, struct span text) {
        struct exchange owner = { .batch = e->batch };
        AUTO_BUF struct buf cancel = BUF_INIT;

        for (size_t i = 0; i < e->n_inputs; i++) {
                buf_clear(&cancel);
                if (errand_write_cancel(e, i, &cancel) == 0 && cancel.len > 0)
                        host_send(b->host, content(&cancel));
        }
        if (text.len > 0)
                relay_answer(b, &owner, text);
        relay_leave_batch(b, &owner);
        (void)errand_free(e);
}

static void fail_errand(struct bridge *b, struct errand *e, int r) {
        AUTO_BUF struct buf text = BUF_INIT;
        const char *why = r == -E2BIG     ? "The server asked for input too many times"
                          : r == -ENOBUFS ? "Too many requests wait for input"
                          : r == -EPROTO  ? "What the server asked for cannot be understood"
                                          : "out of memory";

        if (message_error(&text, e->message.id, REFUSAL_CODE, why, "{\"code\":\"server_error\"}") <
            0)
                log_warning("a request stays unanswered: out of memory");
        end_errand(b, e, content(&text));
}

static void ask_host(struct bridge *b, struct errand *e) {
        AUTO_BUF struct buf line = { .max = b->message_max };
        int r = 0;

        for (size_t i = 0; r == 0 && i < e->n_inputs; i++) {
                buf_clear(&line);
                r = errand_write_request(e, i, &line);
                if (r == 0)
                        host_send(b->host, content(&line));
        }
        if (r == 0 && e->n_open == 0)
                r = send_again(b, e);
        if (r < 0)
                fail_errand(b, e, r);
        bridge_balance(b);
}

static size_t count_errands(const struct bridge *b) {
        const struct list *l;
        size_t n = 0;

        for (l = b->eras.errands.next; l != &b->eras.errands; l = l->next)
                n++;
        return n;
}

/* The exchange goes on to its end, and nobody waits for that any more. */
static void take_round(struct bridge *b, struct exchange *x, const struct message *m) {
        struct errand *e = TAKE(x->errand);
        int r;

        e->batch = TAKE(x->batch);
        x->internal = true;
        list_append(&b->eras.errands, &e->link);
        r = count_errands(b) > ERRANDS_MAX ? -ENOBUFS
                                           : errand_take_result(e, m->result, &b->eras.last_id);
        if (r < 0)
                fail_errand(b, e, r);
        else
                ask_host(b, e);
}

static bool take_input(struct bridge *b, const struct message *m) {
        AUTO_BUF struct buf error = { .max = b->message_max };
        struct errand *e;
        int r;

        LIST_FOREACH(e, &b->eras.errands, struct errand, link) {
                r = errand_take_answer(e, m, &error);
                if (r == -ENOENT)
                        continue;
                if (r == 0 && e->n_open == 0)
                        r = send_again(b, e);
                if (r == -ECANCELED)
                        end_errand(b, e, content(&error));
                else if (r < 0)
                        fail_errand(b, e, r);
                return true;
        }
        return false;
}

/* ---- what the host says ---- */

bool up_hear(struct bridge *b, const struct message *m) {
        if (m->kind != MESSAGE_RESPONSE)
                return false;
        if (!take_input(b, m))
                log_debug("the host answers what nobody asked");
        return true;
}

bool up_cancel(struct bridge *b, struct span id) {
        struct span none = SPAN_NONE;
        struct errand *e;

        LIST_FOREACH(e, &b->eras.errands, struct errand, link) {
                if (!message_id_equal(e->message.id, id))
                        continue;
                end_errand(b, e, none);
                return true;
        }
        return watch_cancel(b, id);
}

static void initialized(struct bridge *b) {
        if (b->session.state == SESSION_ANSWERED)
                b->session.state = SESSION_READY;
        if (translate_lists_change(&b->eras.words))
                watch_open(b, NULL);
}

/* These have no counterpart: the bridge does what they ask for, or nothing needs to be done. */
static bool take_notification(struct bridge *b, struct exchange *x) {
        static const char *const gone[] = { "notifications/cancelled", "notifications/progress",
                                            "notifications/roots/list_changed",
                                            "notifications/tasks/status" };
        const char *method = x->message.method;
        bool mine = streq(method, "notifications/initialized");

        if (mine)
                initialized(b);
        for (size_t i = 0; i < ARRAY_SIZE(gone); i++)
                mine = mine || streq(method, gone[i]);
        if (mine)
                (void)exchange_free(x);
        return mine;
}

static void set_level(struct bridge *b, struct exchange *x) {
        int r = translate_hear_level(&b->eras.words, &x->message);

        if (r == 0)
                eras_answer(b, x, "{}");
        else if (r == -ENOTSUP)
                eras_refuse(b, x, CODE_METHOD_NOT_FOUND, "The server has no log");
        else
                eras_refuse(b, x, CODE_INVALID_PARAMS, "No such level");
}

static void unsubscribe(struct bridge *b, struct exchange *x) {
        if (x->message.name)
                watch_close(b, x->message.name);
        eras_answer(b, x, "{}");
}

static bool take_request(struct bridge *b, struct exchange *x) {
        const char *method = x->message.method;

        if (streq(method, "ping"))
                eras_answer(b, x, "{}");
        else if (streq(method, "logging/setLevel"))
                set_level(b, x);
        else if (streq(method, "resources/subscribe"))
                watch_open(b, x);
        else if (streq(method, "resources/unsubscribe"))
                unsubscribe(b, x);
        else if (strncmp(method, "tasks/", strlen("tasks/")) == 0)
                eras_refuse(b, x, CODE_METHOD_NOT_FOUND, "The server has no tasks");
        else
                return false;
        return true;
}

bool up_send(struct bridge *b, struct exchange *x) {
        AUTO_BUF struct buf line = { .max = b->message_max };
        struct span none = SPAN_NONE;
        int r;

        if (x->message.kind == MESSAGE_NOTIFICATION ? take_notification(b, x) : take_request(b, x))
                return true;
        r = translate_up(&b->eras.words, &x->message, none, none, none, &line);
        r = r < 0 ? r : eras_rewrite(x, &line);
        if (r == 0)
                return false;
        if (r == -EINVAL)
                eras_refuse(b, x, CODE_INVALID_PARAMS, "params is no object");
        else
                eras_refuse(b, x, REFUSAL_CODE, "out of memory");
        return true;
}

/* ---- what the server answers ---- */

bool up_answered(struct bridge *b, struct exchange *x, const struct message *m) {
        AUTO_BUF struct buf text = { .max = b->message_max + 4096 };
        AUTO_MESSAGE struct message answer = MESSAGE_INIT;

        if (errand_is_input_required(m->result)) {
                take_round(b, x, m);
                return true;
        }
        if (translate_answer_up(&x->errand->message, m, &text) < 0 ||
            message_scan(&answer, text.data, text.len, NULL) < 0)
                fail_errand(b, TAKE(x->errand), -ENOMEM);
        else
                relay_response(b, x, &answer);
        return true;
}
