/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/input.h"

#include <inttypes.h>
#include <stdio.h>

#include "connect/rewrite.h"

struct input {
        struct buf key; /* the server's: a JSON string */
        struct buf request;
        struct buf answer;
        char id[64]; /* a JSON string */
        bool elicits;
        bool answered;
};

static struct span content(const struct buf *b) {
        return (struct span){ b->data, b->len };
}

int errand_new(struct buf *line, struct message *m, struct errand **ret) {
        struct errand *e = calloc(1, sizeof(*e));

        if (!e)
                return -ENOMEM;
        list_init(&e->link);
        buf_move(&e->line, line);
        e->message = *m;
        *m = MESSAGE_INIT;
        *ret = e;
        return 0;
}

static void drop_inputs(struct errand *e) {
        for (size_t i = 0; i < e->n_inputs; i++) {
                buf_done(&e->inputs[i].key);
                buf_done(&e->inputs[i].request);
                buf_done(&e->inputs[i].answer);
        }
        free(e->inputs);
        e->inputs = NULL;
        e->n_inputs = e->n_open = 0;
}

struct errand *errand_free(struct errand *e) {
        if (!e)
                return NULL;
        list_remove(&e->link);
        drop_inputs(e);
        message_done(&e->message);
        buf_done(&e->line);
        buf_done(&e->state);
        free(e);
        return NULL;
}

/* ---- what the server wants ---- */

bool errand_is_input_required(struct span result) {
        struct span type;

        return jsonspan_member(result, "resultType", &type) == 0 &&
               jsonspan_string_is(type, "input_required");
}

static bool is_allowed(struct span method) {
        return jsonspan_string_is(method, "elicitation/create") ||
               jsonspan_string_is(method, "sampling/createMessage") ||
               jsonspan_string_is(method, "roots/list");
}

/* 2025-11-25 has an id for an address that is shown, which 2026-07-28 has not. */
static int write_params(struct buf *out, struct span params, const char *id) {
        struct rewrite named = { .key = "elicitationId", .value = { id, strlen(id) } };
        struct span mode;

        if (jsonspan_member(params, "mode", &mode) == 0 && jsonspan_string_is(mode, "url"))
                return rewrite_object(out, params, &named, 1);
        return buf_append(out, params.p, params.len);
}

static int write_request(struct buf *out, struct span method, struct span params, const char *id) {
        AUTO_BUF struct buf whole = { .max = out->max };
        int r = buf_printf(&whole, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":", id);

        r = r < 0 ? r : buf_append(&whole, method.p, method.len);
        if (r == 0 && params.len > 0)
                r = buf_append_str(&whole, ",\"params\":");
        if (r == 0 && params.len > 0)
                r = write_params(&whole, params, id);
        r = r < 0 ? r : buf_append(&whole, "}", 1);
        return r < 0 ? r : jsonspan_compact(out, content(&whole));
}

static int add_input(struct errand *e, struct span key, struct span value, uint64_t number) {
        struct input *in = &e->inputs[e->n_inputs];
        struct span method;
        struct span params = SPAN_NONE;
        int r;

        if (jsonspan_member(value, "method", &method) < 0 || !is_allowed(method))
                return -EPROTO;
        if (jsonspan_member(value, "params", &params) == 0 &&
            jsonspan_type(params) != JSONSPAN_OBJECT)
                return -EPROTO;
        (void)snprintf(in->id, sizeof(in->id), "\"" INPUT_ID "%" PRIu64 "\"", number);
        in->elicits = jsonspan_string_is(method, "elicitation/create");
        in->key.max = in->answer.max = in->request.max = SIZE_MAX / 2;
        e->n_inputs++;
        r = buf_append(&in->key, key.p, key.len);
        return r < 0 ? r : write_request(&in->request, method, params, in->id);
}

static int take_requests(struct errand *e, struct span requests, uint64_t *last_id) {
        struct span key;
        struct span value;
        size_t pos = 0;
        int r = 0;

        e->inputs = calloc(INPUT_REQUESTS_MAX, sizeof(*e->inputs));
        if (!e->inputs)
                return -ENOMEM;
        while (r == 0 && jsonspan_next_member(requests, &pos, &key, &value))
                r = e->n_inputs < INPUT_REQUESTS_MAX ? add_input(e, key, value, ++*last_id)
                                                     : -EPROTO;
        e->n_open = e->n_inputs;
        return r;
}

int errand_take_result(struct errand *e, struct span result, uint64_t *last_id) {
        struct span requests = SPAN_NONE;
        struct span state = SPAN_NONE;
        int r;

        drop_inputs(e);
        buf_clear(&e->state);
        if (++e->n_rounds > INPUT_ROUNDS_MAX)
                return -E2BIG;
        if (jsonspan_member(result, "requestState", &state) == 0 &&
            jsonspan_type(state) != JSONSPAN_STRING)
                return -EPROTO;
        if (jsonspan_member(result, "inputRequests", &requests) == 0 &&
            jsonspan_type(requests) != JSONSPAN_OBJECT)
                return -EPROTO;
        if (state.len == 0 && requests.len == 0)
                return -EPROTO;
        e->state.max = SIZE_MAX / 2;
        r = state.len > 0 ? buf_append(&e->state, state.p, state.len) : 0;
        return r < 0 || requests.len == 0 ? r : take_requests(e, requests, last_id);
}

/* ---- what the host is asked ---- */

int errand_write_request(const struct errand *e, size_t i, struct buf *out) {
        return buf_append(out, e->inputs[i].request.data, e->inputs[i].request.len);
}

int errand_write_cancel(const struct errand *e, size_t i, struct buf *out) {
        if (e->inputs[i].answered)
                return 0;
        return buf_printf(out,
                          "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
                          "\"params\":{\"requestId\":%s}}",
                          e->inputs[i].id);
}

static struct input *find(const struct errand *e, struct span id) {
        for (size_t i = 0; i < e->n_inputs; i++) {
                struct span own = { e->inputs[i].id, strlen(e->inputs[i].id) };

                if (!e->inputs[i].answered && message_id_equal(own, id))
                        return &e->inputs[i];
        }
        return NULL;
}

int errand_take_answer(struct errand *e, const struct message *m, struct buf *ret_error) {
        static const char cancelled[] = "{\"action\":\"cancel\"}";
        struct input *in = find(e, m->id);
        int r;

        if (!in)
                return -ENOENT;
        if (m->error.len > 0 && !in->elicits) {
                r = message_write_with_id(ret_error, m, e->message.id);
                return r < 0 ? r : -ECANCELED;
        }
        /* Only an elicitation has words for a person who does not answer. */
        r = m->error.len > 0 ? buf_append_str(&in->answer, cancelled)
                             : buf_append(&in->answer, m->result.p, m->result.len);
        if (r < 0)
                return r;
        in->answered = true;
        e->n_open--;
        return 0;
}

int errand_write_responses(const struct errand *e, struct buf *out) {
        int r = e->n_inputs > 0 ? buf_append(out, "{", 1) : 0;

        for (size_t i = 0; r == 0 && i < e->n_inputs; i++) {
                const struct input *in = &e->inputs[i];

                if (i > 0)
                        r = buf_append(out, ",", 1);
                r = r < 0 ? r : buf_append(out, in->key.data, in->key.len);
                r = r < 0 ? r : buf_append(out, ":", 1);
                r = r < 0 ? r : buf_append(out, in->answer.data, in->answer.len);
        }
        return r < 0 || e->n_inputs == 0 ? r : buf_append(out, "}", 1);
}
