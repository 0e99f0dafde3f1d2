/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper cannot do itself, because it has no file to open, no program to start and no
 * socket to make: read a file, run a command, ask a service behind a UNIX socket. Each order goes
 * to a process of its own (mcp-broker-identity), which answers once and ends. As frames: the head
 * is JSON; the body is what is sent or was read, and is a secret.
 */
#pragma once

#include "wire/fetch.h"

enum order_kind {
        ORDER_READ,
        ORDER_RUN,
        ORDER_CALL, /* HTTP/2 with prior knowledge over a UNIX socket (gRPC) */
        ORDER_KIND_COUNT,
};

/* What a file must be like to be read. It always is a regular one; a symbolic link as the last part
 * of its path is refused but in a folder that Kubernetes writes (token -> ..data/token). */
enum order_rules {
        ORDER_RULES_SECRET, /* root's or ours, nobody else may write; told if others may read */
        ORDER_RULES_PUBLIC, /* the same, but everybody may read: certificates, names */
        ORDER_RULES_ARC,    /* a key of Azure Arc: *.key in its one folder, at most 4 KiB; whose the
                             * folder is may own it */
        ORDER_RULES_COUNT,
};

struct order {
        enum order_kind kind;
        char *path; /* READ: the file; CALL: the socket. Absolute */
        enum order_rules rules;
        size_t max;  /* READ, RUN: bytes that may come; more fail (-EFBIG) */
        char **argv; /* RUN: ends with NULL; the first is the program's absolute path */
        char **envp; /* RUN: its whole environment, "NAME=value"; ends with NULL */
        size_t n_argv;
        size_t n_envp;
        uint64_t timeout_usec;      /* RUN */
        struct fetch_request fetch; /* CALL: its URL is http://localhost/...; trailers come among
                                     * the headers of its answer */
        bool first_message; /* CALL: the answer ends behind the first whole message of gRPC */
};

void order_init(struct order *o, enum order_kind kind);
void order_done(struct order *o); /* wipes; leaves an empty order of the same kind */
void order_move(struct order *to, struct order *from); /* @to is freed first; @from is empty then */

/* -ENOMEM; -EINVAL for what no path, argument or name can be; -E2BIG for too many. */
int order_set_path(struct order *o, const char *path) MUST_CHECK;
int order_add_argument(struct order *o, const char *argument) MUST_CHECK;
int order_add_environment(struct order *o, const char *name, const char *value) MUST_CHECK;

/* To and from frame heads ({"op":"order",...}); the body of a CALL travels beside and is moved.
 * -EBADMSG for a head that is not ours, -EINVAL for an order that is none, -ENOMEM. */
int order_to_head(const struct order *o, json_t **ret) MUST_CHECK;
int order_from_head(struct order *o, const json_t *head, struct buf *body) MUST_CHECK;

/* What became of an order. */
struct order_reply {
        int r;            /* 0 or -errno; then @err says why. Of a CALL 0 means that @answer is
                           * filled, which may be the news that there is none */
        struct error err; /* names the file, program or socket, and what to do */
        bool exposed;     /* READ with ORDER_RULES_SECRET: others may read that file */
        struct buf bytes; /* READ, RUN */
        struct fetch_answer answer; /* CALL */
};

void order_reply_init(struct order_reply *p);
void order_reply_done(struct order_reply *p); /* wipes */

/* {"op":"reply",...}; @bytes or the answer's body travel beside and are moved. @kind is that of the
 * order: a reply to another is none (-EBADMSG). */
int order_reply_to_head(const struct order_reply *p, enum order_kind kind, json_t **ret) MUST_CHECK;
int order_reply_from_head(struct order_reply *p, enum order_kind kind, const json_t *head,
                          struct buf *body) MUST_CHECK;
