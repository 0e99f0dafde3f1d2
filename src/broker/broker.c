/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "broker/broker.h"

#include "audit/audit.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "broker/custody.h"
#include "broker/declare.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/later.h"
#include "broker/login-steps.h"
#include "broker/refresh.h"
#include "broker/release.h"
#include "broker/server.h"
#include "config/config.h"
#include "crypto/shield.h"
#include "identity/detect.h"
#include "loop/loop.h"
#include "policy/policy.h"
#include "store/store.h"

#define DRAIN_SEC 30
#define AS_CACHE_MAX 256

struct cached_as {
        struct list link;
        struct as_metadata as;
        uint64_t until_boot;
};

/* --- Its life -------------------------------------------------------------------------------- */

int broker_new(const struct broker_options *o, struct broker **ret, struct error *err) {
        struct broker *b = calloc(1, sizeof(*b));

        if (!b)
                return error_oom(err);
        b->event = o->event;
        b->workers = o->workers;
        b->wud = o->workers_userdata;
        b->store = o->store;
        b->audit_fd = o->audit_fd;
        b->policy = o->policy;
        b->config = o->config;
        if (o->environment) {
                b->identity_env = *o->environment;
                *o->environment = IDENTITY_ENV_INIT;
        }
        b->traces = json_incref(o->traces);
        list_init(&b->all_servers);
        list_init(&b->all_grants);
        list_init(&b->all_logins);
        list_init(&b->all_cached_as);
        list_init(&b->calls);
        list_init(&b->laters);
        list_init(&b->draining);
        b->started_boot = clock_boot_usec();
        b->servers = strmap_new();
        b->servers_byname = strmap_new();
        b->grants = strmap_new();
        b->logins = strmap_new();
        b->as_cache = strmap_new();
        if (!b->servers || !b->servers_byname || !b->grants || !b->logins || !b->as_cache ||
            custody_new(b, o, &b->custody) < 0) {
                (void)broker_free(b);
                return error_oom(err);
        }
        *ret = b;
        return 0;
}

static void end_calls(struct broker *b, const struct error *err) {
        while (!list_empty(&b->calls)) {
                struct broker_call *c = LIST_FIRST(&b->calls, struct broker_call, all_link);

                list_remove(&c->all_link);
                /* One whose peer is being looked at again is ended by that answer, and finds its
                 * server gone. */
                if (c->reattesting)
                        c->server = NULL;
                else
                        call_fail(c, err);
        }
}

void broker_unload(struct broker *b) {
        struct error err = ERROR_INIT;
        struct broker_call *c;

        (void)error_set(&err, MCPB_LOCKED, EACCES, "Unlock with: mcp-brokerctl unlock",
                        "The broker was locked");
        struct list kept = LIST_INIT(kept);
        /* What does not concern grants and servers goes on: the call that locks is one of them. */
        LIST_FOREACH(c, &b->calls, struct broker_call, all_link) {
                if (method_class(c->method) == METHOD_ADMIN) {
                        list_remove(&c->all_link);
                        list_append(&kept, &c->all_link);
                }
        }
        end_calls(b, &err);
        list_splice(&b->calls, &kept);
        while (!list_empty(&b->all_logins))
                (void)login_free(LIST_FIRST(&b->all_logins, struct login, list_link));
        while (!list_empty(&b->all_servers))
                (void)server_free(LIST_FIRST(&b->all_servers, struct server, list_link));
        while (!list_empty(&b->all_grants))
                (void)grant_free(LIST_FIRST(&b->all_grants, struct grant, list_link));
        b->loaded = false;
}

static void drop_cached(struct broker *b, struct cached_as *cached) {
        (void)strmap_remove(b->as_cache, cached->as.issuer);
        list_remove(&cached->link);
        as_metadata_done(&cached->as);
        free(cached);
}

void broker_end(struct broker *b) {
        if (!b)
                return;
        later_cancel(b);
        b->stopping = b->ended = true;
}

struct broker *broker_free(struct broker *b) {
        struct cached_as *cached;

        if (!b)
                return NULL;
        if (b->custody)
                broker_unload(b);
        while ((cached = LIST_FIRST(&b->all_cached_as, struct cached_as, link)) != NULL)
                drop_cached(b, cached);
        b->drain_timer = sd_event_source_disable_unref(b->drain_timer);
        (void)custody_free(b->custody);
        (void)shield_free(b->shield);
        if (b->audit)
                release_note(b, &(struct release_event){ .event = AUDIT_BROKER_STOP,
                                                         .outcome = AUDIT_SUCCESS });
        (void)audit_free(b->audit);
        (void)audit_keys_free(b->audit_keys);
        (void)policy_free(b->policy);
        if (b->config)
                identity_env_done(&b->identity_env);
        json_decref(b->traces);
        config_done(b->config);
        free(b->config);
        (void)strmap_free(b->servers);
        (void)strmap_free(b->servers_byname);
        (void)strmap_free(b->grants);
        (void)strmap_free(b->logins);
        (void)strmap_free(b->as_cache);
        free(b);
        return NULL;
}

int broker_start(struct broker *b, broker_ready_fn ready, void *userdata) {
        return custody_start(b->custody, ready, userdata);
}

void broker_reload(struct broker *b, struct policy *policy, struct config *config) {
        (void)policy_free(b->policy);
        b->policy = policy;
        config_done(b->config);
        free(b->config);
        b->config = config;
        if (b->loaded)
                declare_apply(b);
        log_info("Configuration and policy were read again: %zu rules", policy_n_rules(policy));
        release_note(
                b, &(struct release_event){ .event = AUDIT_POLICY_LOAD, .outcome = AUDIT_SUCCESS });
}

/* --- What may not be cut --------------------------------------------------------------------- */

/* Lock and stop wait here until refreshes and redemptions are over and durable, and not longer than
 * DRAIN_SEC. */

/* How many new refresh tokens are in memory only, and whose the first of them is. */
static unsigned n_unsaved(const struct broker *b, const struct grant **ret_first) {
        const struct grant *g;
        unsigned n = 0;

        LIST_FOREACH(g, &b->all_grants, struct grant, list_link) {
                if (!refresh_is_unsaved(g))
                        continue;
                if (n++ == 0)
                        *ret_first = g;
        }
        return n;
}

/* A stop waits no longer: what it takes with it is said. */
static void note_lost(struct broker *b) {
        struct error why = ERROR_INIT;
        struct grant *g;

        LIST_FOREACH(g, &b->all_grants, struct grant, list_link) {
                if (!refresh_is_unsaved(g))
                        continue;
                (void)error_set(&why, MCPB_STORE_UNAVAILABLE, EIO, "Log in again with mcp-add",
                                "The new refresh token for %s is lost: %s", g->resource,
                                g->backoff_error.message);
                log_failure(LOG_ERR, &why, "stop");
                release_note(b, &(struct release_event){ .event = AUDIT_REFRESH_ROTATE,
                                                         .outcome = AUDIT_FAILURE,
                                                         .grant = g,
                                                         .why = &why });
        }
}

/* Locking would lose what the issuer has given and the disk not taken: a login each. Memory that is
 * not wiped is the lesser evil where the one who asks is told so; a stop is the way to insist. */
static bool refuse_lock(struct broker *b, struct error *err) {
        const struct grant *g = NULL;
        unsigned n = n_unsaved(b, &g);

        if (n == 0)
                return false;
        (void)error_set(err, MCPB_STORE_UNAVAILABLE, EBUSY,
                        "Mend the disk of the store and lock again, or stop the broker and lose "
                        "these logins",
                        "Not locked: the new refresh tokens of %u grants are only in memory (%s: "
                        "%s)",
                        n, g->resource, g->backoff_error.message);
        return true;
}

static void answer_lock(struct broker *b, bool locked, const struct error *why_not) {
        struct list calls = LIST_INIT(calls);

        list_splice(&calls, &b->draining);
        while (!list_empty(&calls)) {
                struct broker_call *c = LIST_FIRST(&calls, struct broker_call, link);

                list_remove(&c->link);
                if (locked)
                        call_reply(c, json_pack("{s:b}", "locked", 1));
                else
                        call_fail(c, why_not);
        }
}

static void tell_quiet(struct broker *b) {
        void (*drained)(void *userdata) = TAKE(b->drained);
        struct error why_not = ERROR_INIT;
        bool refused = !drained && refuse_lock(b, &why_not);

        b->drain_timer = sd_event_source_disable_unref(b->drain_timer);
        if (drained)
                note_lost(b);
        if (refused)
                log_failure(LOG_WARNING, &why_not, "lock");
        else if (b->n_operations > 0)
                log_warning("%u operations did not end in %d s and are given up", b->n_operations,
                            DRAIN_SEC);
        if (b->locking && !refused)
                custody_lock(b->custody);
        b->locking = false;
        answer_lock(b, !refused, &why_not);
        if (drained)
                drained(b->drained_userdata);
}

/* Looked at from the loop, never from within an operation: whoever ends one still works with what a
 * lock would free. */
static int on_drain_tick(sd_event_source *s, uint64_t usec, void *userdata) {
        struct broker *b = userdata;
        bool quiet = b->n_operations == 0 && store_pending(b->store) == 0;

        if (!quiet && clock_boot_usec() < b->drain_until) {
                if (loop_timer_set(s, clock_boot_usec() + 10 * USEC_PER_MSEC) == 0)
                        return 0;
        }
        tell_quiet(b);
        return 0;
}

static int begin_drain(struct broker *b) {
        struct grant *g;

        LIST_FOREACH(g, &b->all_grants, struct grant, list_link)
                if (g->state == GRANT_UNSAVED)
                        refresh_save_now(g);
        if (b->drain_timer)
                return 0;
        b->drain_until = clock_boot_usec() + DRAIN_SEC * USEC_PER_SEC;
        return loop_timer(b->event, clock_boot_usec(), on_drain_tick, b, "drain", &b->drain_timer);
}

void broker_operation_begin(struct broker *b) {
        b->n_operations++;
}

void broker_operation_end(struct broker *b) {
        b->n_operations--;
}

bool broker_is_draining(const struct broker *b) {
        return b->locking || b->stopping;
}

void broker_drain(struct broker *b, void (*drained)(void *userdata), void *userdata) {
        b->stopping = true;
        b->drained = drained;
        b->drained_userdata = userdata;
        if (begin_drain(b) < 0)
                tell_quiet(b);
}

void handle_broker_lock(struct broker_call *c) {
        struct broker *b = c->broker;
        struct error err = ERROR_INIT;

        if (custody_is_busy(b->custody)) {
                (void)error_set(&err, MCPB_BUSY, EBUSY, "Try again in a moment",
                                "The store is just being opened");
                call_fail(c, &err);
                return;
        }
        if (b->locked) {
                call_reply(c, json_pack("{s:b}", "locked", 1));
                return;
        }
        b->locking = true;
        list_append(&b->draining, &c->link);
        if (begin_drain(b) < 0)
                tell_quiet(b);
}

int broker_check_open(struct broker *b, struct error *err) {
        if (b->stopping)
                return error_set(err, MCPB_STOPPING, ESHUTDOWN, "Try again in a moment",
                                 "The broker is stopping");
        if (b->locked || b->locking)
                return error_set(err, MCPB_LOCKED, EACCES, "Unlock with: mcp-brokerctl unlock",
                                 "The broker is locked");
        if (!b->loaded)
                return error_set(err, MCPB_RETRY, EAGAIN, "Try again in a moment",
                                 "The store is being read");
        return 0;
}

/* --- Small things that several files need ---------------------------------------------------- */

json_t *scopes_value(const struct scope_set *s) {
        json_t *value = NULL;

        return scope_set_to_json(s, &value) < 0 ? NULL : value;
}

unsigned broker_grant_allow(const struct grant *g) {
        return g->allow ? g->allow : ADDRESS_PUBLIC;
}

const struct as_metadata *broker_cached_as(struct broker *b, const char *issuer) {
        struct cached_as *cached = issuer ? strmap_get(b->as_cache, issuer) : NULL;

        return cached && clock_boot_usec() < cached->until_boot ? &cached->as : NULL;
}

void broker_forget_as(struct broker *b, const char *issuer) {
        struct cached_as *cached = strmap_get(b->as_cache, issuer);

        if (cached)
                drop_cached(b, cached);
}

void broker_cache_as(struct broker *b, const struct as_metadata *as) {
        struct cached_as *cached;

        if (as->cache_sec == 0 || broker_cached_as(b, as->issuer))
                return;
        broker_forget_as(b, as->issuer);
        cached = LIST_FIRST(&b->all_cached_as, struct cached_as, link);
        if (cached && strmap_count(b->as_cache) >= AS_CACHE_MAX)
                drop_cached(b, cached);
        cached = calloc(1, sizeof(*cached));
        if (!cached)
                return;
        list_init(&cached->link);
        if (as_metadata_copy(&cached->as, as) < 0 ||
            strmap_put(b->as_cache, as->issuer, cached) < 0) {
                as_metadata_done(&cached->as);
                free(cached);
                return;
        }
        cached->until_boot = clock_boot_usec() + as->cache_sec * USEC_PER_SEC;
        list_append(&b->all_cached_as, &cached->link);
}

/* --- broker.status, reload, stop ------------------------------------------------------------- */

static unsigned n_waiting(const struct broker *b) {
        const struct grant *g;
        unsigned n = 0;

        LIST_FOREACH(g, &b->all_grants, struct grant, list_link)
                n += g->n_waiters;
        return n;
}

/* Those that are over are kept for a while, to be asked about: they are not counted. */
static unsigned n_logins(const struct broker *b) {
        const struct login *l;
        unsigned n = 0;

        LIST_FOREACH(l, &b->all_logins, struct login, list_link)
                n += !login_is_over(l);
        return n;
}

static json_t *audit_status(const struct broker *b) {
        if (!b->audit)
                return json_pack("{s:b}", "available", 0);
        return json_pack("{s:b, s:I, s:I}", "available", audit_is_available(b->audit), "next_seq",
                         (json_int_t)audit_next_seq(b->audit), "dropped",
                         (json_int_t)audit_dropped(b->audit));
}

/* NULL: out of memory. */
static json_t *suggested_identities(const struct broker *b) {
        json_t *list = NULL;

        return identity_detect(&b->identity_env, b->traces, &list) < 0 ? NULL : list;
}

void handle_broker_status(struct broker_call *c) {
        struct broker *b = c->broker;
        json_t *counts =
                json_pack("{s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I}", "servers",
                          (int)strmap_count(b->servers), "grants", (int)strmap_count(b->grants),
                          "logins", (int)n_logins(b), "waiting", (int)n_waiting(b), "operations",
                          (int)b->n_operations, "released", (json_int_t)b->n_released, "denied",
                          (json_int_t)b->n_denied, "refreshes", (json_int_t)b->n_refreshes);
        json_t *result = json_pack(
                "{s:i, s:s, s:b, s:b, s:I, s:o, s:o, s:o, s:o, s:s, s:o}", "format", 1, "version",
                PACKAGE_VERSION, "locked", b->locked, "stopping", b->stopping, "uptime",
                (json_int_t)((clock_boot_usec() - b->started_boot) / USEC_PER_SEC), "counts",
                counts, "store", custody_status(b->custody), "audit", audit_status(b), "processes",
                b->workers->processes(b->wud), "policy", policy_id(b->policy), "identities",
                suggested_identities(b));

        call_reply(c, result);
}

void handle_broker_reload(struct broker_call *c) {
        c->broker->workers->control(c->broker->wud, "reload");
        call_reply(c, json_pack("{s:b}", "reloading", 1));
}

void handle_broker_stop(struct broker_call *c) {
        struct broker *b = c->broker;

        call_reply(c, json_pack("{s:b}", "stopping", 1));
        b->workers->control(b->wud, "stop");
}

uint64_t broker_idle_timeout_usec(const struct broker *b) {
        return b->config->idle_timeout_sec * USEC_PER_SEC;
}

bool broker_is_busy(const struct broker *b) {
        const struct grant *g;

        if (b->n_operations > 0 || !list_empty(&b->calls) || store_pending(b->store) > 0)
                return true;
        LIST_FOREACH(g, &b->all_grants, struct grant, list_link)
                if (g->state != GRANT_READY)
                        return true;
        return false;
}
