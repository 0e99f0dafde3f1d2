/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's own stream (GET, 2025-03-26 to 2025-11-25): what it says unasked. Opened once the
 * host is initialized, and again, with growing pauses, whenever it ends; where the server offers
 * none, there is none.
 */
#pragma once

#include "connect/call.h"
#include "connect/message.h"
#include "connect/reply.h"

struct listen;

struct listen_ops {
        int (*add_headers)(struct fetch_request *f, void *userdata);
        void (*on_message)(const struct message *m, void *userdata);
        /* The first attempt came to something, or to nothing: who waited for it may go on. */
        void (*on_settled)(void *userdata);
};

int listen_new(struct upstream *u, size_t message_max, const struct listen_ops *ops, void *userdata,
               struct listen **ret) MUST_CHECK;
struct listen *listen_free(struct listen *l);
void listen_pause(struct listen *l, bool pause);
