/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request of the host's that a server of the other era answers in several rounds, by what the
 * server wants to know before (2026-07-28: resultType "input_required"). A legacy host is asked
 * with requests, as servers of its era do; its answers go into the next round. Text in, text out.
 */
#pragma once

#include "base/list.h"
#include "connect/message.h"

#define INPUT_ID "mcp-connect/input/" /* our requests to the host: these and no others */
#define INPUT_ROUNDS_MAX 10
#define INPUT_REQUESTS_MAX 64

struct input;
struct batch;

struct errand {
        struct list link; /* the owner's */
        struct buf line;  /* as the host said it */
        struct message message;
        struct batch *batch; /* the owner's */
        unsigned n_rounds;
        struct buf state; /* requestState: a JSON string; empty: none */
        struct input *inputs;
        size_t n_inputs;
        size_t n_open;
};

/* Takes both over; -ENOMEM leaves them alone. */
int errand_new(struct buf *line, struct message *m, struct errand **ret) MUST_CHECK;
struct errand *errand_free(struct errand *e);

/* Does the result say that the server wants to know more? */
bool errand_is_input_required(struct span result);
/* @last_id numbers the requests. -EPROTO: it cannot be understood; -E2BIG: too many rounds;
 * -ENOMEM. */
int errand_take_result(struct errand *e, struct span result, uint64_t *last_id) MUST_CHECK;
/* The request for the @i-th input. */
int errand_write_request(const struct errand *e, size_t i, struct buf *out) MUST_CHECK;
/* The same, withdrawn; nothing is written if it was answered. */
int errand_write_cancel(const struct errand *e, size_t i, struct buf *out) MUST_CHECK;
/* The host's answer. -ENOENT: to nothing that this one asked; -ECANCELED: an error, so that the
 * request can not go on: @ret_error is the answer to it; -ENOMEM. */
int errand_take_answer(struct errand *e, const struct message *m, struct buf *ret_error) MUST_CHECK;
/* inputResponses; appends nothing if nothing was asked. */
int errand_write_responses(const struct errand *e, struct buf *out) MUST_CHECK;
