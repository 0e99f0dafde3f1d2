/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer whose bytes come as somebody writes them. While there are none its connection is
 * suspended. It belongs to its request; whoever writes forgets it when told that it is over.
 */
#pragma once

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIPE_SIZE_UNKNOWN UINT64_MAX /* chunked */

struct pipe;
typedef void (*pipe_left_fn)(void *userdata);

/* Sets *moved whenever MHD has to look at the connection once more before it waits. */
struct pipe *pipe_new(struct MHD_Connection *connection, uint64_t size, bool *moved);
/* The request is over: what was not sent never will be. */
struct pipe *pipe_detach(struct pipe *p);
struct MHD_Response *pipe_response(struct pipe *p);

/* Told once if the client goes before pipe_end; the pipe must not be touched any more then. */
void pipe_on_left(struct pipe *p, pipe_left_fn fn, void *userdata);
void pipe_write(struct pipe *p, const void *bytes, size_t n);
/* No more is written; cut: the connection is closed where the stream stands. */
void pipe_end(struct pipe *p, bool cut);
/* After so many bytes nothing goes out until pipe_flow. */
void pipe_stall(struct pipe *p, uint64_t after);
bool pipe_stalled(const struct pipe *p);
void pipe_flow(struct pipe *p);
/* The client is gone, or has to go. */
void pipe_break(struct pipe *p);
