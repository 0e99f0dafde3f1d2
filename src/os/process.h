/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each of our processes does to itself first thing in main.
 */
#pragma once

#include "base/error.h"

/*
 * Not dumpable (no ptrace, no /proc/PID/environ or mem for the same uid), no core file, umask 077. execve() sets
 * dumpable back, so every program calls it for itself. Descriptors 0 to 2 are opened on /dev/null if they are closed: otherwise
 * the next open would give, say, the store the number of stderr.
 */
int process_harden(struct error *err) MUST_CHECK;

/* SIGPIPE ignored. */
int process_ignore_sigpipe(void) MUST_CHECK;
/* SIGTERM, SIGINT, SIGHUP ignored as well: a worker leaves at the end of its stream (DESIGN 12.1). */
int process_ignore_signals(void) MUST_CHECK;
