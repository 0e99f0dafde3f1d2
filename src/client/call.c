/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/limits.h"
#include "client/client.h"

#define TOKEN_GET "token.get"

static int build(mcpb_client *c, const char *method, json_t *params, struct buf *line,
                 mcpb_error *err) {
        AUTO_JSON json_t *request = NULL;
        int r;

        buf_clear(line);
        request = json_pack("{s:s,s:I,s:s,s:O*}", "jsonrpc", "2.0", "id", (json_int_t)++c->last_id,
                            "method", method, "params", params);
        if (!request)
                return client_oom(err);
        r = json_write(line, request);
        if (r == 0)
                r = buf_append(line, "\n", 1);
        if (r == -EMSGSIZE)
                return client_error(err, MCPB_BAD_PARAMS, EINVAL, NULL, "The request is too long");
        return r < 0 ? client_oom(err) : 0;
}

/* What the daemon says when it closes on us: about the connection, not about the request. */
static bool is_goodbye(const json_t *error) {
        const char *code = json_get_string(json_object_get(error, "data"), "code");

        return code &&
               (streq(code, error_name(MCPB_TIMEOUT)) || streq(code, error_name(MCPB_STOPPING)));
}

/* Nothing new is begun by a daemon that stops; whoever comes after it may be asked. */
static bool is_stopping(const json_t *error) {
        const char *code = json_get_string(json_object_get(error, "data"), "code");

        return code && streq(code, error_name(MCPB_STOPPING));
}

/* Waits for the answer to the last request. -EPIPE: there will be none. */
static int await(mcpb_client *c, bool again, json_t **ret, mcpb_error *err) {
        for (;;) {
                AUTO_JSON json_t *m = NULL;
                const json_t *id;
                const json_t *error;
                int r;

                r = client_receive(c, &m, err);
                if (r < 0)
                        return r;
                id = json_object_get(m, "id");
                error = json_object_get(m, "error");
                if (json_is_null(id) && json_is_object(error)) {
                        if (is_goodbye(error))
                                /* the end, which comes next, tells what became of the request */
                                continue;
                        r = client_error_remote(err, error);
                        client_disconnect(c);
                        return r;
                }
                if (!json_is_integer(id) || json_integer_value(id) != (json_int_t)c->last_id)
                        continue; /* a notification */
                if (json_is_object(error) && again && is_stopping(error))
                        return -EPIPE;
                if (json_is_object(error))
                        return client_error_remote(err, error);
                *ret = json_incref(json_object_get(m, "result"));
                if (*ret)
                        return 0;
                return client_error(err, MCPB_UNSUPPORTED, EPROTO, NULL,
                                    "The daemon's answer has neither result nor error");
        }
}

static int attempt(mcpb_client *c, const char *method, json_t *params, bool *ret_sent, json_t **ret,
                   mcpb_error *err) {
        AUTO_BUF struct buf line = { .max = LIMIT_LINE_BYTES };
        int r;

        *ret_sent = false;
        r = client_wait(c, -1, 0, 0, err); /* cancelled before it began? */
        if (r != -EAGAIN)
                return r;
        r = client_connect(c, err);
        if (r == 0)
                r = build(c, method, params, &line, err);
        if (r == 0)
                r = client_send(c, &line, err);
        if (r < 0)
                return r;
        r = await(c, streq(method, TOKEN_GET), ret, err);
        *ret_sent = r != -ECONNRESET;
        return r == -ECONNRESET ? -EPIPE : r;
}

int client_call(mcpb_client *c, const char *method, json_t *params, int timeout_msec, json_t **ret,
                mcpb_error *err) {
        AUTO_JSON json_t *owned = params;
        bool sent = false;
        int r = -EPIPE;

        if (err)
                mcpb_error_done(err);
        client_set_deadline(c, c->timeout_msec ? c->timeout_msec : timeout_msec);
        /*
         * What the daemon did not read as a whole line was not acted upon, and may be sent again.
         * Of what it may have read, only token.get may: asked twice it gives the same answer.
         */
        for (int i = 0; i < 2 && r == -EPIPE && (!sent || streq(method, TOKEN_GET)); i++) {
                r = attempt(c, method, owned, &sent, ret, err);
                if (r == -EPIPE)
                        client_disconnect(c);
        }
        if (r == -EPIPE)
                return client_error(err, MCPB_RETRY, ECONNRESET, "Try again.",
                                    "The daemon went away before it answered");
        if (r < 0 && r != -EREMOTEIO && r != -EINVAL)
                client_disconnect(c);
        return r;
}

int client_call_text(mcpb_client *c, const char *method, json_t *params, char **ret,
                     mcpb_error *err) {
        AUTO_JSON json_t *result = NULL;
        AUTO_BUF struct buf text = BUF_INIT;
        int r;

        if (!params)
                return client_oom(err);
        r = client_call(c, method, params, CLIENT_TIMEOUT_MSEC, &result, err);
        if (r < 0 || !ret)
                return r;
        if (json_write(&text, result) < 0)
                return client_oom(err);
        *ret = buf_steal(&text);
        return *ret ? 0 : client_oom(err);
}

int mcpb_call(mcpb_client *c, const char *method, const char *params, char **ret_result,
              mcpb_error *err) {
        json_t *value = NULL;
        const char *why;
        int r;

        if (!params)
                params = "{}";
        if (strlen(params) >= LIMIT_LINE_BYTES)
                return client_error(err, MCPB_BAD_PARAMS, EINVAL, NULL, "The request is too long");
        r = json_parse(params, strlen(params), LIMIT_JSON_DEPTH, &value, &why);
        if (r == -ENOMEM)
                return client_oom(err);
        if (r < 0)
                return client_error(err, MCPB_BAD_PARAMS, EINVAL, NULL, "The parameters: %s", why);
        if (!json_is_object(value)) {
                json_decref(value);
                return client_error(err, MCPB_BAD_PARAMS, EINVAL, NULL,
                                    "The parameters must be a JSON object");
        }
        return client_call_text(c, method, value, ret_result, err);
}
