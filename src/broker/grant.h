/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an account was granted at an issuer for a resource: the refresh token (in the store; in
 * memory only while a refresh needs it), the scopes, and the leases. One operation of a grant is
 * under way at any time, and all who wait get its result (invariant S6).
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/error.h"
#include "base/json.h"
#include "base/list.h"
#include "broker/bound.h"
#include "oauth/asmeta.h"
#include "oauth/scope.h"

struct broker;
struct broker_call;
struct lease;
struct refresh;
struct login;
struct removal;

enum grant_state {
        GRANT_READY,      /* nothing under way */
        GRANT_REFRESHING, /* between the first look at the record and the last write of it */
        GRANT_UNSAVED,   /* the issuer gave a new token that the disk does not take: held in memory,
                            tried again */
        GRANT_REPLACING, /* a login writes a new record */
        GRANT_REMOVING,
        GRANT_STATE_COUNT,
};

struct grant {
        struct broker *broker;
        struct list list_link;
        char *key; /* issuer, client, account, resource: what the record is stored by */
        char *issuer;
        char *client_id;
        char *account;
        char *resource;
        bool no_resource; /* it was asked for without, so its refreshes are too (A53) */
        char *registration_key;
        struct as_metadata as; /* endpoints as they were when the grant was given */
        struct scope_set scopes;
        unsigned allow;     /* address classes of its server (S8) */
        struct bound bound; /* the key that its tokens are bound to, if they are */
        bool own;           /* fetched without a person */
        bool has_refresh;
        bool refresh_dead; /* the issuer refused it: only a login helps */
        struct error dead; /* why */
        bool doubted;      /* its token was refused, somebody says, and cannot be replaced */
        bool in_doubt;     /* a refresh was sent and its answer never seen */
        uint64_t generation;
        enum grant_state state;
        struct list leases;
        struct list waiters; /* struct broker_call */
        unsigned n_waiters;
        struct list servers; /* struct server */
        struct refresh *refresh;
        struct login *replacement; /* waits until nothing is under way */
        struct removal *removal;   /* likewise */
        sd_event_source *ahead;    /* refreshes before expiry while the grant is in use */
        sd_event_source *again;    /* after a failure that may pass */
        uint64_t not_before;       /* no new attempt before this (boot clock): backoff */
        struct error backoff_error;
        unsigned n_failures;
        unsigned n_forced;    /* by token.reject, and still counted: the brake */
        uint64_t forced_boot; /* since when one is waiting to be forgotten */
        uint64_t helped_boot; /* when a helper's second call last forced one */
        uint64_t n_refreshes;
};

int grant_key(const char *issuer, const char *client_id, const char *account, const char *resource,
              char **ret) MUST_CHECK;
int grant_new(struct broker *b, const char *key, struct grant **ret) MUST_CHECK;
struct grant *grant_free(struct grant *g);
int grant_from_json(struct broker *b, const char *key, uint64_t generation, const json_t *value,
                    struct grant **ret) MUST_CHECK;
const char *grant_state_name(
        const struct grant *g); /* for people: "ready", "login_required", ... */
int grant_describe(const struct grant *g, json_t *value)
        MUST_CHECK; /* adds expires_in, has_refresh, ... */

/* Can another token be had without a person? */
bool grant_can_renew(const struct grant *g);
/* The record: @refresh_token NULL = there is none; @lease NULL = none is stored. New reference or
 * NULL. */
json_t *grant_to_json(struct grant *g, const char *refresh_token, const struct lease *lease)
        MUST_CHECK;

/* Puts a token request into the queue and sees what can be done for it. */
void grant_wait(struct grant *g, struct broker_call *c);
/* Answers who can be answered, and begins the next operation if somebody still waits. */
void grant_pump(struct grant *g);
void grant_set_state(struct grant *g, enum grant_state state);
/* The lease that serves @scopes best, or NULL. */
struct lease *grant_find_lease(struct grant *g, const struct scope_set *scopes, bool full);
void grant_add_lease(struct grant *g, struct lease *l); /* replaces the one for the same scopes */
void grant_arm_ahead(struct grant *g);
/* Ends those who wait for @scopes (NULL: everybody) with @err, unless a lease can still serve them.
 */
void grant_fail_waiters(struct grant *g, const struct scope_set *scopes, bool full,
                        const struct error *err);
/* Is what this request waits for the token for @scopes, or for all (@full)? */
bool grant_call_wants(const struct grant *g, const struct broker_call *c,
                      const struct scope_set *scopes, bool full);
/* Where its refreshes carry no such parameter: NULL. */
const char *grant_sent_resource(const struct grant *g);
/* What to do about g->dead. */
void grant_dead_hint(struct grant *g);
/* What a login brought is on the disk: takes the place of the grant of that key, with its servers
 * and those who wait. */
int grant_install(struct broker *b, const char *key, uint64_t generation, const json_t *value,
                  struct grant **ret) MUST_CHECK;
/* Those who wait at @from wait at @g now: pump it. */
void grant_take_waiters(struct grant *g, struct grant *from);
/* Calls login_store_grant() as soon as no operation of this grant is under way, and lets none begin
 * until then. */
void grant_when_quiet(struct grant *g, struct login *l);
/* That login has failed: the grant is as it was before. Pump it. */
void grant_not_replaced(struct grant *g);
