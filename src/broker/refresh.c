/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/refresh.h"
#include "broker/ask.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "broker/internal.h"
#include "broker/later.h"
#include "broker/lease.h"
#include "broker/release.h"
#include "loop/loop.h"
#include "oauth/token.h"
#include "store/store.h"

#define ATTEMPTS_MAX 3
#define BACKOFF_MAX_SEC 60

struct refresh {
        struct grant *grant; /* NULL: the grant is gone; the next callback frees this */
        struct scope_set narrow;
        bool full;
        bool was_in_doubt; /* an earlier refresh was sent and its answer never seen */
        json_t *value;     /* the grant's record, with the refresh token */
        struct registration registration;
        unsigned n_attempts;
        uint64_t fetch_id;
        bool fetching;
        bool nonce_tried;           /* the one repeat with a nonce that the issuer gave */
        bool storing;               /* a callback of the store will come */
        struct fetch_answer answer; /* kept where there was no memory to read it */
        bool unread;
        bool held; /* from the first write that failed on: what is new is here and nowhere else */
        struct lease *fresh;     /* what the issuer gave: handed out once the record is durable */
        struct shielded unsaved; /* the record that the disk did not take */
        sd_event_source *retry;
};

void refresh_free(struct refresh *r) {
        if (!r)
                return;
        if (r->fetching && r->grant)
                r->grant->broker->workers->fetch_forget(r->grant->broker->wud, r->fetch_id);
        if (r->grant)
                broker_operation_end(r->grant->broker);
        r->grant = NULL;
        r->retry = sd_event_source_disable_unref(r->retry);
        json_decref(r->value);
        r->value = NULL;
        if (r->storing)
                return; /* the store's callback frees the rest */
        scope_set_done(&r->narrow);
        registration_done(&r->registration);
        (void)lease_free(r->fresh);
        shielded_done(&r->unsaved);
        fetch_answer_done(&r->answer);
        free(r);
}

/* The grant of a callback's refresh, or NULL if it went away meanwhile (then the refresh is freed).
 */
static struct grant *still_wanted(struct refresh *r) {
        r->storing = false;
        if (r->grant)
                return r->grant;
        refresh_free(r);
        return NULL;
}

/* The only way out: back to READY, and on with those who wait. */
static void refresh_over(struct grant *g) {
        struct refresh *r = TAKE(g->refresh);

        grant_set_state(g, GRANT_READY);
        refresh_free(r);
        grant_pump(g);
}

static void refresh_failed(struct grant *g, const struct error *err) {
        struct refresh *r = g->refresh;
        AUTO_SCOPES struct scope_set narrow = SCOPE_SET_INIT;
        struct error copy = *err;
        bool full = r->full;
        bool copied = scope_set_copy(&narrow, &r->narrow) == 0;

        release_note(g->broker, &(struct release_event){ .event = AUDIT_REFRESH_ROTATE,
                                                         .outcome = AUDIT_FAILURE,
                                                         .grant = g,
                                                         .why = &copy });
        log_failure(LOG_NOTICE, &copy, "refresh");
        r = TAKE(g->refresh);
        grant_set_state(g, GRANT_READY);
        refresh_free(r);
        grant_fail_waiters(g, copied && !g->refresh_dead ? &narrow : NULL, full, &copy);
        grant_pump(g);
}

/* How long to leave the issuer alone after @n failures in a row. */
static void back_off(struct grant *g, uint64_t retry_after_sec, const struct error *err) {
        uint64_t sec = g->n_failures < 6 ? (uint64_t)1 << g->n_failures : BACKOFF_MAX_SEC;

        if (retry_after_sec > sec)
                sec = retry_after_sec > 300 ? 300 : retry_after_sec;
        g->n_failures++;
        g->not_before = clock_boot_usec() + sec * USEC_PER_SEC;
        g->backoff_error = *err;
}

/*
 * What a server has refused stays refused, also if no other token is had before the next start. It
 * is written with what a refresh writes anyway: who says that a token was refused costs no write.
 * True: the record is another now.
 */
static bool bury_lease(struct refresh *r) {
        json_t *stored = json_object_get(r->value, "lease");
        const char *id = json_get_string(stored, "token_id");
        const struct lease *l = grant_find_lease(r->grant, NULL, true);

        return id && l && l->dead && streq(l->token_id, id) &&
               !json_get_bool(stored, "dead", false) &&
               json_object_set_new(stored, "dead", json_true()) == 0;
}

static int put_value(struct refresh *r, store_done_fn fn) {
        struct grant *g = r->grant;
        int s = store_put(g->broker->store,
                          &(struct store_put){ .kind = STORE_GRANT,
                                               .key = g->key,
                                               .expect = g->generation,
                                               .value = r->value },
                          fn, r);

        if (s == 0)
                r->storing = true;
        return s;
}

static void store_failed(struct grant *g, int r, const struct error *from) {
        struct error err = later_error(r, from);

        refresh_failed(g, &err);
}

/* --- After the answer: the new record first -------------------------------------------------- */

static void hold_unsaved(struct grant *g, int res, const struct error *from);
static void read_answer(struct refresh *r);

static void on_saved(int res, const struct store_item *item, const struct error *err,
                     void *userdata) {
        struct refresh *r = userdata;
        struct grant *g = still_wanted(r);
        struct lease *fresh;

        if (!g)
                return;
        if (res < 0) {
                hold_unsaved(g, res, err);
                return;
        }
        g->generation = item->generation;
        g->in_doubt = false;
        g->n_failures = 0;
        g->not_before = 0;
        g->n_refreshes++;
        g->broker->n_refreshes++;
        fresh = TAKE(r->fresh);
        release_note(g->broker, &(struct release_event){ .event = AUDIT_REFRESH_ROTATE,
                                                         .outcome = AUDIT_SUCCESS,
                                                         .grant = g,
                                                         .scopes = &fresh->scopes });
        grant_add_lease(g, fresh);
        refresh_over(g);
}

static void on_reread(int res, const struct store_item *item, const struct error *err,
                      void *userdata) {
        struct refresh *r = userdata;
        struct grant *g = still_wanted(r);
        AUTO_BUF struct buf text = BUF_INIT;

        if (!g)
                return;
        if (res == 0)
                g->generation = item->generation;
        if (res == 0 || res == -ENOENT) {
                if (res == -ENOENT)
                        g->generation = 0;
                res = shield_open(g->broker->shield, &r->unsaved, &text);
                if (res == 0 && !r->value)
                        res = json_parse(text.data, text.len, LIMIT_JSON_DEPTH, &r->value, NULL);
                if (res == 0)
                        res = put_value(r, on_saved);
                if (res == 0) {
                        json_decref(r->value);
                        r->value = NULL;
                        return;
                }
        }
        hold_unsaved(g, res, err);
}

static int on_retry_save(sd_event_source *s, uint64_t usec, void *userdata) {
        struct refresh *r = userdata;
        struct grant *g = r->grant;
        int res;

        r->retry = sd_event_source_disable_unref(r->retry);
        grant_set_state(g, GRANT_READY);
        grant_set_state(g, GRANT_REFRESHING);
        if (r->unread) {
                read_answer(r);
                return 0;
        }
        res = later_get(g->broker, STORE_GRANT, g->key, on_reread, r);
        if (res == 0) {
                r->storing = true;
                return 0;
        }
        hold_unsaved(g, res, NULL);
        return 0;
}

/* The issuer has rotated and the disk says no: the new token is kept (shielded) and written as soon
 * as that works. */
static void hold_unsaved(struct grant *g, int res, const struct error *from) {
        struct refresh *r = g->refresh;
        AUTO_BUF struct buf text = BUF_INIT;
        struct error err = later_error(res, from);
        uint64_t sec = g->n_failures < 5 ? (uint64_t)1 << g->n_failures : 30;

        if (broker_is_draining(g->broker))
                sec = 1; /* soon it is too late */
        r->held = true;
        res = 0;
        if (!r->unread && !shielded_is_set(&r->unsaved)) {
                res = json_write(&text, r->value);
                if (res == 0)
                        res = shield_put(g->broker->shield, text.data, text.len, &r->unsaved);
        }
        if (!r->unread && res == 0) {
                json_decref(r->value);
                r->value = NULL;
        }
        g->n_failures++;
        g->backoff_error = err;
        log_failure(LOG_ERR, &err, "a new refresh token is only in memory");
        grant_set_state(g, GRANT_UNSAVED);
        refresh_save_again(g, sec * USEC_PER_SEC);
        grant_fail_waiters(g, NULL, false, &err);
        grant_pump(g); /* a login or a removal waits no longer; this may be gone then */
}

bool refresh_is_unsaved(const struct grant *g) {
        return g->refresh && g->refresh->held;
}

void refresh_save_now(struct grant *g) {
        if (!g->refresh->retry || loop_timer_set(g->refresh->retry, clock_boot_usec()) < 0)
                refresh_save_again(g, 0);
}

void refresh_pause(struct grant *g) {
        if (g->refresh)
                g->refresh->retry = sd_event_source_disable_unref(g->refresh->retry);
}

void refresh_drop(struct grant *g) {
        refresh_free(TAKE(g->refresh));
        grant_set_state(g, GRANT_READY);
}

void refresh_save_again(struct grant *g, uint64_t usec) {
        struct refresh *r = g->refresh;

        if (!r->retry && loop_timer(g->broker->event, clock_boot_usec() + usec, on_retry_save, r,
                                    "save again", &r->retry) < 0)
                log_error("No timer to write a grant again: it is written when it is asked for");
}

static int set_lease(struct refresh *r) {
        json_t *stored = lease_to_json(r->grant, r->fresh);

        return stored ? json_object_set_new(r->value, "lease", stored) : -ENOMEM;
}

/* A145: a new refresh token replaces the old one; without one the old one stays. A144: a narrowed
 * answer cuts nothing. */
static int update_value(struct refresh *r, const struct token_reply *reply) {
        struct grant *g = r->grant;
        int res = 0;

        (void)json_object_del(r->value, "refreshing");
        if (reply->refresh_token.len > 0)
                res = json_object_set_new(
                        r->value, "refresh_token",
                        json_stringn(reply->refresh_token.data, reply->refresh_token.len));
        if (res == 0 && r->full) {
                if (reply->has_scope)
                        res = scope_set_copy(&g->scopes, &reply->scopes);
                if (res == 0)
                        res = json_object_set_new(r->value, "scopes", scopes_value(&g->scopes));
                if (res == 0)
                        res = set_lease(r);
        }
        return res < 0 ? -ENOMEM : 0;
}

static void take_reply(struct refresh *r, const struct token_reply *reply) {
        struct grant *g = r->grant;
        int res = 0;

        if (!r->fresh)
                res = lease_new(g, reply, r->full ? &g->scopes : &r->narrow, r->full, &r->fresh);
        if (res == 0)
                res = update_value(r, reply);
        /* Until here the answer is the only place where the new token is. */
        r->unread = res < 0;
        if (!r->unread)
                fetch_answer_done(&r->answer);
        if (res == 0)
                res = put_value(r, on_saved);
        if (res < 0)
                hold_unsaved(g, res, NULL);
}

/* --- The request ----------------------------------------------------------------------------- */

static void on_answer(struct fetch_answer *answer, void *userdata);
static void end_in_failure(struct refresh *r, const struct error *err, bool clear_mark);

static int send_request(struct refresh *r) {
        struct grant *g = r->grant;
        struct broker *b = g->broker;
        struct fetch_request f;
        struct error err = ERROR_INIT;
        struct token_refresh params = {
                .refresh_token = json_get_string(r->value, "refresh_token"),
                .resource = grant_sent_resource(g),
                .granted = &g->scopes,
                .narrow = r->full ? NULL : &r->narrow,
        };
        int res;

        fetch_request_init(&f);
        res = token_request_refresh(&f, &params, &r->registration, &g->as, &err);
        if (res == 0)
                res = bound_add_proof(&g->bound, b->shield, &f);
        if (res == 0) {
                f.allow = broker_grant_allow(g);
                res = ask_network(b, FETCH_DEAL, &f, on_answer, r, &r->fetch_id);
        }
        fetch_request_done(&f);
        if (res == 0) {
                r->fetching = true;
                r->n_attempts++;
                return 0;
        }
        (void)error_fallback(&err, res, "asking the issuer");
        end_in_failure(r, &err, !r->was_in_doubt);
        return res;
}

static int on_retry_request(sd_event_source *s, uint64_t usec, void *userdata) {
        struct refresh *r = userdata;

        r->retry = sd_event_source_disable_unref(r->retry);
        (void)send_request(r);
        return 0;
}

/* A137: a few repeats, for what surely did not use the token up, and for 429 and 5xx; another 4xx
 * is never repeated. An issuer that rotated before it failed with 5xx takes the old token again
 * within a grace of seconds, if at all: a repeat is safer soon than late. */
static bool try_again(struct refresh *r, const struct token_fault *fault) {
        uint64_t msec = r->n_attempts == 1 ? 250 : 1000;
        unsigned status = r->answer.status;

        if ((status >= 400 && status < 500 && status != 429) || r->n_attempts >= ATTEMPTS_MAX ||
            !token_error_repeatable(fault->what, false) || fault->what == TOKEN_IN_DOUBT ||
            fault->retry_after_sec > 2)
                return false;
        if (fault->retry_after_sec > 0)
                msec = fault->retry_after_sec * 1000;
        return loop_timer(r->grant->broker->event, clock_boot_usec() + msec * USEC_PER_MSEC,
                          on_retry_request, r, "ask the issuer again", &r->retry) == 0;
}

static void on_mark_cleared(int res, const struct store_item *item, const struct error *err,
                            void *userdata) {
        struct refresh *r = userdata;
        struct grant *g = still_wanted(r);
        struct error why;

        if (!g)
                return;
        if (res == 0)
                g->generation = item->generation;
        why = g->backoff_error;
        refresh_failed(g, &why);
}

/* The failure is final for this refresh; the mark is taken off the record where the token surely
 * was not used. */
static void end_in_failure(struct refresh *r, const struct error *err, bool clear_mark) {
        struct grant *g = r->grant;
        bool changed = bury_lease(r);

        g->backoff_error = *err;
        if (clear_mark && json_object_del(r->value, "refreshing") == 0) {
                g->in_doubt = false;
                changed = true;
        }
        if (!changed || put_value(r, on_mark_cleared) < 0)
                refresh_failed(g, err);
}

/* A147: the refresh token is dead. The lease, the registration and all other grants stay. */
static void refresh_refused(struct refresh *r, const struct error *err) {
        struct grant *g = r->grant;

        g->refresh_dead = true;
        (void)error_set(&g->dead, MCPB_GRANT_REVOKED, EKEYREVOKED, NULL, "%s%s", err->message,
                        r->was_in_doubt ? " (the answer to an earlier refresh was lost, and with "
                                          "it the token that replaced this one)"
                                        : "");
        grant_dead_hint(g);
        g->backoff_error = g->dead;
        release_note(g->broker, &(struct release_event){ .event = AUDIT_REFRESH_REUSE_DETECTED,
                                                         .outcome = AUDIT_FAILURE,
                                                         .grant = g,
                                                         .why = &g->dead });
        (void)json_object_del(r->value, "refresh_token");
        /* Why, for whoever asks after the next start. */
        if (json_object_set_new(r->value, "dead", json_string(g->dead.message)) < 0)
                log_warning("Out of memory: the reason will not be known after a restart");
        end_in_failure(r, &g->dead, true);
}

/* The lease serves to its end; then the old token is tried once more. */
static void doubt(struct refresh *r, const struct error *err) {
        struct grant *g = r->grant;

        g->in_doubt = true;
        back_off(g, 0, err);
        end_in_failure(r, err, false);
}

static void read_answer(struct refresh *r) {
        struct grant *g = r->grant;
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        struct token_fault fault = { 0 };
        struct error err = ERROR_INIT;
        bool clear =
                !r->was_in_doubt; /* a failure now says nothing about the answer that was lost */
        int res = bound_is(&g->bound) ? token_answer_dpop(&reply, &g->as, &r->answer, &fault, &err)
                                      : token_answer(&reply, &g->as, &r->answer, &fault, &err);

        r->unread = res == -ENOMEM;
        if (res == 0) {
                take_reply(r, &reply);
                return;
        }
        if (res == -ENOMEM) {
                hold_unsaved(g, res, &err);
                return;
        }
        switch (fault.what) {
        case TOKEN_INVALID_GRANT:
                refresh_refused(r, &err);
                return;
        case TOKEN_IN_DOUBT:
                doubt(r, &err);
                return;
        case TOKEN_NOT_SENT:
        case TOKEN_TRANSIENT:
                if (try_again(r, &fault))
                        return;
                back_off(g, fault.retry_after_sec, &err);
                end_in_failure(r, &err, clear);
                return;
        case TOKEN_INVALID_SCOPE:
                end_in_failure(r, &err, clear);
                return;
        case TOKEN_OTHER:
                /* It said yes, and what it gave cannot be read: the old token is spent, perhaps. */
                if (r->answer.status == 200) {
                        doubt(r, &err);
                        return;
                }
                back_off(g, 0, &err);
                end_in_failure(r, &err, clear);
                return;
        case TOKEN_OK:
        case TOKEN_INVALID_CLIENT:
        case TOKEN_INVALID_TARGET:
        case TOKEN_UNAUTHORIZED_CLIENT:
        case TOKEN_USE_DPOP_NONCE:
        case TOKEN_ERROR_COUNT:
                back_off(g, 0, &err);
                end_in_failure(r, &err, clear);
                return;
        }
}

static void on_answer(struct fetch_answer *answer, void *userdata) {
        struct refresh *r = userdata;

        r->fetching = false;
        fetch_answer_done(&r->answer);
        r->answer = *answer;
        fetch_answer_init(answer);
        if (bound_hear_issuer(&r->grant->bound, &r->answer) && !r->nonce_tried) {
                r->nonce_tried = true;
                (void)send_request(r);
                return;
        }
        read_answer(r);
}

/* --- The way to the request ------------------------------------------------------------------ */

static void on_marked(int res, const struct store_item *item, const struct error *err,
                      void *userdata) {
        struct refresh *r = userdata;
        struct grant *g = still_wanted(r);

        if (!g)
                return;
        if (res < 0) {
                store_failed(g, res, err);
                return;
        }
        g->generation = item->generation;
        (void)send_request(r);
}

static void on_record(int res, const struct store_item *item, const struct error *err,
                      void *userdata) {
        struct refresh *r = userdata;
        struct grant *g = still_wanted(r);

        if (!g)
                return;
        if (res == 0) {
                g->generation = item->generation;
                r->value = json_incref((json_t *)(uintptr_t)item->value);
                if (!r->value)
                        res = -ENOMEM;
                else if (!json_get_string(r->value, "refresh_token"))
                        res = -ENOKEY;
        }
        if (res == 0) {
                (void)bury_lease(r);
                r->was_in_doubt = json_object_get(r->value, "refreshing") != NULL;
                if (json_object_set_new(r->value, "refreshing",
                                        json_pack("{s:I}", "since",
                                                  (json_int_t)(clock_wall_usec() / USEC_PER_SEC))) <
                    0)
                        res = -ENOMEM;
        }
        if (res == 0)
                res = put_value(r, on_marked);
        if (res == 0)
                return;
        if (res == -ENOKEY)
                g->has_refresh = false;
        store_failed(g, res, err);
}

static void on_registration(int res, const struct store_item *item, const struct error *err,
                            void *userdata) {
        struct refresh *r = userdata;
        struct grant *g = still_wanted(r);
        struct error missing = ERROR_INIT;

        if (!g)
                return;
        if (res == 0)
                res = registration_from_json(&r->registration, item->value);
        if (res == 0) {
                res = later_get(g->broker, STORE_GRANT, g->key, on_record, r);
                if (res == 0) {
                        r->storing = true;
                        return;
                }
        }
        if (res == -ENOENT)
                (void)error_set(&missing, MCPB_REGISTRATION_REQUIRED, ENOENT,
                                "Log in again with mcp-add",
                                "The registration at %s is not there any more", g->issuer);
        store_failed(g, res, res == -ENOENT ? &missing : err);
}

int refresh_start(struct grant *g, const struct scope_set *narrow) {
        struct refresh *r = calloc(1, sizeof(*r));
        struct broker_call *c;
        int res;

        if (!r)
                return -ENOMEM;
        r->grant = g;
        r->full = narrow == NULL;
        res = narrow ? scope_set_copy(&r->narrow, narrow) : 0;
        if (res == 0)
                res = later_get(g->broker, STORE_REGISTRATION, g->registration_key, on_registration,
                                r);
        if (res < 0) {
                r->grant = NULL;
                refresh_free(r);
                return res;
        }
        r->storing = true;
        grant_set_state(g, GRANT_REFRESHING);
        g->refresh = r;
        broker_operation_begin(g->broker);
        /* What is fetched for others is no attempt at what this one wants. */
        LIST_FOREACH(c, &g->waiters, struct broker_call, link)
                c->rounds += grant_call_wants(g, c, &r->narrow, r->full);
        return 0;
}
