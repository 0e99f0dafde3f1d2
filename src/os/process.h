/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each of our processes does to itself first thing in main.
 */
#pragma once

#include "base/error.h"

/*
 * For programs that people start: no core file, umask 077, descriptors 0 to 2 opened on /dev/null
 * if they are closed (otherwise the next open would give, say, a socket the number of stderr). They
 * stay dumpable: the broker looks at their executable to know them, and no process of the same user
 * could otherwise.
 */
int process_prepare(struct error *err) MUST_CHECK;

/*
 * For the daemon's processes: the same, and not dumpable (no ptrace, no /proc/PID/environ or mem
 * for the same uid). execve() sets dumpable back, so every program calls it for itself.
 */
int process_harden(struct error *err) MUST_CHECK;
/* SIGPIPE ignored. */
int process_ignore_sigpipe(void) MUST_CHECK;
/* SIGTERM, SIGINT, SIGHUP ignored as well: a worker leaves at the end of its stream (DESIGN
 * 12.1). */
int process_ignore_signals(void) MUST_CHECK;
