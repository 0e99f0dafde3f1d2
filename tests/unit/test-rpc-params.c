/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/params.h"

#include "base/limits.h"
#include "test.h"

static int check(enum method m, const char *text, struct error *err) {
        AUTO_JSON json_t *params = NULL;

        assert_int_equal(json_parse(text, strlen(text), LIMIT_JSON_DEPTH, &params, NULL), 0);
        return params_check(m, params, err);
}

static void good_parameters_pass(void **state) {
        static const struct {
                enum method m;
                const char *text;
        } table[] = {
                { METHOD_SESSION_OPEN, "{\"nonce\":\"n\"}" },
                { METHOD_SESSION_OPEN, "{\"nonce\":\"n\",\"client\":\"mcp-token\"}" },
                { METHOD_TOKEN_GET, "{\"server\":\"linear\"}" },
                { METHOD_TOKEN_GET,
                  "{\"server\":\"https://x/mcp\",\"account\":\"a\",\"scopes\":[\"a:b\",\"c\"],"
                  "\"min_ttl\":60,\"login\":\"start\",\"challenge\":{\"status\":401,\"fields\":"
                  "[\"Bearer\"]}}" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"scopes\":[],\"login\":\"never\"}" },
                { METHOD_TOKEN_REJECT, "{\"server\":\"x\",\"token_id\":\"t\"}" },
                { METHOD_LOGIN_WAIT, "{\"login\":\"L\"}" },
                { METHOD_SERVER_ADD,
                  "{\"url\":\"https://x\",\"login\":true,\"client_secret\":\"s\"}" },
                { METHOD_SERVER_ADD, "{\"url\":\"https://x\",\"no_resource\":true}" },
                { METHOD_SERVER_ADD,
                  "{\"url\":\"https://x\",\"identity\":\"k8s\",\"extra\":{\"a\":\"b\"},"
                  "\"client_key\":\"-----BEGIN\\nx\\n\"}" },
                { METHOD_SERVER_LIST, "{}" },
                { METHOD_SERVER_REMOVE, "{\"server\":\"x\"}" },
                { METHOD_SERVER_REMOVE, "{\"all\":true}" },
                { METHOD_LOGIN_COMPLETE,
                  "{\"login\":\"L\",\"redirect_url\":\"http://127.0.0.1/?code=1\"}" },
                { METHOD_BROKER_UNLOCK, "{\"passphrase\":\"p\\tq\"}" },
                { METHOD_BROKER_STATUS, "{}" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct error err = ERROR_INIT;

                assert_int_equal(check(table[i].m, table[i].text, &err), 0);
        }
}

static void bad_parameters_are_named(void **state) {
        static const struct {
                enum method m;
                const char *text;
                const char *named;
        } table[] = {
                { METHOD_SESSION_OPEN, "{}", "nonce" },
                { METHOD_TOKEN_GET, "{}", "server" },
                { METHOD_TOKEN_GET, "{\"server\":1}", "server" },
                { METHOD_TOKEN_GET, "{\"server\":null}", "server" },
                { METHOD_TOKEN_GET, "{\"server\":\"\"}", "server" },
                { METHOD_TOKEN_GET, "{\"server\":\"a\\nb\"}", "server" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"scope\":[\"a\"]}", "scope" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"scopes\":\"a b\"}", "scopes" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"scopes\":[\"a b\"]}", "scopes" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"scopes\":[\"\"]}", "scopes" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"scopes\":[\"a\\\"\"]}", "scopes" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"scopes\":[1]}", "scopes" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"min_ttl\":-1}", "min_ttl" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"min_ttl\":1.0}", "min_ttl" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"min_ttl\":99999999999}", "min_ttl" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"login\":\"always\"}", "login" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"login\":true}", "login" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"challenge\":\"Bearer\"}", "challenge" },
                { METHOD_TOKEN_GET, "{\"server\":\"x\",\"challenge\":{\"status\":401}}",
                  "challenge" },
                { METHOD_TOKEN_GET,
                  "{\"server\":\"x\",\"challenge\":{\"status\":200,\"fields\":[]}}", "challenge" },
                { METHOD_TOKEN_GET,
                  "{\"server\":\"x\",\"challenge\":{\"status\":401,\"fields\":[1]}}", "challenge" },
                { METHOD_TOKEN_GET,
                  "{\"server\":\"x\",\"challenge\":{\"status\":401,\"fields\":[],\"x\":1}}",
                  "challenge" },
                { METHOD_SERVER_ADD, "{\"url\":\"https://x\",\"login\":\"yes\"}", "login" },
                { METHOD_SERVER_ADD, "{\"url\":\"https://x\",\"no_resource\":false}",
                  "no_resource" },
                { METHOD_SERVER_ADD, "{\"url\":\"https://x\",\"identity\":\"a\\nb\"}", "identity" },
                { METHOD_SERVER_ADD, "{\"url\":\"https://x\",\"extra\":\"a=b\"}", "extra" },
                { METHOD_SERVER_ADD, "{\"url\":\"https://x\",\"extra\":{\"a\":1}}", "extra" },
                { METHOD_SERVER_ADD, "{\"url\":\"https://x\",\"extra\":{\"a\":\"\"}}", "extra" },
                { METHOD_SERVER_ADD, "{\"url\":\"https://x\",\"extra\":{\"a\":\"\\n\"}}", "extra" },
                { METHOD_SERVER_LIST, "{\"name\":\"x\"}", "name" },
                { METHOD_SERVER_REMOVE, "{}", "all" },
                { METHOD_SERVER_REMOVE, "{\"server\":\"x\",\"all\":true}", "all" },
                { METHOD_SERVER_REMOVE, "{\"all\":false}", "all" },
                { METHOD_BROKER_STOP, "{\"now\":true}", "now" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct error err = ERROR_INIT;

                assert_int_equal(check(table[i].m, table[i].text, &err), -EINVAL);
                assert_int_equal(err.code, MCPB_BAD_PARAMS);
                assert_non_null(strstr(err.message, table[i].named));
        }
}

/* S9 */
static void every_text_has_a_bound(void **state) {
        for (enum method m = 0; m < METHOD_COUNT; m++) {
                const char *name;
                bool required;

                for (size_t i = 0; (name = params_member(m, i, &required)); i++) {
                        AUTO_JSON json_t *params = json_object();
                        char *huge = calloc(1, LIMIT_LINE_BYTES + 1);
                        struct error err = ERROR_INIT;

                        for (size_t k = 0; k < LIMIT_LINE_BYTES; k++)
                                huge[k] = 'x';
                        assert_int_equal(json_object_set_new(params, name, json_string(huge)), 0);
                        free(huge);
                        assert_int_equal(params_check(m, params, &err), -EINVAL);
                }
        }
}

static int check_extra(size_t n, size_t len) {
        AUTO_JSON json_t *params = json_pack("{s:s, s:{}}", "url", "https://x", "extra");
        json_t *extra = json_object_get(params, "extra");
        char text[LIMIT_EXTRA_BYTES + 2] = "";
        struct error err = ERROR_INIT;

        for (size_t i = 0; i < len; i++)
                text[i] = 'x';
        for (size_t i = 0; i < n; i++) {
                char name[32];

                (void)snprintf(name, sizeof(name), "n%zu", i);
                assert_int_equal(json_object_set_new(extra, name, json_string(text)), 0);
        }
        return params_check(METHOD_SERVER_ADD, params, &err);
}

/* S9 */
static void what_is_sent_along_has_bounds(void **state) {
        assert_int_equal(check_extra(LIMIT_EXTRA, LIMIT_EXTRA_BYTES), 0);
        assert_int_equal(check_extra(LIMIT_EXTRA + 1, 1), -EINVAL);
        assert_int_equal(check_extra(1, LIMIT_EXTRA_BYTES + 1), -EINVAL);
}

/* S1 */
static void a_refused_secret_is_not_repeated(void **state) {
        struct error err = ERROR_INIT;

        assert_int_equal(check(METHOD_BROKER_UNLOCK, "{\"passphrase\":[\"hunter2\"]}", &err),
                         -EINVAL);
        assert_null(strstr(err.message, "hunter2"));
        assert_int_equal(check(METHOD_BROKER_LOCK, "{\"passphrase\":\"hunter2\"}", &err), -EINVAL);
        assert_null(strstr(err.message, "hunter2"));
        assert_int_equal(check(METHOD_SERVER_ADD,
                               "{\"url\":\"https://x\",\"client_key\":[\"hunter2\"]}", &err),
                         -EINVAL);
        assert_null(strstr(err.message, "hunter2"));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(good_parameters_pass),
                cmocka_unit_test(bad_parameters_are_named),
                cmocka_unit_test(every_text_has_a_bound),
                cmocka_unit_test(what_is_sent_along_has_bounds),
                cmocka_unit_test(a_refused_secret_is_not_repeated),
        };

        return cmocka_run_group_tests_name("rpc-params", tests, NULL, NULL);
}
