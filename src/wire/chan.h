/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream between two of our own processes: frames of u32 head length, u32 body length (both
 * little-endian), JSON head, raw body, and descriptors that travel with the frame's first byte
 * (their number stands in the head as "fds"). Knows no event loop: the owner polls chan_fd() for
 * chan_events() and calls chan_read() and chan_flush().
 */
#pragma once

#include "base/json.h"
#include "base/limits.h"

struct chan;

struct frame {
        json_t *head; /* an object */
        struct buf body;
        int fds[LIMIT_FRAME_FDS];
        size_t n_fds;
};
#define FRAME_INIT ((struct frame){ .fds = { -1, -1, -1, -1 } })
void frame_done(struct frame *f); /* wipes the body, closes descriptors that were not taken */

struct chan *chan_new(int fd)
        MUST_CHECK; /* takes over the non-blocking stream socket; NULL: out of memory */
struct chan *chan_free(struct chan *c);
int chan_fd(const struct chan *c);
short chan_events(const struct chan *c); /* POLLIN, and POLLOUT while something waits to go */

/* Reads what is there. 0; -EPIPE at the end of the stream; -EBADMSG for what is no frame of
 * ours; -errno. What arrived before an error can still be taken with chan_next(). Up to a frame
 * of the largest size waits inside; then no more is read until it is taken. */
int chan_read(struct chan *c) MUST_CHECK;
/* 1 and *@ret filled (what it held is not freed; caller: frame_done), 0 if no whole frame is there.
 * -EBADMSG, -ENOMEM. */
int chan_next(struct chan *c, struct frame *ret) MUST_CHECK;
/* Queues one frame: the head is borrowed, the body moved, descriptors duplicated (the caller
 * keeps its own). -EMSGSIZE over the limits, -ENOBUFS if the other side does not take what is
 * queued (LIMIT_CHAN_OUT_BYTES), -EINVAL for a head with "fds" of its own. Tries to send at
 * once: -EPIPE or another -errno then says that the stream is done for, and that the other side
 * did not get this frame whole. */
int chan_send(struct chan *c, const json_t *head, struct buf *body, const int *fds, size_t n_fds)
        MUST_CHECK;
int chan_flush(struct chan *c) MUST_CHECK; /* 0 also when not all could go yet; -EPIPE, -errno */
bool chan_idle(const struct chan *c);      /* nothing waits to go */
