/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/message.h"

#include "base/limits.h"

#define VERSION_KEY "io.modelcontextprotocol/protocolVersion"

/* What stands at the top of a message, before it is judged. */
struct members {
        struct span version;
        struct span id;
        struct span method;
};

static int refuse(const char **why, const char *reason) {
        *why = reason;
        return -EPROTO;
}

static bool is_id(struct span value) {
        enum jsonspan_type type = jsonspan_type(value);

        return type == JSONSPAN_STRING || type == JSONSPAN_NUMBER;
}

static bool is_present(struct span value) {
        enum jsonspan_type type = jsonspan_type(value);

        return type != JSONSPAN_NONE && type != JSONSPAN_NULL;
}

static void find_members(struct message *m, struct members *top) {
        struct span key;
        struct span value;
        size_t pos = 0;

        while (jsonspan_next_member(m->whole, &pos, &key, &value)) {
                if (jsonspan_string_is(key, "jsonrpc"))
                        top->version = value;
                else if (jsonspan_string_is(key, "id"))
                        top->id = value;
                else if (jsonspan_string_is(key, "method"))
                        top->method = value;
                else if (jsonspan_string_is(key, "params"))
                        m->params = value;
                else if (jsonspan_string_is(key, "result"))
                        m->result = value;
                else if (jsonspan_string_is(key, "error"))
                        m->error = value;
        }
}

/* -ENOMEM, or 0: a string that UTF-8 cannot say is none that we could route by. */
static int copy_string(struct span value, char **ret) {
        int r = jsonspan_string(value, ret);

        return r == -EBADMSG ? 0 : r;
}

/* It becomes a header field, for which there is no encoding. */
static bool is_version(const char *s) {
        if (!*s)
                return false;
        for (; *s; s++)
                if (*s <= 0x20 || *s >= 0x7f)
                        return false;
        return true;
}

static int scan_meta(struct message *m, struct span meta, const char **why) {
        struct span value;
        int r;

        if (jsonspan_member(meta, "progressToken", &value) == 0 && m->kind == MESSAGE_REQUEST &&
            is_id(value))
                m->progress_token = value;
        if (jsonspan_member(meta, VERSION_KEY, &value) < 0)
                return 0;
        r = copy_string(value, &m->protocol_version);
        if (r < 0)
                return r;
        if (!m->protocol_version || !is_version(m->protocol_version))
                return refuse(why, "the protocol version in _meta is none");
        return 0;
}

static int scan_params(struct message *m, const char **why) {
        bool cancels = streq(m->method, "notifications/cancelled");
        bool progress = streq(m->method, "notifications/progress");
        const char *naming = strncmp(m->method, "resources/", 10) == 0 ? "uri" : "name";
        struct span meta = SPAN_NONE;
        struct span name = SPAN_NONE;
        struct span key;
        struct span value;
        size_t pos = 0;
        int r;

        while (jsonspan_next_member(m->params, &pos, &key, &value)) {
                if (jsonspan_string_is(key, "_meta"))
                        meta = value;
                else if (jsonspan_string_is(key, naming))
                        name = value;
                else if (jsonspan_string_is(key, "arguments"))
                        m->arguments = value;
                else if (cancels && jsonspan_string_is(key, "requestId"))
                        m->cancelled_id = is_id(value) ? value : SPAN_NONE;
                else if (progress && jsonspan_string_is(key, "progressToken"))
                        m->progress_token = is_id(value) ? value : SPAN_NONE;
        }
        r = copy_string(name, &m->name);
        return r < 0 ? r : scan_meta(m, meta, why);
}

static int scan_call(struct message *m, const struct members *top, const char **why) {
        int r;

        if (is_present(m->result) || is_present(m->error))
                return refuse(why, "both a method and an answer");
        m->result = m->error = SPAN_NONE;
        r = copy_string(top->method, &m->method);
        if (r < 0)
                return r;
        if (!m->method)
                return refuse(why, "the method is no string");
        m->kind = top->id.len > 0 ? MESSAGE_REQUEST : MESSAGE_NOTIFICATION;
        if (m->kind == MESSAGE_REQUEST && m->id.len == 0)
                return refuse(why, "the id is neither a string nor a number");
        return scan_params(m, why);
}

static int scan_answer(struct message *m, const struct members *top, const char **why) {
        m->kind = MESSAGE_RESPONSE;
        if (m->id.len == 0 && is_present(top->id))
                return refuse(why, "the id is neither a string nor a number");
        /* Some write both, one of them null. */
        if (m->error.len > 0 && !is_present(m->error))
                m->error = SPAN_NONE;
        else if (m->error.len > 0 && m->result.len > 0 && !is_present(m->result))
                m->result = SPAN_NONE;
        if (m->error.len > 0 && m->result.len > 0)
                return refuse(why, "both a result and an error");
        if (m->error.len == 0 && m->result.len == 0)
                return refuse(why, "neither a method nor an answer");
        if (m->error.len > 0 && jsonspan_type(m->error) != JSONSPAN_OBJECT)
                return refuse(why, "the error is no object");
        if (m->result.len > 0 && m->id.len == 0)
                return refuse(why, "a result without an id");
        m->params = SPAN_NONE;
        return 0;
}

static int scan_object(struct message *m, const char **why) {
        struct members top = { 0 };

        if (jsonspan_type(m->whole) != JSONSPAN_OBJECT)
                return refuse(why, "no object");
        find_members(m, &top);
        if (is_id(top.id))
                m->id = top.id;
        if (!jsonspan_string_is(top.version, "2.0"))
                return refuse(why, "not JSON-RPC 2.0");
        return top.method.len > 0 ? scan_call(m, &top, why) : scan_answer(m, &top, why);
}

int message_scan_value(struct message *m, struct span value, const char **why) {
        const char *unused;
        struct span id;
        int r;

        *m = (struct message){ .whole = value };
        r = scan_object(m, why ? why : &unused);
        if (r < 0) {
                id = m->id;
                message_done(m);
                m->id = id;
        }
        return r;
}

int message_scan(struct message *m, const char *line, size_t len, const char **why) {
        struct span value;
        int r;

        *m = MESSAGE_INIT;
        r = jsonspan_check(line, len, LIMIT_MESSAGE_DEPTH, why);
        if (r < 0)
                return r;
        value = jsonspan_trim(line, len);
        if (jsonspan_type(value) == JSONSPAN_ARRAY) {
                size_t pos = 0;
                struct span item;

                if (!jsonspan_next_item(value, &pos, &item)) {
                        if (why)
                                *why = "an empty batch";
                        return -EPROTO;
                }
                *m = (struct message){ .kind = MESSAGE_BATCH, .whole = value, .items = value };
                return 0;
        }
        return message_scan_value(m, value, why);
}

void message_done(struct message *m) {
        /* Names and addresses of resources may be nobody else's business. */
        (void)str_wipe_free(m->method);
        (void)str_wipe_free(m->protocol_version);
        (void)str_wipe_free(m->name);
        *m = MESSAGE_INIT;
}

bool message_id_equal(struct span a, struct span b) {
        return jsonspan_same(a, b);
}

int message_error_code(const struct message *m) {
        AUTO_BUF struct buf text = BUF_INIT;
        struct span code = SPAN_NONE;
        bool negative;
        int n = 0;

        if (jsonspan_member(m->error, "code", &code) < 0 || jsonspan_integer(&text, code) < 0)
                return 0;
        negative = text.data[0] == '-';
        if (text.len > (negative ? 10 : 9)) /* no code has that many digits, and an int has room */
                return 0;
        for (const char *p = text.data + negative; *p; p++)
                n = n * 10 + (*p - '0');
        return negative ? -n : n;
}

static int append_id(struct buf *out, struct span id) {
        return id.len > 0 ? buf_append(out, id.p, id.len) : buf_append_str(out, "null");
}

/* Each id of duplicates is replaced: who reads the first gets the same. */
static int replace_ids(struct buf *out, const struct message *m, struct span id, bool *ret_found) {
        const char *end = m->whole.p + m->whole.len;
        const char *from = m->whole.p;
        struct span key;
        struct span value;
        size_t pos = 0;
        int r;

        *ret_found = false;
        while (jsonspan_next_member(m->whole, &pos, &key, &value)) {
                if (!jsonspan_string_is(key, "id"))
                        continue;
                *ret_found = true;
                r = buf_append(out, from, (size_t)(value.p - from));
                r = r < 0 ? r : append_id(out, id);
                if (r < 0)
                        return r;
                from = value.p + value.len;
        }
        return buf_append(out, from, (size_t)(end - from));
}

int message_write_with_id(struct buf *out, const struct message *m, struct span id) {
        size_t before = out->len;
        bool found = false;
        int r = replace_ids(out, m, id, &found);

        if (r == 0 && !found) {
                /* A message is no empty object: something follows the comma. */
                buf_truncate(out, before);
                r = buf_append_str(out, "{\"id\":");
                r = r < 0 ? r : append_id(out, id);
                r = r < 0 ? r : buf_append_str(out, ",");
                r = r < 0 ? r : buf_append(out, m->whole.p + 1, m->whole.len - 1);
        }
        if (r < 0)
                buf_truncate(out, before);
        return r;
}

int message_error(struct buf *out, struct span id, int code, const char *text,
                  const char *data_json) {
        size_t before = out->len;
        int r = buf_append_str(out, "{\"jsonrpc\":\"2.0\",\"id\":");

        r = r < 0 ? r : append_id(out, id);
        r = r < 0 ? r : buf_printf(out, ",\"error\":{\"code\":%d,\"message\":", code);
        r = r < 0 ? r : jsonspan_quote(out, text, strlen(text));
        if (data_json) {
                struct span data = { data_json, strlen(data_json) };

                r = r < 0 ? r : buf_append_str(out, ",\"data\":");
                r = r < 0 ? r : jsonspan_compact(out, data);
        }
        r = r < 0 ? r : buf_append_str(out, "}}");
        if (r < 0)
                buf_truncate(out, before);
        return r;
}
