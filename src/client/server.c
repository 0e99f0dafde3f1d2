/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "client/client.h"
#include "client/login.h"

static int write_member(const json_t *result, const char *key, char **ret) {
        AUTO_BUF struct buf text = BUF_INIT;
        const json_t *value = json_object_get(result, key);

        if (!ret)
                return 0;
        if (value ? json_write(&text, value) < 0 : buf_append_str(&text, "{}") < 0)
                return -ENOMEM;
        *ret = buf_steal(&text);
        return *ret ? 0 : -ENOMEM;
}

static int read_added(const json_t *result, char **ret_server, mcpb_login **ret_login) {
        AUTO_JSON json_t *with_state = NULL;
        const json_t *login = json_object_get(result, "login");
        char *server = NULL;
        int r;

        r = write_member(result, "server", ret_server ? &server : NULL);
        if (r < 0)
                return r;
        if (ret_login)
                *ret_login = NULL;
        if (ret_login && json_is_object(login)) {
                with_state = json_pack("{s:s}", "state", "waiting");
                if (!with_state || json_object_update(with_state, (json_t *)(uintptr_t)login) < 0)
                        r = -ENOMEM;
                else
                        r = login_read(with_state, ret_login);
        }
        if (r < 0) {
                free(server);
                return r;
        }
        if (ret_server)
                *ret_server = server;
        return 0;
}

static void put_own(json_t **params, const mcpb_server_request *q) {
        params_string(params, "present", q->present);
        params_string(params, "identity", q->identity);
        params_string(params, "audience", q->audience);
        params_string(params, "profile", q->profile);
        params_string(params, "client_key", q->client_key);
        params_string(params, "client_key_id", q->client_key_id);
        params_string(params, "signing_alg", q->signing_alg);
        params_string(params, "idp_token_endpoint", q->idp_token_endpoint);
        params_string(params, "idp_client_id", q->idp_client_id);
}

int mcpb_server_add(mcpb_client *c, const mcpb_server_request *request, char **ret_server,
                    mcpb_login **ret_login, mcpb_error *err) {
        mcpb_server_request q = MCPB_SERVER_REQUEST_INIT;
        json_t *params = params_new();
        AUTO_JSON json_t *kept = NULL;
        AUTO_JSON json_t *result = NULL;
        int r;

        memcpy(&q, request, request->size < sizeof(q) ? request->size : sizeof(q));
        params_string(&params, "url", q.url);
        params_string(&params, "name", q.name);
        params_string(&params, "account", q.account);
        params_words(&params, "scopes", q.scopes);
        params_string(&params, "issuer", q.issuer);
        params_string(&params, "client_id", q.client_id);
        params_string(&params, "client_secret", q.client_secret);
        params_string(&params, "client_metadata_url", q.client_metadata_url);
        params_true(&params, "no_resource", q.no_resource != 0);
        params_string(&params, "flow", q.flow);
        params_true(&params, "login", q.login);
        put_own(&params, &q);
        r = params_pairs(&params, "extra", q.extra, q.n_extra);
        if (!params)
                return client_oom(err);
        if (r < 0) {
                json_wipe_string(params, "client_secret");
                json_wipe_string(params, "client_key");
                json_decref(params);
                return client_error(err, MCPB_BAD_PARAMS, EINVAL, NULL,
                                    "What is sent along is NAME=VALUE, and each name stands once");
        }
        kept = json_incref(params);
        r = client_call(c, "server.add", params, CLIENT_TIMEOUT_MSEC, &result, err);
        json_wipe_string(kept, "client_secret");
        json_wipe_string(kept, "client_key");
        if (r < 0)
                return r;
        return read_added(result, ret_server, ret_login) < 0 ? client_oom(err) : 0;
}

int mcpb_server_list(mcpb_client *c, char **ret, mcpb_error *err) {
        return client_call_text(c, "server.list", params_new(), ret, err);
}

static int call_with_server(mcpb_client *c, const char *method, const char *server, char **ret,
                            mcpb_error *err) {
        json_t *params = params_new();

        params_string(&params, "server", server);
        return client_call_text(c, method, params, ret, err);
}

int mcpb_server_show(mcpb_client *c, const char *server, char **ret, mcpb_error *err) {
        return call_with_server(c, "server.show", server, ret, err);
}

int mcpb_server_remove(mcpb_client *c, const char *server, char **ret, mcpb_error *err) {
        return call_with_server(c, "server.remove", server, ret, err);
}

int mcpb_server_remove_all(mcpb_client *c, char **ret, mcpb_error *err) {
        json_t *params = params_new();

        params_true(&params, "all", true);
        return client_call_text(c, "server.remove", params, ret, err);
}
