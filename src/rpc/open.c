/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a session. The nonce goes out after the first look at the peer, and the second look comes
 * after the nonce is back: a program that connects and then turns itself into another one (exec)
 * has two faces, and a program that was replaced before the first look never saw the nonce.
 */
#include <stdio.h>

#include "base/utf8.h"
#include "crypto/hash.h"
#include "crypto/rand.h"
#include "os/sock.h"
#include "rpc/conn.h"
#include "rpc/params.h"

#define NONCE_BYTES 32

struct attestation {
        struct conn *conn; /* NULL: nobody waits for it any more */
};

void conn_forget_attestation(struct conn *c) {
        if (c->attestation)
                c->attestation->conn = NULL;
        c->attestation = NULL;
}

static void greet(struct conn *c) {
        int r;

        r = random_text(&c->nonce, NONCE_BYTES);
        if (r == 0)
                r = message_hello(&c->out, c->nonce.data);
        if (r < 0) {
                conn_fail(c, NULL);
                return;
        }
        conn_set_state(c, CONN_GREETED);
        conn_settle(c);
}

static void opened(struct conn *c) {
        AUTO_JSON json_t *result = NULL;

        c->who.manage = c->kind == RPC_MAIN && c->evidence.ours;
        result = json_pack("{s:i,s:b}", "protocol", MESSAGE_PROTOCOL, "manage", c->who.manage);
        if (!result || message_result(&c->out, c->open_id, result) < 0) {
                conn_fail(c, NULL);
                return;
        }
        json_decref(TAKE(c->open_id));
        conn_set_state(c, CONN_OPEN);
        conn_settle(c);
}

/* What makes a peer one that is served. */
static int judge(struct conn *c, const struct evidence *e, struct error *err) {
        if (e->pid != c->who.pid)
                return error_set(err, MCPB_NOT_PERMITTED, EPERM, NULL,
                                 "The evidence speaks of another process");
        if (!pidfd_alive(c->who.pidfd))
                return error_set(err, MCPB_NOT_PERMITTED, ESRCH, NULL,
                                 "The process that connected is gone");
        if (e->daemon)
                return error_set(err, MCPB_NOT_PERMITTED, EPERM, NULL,
                                 "The daemon's own processes are not served");
        if (c->evidence_known && !evidence_same(&c->evidence, e))
                return error_set(err, MCPB_NOT_PERMITTED, EPERM,
                                 "Connect after the program was started, not before.",
                                 "The process became another program while it connected");
        return 0;
}

static void on_attested(int r, const struct evidence *e, void *ctx) {
        struct attestation *a = ctx;
        struct conn *c = a->conn;
        struct error err = ERROR_INIT;

        free(a);
        if (!c)
                return;
        c->attestation = NULL;
        if (c->state == CONN_CLOSED)
                return;
        if (r < 0 || !e)
                (void)error_set(&err, MCPB_RETRY, -r, "Try again.",
                                "It could not be found out which program is asking");
        else if (judge(c, e, &err) == 0) {
                c->evidence = *e;
                if (c->evidence_known) {
                        opened(c);
                        return;
                }
                c->evidence_known = true;
                greet(c);
                return;
        }
        conn_refuse(c, &err);
}

void conn_attest(struct conn *c) {
        struct attestation *a = calloc(1, sizeof(*a));
        struct error err;
        int r = -ENOMEM;

        if (a) {
                a->conn = c;
                c->attestation = a;
                r = c->rpc->ops->attest(c->rpc->userdata, c->who.pid, c->who.pidfd, on_attested, a);
        }
        if (r == 0)
                return; /* and it may be over by now */
        c->attestation = NULL;
        free(a);
        (void)error_set(&err, MCPB_RETRY, -r, "Try again.",
                        "It cannot be found out at present which program is asking");
        conn_refuse(c, &err);
}

void conn_on_open(struct conn *c, const struct message *m) {
        const char *nonce;
        const char *client;
        struct error err;

        if (m->notification || !streq(m->name, method_name(METHOD_SESSION_OPEN))) {
                (void)error_set(&err, MCPB_NOT_PERMITTED, EPERM, NULL,
                                "The first request must be session.open");
                conn_refuse(c, &err);
                return;
        }
        if (params_check(METHOD_SESSION_OPEN, m->params, &err) < 0) {
                conn_refuse(c, &err);
                return;
        }
        nonce = json_get_string(m->params, "nonce");
        if (strlen(nonce) != c->nonce.len || !secret_equal(nonce, c->nonce.data, c->nonce.len)) {
                (void)error_set(&err, MCPB_NOT_PERMITTED, EPERM, NULL,
                                "This is not the nonce of this connection");
                conn_refuse(c, &err);
                return;
        }
        client = json_get_string(m->params, "client");
        if (client) {
                AUTO_FREE char *clean =
                        utf8_clean_dup(client, strlen(client), sizeof(c->who.client) - 1);

                if (clean)
                        (void)snprintf(c->who.client, sizeof(c->who.client), "%s", clean);
        }
        c->open_id = json_copy((json_t *)(uintptr_t)m->id);
        conn_set_state(c, CONN_CONFIRMING);
        conn_attest(c);
}
