/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A one-shot child: a program that is started for one answer, ends by itself or is killed when its
 * time is over. Whoever started it owns the struct child; freeing it kills and reaps the process.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/error.h"

struct child;
struct spawn;

/* Exit status, or 128 + signal. @err is filled (TIMEOUT) and @status -1 if it had to be killed.
 * Called once, when the process is gone; may free the child. */
typedef void (*child_done_fn)(int status, const struct error *err, void *userdata);

/* SIGCHLD must be blocked. @fn is never called from here. @name stands in the error's text. */
int child_start(sd_event *e, const struct spawn *s, const char *name, uint64_t limit_usec,
                child_done_fn fn, void *userdata, struct child **ret, struct error *err) MUST_CHECK;
struct child *child_free(struct child *c);
