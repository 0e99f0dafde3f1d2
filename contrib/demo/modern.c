/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stateless MCP.
 */
#include "modern.h"

#include <string.h>

#include "catalog.h"
#include "mirror.h"
#include "rpc.h"

#define META "io.modelcontextprotocol/"
#define MODERN "2026-07-28"

static const json_t *meta_of(const struct exchange *x) {
        return json_object_get(json_object_get(x->message, "params"), "_meta");
}

bool modern_only(const struct demo *d) {
        return d->options.protocols == PROTOCOL_BIT(PROTOCOL_2026_07_28);
}

bool modern_is(const struct exchange *x) {
        const char *version = request_header(x->request, "MCP-Protocol-Version");

        if (!(x->demo->options.protocols & PROTOCOL_BIT(PROTOCOL_2026_07_28)))
                return false;
        return modern_only(x->demo) || (version && strcmp(version, MODERN) == 0) ||
               json_object_get(meta_of(x), META "protocolVersion");
}

static json_t *versions(const struct demo *d) {
        json_t *list = json_array();

        for (unsigned i = PROTOCOL_COUNT; i > 0; i--)
                if (d->options.protocols & PROTOCOL_BIT(i - 1))
                        json_array_append_new(list,
                                              json_string(protocol_name((enum protocol)(i - 1))));
        return list;
}

static json_t *unsupported(struct exchange *x, const json_t *id, const char *asked) {
        return rpc_error(
                x, 400, id, RPC_UNSUPPORTED_VERSION, "unsupported protocol version",
                json_pack("{s:o, s:s}", "supported", versions(x->demo), "requested", asked));
}

static json_t *mismatch(struct exchange *x, const json_t *id, const char *text) {
        return rpc_error(x, 400, id, RPC_HEADER_MISMATCH, text, NULL);
}

/* NULL if head and _meta say what they have to, and the same. */
static json_t *complaint(struct exchange *x, const json_t *id, const char *method) {
        const char *header = request_header(x->request, "MCP-Protocol-Version");
        const json_t *params = json_object_get(x->message, "params");
        const char *asked = json_string_value(json_object_get(params, "protocolVersion"));
        const char *version =
                json_string_value(json_object_get(meta_of(x), META "protocolVersion"));
        const char *wrong;

        if (strcmp(method, "initialize") == 0 && !version && asked)
                return unsupported(x, id, asked);
        if (!header)
                return mismatch(x, id, "MCP-Protocol-Version is missing");
        if (!version || !json_is_object(json_object_get(meta_of(x), META "clientCapabilities")))
                return rpc_error(x, 400, id, RPC_INVALID_PARAMS,
                                 "_meta needs protocolVersion and clientCapabilities", NULL);
        if (strcmp(header, version) != 0)
                return mismatch(x, id, "MCP-Protocol-Version is not that of _meta");
        if (strcmp(version, MODERN) != 0)
                return unsupported(x, id, version);
        wrong = mirror_complaint(x);
        return wrong ? mismatch(x, id, wrong) : NULL;
}

static json_t *discover(const struct demo *d, const json_t *id) {
        json_t *capabilities = json_pack("{s:{s:b}}", "tools", "listChanged", 1);

        if (d->options.more) {
                json_object_set_new(capabilities, "prompts", json_object());
                json_object_set_new(capabilities, "resources", json_object());
        }
        return rpc_result(id,
                          json_pack("{s:o, s:o, s:s, s:{s:{s:s, s:s}}}", "supportedVersions",
                                    versions(d), "capabilities", capabilities, "instructions",
                                    "Call generate_summary with a text.", "_meta",
                                    META "serverInfo", "name", "mcp-demo-server", "version", "1"));
}

/* The stream is the answer; it stays open until a script or the client ends it. */
static void listen_to(struct exchange *x, const json_t *id) {
        const json_t *wanted =
                json_object_get(json_object_get(x->message, "params"), "notifications");
        struct channel *c = channel_open(x, CHANNEL_LISTEN);
        json_t *answer = rpc_result(id, json_pack("{s:s, s:{s:O}}", "resultType", "complete",
                                                  "_meta", META "subscriptionId", id));
        json_t *steps = json_pack("[{s:i, s:s, s:{s:o}}]", "notify", 1, "method",
                                  "notifications/subscriptions/acknowledged", "params",
                                  "notifications", wanted ? json_deep_copy(wanted) : json_object());

        channel_subscribe(c, id, answer);
        channel_play(c, steps, NULL, NULL);
        json_decref(steps);
        json_decref(answer);
}

static json_t *request_answer(struct exchange *x, const json_t *id, const char *method,
                              const char *scope) {
        json_t *answer;
        json_t *result;

        if (strcmp(method, "subscriptions/listen") == 0) {
                listen_to(x, id);
                return NULL;
        }
        answer = strcmp(method, "server/discover") == 0 ? discover(x->demo, id)
                                                        : catalog_answer(x, x->message, scope);
        if (!answer && x->request->reply.status == 0)
                return rpc_error(x, 404, id, RPC_METHOD_NOT_FOUND, "no such method", NULL);
        result = json_object_get(answer, "result");
        if (result && !json_object_get(result, "resultType"))
                json_object_set_new(result, "resultType", json_string("complete"));
        if (result && (strstr(method, "/list") || strcmp(method, "resources/read") == 0 ||
                       strcmp(method, "server/discover") == 0)) {
                json_object_set_new(result, "ttlMs", json_integer(0));
                json_object_set_new(result, "cacheScope", json_string("private"));
        }
        return answer;
}

/* What --strict insists on; NULL if it is content. */
static const char *strict_complaint(const struct exchange *x, const char *method) {
        const char *accept = request_header(x->request, "Accept");
        const char *type = request_header(x->request, "Content-Type");

        if (request_header(x->request, "Mcp-Session-Id"))
                return "there are no sessions";
        if (strcmp(method, "notifications/cancelled") == 0)
                return "a request is cancelled by closing its stream";
        if (!type || !strstr(type, "application/json"))
                return "Content-Type is not application/json";
        if (!accept || !strstr(accept, "application/json") || !strstr(accept, "text/event-stream"))
                return "Accept does not name both types";
        return NULL;
}

json_t *modern_answer(struct exchange *x, const char *scope) {
        const json_t *id = json_object_get(x->message, "id");
        const char *method = json_string_value(json_object_get(x->message, "method"));
        const char *text = NULL;
        json_t *wrong;

        x->modern = true;
        if (!rpc_is_message(x->message) || !method ||
            (id && !json_is_string(id) && !json_is_integer(id)))
                return rpc_error(x, 400, NULL, RPC_INVALID_REQUEST,
                                 "neither a request nor a notification", NULL);
        if (x->demo->options.strict)
                text = strict_complaint(x, method);
        if (text)
                return rpc_error(x, 400, id, RPC_INVALID_REQUEST, text, NULL);
        if (!id)
                return NULL;
        wrong = complaint(x, id, method);
        return wrong ? wrong : request_answer(x, id, method, scope);
}
