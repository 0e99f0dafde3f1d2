/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/detect.h"

#define DMI "/sys/class/dmi/id/"
#define K8S_TOKEN "/var/run/secrets/mcp-broker/token"
#define K8S_OWN_TOKEN "/var/run/secrets/kubernetes.io/serviceaccount/token"
#define HIMDS "/opt/azcmagent/bin/himds"
#define HINT_AWS                                                                 \
        "Let the account issue tokens (iam:EnableOutboundWebIdentityFederation)" \
        ", and the role ask for them (sts:GetWebIdentityToken)"

/* A variable, or a file with what stands in it (NULL: anything). */
struct sign {
        const char *variable;
        const char *path;
        const char *content;
};

#define VARIABLE(name) \
        { (name), NULL, NULL }
#define PRESENT(path) \
        { NULL, (path), NULL }
#define SAYS(path, content) \
        { NULL, (path), (content) }
#define SIGNS_MAX 2
#define NEEDS_MAX 2

static const struct platform {
        const char *name;
        const char *provider;
        struct sign signs[SIGNS_MAX]; /* all of them */
        struct sign needs[NEEDS_MAX];
        const char *remedy;
} platforms[] = {
        { "Kubernetes",
          "k8s",
          { VARIABLE("KUBERNETES_SERVICE_HOST") },
          { PRESENT(K8S_TOKEN) },
          "Mount a projected volume with a serviceAccountToken at /var/run/secrets/mcp-broker" },
        { "Kubernetes",
          "k8s:request",
          { VARIABLE("KUBERNETES_SERVICE_HOST"), PRESENT(K8S_OWN_TOKEN) },
          { VARIABLE("KUBERNETES_SERVICE_PORT") },
          "Start the daemon with the environment of the pod" },
        { "Amazon EKS (IRSA)",
          "aws-wit",
          { VARIABLE("AWS_WEB_IDENTITY_TOKEN_FILE") },
          { VARIABLE("AWS_ROLE_ARN") },
          "Name the role: AWS_ROLE_ARN" },
        { "Amazon EKS Pod Identity, or AWS Lambda with SnapStart",
          "aws-wit",
          { VARIABLE("AWS_CONTAINER_CREDENTIALS_FULL_URI") },
          { { NULL } },
          NULL },
        { "Amazon ECS",
          "aws-wit",
          { VARIABLE("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") },
          { { NULL } },
          NULL },
        { "AWS Lambda",
          "aws-wit",
          { VARIABLE("AWS_LAMBDA_FUNCTION_NAME") },
          { VARIABLE("AWS_ACCESS_KEY_ID"), VARIABLE("AWS_SECRET_ACCESS_KEY") },
          "Start the daemon with the environment of the function" },
        { "Amazon EC2", "aws-wit", { SAYS(DMI "sys_vendor", "Amazon EC2") }, { { NULL } }, NULL },
        { "Azure virtual machine",
          "azure",
          { SAYS(DMI "chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77") },
          { { NULL } },
          NULL },
        { "Azure App Service, Functions or Container Apps",
          "azure:app-service",
          { VARIABLE("IDENTITY_ENDPOINT"), VARIABLE("IDENTITY_HEADER") },
          { { NULL } },
          NULL },
        { "Azure Arc",
          "azure:arc",
          { VARIABLE("IDENTITY_ENDPOINT"), VARIABLE("IMDS_ENDPOINT") },
          { { NULL } },
          NULL },
        { "Azure Arc", "azure:arc", { PRESENT(HIMDS) }, { { NULL } }, NULL },
        { "AKS workload identity",
          "azure:aks",
          { VARIABLE("AZURE_FEDERATED_TOKEN_FILE") },
          { { NULL } },
          NULL },
        { "Google Compute Engine",
          "gcp",
          { SAYS(DMI "product_name", "Google Compute Engine") },
          { { NULL } },
          NULL },
        { "Google Cloud Run", "gcp", { VARIABLE("K_SERVICE") }, { { NULL } }, NULL },
        { "GitHub Actions",
          "github",
          { VARIABLE("GITHUB_ACTIONS") },
          { VARIABLE("ACTIONS_ID_TOKEN_REQUEST_URL"), VARIABLE("ACTIONS_ID_TOKEN_REQUEST_TOKEN") },
          "Give the job the permission \"id-token: write\"" },
        { "GitLab CI",
          "gitlab",
          { VARIABLE("GITLAB_CI") },
          { VARIABLE("MCP_ID_TOKEN") },
          "Give the job id_tokens: {MCP_ID_TOKEN: {aud: ...}}" },
        { "SPIFFE", "spiffe", { VARIABLE("SPIFFE_ENDPOINT_SOCKET") }, { { NULL } }, NULL },
        { "SPIFFE", "spiffe:x509", { VARIABLE("SPIFFE_CREDENTIAL_FOLDER") }, { { NULL } }, NULL },
};

static const struct {
        const char *path;
        bool content;
} traces_looked_for[] = {
        { K8S_TOKEN, false },       { K8S_OWN_TOKEN, false },          { HIMDS, false },
        { DMI "sys_vendor", true }, { DMI "chassis_asset_tag", true }, { DMI "product_name", true },
};

const char *identity_trace(size_t index, bool *ret_content) {
        if (index >= ARRAY_SIZE(traces_looked_for))
                return NULL;
        *ret_content = traces_looked_for[index].content;
        return traces_looked_for[index].path;
}

static bool is_there(const struct identity_env *env, const json_t *traces, const struct sign *s) {
        const char *content;

        if (s->variable)
                return identity_env_get(env, s->variable) != NULL;
        content = json_get_string(traces, s->path);
        return content && (!s->content || streq(content, s->content));
}

static bool is_sign(const struct sign *s) {
        return s->variable || s->path;
}

static const char *sign_name(const struct sign *s) {
        return s->variable ? s->variable : s->path;
}

static bool is_seen(const struct platform *p, const struct identity_env *env,
                    const json_t *traces) {
        for (size_t k = 0; k < SIGNS_MAX && is_sign(&p->signs[k]); k++)
                if (!is_there(env, traces, &p->signs[k]))
                        return false;
        return true;
}

static int add_line(json_t *list, const char *platform, const char *provider, const char *because,
                    json_t *missing, const char *remedy) {
        json_t *line = json_pack("{ss ss ss sO}", "platform", platform, "provider", provider,
                                 "because", because, "missing", missing);

        if (line && remedy && json_array_size(missing) > 0 &&
            json_object_set_new(line, "remedy", json_string(remedy)) < 0) {
                json_decref(line);
                return -ENOMEM;
        }
        return json_array_append_new(list, line) < 0 ? -ENOMEM : 0;
}

static int add_platform(json_t *list, const struct platform *p, const struct identity_env *env,
                        const json_t *traces) {
        AUTO_JSON json_t *missing = json_array();

        if (!missing)
                return -ENOMEM;
        for (size_t k = 0; k < NEEDS_MAX && is_sign(&p->needs[k]); k++)
                if (!is_there(env, traces, &p->needs[k]) &&
                    json_array_append_new(missing, json_string(sign_name(&p->needs[k]))) < 0)
                        return -ENOMEM;
        return add_line(list, p->name, p->provider, sign_name(&p->signs[0]), missing, p->remedy);
}

/* With @suffix, which only a person can know, or the variable itself. */
static int add_named(json_t *list, const char *platform, const char *provider, const char *suffix,
                     const char *because) {
        AUTO_JSON json_t *missing = json_array();
        AUTO_BUF struct buf name = BUF_INIT;

        if (!missing || buf_printf(&name, "%s:%s", provider, suffix) < 0)
                return -ENOMEM;
        return add_line(list, platform, name.data, because, missing, NULL);
}

/* What is in the environment for no other reason than its shape. */
static int add_variables(json_t *list, const struct identity_env *env) {
        int r = 0;

        if (identity_env_get(env, "CREDENTIALS_DIRECTORY"))
                r = add_named(list, "systemd", "credential", "NAME", "CREDENTIALS_DIRECTORY");
        if (r == 0 && identity_env_get(env, "NOMAD_TOKEN_FILE"))
                r = add_named(list, "Nomad", "file", identity_env_get(env, "NOMAD_TOKEN_FILE"),
                              "NOMAD_TOKEN_FILE");
        for (size_t k = 0; r == 0 && k < env->n; k++)
                if (identity_env_is_token(&env->items[k]))
                        r = add_named(list, "environment", "env", env->items[k].name,
                                      env->items[k].name);
        return r;
}

int identity_detect(const struct identity_env *env, const json_t *traces, json_t **ret) {
        AUTO_JSON json_t *list = json_array();
        int r = list ? 0 : -ENOMEM;

        for (size_t k = 0; r == 0 && k < ARRAY_SIZE(platforms); k++)
                if (is_seen(&platforms[k], env, traces))
                        r = add_platform(list, &platforms[k], env, traces);
        if (r == 0)
                r = add_variables(list, env);
        if (r == 0)
                *ret = TAKE(list);
        return r;
}
