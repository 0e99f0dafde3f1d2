/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of broker/ share: the broker itself. Nobody outside this folder includes it.
 */
#pragma once

#include "base/list.h"
#include "base/strmap.h"
#include "broker/broker.h"
#include "broker/call.h"
#include "identity/env.h"

struct as_metadata;
struct audit_keys;
struct grant;
struct login;
struct server;
struct shield;

struct broker {
        sd_event *event;
        const struct broker_workers *workers;
        void *wud; /* their userdata */
        struct store *store;
        struct audit *audit; /* NULL until the store is open: its keys are there */
        struct audit_keys *audit_keys;
        int audit_fd;
        uint64_t audit_keys_generation;
        bool audit_keys_saving;
        struct policy *policy;
        struct config *config;
        struct identity_env identity_env; /* the daemon's own environment, as it was at the start */
        json_t *traces;                   /* and what lay on the machine then */
        struct shield *shield;            /* under which tokens rest in memory */

        struct strmap *servers;        /* key -> struct server */
        struct strmap *servers_byname; /* name -> struct server */
        struct strmap *grants;         /* key -> struct grant */
        struct strmap *as_cache;       /* issuer -> struct cached_as */
        struct list all_cached_as;
        struct strmap *logins;   /* id -> struct login */
        struct list all_servers; /* server->list_link: in the order they were added */
        struct list all_grants;
        struct list all_logins;
        struct list calls;
        struct list laters;   /* see later.h */
        struct list draining; /* calls of lock that wait for quiet */

        bool loaded; /* the store was read: requests can be answered */
        bool locked;
        bool locking; /* waits until operations are over */
        bool stopping;
        bool ended; /* the store may be gone: nothing of it is touched */
        uint64_t drain_until;
        unsigned n_operations; /* refreshes, redemptions, revocations under way */
        void (*drained)(void *userdata);
        void *drained_userdata;
        sd_event_source *drain_timer;
        uint64_t started_boot;
        uint64_t n_released;
        uint64_t n_denied;
        uint64_t n_refreshes;
        struct custody *custody;
};

/* Forgets all that was loaded from the store; calls that wait are told that it is locked. */
void broker_unload(struct broker *b);
/* An operation that must not be cut in the middle has begun or ended. */
void broker_operation_begin(struct broker *b);
void broker_operation_end(struct broker *b);
/* A lock or a stop waits for them. */
bool broker_is_draining(const struct broker *b);
/* The address classes that requests of this grant may go to (S8). */
unsigned broker_grant_allow(const struct grant *g);
/* AS metadata that was read a short while ago (A65); NULL: none. */
const struct as_metadata *broker_cached_as(struct broker *b, const char *issuer);
void broker_cache_as(struct broker *b, const struct as_metadata *as);
void broker_forget_as(struct broker *b, const char *issuer);
/* Forgets a grant that no server uses: revokes it as far as the issuer lets us, and removes its
 * record. */
void broker_discard_grant(struct broker *b, struct grant *g);
/* A record was written: makes a checkpoint when it is time. */
void broker_audit_written(struct broker *b);
/* Nothing new may begin: STOPPING or LOCKED in @err. */
int broker_check_open(struct broker *b, struct error *err) MUST_CHECK;

/* The set as a JSON array: new reference, NULL when out of memory (json_pack's "o" takes either).
 */
json_t *scopes_value(const struct scope_set *s);

/* A token request whose server has been looked at again goes on (recheck.h). */
void token_looked(struct broker_call *c);

/* The handlers, one a method; each ends the call, now or later. */
void handle_token_get(struct broker_call *c);
void handle_token_reject(struct broker_call *c);
void handle_token_proof(struct broker_call *c);
void handle_audit_record(struct broker_call *c);
void handle_login_start(struct broker_call *c);
void handle_login_status(struct broker_call *c);
void handle_login_wait(struct broker_call *c);
void handle_login_complete(struct broker_call *c);
void handle_login_cancel(struct broker_call *c);
void handle_server_add(struct broker_call *c);
void handle_server_list(struct broker_call *c);
void handle_server_show(struct broker_call *c);
void handle_server_remove(struct broker_call *c);
void handle_broker_status(struct broker_call *c);
void handle_broker_lock(struct broker_call *c);
void handle_broker_unlock(struct broker_call *c);
void handle_broker_reload(struct broker_call *c);
void handle_broker_stop(struct broker_call *c);
