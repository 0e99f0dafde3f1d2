/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of a server's answer, taken apart into JSON-RPC messages as it arrives: one JSON value,
 * or a stream of events. Whatever it is not, it says so.
 */
#pragma once

#include "connect/message.h"
#include "http/sse.h"
#include "wire/fetch.h"

enum reply_kind {
        REPLY_NOTHING, /* empty, or of no interest */
        REPLY_JSON,
        REPLY_EVENTS,
        REPLY_OTHER, /* something else: its beginning is kept */
        REPLY_KIND_COUNT,
};

struct reply_ops {
        /* The members of a batch one by one. Must not end the reply. */
        void (*on_message)(const struct message *m, void *userdata);
        /* Events that are no messages; may be NULL. */
        void (*on_other_event)(const struct sse_event *e, void *userdata);
};

struct reply {
        const struct reply_ops *ops;
        void *userdata;
        enum reply_kind kind;
        unsigned status;
        size_t message_max;
        size_t bytes;
        struct buf body;
        struct sse sse;
        char *event_id;  /* of the last event that had one, over all answers; NULL: none */
        long retry_msec; /* what the server asked for last; -1: nothing */
        const char *why; /* what was wrong; NULL: nothing */
};

void reply_init(struct reply *r, const struct reply_ops *ops, void *userdata, size_t message_max);
void reply_done(struct reply *r);

/* Is there a place in a stream to go on from? Forgets it; sends it along. */
bool reply_can_resume(const struct reply *r);
void reply_forget_place(struct reply *r);
int reply_add_place(const struct reply *r, struct fetch_request *f) MUST_CHECK;

/* By status and Content-Type. */
void reply_begin(struct reply *r, const struct fetch_answer *a);
/* -EMSGSIZE, -EBADMSG with r->why; -ENOMEM. */
int reply_feed(struct reply *r, const char *data, size_t len) MUST_CHECK;
/* The answer is complete. The same errors. */
int reply_end(struct reply *r) MUST_CHECK;
