/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a JSON-RPC answer to the bytes of an HTTP one.
 */
#include "answer.h"

#include <stdlib.h>
#include <string.h>

#define MIB (1024U * 1024U)
#define BIG_MIB_MAX 1024U

static void make_big(json_t *answer, uint64_t n_mib) {
        json_t *result = json_object_get(answer, "result");
        size_t n = (n_mib < BIG_MIB_MAX ? n_mib : BIG_MIB_MAX) * MIB;
        char *filler = mem_new(n + 1);
        json_t *meta = json_object_get(result, "_meta");

        for (size_t i = 0; i < n; i++)
                filler[i] = 'a';
        if (!meta) {
                meta = json_object();
                json_object_set_new(result, "_meta", meta);
        }
        json_object_set_new(meta, "demo/filler", json_string(filler));
        free(filler);
}

static void damage(struct exchange *x, json_t *answer) {
        struct faults *f = x->demo->faults;
        json_t *one = json_is_array(answer) ? json_array_get(answer, 0) : answer;
        const char *arg;
        uint64_t n_mib;
        json_t *id;

        if (faults_take(f, FAULT_WRONG_ID, &x->site, &arg)) {
                id = json_loads(arg, JSON_DECODE_ANY, NULL);
                json_object_set_new(one, "id", id ? id : json_string("nobody asked"));
        }
        if (json_object_get(one, "result") && faults_take_number(f, FAULT_BIG, &x->site, 1, &n_mib))
                make_big(one, n_mib);
}

static json_t *only_answer(void) {
        return json_pack("[{s:b}]", "answer", 1);
}

/* The script for this request: its own, or one that a test left for its method. */
static json_t *script_of(struct exchange *x) {
        const char *method = x->site.method ? x->site.method : "";
        json_t *list = x->demo->scripts;

        for (size_t i = 0; i < json_array_size(list); i++) {
                json_t *entry = json_array_get(list, i);
                const char *wanted = json_string_value(json_object_get(entry, "method"));
                json_int_t times = json_integer_value(json_object_get(entry, "times"));
                json_t *steps = json_incref(json_object_get(entry, "script"));

                if (wanted && strcmp(wanted, method) != 0) {
                        json_decref(steps);
                        continue;
                }
                json_object_set_new(entry, "times", json_integer(times - 1));
                if (times <= 1)
                        (void)json_array_remove(list, i);
                return steps;
        }
        if (x->script)
                return json_incref(x->script);
        return x->demo->options.event_ids && x->demo->options.sse ? only_answer() : NULL;
}

static void send_stream(struct exchange *x, const json_t *answer, const json_t *steps) {
        const json_t *params = json_object_get(x->message, "params");
        const json_t *token = json_object_get(json_object_get(params, "_meta"), "progressToken");
        struct channel *c = x->old;

        if (c)
                reply_text(x->request, 202, "text/plain", "Accepted");
        else
                c = channel_open(x, CHANNEL_POST);
        channel_pretty(c, faults_take(x->demo->faults, FAULT_PRETTY, &x->site, NULL));
        channel_play(c, steps, answer, token);
}

static void send_whole(struct exchange *x, const json_t *answer, bool stream, unsigned status) {
        bool pretty = faults_take(x->demo->faults, FAULT_PRETTY, &x->site, NULL);
        char *body = json_dumps(answer, pretty ? JSON_INDENT(2) : JSON_COMPACT);
        struct text t = { 0 };
        size_t n;

        if (stream)
                text_puts(&t, "event: message\ndata: ");
        for (const char *p = body ? body : "null"; *p;) {
                size_t n_line = stream ? strcspn(p, "\n") : strlen(p);

                text_add(&t, p, n_line);
                p += n_line;
                if (*p++)
                        text_puts(&t, "\ndata: ");
                else
                        break;
        }
        if (stream)
                text_puts(&t, "\n\n");
        free(body);
        n = t.n;
        reply_take(x->request, status, stream ? "text/event-stream" : "application/json",
                   text_take(&t), n);
        if (stream)
                reply_header(x->request, "Cache-Control", "no-store");
}

void answer_send(struct exchange *x, json_t *answer) {
        unsigned status = x->status ? x->status : 200;
        json_t *steps = status == 200 ? script_of(x) : NULL;

        damage(x, answer);
        if (!steps && x->old && status == 200)
                steps = only_answer();
        if (steps)
                send_stream(x, answer, steps);
        else
                send_whole(x, answer, x->demo->options.sse && status == 200, status);
        json_decref(steps);
        json_decref(answer);
}
