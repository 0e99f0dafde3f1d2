/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/env.h"

#include "base/utf8.h"

static const struct {
        const char *name;
        bool secret;
} names[] = {
        /* systemd */
        { "CREDENTIALS_DIRECTORY", false },
        /* Kubernetes */
        { "KUBERNETES_SERVICE_HOST", false },
        { "KUBERNETES_SERVICE_PORT", false },
        /* AWS */
        { "AWS_ACCESS_KEY_ID", true },
        { "AWS_SECRET_ACCESS_KEY", true },
        { "AWS_SESSION_TOKEN", true },
        { "AWS_REGION", false },
        { "AWS_DEFAULT_REGION", false },
        { "AWS_WEB_IDENTITY_TOKEN_FILE", false },
        { "AWS_ROLE_ARN", false },
        { "AWS_ROLE_SESSION_NAME", false },
        { "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", false },
        { "AWS_CONTAINER_CREDENTIALS_FULL_URI", false },
        { "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", false },
        { "AWS_CONTAINER_AUTHORIZATION_TOKEN", true },
        { "AWS_EC2_METADATA_SERVICE_ENDPOINT", false },
        { "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", false },
        { "AWS_EC2_METADATA_DISABLED", false },
        { "AWS_LAMBDA_FUNCTION_NAME", false },
        /* Azure */
        { "AZURE_POD_IDENTITY_AUTHORITY_HOST", false },
        { "IDENTITY_ENDPOINT", false },
        { "IDENTITY_HEADER", true },
        { "IMDS_ENDPOINT", false },
        { "AZURE_FEDERATED_TOKEN_FILE", false },
        { "AZURE_CLIENT_ID", false },
        { "AZURE_TENANT_ID", false },
        { "AZURE_AUTHORITY_HOST", false },
        /* GCP */
        { "GCE_METADATA_HOST", false },
        { "K_SERVICE", false },
        /* CI */
        { "GITHUB_ACTIONS", false },
        { "ACTIONS_ID_TOKEN_REQUEST_URL", false },
        { "ACTIONS_ID_TOKEN_REQUEST_TOKEN", true },
        { "GITLAB_CI", false },
        /* SPIFFE */
        { "SPIFFE_ENDPOINT_SOCKET", false },
        { "SPIFFE_BROKER_SOCKET", false },
        { "SPIFFE_CREDENTIAL_FOLDER", false },
        /* HashiCorp: the token itself is found by its shape */
        { "NOMAD_TOKEN_FILE", false },
        { "NOMAD_SECRETS_DIR", false },
};

/* Three parts of base64url, the first of them a JSON object. */
static bool is_token(const char *value) {
        unsigned dots = 0;

        if (strncmp(value, "eyJ", 3) != 0)
                return false;
        for (const char *p = value; *p; p++) {
                bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                             (*p >= '0' && *p <= '9') || *p == '-' || *p == '_';

                if (*p == '.')
                        dots++;
                else if (!plain)
                        return false;
        }
        return dots == 2;
}

/* Is "NAME=value" of the table? -1, or its place there. */
static int place_in_table(const char *variable, size_t len) {
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strlen(names[i].name) == len && memcmp(names[i].name, variable, len) == 0)
                        return (int)i;
        return -1;
}

static bool is_clean(const char *text) {
        for (const char *p = text; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        return false;
        return utf8_valid(text, strlen(text));
}

void identity_env_done(struct identity_env *env) {
        for (size_t i = 0; i < env->n; i++) {
                free(env->items[i].name);
                (void)str_wipe_free(env->items[i].value);
        }
        free(env->items);
        *env = IDENTITY_ENV_INIT;
}

const char *identity_env_get(const struct identity_env *env, const char *name) {
        for (size_t i = 0; i < env->n; i++)
                if (streq(env->items[i].name, name))
                        return env->items[i].value;
        return NULL;
}

/* What is empty, unclean, there already or too much is left out. */
static int add(struct identity_env *env, const char *name, size_t name_len, const char *value) {
        struct identity_variable v = { strndup(name, name_len), strdup(value) };
        size_t total = name_len + strlen(value);
        int r = 0;

        for (size_t i = 0; i < env->n; i++)
                total += strlen(env->items[i].name) + strlen(env->items[i].value);
        if (!v.name || !v.value)
                r = -ENOMEM;
        else if (*value && is_clean(v.name) && is_clean(value) && total <= IDENTITY_ENV_BYTES &&
                 env->n < IDENTITY_ENV_MAX && !identity_env_get(env, v.name)) {
                env->items[env->n++] = v;
                return 0;
        }
        free(v.name);
        (void)str_wipe_free(v.value);
        return r;
}

int identity_env_take(char *const *environment, struct identity_env *ret) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        int r = 0;

        env.items = calloc(IDENTITY_ENV_MAX, sizeof(*env.items));
        if (!env.items)
                return -ENOMEM;
        for (char *const *p = environment; r == 0 && *p; p++) {
                const char *eq = strchr(*p, '=');

                if (eq && eq > *p &&
                    (place_in_table(*p, (size_t)(eq - *p)) >= 0 || is_token(eq + 1)))
                        r = add(&env, *p, (size_t)(eq - *p), eq + 1);
        }
        if (r < 0)
                return r;
        *ret = env;
        env = IDENTITY_ENV_INIT;
        return 0;
}

bool identity_env_is_token(const struct identity_variable *v) {
        return place_in_table(v->name, strlen(v->name)) < 0 && is_token(v->value);
}

int identity_env_to_json(const struct identity_env *env, json_t **ret) {
        AUTO_JSON json_t *object = json_object();

        if (!object)
                return -ENOMEM;
        for (size_t i = 0; i < env->n; i++)
                if (json_object_set_new(object, env->items[i].name,
                                        json_string(env->items[i].value)) < 0)
                        return -ENOMEM;
        *ret = TAKE(object);
        return 0;
}

int identity_env_from_json(json_t *json, struct identity_env *ret) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        const char *name;
        json_t *value;

        if (!json_is_object(json) || json_object_size(json) > IDENTITY_ENV_MAX)
                return -EBADMSG;
        env.items = calloc(IDENTITY_ENV_MAX, sizeof(*env.items));
        if (!env.items)
                return -ENOMEM;
        json_object_foreach(json, name, value) {
                int r = json_is_string(value) ? 0 : -EBADMSG;

                if (r == 0)
                        r = add(&env, name, strlen(name), json_string_value(value));
                if (r < 0)
                        return r;
        }
        *ret = env;
        env = IDENTITY_ENV_INIT;
        return 0;
}

void identity_env_scrub(char **environment) {
        for (char **p = environment; *p; p++) {
                char *eq = strchr(*p, '=');
                int at = eq ? place_in_table(*p, (size_t)(eq - *p)) : -1;

                if (eq && ((at >= 0 && names[at].secret) || is_token(eq + 1)))
                        mem_wipe(eq + 1, strlen(eq + 1));
        }
}
