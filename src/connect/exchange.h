/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message of the host's on its way to the server, and what comes back for it, up to the end of
 * the last stream that it is resumed on. It guarantees an end: whoever gave it a request is told
 * whether its response came.
 */
#pragma once

#include "base/list.h"
#include "connect/call.h"
#include "connect/input.h"
#include "connect/message.h"
#include "connect/question.h"
#include "connect/reply.h"

struct exchange;

enum exchange_result {
        EXCHANGE_DONE,   /* the response was passed on; or none was owed, and it was taken */
        EXCHANGE_HTTP,   /* the server answered with @status and no JSON-RPC */
        EXCHANGE_CUT,    /* the answer ended before the response came, or cannot be used */
        EXCHANGE_FAILED, /* there was no answer: see @call */
        EXCHANGE_RESULT_COUNT,
};

struct exchange_end {
        enum exchange_result result;
        unsigned status;             /* of HTTP; 0: no answer */
        const char *reason;          /* for people; may be NULL */
        const struct call_end *call; /* EXCHANGE_FAILED */
        struct span body;            /* EXCHANGE_HTTP: the beginning of it */
};

struct exchange_ops {
        int (*add_headers)(struct exchange *x, struct fetch_request *f, void *userdata);
        void (*on_head)(struct exchange *x, const struct fetch_answer *a, void *userdata);
        /* A message of the server's. @mine: the response to this exchange's request; its id is that
         * of the request. */
        void (*on_message)(struct exchange *x, const struct message *m, bool mine, void *userdata);
        /* Once, last. The receiver frees the exchange, at once or later. */
        void (*on_done)(struct exchange *x, const struct exchange_end *end, void *userdata);
};

struct exchange {
        struct list link; /* the owner's */
        struct upstream *upstream;
        const struct exchange_ops *ops;
        void *userdata;

        struct buf line; /* what is sent; the message's spans lie in it */
        struct message message;
        bool may_resume;     /* its stream may be resumed by GET (2025) */
        bool internal;       /* of the bridge itself */
        bool elsewhere;      /* the response comes on another stream (HTTP+SSE) */
        const char *url;     /* borrowed; NULL: the server's own */
        bool mismatched;     /* the server refused its head: see relist.c */
        bool repeated;       /* it was sent again once already */
        uint64_t in_session; /* the number of that with whose id it was sent; 0: without one */
        bool cancelled;      /* the host does not want the response any more */
        struct batch *batch; /* the owner's: what it is part of; NULL: of nothing */
        /* Of the eras (connect/eras.h), else NULL or empty. */
        struct errand *errand; /* what the host said, if it is something else that is sent; owned */
        struct watch *watch;   /* whose stream it is */
        struct buf refusal;    /* the host's answer, if nothing better can be found; or kept */
        struct questions *questions; /* what the server wants to know meanwhile; owned */
        bool away;                   /* the host was told that, and its request is over */

        struct call *call;
        struct reply reply;
        sd_event_source *timer;
        sd_event_source *deadline;
        uint64_t limit_usec; /* how long it may take; 0: as long as it likes */
        bool late;           /* that has passed */
        unsigned status;
        bool answered;
        bool lingers;       /* its stream is still open, and the timer says for how long */
        bool resuming;      /* the call is a GET for the rest of the stream */
        unsigned n_resumed; /* without anything that was new */
        uint64_t begun_usec;
        char *audit_id;
};

/* @line is moved; its message is scanned already, and moved too. -ENOMEM leaves both alone. */
int exchange_new(struct upstream *u, struct buf *line, struct message *m, size_t message_max,
                 const struct exchange_ops *ops, void *userdata, struct exchange **ret) MUST_CHECK;
struct exchange *exchange_free(struct exchange *x);

/* Sends it. on_done comes from the loop, also if it cannot be sent. */
void exchange_send(struct exchange *x);
/* Ends it without its on_done; the server is told by the end of the connection. */
void exchange_abandon(struct exchange *x);
/* Is its response still to come? */
bool exchange_owes(const struct exchange *x);
/* The response came on another stream; or it never will. on_done follows, perhaps from here. */
void exchange_deliver(struct exchange *x, const struct message *m);
void exchange_fail(struct exchange *x, const char *reason);
/* The id that the host knows it by. */
struct span exchange_host_id(const struct exchange *x);
bool exchange_is_sent(const struct exchange *x);
void exchange_pause(struct exchange *x, bool pause);
