/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managed identities of Azure: of a virtual machine ("azure"), of App Service, Functions and
 * Container Apps ("azure:app-service"), of a server that Arc has connected ("azure:arc"); and the
 * Kubernetes token of AKS ("azure:aks"). The audience is an application that the tenant knows,
 * "api://..."; a token for anything else Azure does not give.
 */
#include "base/url.h"
#include "identity/provider.h"
#include "identity/when.h"

#define IMDS "http://169.254.169.254"
#define IMDS_PATH "/metadata/identity/oauth2/token"
#define ARC_ENDPOINT "http://127.0.0.1:40342" IMDS_PATH
#define ARC_FOLDER "/var/opt/azcmagent/tokens/"
#define HINT_ASSIGN "Give the machine a managed identity; of several name one by client-id="

/* --- common to the endpoints ------------------------------------------------------------------ */

/* An identifier, or the path of a resource: it goes into a URL, encoded. */
static int azure_check(const struct identity_config *c, struct error *err) {
        unsigned n = 0;

        for (size_t k = 0; k < c->n_options; k++)
                n += !streq(c->options[k].name, "token-audience");
        if (n > 1)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "Give one of client-id=, object-id= and resource-id=",
                                 "The identity provider '%s' is told of several identities",
                                 c->provider);
        return 0;
}

/* Tokens of version 2 name the application by its identifier, whatever it was asked for by. */
static int azure_begin(struct identity *i, struct error *err) {
        (void)err;
        i->token_audience = identity_config_get(&i->config, "token-audience");
        return 0;
}

/* @resource_id is what the service calls a resource id. */
static int ask_endpoint(struct identity *i, const char *endpoint, const char *version,
                        const char *resource_id) {
        const char *const names[][2] = {
                { "client-id", "client_id" },
                { "object-id", "object_id" },
                { "resource-id", resource_id },
        };
        AUTO_BUF struct buf url = BUF_INIT;
        int r = buf_append_str(&url, endpoint);

        if (r == 0)
                r = identity_url_add(&url, "api-version", version);
        if (r == 0)
                r = identity_url_add(&url, "resource", i->audiences[0]);
        for (size_t k = 0; r == 0 && k < ARRAY_SIZE(names); k++) {
                const char *value = identity_config_get(&i->config, names[k][0]);

                if (value)
                        r = identity_url_add(&url, names[k][1], value);
        }
        if (r == 0)
                r = identity_ask_fetch(i, "GET", url.data,
                                       "asking for a token of the managed "
                                       "identity");
        identity_fetch_link_local(i);
        i->repeat = IDENTITY_REPEAT_404 | IDENTITY_REPEAT_410;
        return r;
}

static int take_token(struct identity *i, const struct fetch_answer *a, struct error *err) {
        const char *wanted = identity_config_get(&i->config, "client-id");
        AUTO_JSON json_t *json = NULL;
        const json_t *expires;
        const char *client;
        const char *token;
        uint64_t expires_wall = 0;
        int r = identity_json(i, a->body.data, a->body.len, &json, err);

        if (r < 0)
                return r;
        token = json_get_string(json, "access_token");
        client = json_get_string(json, "client_id");
        expires = json_object_get(json, "expires_on");
        if (!token)
                return identity_fault(i, err, EBADMSG, HINT_ASSIGN,
                                      "the answer has no access_token");
        if (expires && when_from_epoch(expires, &expires_wall) < 0)
                return identity_fault(i, err, EBADMSG,
                                      "Look at what answers there: it is no service of Azure",
                                      "expires_on is no date");
        if (wanted && client && !streq(wanted, client))
                return identity_fault(i, err, EBADMSG, HINT_ASSIGN,
                                      "the token is that of another identity (%.64s)", client);
        return identity_finish_jwt(i, token, strlen(token), expires_wall, err);
}

static int azure_answer(struct identity *i, struct fetch_answer *a, struct error *err) {
        if (a->status == 403)
                return identity_refused(i, a,
                                        "Nothing may stand between: look for a proxy, or a "
                                        "firewall",
                                        err);
        if (a->status != 200)
                return identity_refused(i, a, HINT_ASSIGN, err);
        return take_token(i, a, err);
}

#define AUDIENCE_HINT                                                                      \
        "Ask for the application that stands for the authorization server in the tenant (" \
        "api://...); if its tokens name it otherwise, say how: token-audience="

/* --- azure ----------------------------------------------------------------------------------- */

static int imds_ask(struct identity *i, struct error *err) {
        const char *base = identity_env_get(i->env, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
        AUTO_BUF struct buf endpoint = BUF_INIT;
        size_t len = base ? strlen(base) : 0;
        int r;

        while (len > 0 && base[len - 1] == '/')
                len--;
        if (base && url_check_allowed(base, "host", NULL) < 0 && strncmp(base, "http://", 7) != 0)
                return identity_fault(i, err, EINVAL, "Unset it",
                                      "AZURE_POD_IDENTITY_AUTHORITY_HOST is no URL");
        r = base ? buf_append(&endpoint, base, len) : buf_append_str(&endpoint, IMDS);
        if (r == 0)
                r = buf_append_str(&endpoint, IMDS_PATH);
        i->hint = "Use this provider on a virtual machine of Azure";
        if (r == 0)
                r = ask_endpoint(i, endpoint.data, "2018-02-01", "msi_res_id");
        return r == 0 ? fetch_request_add_header(&i->step.fetch, "Metadata", "true") : r;
}

const struct identity_provider identity_azure = {
        .name = "azure",
        .options = { "client-id", "object-id", "resource-id", "token-audience" },
        .audience_hint = AUDIENCE_HINT,
        .check = azure_check,
        .begin = azure_begin,
        .ask = imds_ask,
        .on_answer = azure_answer,
};

/* --- azure:app-service ----------------------------------------------------------------------- */

static int app_service_ask(struct identity *i, struct error *err) {
        static const char hint[] = "Give the app a managed identity";
        const char *endpoint = identity_need_env(i, "IDENTITY_ENDPOINT", hint, err);
        const char *header = NULL;
        int r;

        if (endpoint)
                header = identity_need_env(i, "IDENTITY_HEADER", hint, err);
        if (!endpoint || !header)
                return -ENOENT;
        i->hint = "See that the app still has its managed identity";
        r = ask_endpoint(i, endpoint, "2019-08-01", "mi_res_id");
        return r == 0 ? fetch_request_add_header(&i->step.fetch, "X-IDENTITY-HEADER", header) : r;
}

const struct identity_provider identity_azure_app_service = {
        .name = "azure:app-service",
        .options = { "client-id", "object-id", "resource-id", "token-audience" },
        .audience_hint = AUDIENCE_HINT,
        .check = azure_check,
        .begin = azure_begin,
        .ask = app_service_ask,
        .on_answer = azure_answer,
};

/* --- azure:arc ------------------------------------------------------------------------------- */

enum arc_phase {
        ARC_CHALLENGE,
        ARC_READ,
        ARC_TOKEN,
};

struct arc {
        char *path; /* of the key that the challenge names */
        struct buf key;
};

static void arc_done(void *state) {
        struct arc *c = state;

        free(c->path);
        buf_done(&c->key);
}

static int arc_fetch(struct identity *i, const struct arc *c) {
        const char *endpoint = identity_env_get(i->env, "IDENTITY_ENDPOINT");
        AUTO_BUF struct buf basic = BUF_INIT;
        int r = ask_endpoint(i, endpoint ? endpoint : ARC_ENDPOINT, "2020-06-01", "msi_res_id");

        /* The agent listens on this machine, and whoever else would get the key. */
        i->step.fetch.allow = ADDRESS_LOOPBACK;
        i->step.fetch.link_local = false;
        i->hint = "See that the agent of Azure Arc (himds) is running";
        if (r == 0)
                r = fetch_request_add_header(&i->step.fetch, "Metadata", "true");
        if (r == 0 && i->phase == ARC_TOKEN) {
                r = buf_printf(&basic, "Basic %.*s", (int)c->key.len, c->key.data);
                if (r == 0)
                        r = fetch_request_add_header(&i->step.fetch, "Authorization", basic.data);
        }
        return r;
}

static int arc_ask(struct identity *i, struct error *err) {
        const struct arc *c = i->state;

        (void)err;
        if (i->phase != ARC_READ)
                return arc_fetch(i, c);
        i->hint = "Let the daemon's user be in the group himds";
        return identity_ask_read(i, c->path, ORDER_RULES_ARC, "reading %s", c->path);
}

/* "Basic realm=/var/opt/azcmagent/tokens/x.key". Whoever answers names a file that we then send to
 * it: it is one of these, or none. */
static char *key_path(const char *challenge) {
        static const char prefix[] = "Basic realm=";
        const char *path;
        size_t len;

        if (!challenge || strncmp(challenge, prefix, strlen(prefix)) != 0)
                return NULL;
        path = challenge + strlen(prefix);
        len = strlen(path);
        if (len > 1 && path[0] == '"' && path[len - 1] == '"') {
                path++;
                len -= 2;
        }
        if (len <= strlen(ARC_FOLDER) + 4 || strncmp(path, ARC_FOLDER, strlen(ARC_FOLDER)) != 0 ||
            memchr(path + strlen(ARC_FOLDER), '/', len - strlen(ARC_FOLDER)) ||
            strncmp(path + len - 4, ".key", 4) != 0)
                return NULL;
        return strndup(path, len);
}

static int arc_answer(struct identity *i, struct fetch_answer *a, struct error *err) {
        struct arc *c = i->state;
        const char *challenge = fetch_answer_header(a, "www-authenticate");

        if (i->phase == ARC_TOKEN || a->status != 401) {
                if (i->phase == ARC_CHALLENGE && a->status == 200)
                        return identity_fault(i, err, EBADMSG,
                                              "Look at what answers there: it is not the agent of "
                                              "Azure Arc",
                                              "a token was given to somebody who showed nothing");
                return azure_answer(i, a, err);
        }
        c->path = key_path(challenge);
        if (!c->path)
                return identity_fault(i, err, EBADMSG,
                                      "Look at what answers there: it is not the agent of Azure "
                                      "Arc",
                                      "the answer names no key in " ARC_FOLDER);
        identity_go(i, ARC_READ);
        return 0;
}

static int arc_bytes(struct identity *i, struct buf *bytes, struct error *err) {
        struct arc *c = i->state;

        for (size_t k = 0; k < bytes->len; k++)
                if ((unsigned char)bytes->data[k] < 0x20 || (unsigned char)bytes->data[k] > 0x7e)
                        return identity_fault(i, err, EBADMSG, i->hint, "it holds what no key has");
        if (bytes->len == 0)
                return identity_fault(i, err, EBADMSG, i->hint, "it is empty");
        buf_move(&c->key, bytes);
        identity_go(i, ARC_TOKEN);
        return 0;
}

const struct identity_provider identity_azure_arc = {
        .name = "azure:arc",
        .options = { "token-audience" },
        .audience_hint = AUDIENCE_HINT,
        .state_size = sizeof(struct arc),
        .check = azure_check,
        .begin = azure_begin,
        .ask = arc_ask,
        .on_answer = arc_answer,
        .on_bytes = arc_bytes,
        .done = arc_done,
};

/* --- azure:aks ------------------------------------------------------------------------------- */

static int aks_ask(struct identity *i, struct error *err) {
        const char *path = identity_need_env(i, "AZURE_FEDERATED_TOKEN_FILE",
                                             "Give the pod the label "
                                             "azure.workload.identity/use: \"true\"",
                                             err);

        if (!path)
                return -ENOENT;
        if (path[0] != '/')
                return identity_fault(i, err, EINVAL, "Unset it",
                                      "AZURE_FEDERATED_TOKEN_FILE is no absolute path");
        i->hint = "See that the webhook of Azure workload identity has mounted it";
        return identity_ask_read(i, path, ORDER_RULES_SECRET, "reading %s", path);
}

const struct identity_provider identity_azure_aks = {
        .name = "azure:aks",
        .every_time = true,
        .audience_hint =
                "Such a token is for api://AzureADTokenExchange: ask for that audience, or "
                "use k8s with a volume of its own",
        .ask = aks_ask,
        .on_bytes = identity_file_bytes,
};
