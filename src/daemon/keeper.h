/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that holds the secrets: domain, store's keys, policy, audit and the public socket, in
 * one closed-in process without network, exec, or a file to open. All it needs is open before it
 * begins.
 *
 * With the supervisor: "declare" (one file of servers.d, with its secret), "configure" (config and
 * policy files, and those), "worker" and "writer" (a new end, one descriptor), "processes", "stop";
 * and back: "ready", "configured", "failed", "alive", "control".
 */
#pragma once

#include "base/error.h"
#include "daemon/configuration.h"

#define KEEPER_LISTENERS_MAX 16

struct keeper_options {
        int control_fd;
        int writer_fd;
        int worker_fds[3]; /* by enum worker_kind */
        int audit_fd;
        int listener_fds[KEEPER_LISTENERS_MAX];
        size_t n_listeners;
        struct configuration *configuration; /* its secrets are read, and closed */
        bool passphrase;
        uint64_t alive_usec; /* how often to say that we are; 0: never */
};

/* Runs to its end and returns the exit status. */
int keeper_main(const struct keeper_options *o);
