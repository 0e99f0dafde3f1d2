/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long each server keeps a connection that nobody uses, as it says itself in Keep-Alive: who
 * sends a request on one that is just being closed never learns whether it arrived.
 */
#pragma once

#include "base/util.h"

#define IDLE_SERVERS 64 /* remembered at once; a new one takes the place of the oldest */
#define IDLE_SEC_MAX 55 /* many servers close after 60 s, and few say so */

struct idle_server {
        char *origin;
        unsigned sec;
};

struct idle {
        struct idle_server servers[IDLE_SERVERS];
        size_t n;
        size_t oldest;
};

void idle_done(struct idle *i);

/* Remembers what a field of @origin says: "timeout=5, max=100". What it does not say changes
 * nothing. -ENOMEM: it is not remembered. */
int idle_note(struct idle *i, const char *origin, const char *keep_alive) MUST_CHECK;

/* So many seconds without use, and a connection to @origin is used no more: one less than it says
 * itself. 0: none is to be used twice. */
unsigned idle_limit(const struct idle *i, const char *origin);
