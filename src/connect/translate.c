/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "connect/translate.h"

#include <stdio.h>

#include "connect/rewrite.h"

#define META "io.modelcontextprotocol/"
#define SELF "{\"name\":\"mcp-connect\",\"version\":\"" PACKAGE_VERSION "\"}"

static const struct span none = { 0 };

static struct span text(const char *s) {
        return (struct span){ s, strlen(s) };
}

static struct span content(const struct buf *b) {
        return (struct span){ b->data, b->len };
}

static struct span member(struct span object, const char *key, enum jsonspan_type type) {
        struct span found;

        return jsonspan_member(object, key, &found) == 0 && jsonspan_type(found) == type ? found
                                                                                         : none;
}

void translate_init(struct translate *t, size_t max) {
        *t = (struct translate){ 0 };
        t->client_info.max = t->client_capabilities.max = t->log_level.max = t->server.max = max;
}

void translate_done(struct translate *t) {
        buf_done(&t->client_info);
        buf_done(&t->client_capabilities);
        buf_done(&t->log_level);
        buf_done(&t->server);
}

static int keep(struct buf *to, struct span value) {
        AUTO_BUF struct buf copy = { .max = to->max };
        int r = jsonspan_compact(&copy, value);

        if (r == 0)
                buf_move(to, &copy);
        return r;
}

/* Capabilities without what the other era does not know: tasks are an extension there. */
static int keep_capabilities(struct buf *to, struct span capabilities, const char *leave_out) {
        AUTO_BUF struct buf kept = { .max = to->max };
        struct rewrite gone = { .key = leave_out };
        int r = rewrite_object(&kept, capabilities, &gone, 1);

        return r < 0 ? r : keep(to, content(&kept));
}

static int keep_info(struct translate *t, struct span info) {
        return keep(&t->client_info, info.len > 0 ? info : text(SELF));
}

/* ---- the envelope ---- */

static int begin_answer(struct buf *out, struct span id) {
        int r = buf_append_str(out, "{\"jsonrpc\":\"2.0\",\"id\":");

        r = r < 0 ? r : buf_append(out, id.p, id.len);
        return r < 0 ? r : buf_append_str(out, ",\"result\":");
}

static int begin_request(struct buf *out, struct span id, const char *method) {
        int r = buf_append_str(out, "{\"jsonrpc\":\"2.0\",\"id\":");

        r = r < 0 ? r : buf_append(out, id.p, id.len);
        return r < 0 ? r : buf_printf(out, ",\"method\":\"%s\",\"params\":", method);
}

/* {"jsonrpc":..., ... up to what is written here} with @value in the middle; all or nothing. */
static int finish(struct buf *out, size_t before, int r, struct span value) {
        r = r < 0 ? r : jsonspan_compact(out, value);
        r = r < 0 ? r : buf_append(out, "}", 1);
        if (r < 0)
                buf_truncate(out, before);
        return r;
}

int translate_write_result(struct span id, const char *result, struct buf *out) {
        size_t before = out->len;

        return finish(out, before, begin_answer(out, id), text(result));
}

/* A message with other params, and perhaps another id. */
static int rewrite_message(struct buf *out, const struct message *m, struct span id,
                           const struct buf *params) {
        AUTO_BUF struct buf whole = { .max = out->max };
        struct rewrite members[] = { { .key = "params", .value = content(params) },
                                     { .key = "id", .value = id } };
        int r = rewrite_object(&whole, m->whole, members, id.len > 0 ? 2 : 1);

        return r < 0 ? r : jsonspan_compact(out, content(&whole));
}

/* ---- up ---- */

int translate_hear_initialize(struct translate *t, const struct message *m) {
        int r = keep_info(t, member(m->params, "clientInfo", JSONSPAN_OBJECT));

        return r < 0 ? r
                     : keep_capabilities(&t->client_capabilities,
                                         member(m->params, "capabilities", JSONSPAN_OBJECT),
                                         "tasks");
}

/* _meta with what every modern request says; the rest of the host's stays. */
static int write_meta(const struct translate *t, struct span meta, struct buf *out) {
        struct rewrite members[] = {
                { .key = META "protocolVersion", .value = text("\"" TRANSLATE_MODERN "\"") },
                { .key = META "clientInfo", .value = content(&t->client_info) },
                { .key = META "clientCapabilities", .value = content(&t->client_capabilities) },
                { .key = META "logLevel", .value = content(&t->log_level) },
        };

        return rewrite_object(out, meta, members, ARRAY_SIZE(members));
}

int translate_up(const struct translate *t, const struct message *m, struct span id,
                 struct span input_responses, struct span request_state, struct buf *out) {
        AUTO_BUF struct buf meta = { .max = out->max };
        AUTO_BUF struct buf params = { .max = out->max };
        struct rewrite members[] = { { .key = "_meta" },
                                     { .key = "inputResponses", .value = input_responses },
                                     { .key = "requestState", .value = request_state } };
        int r = write_meta(t, member(m->params, "_meta", JSONSPAN_OBJECT), &meta);

        members[0].value = content(&meta);
        r = r < 0 ? r : rewrite_object(&params, m->params, members, ARRAY_SIZE(members));
        return r < 0 ? r : rewrite_message(out, m, id, &params);
}

int translate_write_discover(const struct translate *t, struct span id, struct buf *out) {
        AUTO_BUF struct buf meta = { .max = out->max };
        AUTO_BUF struct buf params = { .max = out->max };
        size_t before = out->len;
        int r = write_meta(t, none, &meta);

        r = r < 0 ? r : buf_printf(&params, "{\"_meta\":%s}", meta.data);
        r = r < 0 ? r : begin_request(out, id, "server/discover");
        return finish(out, before, r, content(&params));
}

static bool lists_modern(struct span versions) {
        struct span version;
        size_t pos = 0;

        while (jsonspan_next_item(versions, &pos, &version))
                if (jsonspan_string_is(version, TRANSLATE_MODERN))
                        return true;
        return false;
}

int translate_hear_discovered(struct translate *t, struct span result) {
        if (!lists_modern(member(result, "supportedVersions", JSONSPAN_ARRAY)))
                return -EPROTO;
        return keep(&t->server, result);
}

bool translate_offers_modern(struct span error) {
        return lists_modern(
                member(member(error, "data", JSONSPAN_OBJECT), "supported", JSONSPAN_ARRAY));
}

static struct span server_info(const struct translate *t) {
        return member(member(content(&t->server), "_meta", JSONSPAN_OBJECT), META "serverInfo",
                      JSONSPAN_OBJECT);
}

/* The host's own, if it is one of those that differ only in what a server may offer. */
static const char *version_for(const struct message *initialize) {
        static const char *const known[] = { "2025-06-18", "2025-03-26", "2024-11-05" };
        struct span asked = member(initialize->params, "protocolVersion", JSONSPAN_STRING);

        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                if (jsonspan_string_is(asked, known[i]))
                        return known[i];
        return TRANSLATE_LEGACY;
}

static int append_member(struct buf *out, const char *key, struct span value) {
        int r = buf_printf(out, ",\"%s\":", key);

        return r < 0 ? r : buf_append(out, value.p, value.len);
}

int translate_write_initialized(const struct translate *t, const struct message *initialize,
                                const char *name, struct buf *out) {
        AUTO_BUF struct buf info = { .max = out->max };
        AUTO_BUF struct buf result = { .max = out->max };
        struct span server = content(&t->server);
        struct span capabilities = member(server, "capabilities", JSONSPAN_OBJECT);
        struct span instructions = member(server, "instructions", JSONSPAN_STRING);
        struct span own = server_info(t);
        size_t before = out->len;
        int r = buf_append_str(&info, "{\"name\":");

        r = r < 0 ? r : jsonspan_quote(&info, name, strlen(name));
        r = r < 0 ? r : buf_append_str(&info, ",\"version\":\"\"}");
        r = r < 0 ? r : buf_printf(&result, "{\"protocolVersion\":\"%s\"", version_for(initialize));
        r = r < 0 ? r
                  : append_member(&result, "capabilities",
                                  capabilities.len > 0 ? capabilities : text("{}"));
        r = r < 0 ? r : append_member(&result, "serverInfo", own.len > 0 ? own : content(&info));
        if (r == 0 && instructions.len > 0)
                r = append_member(&result, "instructions", instructions);
        r = r < 0 ? r : buf_append(&result, "}", 1);
        r = r < 0 ? r : begin_answer(out, initialize->id);
        return finish(out, before, r, content(&result));
}

bool translate_server_can(const struct translate *t, const char *group, const char *name) {
        struct span at = member(content(&t->server), "capabilities", JSONSPAN_OBJECT);

        at = member(at, group, JSONSPAN_OBJECT);
        if (at.len == 0 || !name)
                return at.len > 0;
        at = member(at, name, JSONSPAN_BOOL);
        return at.len == strlen("true");
}

static const struct {
        const char *group;
        const char *filter;
} lists[] = { { "tools", "toolsListChanged" },
              { "prompts", "promptsListChanged" },
              { "resources", "resourcesListChanged" } };

bool translate_lists_change(const struct translate *t) {
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                if (translate_server_can(t, lists[i].group, "listChanged"))
                        return true;
        return false;
}

static int write_filter(const struct translate *t, const char *uri, struct buf *out) {
        const char *comma = "";
        int r;

        if (uri) {
                r = buf_append_str(out, "{\"resourceSubscriptions\":[");
                r = r < 0 ? r : jsonspan_quote(out, uri, strlen(uri));
                return r < 0 ? r : buf_append_str(out, "]}");
        }
        r = buf_append(out, "{", 1);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(lists); i++) {
                if (!translate_server_can(t, lists[i].group, "listChanged"))
                        continue;
                r = buf_printf(out, "%s\"%s\":true", comma, lists[i].filter);
                comma = ",";
        }
        return r < 0 ? r : buf_append(out, "}", 1);
}

int translate_write_listen(const struct translate *t, struct span id, const char *uri,
                           struct buf *out) {
        AUTO_BUF struct buf meta = { .max = out->max };
        AUTO_BUF struct buf params = { .max = out->max };
        size_t before = out->len;
        int r = write_meta(t, none, &meta);

        r = r < 0 ? r : buf_printf(&params, "{\"_meta\":%s,\"notifications\":", meta.data);
        r = r < 0 ? r : write_filter(t, uri, &params);
        r = r < 0 ? r : buf_append(&params, "}", 1);
        r = r < 0 ? r : begin_request(out, id, "subscriptions/listen");
        return finish(out, before, r, content(&params));
}

static const char *const levels[] = { "debug", "info",     "notice", "warning",
                                      "error", "critical", "alert",  "emergency" };

static int level_of(struct span level) {
        for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
                if (jsonspan_string_is(level, levels[i]))
                        return (int)i;
        return -1;
}

int translate_hear_level(struct translate *t, const struct message *m) {
        struct span level = member(m->params, "level", JSONSPAN_STRING);

        if (!translate_server_can(t, "logging", NULL))
                return -ENOTSUP;
        return level_of(level) < 0 ? -EINVAL : keep(&t->log_level, level);
}

/* The error with another code. */
static int write_error_as(const struct message *asked, const struct message *answer, int code,
                          struct buf *out) {
        AUTO_BUF struct buf number = BUF_INIT;
        AUTO_BUF struct buf error = { .max = out->max };
        AUTO_BUF struct buf whole = { .max = out->max };
        struct rewrite coded = { .key = "code" };
        struct rewrite members[] = { { .key = "error" }, { .key = "id", .value = asked->id } };
        int r = buf_printf(&number, "%d", code);

        coded.value = content(&number);
        r = r < 0 ? r : rewrite_object(&error, answer->error, &coded, 1);
        members[0].value = content(&error);
        r = r < 0 ? r : rewrite_object(&whole, answer->whole, members, ARRAY_SIZE(members));
        return r < 0 ? r : jsonspan_compact(out, content(&whole));
}

int translate_answer_up(const struct message *asked, const struct message *answer,
                        struct buf *out) {
        if (streq(asked->method, "resources/read") &&
            message_error_code(answer) == CODE_INVALID_PARAMS)
                return write_error_as(asked, answer, CODE_RESOURCE_NOT_FOUND, out);
        return message_write_with_id(out, answer, asked->id);
}

/* ---- down ---- */

int translate_hear_meta(struct translate *t, const struct message *m) {
        struct span meta = member(m->params, "_meta", JSONSPAN_OBJECT);
        int r = keep_info(t, member(meta, META "clientInfo", JSONSPAN_OBJECT));

        return r < 0 ? r
                     : keep_capabilities(&t->client_capabilities,
                                         member(meta, META "clientCapabilities", JSONSPAN_OBJECT),
                                         "extensions");
}

int translate_write_initialize(const struct translate *t, struct span id, struct buf *out) {
        AUTO_BUF struct buf params = { .max = out->max };
        size_t before = out->len;
        int r = buf_printf(&params,
                           "{\"protocolVersion\":\"" TRANSLATE_LEGACY
                           "\",\"capabilities\":%s,\"clientInfo\":%s}",
                           t->client_capabilities.data, t->client_info.data);

        r = r < 0 ? r : begin_request(out, id, "initialize");
        return finish(out, before, r, content(&params));
}

int translate_hear_initialized(struct translate *t, struct span result) {
        return keep(&t->server, result);
}

int translate_write_discovered(const struct translate *t, struct span id, struct buf *out) {
        AUTO_BUF struct buf capabilities = { .max = out->max };
        AUTO_BUF struct buf result = { .max = out->max };
        struct span server = content(&t->server);
        struct span instructions = member(server, "instructions", JSONSPAN_STRING);
        struct span info = member(server, "serverInfo", JSONSPAN_OBJECT);
        size_t before = out->len;
        int r = keep_capabilities(&capabilities, member(server, "capabilities", JSONSPAN_OBJECT),
                                  "tasks");

        r = r < 0 ? r
                  : buf_append_str(&result, "{\"resultType\":\"complete\",\"supportedVersions\":"
                                            "[\"" TRANSLATE_MODERN "\"]");
        r = r < 0 ? r : append_member(&result, "capabilities", content(&capabilities));
        if (r == 0 && instructions.len > 0)
                r = append_member(&result, "instructions", instructions);
        r = r < 0 ? r : buf_append_str(&result, ",\"ttlMs\":0,\"cacheScope\":\"private\"");
        if (r == 0 && info.len > 0)
                r = buf_append_str(&result, ",\"_meta\":{\"" META "serverInfo\":");
        if (r == 0 && info.len > 0)
                r = buf_append(&result, info.p, info.len);
        r = r < 0 ? r : buf_append_str(&result, info.len > 0 ? "}}" : "}");
        r = r < 0 ? r : begin_answer(out, id);
        return finish(out, before, r, content(&result));
}

int translate_down(const struct message *m, struct buf *out) {
        AUTO_BUF struct buf meta = { .max = out->max };
        AUTO_BUF struct buf params = { .max = out->max };
        struct rewrite gone[] = { { .key = META "protocolVersion" },
                                  { .key = META "clientInfo" },
                                  { .key = META "clientCapabilities" },
                                  { .key = META "logLevel" } };
        struct rewrite members[] = { { .key = "_meta" },
                                     { .key = "inputResponses" },
                                     { .key = "requestState" } };
        struct span old = member(m->params, "_meta", JSONSPAN_OBJECT);
        int r = rewrite_object(&meta, old, gone, ARRAY_SIZE(gone));

        if (r == 0 && meta.len > strlen("{}"))
                members[0].value = content(&meta);
        r = r < 0 ? r : rewrite_object(&params, m->params, members, ARRAY_SIZE(members));
        return r < 0 ? r : rewrite_message(out, m, none, &params);
}

static bool is_cacheable(const char *method) {
        return streq(method, "tools/list") || streq(method, "prompts/list") ||
               streq(method, "resources/list") || streq(method, "resources/templates/list") ||
               streq(method, "resources/read");
}

static int write_result_down(const struct message *asked, const struct message *answer,
                             struct buf *out) {
        AUTO_BUF struct buf result = { .max = out->max };
        AUTO_BUF struct buf whole = { .max = out->max };
        struct rewrite added[] = { { .key = "resultType", .value = text("\"complete\"") },
                                   { .key = "ttlMs", .value = text("0") },
                                   { .key = "cacheScope", .value = text("\"private\"") } };
        struct rewrite members[] = { { .key = "result" }, { .key = "id", .value = asked->id } };
        int r = rewrite_object(&result, answer->result, added, is_cacheable(asked->method) ? 3 : 1);

        if (r == -EINVAL) /* no result is anything else: who asked may judge that */
                return message_write_with_id(out, answer, asked->id);
        members[0].value = content(&result);
        r = r < 0 ? r : rewrite_object(&whole, answer->whole, members, ARRAY_SIZE(members));
        return r < 0 ? r : jsonspan_compact(out, content(&whole));
}

int translate_answer_down(const struct message *asked, const struct message *answer,
                          struct buf *out) {
        int code = message_error_code(answer);

        if (answer->error.len == 0)
                return write_result_down(asked, answer, out);
        if (code == CODE_RESOURCE_NOT_FOUND && streq(asked->method, "resources/read"))
                return write_error_as(asked, answer, CODE_INVALID_PARAMS, out);
        if (code == CODE_URL_ELICITATION) /* its range is the modern protocol's own */
                return write_error_as(asked, answer, -32000, out);
        return message_write_with_id(out, answer, asked->id);
}

/* ---- down: subscriptions and the log ---- */

static struct span filter_of(const struct message *listen) {
        return member(listen->params, "notifications", JSONSPAN_OBJECT);
}

static bool wants_list(const struct message *listen, const char *filter) {
        return member(filter_of(listen), filter, JSONSPAN_BOOL).len == strlen("true");
}

bool translate_next_listened(const struct message *listen, size_t *pos, struct span *ret_uri) {
        struct span uris = member(filter_of(listen), "resourceSubscriptions", JSONSPAN_ARRAY);

        while (jsonspan_next_item(uris, pos, ret_uri))
                if (jsonspan_type(*ret_uri) == JSONSPAN_STRING)
                        return true;
        return false;
}

static int write_granted(const struct translate *t, const struct message *listen, struct buf *out) {
        struct span uris = member(filter_of(listen), "resourceSubscriptions", JSONSPAN_ARRAY);
        const char *comma = "";
        int r = buf_append(out, "{", 1);

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(lists); i++) {
                if (!wants_list(listen, lists[i].filter) ||
                    !translate_server_can(t, lists[i].group, "listChanged"))
                        continue;
                r = buf_printf(out, "%s\"%s\":true", comma, lists[i].filter);
                comma = ",";
        }
        if (r == 0 && uris.len > 0 && translate_server_can(t, "resources", "subscribe")) {
                r = buf_printf(out, "%s\"resourceSubscriptions\":", comma);
                r = r < 0 ? r : buf_append(out, uris.p, uris.len);
        }
        return r < 0 ? r : buf_append(out, "}", 1);
}

static int write_subscription(struct span id, struct buf *out) {
        int r = buf_append_str(out, "{\"" META "subscriptionId\":");

        r = r < 0 ? r : buf_append(out, id.p, id.len);
        return r < 0 ? r : buf_append(out, "}", 1);
}

int translate_write_acknowledged(const struct translate *t, const struct message *listen,
                                 struct buf *out) {
        AUTO_BUF struct buf params = { .max = out->max };
        size_t before = out->len;
        int r = buf_append_str(&params, "{\"_meta\":");

        r = r < 0 ? r : write_subscription(listen->id, &params);
        r = r < 0 ? r : buf_append_str(&params, ",\"notifications\":");
        r = r < 0 ? r : write_granted(t, listen, &params);
        r = r < 0 ? r : buf_append(&params, "}", 1);
        r = r < 0 ? r
                  : buf_append_str(out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
                                        "subscriptions/acknowledged\",\"params\":");
        return finish(out, before, r, content(&params));
}

/* What a server is subscribed for, it may tell of what lies below, too. */
static bool wants_resource(const struct message *listen, const char *uri) {
        struct span one;
        size_t pos = 0;
        bool wanted = false;

        while (!wanted && translate_next_listened(listen, &pos, &one)) {
                AUTO_FREE char *own = NULL;

                wanted = jsonspan_string(one, &own) == 0 && strncmp(uri, own, strlen(own)) == 0;
        }
        return wanted;
}

bool translate_listens(const struct message *listen, const struct message *note) {
        AUTO_FREE char *uri = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
                AUTO_BUF struct buf method = BUF_INIT;

                if (buf_printf(&method, "notifications/%s/list_changed", lists[i].group) == 0 &&
                    streq(note->method, method.data))
                        return wants_list(listen, lists[i].filter);
        }
        return streq(note->method, "notifications/resources/updated") &&
               jsonspan_string(member(note->params, "uri", JSONSPAN_STRING), &uri) == 0 &&
               wants_resource(listen, uri);
}

int translate_write_listened(const struct message *listen, const struct message *note,
                             struct buf *out) {
        AUTO_BUF struct buf meta = { .max = out->max };
        AUTO_BUF struct buf params = { .max = out->max };
        struct rewrite id = { .key = META "subscriptionId", .value = listen->id };
        struct rewrite members = { .key = "_meta" };
        int r = rewrite_object(&meta, member(note->params, "_meta", JSONSPAN_OBJECT), &id, 1);

        members.value = content(&meta);
        r = r < 0 ? r : rewrite_object(&params, note->params, &members, 1);
        return r < 0 ? r : rewrite_message(out, note, none, &params);
}

int translate_write_subscribe(struct span id, const char *method, struct span uri,
                              struct buf *out) {
        AUTO_BUF struct buf params = { .max = out->max };
        size_t before = out->len;
        int r = buf_append_str(&params, "{\"uri\":");

        r = r < 0 ? r : buf_append(&params, uri.p, uri.len);
        r = r < 0 ? r : buf_append(&params, "}", 1);
        r = r < 0 ? r : begin_request(out, id, method);
        return finish(out, before, r, content(&params));
}

int translate_wanted_level(const struct message *m) {
        return level_of(member(member(m->params, "_meta", JSONSPAN_OBJECT), META "logLevel",
                               JSONSPAN_STRING));
}

int translate_level(const struct message *note) {
        return level_of(member(note->params, "level", JSONSPAN_STRING));
}

int translate_write_set_level(struct span id, int level, struct buf *out) {
        char params[64];
        size_t before = out->len;

        (void)snprintf(params, sizeof(params), "{\"level\":\"%s\"}", levels[level]);
        return finish(out, before, begin_request(out, id, "logging/setLevel"), text(params));
}

int translate_write_cancel(struct span id, struct buf *out) {
        size_t before = out->len;
        int r = buf_append_str(out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
                                    "\"params\":{\"requestId\":");

        r = r < 0 ? r : buf_append(out, id.p, id.len);
        r = r < 0 ? r : buf_append_str(out, "}}");
        if (r < 0)
                buf_truncate(out, before);
        return r;
}

bool translate_shows_addresses(const struct message *m) {
        struct span at = member(m->params, "_meta", JSONSPAN_OBJECT);

        at = member(at, META "clientCapabilities", JSONSPAN_OBJECT);
        at = member(at, "elicitation", JSONSPAN_OBJECT);
        return member(at, "url", JSONSPAN_OBJECT).len > 0;
}

/* ---- which era is it? ---- */

bool translate_is_modern_code(int code) {
        return code == CODE_HEADER_MISMATCH || code == CODE_MISSING_CAPABILITY ||
               code == CODE_UNSUPPORTED_VERSION;
}

bool translate_may_be_modern(unsigned status, int code) {
        return status == 400 || translate_is_modern_code(code) || code == CODE_METHOD_NOT_FOUND ||
               code == CODE_INVALID_PARAMS || code == CODE_INVALID_REQUEST;
}

/* A modern server may mean the same by -32602 and by 404 with -32601: it refuses initialize then,
 * and its first answer counts. */
bool translate_may_be_legacy(const char *method, unsigned status, int code) {
        if (translate_is_modern_code(code) || status >= 500 || status == 401 || status == 403)
                return false;
        if (streq(method, "server/discover") || status == 400 || status == 404 || status == 405)
                return true;
        return code == CODE_INVALID_REQUEST || code == CODE_INVALID_PARAMS ||
               code == CODE_RESOURCE_NOT_FOUND; /* "not initialized", to some */
}
