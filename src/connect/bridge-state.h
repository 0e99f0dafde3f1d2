/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the bridge, for the files that share it: bridge.c takes what the host says,
 * relay.c what the server says, handshake.c keeps the session, transport.c chooses the transport,
 * relist.c makes calls again whose head was wrong.
 */
#pragma once

#include "connect/bridge.h"
#include "connect/catalog.h"
#include "connect/eras.h"
#include "connect/exchange.h"
#include "connect/host.h"
#include "connect/listen.h"
#include "connect/oldsse.h"
#include "connect/refusal.h"
#include "connect/report.h"
#include "connect/session.h"

/* The answers to one batch of the host's (2025-03-26): they go back as one. */
struct batch {
        struct buf answers;
        unsigned n_open;
};

struct bridge {
        sd_event *event;
        const char *server; /* as the person names it; borrowed */
        struct host *host;
        struct access *access;
        struct upstream upstream;
        struct catalog *catalog;
        struct session session;
        struct eras eras;
        sd_event_source *opening; /* how long the session's beginning may hold up the rest */
        struct listen *listen;    /* NULL: none */
        enum transport transport;
        bool old_transport;    /* it is HTTP+SSE that is spoken */
        struct oldsse *oldsse; /* its stream; NULL: none at present */
        char *endpoint;        /* where its messages go; NULL: not known yet */
        struct list running;   /* exchanges that were sent */
        struct list waiting;   /* those that must wait their turn, in order */
        size_t n_running;
        size_t n_waiting;
        struct exchange *relist; /* the list of tools, read again; it is one of the running */
        unsigned n_pages;        /* of it so far */
        size_t message_max;
        uint64_t request_usec;   /* 0: a request may take as long as it likes */
        struct reports *reports; /* NULL: none are wanted */
        bool host_ended;         /* there is no more input */
        bool leaving;            /* only the goodbye is left */
        struct call *goodbye;
        sd_event_source *timer; /* how long the end may take */
        bool paused;            /* the host does not read: nobody is asked for more */
};

/* ---- bridge.c ---- */
/* Sends what waits, as far as it may be sent now; and leaves when all is done. */
void bridge_proceed(struct bridge *b);
/* Takes a line over; @m is its message, or NULL to have it scanned. -ENOMEM. */
int bridge_exchange(struct bridge *b, struct buf *line, struct message *m, struct exchange **ret)
        MUST_CHECK;
void bridge_send(struct bridge *b, struct exchange *x);
/* Nothing more is asked of the server while the host does not read. */
void bridge_balance(struct bridge *b);

/* ---- relay.c ---- */
extern const struct exchange_ops relay_ops;
/* The host's answer to its own request: alone, or as a part of its batch. */
void relay_answer(struct bridge *b, struct exchange *x, struct span text);
/* The response is missing, and this is why. */
void relay_refusal(struct bridge *b, struct exchange *x, const struct exchange_end *end);
/* Leaves the batch, if it is part of one; the last one sends it. */
void relay_leave_batch(struct bridge *b, struct exchange *x);
/* The response to what the host asked. */
void relay_response(struct bridge *b, struct exchange *x, const struct message *m);
/* What the server says unasked, on the stream of @x or (NULL) on its own. */
void relay_unasked(struct bridge *b, struct exchange *x, const struct message *m);

/* ---- handshake.c ---- */
/* About to be sent: initialize and what follows it change the session. */
int handshake_begin(struct bridge *b, struct exchange *x) MUST_CHECK;
/* True: it is dealt with, and the exchange belongs to the handshake now. */
bool handshake_lost(struct bridge *b, struct exchange *x, const struct exchange_end *end);
/* Begins another session with what the host said at the last. */
void handshake_anew(struct bridge *b);
void handshake_done(struct bridge *b, struct exchange *x, const struct exchange_end *end);

/* ---- relist.c ---- */
/* The response to it has come. True: it is dealt with. */
bool relist_answered(struct bridge *b, struct exchange *x, const struct message *m);
/* Its end. True: it waits to be sent once more. */
bool relist_ended(struct bridge *b, struct exchange *x);

/* ---- transport.c ---- */
/* May messages go out? Opens the old transport's stream where that is the one. */
bool transport_ready(struct bridge *b);
/* True: the server is to be tried with the old transport, and the exchange waits for that. */
bool transport_fall_back(struct bridge *b, struct exchange *x, const struct exchange_end *end);
void transport_close(struct bridge *b);
void transport_pause(struct bridge *b, bool pause);
