/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main process: opens what the others need, starts them, starts the workers again when they
 * die, and speaks to systemd. Holds no secret and reads no peer's bytes.
 */
#pragma once

#include <sys/types.h>

#include "daemon/configuration.h"
#include "daemon/options.h"

struct supervisor_files {
        char *state_dir;
        char *socket;
        int state_fd;
        int store_fd;
        int lock_fd;
        int audit_fd;
        int listener_fds[16];
        size_t n_listeners;
        bool inherited; /* the listeners are systemd's */
        struct configuration configuration;
};

/* Opens everything; @err says what is wrong and what to do. */
int supervisor_open(const struct options *o, struct supervisor_files *f, struct error *err)
        MUST_CHECK;
/* Reads configuration, policy and declared servers (again). What it got it leaves in @c also on
 * failure. */
int supervisor_read_config(const struct options *o, struct configuration *c, struct error *err)
        MUST_CHECK;
/* What of it concerns the supervisor itself. */
int supervisor_apply_config(const struct config_files *files, struct error *err) MUST_CHECK;
void supervisor_files_done(struct supervisor_files *f);

/* Runs all of it; @on_ready (may be NULL) is called once when requests are answered. Returns the
 * exit status. */
int supervisor_run(const struct options *o, struct supervisor_files *f,
                   void (*on_ready)(pid_t pid, const char *socket), char **environment);
