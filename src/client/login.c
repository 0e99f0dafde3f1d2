/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "client/login.h"

#include "client/client.h"

mcpb_login *mcpb_login_free(mcpb_login *l) {
        if (!l)
                return NULL;
        free(l->login);
        (void)str_wipe_free(l->url); /* holds the state of the login */
        free(l->server);
        free(l->state);
        free(l->error_code);
        free(l->error);
        free(l->error_hint);
        (void)str_wipe_free(l->user_code);
        free(l->verification_uri);
        free(l);
        return NULL;
}

int login_read(const json_t *value, mcpb_login **ret) {
        const json_t *error = json_object_get(value, "error");
        mcpb_login *l = calloc(1, sizeof(*l));

        if (!l)
                return -ENOMEM;
        l->seconds_left = (long)json_get_int(value, "seconds_left", -1);
        l->opener = json_get_bool(value, "opener", false);
        if (client_take_string(&l->login, value, "login") < 0 ||
            client_take_string(&l->url, value, "url") < 0 ||
            client_take_string(&l->server, value, "server") < 0 ||
            client_take_string(&l->state, value, "state") < 0 ||
            client_take_string(&l->user_code, value, "user_code") < 0 ||
            client_take_string(&l->verification_uri, value, "verification_uri") < 0 ||
            client_take_string(&l->error_code, error, "code") < 0 ||
            client_take_string(&l->error, error, "message") < 0 ||
            client_take_string(&l->error_hint, error, "hint") < 0) {
                (void)mcpb_login_free(l);
                return -ENOMEM;
        }
        *ret = l;
        return 0;
}

int mcpb_login_from_error(const mcpb_error *err, mcpb_login **ret) {
        AUTO_JSON json_t *data = NULL;
        int r;

        if (!err->data)
                return -ENOENT;
        r = json_parse(err->data, strlen(err->data), CLIENT_JSON_DEPTH, &data, NULL);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || !json_get_string(data, "login"))
                return -ENOENT;
        return login_read(data, ret);
}

static int call(mcpb_client *c, const char *method, json_t *params, int timeout_msec,
                const char *login, mcpb_login **ret, mcpb_error *err) {
        AUTO_JSON json_t *result = NULL;
        mcpb_login *l = NULL;
        int r;

        if (!params)
                return client_oom(err);
        r = client_call(c, method, params, timeout_msec, &result, err);
        if (r < 0)
                return r;
        if (!ret)
                return 0;
        if (login_read(result, &l) < 0)
                return client_oom(err);
        if (!l->login && login)
                l->login = strdup(login); /* the answer need not repeat it */
        if (!l->state)
                l->state = strdup(json_get_bool(result, "open", false) ? "open" : "waiting");
        if (!l->state || (!l->login && !streq(l->state, "open"))) {
                (void)mcpb_login_free(l);
                return client_oom(err);
        }
        *ret = l;
        return 0;
}

int mcpb_login_start(mcpb_client *c, const char *server, const char *scopes, mcpb_login **ret,
                     mcpb_error *err) {
        json_t *params = params_new();

        params_string(&params, "server", server);
        params_words(&params, "scopes", scopes);
        return call(c, "login.start", params, CLIENT_TIMEOUT_MSEC, NULL, ret, err);
}

int mcpb_login_status(mcpb_client *c, const char *login, mcpb_login **ret, mcpb_error *err) {
        json_t *params = params_new();

        params_string(&params, "login", login);
        return call(c, "login.status", params, CLIENT_TIMEOUT_MSEC, login, ret, err);
}

int mcpb_login_wait(mcpb_client *c, const char *login, mcpb_login **ret, mcpb_error *err) {
        json_t *params = params_new();

        params_string(&params, "login", login);
        return call(c, "login.wait", params, LOGIN_WAIT_MSEC, login, ret, err);
}

int mcpb_login_complete(mcpb_client *c, const char *login, const char *redirect_url,
                        mcpb_login **ret, mcpb_error *err) {
        json_t *params = params_new();
        AUTO_JSON json_t *kept = NULL;
        int r;

        params_string(&params, "login", login);
        params_string(&params, "redirect_url", redirect_url);
        kept = json_incref(params);
        r = call(c, "login.complete", params, CLIENT_TIMEOUT_MSEC, login, ret, err);
        json_wipe_string(kept, "redirect_url");
        return r;
}

int mcpb_login_cancel(mcpb_client *c, const char *login, mcpb_error *err) {
        json_t *params = params_new();

        params_string(&params, "login", login);
        return client_call_text(c, "login.cancel", params, NULL, err);
}
