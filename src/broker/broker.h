/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The domain: servers, grants, leases and logins, and the one way in and out of a request. Owns all
 * of them; uses the store, the policy and the audit that it was given; reaches the world only
 * through struct broker_workers. Must never: hand out anything but an access token, have two
 * operations of one grant under way, or release before the record is written.
 */
#pragma once

#include <systemd/sd-event.h>

#include "broker/caller.h"
#include "broker/workers.h"

struct audit;
struct config;
struct policy;
struct store;
struct store_backend_ops;

struct broker_options {
        sd_event *event;
        const struct broker_workers *workers;
        void *workers_userdata;
        struct store *store;                         /* borrowed */
        const struct store_backend_ops *backend_ops; /* its backend: the key file lies there too */
        void *backend;
        int audit_fd;                     /* of the log, O_APPEND|O_RDWR; borrowed */
        bool passphrase;                  /* a new store gets a passphrase slot, not a file slot */
        struct policy *policy;            /* owned */
        struct config *config;            /* owned */
        struct identity_env *environment; /* the daemon's own; taken over, NULL: empty */
        json_t *traces; /* of where we run (identity/detect.h); borrowed, NULL: none */
};

int broker_new(const struct broker_options *o, struct broker **ret, struct error *err) MUST_CHECK;
/* The store is about to be freed, which ends what is under way: nothing is begun any more. Then
 * free the store, its backend, and the broker. */
void broker_end(struct broker *b);
struct broker *broker_free(struct broker *b);

/* Opens the store and loads what is in it; @ready is called once, when requests can be answered
 * (perhaps with `locked`). */
typedef void (*broker_ready_fn)(int r, const struct error *err, void *userdata);
int broker_start(struct broker *b, broker_ready_fn ready, void *userdata) MUST_CHECK;

/* IdleTimeoutSec=, 0: never. Is anything under way that a stop would cut, or wait for? */
uint64_t broker_idle_timeout_usec(const struct broker *b);
bool broker_is_busy(const struct broker *b);

/* New policy and configuration, both handed over. */
void broker_reload(struct broker *b, struct policy *policy, struct config *config);

/* Nothing new is begun; @drained is called when no operation is under way any more, or after 30 s.
 */
void broker_drain(struct broker *b, void (*drained)(void *userdata), void *userdata);
