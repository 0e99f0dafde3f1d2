/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/grant.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "broker/flight.h"
#include "broker/internal.h"
#include "broker/lease.h"
#include "broker/login-steps.h"
#include "broker/own.h"
#include "broker/refresh.h"
#include "broker/release.h"
#include "broker/removal.h"
#include "broker/server.h"
#include "config/config.h"
#include "loop/loop.h"

#define TO(s) (1u << (s))
#define ROUNDS_MAX 3 /* refreshes that one request waits for */

static const char *const state_names[GRANT_STATE_COUNT] = {
        [GRANT_READY] = "ready",       [GRANT_REFRESHING] = "refreshing",
        [GRANT_UNSAVED] = "unsaved",   [GRANT_REPLACING] = "refreshing",
        [GRANT_REMOVING] = "removing",
};

static const unsigned state_allowed[GRANT_STATE_COUNT] = {
        [GRANT_READY] = TO(GRANT_REFRESHING) | TO(GRANT_REPLACING) | TO(GRANT_REMOVING),
        [GRANT_REFRESHING] = TO(GRANT_READY) | TO(GRANT_UNSAVED),
        [GRANT_UNSAVED] = TO(GRANT_READY) | TO(GRANT_REPLACING),
        [GRANT_REPLACING] = TO(GRANT_READY) | TO(GRANT_UNSAVED),
        [GRANT_REMOVING] = 0,
};

void grant_set_state(struct grant *g, enum grant_state state) {
        assert(state_allowed[g->state] & TO(state));
        log_debug("grant at %s: %s -> %s", g->issuer, state_names[g->state], state_names[state]);
        g->state = state;
}

int grant_key(const char *issuer, const char *client_id, const char *account, const char *resource,
              char **ret) {
        AUTO_BUF struct buf b = BUF_INIT;

        /* None of the four can hold a line feed. */
        if (buf_printf(&b, "%s\n%s\n%s\n%s", issuer, client_id, account, resource) < 0)
                return -ENOMEM;
        *ret = buf_steal(&b);
        return *ret ? 0 : -ENOMEM;
}

int grant_new(struct broker *b, const char *key, struct grant **ret) {
        struct grant *g = calloc(1, sizeof(*g));

        if (!g)
                return -ENOMEM;
        g->broker = b;
        list_init(&g->list_link);
        list_init(&g->leases);
        list_init(&g->waiters);
        list_init(&g->servers);
        g->key = strdup(key);
        if (!g->key || strmap_put(b->grants, key, g) < 0) {
                (void)grant_free(g);
                return -ENOMEM;
        }
        list_append(&b->all_grants, &g->list_link);
        *ret = g;
        return 0;
}

struct grant *grant_free(struct grant *g) {
        struct lease *l;
        struct server *s;

        if (!g)
                return NULL;
        if (g->key && strmap_get(g->broker->grants, g->key) == g)
                (void)strmap_remove(g->broker->grants, g->key);
        list_remove(&g->list_link);
        LIST_FOREACH(s, &g->servers, struct server, grant_link) {
                list_remove(&s->grant_link);
                s->grant = NULL;
        }
        refresh_free(g->refresh);
        if (g->removal)
                removal_abandon(g->removal);
        LIST_FOREACH(l, &g->leases, struct lease, link)
                (void)lease_free(l);
        assert(list_empty(&g->waiters));
        g->ahead = sd_event_source_disable_unref(g->ahead);
        g->again = sd_event_source_disable_unref(g->again);
        as_metadata_done(&g->as);
        scope_set_done(&g->scopes);
        bound_done(&g->bound);
        free(g->key);
        free(g->issuer);
        free(g->client_id);
        free(g->account);
        free(g->resource);
        free(g->registration_key);
        free(g);
        return NULL;
}

static int load_strings(struct grant *g, const json_t *value) {
        const struct {
                const char *name;
                char **member;
        } members[] = {
                { "issuer", &g->issuer },
                { "client_id", &g->client_id },
                { "account", &g->account },
                { "resource", &g->resource },
                { "registration_key", &g->registration_key },
        };

        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                const char *text = json_get_string(value, members[i].name);

                if (!text)
                        return -EBADMSG;
                *members[i].member = strdup(text);
                if (!*members[i].member)
                        return -ENOMEM;
        }
        return 0;
}

/* A declaration may come to say so after the login. What was granted with it is refreshed without
 * it too; one that was granted without would be asked to change if it were sent. */
const char *grant_sent_resource(const struct grant *g) {
        const struct server *s;

        LIST_FOREACH(s, &g->servers, struct server, grant_link)
                if (s->no_resource)
                        return NULL;
        return g->no_resource ? NULL : g->resource;
}

void grant_dead_hint(struct grant *g) {
        (void)snprintf(g->dead.hint, sizeof(g->dead.hint), "Log in again with: mcp-add %s",
                       g->resource);
}

int grant_from_json(struct broker *b, const char *key, uint64_t generation, const json_t *value,
                    struct grant **ret) {
        const json_t *stored = json_object_get(value, "lease");
        const char *dead = json_get_string(value, "dead");
        struct grant *g = NULL;
        struct lease *l = NULL;
        int r = grant_new(b, key, &g);

        if (r < 0)
                return r;
        r = load_strings(g, value);
        if (r == 0)
                r = as_metadata_from_json(&g->as, json_object_get(value, "as"));
        if (r == 0)
                r = scope_set_from_json(&g->scopes, json_object_get(value, "scopes"), NULL);
        if (r == 0)
                r = bound_from_json(&g->bound, b->shield, value);
        if (r == 0 && json_is_object(stored))
                r = lease_from_json(g, stored, &l);
        if (r < 0) {
                (void)grant_free(g);
                return r;
        }
        g->generation = generation;
        g->no_resource = json_get_bool(value, "no_resource", false);
        g->own = json_get_bool(value, "own", false);
        g->has_refresh = json_get_string(value, "refresh_token") != NULL;
        g->in_doubt = json_object_get(value, "refreshing") != NULL;
        if (!g->has_refresh && dead) {
                g->refresh_dead = true;
                (void)error_set(&g->dead, MCPB_GRANT_REVOKED, EKEYREVOKED, NULL, "%s", dead);
                grant_dead_hint(g);
        }
        if (l)
                grant_add_lease(g, l);
        *ret = g;
        return 0;
}

json_t *grant_to_json(struct grant *g, const char *refresh_token, const struct lease *lease) {
        json_t *as = NULL;
        AUTO_JSON json_t *value = NULL;

        if (as_metadata_to_json(&g->as, &as) < 0)
                return NULL;
        value = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:o, s:o}", "issuer", g->issuer,
                          "client_id", g->client_id, "account", g->account, "resource", g->resource,
                          "no_resource", g->no_resource, "registration_key", g->registration_key,
                          "as", as, "scopes", scopes_value(&g->scopes));
        if (!value)
                return NULL;
        if ((refresh_token &&
             json_object_set_new(value, "refresh_token", json_string(refresh_token)) < 0) ||
            (lease && json_object_set_new(value, "lease", lease_to_json(g, lease)) < 0))
                return NULL;
        return TAKE(value);
}

static bool has_live_refresh(const struct grant *g) {
        return g->has_refresh && !g->refresh_dead;
}

bool grant_can_renew(const struct grant *g) {
        return has_live_refresh(g) || own_of(g);
}

static struct lease *full_lease(struct grant *g) {
        struct lease *l;

        LIST_FOREACH(l, &g->leases, struct lease, link)
                if (l->full)
                        return l;
        return NULL;
}

const char *grant_state_name(const struct grant *g) {
        struct lease *l = full_lease((struct grant *)(uintptr_t)g);
        bool serves = l && lease_left(l) > 0;

        if (g->state == GRANT_REFRESHING || g->state == GRANT_UNSAVED)
                return state_names[g->state];
        if (!grant_can_renew(g))
                return serves ? "ready" : "login_required";
        if (g->in_doubt && !serves)
                return "in_doubt";
        return "ready";
}

int grant_describe(const struct grant *g, json_t *value) {
        struct lease *l = full_lease((struct grant *)(uintptr_t)g);
        uint64_t left = l ? lease_left(l) : 0;

        if (json_object_set_new(value, "has_refresh",
                                json_boolean(g->has_refresh && !g->refresh_dead)) < 0 ||
            json_object_set_new(value, "client_id", json_string(g->client_id)) < 0 ||
            json_object_set_new(value, "refreshes", json_integer((json_int_t)g->n_refreshes)) < 0 ||
            json_object_set_new(value, "waiting", json_integer((json_int_t)g->n_waiters)) < 0)
                return -ENOMEM;
        if (left > 0 && left != UINT64_MAX &&
            json_object_set_new(value, "expires_in",
                                json_integer((json_int_t)(left / USEC_PER_SEC))) < 0)
                return -ENOMEM;
        return 0;
}

struct lease *grant_find_lease(struct grant *g, const struct scope_set *scopes, bool full) {
        struct lease *l;

        LIST_FOREACH(l, &g->leases, struct lease, link) {
                if (full ? l->full : scope_set_equal(&l->asked, scopes))
                        return l;
        }
        return NULL;
}

void grant_add_lease(struct grant *g, struct lease *fresh) {
        unsigned n = 0;
        struct lease *l;

        LIST_FOREACH(l, &g->leases, struct lease, link) {
                n++;
                if (fresh->full ? l->full
                                : (!l->full && scope_set_equal(&l->asked, &fresh->asked))) {
                        fresh->used_boot = l->used_boot;
                        (void)lease_free(l);
                        n--;
                }
        }
        /* The oldest narrowed one makes room: it costs a refresh, never a login. */
        LIST_FOREACH(l, &g->leases, struct lease, link) {
                if (n < LIMIT_LEASES_PER_GRANT)
                        break;
                if (l->full)
                        continue;
                (void)lease_free(l);
                n--;
        }
        list_append(&g->leases, &fresh->link);
        if (fresh->full)
                grant_arm_ahead(g);
}

/* Without a refresh token nothing can be narrowed: the one token there is has to do (policy still
 * judges its scopes). */
static struct lease *lease_for(struct grant *g, const struct broker_call *c) {
        bool full = !c->has_wanted || scope_set_equal(&c->wanted, &g->scopes);
        struct lease *l = grant_find_lease(g, &c->wanted, full);

        if (!l && !has_live_refresh(g))
                l = full_lease(g);
        return l;
}

/* Is this lease good enough for this request, as things stand? */
static bool may_serve(const struct grant *g, const struct lease *l, const struct broker_call *c) {
        uint64_t floor = c->min_ttl_usec;

        if (lease_left(l) == 0)
                return false;
        /* Nothing better is to be had: a doubtful or dead refresh token is not tried while a lease
         * lives, and what was fetched just now for this request is what the issuer gives. */
        if (g->in_doubt || !grant_can_renew(g) || c->rounds > 0)
                return true;
        return lease_serves(l, floor);
}

static void unqueue(struct grant *g, struct broker_call *c) {
        g->n_waiters--;
        c->grant = NULL;
}

static void serve_waiters(struct grant *g) {
        struct list pending = LIST_INIT(pending);

        list_splice(&pending, &g->waiters);
        while (!list_empty(&pending)) {
                struct broker_call *c = LIST_FIRST(&pending, struct broker_call, link);
                struct lease *l = lease_for(g, c);

                list_remove(&c->link);
                if (!l || !may_serve(g, l, c)) {
                        list_append(&g->waiters, &c->link);
                        continue;
                }
                unqueue(g, c);
                release_token(c, g, l);
        }
}

bool grant_call_wants(const struct grant *g, const struct broker_call *c,
                      const struct scope_set *scopes, bool full) {
        bool c_full = !c->has_wanted || scope_set_equal(&c->wanted, &g->scopes);

        return c_full == full && (full || scope_set_equal(&c->wanted, scopes));
}

/* Ends all that wait for @scopes (NULL: all) with @err; those that a lease can still serve are
 * served. */
void grant_fail_waiters(struct grant *g, const struct scope_set *scopes, bool full,
                        const struct error *err) {
        struct error copy = *err;
        struct list pending = LIST_INIT(pending);

        list_splice(&pending, &g->waiters);
        while (!list_empty(&pending)) {
                struct broker_call *c = LIST_FIRST(&pending, struct broker_call, link);
                struct lease *l = lease_for(g, c);

                list_remove(&c->link);
                if (scopes && !grant_call_wants(g, c, scopes, full)) {
                        list_append(&g->waiters, &c->link);
                        continue;
                }
                unqueue(g, c);
                if (l && lease_left(l) > 0)
                        release_token(c, g, l);
                else
                        release_refused(c, &copy);
        }
}

/* Tokens that are dead on arrival: asking for ever would not help. */
static void fail_hopeless(struct grant *g) {
        struct list pending = LIST_INIT(pending);
        struct error err = ERROR_INIT;

        (void)error_set(&err, MCPB_ISSUER_ERROR, EPROTO,
                        "Tell who runs the issuer; look at both clocks",
                        "The issuer %s gives tokens that have expired when they arrive", g->issuer);
        list_splice(&pending, &g->waiters);
        while (!list_empty(&pending)) {
                struct broker_call *c = LIST_FIRST(&pending, struct broker_call, link);

                list_remove(&c->link);
                if (c->rounds < ROUNDS_MAX) {
                        list_append(&g->waiters, &c->link);
                        continue;
                }
                unqueue(g, c);
                release_refused(c, &err);
        }
}

static void send_to_login(struct grant *g) {
        struct list pending = LIST_INIT(pending);

        list_splice(&pending, &g->waiters);
        while (!list_empty(&pending)) {
                struct broker_call *c = LIST_FIRST(&pending, struct broker_call, link);

                list_remove(&c->link);
                unqueue(g, c);
                release_needs_login(c, g->refresh_dead ? &g->dead : NULL);
        }
}

void grant_pump(struct grant *g) {
        struct broker_call *first;
        uint64_t now = clock_boot_usec();
        bool full;
        int r;

        serve_waiters(g);
        if (g->state == GRANT_READY)
                fail_hopeless(g);
        /* What a login brings takes the place of what the disk did not take: it waits for no disk
         * but by its own write. */
        if ((g->state == GRANT_READY || g->state == GRANT_UNSAVED) && g->replacement) {
                refresh_pause(g);
                grant_set_state(g, GRANT_REPLACING);
                g->replacement->replacing = true;
                login_store_grant(TAKE(g->replacement));
                return;
        }
        if (g->state == GRANT_UNSAVED && g->removal)
                refresh_drop(g); /* what the disk did not take is not needed any more */
        if (g->state == GRANT_READY && g->removal) {
                grant_set_state(g, GRANT_REMOVING);
                removal_go(g->removal);
                return;
        }
        if (g->state == GRANT_REFRESHING || g->state == GRANT_REPLACING ||
            g->state == GRANT_REMOVING || list_empty(&g->waiters))
                return;
        if (g->state == GRANT_UNSAVED) {
                refresh_save_again(g, USEC_PER_SEC);
                grant_fail_waiters(g, NULL, false, &g->backoff_error);
                return;
        }
        if (!has_live_refresh(g)) {
                send_to_login(g);
                return;
        }
        if (now < g->not_before) {
                grant_fail_waiters(g, NULL, false, &g->backoff_error);
                return;
        }
        first = LIST_FIRST(&g->waiters, struct broker_call, link);
        full = !first->has_wanted || scope_set_equal(&first->wanted, &g->scopes);
        r = refresh_start(g, full ? NULL : &first->wanted);
        if (r < 0) {
                struct error err = ERROR_INIT;

                (void)error_fallback(&err, r, "starting a refresh");
                grant_fail_waiters(g, NULL, false, &err);
        }
}

void grant_wait(struct grant *g, struct broker_call *c) {
        struct error err = ERROR_INIT;

        g = flight_of(g);
        if (g->n_waiters >= LIMIT_WAITERS_PER_GRANT) {
                (void)error_set(&err, MCPB_BUSY, EBUSY, "Try again in a moment",
                                "%u requests wait for this grant", g->n_waiters);
                call_fail(c, &err);
                return;
        }
        list_append(&g->waiters, &c->link);
        c->grant = g;
        g->n_waiters++;
        grant_pump(g);
}

static int on_ahead(sd_event_source *s, uint64_t usec, void *userdata) {
        struct grant *g = userdata;
        struct lease *l = full_lease(g);

        g->ahead = sd_event_source_disable_unref(g->ahead);
        if (!l || l->used_boot == 0 || l->used_boot < l->obtained_boot || g->state != GRANT_READY ||
            g->in_doubt || g->broker->locked || g->broker->stopping || !grant_can_renew(g))
                return 0;
        if (!has_live_refresh(g))
                own_renew(g);
        else if (refresh_start(g, NULL) < 0)
                log_warning("No refresh ahead of time for %s: out of memory", g->resource);
        return 0;
}

/* A149: grants in use are refreshed before their token ends, with some jitter so that many do not
 * fall on one second. */
void grant_arm_ahead(struct grant *g) {
        struct lease *l = full_lease(g);
        uint64_t margin = g->broker->config->refresh_margin_sec * USEC_PER_SEC;
        uint64_t life;
        uint64_t jitter;

        g->ahead = sd_event_source_disable_unref(g->ahead);
        /* Also before it is known whose it is: a server may yet be linked to it. */
        if (!l || !l->expires_known || l->dead || !(has_live_refresh(g) || g->own))
                return;
        life = l->expires_boot - l->obtained_boot;
        if (margin > life / 5)
                margin = life / 5;
        jitter = margin > 0 ? (l->obtained_boot * 2654435761u) % (margin / 4 + 1) : 0;
        if (loop_timer(g->broker->event, l->expires_boot - margin - jitter, on_ahead, g,
                       "refresh ahead", &g->ahead) < 0)
                log_warning("No timer for a refresh ahead of time: it will be done on demand");
}

void grant_not_replaced(struct grant *g) {
        if (!refresh_is_unsaved(g)) {
                grant_set_state(g, GRANT_READY);
                return;
        }
        grant_set_state(g, GRANT_UNSAVED);
        refresh_save_again(g, USEC_PER_SEC);
}

void grant_when_quiet(struct grant *g, struct login *l) {
        struct login *other = g->replacement;

        g->replacement = l;
        if (other)
                login_superseded(other);
        grant_pump(g);
}

void grant_take_waiters(struct grant *g, struct grant *from) {
        struct broker_call *c;

        LIST_FOREACH(c, &from->waiters, struct broker_call, link)
                c->grant = g;
        list_splice(&g->waiters, &from->waiters);
        g->n_waiters += from->n_waiters;
        from->n_waiters = 0;
}

int grant_install(struct broker *b, const char *key, uint64_t generation, const json_t *value,
                  struct grant **ret) {
        struct grant *old = strmap_get(b->grants, key);
        struct grant *g = NULL;
        struct server *s;
        int r = grant_from_json(b, key, generation, value, &g);

        if (r < 0) {
                /* The map has lost the old one to the one that failed. */
                if (old && strmap_put(b->grants, key, old) < 0)
                        log_error("Out of memory: a grant is found again after a restart only");
                return r;
        }
        if (old) {
                LIST_FOREACH(s, &old->servers, struct server, grant_link) {
                        list_remove(&s->grant_link);
                        list_append(&g->servers, &s->grant_link);
                        s->grant = g;
                }
                grant_take_waiters(g, old);
                g->n_refreshes = old->n_refreshes;
                g->allow = old->allow;
                g->replacement = TAKE(old->replacement);
                if (old->removal)
                        removal_move(TAKE(old->removal), g);
                (void)grant_free(old);
        }
        *ret = g;
        return 0;
}
