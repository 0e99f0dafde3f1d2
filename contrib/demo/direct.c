/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control calls about streams and sessions.
 */
#include "direct.h"

#include <stdlib.h>
#include <string.h>

#define SCRIPTS_MAX 256U

static void fail(struct request *r, const char *message) {
        reply_json(r, 400, json_pack("{s:s}", "error", message));
}

/* The script of the body, or NULL once an error was answered. */
static const json_t *script_of(struct request *r, const json_t *body) {
        const json_t *script = json_object_get(body, "script");
        char *wrong = script_check(script);

        if (!wrong)
                return script;
        fail(r, wrong);
        free(wrong);
        return NULL;
}

void direct_script(struct demo *d, struct request *r, const json_t *body) {
        const json_t *method = json_object_get(body, "method");
        const json_t *times = json_object_get(body, "times");
        json_t *entry;

        if (json_is_true(json_object_get(body, "clear")))
                (void)json_array_clear(d->scripts);
        if (json_object_get(body, "script")) {
                if (!script_of(r, body))
                        return;
                if (json_array_size(d->scripts) == SCRIPTS_MAX) {
                        fail(r, "too many scripts");
                        return;
                }
                entry = json_pack("{s:I, s:O}", "times",
                                  times ? json_integer_value(times) : (json_int_t)1, "script",
                                  json_object_get(body, "script"));
                if (method)
                        json_object_set_new(entry, "method", json_deep_copy(method));
                json_array_append_new(d->scripts, entry);
        }
        reply_json(r, 200, json_pack("{s:i}", "scripts", (int)json_array_size(d->scripts)));
}

void direct_push(struct demo *d, struct request *r, const json_t *body) {
        const char *to = json_string_value(json_object_get(body, "to"));
        const json_t *script = script_of(r, body);
        struct channel *c = NULL;
        enum channel_kind kind;

        if (!script)
                return;
        if (channel_kind_parse(to, &kind))
                c = channels_newest(d->channels, kind);
        else
                c = channels_find(d->channels, to);
        if (!c) {
                fail(r, "no such stream");
                return;
        }
        channel_play(c, script, NULL, NULL);
        reply_json(r, 200, json_pack("{s:s}", "stream", channel_name(c)));
}

void direct_streams(struct demo *d, struct request *r, const json_t *body) {
        reply_json(r, 200, json_pack("{s:o}", "streams", channels_json(d->channels)));
}

json_t *direct_n_open(const struct demo *d) {
        json_t *open = json_object();

        for (unsigned i = 0; i < CHANNEL_KIND_COUNT; i++) {
                uint64_t n = channels_n_open(d->channels, (enum channel_kind)i);

                json_object_set_new(open, channel_kind_name((enum channel_kind)i),
                                    json_integer((json_int_t)n));
        }
        return open;
}

void direct_lose_sessions(struct demo *d, struct request *r, const json_t *body) {
        size_t n = table_count(d->sessions);
        unsigned n_streams = 0;

        table_clear(d->sessions);
        if (!json_is_false(json_object_get(body, "streams")))
                n_streams =
                        channels_forget(d->channels, json_is_true(json_object_get(body, "cut")));
        reply_json(r, 200, json_pack("{s:i, s:i}", "sessions", (int)n, "streams", (int)n_streams));
}

void direct_close_idle(struct demo *d, struct request *r, const json_t *body) {
        reply_json(r, 200, json_pack("{s:i}", "closed", (int)http_service_close_idle(d->mcp)));
}
