/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control calls: what happened, what shall go wrong, what is held.
 */
#include "control.h"

#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "direct.h"
#include "exchange.h"

#define WAIT_MSEC 5000U
#define WAIT_MSEC_MAX 600000U
#define LOG_ALL 1000000U

struct control_call {
        const char *method;
        const char *path;
        void (*handle)(struct demo *d, struct request *r, const json_t *body);
};

/* A POST /wait under way. */
struct pending {
        json_t *condition;
        uint64_t deadline_msec;
};

static void fail(struct request *r, const char *message) {
        reply_json(r, 400, json_pack("{s:s}", "error", message));
}

static json_t *held_json(struct demo *d) {
        json_t *held = json_object();

        for (unsigned i = 0; i < STEP_COUNT; i++) {
                uint64_t n = exchange_n_held(d, (enum step)i);

                json_object_set_new(held, step_name((enum step)i), json_integer((json_int_t)n));
        }
        return held;
}

static json_t *holds_json(const struct demo *d) {
        json_t *holds = json_object();

        for (unsigned i = 0; i < STEP_COUNT; i++)
                if (d->holds[i].on)
                        json_object_set_new(holds, step_name((enum step)i),
                                            json_string(d->holds[i].after ? "after" : "before"));
        return holds;
}

static void on_stats(struct demo *d, struct request *r, const json_t *body) {
        const char *asked = form_get(&r->query, "log");
        uint64_t n_log = LOG_ALL;
        json_t *all;

        if (asked && !number_parse(asked, LOG_ALL, &n_log)) {
                fail(r, "log must be a number");
                return;
        }
        all = journal_json(d->journal, (size_t)n_log);
        json_object_set_new(all, "held", held_json(d));
        json_object_set_new(all, "holds", holds_json(d));
        json_object_set_new(all, "faults", faults_json(d->faults));
        json_object_set_new(all, "streams", direct_n_open(d));
        json_object_set_new(all, "scripts", json_integer((json_int_t)json_array_size(d->scripts)));
        reply_json(r, 200, all);
}

static void on_tokens(struct demo *d, struct request *r, const json_t *body) {
        reply_json(r, 200, journal_secrets_json(d->journal));
}

static bool fault_add(struct demo *d, struct request *r, const char *text) {
        char *error = NULL;
        bool done = true;

        if (text && strcmp(text, "refuse-early") == 0) {
                tokens_expire_access(d->as.tokens); /* of those issued before now: done at once */
        } else if (!text) {
                fail(r, "faults are strings");
                done = false;
        } else if (!faults_add(d->faults, text, &error)) {
                fail(r, error);
                free(error);
                done = false;
        }
        return done;
}

static void on_fault(struct demo *d, struct request *r, const json_t *body) {
        const json_t *add = json_object_get(body, "add");
        const json_t *remove = json_object_get(body, "remove");

        if (json_is_true(json_object_get(body, "clear")))
                faults_clear(d->faults);
        for (size_t i = 0; i < json_array_size(remove); i++) {
                const char *text = json_string_value(json_array_get(remove, i));

                if (!text || !faults_remove(d->faults, text)) {
                        fail(r, "no such fault to remove");
                        return;
                }
        }
        for (size_t i = 0; i < json_array_size(add); i++)
                if (!fault_add(d, r, json_string_value(json_array_get(add, i))))
                        return;
        reply_json(r, 200, json_pack("{s:o}", "faults", faults_json(d->faults)));
}

/* "step", or STEP_ANY without one; false once an error was answered. */
static bool step_of(struct request *r, const json_t *body, enum step *ret) {
        const json_t *value = json_object_get(body, "step");
        const char *name = json_string_value(value);

        *ret = STEP_ANY;
        if (!value || (name && step_parse(name, strlen(name), ret)))
                return true;
        fail(r, "no such step");
        return false;
}

static void on_hold(struct demo *d, struct request *r, const json_t *body) {
        bool after = json_is_true(json_object_get(body, "after"));
        enum step step;

        if (!step_of(r, body, &step))
                return;
        if (step == STEP_ANY) {
                fail(r, "step is missing");
                return;
        }
        d->holds[step] = (struct hold){ .on = true, .after = after };
        reply_json(r, 200, json_pack("{s:o}", "holds", holds_json(d)));
}

static void on_release(struct demo *d, struct request *r, const json_t *body) {
        const json_t *n = json_object_get(body, "n");
        json_int_t n_max = json_integer_value(n);
        enum step step;
        unsigned released;

        if (!step_of(r, body, &step))
                return;
        if (n && n_max <= 0) {
                fail(r, "n must be a number above 0");
                return;
        }
        /* All of them, then the hold is over too; n of them, then it goes on. */
        for (unsigned i = 0; !n && i < STEP_COUNT; i++)
                if (step == STEP_ANY || step == (enum step)i)
                        d->holds[i].on = false;
        released = exchange_release(d, step, n ? (uint64_t)n_max : UINT64_MAX);
        reply_json(r, 200, json_pack("{s:i}", "released", (int)released));
}

static void on_expire(struct demo *d, struct request *r, const json_t *body) {
        if (json_is_true(json_object_get(body, "access")))
                tokens_expire_access(d->as.tokens);
        if (json_is_true(json_object_get(body, "refresh")))
                tokens_expire_refresh(d->as.tokens);
        reply_json(r, 200, json_object());
}

/* The person at a login by device code. */
static void on_device(struct demo *d, struct request *r, const json_t *body) {
        const char *code = json_string_value(json_object_get(body, "user_code"));
        const char *decision = json_string_value(json_object_get(body, "decision"));

        if (!decision || (strcmp(decision, "allow") != 0 && strcmp(decision, "deny") != 0 &&
                          strcmp(decision, "expire") != 0))
                fail(r, "decision must be allow, deny or expire");
        else
                reply_json(
                        r, 200,
                        json_pack("{s:i}", "decided", (int)device_decide(&d->as, code, decision)));
}

static void nonce_renew(char **nonce, const char *prefix) {
        free(*nonce);
        *nonce = random_token(prefix);
}

static void on_nonces(struct demo *d, struct request *r, const json_t *body) {
        nonce_renew(&d->as.nonce, "an_");
        nonce_renew(&d->nonce, "rn_");
        nonce_renew(&d->idp.nonce, "in_");
        reply_json(r, 200,
                   json_pack("{s:s, s:s, s:s}", "issuer", d->as.nonce, "mcp", d->nonce, "idp",
                             d->idp.nonce));
}

static void on_revoke_all(struct demo *d, struct request *r, const json_t *body) {
        unsigned n = tokens_revoke_all(d->as.tokens);

        for (unsigned i = 0; i < n; i++)
                journal_count(d->journal, COUNT_FAMILIES_REVOKED);
        reply_json(r, 200, json_pack("{s:i}", "families_revoked", (int)n));
}

/* The program ends once this request is over, so that its answer gets out. */
static void on_quit_done(void *state) {
        struct demo *d = state;

        d->quit = true;
}

static void on_quit(struct demo *d, struct request *r, const json_t *body) {
        r->state = d;
        r->state_free = on_quit_done;
        reply_json(r, 200, json_object());
        reply_header(r, "Connection", "close");
}

static bool have_held(struct demo *d, const char *key, uint64_t n) {
        enum step step;

        return step_parse(key, strlen(key), &step) && exchange_n_held(d, step) >= n;
}

static bool have_requests(struct demo *d, const char *key, uint64_t n) {
        enum step step;

        return step_parse(key, strlen(key), &step) && journal_n_requests(d->journal, step) >= n;
}

static bool have_counted(struct demo *d, const char *key, uint64_t n) {
        enum counter counter;

        return counter_parse(key, &counter) && journal_counter(d->journal, counter) >= n;
}

static bool have_methods(struct demo *d, const char *key, uint64_t n) {
        return journal_n_method(d->journal, key) >= n;
}

static bool have_streams(struct demo *d, const char *key, uint64_t n) {
        enum channel_kind kind;

        return channel_kind_parse(key, &kind) && channels_n_open(d->channels, kind) >= n;
}

/* Whether every member of the object is reached; one that is unknown never is. */
static bool all_reached(struct demo *d, json_t *wanted,
                        bool (*have)(struct demo *, const char *, uint64_t)) {
        for (void *p = json_object_iter(wanted); p; p = json_object_iter_next(wanted, p)) {
                const json_t *n = json_object_iter_value(p);

                if (!json_is_integer(n) || json_integer_value(n) < 0 ||
                    !have(d, json_object_iter_key(p), (uint64_t)json_integer_value(n)))
                        return false;
        }
        return true;
}

static bool condition_holds(struct demo *d, const json_t *condition) {
        return all_reached(d, json_object_get(condition, "held"), have_held) &&
               all_reached(d, json_object_get(condition, "requests"), have_requests) &&
               all_reached(d, json_object_get(condition, "methods"), have_methods) &&
               all_reached(d, json_object_get(condition, "streams"), have_streams) &&
               all_reached(d, json_object_get(condition, "counters"), have_counted);
}

static void pending_free(void *state) {
        struct pending *p = state;

        json_decref(p->condition);
        free(p);
}

static void on_wait(struct demo *d, struct request *r, const json_t *body) {
        struct pending *p = mem_new(sizeof(*p));
        json_int_t msec = WAIT_MSEC;

        if (json_object_get(body, "timeout_ms"))
                msec = json_integer_value(json_object_get(body, "timeout_ms"));
        if (msec < 0 || msec > (json_int_t)WAIT_MSEC_MAX)
                msec = WAIT_MSEC_MAX;
        p->condition = body ? json_deep_copy(body) : json_object();
        p->deadline_msec = clock_msec() + (uint64_t)msec;
        r->state = p;
        r->state_free = pending_free;
}

static enum http_verdict wait_more(struct demo *d, struct request *r) {
        const struct pending *p = r->state;
        bool reached = condition_holds(d, p->condition);

        if (!reached && clock_msec() < p->deadline_msec) {
                r->deadline_msec = p->deadline_msec;
                return HTTP_WAIT;
        }
        reply_json(r, 200, json_pack("{s:b}", "reached", reached));
        return HTTP_SEND;
}

static void on_tick(struct request *r, void *userdata) {
        const struct pending *p = r->state;

        if (clock_msec() >= p->deadline_msec || condition_holds(userdata, p->condition))
                http_resume(r);
}

void control_tick(struct demo *d) {
        http_each_waiting(d->control, on_tick, d);
}

static const struct control_call calls[] = {
        { "GET", "/stats", on_stats },
        { "GET", "/tokens", on_tokens },
        { "GET", "/streams", direct_streams },
        { "POST", "/fault", on_fault },
        { "POST", "/hold", on_hold },
        { "POST", "/release", on_release },
        { "POST", "/script", direct_script },
        { "POST", "/push", direct_push },
        { "POST", "/lose-sessions", direct_lose_sessions },
        { "POST", "/close-idle", direct_close_idle },
        { "POST", "/expire", on_expire },
        { "POST", "/device", on_device },
        { "POST", "/nonces", on_nonces },
        { "POST", "/revoke-all", on_revoke_all },
        { "POST", "/quit", on_quit },
        { "POST", "/wait", on_wait },
};

static void dispatch(struct demo *d, struct request *r) {
        json_t *body = NULL;

        if (request_header(r, "Origin")) { /* no web page has business here */
                reply_json(r, 403, json_pack("{s:s}", "error", "not for browsers"));
                return;
        }
        if (r->body.n > 0)
                body = json_loadb(r->body.p, r->body.n, 0, NULL);
        if (r->too_large || (r->body.n > 0 && !json_is_object(body))) {
                fail(r, "the body is not a JSON object");
                json_decref(body);
                return;
        }
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
                if (strcmp(calls[i].path, r->path) == 0 &&
                    strcmp(calls[i].method, r->method) == 0) {
                        calls[i].handle(d, r, body);
                        json_decref(body);
                        return;
                }
        }
        json_decref(body);
        reply_json(r, 404, json_pack("{s:s}", "error", "no such call"));
}

enum http_verdict control_on_request(struct request *r, void *userdata) {
        struct demo *d = userdata;

        if (!r->state)
                dispatch(d, r);
        return r->state_free == pending_free ? wait_more(d, r) : HTTP_SEND;
}
