/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection. Its life: attested, greeted with the nonce, attested again when the nonce comes
 * back, open. Everything that goes wrong ends in conn_fail(), which only marks it: the connection
 * is freed by the loop (rpc_wake()), never below a function that still uses it, nor below the
 * domain that is just answering it.
 */
#pragma once

#include "base/buf.h"
#include "base/limits.h"
#include "base/list.h"
#include "loop/loop.h"
#include "loop/pump.h"
#include "rpc/message.h"
#include "rpc/rpc.h"

struct rpc {
        sd_event *event;
        const struct rpc_ops *ops;
        void *userdata;
        struct list listeners;
        struct list conns;
        struct list ready; /* connections whose turn it is, though their socket says nothing */
        sd_event_source *ready_source;
        struct rpc_counts counts; /* out_bytes is counted when asked */
        uint64_t last_conn_id;
        struct buf line; /* the line in hand */
        char scratch[16 * 1024];
        bool draining;
        rpc_drained_fn drained;
        void *drained_userdata;
        uint64_t log_since; /* refusals are logged, but not as fast as a peer can cause them */
        unsigned log_count;
};

enum conn_state {
        CONN_ATTESTING,  /* who is there? nothing is read, nothing said */
        CONN_GREETED,    /* the nonce is out; only session.open is taken */
        CONN_CONFIRMING, /* it came back; is it still the same program? */
        CONN_OPEN,
        CONN_CLOSED, /* waits for the loop to free it */
        CONN_STATE_COUNT,
};

struct attestation;

struct conn {
        struct list link;  /* in rpc->conns */
        struct list ready; /* in rpc->ready */
        struct rpc *rpc;
        enum rpc_listener_kind kind;
        enum conn_state state;
        int fd;
        struct pump *pump;
        struct caller who;
        struct evidence evidence; /* of the first look */
        bool evidence_known;
        struct attestation *attestation; /* the question under way */
        struct buf nonce;
        json_t *open_id; /* of session.open, until it is answered */

        struct buf in;
        size_t scanned;
        /* there may be a whole line in @in: nothing more is read until it is taken */
        bool has_line;
        bool eof;     /* the client will say no more, but may still listen */
        bool in_turn; /* answers are gathered, and sent at the end of the turn */
        struct buf out;
        struct list requests;
        unsigned n_requests;

        uint64_t since_usec;  /* accepted */
        uint64_t heard_usec;  /* last sign of life */
        uint64_t half_usec;   /* when the unfinished line began; 0: there is none */
        uint64_t unread_usec; /* since when the client has taken nothing; 0: nothing waits */
        sd_event_source *timer;
        uint64_t timer_usec;
};

/* Takes over @fd and @who->pidfd, also on failure. */
int conn_new(struct rpc *rpc, int fd, enum rpc_listener_kind kind, const struct caller *who)
        MUST_CHECK;
void conn_free(struct conn *c);

/*
 * Tells the client (unless @err is NULL) and marks the connection for release. Harmless on one that
 * is marked already.
 */
void conn_fail(struct conn *c, const struct error *err);
/* Turned away: as conn_fail(), counted and logged. */
void conn_refuse(struct conn *c, const struct error *err);

void conn_set_state(struct conn *c, enum conn_state state);
/* Takes lines as far as the limits allow, sends what there is, and sees to the timer. */
void conn_turn(struct conn *c);
/* Called after something was put into @out, or the number of requests went down. */
void conn_settle(struct conn *c);

/* open.c */
void conn_attest(struct conn *c);
void conn_on_open(struct conn *c, const struct message *m);
void conn_forget_attestation(struct conn *c);

/* dispatch.c */
void conn_on_line(struct conn *c, const char *line, size_t len);
void conn_abandon_requests(struct conn *c);

/* rpc.c */
void rpc_wake(struct rpc *rpc, struct conn *c);
void rpc_log_refusal(struct rpc *rpc, pid_t pid, const struct error *err);
