/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's side of the public socket (doc/PROTOCOL.md): takes connections, finds out who is
 * there, reads requests, hands them to the domain and carries the answers back. Owns its
 * connections and what is under way on them. Never waits for a peer, never reads a peer that does
 * not read, and lets no request through whose sender is not the attested process.
 */
#pragma once

#include <systemd/sd-event.h>

#include "broker/caller.h"

struct rpc;

/* @r is 0 and @e (borrowed) the evidence, or -errno and NULL. */
typedef void (*rpc_attested_fn)(int r, const struct evidence *e, void *ctx);

struct rpc_ops {
        /*
         * Who is @pid? Returns 0, then calls @done exactly once, now or later, whatever happens:
         * also when the question can no longer be answered (then with -errno), and also after
         * rpc_free() (then nothing follows). The pidfd is only lent for the length of this call.
         * -errno: not asked, @done is not called.
         */
        int (*attest)(void *userdata, pid_t pid, int pidfd, rpc_attested_fn done, void *ctx);
        /*
         * broker_call() and broker_call_abandon(). -errno: the reply function has not been and will
         * not be called.
         */
        int (*call)(void *userdata, const struct caller *who, enum method m, const json_t *params,
                    broker_reply_fn fn, void *fn_userdata, struct broker_call **ret);
        void (*abandon)(void *userdata, struct broker_call *call);
};

enum rpc_listener_kind {
        RPC_MAIN, /* our own programs may manage and administer */
        /* mounted, forwarded, labelled: serves `use` methods to everybody, nothing else */
        RPC_LABELLED,
};

struct rpc_counts {
        unsigned clients;  /* connections */
        unsigned open;     /* of these, with an open session */
        unsigned requests; /* under way */
        uint64_t accepted; /* connections since the start */
        uint64_t
                /* of these, turned away: uid, limits, attestation, handshake, foreign frames */
                refused;
        uint64_t answered; /* requests since the start */
        size_t out_bytes;  /* answers that wait for their client */
};

/* @ops and @userdata are borrowed for the life of @ret. crypto_init() comes first. */
int rpc_new(sd_event *event, const struct rpc_ops *ops, void *userdata, struct rpc **ret)
        MUST_CHECK;
/* Closes all connections at once and abandons what is under way. Returns NULL. */
struct rpc *rpc_free(struct rpc *rpc);

/* Takes over a listening stream socket (also on failure). */
int rpc_add_listener(struct rpc *rpc, int fd, enum rpc_listener_kind kind) MUST_CHECK;
/* Closes the listeners: what queues there, or comes, is for the next daemon. */
void rpc_stop_accepting(struct rpc *rpc);

/*
 * The way to stop: accepts nothing, reads nothing more, closes each connection when its last answer
 * has gone, and calls @done once, from the event loop, when none is left. The caller bounds the
 * wait (then rpc_free()).
 */
typedef void (*rpc_drained_fn)(void *userdata);
int rpc_drain(struct rpc *rpc, rpc_drained_fn done, void *userdata) MUST_CHECK;

void rpc_counts(const struct rpc *rpc, struct rpc_counts *ret);
