/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/access.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "connect/daemon.h"
#include "loop/loop.h"
#include "os/browser.h"

#define LOGIN_ROUNDS_MAX 2
#define RESULT_DEPTH 8

struct access {
        sd_event *event;
        struct access_options options;
        const struct access_ops *ops;
        void *userdata;
        mcpb_client *client; /* NULL: not connected so far */
        int cancel_fd;       /* of daemon_connect() */
        sd_event_source *io;
        sd_event_source *timer;
        uint64_t timer_usec; /* UINT64_MAX: it is not set */
        struct list asks;
        struct list logins;
        unsigned n_unanswered; /* reports that were sent */
};

/* A login that somebody here waits for. */
struct login {
        struct list link;
        struct access *access;
        char *id;
        char *url;
        unsigned long long ticket; /* of login.wait; 0: none */
        bool shown_by_host;
};

struct access_ask {
        struct list link;
        struct access *access;
        access_fn fn;
        access_proof_fn proof_fn; /* in its place, where it is a proof that is asked for */
        void *userdata;
        unsigned long long ticket; /* of the call under way; 0: none */
        char *token_id;
        mcpb_challenge challenge;
        unsigned n_logins;
        struct login *login;    /* held for it */
        mcpb_error held;        /* what it will be told if that takes too long */
        sd_event_source *timer; /* the end of the hold, or the telling of a failure */
};

static void ask_get(struct access_ask *q);

/* ---- the daemon's socket on the loop ---- */

/*
 * The library may open another connection at any call, perhaps with the same number: so the source
 * is off while it works, and set anew behind it.
 */
static void unwatch(struct access *a) {
        if (a->io)
                (void)sd_event_source_set_enabled(a->io, SD_EVENT_OFF);
}

static int on_daemon_io(sd_event_source *s, int fd, uint32_t revents, void *userdata);

/* Too early does no harm, and is cheaper than a timer that is set and stopped for each call. */
static int wake_by(struct access *a, uint64_t usec) {
        if (a->timer_usec <= usec)
                return 0;
        a->timer_usec = usec;
        return loop_timer_set(a->timer, usec);
}

static void watch(struct access *a) {
        int fd = mcpb_client_fd(a->client);
        int msec = mcpb_client_timeout(a->client);
        uint32_t events = (uint32_t)mcpb_client_events(a->client);
        int r = 0;

        if (msec >= 0)
                r = wake_by(a, clock_boot_usec() + (uint64_t)msec * USEC_PER_MSEC);
        if (r < 0)
                log_debug("broker: no timer: %s", strerror(-r));
        if (fd < 0)
                return;
        if (!a->io) {
                r = sd_event_add_io(a->event, &a->io, fd, events, on_daemon_io, a);
                if (r >= 0)
                        r = sd_event_source_set_priority(a->io, LOOP_WORKER);
        } else {
                r = sd_event_source_set_io_fd(a->io, fd);
                if (r >= 0)
                        r = sd_event_source_set_io_events(a->io, events);
                if (r >= 0)
                        r = sd_event_source_set_enabled(a->io, SD_EVENT_ON);
        }
        if (r < 0)
                log_debug("broker: cannot watch its socket: %s", strerror(-r));
}

static void dispatch(struct access *a) {
        unwatch(a);
        mcpb_dispatch(a->client);
        watch(a);
}

static int on_daemon_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        dispatch(userdata);
        return 0;
}

static int on_daemon_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        struct access *a = userdata;

        a->timer_usec = UINT64_MAX;
        dispatch(a);
        return 0;
}

static int connect_daemon(struct access *a, mcpb_error *err) {
        return a->client ? 0
                         : daemon_connect(&a->options.client, a->options.host_fd, &a->cancel_fd,
                                          &a->client, err);
}

static void withdraw(struct access *a, unsigned long long *ticket) {
        if (*ticket == 0)
                return;
        unwatch(a);
        (void)mcpb_withdraw(a->client, *ticket);
        *ticket = 0;
        watch(a);
}

/* ---- the end of an ask ---- */

static struct access_ask *ask_free(struct access_ask *q) {
        if (!q)
                return NULL;
        withdraw(q->access, &q->ticket);
        list_remove(&q->link);
        (void)loop_source_free(q->timer);
        free(q->token_id);
        for (size_t i = 0; i < q->challenge.n_fields; i++)
                free((char *)(uintptr_t)q->challenge.fields[i]);
        free((void *)(uintptr_t)q->challenge.fields);
        mcpb_error_done(&q->held);
        free(q);
        return NULL;
}

static void login_leave(struct login *l);

struct access_ask *access_drop(struct access_ask *ask) {
        struct login *l = ask ? ask->login : NULL;

        (void)ask_free(ask);
        if (l)
                login_leave(l);
        return NULL;
}

static void tell(struct access_ask *q, mcpb_token *token, const mcpb_error *err) {
        struct login *l = q->login;
        struct access_answer answer = { .token = token,
                                        .err = err,
                                        .login = l ? l->id : NULL,
                                        .login_url = l ? l->url : NULL };
        access_fn fn = q->fn;
        access_proof_fn proof_fn = q->proof_fn;
        void *userdata = q->userdata;
        mcpb_error kept = q->held;

        /* It is gone before anybody hears of it: what they do next may be to ask again. */
        q->held = (mcpb_error)MCPB_ERROR_INIT;
        if (!err && !token)
                answer.err = &kept;
        (void)ask_free(q);
        if (proof_fn)
                proof_fn(NULL, answer.err, userdata);
        else
                fn(&answer, userdata);
        mcpb_error_done(&kept);
        (void)mcpb_token_free(answer.token);
        if (l)
                login_leave(l);
}

static int on_ask_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        tell(userdata, NULL, NULL);
        return 0;
}

/* Tells what stands in q->held at that time, from the loop. */
static int tell_at(struct access_ask *q, uint64_t usec) {
        return loop_timer_arm(q->access->event, usec, on_ask_timer, q, "broker-hold", &q->timer);
}

static void fail_soon(struct access_ask *q, mcpb_error *err) {
        mcpb_error_done(&q->held);
        q->held = *err;
        *err = (mcpb_error)MCPB_ERROR_INIT;
        if (tell_at(q, 0) < 0)
                log_debug("broker: a request that failed is never told so");
}

/* ---- logins ---- */

static struct login *login_free(struct login *l) {
        withdraw(l->access, &l->ticket);
        list_remove(&l->link);
        free(l->id);
        free(l->url);
        free(l);
        return NULL;
}

/* Frees it when nobody here waits for it any more. The daemon's goes on. */
static void login_leave(struct login *l) {
        struct access_ask *q;

        LIST_FOREACH(q, &l->access->asks, struct access_ask, link)
                if (q->login == l)
                        return;
        (void)login_free(l);
}

static void stop_timer(sd_event_source *timer) {
        if (timer && loop_timer_stop(timer) < 0)
                log_debug("broker: a timer goes on");
}

static void login_over(struct login *l, bool done, const mcpb_error *err) {
        struct access *a = l->access;
        struct access_ask *q;

        a->ops->on_login_over(l->id, done, a->userdata);
        LIST_FOREACH(q, &a->asks, struct access_ask, link) {
                if (q->login != l)
                        continue;
                q->login = NULL;
                stop_timer(q->timer);
                if (done) {
                        ask_get(q);
                } else {
                        mcpb_error copy = MCPB_ERROR_INIT;

                        memcpy(copy.code, err->code, sizeof(copy.code));
                        memcpy(copy.message, err->message, sizeof(copy.message));
                        memcpy(copy.hint, err->hint, sizeof(copy.hint));
                        fail_soon(q, &copy);
                }
        }
        (void)login_free(l);
}

static void login_wait(struct login *l);

static void open_browser(struct login *l) {
        const struct access_options *o = &l->access->options;

        if (!l->shown_by_host && !o->no_browser)
                (void)browser_open(o->browser, l->url);
}

static void copy_text(char *to, size_t size, const char *from) {
        size_t n = from ? strnlen(from, size - 1) : 0;

        if (n > 0)
                memcpy(to, from, n);
        to[n] = '\0';
}

static void on_waited(int r, const char *result, const mcpb_error *err, void *userdata) {
        AUTO_JSON json_t *value = NULL;
        mcpb_error failure = MCPB_ERROR_INIT;
        struct login *l = userdata;
        const char *state = NULL;
        const json_t *why;

        l->ticket = 0;
        if (r == -ETIMEDOUT || r == -ECONNRESET) {
                login_wait(l); /* the login is patient, and outlives the daemon */
                return;
        }
        if (r == 0 && json_parse(result, strlen(result), RESULT_DEPTH, &value, NULL) == 0)
                state = json_get_string(value, "state");
        if (state && streq(state, "waiting")) {
                if (json_get_bool(value, "opener", false))
                        open_browser(l); /* whoever was to do that has left */
                login_wait(l);
                return;
        }
        if (r < 0) {
                login_over(l, false, err);
                return;
        }
        why = json_object_get(value, "error");
        copy_text(failure.code, sizeof(failure.code), json_get_string(why, "code"));
        copy_text(failure.message, sizeof(failure.message), json_get_string(why, "message"));
        copy_text(failure.hint, sizeof(failure.hint), json_get_string(why, "hint"));
        login_over(l, state && streq(state, "done"), &failure);
}

static void login_wait(struct login *l) {
        struct access *a = l->access;
        AUTO_JSON json_t *params = json_pack("{s:s}", "login", l->id);
        AUTO_BUF struct buf text = BUF_INIT;
        mcpb_error err = MCPB_ERROR_INIT;
        int r = params ? json_write(&text, params) : -ENOMEM;

        unwatch(a);
        if (r == 0)
                r = mcpb_submit(a->client, "login.wait", text.data, on_waited, l, &l->ticket, &err);
        watch(a);
        if (r < 0)
                login_over(l, false, &err);
        mcpb_error_done(&err);
}

static struct login *login_find(struct access *a, const char *id) {
        struct login *l;

        LIST_FOREACH(l, &a->logins, struct login, link)
                if (streq(l->id, id))
                        return l;
        return NULL;
}

static struct login *login_new(struct access *a, const mcpb_login *from) {
        struct login *l = calloc(1, sizeof(*l));

        if (!l)
                return NULL;
        l->access = a;
        list_init(&l->link);
        l->id = strdup(from->login);
        l->url = strdup(from->url);
        if (!l->id || !l->url)
                return login_free(l);
        list_append(&a->logins, &l->link);
        return l;
}

/* Holds the ask until the login is over, or for as long as it may be held. */
static int hold(struct access_ask *q, const mcpb_login *from, mcpb_error *err) {
        struct access *a = q->access;
        struct login *l = login_find(a, from->login);
        bool known = l != NULL;
        int r;

        if (!l)
                l = login_new(a, from);
        if (!l)
                return -ENOMEM;
        q->login = l;
        q->n_logins++;
        mcpb_error_done(&q->held);
        q->held = *err;
        *err = (mcpb_error)MCPB_ERROR_INIT;
        r = tell_at(q, clock_boot_usec() + a->options.hold_usec);
        if (known)
                return r;
        l->shown_by_host = a->ops->on_login(l->id, l->url, a->userdata);
        if (from->opener)
                open_browser(l);
        login_wait(l);
        return r;
}

/* ---- asking ---- */

static void on_token(int r, mcpb_token *token, const mcpb_error *err, void *userdata) {
        struct access_ask *q = userdata;
        mcpb_error own = MCPB_ERROR_INIT;
        mcpb_login *login = NULL;

        q->ticket = 0;
        if (r < 0 && streq(err->code, "login_required") && q->n_logins < LOGIN_ROUNDS_MAX &&
            mcpb_login_from_error(err, &login) == 0 && login->url) {
                own = *err;
                own.data = NULL;
                r = hold(q, login, &own);
                (void)mcpb_login_free(login);
                if (r == 0)
                        return;
                tell(q, NULL, err);
                return;
        }
        (void)mcpb_login_free(login);
        tell(q, token, r < 0 ? err : NULL);
}

static void ask_get(struct access_ask *q) {
        struct access *a = q->access;
        mcpb_token_request request = MCPB_TOKEN_REQUEST_INIT;
        mcpb_error err = MCPB_ERROR_INIT;
        int r;

        request.server = a->options.server;
        request.account = a->options.account;
        request.scopes = a->options.scopes;
        request.start_login = 1;
        request.optional = 1; /* the server says when it is not */
        if (q->challenge.status != 0 && q->n_logins == 0) {
                request.challenge = &q->challenge;
                request.token_id = q->token_id;
        }
        unwatch(a);
        r = connect_daemon(a, &err);
        if (r == 0)
                r = mcpb_token_submit(a->client, &request, on_token, q, &q->ticket, &err);
        if (a->client)
                watch(a);
        if (r < 0)
                fail_soon(q, &err);
        mcpb_error_done(&err);
}

static void on_rejected(int r, const char *result, const mcpb_error *err, void *userdata) {
        struct access_ask *q = userdata;

        q->ticket = 0;
        if (r < 0)
                log_debug("broker: token.reject: %s", err->message);
        ask_get(q); /* whatever it said: the next answer tells */
}

static json_t *challenge_json(const mcpb_challenge *c) {
        json_t *fields = json_array();

        for (size_t i = 0; fields && i < c->n_fields; i++)
                if (json_array_append_new(fields, json_string(c->fields[i])) < 0)
                        log_debug("broker: a part of the challenge is left out");
        return fields ? json_pack("{s:i, s:o}", "status", c->status, "fields", fields) : NULL;
}

/* The server refused a token: that one, and no other, is not to be given out again. */
static void ask_reject(struct access_ask *q) {
        struct access *a = q->access;
        AUTO_JSON json_t *params = json_pack("{s:s, s:s, s:s*, s:o*}", "server", a->options.server,
                                             "token_id", q->token_id, "account", a->options.account,
                                             "challenge", challenge_json(&q->challenge));
        AUTO_BUF struct buf text = BUF_INIT;
        mcpb_error err = MCPB_ERROR_INIT;
        int r = params ? json_write(&text, params) : -ENOMEM;

        unwatch(a);
        if (r == 0)
                r = connect_daemon(a, &err);
        if (r == 0)
                r = mcpb_submit(a->client, "token.reject", text.data, on_rejected, q, &q->ticket,
                                &err);
        if (a->client)
                watch(a);
        if (r < 0)
                fail_soon(q, &err);
        mcpb_error_done(&err);
}

static int copy_challenge(struct access_ask *q, const struct access_challenge *c) {
        const char **fields = calloc(c->n_fields + 1, sizeof(*fields));

        if (!fields)
                return -ENOMEM;
        q->challenge = (mcpb_challenge){ .status = c->status, .fields = fields };
        for (size_t i = 0; i < c->n_fields; i++) {
                fields[i] = strdup(c->fields[i]);
                if (!fields[i])
                        return -ENOMEM;
                q->challenge.n_fields++;
        }
        if (c->token_id)
                q->token_id = strdup(c->token_id);
        return c->token_id && !q->token_id ? -ENOMEM : 0;
}

/* NULL: out of memory. */
static struct access_ask *ask_new(struct access *a, void *userdata) {
        struct access_ask *q = calloc(1, sizeof(*q));

        if (!q)
                return NULL;
        list_init(&q->link);
        q->access = a;
        q->userdata = userdata;
        q->held = (mcpb_error)MCPB_ERROR_INIT;
        return q;
}

int access_get(struct access *a, const struct access_challenge *challenge, access_fn fn,
               void *userdata, struct access_ask **ret) {
        struct access_ask *q = ask_new(a, userdata);

        if (!q)
                return -ENOMEM;
        q->fn = fn;
        if (challenge && copy_challenge(q, challenge) < 0) {
                (void)ask_free(q);
                return -ENOMEM;
        }
        list_append(&a->asks, &q->link);
        *ret = q;
        /* A step-up needs another token, but the one that there is stays good. */
        if (q->token_id && q->challenge.status == 401)
                ask_reject(q);
        else
                ask_get(q);
        return 0;
}

/* ---- proofs ---- */

static void on_proof(int r, const char *result, const mcpb_error *err, void *userdata) {
        struct access_ask *q = userdata;
        access_proof_fn fn = q->proof_fn;
        void *to = q->userdata;
        AUTO_JSON json_t *value = NULL;
        const char *proof = NULL;

        q->ticket = 0;
        if (r == 0 && json_parse(result, strlen(result), RESULT_DEPTH, &value, NULL) == 0)
                proof = json_get_string(value, "proof");
        if (r < 0 || !proof) {
                tell(q, NULL, r < 0 ? err : NULL);
                return;
        }
        (void)ask_free(q);
        fn(proof, NULL, to);
}

static void ask_proof(struct access_ask *q, const struct access_proof *what) {
        struct access *a = q->access;
        AUTO_JSON json_t *params =
                json_pack("{s:s, s:s*, s:s, s:s, s:s, s:s*}", "server", a->options.server,
                          "account", a->options.account, "token_id", what->token_id, "method",
                          what->method, "url", what->url, "nonce", what->nonce);
        AUTO_BUF struct buf text = BUF_INIT;
        mcpb_error err = MCPB_ERROR_INIT;
        int r = params ? json_write(&text, params) : -ENOMEM;

        unwatch(a);
        if (r == 0)
                r = connect_daemon(a, &err);
        if (r == 0)
                r = mcpb_submit(a->client, "token.proof", text.data, on_proof, q, &q->ticket, &err);
        if (a->client)
                watch(a);
        if (r < 0)
                fail_soon(q, &err);
        mcpb_error_done(&err);
}

int access_prove(struct access *a, const struct access_proof *what, access_proof_fn fn,
                 void *userdata, struct access_ask **ret) {
        struct access_ask *q = ask_new(a, userdata);

        if (!q)
                return -ENOMEM;
        q->proof_fn = fn;
        list_append(&a->asks, &q->link);
        *ret = q;
        ask_proof(q, what);
        return 0;
}

void access_hurry(struct access *a) {
        struct access_ask *q;

        a->options.hold_usec = 0;
        LIST_FOREACH(q, &a->asks, struct access_ask, link)
                if (q->login && tell_at(q, 0) < 0)
                        log_debug("broker: a held request stays so");
}

void access_decline(struct access *a, const char *login) {
        struct login *l = login_find(a, login);
        mcpb_error err = MCPB_ERROR_INIT;

        if (!l)
                return;
        copy_text(err.code, sizeof(err.code), "login_cancelled");
        copy_text(err.message, sizeof(err.message), "The login was declined");
        copy_text(err.hint, sizeof(err.hint), "Call again to be asked again.");
        login_over(l, false, &err);
}

/* ---- reports ---- */

static void on_reported(int r, const char *result, const mcpb_error *err, void *userdata) {
        struct access *a = userdata;

        if (r < 0)
                log_debug("broker: audit.record: %s", err->message);
        a->n_unanswered--;
        a->ops->on_reported(r < 0 ? err : NULL, a->n_unanswered == 0, a->userdata);
}

void access_report(struct access *a, const char *params) {
        mcpb_error err = MCPB_ERROR_INIT;
        unsigned long long ticket;

        if (!a->client)
                return; /* not even a token was asked for */
        unwatch(a);
        if (mcpb_submit(a->client, "audit.record", params, on_reported, a, &ticket, &err) == 0)
                a->n_unanswered++;
        else
                log_debug("broker: audit.record: %s", err.message);
        mcpb_error_done(&err);
        watch(a);
}

bool access_is_reporting(const struct access *a) {
        return a->n_unanswered > 0;
}

/* ---- life ---- */

int access_new(sd_event *event, const struct access_options *options, const struct access_ops *ops,
               void *userdata, struct access **ret) {
        struct access *a = calloc(1, sizeof(*a));
        int r;

        if (!a)
                return -ENOMEM;
        a->event = sd_event_ref(event);
        a->cancel_fd = -1;
        a->timer_usec = UINT64_MAX;
        a->options = *options;
        a->ops = ops;
        a->userdata = userdata;
        list_init(&a->asks);
        list_init(&a->logins);
        r = loop_timer(event, UINT64_MAX, on_daemon_timer, a, "broker-timer", &a->timer);
        if (r == 0)
                r = loop_timer_stop(a->timer);
        if (r < 0) {
                (void)access_free(a);
                return r;
        }
        *ret = a;
        return 0;
}

struct access *access_free(struct access *a) {
        struct access_ask *q;
        struct login *l;

        if (!a)
                return NULL;
        while ((q = LIST_FIRST(&a->asks, struct access_ask, link)))
                (void)ask_free(q);
        while ((l = LIST_FIRST(&a->logins, struct login, link)))
                (void)login_free(l);
        (void)loop_source_free(a->io);
        (void)loop_source_free(a->timer);
        a->client = mcpb_client_free(a->client);
        if (a->cancel_fd >= 0)
                (void)close(a->cancel_fd);
        (void)sd_event_unref(a->event);
        free(a);
        return NULL;
}
