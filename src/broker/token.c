/* SPDX-License-Identifier: Apache-2.0 */
/* token.get and token.reject: the way in of a token request. The way out is in release.c. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/lease.h"
#include "broker/login.h"
#include "broker/own.h"
#include "broker/recheck.h"
#include "broker/release.h"
#include "broker/server.h"

#define MIN_TTL_DEFAULT_SEC 10
/* token.reject: how often a peer can make us ask the issuer. A server that is being worked on
 * forgets its tokens time after time; one that refuses all it gets must not cost more than this. */
#define FORCE_FREE 12      /* so many at once, */
#define FORCE_EVERY_SEC 15 /* and then one in this time */
#define HELPER_EVERY_SEC 60

static int parse_challenge(struct broker_call *c, struct error *err) {
        const json_t *value = json_object_get(c->params, "challenge");
        const json_t *fields = json_object_get(value, "fields");
        const char *texts[16];
        size_t n = 0;
        size_t bytes = 0;
        const json_t *item;
        size_t i;

        if (!value || json_is_null(value))
                return 0;
        if (!json_is_object(value) || !json_is_integer(json_object_get(value, "status")) ||
            (fields && !json_is_array(fields)))
                return error_set(err, MCPB_BAD_PARAMS, EINVAL,
                                 "Give {\"status\": 401, \"fields\": [...]}",
                                 "The challenge is no object with status and fields");
        json_array_foreach(fields, i, item) {
                bytes += json_string_length(item);
                if (!json_is_string(item) || n == ARRAY_SIZE(texts) ||
                    bytes > LIMIT_CHALLENGE_BYTES)
                        return error_set(err, MCPB_BAD_PARAMS, E2BIG,
                                         "Pass on at most 16 fields and 16 KiB",
                                         "The challenge is too large or holds what is no string");
                texts[n++] = json_string_value(item);
        }
        c->challenge_status = (unsigned)json_get_int(value, "status", 0);
        c->has_challenge = true;
        return challenge_parse(&c->challenge, texts, n) < 0 ? error_oom(err) : 0;
}

struct asked {
        const char *server;
        const char *account;
};

static int parse_get(struct broker_call *c, struct asked *ret, struct error *err) {
        const char *login = NULL;
        uint64_t min_ttl = 0;
        int r;

        r = call_string(c, "server", true, &ret->server, err);
        if (r == 0)
                r = call_string(c, "account", false, &ret->account, err);
        if (r == 0)
                r = call_scopes(c, &c->wanted, &c->has_wanted, err);
        if (r == 0)
                r = call_uint(c, "min_ttl", 365 * 86400, MIN_TTL_DEFAULT_SEC, &min_ttl, err);
        if (r == 0)
                r = call_string(c, "login", false, &login, err);
        if (r == 0 && login && !streq(login, "never") && !streq(login, "start"))
                r = error_set(err, MCPB_BAD_PARAMS, EINVAL, "Say \"never\" or \"start\"",
                              "login: '%s' is neither", login);
        if (r == 0)
                r = call_bool(c, "helper", false, &c->helper, err);
        if (r == 0)
                r = call_bool(c, "optional", false, &c->optional, err);
        if (r == 0)
                r = call_string(c, "token_id", false, &c->token_id, err);
        if (r == 0)
                r = call_string(c, "on_behalf_of", false, &c->on_behalf_of, err);
        if (r == 0)
                r = parse_challenge(c, err);
        if (r == 0)
                r = broker_check_open(c->broker, err);
        c->min_ttl_usec = min_ttl * USEC_PER_SEC;
        c->start_login = login && streq(login, "start");
        return r;
}

/* Another login of this kind, and a browser, for what this call asks? In vain: once more. */
static int count_step_up(struct broker_call *c, struct error *err) {
        struct server *s = c->server;
        uint64_t now = clock_boot_usec();
        int r = 0;

        /* It was the union that was refused: the page in the browser shows nothing else. */
        if (scope_refusal_holds(&s->refusal, &c->step_up, now))
                return error_set(err, MCPB_INSUFFICIENT_SCOPE, EACCES,
                                 "Use mcp-add with --scope to ask again",
                                 "These scopes of %s were refused a short while ago", s->name);
        /* One that is under way is joined, and costs nobody anything. */
        if (c->start_login && !s->login)
                r = scope_attempts_note(&s->step_ups, &c->step_up, now);
        if (r == -EAGAIN)
                return error_set(err, MCPB_INSUFFICIENT_SCOPE, EACCES,
                                 "Log in with mcp-add if you want to go on with it",
                                 "%s has asked for more again and again", s->name);
        return r < 0 ? error_oom(err) : 0;
}

/* More is wanted than was granted: a person has to say yes (A150, A159 to A163). @why: what to say
 * where nobody is asked. */
static void ask_for_more(struct broker_call *c, struct grant *g, const struct scope_set *more,
                         const struct error *why) {
        struct error err = ERROR_INIT;
        int r = scope_select_step_up(
                &c->step_up, &(struct scope_step_up){ .requested = &c->server->last_requested,
                                                      .granted = &g->scopes,
                                                      .more = more,
                                                      .as = own_issuer_scopes(c->server, &g->as) });

        r = r < 0 ? error_oom(&err) : count_step_up(c, &err);
        if (r < 0)
                release_refused(c, &err);
        else
                release_needs_login(c, why);
}

static void ask_for_scopes(struct broker_call *c, struct grant *g, const struct scope_set *more) {
        struct error err = ERROR_INIT;

        (void)error_set(&err, MCPB_INSUFFICIENT_SCOPE, EACCES, NULL,
                        "%s has not granted the scopes that are needed", c->server->name);
        (void)snprintf(err.hint, sizeof(err.hint), "Ask for them with: mcp-add %s --scope ...",
                       c->server->url);
        ask_for_more(c, g, more, &err);
}

static bool is_challenged(const struct broker_call *c, enum challenge_meaning meaning) {
        return c->has_challenge && challenge_judge(&c->challenge, c->challenge_status) == meaning;
}

/*
 * The token that was not enough may have been for less than was granted, as its peer had asked for
 * less. Then it needs no person, only another token.
 */
static int widen(struct broker_call *c, const struct grant *g) {
        if (!c->has_wanted || !is_challenged(c, CHALLENGE_STEP_UP) ||
            scope_set_contains(&c->wanted, &c->challenge.scopes) ||
            !scope_set_contains(&g->scopes, &c->challenge.scopes))
                return 0;
        c->widened = true;
        return scope_set_union(&c->wanted, &c->challenge.scopes);
}

/* The server said 403 insufficient_scope to the token that this request had. True: the call has
 * been dealt with. */
static bool step_up(struct broker_call *c, struct grant *g) {
        AUTO_DECISION struct decision d = DECISION_INIT;
        struct error err = ERROR_INIT;
        int r;

        if (!is_challenged(c, CHALLENGE_STEP_UP) || c->widened)
                return false;
        if (scope_set_contains(&g->scopes, &c->challenge.scopes) ||
            !scope_challenge_asks_more(&c->server->last_requested, &c->challenge)) {
                (void)error_set(&err, MCPB_INSUFFICIENT_SCOPE, EACCES,
                                "The account may lack the permission; ask who runs the server",
                                "%s wants scopes that the last login asked for already",
                                c->server->name);
                release_refused(c, &err);
                return true;
        }
        r = release_decide(c, &c->challenge.scopes, &g->scopes, &d);
        if (r < 0) {
                (void)error_fallback(&err, r, "asking policy");
                release_refused(c, &err);
        } else if (d.effect != POLICY_ALLOW || d.trimmed.n > 0) {
                release_denied(c, &d);
        } else {
                ask_for_scopes(c, g, &c->challenge.scopes);
        }
        return true;
}

/* The server wants a login that is stronger or newer (A164). */
static void reauthenticate(struct broker_call *c, struct grant *g) {
        struct error err = ERROR_INIT;

        (void)error_set(&err, MCPB_LOGIN_REQUIRED, ENOKEY, NULL,
                        "%s wants another login than there is: a newer or a stronger one",
                        c->server->name);
        ask_for_more(c, g, &c->server->last_requested, &err);
}

static int set_wanted(struct broker_call *c, const struct decision *d) {
        AUTO_SCOPES struct scope_set allowed = SCOPE_SET_INIT;

        for (size_t i = 0; i < d->scopes.n; i++) {
                int r = scope_set_add(&allowed, d->scopes.items[i]);

                if (r < 0)
                        return r;
        }
        c->has_wanted = true;
        return scope_set_copy(&c->wanted, &allowed);
}

static void kill_lease(struct server *s, struct lease *l) {
        l->dead = true;
        log_info("%s refused a token before its time; another will be fetched", s->name);
}

/*
 * Clients that take headers from a command cannot say that the last ones were refused: they run the
 * command again. The same program asking again within the life of a lease is taken for that, now
 * and then (DESIGN 12.9).
 */
static void note_helper(struct broker_call *c, struct grant *g) {
        bool full = !c->has_wanted || scope_set_equal(&c->wanted, &g->scopes);
        struct lease *l = grant_find_lease(g, &c->wanted, full);
        uint64_t now = clock_boot_usec();

        if (!c->helper || !l || l->dead || !c->evidence.anchor_known)
                return;
        if (!lease_note_helper(l, c->evidence.anchor_pid, c->evidence.anchor_start_ticks, now))
                return;
        if (!grant_can_renew(g) ||
            (g->helped_boot && now - g->helped_boot < HELPER_EVERY_SEC * USEC_PER_SEC))
                return;
        g->helped_boot = now;
        kill_lease(c->server, l);
}

/* Policy (@d) said which scopes may leave at once; the rest of the request follows from that. */
static void go_on_with_grant(struct broker_call *c, struct grant *g, const struct decision *d) {
        AUTO_SCOPES struct scope_set excess = SCOPE_SET_INIT;
        struct error err = ERROR_INIT;
        int r = 0;

        for (size_t i = 0; i < d->excess.n && r == 0; i++)
                r = scope_set_add(&excess, d->excess.items[i]);
        if (r == 0 && excess.n > 0 && d->on_excess == POLICY_EXCESS_LOGIN) {
                ask_for_scopes(c, g, &excess);
                return;
        }
        /* Without a ceiling the whole grant is meant, under whatever name the issuer gave its
         * scopes. */
        if (r == 0 && (c->has_wanted || d->trimmed.n > 0))
                r = set_wanted(c, d);
        if (r < 0) {
                (void)error_oom(&err);
                release_refused(c, &err);
                return;
        }
        note_helper(c, g);
        grant_wait(g, c);
}

/* The server refused the token that this request had, and without a refresh token no other can be
 * fetched. */
static bool cannot_replace(const struct broker_call *c, const struct grant *g) {
        /* Some servers say to a token what they say to none; token.reject made it clear. */
        bool dead = is_challenged(c, CHALLENGE_TOKEN_DEAD) ||
                    (g->doubted && is_challenged(c, CHALLENGE_LOGIN));

        return dead && !grant_can_renew(g);
}

/* Nothing says so far that the server wants a token at all. */
static bool never_asked(const struct server *s) {
        return !s->issuer && !s->login;
}

/* Policy has not said no. */
static void serve(struct broker_call *c, struct grant *g, const struct decision *d) {
        struct server *s = c->server;

        if (g && cannot_replace(c, g)) {
                release_needs_login(c, NULL);
        } else if (c->widened && d->trimmed.n > 0) {
                release_denied(c, d);
        } else if (g && is_challenged(c, CHALLENGE_REAUTHENTICATE)) {
                reauthenticate(c, g);
        } else if (g) {
                if (!step_up(c, g))
                        go_on_with_grant(c, g, d);
        } else if (!c->has_challenge && (s->open || (c->optional && never_asked(s)))) {
                call_reply(c, json_pack("{s:b, s:s, s:s}", "no_challenge", 1, "server", s->name,
                                        "url", s->url));
        } else {
                release_needs_login(c, s->login ? NULL : &s->last_error);
        }
}

/*
 * A bridge that was given a URL (DESIGN 12.10): nothing is known of it, and nothing is kept, until
 * that server asks for authorization for the first time. 1: it has been answered; 0: the server is
 * new; -ENOENT: it is for a person to add it.
 */
static int meet(struct broker_call *c, const struct asked *asked, struct error *err) {
        AUTO_FREE char *name = NULL;

        if (!c->who.manage || !strstr(asked->server, "://"))
                return -ENOENT;
        if (!c->has_challenge) {
                call_reply(c, json_pack("{s:b}", "no_challenge", 1));
                return 1;
        }
        if (!c->start_login ||
            challenge_judge(&c->challenge, c->challenge_status) == CHALLENGE_NONE)
                return -ENOENT;
        *err = ERROR_INIT;
        name = server_choose_name(c->broker, asked->server);
        if (!name)
                return error_oom(err);
        return server_new(c->broker, asked->server, asked->account ? asked->account : "", name,
                          &c->server, err);
}

/* As meet(). */
static int find_or_meet(struct broker_call *c, const struct asked *asked, bool *ret_new,
                        struct error *err) {
        int r = server_find(c->broker, asked->server, asked->account, &c->server, err);

        *ret_new = false;
        if (r != -ENOENT)
                return r;
        r = meet(c, asked, err);
        *ret_new = r == 0;
        return r;
}

/* Policy allows it: from now on it is a server like any other. */
static void keep_new(struct server *s) {
        log_notice("%s is new: it asked for authorization, and is added as %s", s->url, s->name);
        kept_save_soon(&s->record);
}

/* Somebody else has logged in meanwhile, or it was refreshed: what the server said of the token
 * before says nothing of the one that there is. */
static bool is_about_another(const struct broker_call *c, struct grant *g) {
        bool full = !c->has_wanted || scope_set_equal(&c->wanted, &g->scopes);
        const struct lease *l = grant_find_lease(g, &c->wanted, full);

        return c->has_challenge && c->token_id && !(l && streq(l->token_id, c->token_id));
}

static void judge(struct broker_call *c, bool new) {
        AUTO_DECISION struct decision d = DECISION_INIT;
        struct error err = ERROR_INIT;
        struct server *s = c->server;
        struct grant *g = server_grant(s);
        int r;

        if (g && is_about_another(c, g))
                c->has_challenge = false;
        r = g ? widen(c, g) : 0;
        /* S3: before policy has spoken nothing is begun, and nothing told. */
        if (r == 0)
                r = release_decide(c, c->has_wanted ? &c->wanted : NULL, g ? &g->scopes : NULL, &d);
        if (r < 0) {
                (void)error_fallback(&err, r, "asking policy");
                release_refused(c, &err);
        } else if (d.effect == POLICY_DENY || (g && d.effect != POLICY_ALLOW)) {
                release_denied(c, &d);
        } else {
                if (new)
                        keep_new(s);
                serve(c, g, &d);
                return;
        }
        if (new)
                (void)server_free(s);
}

void token_looked(struct broker_call *c) {
        struct error err = ERROR_INIT;
        int r = broker_check_open(c->broker, &err);

        if (r == 0 && c->server->removing)
                r = error_set(&err, MCPB_NOT_FOUND, ENOENT, "Add it again with mcp-add",
                              "The server has been removed");
        if (r < 0)
                release_refused(c, &err);
        else
                judge(c, false);
}

void handle_token_get(struct broker_call *c) {
        struct error err = ERROR_INIT;
        struct asked asked = { 0 };
        bool new = false;
        int r = parse_get(c, &asked, &err);

        if (r == 0)
                r = find_or_meet(c, &asked, &new, &err);
        if (r == 1)
                return;
        if (r < 0) {
                c->broker->n_denied++;
                call_fail(c, &err);
        } else if (new || !c->has_challenge || !recheck_wait(c->server, c)) {
                judge(c, new);
        }
}

/* --- token.reject ---------------------------------------------------------------------------- */

static struct lease *find_by_id(struct grant *g, const char *id) {
        struct lease *l;

        LIST_FOREACH(l, &g->leases, struct lease, link)
                if (streq(l->token_id, id))
                        return l;
        return NULL;
}

/* An agent can cause a refresh, never a storm of them, and never a logout. */
static bool brake(struct grant *g) {
        uint64_t now = clock_boot_usec();
        uint64_t n_over = (now - g->forced_boot) / (FORCE_EVERY_SEC * USEC_PER_SEC);

        if (n_over >= g->n_forced) {
                g->n_forced = 0;
                g->forced_boot = now;
        } else {
                g->n_forced -= (unsigned)n_over;
                g->forced_boot += n_over * FORCE_EVERY_SEC * USEC_PER_SEC;
        }
        if (g->n_forced == FORCE_FREE)
                return true;
        g->n_forced++;
        return false;
}

void handle_token_reject(struct broker_call *c) {
        AUTO_DECISION struct decision d = DECISION_INIT;
        const char *server = NULL;
        const char *account = NULL;
        const char *id = NULL;
        struct error err = ERROR_INIT;
        struct grant *g;
        struct lease *l;
        bool replaced;
        int r;

        r = call_string(c, "server", true, &server, &err);
        if (r == 0)
                r = call_string(c, "account", false, &account, &err);
        if (r == 0)
                r = call_string(c, "token_id", true, &id, &err);
        if (r == 0)
                r = parse_challenge(c, &err);
        if (r == 0)
                r = broker_check_open(c->broker, &err);
        if (r == 0)
                r = server_find(c->broker, server, account, &c->server, &err);
        if (r == 0)
                r = release_decide(c, NULL, c->server->grant ? &c->server->grant->scopes : NULL,
                                   &d);
        if (r < 0) {
                (void)error_fallback(&err, r, "token.reject");
                call_fail(c, &err);
                return;
        }
        if (d.effect == POLICY_DENY) {
                release_denied(c, &d);
                return;
        }
        g = c->server->grant;
        l = g ? find_by_id(g, id) : NULL;
        if (!l || l->dead) {
                call_reply(c, json_pack("{s:b, s:b}", "rejected", 0, "stale", 1));
                return;
        }
        if (brake(g)) {
                call_reply(c, json_pack("{s:b, s:b, s:i}", "rejected", 0, "stale", 0, "retry_after",
                                        FORCE_EVERY_SEC));
                return;
        }
        /* Without a refresh token there is no other: a peer's word must not end it for all (it may
         * ask for a login). */
        replaced = grant_can_renew(g);
        if (replaced)
                kill_lease(c->server, l);
        else
                g->doubted = true;
        if (c->has_challenge)
                recheck_start(c->server, &c->challenge);
        call_reply(c, json_pack("{s:b, s:b}", "rejected", replaced, "stale", 0));
}
