/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streamable HTTP, the challenges, and JSON-RPC.
 */
#include "mcp.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tools.h"

#define PRM_PATH "/.well-known/oauth-protected-resource"
#define PROTOCOL_VERSION "2025-11-25"

enum {
        RPC_PARSE_ERROR = -32700,
        RPC_INVALID_REQUEST = -32600,
        RPC_METHOD_NOT_FOUND = -32601,
        RPC_INVALID_PARAMS = -32602,
};

static bool resource_path(const struct demo *d, const char *path) {
        return strcmp(path, "/mcp") == 0 ||
               (d->options.second_resource && strcmp(path, "/mcp2") == 0);
}

bool mcp_is_resource(const struct demo *d, const char *resource) {
        size_t n = strlen(d->mcp_origin);

        return strncmp(resource, d->mcp_origin, n) == 0 && resource_path(d, resource + n);
}

enum step mcp_step(const struct demo *d, const struct request *r) {
        if (strncmp(r->path, PRM_PATH, strlen(PRM_PATH)) == 0)
                return STEP_PRM;
        return resource_path(d, r->path) ? STEP_MCP : STEP_OTHER;
}

static void handle_prm(struct exchange *x) {
        struct demo *d = x->demo;
        const char *path = x->request->path + strlen(PRM_PATH);
        bool article = d->options.shapes != SHAPES_TODAY;
        json_t *servers = json_array();
        json_t *doc;
        char *other = mem_printf("%s/other", d->mcp_origin);
        char *own = mem_printf("%s%s", d->mcp_origin, path);
        const char *resource = own;

        if (strcmp(x->request->method, "GET") != 0 || !resource_path(d, path) || d->options.open) {
                reply_text(x->request, 404, "text/plain", "no such document\n");
        } else {
                (void)exchange_fault_arg(x, FAULT_MISMATCHED_RESOURCE, other, &resource);
                if (!exchange_fault(x, FAULT_EMPTY_AS_LIST))
                        json_array_append_new(servers, json_string(d->issuer));
                doc = json_pack("{s:s}", "resource", resource);
                if (article) {
                        json_object_set_new(doc, "authorization_server", json_string(d->issuer));
                        json_object_set_new(doc, "scopes", json_pack("[s]", SCOPE_SUMMARY));
                        json_object_set_new(doc, "token_types", json_pack("[s]", "Bearer"));
                } else {
                        json_object_set(doc, "authorization_servers", servers);
                        json_object_set_new(doc, "scopes_supported",
                                            json_pack("[s]", SCOPE_SUMMARY));
                        json_object_set_new(doc, "resource_name", json_string("Demo summaries"));
                }
                if (exchange_fault(x, FAULT_BEARER_METHODS_QUERY))
                        json_object_set_new(doc, "bearer_methods_supported",
                                            json_pack("[s]", "query"));
                else if (!article)
                        json_object_set_new(doc, "bearer_methods_supported",
                                            json_pack("[s]", "header"));
                reply_json(x->request, 200, doc);
        }
        json_decref(servers);
        free(own);
        free(other);
}

/* A text of the test's own, with {prm} in it or not. */
static void challenge_text(struct text *t, const char *template, const char *prm) {
        const char *mark = strstr(template, "{prm}");

        if (mark)
                text_printf(t, "%.*s%s%s", (int)(mark - template), template, prm, mark + 5);
        else
                text_puts(t, template);
}

/* A 401 or 403 with the challenge in the shape that was asked for. */
static void challenge(struct exchange *x, unsigned status, const char *scope, const char *error,
                      const char *description) {
        struct demo *d = x->demo;
        struct request *r = x->request;
        char *own = mem_printf("%s" PRM_PATH "%s", d->mcp_origin, r->path);
        const char *prm = own;
        const char *template = NULL;
        struct text t = { 0 };

        journal_count(d->journal, COUNT_CHALLENGES);
        (void)exchange_fault_arg(x, FAULT_LINK_LOCAL_PRM,
                                 "http://169.254.169.254/latest/meta-data/", &prm);
        if (exchange_fault_arg(x, FAULT_CHALLENGE, "", &template))
                challenge_text(&t, template, prm);
        else if (d->options.shapes == SHAPES_ARTICLE)
                text_printf(&t, "MCP realm=\"mcp\", resource_metadata=\"%s\"", prm);
        else if (d->options.shapes == SHAPES_ARTICLE_RESOURCE)
                text_printf(&t, "MCP realm=\"x\", resource=\"%s\"", prm);
        else
                text_printf(&t, "Bearer resource_metadata=\"%s\", scope=\"%s\"", prm, scope);
        if (error && !template)
                text_printf(&t, ", error=\"%s\", error_description=\"%s\"", error, description);
        reply_text(r, status, "text/plain",
                   status == 401 ? "authorization required\n" : "insufficient scope\n");
        if (!exchange_fault(x, FAULT_NO_CHALLENGE))
                reply_header(r, "WWW-Authenticate", "%s", t.p);
        text_done(&t);
        free(own);
        exchange_note(x, "%s", description ? description : "no token");
}

/* The scope of the token, or NULL once a challenge was answered. */
static const char *authorize(struct exchange *x) {
        struct demo *d = x->demo;
        const char *header = request_header(x->request, "Authorization");
        const struct access_token *token = NULL;
        char *resource;
        const char *scope = NULL;

        if (!header) {
                challenge(x, 401, SCOPE_SUMMARY, NULL, NULL);
                return NULL;
        }
        if (strncasecmp(header, "Bearer ", 7) == 0)
                token = tokens_access(d->tokens, header + 7);
        resource = mem_printf("%s%s", d->mcp_origin, x->request->path);
        if (!token)
                challenge(x, 401, SCOPE_SUMMARY, "invalid_token", "unknown token");
        else if (strcmp(token->family->resource, resource) != 0)
                challenge(x, 401, SCOPE_SUMMARY, "invalid_token", "token for another resource");
        else if (!access_token_alive(d->tokens, token))
                challenge(x, 401, SCOPE_SUMMARY, "invalid_token", "token expired or revoked");
        else if (exchange_fault(x, FAULT_REJECT_TOKEN))
                challenge(x, 401, SCOPE_SUMMARY, "invalid_token", "a fault rejects every token");
        else
                scope = token->scope;
        free(resource);
        return scope;
}

static void rpc_send(struct exchange *x, json_t *message) {
        struct request *r = x->request;
        struct text t = { 0 };
        char *body;
        size_t n;

        if (!x->demo->options.sse) {
                reply_json(r, 200, message);
                return;
        }
        body = json_dumps(message, JSON_COMPACT);
        json_decref(message);
        text_printf(&t, "event: message\ndata: %s\n\n", body ? body : "{}");
        free(body);
        n = t.n;
        reply_take(r, 200, "text/event-stream", text_take(&t), n);
        reply_header(r, "Cache-Control", "no-store");
}

static void rpc_result(struct exchange *x, const json_t *id, json_t *result) {
        json_t *message = json_object();

        json_object_set_new(message, "jsonrpc", json_string("2.0"));
        json_object_set_new(message, "id", json_deep_copy(id));
        json_object_set_new(message, "result", result);
        rpc_send(x, message);
}

static void rpc_error(struct exchange *x, unsigned status, const json_t *id, int code,
                      const char *text) {
        json_t *message = json_object();

        json_object_set_new(message, "jsonrpc", json_string("2.0"));
        json_object_set_new(message, "id", id ? json_deep_copy(id) : json_null());
        json_object_set_new(message, "error",
                            json_pack("{s:i, s:s}", "code", code, "message", text));
        exchange_note(x, "%s", text);
        if (status == 200)
                rpc_send(x, message);
        else
                reply_json(x->request, status, message);
}

static bool version_known(const char *version) {
        static const char *const known[] = { PROTOCOL_VERSION, "2025-06-18", "2025-03-26", NULL };

        for (const char *const *p = known; version && *p; p++)
                if (strcmp(*p, version) == 0)
                        return true;
        return false;
}

static void rpc_initialize(struct exchange *x, const json_t *id, const json_t *params) {
        const char *asked = json_string_value(json_object_get(params, "protocolVersion"));
        char *session;

        if (!asked) {
                rpc_error(x, 200, id, RPC_INVALID_PARAMS, "protocolVersion is missing");
                return;
        }
        session = random_token("ms_");
        (void)table_add(x->demo->sessions, session, session); /* the key is a copy */
        reply_header(x->request, "Mcp-Session-Id", "%s", session);
        rpc_result(x, id,
                   json_pack("{s:s, s:{s:{}}, s:{s:s, s:s, s:s}, s:s}", "protocolVersion",
                             version_known(asked) ? asked : PROTOCOL_VERSION, "capabilities",
                             "tools", "serverInfo", "name", "mcp-demo-server", "title",
                             "Demo summaries", "version", "1", "instructions",
                             "Call generate_summary with a text."));
}

static void rpc_call(struct exchange *x, const json_t *id, const json_t *params,
                     const char *scope) {
        const char *name = json_string_value(json_object_get(params, "name"));
        const char *needed = name ? tool_scope(name) : NULL;
        json_t *result;

        if (!needed) {
                rpc_error(x, 200, id, RPC_INVALID_PARAMS, "unknown tool");
                return;
        }
        if (scope && !words_contain(scope, needed, strlen(needed))) {
                challenge(x, 403, needed, "insufficient_scope", "this tool needs more scope");
                return;
        }
        journal_count(x->demo->journal, COUNT_TOOL_CALLS);
        result = tool_call(name, json_object_get(params, "arguments"));
        exchange_note(x, "%s", name);
        rpc_result(x, id, result);
}

static void rpc_dispatch(struct exchange *x, const json_t *message, const char *scope) {
        const json_t *id = json_object_get(message, "id");
        const json_t *params = json_object_get(message, "params");
        const char *method = json_string_value(json_object_get(message, "method"));
        const char *version = json_string_value(json_object_get(message, "jsonrpc"));

        if (!json_is_object(message) || !version || strcmp(version, "2.0") != 0) {
                rpc_error(x, 400, NULL, RPC_INVALID_REQUEST, "not one JSON-RPC 2.0 message");
        } else if (!method || !id) { /* an answer or a notification */
                reply_text(x->request, 202, NULL, "");
        } else if (!json_is_string(id) && !json_is_integer(id)) {
                rpc_error(x, 400, NULL, RPC_INVALID_REQUEST, "id must be a string or an integer");
        } else if (strcmp(method, "initialize") == 0) {
                rpc_initialize(x, id, params);
        } else if (strcmp(method, "ping") == 0) {
                rpc_result(x, id, json_object());
        } else if (strcmp(method, "tools/list") == 0) {
                rpc_result(x, id, json_pack("{s:o}", "tools", tools_list()));
        } else if (strcmp(method, "tools/call") == 0) {
                rpc_call(x, id, params, scope);
        } else {
                rpc_error(x, 200, id, RPC_METHOD_NOT_FOUND, "no such method");
        }
}

/* The headers that go with every request but the first; false once an error was answered. */
static bool headers_right(struct exchange *x, bool initialize) {
        const char *version = request_header(x->request, "MCP-Protocol-Version");
        const char *session = request_header(x->request, "Mcp-Session-Id");

        if (version && !version_known(version))
                rpc_error(x, 400, NULL, RPC_INVALID_REQUEST, "unknown MCP-Protocol-Version");
        else if (session && !initialize && !table_get(x->demo->sessions, session))
                rpc_error(x, 404, NULL, RPC_INVALID_REQUEST, "unknown session");
        else if (!session && !initialize && x->demo->options.require_session)
                rpc_error(x, 400, NULL, RPC_INVALID_REQUEST, "Mcp-Session-Id is missing");
        else
                return true;
        return false;
}

static void handle_delete(struct exchange *x) {
        const char *session = request_header(x->request, "Mcp-Session-Id");

        if (session && table_remove(x->demo->sessions, session))
                reply_text(x->request, 204, NULL, "");
        else
                reply_text(x->request, 404, "text/plain", "unknown session\n");
}

static void handle_post(struct exchange *x, const char *scope, const json_t *message) {
        const char *method = json_string_value(json_object_get(message, "method"));

        if (!message)
                rpc_error(x, 400, NULL, RPC_PARSE_ERROR, "not JSON");
        else if (headers_right(x, method && strcmp(method, "initialize") == 0))
                rpc_dispatch(x, message, scope);
}

static void handle_resource(struct exchange *x) {
        struct request *r = x->request;
        const char *origin = request_header(r, "Origin");
        const json_t *message = x->message;
        const char *scope = NULL;
        struct url u;

        exchange_label(x, json_string_value(json_object_get(message, "method")));
        if (origin && (!url_split(origin, &u) || !url_loopback(&u)))
                reply_text(r, 403, "text/plain", "foreign Origin\n");
        else if (!x->demo->options.open && !(scope = authorize(x)))
                ; /* the challenge is the answer */
        else if (strcmp(r->method, "POST") == 0)
                handle_post(x, scope, message);
        else if (strcmp(r->method, "DELETE") == 0)
                handle_delete(x);
        else {
                reply_text(r, 405, "text/plain", "no stream here\n");
                reply_header(r, "Allow", "POST, DELETE");
        }
}

void mcp_handle(struct exchange *x) {
        if (x->site.step == STEP_PRM)
                handle_prm(x);
        else if (x->site.step == STEP_MCP)
                handle_resource(x);
}
