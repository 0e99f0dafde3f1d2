/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON-RPC messages.
 */
#include "rpc.h"

#include <string.h>

static json_t *message_new(const json_t *id) {
        json_t *message = json_object();

        json_object_set_new(message, "jsonrpc", json_string("2.0"));
        json_object_set_new(message, "id", id ? json_deep_copy(id) : json_null());
        return message;
}

json_t *rpc_result(const json_t *id, json_t *result) {
        json_t *message = message_new(id);

        json_object_set_new(message, "result", result);
        return message;
}

json_t *rpc_error(struct exchange *x, unsigned status, const json_t *id, int code, const char *text,
                  json_t *data) {
        json_t *message = message_new(id);
        json_t *error = json_pack("{s:i, s:s}", "code", code, "message", text);

        if (data)
                json_object_set_new(error, "data", data);
        json_object_set_new(message, "error", error);
        exchange_note(x, "%s", text);
        x->status = status;
        return message;
}

bool rpc_is_message(const json_t *message) {
        const char *version = json_string_value(json_object_get(message, "jsonrpc"));

        return version && strcmp(version, "2.0") == 0;
}
