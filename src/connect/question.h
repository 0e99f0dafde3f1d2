/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a legacy server asks the host for while it works at a request of the host's. A modern host
 * is not asked: it gets the questions as the answer to its request, and makes the request again
 * with the answers. Text in, text out.
 */
#pragma once

#include "base/list.h"
#include "connect/message.h"

#define QUESTIONS_MAX 64
#define QUESTION_STATE "mcp-connect/state/" /* our requestState begins so */
/* The one for a request that is simply to be made again. */
#define QUESTION_AGAIN QUESTION_STATE "again"

struct questions {
        struct list all;
        size_t n;
        char state[48]; /* of what the host was told at the last; a JSON string; empty: nothing */
};

void questions_init(struct questions *q);
void questions_done(struct questions *q);

/* Is that something that the modern era has, too? */
bool question_is_one(const char *method);

/* The server's request. -ENOBUFS: too many; -ENOMEM. */
int questions_add(struct questions *q, const struct message *m, uint64_t number) MUST_CHECK;
/* The server does not want to know any more. True: it was one of these. */
bool questions_withdraw(struct questions *q, struct span id);
/* All of them as the answer to the host's request @id. -ENOMEM, -EMSGSIZE. */
int questions_write(struct questions *q, struct span id, uint64_t number, struct buf *out)
        MUST_CHECK;
/* The next of the host's answers, as the response to the server; its question is over. 1, or 0 if
 * there is none left. -ENOMEM, -EMSGSIZE. */
int questions_next_answer(struct questions *q, struct span responses, struct buf *out) MUST_CHECK;
/* The next question, refused; it is over. The same. */
int questions_next_refusal(struct questions *q, struct buf *out) MUST_CHECK;

/* The error -32042 as an answer that shows the same addresses. -EPROTO: there are none. */
int question_write_addresses(struct span error, struct span id, struct buf *out) MUST_CHECK;
