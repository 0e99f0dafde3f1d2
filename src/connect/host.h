/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MCP host's end: lines in on one descriptor, lines out on another. It never blocks the loop
 * on a pipe or socket, whoever reads slowly, and keeps no more than its bounds: what comes in is
 * at most one line, and it says when what goes out piles up.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/buf.h"
#include "base/jsonspan.h"

struct host;

struct host_ops {
        /* A line without its end; may be moved away. May call anything but host_free(). */
        void (*on_line)(struct buf *line, void *userdata);
        /* A line was longer than is allowed, and is skipped. */
        void (*on_overlong)(void *userdata);
        /* Once. 0: there is no more input; -EPIPE: nobody reads our output; or another -errno. */
        void (*on_end)(int r, void *userdata);
        /* host_is_full() was true, and is no more. */
        void (*on_drained)(void *userdata);
};

/* The descriptors stay the caller's; their flags are put back by host_free(). */
int host_new(sd_event *event, int in_fd, int out_fd, size_t line_max, const struct host_ops *ops,
             void *userdata, struct host **ret) MUST_CHECK;
/* Waits, but for no more than a second, until the host has taken what is queued. */
struct host *host_free(struct host *h);

/* Queues one message as a line; line feeds between its tokens are left out. What cannot be kept
 * for want of memory ends the output: on_end(-ENOMEM) comes from the loop. */
void host_send(struct host *h, struct span text);
/* So much is queued that nothing more should be asked of anybody. */
bool host_is_full(const struct host *h);
/* Stops and starts reading. */
void host_hold(struct host *h, bool hold);
