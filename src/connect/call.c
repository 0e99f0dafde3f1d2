/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "connect/call.h"

#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/url.h"
#include "loop/loop.h"

#define ACCESS_ROUNDS_MAX 2 /* for each of 401 and 403 */
#define REDIRECTS_MAX 3
/* What follows so soon is sent with the same token: a lock, a rule or a revocation holds no later.
 * The token is good for longer anyway. */
#define HOLD_USEC (1 * USEC_PER_SEC)
#define HOLD_LEFT_SEC 5 /* unless it is about to end */
#define NONCES_MAX 2    /* repeats with a nonce that has just been given */
#define PROOFS_MAX 2    /* tokens that may end just before they are proved */
#define PAUSES_MAX 3
#define PAUSE_SEC_MAX 30
#define SWALLOW_BYTES ((size_t)64 * 1024)
#define SWALLOW_USEC (2 * USEC_PER_SEC)

/* A server that is just being restarted is worth a few seconds. */
static const uint64_t unreached_pauses[] = { 250 * USEC_PER_MSEC, 1 * USEC_PER_SEC,
                                             3 * USEC_PER_SEC };

/* What follows when the answer that is being received has ended. */
enum next {
        NEXT_NOTHING, /* it is the one that counts */
        NEXT_ACCESS,  /* the broker is asked what to do about it */
        NEXT_PAUSE,   /* the same again, later */
        NEXT_AGAIN,   /* the same again, now, perhaps elsewhere */
};

/* A token, shared by those who use it. */
struct held {
        unsigned n_users;
        uint64_t got_usec;
        mcpb_token *token;
};

struct call {
        struct upstream *upstream;
        const struct call_ops *ops;
        void *userdata;
        const char *url; /* NULL: the server's */
        char *moved_to;  /* by a redirect */
        struct span body;

        struct access_ask *ask;
        struct held *held;
        const mcpb_token *token; /* of @held; NULL: none so far */
        char *proof; /* for the next attempt, where the token is bound to a key; wiped */
        struct http_stream *stream;
        sd_event_source *soon;
        sd_event_source *timer;
        enum next next;
        uint64_t pause_usec;
        size_t swallowed;
        bool sent;
        bool told_head;
        unsigned n_refused; /* 401 */
        unsigned n_scope;   /* 403 */
        unsigned n_redirects;
        unsigned n_pauses;
        unsigned n_unreached;
        unsigned n_nonces;
        unsigned n_unproved;
        /* the challenge of the last answer */
        int status;
        char **fields;
        size_t n_fields;
};

static void ask(struct call *c, const struct access_challenge *challenge);
static void attempt(struct call *c);

/* ---- the token ---- */

static struct held *held_unref(struct held *h) {
        if (h && --h->n_users == 0) {
                (void)mcpb_token_free(h->token);
                free(h);
        }
        return NULL;
}

static void drop_token(struct call *c) {
        c->token = NULL;
        c->held = held_unref(c->held);
}

/* The server does not take it, or the moment is over: a bridge that idles holds none. */
static void give_up_token(struct upstream *u, const struct held *h) {
        if (u->held == h)
                u->held = held_unref(u->held);
}

static int on_held_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        struct upstream *u = userdata;

        give_up_token(u, u->held);
        return 0;
}

/* @t is taken. */
static int hold_token(struct call *c, mcpb_token *t) {
        struct upstream *u = c->upstream;
        struct held *h = calloc(1, sizeof(*h));

        drop_token(c);
        if (!h) {
                (void)mcpb_token_free(t);
                return -ENOMEM;
        }
        *h = (struct held){ .n_users = 2, .got_usec = clock_boot_usec(), .token = t };
        c->held = h;
        c->token = t;
        give_up_token(u, u->held);
        u->held = h;
        return loop_timer_arm(u->event, h->got_usec + HOLD_USEC, on_held_timer, u, "call-held",
                              &u->held_timer);
}

static bool borrow_token(struct call *c) {
        struct held *h = c->upstream->held;

        if (!h || h->token->no_challenge || clock_boot_usec() - h->got_usec >= HOLD_USEC ||
            (h->token->expires_in >= 0 && h->token->expires_in < HOLD_LEFT_SEC))
                return false;
        h->n_users++;
        c->held = h;
        c->token = h->token;
        return true;
}

void upstream_done(struct upstream *u) {
        u->held_timer = loop_source_free(u->held_timer);
        u->held = held_unref(u->held);
        free(u->url);
        free(u->nonce);
        for (size_t i = 0; i < u->n_headers; i++) {
                (void)str_wipe_free(u->headers[i].name);
                (void)str_wipe_free(u->headers[i].value);
        }
        free(u->headers);
        *u = (struct upstream){ 0 };
}

static void drop_challenge(struct call *c) {
        for (size_t i = 0; i < c->n_fields; i++)
                free(c->fields[i]);
        free(c->fields);
        c->fields = NULL;
        c->n_fields = 0;
}

struct call *call_free(struct call *c) {
        if (!c)
                return NULL;
        (void)access_drop(c->ask);
        (void)http_stream_close(c->stream);
        (void)loop_source_free(c->soon);
        (void)loop_source_free(c->timer);
        drop_token(c);
        (void)str_wipe_free(c->proof);
        drop_challenge(c);
        free(c->moved_to);
        free(c);
        return NULL;
}

static void finish(struct call *c, enum call_result result, const char *reason,
                   const struct access_answer *refusal) {
        AUTO_FREE char *kept = reason ? strdup(reason) : NULL;
        AUTO_FREE char *audit_id = c->token && c->token->request ? strdup(c->token->request) : NULL;
        struct call_end end = { .result = result, .reason = kept, .audit_id = audit_id };
        const struct call_ops *ops = c->ops;
        void *userdata = c->userdata;

        if (refusal) {
                end.err = refusal->err;
                end.login = refusal->login;
                end.login_url = refusal->login_url;
        }
        (void)call_free(c);
        ops->on_end(&end, userdata);
}

/* ---- the answer ---- */

static int copy_challenge(struct call *c, const struct fetch_answer *a) {
        size_t left = LIMIT_CHALLENGE_BYTES; /* the broker takes no more */

        drop_challenge(c);
        c->status = (int)a->status;
        c->fields = calloc(a->n_headers + 1, sizeof(*c->fields));
        if (!c->fields)
                return -ENOMEM;
        for (size_t i = 0; i < a->n_headers; i++) {
                size_t len = strlen(a->headers[i].value);

                if (!streq(a->headers[i].name, "www-authenticate") || len > left)
                        continue;
                left -= len;
                c->fields[c->n_fields] = strdup(a->headers[i].value);
                if (!c->fields[c->n_fields])
                        return -ENOMEM;
                c->n_fields++;
        }
        return 0;
}

/* Whether a 403 is about scopes is said by the challenge; whether that is true, the broker
 * finds out. */
static bool speaks_of_scope(const struct call *c) {
        for (size_t i = 0; i < c->n_fields; i++)
                if (c->fields[i] && strcasestr(c->fields[i], "insufficient_scope"))
                        return true;
        return false;
}

/* Is the token one that is good for nothing without a proof (DPoP)? */
static bool is_bound(const struct call *c) {
        return c->token && !c->token->no_challenge && streq(c->token->token_type, "DPoP");
}

/* RFC 9449 9: not the token is refused, but the proof that lacked this nonce. */
static bool wants_nonce(const struct fetch_answer *a) {
        if (a->status != 401 || !fetch_answer_header(a, "dpop-nonce"))
                return false;
        for (size_t i = 0; i < a->n_headers; i++)
                if (streq(a->headers[i].name, "www-authenticate") &&
                    strcasestr(a->headers[i].value, "use_dpop_nonce"))
                        return true;
        return false;
}

/* RFC 9449 8.2: also with an answer that is a success. */
static void note_nonce(struct call *c, const struct fetch_answer *a) {
        const char *nonce = is_bound(c) ? fetch_answer_header(a, "dpop-nonce") : NULL;
        char *copy = nonce && strlen(nonce) <= LIMIT_NONCE_BYTES ? strdup(nonce) : NULL;

        if (!copy)
                return;
        free(c->upstream->nonce);
        c->upstream->nonce = copy;
}

static enum next judge_refusal(struct call *c, const struct fetch_answer *a) {
        unsigned *rounds = a->status == 401 ? &c->n_refused : &c->n_scope;

        if (is_bound(c) && wants_nonce(a))
                return c->n_nonces++ < NONCES_MAX ? NEXT_AGAIN : NEXT_NOTHING;
        if (c->upstream->own_authorization || copy_challenge(c, a) < 0 ||
            *rounds >= ACCESS_ROUNDS_MAX)
                return NEXT_NOTHING;
        if (a->status == 403 && !speaks_of_scope(c))
                return NEXT_NOTHING;
        (*rounds)++;
        give_up_token(c->upstream, c->held);
        return NEXT_ACCESS;
}

/* 429 and 503 say that nothing was done; how long to wait must be said too. */
static enum next judge_busy(struct call *c, const struct fetch_answer *a) {
        const char *after = fetch_answer_header(a, "retry-after");
        uint64_t sec = 0;

        if (!after || number_parse(after, PAUSE_SEC_MAX, &sec) < 0 || c->n_pauses >= PAUSES_MAX)
                return NEXT_NOTHING;
        c->n_pauses++;
        c->pause_usec = sec * USEC_PER_SEC;
        return NEXT_PAUSE;
}

static const char *target(const struct call *c) {
        return c->moved_to ? c->moved_to : c->url ? c->url : c->upstream->url;
}

/* With the method and body kept, and never to another origin: what is sent holds a token. */
static enum next judge_redirect(struct call *c, const struct fetch_answer *a) {
        const char *location = fetch_answer_header(a, "location");
        char *moved_to;

        if (!location || c->n_redirects >= REDIRECTS_MAX)
                return NEXT_NOTHING;
        moved_to = url_resolve_within(target(c), location);
        if (!moved_to)
                return NEXT_NOTHING;
        c->n_redirects++;
        free(c->moved_to);
        c->moved_to = moved_to;
        return NEXT_AGAIN;
}

static enum next judge(struct call *c, const struct fetch_answer *a) {
        switch (a->status) {
        case 401:
        case 403:
                return judge_refusal(c, a);
        case 429:
        case 503:
                return judge_busy(c, a);
        case 307:
        case 308:
                return judge_redirect(c, a);
        default:
                return NEXT_NOTHING;
        }
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata);

static int set_timer(struct call *c, uint64_t usec) {
        return loop_timer_arm(c->upstream->event, clock_boot_usec() + usec, on_timer, c, "call",
                              &c->timer);
}

static void proceed(struct call *c) {
        struct access_challenge challenge = { .status = c->status,
                                              .fields = (const char *const *)c->fields,
                                              .n_fields = c->n_fields,
                                              .token_id = c->token ? c->token->token_id : NULL };
        enum next next = c->next;

        c->next = NEXT_NOTHING;
        c->swallowed = 0;
        if (next == NEXT_ACCESS)
                ask(c, &challenge);
        else if (next == NEXT_AGAIN)
                attempt(c);
        else if (set_timer(c, c->pause_usec) < 0)
                finish(c, CALL_NOT_SENT, "out of memory", NULL);
}

/* Also the end of an answer that nobody wants and that does not end by itself. */
static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        struct call *c = userdata;

        c->stream = http_stream_close(c->stream);
        if (c->next != NEXT_NOTHING)
                proceed(c);
        else
                attempt(c);
        return 0;
}

static void on_stream_head(struct http_stream *s, const struct fetch_answer *a, void *userdata) {
        struct call *c = userdata;

        log_debug("HTTP %u", a->status);
        note_nonce(c, a);
        c->next = judge(c, a);
        if (c->next != NEXT_NOTHING) {
                if (set_timer(c, SWALLOW_USEC) < 0)
                        log_debug("call: no timer for an unwanted answer");
                return;
        }
        c->told_head = true;
        c->ops->on_head(c, a, c->userdata);
}

static int on_stream_body(struct http_stream *s, const char *data, size_t len, void *userdata) {
        struct call *c = userdata;

        if (c->next == NEXT_NOTHING)
                return c->ops->on_body(c, data, len, c->userdata);
        c->swallowed += len;
        return c->swallowed > SWALLOW_BYTES ? -EMSGSIZE : 0;
}

static bool try_again(struct call *c, const struct fetch_answer *a) {
        bool there = a->failure == FETCH_FAILURE_CONNECT || a->failure == FETCH_FAILURE_RESOLVE;

        if (a->outcome != FETCH_NOT_SENT || !there ||
            c->n_unreached >= ARRAY_SIZE(unreached_pauses))
                return false;
        return set_timer(c, unreached_pauses[c->n_unreached++]) == 0;
}

static void on_stream_end(struct http_stream *s, struct fetch_answer *a, void *userdata) {
        struct call *c = userdata;

        c->stream = NULL;
        if (c->timer && loop_timer_stop(c->timer) < 0)
                log_debug("call: a timer goes on");
        if (c->next != NEXT_NOTHING) {
                proceed(c);
                return;
        }
        if (try_again(c, a))
                return;
        if (a->outcome == FETCH_ANSWERED)
                finish(c, CALL_ANSWERED, NULL, NULL);
        else
                finish(c, a->outcome == FETCH_NOT_SENT ? CALL_NOT_SENT : CALL_IN_DOUBT,
                       a->reason ? a->reason : "out of memory", NULL);
}

/* ---- the request ---- */

static int add_own_headers(const struct call *c, struct fetch_request *f) {
        const struct upstream *u = c->upstream;
        int r = fetch_request_add_header(f, "Accept", c->ops->accept);

        if (r == 0 && c->ops->json)
                r = fetch_request_add_header(f, "Content-Type", "application/json");
        for (size_t i = 0; r == 0 && i < u->n_headers; i++)
                r = fetch_request_add_header(f, u->headers[i].name, u->headers[i].value);
        return r;
}

static int add_token(const struct call *c, struct fetch_request *f) {
        AUTO_BUF struct buf value = BUF_INIT;
        int r;

        if (!c->token || c->token->no_challenge)
                return 0;
        r = buf_printf(&value, "%s %s", c->token->token_type, c->token->token);
        r = r < 0 ? r : fetch_request_add_header(f, "Authorization", value.data);
        return r < 0 || !c->proof ? r : fetch_request_add_header(f, "DPoP", c->proof);
}

static int send_request(struct call *c) {
        static const struct http_stream_ops stream_ops = { .on_head = on_stream_head,
                                                           .on_body = on_stream_body,
                                                           .on_end = on_stream_end };
        struct fetch_request f;
        int r;

        fetch_request_init(&f);
        f.id = ++c->upstream->last_id;
        f.allow = ADDRESS_PUBLIC | ADDRESS_PRIVATE | ADDRESS_LOOPBACK;
        r = fetch_request_set(&f, c->ops->method, target(c));
        if (r == 0)
                r = add_own_headers(c, &f);
        if (r == 0 && c->ops->add_headers)
                r = c->ops->add_headers(&f, c->userdata);
        if (r == 0)
                r = add_token(c, &f);
        f.body.max = c->body.len + 1;
        if (r == 0 && c->body.len > 0)
                r = buf_append(&f.body, c->body.p, c->body.len);
        if (r == 0)
                r = http_stream_open(c->upstream->http, &f, &stream_ops, c, &c->stream);
        fetch_request_done(&f);
        return r;
}

static void on_proof(const char *proof, const mcpb_error *err, void *userdata);

/* Each proof is for one attempt (A206). */
static void ask_proof(struct call *c) {
        struct access_proof what = { .token_id = c->token->token_id,
                                     .method = c->ops->method,
                                     .url = target(c),
                                     .nonce = c->upstream->nonce };

        if (access_prove(c->upstream->access, &what, on_proof, c, &c->ask) < 0)
                finish(c, CALL_NOT_SENT, "out of memory", NULL);
}

static void attempt(struct call *c) {
        int r;

        if (!target(c)) {
                finish(c, CALL_NOT_SENT, "the broker knows no server of that name", NULL);
                return;
        }
        if (is_bound(c) && !c->proof) {
                ask_proof(c);
                return;
        }
        c->sent = true;
        r = send_request(c);
        c->proof = str_wipe_free(c->proof);
        if (r < 0)
                finish(c, CALL_NOT_SENT,
                       r == -EBUSY ? "too many requests are under way" : strerror(-r), NULL);
}

/* The token may have ended meanwhile: then there is another. */
static void on_proof(const char *proof, const mcpb_error *err, void *userdata) {
        struct call *c = userdata;
        struct access_answer refusal = { .err = err };

        c->ask = NULL;
        c->proof = proof ? strdup(proof) : NULL;
        if (c->proof)
                attempt(c);
        else if (proof || !err)
                finish(c, CALL_NOT_SENT, "out of memory", NULL);
        else if (streq(err->code, "not_found") && c->n_unproved++ < PROOFS_MAX)
                ask(c, NULL);
        else
                finish(c, CALL_NO_ACCESS, err->message, &refusal);
}

static void on_access(struct access_answer *a, void *userdata) {
        struct call *c = userdata;
        struct upstream *u = c->upstream;

        c->ask = NULL;
        if (!a->token) {
                finish(c, CALL_NO_ACCESS, a->err->message, a);
                return;
        }
        if (hold_token(c, TAKE(a->token)) < 0) {
                finish(c, CALL_NOT_SENT, "out of memory", NULL);
                return;
        }
        /* A token goes to the server that it is for, and nowhere else. */
        if (c->token->url && !streq_null(c->token->url, u->url)) {
                free(u->url);
                u->url = strdup(c->token->url);
        }
        attempt(c);
}

static void ask(struct call *c, const struct access_challenge *challenge) {
        if (access_get(c->upstream->access, challenge, on_access, c, &c->ask) < 0)
                finish(c, CALL_NOT_SENT, "out of memory", NULL);
}

static int on_soon(sd_event_source *s, void *userdata) {
        struct call *c = userdata;

        c->soon = loop_source_free(c->soon);
        attempt(c);
        return 0;
}

/* With what is at hand, or when the broker has answered. */
static int begin(struct call *c) {
        struct upstream *u = c->upstream;

        if (u->own_authorization || borrow_token(c)) {
                c->sent = target(c) && !is_bound(c) && send_request(c) == 0;
                return c->sent ? 0 : loop_defer(u->event, on_soon, c, "call-soon", &c->soon);
        }
        return access_get(u->access, NULL, on_access, c, &c->ask);
}

int call_new(struct upstream *u, const struct call_ops *ops, const char *url, struct span body,
             void *userdata, struct call **ret) {
        struct call *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        *c = (struct call){
                .upstream = u, .ops = ops, .url = url, .body = body, .userdata = userdata
        };
        if (begin(c) < 0) {
                (void)call_free(c);
                return -ENOMEM;
        }
        *ret = c;
        return 0;
}

void call_pause(struct call *c, bool pause) {
        if (c->stream)
                http_stream_pause(c->stream, pause);
}

bool call_is_sent(const struct call *c) {
        return c->sent;
}

const char *call_audit_id(const struct call *c) {
        return c->token ? c->token->request : NULL;
}
