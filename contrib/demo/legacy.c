/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON-RPC as MCP had it in 2025.
 */
#include "legacy.h"

#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "rpc.h"

struct session *legacy_session(struct demo *d, enum protocol version) {
        struct session *session = mem_new(sizeof(*session));

        session->id = random_token("ms_");
        session->version = version;
        (void)table_add(d->sessions, session->id, session); /* a full table forgets the oldest */
        journal_count(d->journal, COUNT_SESSIONS_OPENED);
        return session;
}

static bool spoken(const struct demo *d, const char *name, enum protocol *ret) {
        return protocol_parse(name, ret) && *ret < PROTOCOL_2026_07_28 &&
               (d->options.protocols & PROTOCOL_BIT(*ret));
}

static enum protocol newest(const struct demo *d) {
        enum protocol p = PROTOCOL_2025_11_25;

        while (p > PROTOCOL_2025_03_26 && !(d->options.protocols & PROTOCOL_BIT(p)))
                p--;
        return p;
}

static json_t *initialize(struct exchange *x, const json_t *id, const json_t *params) {
        struct demo *d = x->demo;
        const char *asked = json_string_value(json_object_get(params, "protocolVersion"));
        enum protocol version;
        json_t *capabilities;
        json_t *result;

        if (!asked)
                return rpc_error(x, 200, id, RPC_INVALID_PARAMS, "protocolVersion is missing",
                                 NULL);
        if (!spoken(d, asked, &version))
                version = newest(d);
        if (x->old)
                x->session->version = version;
        else
                reply_header(x->request, "Mcp-Session-Id", "%s", legacy_session(d, version)->id);
        capabilities = json_pack("{s:{}}", "tools");
        if (d->options.more) {
                json_object_set_new(capabilities, "prompts", json_object());
                json_object_set_new(capabilities, "resources", json_object());
        }
        result = json_pack("{s:s, s:o, s:{s:s, s:s, s:s}, s:s}", "protocolVersion",
                           protocol_name(version), "capabilities", capabilities, "serverInfo",
                           "name", "mcp-demo-server", "title", "Demo summaries", "version", "1",
                           "instructions", "Call generate_summary with a text.");
        return rpc_result(id, result);
}

static json_t *request_answer(struct exchange *x, const json_t *message, const char *scope) {
        const json_t *id = json_object_get(message, "id");
        const json_t *params = json_object_get(message, "params");
        const char *method = json_string_value(json_object_get(message, "method"));
        json_t *answer;

        if (!json_is_string(id) && !json_is_integer(id))
                return rpc_error(x, 400, NULL, RPC_INVALID_REQUEST,
                                 "id must be a string or an integer", NULL);
        if (strcmp(method, "initialize") == 0)
                return initialize(x, id, params);
        if (strcmp(method, "ping") == 0)
                return rpc_result(id, json_object());
        answer = catalog_answer(x, message, scope);
        if (answer || x->request->reply.status != 0)
                return answer;
        return rpc_error(x, 200, id, RPC_METHOD_NOT_FOUND, "no such method", NULL);
}

static json_t *one_answer(struct exchange *x, const json_t *message, const char *scope) {
        const char *method = json_string_value(json_object_get(message, "method"));

        if (!rpc_is_message(message))
                return rpc_error(x, 400, NULL, RPC_INVALID_REQUEST, "not one JSON-RPC 2.0 message",
                                 NULL);
        if (method && json_object_get(message, "id"))
                return request_answer(x, message, scope);
        if (!method)
                channels_heard(x->demo->channels, message);
        else if (strcmp(method, "notifications/initialized") == 0 && x->session)
                x->session->initialized = true;
        return NULL;
}

static bool batches(const struct exchange *x) {
        enum protocol version = newest(x->demo);

        if (x->session)
                version = x->session->version;
        return version == PROTOCOL_2025_03_26;
}

/* One array of answers for an array of messages; nothing if none of them was a request. */
static json_t *batch_answer(struct exchange *x, const char *scope) {
        json_t *answers = json_array();

        for (size_t i = 0; i < json_array_size(x->message); i++) {
                const json_t *one = json_array_get(x->message, i);
                const char *method = json_string_value(json_object_get(one, "method"));
                json_t *answer;

                if (method && strcmp(method, "initialize") == 0)
                        answer = rpc_error(x, 200, json_object_get(one, "id"), RPC_INVALID_REQUEST,
                                           "initialize cannot be part of a batch", NULL);
                else
                        answer = one_answer(x, one, scope);
                if (answer)
                        json_array_append_new(answers, answer);
        }
        x->status = 200;
        if (json_array_size(answers) > 0)
                return answers;
        json_decref(answers);
        return NULL;
}

static bool contains(const struct exchange *x, const char *name, const char *value) {
        const char *have = request_header(x->request, name);

        return have && strstr(have, value);
}

/* What --strict insists on; NULL if it is content. */
static const char *strict_complaint(const struct exchange *x, bool initialize) {
        const char *method = x->site.method ? x->site.method : "";
        const char *version = request_header(x->request, "MCP-Protocol-Version");
        const struct session *s = x->session;
        bool post = strcmp(x->request->method, "POST") == 0;

        if (post && !contains(x, "Content-Type", "application/json"))
                return "Content-Type is not application/json";
        if (post && !x->old &&
            (!contains(x, "Accept", "application/json") || !contains(x, "Accept", "event-stream")))
                return "Accept does not name both types";
        if (initialize)
                return request_header(x->request, "Mcp-Session-Id") ? "initialize in a session"
                                                                    : NULL;
        if (!s)
                return "Mcp-Session-Id is missing";
        if (s->version >= PROTOCOL_2025_06_18 && !x->old &&
            (!version || strcmp(version, protocol_name(s->version)) != 0))
                return "MCP-Protocol-Version is not what was negotiated";
        if (!s->initialized && post && strcmp(method, "ping") != 0 &&
            strcmp(method, "notifications/initialized") != 0)
                return "not initialized yet";
        return NULL;
}

/* NULL if the headers are right. */
static json_t *complaint(struct exchange *x, bool initialize) {
        struct demo *d = x->demo;
        const char *version = request_header(x->request, "MCP-Protocol-Version");
        const char *session = request_header(x->request, "Mcp-Session-Id");
        bool judges = newest(d) > PROTOCOL_2025_03_26; /* the first version had no such header */
        enum protocol known;
        const char *text;

        if (session && !initialize && !x->old)
                x->session = table_get(d->sessions, session);
        if (version && judges && !spoken(d, version, &known))
                return rpc_error(x, 400, NULL, RPC_INVALID_REQUEST, "unknown MCP-Protocol-Version",
                                 NULL);
        if (session && !initialize && !x->session &&
            faults_take(d->faults, FAULT_PLAIN_404, &x->site, NULL)) {
                reply_text(x->request, 404, "text/plain", "gone\n");
                return NULL;
        }
        if (session && !initialize && !x->session)
                return rpc_error(x, 404, NULL, RPC_INVALID_REQUEST, "unknown session", NULL);
        if (!session && !initialize && !x->old && d->options.require_session)
                return rpc_error(x, 400, NULL, RPC_INVALID_REQUEST, "Mcp-Session-Id is missing",
                                 NULL);
        text = d->options.strict ? strict_complaint(x, initialize) : NULL;
        return text ? rpc_error(x, 400, NULL, RPC_INVALID_REQUEST, text, NULL) : NULL;
}

bool legacy_admits(struct exchange *x) {
        json_t *wrong = complaint(x, false);

        if (wrong)
                reply_json(x->request, x->status, wrong);
        return x->request->reply.status == 0;
}

json_t *legacy_answer(struct exchange *x, const char *scope) {
        const char *method = json_string_value(json_object_get(x->message, "method"));
        json_t *wrong = complaint(x, method && strcmp(method, "initialize") == 0);

        if (wrong || x->request->reply.status != 0)
                return wrong;
        if (json_is_array(x->message) && json_array_size(x->message) > 0 && batches(x))
                return batch_answer(x, scope);
        return one_answer(x, x->message, scope);
}
