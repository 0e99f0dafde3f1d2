/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts: what is said on a stream, step by step, and what is waited for in between.
 */
#include <stdlib.h>
#include <string.h>

#include "channel-internal.h"
#include "demo.h"

#define REPEAT_MAX 1000000
#define META_SUBSCRIPTION "io.modelcontextprotocol/subscriptionId"

/* Whether the next step may follow at once. */
typedef bool (*play_fn)(struct channel *c, const json_t *step, const json_t *value);

struct step_type {
        const char *name;
        play_fn play;
        json_type type; /* of its value; JSON_NULL: any */
};

static void send_json(struct channel *c, const json_t *message) {
        char *data = json_dumps(message, c->pretty ? JSON_INDENT(2) : JSON_COMPACT);

        channel_event(c, "message", data ? data : "null");
        free(data);
}

static bool play_send(struct channel *c, const json_t *step, const json_t *value) {
        json_t *message;

        if (json_is_true(json_object_get(step, "heard")) && c->heard) {
                message = json_deep_copy(value);
                json_object_set(json_object_get(message, "result"), "structuredContent", c->heard);
                send_json(c, message);
                json_decref(message);
        } else {
                send_json(c, value);
        }
        return true;
}

/* Params with the id of the subscription that they belong to. */
static json_t *params_for(const struct channel *c, const json_t *params) {
        json_t *copy = params ? json_deep_copy(params) : json_object();
        json_t *meta;

        if (!c->subscription)
                return copy;
        meta = json_object_get(copy, "_meta");
        if (!meta) {
                meta = json_object();
                json_object_set_new(copy, "_meta", meta);
        }
        json_object_set(meta, META_SUBSCRIPTION, c->subscription);
        return copy;
}

static void notify(struct channel *c, const char *method, json_t *params) {
        json_t *message =
                json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params);

        send_json(c, message);
        json_decref(message);
}

static bool play_notify(struct channel *c, const json_t *step, const json_t *value) {
        const char *method = json_string_value(json_object_get(step, "method"));
        const json_t *params = json_object_get(step, "params");

        for (json_int_t i = 1; i <= json_integer_value(value) && i <= REPEAT_MAX; i++) {
                json_t *own = params || method
                                      ? NULL
                                      : json_pack("{s:s, s:I}", "level", "info", "data", i);

                notify(c, method ? method : "notifications/message",
                       params_for(c, own ? own : params));
                json_decref(own);
        }
        return true;
}

static bool play_progress(struct channel *c, const json_t *step, const json_t *value) {
        const json_t *token = json_object_get(step, "token");
        json_int_t n = json_integer_value(value);

        for (json_int_t i = 1; token && i <= n && i <= REPEAT_MAX; i++)
                notify(c, "notifications/progress",
                       json_pack("{s:o, s:I, s:I}", "progressToken", json_deep_copy(token),
                                 "progress", i, "total", n));
        return true;
}

static json_t *default_params(const char *method) {
        if (strcmp(method, "elicitation/create") == 0)
                return json_pack("{s:s, s:{s:s, s:{s:{s:s}}, s:[s]}}", "message", "Go on?",
                                 "requestedSchema", "type", "object", "properties", "confirmed",
                                 "type", "boolean", "required", "confirmed");
        if (strcmp(method, "sampling/createMessage") == 0)
                return json_pack("{s:[{s:s, s:{s:s, s:s}}], s:i}", "messages", "role", "user",
                                 "content", "type", "text", "text", "Say yes.", "maxTokens", 10);
        return NULL;
}

static bool play_ask(struct channel *c, const json_t *step, const json_t *value) {
        const char *method = json_string_value(value);
        const json_t *id = json_object_get(step, "id");
        json_t *params = json_deep_copy(json_object_get(step, "params"));
        json_t *message = json_pack("{s:s, s:s}", "jsonrpc", "2.0", "method", method);
        char *own = mem_printf("%s-ask%llu", c->name, (unsigned long long)++c->n_asked);

        json_object_set_new(message, "id", id ? json_deep_copy(id) : json_string(own));
        if (!params)
                params = default_params(method);
        if (params)
                json_object_set_new(message, "params", params);
        send_json(c, message);
        if (json_is_true(json_object_get(step, "wait"))) {
                json_decref(c->waiting);
                c->waiting = json_incref(json_object_get(message, "id"));
        }
        json_decref(message);
        free(own);
        return !c->waiting;
}

static bool play_retry(struct channel *c, const json_t *step, const json_t *value) {
        channel_retry(c, json_integer_value(value));
        return true;
}

static bool play_raw(struct channel *c, const json_t *step, const json_t *value) {
        channel_raw(c, json_string_value(value));
        return true;
}

static bool play_hold(struct channel *c, const json_t *step, const json_t *value) {
        c->held = true;
        return false;
}

static bool play_resumed(struct channel *c, const json_t *step, const json_t *value) {
        c->wants_resuming = !c->pipe;
        return !c->wants_resuming;
}

static bool play_close(struct channel *c, const json_t *step, const json_t *value) {
        channel_end(c, false);
        return true;
}

static bool play_cut(struct channel *c, const json_t *step, const json_t *value) {
        channel_end(c, true);
        return true;
}

static bool play_set(struct channel *c, const json_t *step, const json_t *value) {
        const char *newline = json_string_value(json_object_get(value, "newline"));
        const json_t *ids = json_object_get(value, "ids");
        const json_t *pretty = json_object_get(value, "pretty");

        if (newline)
                c->newline = strcmp(newline, "\r") == 0     ? "\r"
                             : strcmp(newline, "\r\n") == 0 ? "\r\n"
                                                            : "\n";
        if (ids)
                c->ids = json_is_true(ids);
        if (pretty)
                c->pretty = json_is_true(pretty);
        return true;
}

static const struct step_type types[] = {
        { "send", play_send, JSON_NULL },
        { "answer", NULL, JSON_NULL }, /* became "send" when it was added */
        { "notify", play_notify, JSON_INTEGER },
        { "progress", play_progress, JSON_INTEGER },
        { "ask", play_ask, JSON_STRING },
        { "retry", play_retry, JSON_INTEGER },
        { "raw", play_raw, JSON_STRING },
        { "hold", play_hold, JSON_TRUE },
        { "resumed", play_resumed, JSON_TRUE },
        { "close", play_close, JSON_TRUE },
        { "cut", play_cut, JSON_TRUE },
        { "set", play_set, JSON_OBJECT },
};

static const struct step_type *type_of(const json_t *step, json_t **ret_value) {
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
                *ret_value = json_object_get(step, types[i].name);
                if (*ret_value &&
                    (types[i].type == JSON_NULL || json_typeof(*ret_value) == types[i].type))
                        return &types[i];
        }
        return NULL;
}

char *script_check(const json_t *steps) {
        json_t *value;

        if (!json_is_array(steps))
                return mem_string("a script is an array of steps");
        for (size_t i = 0; i < json_array_size(steps); i++)
                if (!type_of(json_array_get(steps, i), &value))
                        return mem_printf("step %zu is not known", i + 1);
        return NULL;
}

/* The step as it will be played: the answer stands in it, and the token. */
static json_t *bound_step(const json_t *step, const json_t *answer, const json_t *token) {
        json_t *patch = json_object_get(step, "answer");
        json_t *bound = json_deep_copy(step);
        json_t *message;

        if (patch && answer) {
                message = json_deep_copy(answer);
                if (json_is_object(patch))
                        (void)json_object_update(message, patch);
                json_object_set_new(bound, "send", message);
        }
        if (token)
                json_object_set_new(bound, "token", json_deep_copy(token));
        return bound;
}

void channel_go_on(struct channel *c) {
        bool on = !c->held && !c->waiting;

        if (c->wants_resuming && c->pipe)
                c->wants_resuming = false;
        while (on && !c->wants_resuming && json_array_size(c->steps) > 0) {
                json_t *step = json_incref(json_array_get(c->steps, 0));
                json_t *value = NULL;
                const struct step_type *type = type_of(step, &value);

                (void)json_array_remove(c->steps, 0);
                on = !type || !type->play || type->play(c, step, value);
                json_decref(step);
        }
        if (on && !c->wants_resuming && c->kind == CHANNEL_POST) {
                c->over = true;
                channel_end(c, false);
        }
}

void channel_play(struct channel *c, const json_t *steps, const json_t *answer,
                  const json_t *token) {
        for (size_t i = 0; i < json_array_size(steps); i++)
                json_array_append_new(c->steps, bound_step(json_array_get(steps, i),
                                                           answer ? answer : c->answer, token));
        channel_go_on(c);
}

unsigned channels_release(struct channels *all, uint64_t n_max) {
        unsigned n = 0;

        for (struct channel *c = all->first; c && n < n_max; c = c->next) {
                if (!c->held || c->forgotten)
                        continue;
                c->held = false;
                n++;
                channel_go_on(c);
        }
        return n;
}

void channels_heard(struct channels *all, const json_t *response) {
        const json_t *id = json_object_get(response, "id");

        for (struct channel *c = all->first; id && c; c = c->next) {
                if (!c->waiting || c->forgotten || !json_equal(c->waiting, id))
                        continue;
                json_decref(c->waiting);
                c->waiting = NULL;
                json_decref(c->heard);
                c->heard = json_deep_copy(response);
                channel_go_on(c);
        }
}
