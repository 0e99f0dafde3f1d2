/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host and a server of two eras, brought together. Nothing is asked beforehand, unless the person
 * wishes it: the host's first message goes out as it is, and only a refusal makes the bridge find
 * out, with the other era's first request, what the server is. What it found holds for the life of
 * the process. eras.c finds
 * out; eras-up.c and eras-listen.c stand between a legacy host and a modern server, eras-down.c,
 * eras-question.c and eras-subscribe.c between a modern host and a legacy server.
 */
#pragma once

#include <systemd/sd-event.h>

#include "connect/exchange.h"
#include "connect/input.h"
#include "connect/translate.h"

struct bridge;

struct eras {
        struct translate words;
        bool modern_first;         /* a legacy host's initialize waits until that was asked */
        bool up;                   /* a legacy host, and a server that is modern alone */
        struct exchange *held;     /* the host's initialize, until the server is known */
        struct exchange *discover; /* our own request, meanwhile; it is one of the running */
        struct list errands;       /* up: wait for the host's answers */
        struct list listens;       /* up: subscriptions/listen of our own */
        size_t n_listens;
        bool down;             /* a modern host, and a server that is legacy alone */
        bool deciding;         /* it is being asked whether it is */
        bool modern;           /* it has shown that it is not */
        struct list away;      /* down: over at the server, but the host was asked meanwhile */
        struct list listeners; /* down: the host's subscriptions/listen */
        size_t n_listeners;
        struct exchange *set_level; /* down: our own; what is asked next waits for it */
        int level;                  /* of the server's log, as we have set it; -1: not so far */
        uint64_t last_id;
};

void eras_init(struct eras *e, size_t message_max, bool modern_first);
/* Nothing is under way any more that could call back. */
void eras_stop(struct bridge *b);
void eras_done(struct eras *e);

/* A message of the host's that needs no exchange. True: it is dealt with. */
bool eras_hear(struct bridge *b, const struct message *m);
/* The host does not want the answer any more. True: nobody else need know. */
bool eras_cancel(struct bridge *b, struct span id);
/* About to be sent: in the server's words. True: it is dealt with, and belongs to us. */
bool eras_send(struct bridge *b, struct exchange *x);
/* initialize, which waits, was refused without a word, and there is no older transport either: a
 * server that is modern may have said that. True: it is ours. */
bool eras_try_modern(struct bridge *b, struct exchange *x, const struct exchange_end *end);
/* The response to it has come. True: it is dealt with. */
bool eras_answered(struct bridge *b, struct exchange *x, const struct message *m);
/* Something else came on its stream, or on the server's own (NULL). True: the same. */
bool eras_unasked(struct bridge *b, struct exchange *x, const struct message *m);
/* Its end; it is none of the running any more. True: it belongs to us. */
bool eras_ended(struct bridge *b, struct exchange *x, const struct exchange_end *end);

/* ---- between the files ---- */

/* A request of the bridge's own; @line is moved. */
int eras_say(struct bridge *b, struct buf *line, struct exchange **ret) MUST_CHECK;
/* From now on it is @line that is sent; what the host said is kept as its errand. */
int eras_rewrite(struct exchange *x, struct buf *line) MUST_CHECK;
/* Answers a request of the host's by ourselves, and frees it. */
void eras_answer(struct bridge *b, struct exchange *x, const char *result);
void eras_refuse(struct bridge *b, struct exchange *x, int code, const char *why);
/* "mcp-connect/N", as a JSON string. */
struct span eras_new_id(struct eras *e, char id[static 48]);

/* ---- eras-up.c ---- */

bool up_hear(struct bridge *b, const struct message *m);
bool up_cancel(struct bridge *b, struct span id);
bool up_send(struct bridge *b, struct exchange *x);
bool up_answered(struct bridge *b, struct exchange *x, const struct message *m);

/* ---- eras-down.c ---- */

/* A modern request was refused; perhaps for want of an initialize. True: it is ours. */
bool down_refused(struct bridge *b, struct exchange *x, const struct message *m);
void down_begin(struct bridge *b, struct exchange *x);
/* The answer to our own initialize; and that there is none, or none that begins a session. */
void down_hear(struct bridge *b, const struct message *m);
void eras_no_session(struct bridge *b);
/* The server knows that we are initialized, for the first time or anew. */
void eras_session(struct bridge *b);
bool down_send(struct bridge *b, struct exchange *x);
bool down_answered(struct bridge *b, struct exchange *x, const struct message *m);
bool down_unasked(struct bridge *b, struct exchange *x, const struct message *m);
/* The host does not want it any more, and the server may know it by another id. */
void eras_tell_cancel(struct bridge *b, const struct exchange *x);
/* Must everything that the host says wait? */
bool eras_is_closed(const struct bridge *b);

/* ---- eras-question.c: what a legacy server asks a modern host ---- */

/* @x: on whose stream; NULL: the server's own. */
void question_ask(struct bridge *b, struct exchange *x, const struct message *m);
bool question_withdraw(struct bridge *b, struct span id);
/* The host's request is one that was asked about. True: @x was taken over. */
bool question_resume(struct bridge *b, struct exchange *x);
/* The server's response to what the host was asked about. True: it is kept. */
bool question_keep(struct bridge *b, struct exchange *x, const struct message *m);
bool question_ended(struct bridge *b, struct exchange *x, const struct exchange_end *end);
void question_stop(struct bridge *b);

/* ---- eras-subscribe.c: subscriptions of a modern host at a legacy server ---- */

/* Takes it over. */
void listener_open(struct bridge *b, struct exchange *x);
bool listener_cancel(struct bridge *b, struct span id);
/* True: it is a notification that only such may hear. */
bool listener_tell(struct bridge *b, const struct message *m);
void listener_again(struct bridge *b);
void listener_stop(struct bridge *b);

/* ---- eras-listen.c: subscriptions of a legacy host at a modern server ---- */

/* @x asks for what becomes of a resource, and is taken over; NULL: lists, for ourselves. */
void watch_open(struct bridge *b, struct exchange *x);
void watch_close(struct bridge *b, const char *uri);
bool watch_cancel(struct bridge *b, struct span id);
bool watch_unasked(struct bridge *b, struct exchange *x, const struct message *m);
bool watch_answered(struct bridge *b, struct exchange *x, const struct message *m);
bool watch_ended(struct bridge *b, struct exchange *x, const struct exchange_end *end);
void watch_stop(struct bridge *b);
