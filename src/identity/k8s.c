/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identity of a Kubernetes service account: the token of a projected volume ("k8s"), which is
 * the way to go, or one that the API server is asked for ("k8s:request"), for audiences that nobody
 * knew when the pod was made. What the pod is called stands in the token that it has anyway.
 */
#include "base/clock.h"
#include "base/codec.h"
#include "base/limits.h"
#include "identity/provider.h"
#include "jose/jwt.h"

#define TOKEN_PATH "/var/run/secrets/mcp-broker/token"
#define ACCOUNT_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"
#define NAME_MAX_K8S 253
#define EXPIRATION_SEC 600 /* the least that Kubernetes gives */
#define EXPIRATION_SEC_MAX ((uint64_t)24 * 3600)

/* --- k8s ----------------------------------------------------------------------------------- */

static int k8s_check(const struct identity_config *c, struct error *err) {
        const char *path = identity_config_get(c, "path");

        if (path && path[0] != '/')
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Give an absolute path",
                                 "The identity provider 'k8s' cannot take path=%.128s", path);
        /* It is good at the API server, where it may do all that the pod may. */
        if (path && strncmp(path, ACCOUNT_FOLDER "/", sizeof(ACCOUNT_FOLDER)) == 0)
                return error_set(err, MCPB_BAD_CONFIG, EPERM,
                                 "Mount a projected volume with an audience of its own, or use "
                                 "k8s:request",
                                 "The token in " ACCOUNT_FOLDER " is for the API server alone");
        return 0;
}

static int k8s_ask(struct identity *i, struct error *err) {
        const char *path = identity_config_get(&i->config, "path");

        (void)err;
        path = path ? path : TOKEN_PATH;
        i->hint = "Mount a projected volume with a serviceAccountToken into the broker's container";
        return identity_ask_read(i, path, ORDER_RULES_SECRET, "reading %s", path);
}

const struct identity_provider identity_k8s = {
        .name = "k8s",
        .options = { "path" },
        .argument = "path",
        .every_time = true,
        .audience_hint = "Set audience: of the projected serviceAccountToken to the audience",
        .check = k8s_check,
        .ask = k8s_ask,
        .on_bytes = identity_file_bytes,
};

/* --- k8s:request ----------------------------------------------------------------------------- */

enum phase {
        READ_CA,
        READ_TOKEN,
        ASK_SERVER,
};

struct request {
        struct buf ca;
        struct buf token;
        char *namespace;
        char *account;
        char *pod; /* NULL: not known, or of another account */
        char *pod_uid;
};

static void request_done(void *state) {
        struct request *q = state;

        buf_done(&q->ca);
        buf_done(&q->token);
        free(q->namespace);
        free(q->account);
        free(q->pod);
        free(q->pod_uid);
}

/* These go into a URL. */
static bool is_object_name(const char *text, size_t len) {
        for (size_t k = 0; k < len; k++)
                if (!((text[k] >= 'a' && text[k] <= 'z') || (text[k] >= '0' && text[k] <= '9') ||
                      (k > 0 && (text[k] == '-' || text[k] == '.'))))
                        return false;
        return len > 0 && len <= NAME_MAX_K8S;
}

static int request_check(const struct identity_config *c, struct error *err) {
        static const char *const names[] = { "namespace", "account" };
        const char *folder = identity_config_get(c, "folder");
        const char *expiration = identity_config_get(c, "expiration");
        uint64_t sec;

        for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
                const char *name = identity_config_get(c, names[k]);

                if (name && !is_object_name(name, strlen(name)))
                        return error_set(
                                err, MCPB_BAD_CONFIG, EINVAL, "Give a name as Kubernetes has them",
                                "The identity provider 'k8s:request' cannot take %s=%.128s",
                                names[k], name);
        }
        if (folder && folder[0] != '/')
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Give an absolute path",
                                 "The identity provider 'k8s:request' cannot take folder=%.128s",
                                 folder);
        if (expiration && (duration_parse(expiration, &sec) < 0 || sec < EXPIRATION_SEC ||
                           sec > EXPIRATION_SEC_MAX))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Give 10m to 24h",
                                 "The identity provider 'k8s:request' cannot take "
                                 "expiration=%.128s",
                                 expiration);
        return 0;
}

static int read_own(struct identity *i, const char *name, enum order_rules rules) {
        const char *folder = identity_config_get(&i->config, "folder");
        AUTO_BUF struct buf path = BUF_INIT;
        int r = buf_printf(&path, "%s/%s", folder ? folder : ACCOUNT_FOLDER, name);

        if (r < 0)
                return r;
        i->hint = "Let the pod have its service account token (automountServiceAccountToken)";
        return identity_ask_read(i, path.data, rules, "reading %s", path.data);
}

static json_t *request_body(const struct identity *i, const struct request *q) {
        const char *expiration = identity_config_get(&i->config, "expiration");
        AUTO_JSON json_t *audiences = json_array();
        AUTO_JSON json_t *spec = NULL;
        uint64_t sec = EXPIRATION_SEC;

        if (expiration && duration_parse(expiration, &sec) < 0)
                sec = EXPIRATION_SEC;
        for (size_t k = 0; k < i->n_audiences; k++)
                if (json_array_append_new(audiences, json_string(i->audiences[k])) < 0)
                        return NULL;
        spec = json_pack("{sO sI}", "audiences", audiences, "expirationSeconds", (json_int_t)sec);
        /* So that it dies with the pod. */
        if (spec && q->pod &&
            json_object_set_new(spec, "boundObjectRef",
                                json_pack("{ss ss ss ss}", "kind", "Pod", "apiVersion", "v1",
                                          "name", q->pod, "uid", q->pod_uid)) < 0)
                return NULL;
        return json_pack("{ss ss sO}", "apiVersion", "authentication.k8s.io/v1", "kind",
                         "TokenRequest", "spec", spec);
}

static int server_url(const struct identity *i, const struct request *q, struct buf *url,
                      struct error *err) {
        static const char hint[] = "Start the daemon in a pod";
        const char *host = identity_need_env(i, "KUBERNETES_SERVICE_HOST", hint, err);
        const char *port = NULL;
        bool bare_ipv6 = host && host[0] != '[' && strchr(host, ':');
        uint64_t number;

        if (host)
                port = identity_need_env(i, "KUBERNETES_SERVICE_PORT", hint, err);
        if (!host || !port)
                return -ENOENT;
        if (!identity_is_authority(host) || number_parse(port, UINT16_MAX, &number) < 0)
                return identity_fault(i, err, EINVAL, hint,
                                      "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name no "
                                      "server");
        return buf_printf(url, "https://%s%s%s:%s/api/v1/namespaces/%s/serviceaccounts/%s/token",
                          bare_ipv6 ? "[" : "", host, bare_ipv6 ? "]" : "", port, q->namespace,
                          q->account);
}

static int ask_server(struct identity *i, struct error *err) {
        struct request *q = i->state;
        struct fetch_request *f = &i->step.fetch;
        AUTO_JSON json_t *body = request_body(i, q);
        AUTO_BUF struct buf url = BUF_INIT;
        AUTO_BUF struct buf bearer = BUF_INIT;
        int r = body ? server_url(i, q, &url, err) : -ENOMEM;

        i->hint = "See that the broker's container reaches the API server";
        if (r == 0)
                r = identity_ask_fetch(i, "POST", url.data,
                                       "asking the API server for a token of %s/%s", q->namespace,
                                       q->account);
        if (r == 0)
                r = buf_printf(&bearer, "Bearer %.*s", (int)q->token.len, q->token.data);
        if (r == 0)
                r = fetch_request_add_header(f, "Authorization", bearer.data);
        if (r == 0)
                r = fetch_request_add_header(f, "Content-Type", "application/json");
        if (r == 0)
                r = fetch_request_add_header(f, "Accept", "application/json");
        if (r == 0)
                r = buf_append(&f->ca_pem, q->ca.data, q->ca.len);
        return r == 0 ? json_write(&f->body, body) : r;
}

static int request_begin(struct identity *i, struct error *err) {
        static const char hint[] = "Start the daemon in a pod";

        return identity_need_env(i, "KUBERNETES_SERVICE_HOST", hint, err) &&
                               identity_need_env(i, "KUBERNETES_SERVICE_PORT", hint, err)
                       ? 0
                       : -ENOENT;
}

static int request_ask(struct identity *i, struct error *err) {
        switch ((enum phase)i->phase) {
        case READ_CA:
                return read_own(i, "ca.crt", ORDER_RULES_PUBLIC);
        case READ_TOKEN:
                return read_own(i, "token", ORDER_RULES_SECRET);
        case ASK_SERVER:
                return ask_server(i, err);
        }
        return -EINVAL;
}

static int copy_name(char **to, const char *text, size_t len) {
        if (!is_object_name(text, len))
                return -EBADMSG;
        *to = strndup(text, len);
        return *to ? 0 : -ENOMEM;
}

/* "system:serviceaccount:NAMESPACE:NAME" */
static int names_from_subject(struct request *q, const json_t *claims) {
        static const char prefix[] = "system:serviceaccount:";
        const char *sub = json_get_string(claims, "sub");
        const char *colon;
        int r;

        if (!sub || strncmp(sub, prefix, strlen(prefix)) != 0)
                return -EBADMSG;
        sub += strlen(prefix);
        colon = strchr(sub, ':');
        if (!colon)
                return -EBADMSG;
        r = copy_name(&q->namespace, sub, (size_t)(colon - sub));
        return r == 0 ? copy_name(&q->account, colon + 1, strlen(colon + 1)) : r;
}

/* Configuration may name another account, and then no pod: it is not that account's. */
static int names_from_config(const struct identity *i, struct request *q, const json_t *claims) {
        const char *namespace = identity_config_get(&i->config, "namespace");
        const char *account = identity_config_get(&i->config, "account");
        const json_t *pod = json_object_get(json_object_get(claims, "kubernetes.io"), "pod");
        const char *name = json_get_string(pod, "name");
        const char *uid = json_get_string(pod, "uid");
        bool own = (!namespace || streq(namespace, q->namespace)) &&
                   (!account || streq(account, q->account));

        if (own) {
                if (!name || !uid)
                        return 0;
                q->pod = strdup(name);
                q->pod_uid = strdup(uid);
                return q->pod && q->pod_uid ? 0 : -ENOMEM;
        }
        if (namespace) {
                free(q->namespace);
                q->namespace = strdup(namespace);
        }
        if (account) {
                free(q->account);
                q->account = strdup(account);
        }
        return q->namespace && q->account ? 0 : -ENOMEM;
}

static int take_token(struct identity *i, const struct buf *bytes, struct error *err) {
        struct request *q = i->state;
        AUTO_JSON json_t *claims = NULL;
        size_t len = bytes->len;
        int r;

        while (len > 0 && strchr(" \t\r\n", bytes->data[len - 1]))
                len--;
        r = jwt_read(bytes->data, len, NULL, &claims);
        if (r == 0)
                r = names_from_subject(q, claims);
        if (r == 0)
                r = names_from_config(i, q, claims);
        if (r == 0)
                r = buf_append(&q->token, bytes->data, len);
        if (r == -EBADMSG)
                return identity_fault(i, err, EBADMSG, i->hint,
                                      "it is no token of a service account");
        return r;
}

static int request_bytes(struct identity *i, struct buf *bytes, struct error *err) {
        struct request *q = i->state;
        int r;

        if (i->phase == READ_CA) {
                if (bytes->len == 0 || bytes->len > LIMIT_PEM_BYTES)
                        return identity_fault(i, err, EBADMSG, i->hint,
                                              "it holds no certificate, or too many");
                buf_move(&q->ca, bytes);
                identity_go(i, READ_TOKEN);
                return 0;
        }
        r = take_token(i, bytes, err);
        if (r == 0)
                identity_go(i, ASK_SERVER);
        return r;
}

static const char *refusal_hint(unsigned status) {
        switch (status) {
        case 401:
                return "See that the token in " ACCOUNT_FOLDER " is that of this cluster";
        case 403:
                return "Let the service account \"create\" the resource \"serviceaccounts/token\"";
        case 404:
                return "See that the service account exists";
        default:
                return "Look at the options of the provider";
        }
}

static int request_answer(struct identity *i, struct fetch_answer *a, struct error *err) {
        static const char hint[] = "Look at what answers there: it is no API server";
        AUTO_JSON json_t *json = NULL;
        const json_t *status;
        const char *token;
        const char *expires;
        uint64_t expires_wall = 0;
        int r;

        if (a->status != 201 && a->status != 200)
                return identity_refused(i, a, refusal_hint(a->status), err);
        r = identity_json(i, a->body.data, a->body.len, &json, err);
        if (r < 0)
                return r;
        status = json_object_get(json, "status");
        token = json_get_string(status, "token");
        expires = json_get_string(status, "expirationTimestamp");
        if (!token)
                return identity_fault(i, err, EBADMSG, hint, "the answer has no status.token");
        if (expires && clock_parse_utc(expires, &expires_wall) < 0)
                return identity_fault(i, err, EBADMSG, hint,
                                      "status.expirationTimestamp is no date");
        return identity_finish_jwt(i, token, strlen(token), expires_wall, err);
}

const struct identity_provider identity_k8s_request = {
        .name = "k8s:request",
        .options = { "account", "namespace", "expiration", "folder" },
        .many_audiences = true,
        .state_size = sizeof(struct request),
        .check = request_check,
        .begin = request_begin,
        .ask = request_ask,
        .on_answer = request_answer,
        .on_bytes = request_bytes,
        .done = request_done,
};
