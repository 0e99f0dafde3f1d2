/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's end of its channels to the two network workers and to session: carries out struct
 * broker_workers. A worker that dies answers all that it had been given with "sent without answer",
 * and is replaced by the supervisor; one that is replaced while it lives ends what it has.
 */
#pragma once

#include <systemd/sd-event.h>

#include "broker/workers.h"
#include "sandbox/sandbox.h"

struct workers;

enum worker_kind {
        WORKER_EXPLORE, /* as enum fetch_via */
        WORKER_DEAL,
        WORKER_SESSION,
        WORKER_KIND_COUNT,
};

const char *worker_name(enum worker_kind kind);
int worker_from_name(const char *name, enum worker_kind *ret) MUST_CHECK;

struct workers_options {
        sd_event *event;
        /* Something for the supervisor: "stop", "reload". */
        void (*control)(const char *what, void *userdata);
        void *userdata;
};

int workers_new(const struct workers_options *o, struct workers **ret) MUST_CHECK;
struct workers *workers_free(struct workers *w);
/* A new end of the stream to that worker; takes over @fd, also on failure. An old one that still
 * lives is told to leave: what it has under way, and its listeners, stay with it to their end. */
int workers_attach(struct workers *w, enum worker_kind kind, int fd) MUST_CHECK;
const struct broker_workers *workers_ops(void);

int workers_attest(struct workers *w, pid_t pid, int pidfd, attest_done_fn done, void *userdata)
        MUST_CHECK;
/* What the supervisor says of its processes, and our own and the writer's sandboxes. */
void workers_set_processes(struct workers *w, json_t *processes /* taken */);
void workers_set_sandbox(struct workers *w, const char *name, json_t *sandbox /* taken */);
