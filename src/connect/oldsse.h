/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP+SSE transport of 2024-11-05, for servers that have no other: one stream on which the
 * server says where to POST to, and then everything else, responses included.
 */
#pragma once

#include "connect/call.h"
#include "connect/message.h"
#include "connect/reply.h"

struct oldsse;

struct oldsse_ops {
        /* @url: where to POST to; of the server's own origin. */
        void (*on_open)(const char *url, void *userdata);
        void (*on_message)(const struct message *m, void *userdata);
        /* Once: the stream has ended, or never was one. @status: of HTTP, 0: none. Its last act may
         * be oldsse_free(). */
        void (*on_end)(bool was_open, unsigned status, const struct call_end *end, void *userdata);
};

int oldsse_new(struct upstream *u, size_t message_max, const struct oldsse_ops *ops, void *userdata,
               struct oldsse **ret) MUST_CHECK;
struct oldsse *oldsse_free(struct oldsse *o);
void oldsse_pause(struct oldsse *o, bool pause);
