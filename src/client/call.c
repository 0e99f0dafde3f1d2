/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/limits.h"
#include "client/client.h"

#define TOKEN_GET "token.get"

int call_build(mcpb_client *c, struct call *call, const char *method, json_t *params,
               mcpb_error *err) {
        AUTO_JSON json_t *request = NULL;
        int r;

        list_init(&call->link);
        buf_init(&call->line, LIMIT_LINE_BYTES);
        call->id = ++c->last_id;
        call->repeatable = streq(method, TOKEN_GET);
        request = json_pack("{s:s,s:I,s:s,s:O*}", "jsonrpc", "2.0", "id", (json_int_t)call->id,
                            "method", method, "params", params);
        if (!request)
                return client_oom(err);
        r = json_write(&call->line, request);
        if (r == 0)
                r = buf_append(&call->line, "\n", 1);
        if (r == -EMSGSIZE)
                return client_error(err, MCPB_BAD_PARAMS, EINVAL, NULL, "The request is too long");
        return r < 0 ? client_oom(err) : 0;
}

void call_done(struct call *call) {
        buf_done(&call->line);
        json_wipe_string(call->result, "token");
        json_decref(TAKE(call->result));
        mcpb_error_done(&call->err);
}

/* Until the call is done. What else is answered meanwhile is told by mcpb_dispatch(). */
static int wait_done(mcpb_client *c, struct call *call, mcpb_error *err) {
        int r;

        do {
                r = client_step(c, err);
                if (call->state == CALL_DONE)
                        return 0;
                if (r == 0)
                        r = client_wait(c, c->fd, client_events(c), client_wakeup(c), err);
        } while (r == 0 || r == -EAGAIN);
        client_give_up(c, call);
        return r;
}

int client_call(mcpb_client *c, const char *method, json_t *params, int timeout_msec, json_t **ret,
                mcpb_error *err) {
        struct call call = { .deadline_usec = UINT64_MAX }; /* the wait has it */
        AUTO_JSON json_t *owned = params;
        int r;

        if (err)
                mcpb_error_done(err);
        client_adopt(c);
        client_set_deadline(c, c->timeout_msec ? c->timeout_msec : timeout_msec);
        r = client_wait(c, -1, 0, 0, err); /* cancelled before it began? */
        if (r == -EAGAIN)
                r = call_build(c, &call, method, owned, err);
        if (r == 0) {
                client_enqueue(c, &call);
                r = wait_done(c, &call, err);
        }
        if (r == 0) {
                r = call.r;
                if (r == 0)
                        *ret = TAKE(call.result);
                else
                        client_error_move(err, &call.err);
        }
        call_done(&call);
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

int client_parse_params(const char *params, json_t **ret, mcpb_error *err) {
        AUTO_JSON json_t *value = NULL;
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
        if (!json_is_object(value))
                return client_error(err, MCPB_BAD_PARAMS, EINVAL, NULL,
                                    "The parameters must be a JSON object");
        *ret = TAKE(value);
        return 0;
}

int mcpb_call(mcpb_client *c, const char *method, const char *params, char **ret_result,
              mcpb_error *err) {
        json_t *value = NULL;
        int r = client_parse_params(params, &value, err);

        return r < 0 ? r : client_call_text(c, method, value, ret_result, err);
}
