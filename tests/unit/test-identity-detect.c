/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include "identity/detect.h"
#include "oom.h"

/* Each line as "PROVIDER missing A,B; ". */
static void lines_of(const json_t *list, struct buf *b) {
        const json_t *line;
        const json_t *need;
        size_t i;
        size_t k;

        json_array_foreach(list, i, line) {
                const json_t *missing = json_object_get(line, "missing");

                assert_true(json_is_array(missing));
                assert_non_null(json_get_string(line, "platform"));
                assert_non_null(json_get_string(line, "because"));
                /* Who misses something is told what to do, and nobody else. */
                assert_int_equal(json_array_size(missing) > 0,
                                 json_get_string(line, "remedy") != NULL);
                assert_int_equal(buf_printf(b, "%s", json_get_string(line, "provider")), 0);
                json_array_foreach(missing, k, need) {
                        assert_int_equal(buf_printf(b, "%s%s", k > 0 ? "," : " missing ",
                                                    json_string_value(need)),
                                         0);
                }
                assert_int_equal(buf_append_str(b, "; "), 0);
        }
}

#define JWT "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"

static void what_lies_there_suggests_a_provider_and_says_what_it_lacks(void **state) {
        static const struct {
                const char *variables[4];
                const char *traces; /* JSON */
                const char *lines;
        } table[] = {
                { { NULL }, "{}", "" },
                { { "KUBERNETES_SERVICE_HOST=h" },
                  "{}",
                  "k8s missing /var/run/secrets/mcp-broker/token; " },
                { { "KUBERNETES_SERVICE_HOST=h" },
                  "{\"/var/run/secrets/mcp-broker/token\":\"x\"}",
                  "k8s; " },
                { { "KUBERNETES_SERVICE_HOST=h", "KUBERNETES_SERVICE_PORT=1" },
                  "{\"/var/run/secrets/mcp-broker/token\":\"\","
                  "\"/var/run/secrets/kubernetes.io/serviceaccount/token\":\"\"}",
                  "k8s; k8s:request; " },
                { { "AWS_WEB_IDENTITY_TOKEN_FILE=/x" }, "{}", "aws-wit missing AWS_ROLE_ARN; " },
                { { "AWS_CONTAINER_CREDENTIALS_FULL_URI=x" }, "{}", "aws-wit; " },
                { { "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=x" }, "{}", "aws-wit; " },
                { { "AWS_LAMBDA_FUNCTION_NAME=f", "AWS_ACCESS_KEY_ID=x" },
                  "{}",
                  "aws-wit missing AWS_SECRET_ACCESS_KEY; " },
                { { NULL }, "{\"/sys/class/dmi/id/sys_vendor\":\"Amazon EC2\"}", "aws-wit; " },
                { { NULL }, "{\"/sys/class/dmi/id/sys_vendor\":\"Amazon\"}", "" },
                { { NULL },
                  "{\"/sys/class/dmi/id/chassis_asset_tag\":\"7783-7084-3265-9085-8269-3286-77\"}",
                  "azure; " },
                { { "IDENTITY_ENDPOINT=x", "IDENTITY_HEADER=y" }, "{}", "azure:app-service; " },
                { { "IDENTITY_ENDPOINT=x", "IMDS_ENDPOINT=y" }, "{}", "azure:arc; " },
                { { "IDENTITY_ENDPOINT=x" }, "{}", "" },
                { { NULL }, "{\"/opt/azcmagent/bin/himds\":\"\"}", "azure:arc; " },
                { { "AZURE_FEDERATED_TOKEN_FILE=/x" }, "{}", "azure:aks; " },
                { { NULL },
                  "{\"/sys/class/dmi/id/product_name\":\"Google Compute Engine\"}",
                  "gcp; " },
                { { "K_SERVICE=x" }, "{}", "gcp; " },
                { { "GITHUB_ACTIONS=true" },
                  "{}",
                  "github missing ACTIONS_ID_TOKEN_REQUEST_URL,ACTIONS_ID_TOKEN_REQUEST_TOKEN; " },
                { { "GITHUB_ACTIONS=true", "ACTIONS_ID_TOKEN_REQUEST_URL=u",
                    "ACTIONS_ID_TOKEN_REQUEST_TOKEN=t" },
                  "{}",
                  "github; " },
                { { "GITLAB_CI=true" }, "{}", "gitlab missing MCP_ID_TOKEN; " },
                { { "GITLAB_CI=true", "MCP_ID_TOKEN=" JWT }, "{}", "gitlab; env:MCP_ID_TOKEN; " },
                { { "SPIFFE_ENDPOINT_SOCKET=unix:///x" }, "{}", "spiffe; " },
                { { "SPIFFE_CREDENTIAL_FOLDER=/x" }, "{}", "spiffe:x509; " },
                { { "CREDENTIALS_DIRECTORY=/x" }, "{}", "credential:NAME; " },
                { { "NOMAD_TOKEN_FILE=/secrets/t" }, "{}", "file:/secrets/t; " },
                { { "MINE=" JWT, "AWS_SESSION_TOKEN=" JWT }, "{}", "env:MINE; " },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_JSON json_t *traces = json_loads(table[k].traces, 0, NULL);
                AUTO_JSON json_t *list = NULL;
                AUTO_BUF struct buf lines = BUF_INIT;

                env_make(&env, table[k].variables);
                assert_int_equal(identity_detect(&env, traces, &list), 0);
                lines_of(list, &lines);
                assert_string_equal(lines.data ? lines.data : "", table[k].lines);
        }
}

static void every_provider_that_is_suggested_can_be_configured(void **state) {
        static const char *const variables[] = { "KUBERNETES_SERVICE_HOST=h",
                                                 "AWS_CONTAINER_CREDENTIALS_FULL_URI=x",
                                                 "IDENTITY_ENDPOINT=x",
                                                 "IDENTITY_HEADER=x",
                                                 "IMDS_ENDPOINT=x",
                                                 "AZURE_FEDERATED_TOKEN_FILE=x",
                                                 "K_SERVICE=x",
                                                 "GITHUB_ACTIONS=x",
                                                 "GITLAB_CI=x",
                                                 "SPIFFE_ENDPOINT_SOCKET=x",
                                                 "SPIFFE_CREDENTIAL_FOLDER=x",
                                                 "CREDENTIALS_DIRECTORY=x",
                                                 "NOMAD_TOKEN_FILE=/x",
                                                 "MINE=" JWT,
                                                 NULL };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_JSON json_t *traces = json_object();
        AUTO_JSON json_t *list = NULL;
        const json_t *line;
        const char *path;
        bool content = false;
        size_t i;

        for (size_t k = 0; (path = identity_trace(k, &content)) != NULL; k++) {
                assert_int_equal(path[0], '/');
                /* What may be a token is not read. */
                assert_false(content && strstr(path, "token"));
                assert_int_equal(json_object_set_new(traces, path, json_string("")), 0);
        }
        env_make(&env, variables);
        assert_int_equal(identity_detect(&env, traces, &list), 0);
        assert_int_equal(json_array_size(list), 15);
        json_array_foreach(list, i, line) {
                AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
                struct error err = ERROR_INIT;

                if (identity_config_parse(json_get_string(line, "provider"), &c, &err) < 0)
                        fail_msg("%s", err.message);
        }
}

static int detect_once(void *userdata) {
        AUTO_JSON json_t *list = NULL;

        return identity_detect(userdata, NULL, &list);
}

static void no_allocation_that_fails_is_missed(void **state) {
        static const char *const variables[] = { "GITHUB_ACTIONS=x", "CREDENTIALS_DIRECTORY=x",
                                                 "NOMAD_TOKEN_FILE=/x", "MINE=" JWT, NULL };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;

        env_make(&env, variables);
        assert_true(oom_sweep(detect_once, &env) > 20);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_lies_there_suggests_a_provider_and_says_what_it_lacks),
                cmocka_unit_test(every_provider_that_is_suggested_can_be_configured),
                cmocka_unit_test(no_allocation_that_fails_is_missed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
