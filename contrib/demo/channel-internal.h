/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What channel.c, the streams, and script.c, what is said on them, have in common.
 */
#pragma once

#include "channel.h"

struct event {
        char *bytes;
        size_t n;
        uint64_t number;
};

struct channel {
        struct demo *demo;
        struct channel *next;
        struct pipe *pipe; /* NULL: nobody reads now */
        struct event *events;
        size_t n_events;
        size_t n_room;
        json_t *record;       /* of the request that has it now */
        json_t *steps;        /* still to play */
        json_t *waiting;      /* the id of what was asked and has to be answered first */
        json_t *heard;        /* the last answer of the client */
        json_t *answer;       /* of a subscription */
        json_t *subscription; /* its id */
        char *name;
        const char *newline;
        uint64_t n_sent;
        uint64_t n_asked;
        enum channel_kind kind;
        bool ids;
        bool pretty;
        bool held;           /* a "hold" step: until POST /release */
        bool wants_resuming; /* a "resumed" step */
        bool over;
        bool forgotten;
};

struct channels {
        struct channel *first; /* the newest */
        size_t n;
        uint64_t n_ever;
};

void channel_end(struct channel *c, bool cut);
void channel_raw(struct channel *c, const char *bytes);
void channel_retry(struct channel *c, json_int_t msec); /* an event without data */
void channel_go_on(struct channel *c);                  /* plays what can be played */
