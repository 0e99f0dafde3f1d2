/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "client/client.h"

mcpb_token *mcpb_token_free(mcpb_token *t) {
        if (!t)
                return NULL;
        (void)str_wipe_free(t->token);
        free(t->token_type);
        free(t->token_id);
        free(t->server);
        free(t->scopes);
        free(t->request);
        free(t->url);
        free(t);
        return NULL;
}

static int join_words(char **to, const json_t *array) {
        AUTO_BUF struct buf b = BUF_INIT;
        const json_t *item;
        size_t i;

        json_array_foreach(array, i, item) {
                if (json_is_string(item) &&
                    buf_printf(&b, "%s%s", b.len ? " " : "", json_string_value(item)) < 0)
                        return -ENOMEM;
        }
        *to = buf_steal(&b);
        return *to ? 0 : -ENOMEM;
}

static int read_token(const json_t *result, mcpb_token **ret, mcpb_error *err) {
        mcpb_token *t = calloc(1, sizeof(*t));
        int r = 0;

        if (!t)
                return client_oom(err);
        t->expires_in = (long)json_get_int(result, "expires_in", -1);
        t->no_challenge = json_get_bool(result, "no_challenge", false);
        if (client_take_string(&t->token, result, "token") < 0 ||
            client_take_string(&t->token_type, result, "token_type") < 0 ||
            client_take_string(&t->token_id, result, "token_id") < 0 ||
            client_take_string(&t->server, result, "server") < 0 ||
            client_take_string(&t->url, result, "url") < 0 ||
            client_take_string(&t->request, result, "request") < 0 ||
            join_words(&t->scopes, json_object_get(result, "scopes")) < 0)
                r = client_oom(err);
        else if (t->no_challenge)
                t->token = str_wipe_free(t->token); /* there is none to send */
        else if (!t->token || !t->token_type || !t->token_id || !t->server)
                r = client_error(err, MCPB_UNSUPPORTED, EPROTO, NULL,
                                 "The daemon's answer is no token");
        if (r < 0) {
                (void)mcpb_token_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

int client_read_token(json_t *result, mcpb_token **ret, mcpb_error *err) {
        int r = read_token(result, ret, err);

        json_wipe_string(result, "token");
        return r;
}

/* NULL: out of memory. */
static json_t *token_params(const mcpb_token_request *request) {
        mcpb_token_request q = MCPB_TOKEN_REQUEST_INIT;
        json_t *params = params_new();

        memcpy(&q, request, request->size < sizeof(q) ? request->size : sizeof(q));
        params_string(&params, "server", q.server);
        params_string(&params, "account", q.account);
        params_words(&params, "scopes", q.scopes);
        params_number(&params, "min_ttl", q.min_ttl);
        params_true(&params, "helper", q.helper);
        params_true(&params, "optional", q.optional);
        params_challenge(&params, q.challenge);
        params_string(&params, "token_id", q.token_id);
        params_string(&params, "on_behalf_of", q.on_behalf_of);
        params_string(&params, "login", q.start_login ? "start" : NULL);
        return params;
}

int mcpb_token_get(mcpb_client *c, const mcpb_token_request *request, mcpb_token **ret,
                   mcpb_error *err) {
        json_t *params = token_params(request);
        AUTO_JSON json_t *result = NULL;
        int r;

        if (!params)
                return client_oom(err);
        r = client_call(c, "token.get", params, CLIENT_TIMEOUT_MSEC, &result, err);
        return r < 0 ? r : client_read_token(result, ret, err);
}

int mcpb_token_submit(mcpb_client *c, const mcpb_token_request *request, mcpb_token_fn fn,
                      void *userdata, unsigned long long *ret_ticket, mcpb_error *err) {
        const struct call told = { .on_token = fn, .userdata = userdata };

        return client_submit(c, "token.get", token_params(request), &told, ret_ticket, err);
}

int mcpb_token_reject(mcpb_client *c, const char *server, const char *account, const char *token_id,
                      const mcpb_challenge *challenge, mcpb_error *err) {
        json_t *params = params_new();

        params_string(&params, "server", server);
        params_string(&params, "account", account);
        params_string(&params, "token_id", token_id);
        params_challenge(&params, challenge);
        return client_call_text(c, "token.reject", params, NULL, err);
}

int mcpb_token_prove(mcpb_client *c, const mcpb_proof_request *request, char **ret,
                     mcpb_error *err) {
        mcpb_proof_request q = MCPB_PROOF_REQUEST_INIT;
        AUTO_JSON json_t *result = NULL;
        json_t *params = params_new();
        const char *proof;
        int r;

        memcpy(&q, request, request->size < sizeof(q) ? request->size : sizeof(q));
        params_string(&params, "server", q.server);
        params_string(&params, "account", q.account);
        params_string(&params, "token_id", q.token_id);
        params_string(&params, "method", q.method);
        params_string(&params, "url", q.url);
        params_string(&params, "nonce", q.nonce);
        if (!params)
                return client_oom(err);
        r = client_call(c, "token.proof", params, CLIENT_TIMEOUT_MSEC, &result, err);
        if (r < 0)
                return r;
        proof = json_get_string(result, "proof");
        if (!proof)
                return client_error(err, MCPB_UNSUPPORTED, EPROTO, NULL,
                                    "The daemon's answer is no proof");
        *ret = strdup(proof);
        return *ret ? 0 : client_oom(err);
}
