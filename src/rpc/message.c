/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "rpc/message.h"

#include "base/limits.h"

static int bad_request(struct error *err, const char *what) {
        return error_set(err, MCPB_BAD_REQUEST, EBADMSG, NULL, "Not a JSON-RPC 2.0 request: %s",
                         what);
}

void message_done(struct message *m) {
        json_decref(m->root);
        *m = MESSAGE_INIT;
}

static int read_id(struct message *m, struct error *err) {
        const json_t *id = json_object_get(m->root, "id");

        if (!id)
                return 0;
        if (!json_is_integer(id) && !json_is_string(id))
                return bad_request(err, "the id must be a string or an integer");
        if (json_is_string(id) && json_string_length(id) > LIMIT_REQUEST_ID_BYTES)
                return bad_request(err, "the id is too long");
        m->id = id;
        return 0;
}

int message_parse(struct message *ret, const char *line, size_t len, struct error *err) {
        const char *version;
        const char *why;
        json_t *params;
        int r;

        *ret = MESSAGE_INIT;
        r = json_parse(line, len, LIMIT_JSON_DEPTH, &ret->root, &why);
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return error_set(err, MCPB_PARSE_ERROR, EBADMSG, NULL, "Not a message: %s", why);
        if (json_is_array(ret->root))
                return bad_request(err, "batches are not taken; send one request a line");
        if (!json_is_object(ret->root))
                return bad_request(err, "not an object");
        r = read_id(ret, err);
        if (r < 0)
                return r;
        version = json_get_string(ret->root, "jsonrpc");
        if (!version || !streq(version, "2.0"))
                return bad_request(err, "\"jsonrpc\" must be \"2.0\"");
        ret->name = json_get_string(ret->root, "method");
        if (!ret->name)
                return bad_request(err, "\"method\" must be a string");

        ret->notification = !ret->id;
        params = json_object_get(ret->root, "params");
        if (!params) {
                params = json_object();
                if (!params || json_object_set_new(ret->root, "params", params) < 0)
                        return error_oom(err);
        }
        if (json_is_array(params))
                return error_set(err, MCPB_BAD_PARAMS, EBADMSG, NULL,
                                 "Parameters are given by name, not by position");
        if (!json_is_object(params)) {
                ret->notification = false; /* no valid one: the specification has it answered */
                return bad_request(err, "\"params\" must be an object");
        }
        ret->params = params;
        return 0;
}

int message_hello(struct buf *out, const char *nonce) {
        /* The nonce is base64url: nothing in it needs an escape. */
        return buf_printf(out,
                          "{\"jsonrpc\":\"2.0\",\"method\":\"hello\",\"params\":{\"protocol\":%d,"
                          "\"version\":\"%s\",\"nonce\":\"%s\"}}\n",
                          MESSAGE_PROTOCOL, PACKAGE_VERSION, nonce);
}

/* {"jsonrpc":"2.0","id":ID,"WHAT":VALUE} */
static int write_answer(struct buf *out, const json_t *id, const char *what, const json_t *value) {
        size_t before = out->len;
        int r;

        r = buf_append_str(out, "{\"jsonrpc\":\"2.0\",\"id\":");
        if (r == 0)
                r = id ? json_write(out, id) : buf_append_str(out, "null");
        if (r == 0)
                r = buf_printf(out, ",\"%s\":", what);
        if (r == 0)
                r = json_write(out, value);
        if (r == 0)
                r = buf_append_str(out, "}\n");
        if (r < 0)
                buf_truncate(out, before);
        return r;
}

int message_result(struct buf *out, const json_t *id, const json_t *result) {
        return write_answer(out, id, "result", result);
}

int message_error(struct buf *out, const json_t *id, const struct error *err, const json_t *data) {
        AUTO_JSON json_t *all = data ? json_copy((json_t *)(uintptr_t)data) : json_object();
        AUTO_JSON json_t *body = NULL;

        if (!all || json_object_set_new(all, "code", json_string(error_name(err->code))) < 0)
                return -ENOMEM;
        if (err->hint[0] && json_object_set_new(all, "hint", json_string(err->hint)) < 0)
                return -ENOMEM;
        if (!err->hint[0])
                (void)json_object_del(all, "hint");
        body = json_pack("{s:i,s:s,s:O}", "code", error_number(err->code), "message", err->message,
                         "data", all);
        if (!body)
                return -ENOMEM;
        return write_answer(out, id, "error", body);
}
