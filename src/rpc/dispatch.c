/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a line to the domain, and back.
 */
#include "os/sock.h"
#include "rpc/conn.h"
#include "rpc/params.h"

struct request {
        struct list link; /* in conn->requests */
        struct conn *conn;
        json_t *id;
        struct broker_call *call; /* NULL while broker_call() has not returned */
        bool *answered;           /* set while broker_call() runs: tells it that we are gone */
};

static void request_free(struct request *q) {
        if (q->answered)
                *q->answered = true;
        list_remove(&q->link);
        q->conn->n_requests--;
        q->conn->rpc->counts.requests--;
        json_decref(q->id);
        free(q);
}

static void answer_error(struct conn *c, const json_t *id, const struct error *err,
                         const json_t *data) {
        int r = message_error(&c->out, id, err, data);

        c->rpc->counts.answered++;
        if (r == -EMSGSIZE && c->out.len == 0)
                r = message_error(&c->out, id, err, NULL);
        if (r < 0)
                conn_fail(c,
                          NULL); /* it does not read its answers, or we have no memory for them */
}

static void answer_result(struct conn *c, const json_t *id, const json_t *result) {
        int r = message_result(&c->out, id, result);
        struct error err;

        if (r == -EMSGSIZE && c->out.len == 0) {
                (void)error_set(&err, MCPB_INTERNAL, EMSGSIZE, NULL,
                                "The answer is longer than a client may be sent");
                answer_error(c, id, &err, NULL);
                return;
        }
        c->rpc->counts.answered++;
        if (r < 0)
                conn_fail(c, NULL);
}

static void on_reply(json_t *result, const struct error *err, json_t *err_data, void *userdata) {
        struct request *q = userdata;
        struct conn *c = q->conn;

        if (c->state == CONN_OPEN && !pidfd_alive(c->who.pidfd))
                conn_fail(c, NULL); /* who else reads this socket was never attested */
        if (c->state == CONN_OPEN && result)
                answer_result(c, q->id, result);
        else if (c->state == CONN_OPEN)
                answer_error(c, q->id, err, err_data);
        request_free(q);
        conn_settle(c);
}

static void start(struct conn *c, enum method m, const struct message *message) {
        struct request *q = calloc(1, sizeof(*q));
        struct broker_call *call = NULL;
        struct error err = ERROR_INIT;
        bool answered = false;
        int r;

        if (!q) {
                conn_fail(c, NULL);
                return;
        }
        list_init(&q->link);
        q->conn = c;
        q->id = json_incref((json_t *)(uintptr_t)message->id);
        q->answered = &answered;
        list_append(&c->requests, &q->link);
        c->n_requests++;
        c->rpc->counts.requests++;
        r = c->rpc->ops->call(c->rpc->userdata, &c->who, m, message->params, on_reply, q, &call);
        if (answered)
                return;
        q->answered = NULL;
        q->call = call;
        if (r == 0)
                return;
        (void)error_fallback(&err, r, method_name(m));
        answer_error(c, q->id, &err, NULL);
        request_free(q);
}

static int check(const struct conn *c, const struct message *message, enum method *ret,
                 struct error *err) {
        bool main_socket = c->kind == RPC_MAIN;

        if (method_from_name(message->name, ret) < 0)
                return error_set(err, MCPB_UNKNOWN_METHOD, ENOENT, NULL, "No method \"%.64s\"",
                                 message->name);
        if (method_class(*ret) == METHOD_OPEN)
                return error_set(err, MCPB_BAD_REQUEST, EALREADY, NULL,
                                 "The session is open already");
        if (method_class(*ret) != METHOD_USE && !c->who.manage)
                return error_set(err, MCPB_NOT_PERMITTED, EPERM,
                                 main_socket
                                         ? "Use mcp-add, mcp-list or mcp-brokerctl."
                                         : "This socket serves tokens only; use the user's own.",
                                 "%s is for the broker's own programs", message->name);
        return params_check(*ret, message->params, err);
}

void conn_on_line(struct conn *c, const char *line, size_t len) {
        AUTO_MESSAGE struct message message = MESSAGE_INIT;
        struct error err = ERROR_INIT;
        enum method m = METHOD_COUNT;
        int r;

        r = message_parse(&message, line, len, &err);
        if (c->state != CONN_OPEN) {
                if (r < 0)
                        conn_refuse(c, &err);
                else
                        conn_on_open(c, &message);
                return;
        }
        /* No method of ours is a notification: there is nothing to do, and nothing may be said. */
        if (message.notification)
                return;
        if (r == 0)
                r = check(c, &message, &m, &err);
        if (r < 0)
                answer_error(c, message.id, &err, NULL);
        else
                start(c, m, &message);
}

void conn_abandon_requests(struct conn *c) {
        struct request *q;

        /* Abandoning one may answer another: no pointer into the list is kept. */
        while ((q = LIST_FIRST(&c->requests, struct request, link))) {
                /* The analyzer does not see that request_free() takes it off the list. */
                if (q->call) /* NOLINT(clang-analyzer-unix.Malloc) */
                        c->rpc->ops->abandon(c->rpc->userdata, q->call);
                request_free(q);
        }
}
