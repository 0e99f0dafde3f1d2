/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/question.h"

#include <inttypes.h>
#include <stdio.h>

#include "connect/rewrite.h"

struct question {
        struct list link;
        struct buf id;      /* the server's */
        struct buf request; /* {"method":..., "params":...} */
        char key[32];
        bool told;
};

static struct span content(const struct buf *b) {
        return (struct span){ b->data, b->len };
}

void questions_init(struct questions *q) {
        *q = (struct questions){ 0 };
        list_init(&q->all);
}

static void drop(struct questions *q, struct question *one) {
        list_remove(&one->link);
        q->n--;
        buf_done(&one->id);
        buf_done(&one->request);
        free(one);
}

void questions_done(struct questions *q) {
        struct question *one;

        while ((one = LIST_FIRST(&q->all, struct question, link)))
                drop(q, one);
}

bool question_is_one(const char *method) {
        return streq(method, "elicitation/create") || streq(method, "sampling/createMessage") ||
               streq(method, "roots/list");
}

/* 2026-07-28 has no id for an address that is shown. */
static int write_request(struct buf *out, const char *method, struct span params) {
        struct rewrite gone = { .key = "elicitationId" };
        int r = buf_printf(out, "{\"method\":\"%s\"", method);

        if (r == 0 && jsonspan_type(params) == JSONSPAN_OBJECT) {
                r = buf_append_str(out, ",\"params\":");
                r = r < 0 ? r : rewrite_object(out, params, &gone, 1);
        }
        return r < 0 ? r : buf_append(out, "}", 1);
}

int questions_add(struct questions *q, const struct message *m, uint64_t number) {
        struct question *one;
        int r;

        if (q->n >= QUESTIONS_MAX)
                return -ENOBUFS;
        one = calloc(1, sizeof(*one));
        if (!one)
                return -ENOMEM;
        list_append(&q->all, &one->link);
        q->n++;
        one->id.max = one->request.max = SIZE_MAX / 2;
        (void)snprintf(one->key, sizeof(one->key), "%" PRIu64, number);
        r = buf_append(&one->id, m->id.p, m->id.len);
        r = r < 0 ? r : write_request(&one->request, m->method, m->params);
        if (r < 0)
                drop(q, one);
        return r;
}

bool questions_withdraw(struct questions *q, struct span id) {
        struct question *one;

        LIST_FOREACH(one, &q->all, struct question, link) {
                if (!message_id_equal(content(&one->id), id))
                        continue;
                drop(q, one);
                return true;
        }
        return false;
}

static int write_all(struct questions *q, struct buf *out) {
        const char *comma = "";
        struct question *one;
        int r = 0;

        LIST_FOREACH(one, &q->all, struct question, link) {
                r = r < 0 ? r : buf_printf(out, "%s\"%s\":", comma, one->key);
                r = r < 0 ? r : buf_append(out, one->request.data, one->request.len);
                comma = ",";
        }
        return r;
}

static int begin(struct buf *out, struct span id) {
        int r = buf_append_str(out, "{\"jsonrpc\":\"2.0\",\"id\":");

        r = r < 0 ? r : buf_append(out, id.p, id.len);
        return r < 0 ? r
                     : buf_append_str(out, ",\"result\":{\"resultType\":\"input_required\","
                                           "\"inputRequests\":{");
}

static int end(struct buf *out, const char *state) {
        return buf_printf(out, "},\"requestState\":%s}}", state);
}

int questions_write(struct questions *q, struct span id, uint64_t number, struct buf *out) {
        struct question *one;
        int r = begin(out, id);

        (void)snprintf(q->state, sizeof(q->state), "\"" QUESTION_STATE "%" PRIu64 "\"", number);
        r = r < 0 ? r : write_all(q, out);
        r = r < 0 ? r : end(out, q->state);
        if (r == 0)
                LIST_FOREACH(one, &q->all, struct question, link)
                        one->told = true;
        return r;
}

static int write_answer(struct buf *out, const struct question *one, struct span answer) {
        int r = buf_append_str(out, "{\"jsonrpc\":\"2.0\",\"id\":");

        r = r < 0 ? r : buf_append(out, one->id.data, one->id.len);
        r = r < 0 ? r : buf_append_str(out, ",\"result\":");
        r = r < 0 ? r : buf_append(out, answer.p, answer.len);
        return r < 0 ? r : buf_append(out, "}", 1);
}

int questions_next_answer(struct questions *q, struct span responses, struct buf *out) {
        struct question *one;
        struct span answer;
        int r;

        LIST_FOREACH(one, &q->all, struct question, link) {
                if (!one->told || jsonspan_member(responses, one->key, &answer) < 0)
                        continue;
                r = write_answer(out, one, answer);
                drop(q, one);
                return r < 0 ? r : 1;
        }
        return 0;
}

int questions_next_refusal(struct questions *q, struct buf *out) {
        struct question *one = LIST_FIRST(&q->all, struct question, link);
        int r;

        if (!one)
                return 0;
        r = message_error(out, content(&one->id), -32603, "The client did not answer", NULL);
        drop(q, one);
        return r < 0 ? r : 1;
}

static int write_address(struct buf *out, struct span params, size_t number) {
        struct rewrite members[] = { { .key = "elicitationId" },
                                     { .key = "mode", .value = { "\"url\"", 5 } } };
        int r = buf_printf(out, "%s\"%zu\":{\"method\":\"elicitation/create\",\"params\":",
                           number > 0 ? "," : "", number);

        r = r < 0 ? r : rewrite_object(out, params, members, ARRAY_SIZE(members));
        return r < 0 ? r : buf_append(out, "}", 1);
}

int question_write_addresses(struct span error, struct span id, struct buf *out) {
        size_t before = out->len;
        struct span at = error;
        struct span one;
        size_t pos = 0;
        size_t n = 0;
        int r;

        if (jsonspan_member(at, "data", &at) < 0 || jsonspan_member(at, "elicitations", &at) < 0)
                return -EPROTO;
        r = begin(out, id);
        while (r == 0 && n < QUESTIONS_MAX && jsonspan_next_item(at, &pos, &one))
                r = write_address(out, one, n++);
        r = r < 0 ? r : end(out, "\"" QUESTION_AGAIN "\"");
        if (r == 0 && n > 0)
                return 0;
        buf_truncate(out, before);
        return r < 0 && r != -EINVAL ? r : -EPROTO;
}
