/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include "certs.h"
#include "identity/output.h"
#include "jose/cert.h"
#include "keys.h"
#include "oom.h"

#define TYPE "\"token_type\":\"urn:ietf:params:oauth:token-type:id_token\""
#define GOOGLE "{\"version\":1,\"success\":true," TYPE ",\"id_token\":\"TOKEN\"}"

static const struct identity_env no_env = { 0 };

/* What the command prints; TOKEN stands for the token. */
static void feed_output(struct identity *i, const char *format, const char *token) {
        AUTO_BUF struct buf b = BUF_INIT;
        const char *at = strstr(format, "TOKEN");

        if (at)
                assert_int_equal(buf_printf(&b, "%.*s%s%s", (int)(at - format), format, token,
                                            at + strlen("TOKEN")),
                                 0);
        else
                assert_int_equal(buf_append_str(&b, format), 0);
        feed_text(i, b.data);
}

static bool given(const struct order *o, const char *variable) {
        for (size_t k = 0; k < o->n_envp; k++)
                if (streq(o->envp[k], variable))
                        return true;
        return false;
}

static void a_command_is_run_with_its_arguments_and_told_the_audience(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_for(AUDIENCE);
        struct order *o;

        assert_int_equal(
                identity_start("exec:/usr/bin/x,arg=--a=b,arg=c\\,d,timeout=5", &no_env, &i, NULL),
                0);
        o = &step_of(i, IDENTITY_RUN)->order;
        assert_int_equal(o->kind, ORDER_RUN);
        assert_int_equal(o->n_argv, 3);
        assert_string_equal(o->argv[0], "/usr/bin/x");
        assert_string_equal(o->argv[1], "--a=b");
        assert_string_equal(o->argv[2], "c,d");
        assert_null(o->argv[3]);
        assert_int_equal(o->n_envp, 6);
        assert_true(given(o, "MCP_BROKER_AUDIENCE=" AUDIENCE));
        assert_true(given(o, "MCP_BROKER_TOKEN_TYPE=urn:ietf:params:oauth:token-type:jwt"));
        assert_true(given(o, "GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=" AUDIENCE));
        assert_true(given(
                o, "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=urn:ietf:params:oauth:token-type:jwt"));
        assert_true(given(o, "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0"));
        assert_true(given(o, "KUBERNETES_EXEC_INFO={\"apiVersion\":"
                             "\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","
                             "\"spec\":{\"interactive\":false}}"));
        assert_true(o->timeout_usec == 5 * USEC_PER_SEC);
        assert_int_equal(o->max, 64 * 1024);
        feed_output(i, GOOGLE, token);
        assert_got(i, token, (NOW_SEC + 600) * USEC_PER_SEC);
        i = identity_free(i);
        assert_int_equal(identity_start("exec:/usr/bin/x", &no_env, &i, NULL), 0);
        assert_true(step_of(i, IDENTITY_RUN)->order.timeout_usec == 30 * USEC_PER_SEC);
}

static void each_convention_gives_its_token(void **state) {
        static const struct {
                const char *config;
                const char *output;
                uint64_t expires_sec;
        } table[] = {
                { "exec:/x", GOOGLE, NOW_SEC + 600 },
                { "exec:/x",
                  "{\"version\":1,\"success\":true,\"token_type\":"
                  "\"urn:ietf:params:oauth:token-type:jwt\",\"id_token\":\"TOKEN\","
                  "\"expiration_time\":1790000100}\n",
                  NOW_SEC + 100 },
                { "exec:/x,format=json",
                  "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","
                  "\"status\":{\"token\":\"TOKEN\",\"expirationTimestamp\":"
                  "\"2026-09-21T14:15:00Z\"}}",
                  NOW_SEC + 100 },
                { "exec:/x", "{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"TOKEN\"}}",
                  NOW_SEC + 600 },
                { "exec:/x,format=raw", "TOKEN\n", NOW_SEC + 600 },
        };
        AUTO_FREE char *token = token_for(AUDIENCE);

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;

                assert_int_equal(identity_start(table[k].config, &no_env, &i, NULL), 0);
                feed_output(i, table[k].output, token);
                assert_got(i, token, table[k].expires_sec * USEC_PER_SEC);
        }
}

static void what_cannot_be_used_is_said_with_the_reason(void **state) {
        static const struct {
                const char *output;
                const char *says;
        } table[] = {
                { "", "it is empty" },
                { "TOKEN", "not JSON" },
                { "[]", "neither" },
                { "{}", "neither" },
                { "{\"version\":2}", "neither" },
                { "{\"version\":\"1\"}", "neither" },
                { "{\"version\":1,\"version\":1}", "duplicate key" },
                { "{\"version\":1}", "it failed: it does not say why" },
                { "{\"version\":1,\"success\":false,\"code\":\"401\",\"message\":\"go away\"}",
                  "it failed: go away" },
                { "{\"version\":1,\"success\":\"true\",\"message\":\"TOKEN\"}",
                  "it failed: [...]" },
                { "{\"version\":1,\"success\":true,\"id_token\":\"TOKEN\"}", "token_type" },
                { "{\"version\":1,\"success\":true,\"token_type\":"
                  "\"urn:ietf:params:oauth:token-type:saml2\",\"saml_response\":\"x\"}",
                  "token_type" },
                { "{\"version\":1,\"success\":true," TYPE "}", "no id_token" },
                { "{\"version\":1,\"success\":true," TYPE ",\"id_token\":7}", "no id_token" },
                { "{\"version\":1,\"success\":true," TYPE ",\"id_token\":\"hunter2\"}",
                  "no JSON Web Token" },
                { "{\"version\":1,\"success\":true," TYPE
                  ",\"id_token\":\"TOKEN\",\"expiration_time\":-1}",
                  "expiration_time is no date" },
                { "{\"version\":1,\"success\":true," TYPE
                  ",\"id_token\":\"TOKEN\",\"expiration_time\":1}",
                  "expired" },
                { "{\"kind\":\"ExecCredential\"}", "neither token nor" },
                { "{\"kind\":\"ExecCredential\",\"status\":[]}", "neither token nor" },
                { "{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"TOKEN\","
                  "\"expirationTimestamp\":\"soon\"}}",
                  "expirationTimestamp is no date" },
                { "{\"kind\":\"ExecCredential\",\"status\":{\"clientKeyData\":\"x\"}}", "without" },
                { "{\"kind\":\"ExecCredential\",\"status\":{\"clientCertificateData\":\"x\"}}",
                  "without" },
                { "{\"kind\":\"ExecCredential\",\"status\":{\"clientCertificateData\":\"x\","
                  "\"clientKeyData\":\"hunter2\"}}",
                  "cannot be read" },
                { "{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"hunter2\"}",
                  "credentials of AWS" },
                { "{\"Version\":1,\"AccessKeyId\":\"a\"}", "no AccessKeyId and" },
                { "{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\","
                  "\"Expiration\":\"x\"}",
                  "Expiration is no date" },
        };
        AUTO_FREE char *token = token_for(AUDIENCE);

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;

                assert_int_equal(identity_start("exec:/x", &no_env, &i, NULL), 0);
                feed_output(i, table[k].output, token);
                assert_failed(i, "'exec', running /x", table[k].says);
                assert_null(strstr(identity_error(i)->message, "hunter2"));
                assert_null(strstr(identity_error(i)->hint, "hunter2"));
        }
}

static void a_command_that_fails_is_not_run_again(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        struct error why = ERROR_INIT;

        assert_int_equal(identity_start("exec:/x", &no_env, &i, NULL), 0);
        (void)error_set(&why, MCPB_TIMEOUT, ETIMEDOUT, NULL, "/x took longer than 30 s");
        identity_feed_bytes(i, -ETIMEDOUT, NULL, &why, NOW);
        assert_failed(i, "'exec', running /x", "took longer");
        assert_non_null(strstr(identity_error(i)->hint, "by hand"));
}

static void a_token_for_another_audience_is_refused(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_for("https://other.example");

        assert_int_equal(identity_start("exec:/x", &no_env, &i, NULL), 0);
        feed_output(i, GOOGLE, token);
        assert_failed(i, "'exec'", "https://other.example");
        assert_non_null(strstr(identity_error(i)->hint, "MCP_BROKER_AUDIENCE"));
}

/* PEM in JSON, as Kubernetes' exec credentials have it. */
static void feed_certificate(struct identity *i, const char *cert, const char *key,
                             uint64_t now_wall) {
        AUTO_JSON json_t *json = json_pack("{ss s{ss ss}}", "kind", "ExecCredential", "status",
                                           "clientCertificateData", cert, "clientKeyData", key);
        AUTO_BUF struct buf b = BUF_INIT;

        assert_non_null(json);
        assert_int_equal(json_write(&b, json), 0);
        identity_feed_bytes(i, 0, &b, NULL, now_wall);
}

static void a_key_and_its_certificates_are_an_identity_too(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_JOSE_KEY struct jose_key *key = NULL;

        assert_int_equal(identity_start("exec:/x", &no_env, &i, NULL), 0);
        feed_certificate(i, CERT_LEAF CERT_CA, KEY_P256_SEC1, NOW);
        assert_int_equal(identity_take(i, &got), 0);
        assert_int_equal(got.kind, IDENTITY_X509);
        assert_string_equal(got.subject, "spiffe://example.org/ns/agents/sa/bot");
        assert_null(got.issuer);
        assert_int_equal(got.jwt.len, 0);
        assert_true(got.expires_wall == CERT_LEAF_NOT_AFTER * USEC_PER_SEC);
        assert_true(got.refresh_wall > NOW && got.refresh_wall < got.expires_wall);
        assert_int_equal(jose_key_from_der(got.key_der.data, got.key_der.len, &key), 0);
        assert_int_equal(cert_is_for(got.chain_der.data, got.chain_der.len, key), 0);
}

static void a_key_and_a_certificate_must_belong_together_and_be_valid(void **state) {
        static const struct {
                const char *cert;
                const char *key;
                uint64_t now_sec;
                const char *says;
        } table[] = {
                { CERT_LEAF, KEY_P384_PKCS8, NOW_SEC, "not for the key" },
                { CERT_LEAF, KEY_P256_PKCS8, CERT_LEAF_NOT_AFTER, "expired" },
                { CERT_TWO_URIS, KEY_P256_PKCS8, NOW_SEC, "cannot be read" },
                { "none", KEY_P256_PKCS8, NOW_SEC, "cannot be read" },
                { CERT_LEAF, KEY_P256_ENCRYPTED, NOW_SEC, "cannot be read" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;

                assert_int_equal(identity_start("exec:/x", &no_env, &i, NULL), 0);
                feed_certificate(i, table[k].cert, table[k].key, table[k].now_sec * USEC_PER_SEC);
                assert_failed(i, "'exec'", table[k].says);
        }
}

static void options_are_judged(void **state) {
        assert_refused("exec", &no_env, "path=", "absolute path");
        assert_refused("exec:ls", &no_env, "path=ls", "absolute path");
        assert_refused("exec:/x,timeout=4", &no_env, "timeout=4", "5 to 120");
        assert_refused("exec:/x,timeout=121", &no_env, "timeout=121", "5 to 120");
        assert_refused("exec:/x,format=xml", &no_env, "format=xml", "format=raw");
}

static void arguments_have_bounds(void **state) {
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(buf_append_str(&text, "exec:/x"), 0);
        for (int n = 0; n < IDENTITY_OPTIONS_MAX; n++)
                assert_int_equal(buf_append_str(&text, ",arg=a"), 0);
        assert_int_equal(identity_config_parse(text.data, &c, &err), -E2BIG);
        assert_non_null(strstr(err.message, "too many options"));
}

static void credentials_of_aws_are_read_for_those_who_want_them(void **state) {
        static const char text[] = "{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\","
                                   "\"SessionToken\":\"c\",\"Expiration\":"
                                   "\"2026-09-21T14:15:00Z\"}";
        AUTO_OUTPUT struct output o = OUTPUT_INIT;
        const char *why = NULL;

        assert_int_equal(output_read(&o, text, strlen(text), &why), 0);
        assert_int_equal(o.kind, OUTPUT_AWS);
        assert_string_equal(o.access_key_id, "a");
        assert_string_equal(o.secret_access_key, "b");
        assert_string_equal(o.session_token, "c");
        assert_true(o.expires_wall == (NOW_SEC + 100) * USEC_PER_SEC);
}

static int run_once(void *userdata) {
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_BUF struct buf b = BUF_INIT;
        int r = identity_start("exec:/x,arg=a", &no_env, &i, NULL);

        if (r < 0)
                return r;
        oom_pause(true);
        assert_int_equal(buf_append_str(&b, userdata), 0);
        oom_pause(false);
        identity_feed_bytes(i, 0, &b, NULL, NOW);
        if (next_of(i) != IDENTITY_FAILED)
                return identity_take(i, &got);
        assert_true(identity_error(i)->message[0]);
        return -ENOMEM;
}

static void no_allocation_that_fails_is_missed(void **state) {
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_BUF struct buf google = BUF_INIT;
        AUTO_BUF struct buf certificate = BUF_INIT;
        AUTO_BUF struct buf status = BUF_INIT;
        AUTO_JSON json_t *json = json_pack("{ss ss}", "clientCertificateData", CERT_LEAF,
                                           "clientKeyData", KEY_P256_SEC1);

        assert_int_equal(buf_printf(&google,
                                    "{\"version\":1,\"success\":true," TYPE ",\"id_token\":\"%s\"}",
                                    token),
                         0);
        assert_int_equal(json_write(&status, json), 0);
        /* An escape, for a text of 14 bytes jansson 2.14 cannot be run out of memory on: it
         * overlooks that its buffer could not grow for the closing quote, and reads on. */
        assert_int_equal(buf_printf(&certificate,
                                    "{\"kind\":\"\\u0045xecCredential\",\"status\":%s}",
                                    status.data),
                         0);
        assert_true(oom_sweep_any(run_once, google.data) > 20);
        assert_true(oom_sweep_any(run_once, certificate.data) > 20);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_command_is_run_with_its_arguments_and_told_the_audience),
                cmocka_unit_test(each_convention_gives_its_token),
                cmocka_unit_test(what_cannot_be_used_is_said_with_the_reason),
                cmocka_unit_test(a_command_that_fails_is_not_run_again),
                cmocka_unit_test(a_token_for_another_audience_is_refused),
                cmocka_unit_test(a_key_and_its_certificates_are_an_identity_too),
                cmocka_unit_test(a_key_and_a_certificate_must_belong_together_and_be_valid),
                cmocka_unit_test(options_are_judged),
                cmocka_unit_test(arguments_have_bounds),
                cmocka_unit_test(credentials_of_aws_are_read_for_those_who_want_them),
                cmocka_unit_test(no_allocation_that_fails_is_missed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
