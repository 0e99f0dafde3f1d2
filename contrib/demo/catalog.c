/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tools, prompts, resources.
 */
#include "catalog.h"

#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "rpc.h"
#include "tools.h"

#define PREFIX_INVALID "invalid_"
#define ROUNDS_KEY "confirm"

/* Annotations of each kind that is allowed, and of each that makes a client drop the tool. */
static const char more_tools[] =
        "[{\"name\":\"echo\",\"inputSchema\":{\"type\":\"object\"}},"
        "{\"name\":\"ask_user\",\"inputSchema\":{\"type\":\"object\"}},"
        "{\"name\":\"region_report\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
        "\"region\":{\"type\":\"string\",\"x-mcp-header\":\"Region\"},"
        "\"count\":{\"type\":\"integer\",\"x-mcp-header\":\"Count\"},"
        "\"dry\":{\"type\":\"boolean\",\"x-mcp-header\":\"Dry-Run\"},"
        "\"inner\":{\"type\":\"object\",\"properties\":{"
        "\"key\":{\"type\":\"string\",\"x-mcp-header\":\"Inner-Key\"}}},"
        "\"plain\":{\"type\":\"string\"}}}},"
        "{\"name\":\"invalid_empty\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
        "\"a\":{\"type\":\"string\",\"x-mcp-header\":\"\"}}}},"
        "{\"name\":\"invalid_blank\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
        "\"a\":{\"type\":\"string\",\"x-mcp-header\":\"My Region\"}}}},"
        "{\"name\":\"invalid_colon\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
        "\"a\":{\"type\":\"string\",\"x-mcp-header\":\"Region:\"}}}},"
        "{\"name\":\"invalid_unicode\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
        "\"a\":{\"type\":\"string\",\"x-mcp-header\":\"R\\u00e9gion\"}}}},"
        "{\"name\":\"invalid_twice\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
        "\"a\":{\"type\":\"string\",\"x-mcp-header\":\"Region\"},"
        "\"b\":{\"type\":\"string\",\"x-mcp-header\":\"REGION\"}}}},"
        "{\"name\":\"invalid_number\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
        "\"a\":{\"type\":\"number\",\"x-mcp-header\":\"Number\"}}}},"
        "{\"name\":\"invalid_object\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
        "\"a\":{\"type\":\"object\",\"x-mcp-header\":\"Object\"}}}},"
        "{\"name\":\"invalid_items\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
        "\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"x-mcp-header\":\"Item\"}}}}}]";

json_t *catalog_tools(const struct demo *d) {
        json_t *tools = tools_list();
        json_t *more = d->options.more ? json_loads(more_tools, 0, NULL) : NULL;

        (void)json_array_extend(tools, more);
        json_decref(more);
        return tools;
}

const json_t *catalog_schema(const struct demo *d, const json_t *tools, const char *name) {
        if (strncmp(name, PREFIX_INVALID, strlen(PREFIX_INVALID)) == 0)
                return NULL;
        for (size_t i = 0; i < json_array_size(tools); i++) {
                const json_t *tool = json_array_get(tools, i);

                if (strcmp(json_string_value(json_object_get(tool, "name")), name) == 0)
                        return json_object_get(tool, "inputSchema");
        }
        return NULL;
}

static json_t *structured(const json_t *value) {
        return json_pack("{s:[{s:s, s:s}], s:o}", "content", "type", "text", "text", "done",
                         "structuredContent", value ? json_deep_copy(value) : json_object());
}

/* 2026: the question is the result, and the call comes again with what was answered. */
static json_t *ask_modern(struct exchange *x, const json_t *id, const json_t *params) {
        const json_t *capabilities = json_object_get(json_object_get(params, "_meta"),
                                                     "io.modelcontextprotocol/clientCapabilities");
        const json_t *responses = json_object_get(params, "inputResponses");
        const char *state = json_string_value(json_object_get(params, "requestState"));
        json_t *result;
        char *own;

        if (!json_object_get(capabilities, "elicitation"))
                return rpc_error(x, 400, id, RPC_MISSING_CAPABILITY, "elicitation is needed",
                                 json_pack("{s:{s:{}}}", "requiredCapabilities", "elicitation"));
        if (state && table_remove(x->demo->rounds, state) &&
            json_is_object(json_object_get(responses, ROUNDS_KEY)))
                return rpc_result(id, structured(responses));
        if (state || responses)
                return rpc_error(x, 400, id, RPC_INVALID_PARAMS, "not what was asked for", NULL);
        own = random_token("st \"\xc3\xa4\" "); /* a client that writes it anew may spoil it */
        (void)table_add(x->demo->rounds, own, mem_string(own));
        result = json_pack("{s:s, s:s, s:{s:{s:s, s:{s:s, s:{s:s, s:{s:{s:s}}}}}}}", "resultType",
                           "input_required", "requestState", own, "inputRequests", ROUNDS_KEY,
                           "method", "elicitation/create", "params", "message", "Go on?",
                           "requestedSchema", "type", "object", "properties", "confirmed", "type",
                           "boolean");
        free(own);
        return rpc_result(id, result);
}

static json_t *ask_legacy(struct exchange *x, const json_t *id) {
        x->script = json_pack("[{s:s, s:b}, {s:b, s:b}]", "ask", "elicitation/create", "wait", 1,
                              "answer", 1, "heard", 1);
        return rpc_result(id, structured(NULL));
}

static json_t *call(struct exchange *x, const json_t *id, const json_t *params, const char *scope) {
        const char *name = json_string_value(json_object_get(params, "name"));
        const char *needed = name ? tool_scope(name) : NULL;
        json_t *tools = catalog_tools(x->demo);
        bool more = name && !needed && catalog_schema(x->demo, tools, name);

        json_decref(tools);
        if (!needed && !more)
                return rpc_error(x, 200, id, RPC_INVALID_PARAMS, "unknown tool", NULL);
        needed = needed ? needed : SCOPE_SUMMARY;
        if (scope && !words_contain(scope, needed, strlen(needed))) {
                guard_challenge(x, 403, needed, "insufficient_scope", "this tool needs more scope");
                return NULL;
        }
        journal_count(x->demo->journal, COUNT_TOOL_CALLS);
        exchange_note(x, "%s", name);
        if (!more)
                return rpc_result(id, tool_call(name, json_object_get(params, "arguments")));
        if (strcmp(name, "ask_user") == 0)
                return x->modern ? ask_modern(x, id, params) : ask_legacy(x, id);
        return rpc_result(id, structured(json_object_get(params, "arguments")));
}

static json_t *more_answer(const json_t *id, const char *method, const json_t *params) {
        const json_t *uri = json_object_get(params, "uri");

        if (strcmp(method, "prompts/list") == 0)
                return rpc_result(id, json_pack("{s:[{s:s}]}", "prompts", "name", "greeting"));
        if (strcmp(method, "prompts/get") == 0)
                return rpc_result(id, json_pack("{s:[{s:s, s:{s:s, s:s}}]}", "messages", "role",
                                                "user", "content", "type", "text", "text", "Hi."));
        if (strcmp(method, "resources/list") == 0)
                return rpc_result(id, json_pack("{s:[{s:s, s:s}, {s:s, s:s}]}", "resources", "name",
                                                "note", "uri", "demo://note", "name", "b\xc3\xa4r",
                                                "uri", "demo://b\xc3\xa4r"));
        if (strcmp(method, "resources/read") == 0 && json_is_string(uri))
                return rpc_result(id, json_pack("{s:[{s:O, s:s}]}", "contents", "uri", uri, "text",
                                                "A note."));
        return NULL;
}

json_t *catalog_answer(struct exchange *x, const json_t *message, const char *scope) {
        const json_t *id = json_object_get(message, "id");
        const json_t *params = json_object_get(message, "params");
        const char *method = json_string_value(json_object_get(message, "method"));

        if (strcmp(method, "tools/list") == 0)
                return rpc_result(id, json_pack("{s:o}", "tools", catalog_tools(x->demo)));
        if (strcmp(method, "tools/call") == 0)
                return call(x, id, params, scope);
        return x->demo->options.more ? more_answer(id, method, params) : NULL;
}
