/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-aws.h"

#include "base/codec.h"

/* --- proofs ----------------------------------------------------------------------------------- */

static void make_proof(const char *config, struct identity_result *got) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        env_make(&env, lambda);
        assert_int_equal(identity_start(config, &env, &i, NULL), 0);
        assert_int_equal(next_of(i), IDENTITY_DONE);
        assert_int_equal(identity_take(i, got), 0);
        assert_int_equal(got->kind, IDENTITY_PROOF);
        assert_string_equal(got->provider, "aws-proof");
        assert_true(got->refresh_wall == 0);
}

/* Plain base64, which we else never read. */
static json_t *decoded(const json_t *object, const char *name, struct buf *text) {
        const char *value = json_get_string(object, name);
        AUTO_BUF struct buf url = BUF_INIT;
        json_t *json = NULL;

        assert_non_null(value);
        for (const char *p = value; *p && *p != '='; p++)
                assert_int_equal(buf_append(&url, *p == '+' ? "-" : *p == '/' ? "_" : p, 1), 0);
        assert_int_equal(base64url_decode(text, url.data, url.len), 0);
        (void)!json_parse(text->data, text->len, 8, &json, NULL);
        return json;
}

/* The signature is botocore's (1.43.11) for the same request. */
static void a_proof_for_vault_is_its_login(void **state) {
        static const struct {
                const char *name;
                const char *value;
        } headers[] = {
                { "Host", "sts.amazonaws.com" },
                { "Content-Type", "application/x-www-form-urlencoded; charset=utf-8" },
                { "X-Amz-Date", "20260921T141320Z" },
                { "X-Amz-Security-Token", "session//token+EXAMPLE==" },
                { "X-Vault-AWS-IAM-Server-ID", AUDIENCE },
                { "Authorization",
                  "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/20260921/us-east-1/sts/aws4_request, "
                  "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;"
                  "x-vault-aws-iam-server-id, Signature="
                  "2afc5fdbb7abce6e37b75b21ec48b3a04002b01ad9c4d85a01ac25053e89b785" },
        };
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_JSON json_t *login = NULL;
        AUTO_JSON json_t *sent = NULL;
        struct buf text[3] = { BUF_INIT, BUF_INIT, BUF_INIT };

        make_proof("aws-proof:vault,role=dev", &got);
        assert_true(got.expires_wall == NOW + MINUTES(15));
        assert_int_equal(json_parse(got.jwt.data, got.jwt.len, 4, &login, NULL), 0);
        assert_string_equal(json_get_string(login, "role"), "dev");
        assert_string_equal(json_get_string(login, "iam_http_request_method"), "POST");
        assert_null(decoded(login, "iam_request_url", &text[0]));
        assert_string_equal(text[0].data, "https://sts.amazonaws.com/");
        assert_null(decoded(login, "iam_request_body", &text[1]));
        assert_string_equal(text[1].data, "Action=GetCallerIdentity&Version=2011-06-15");
        sent = decoded(login, "iam_request_headers", &text[2]);
        assert_int_equal(json_object_size(sent), ARRAY_SIZE(headers));
        for (size_t k = 0; k < ARRAY_SIZE(headers); k++)
                assert_string_equal(json_get_string(sent, headers[k].name), headers[k].value);
        for (size_t k = 0; k < 3; k++)
                buf_done(&text[k]);
}

/* In the form that google-auth-library 9.15.1 gives it (AwsClient), which does not sign for whom it
 * is; the signature is botocore's (1.43.11) for what we sign. */
static void a_proof_for_google_is_a_subject_token(void **state) {
        static const char authorization[] =
                "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/20260921/eu-central-1/sts/aws4_request, "
                "SignedHeaders=host;x-amz-date;x-amz-security-token;x-goog-cloud-target-resource, "
                "Signature=7fa80f7b9bd33aaeef322e68079ac3a4a5770582a4d357871d365f4212dcf952";
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        AUTO_JSON json_t *token = NULL;
        const json_t *headers;
        const json_t *pair;
        unsigned seen = 0;
        size_t k;

        make_proof("aws-proof:google", &got);
        assert_null(strpbrk(got.jwt.data, " {}\":/?&="));
        assert_int_equal(form_decode(&text, got.jwt.data, got.jwt.len), 0);
        assert_int_equal(json_parse(text.data, text.len, 4, &token, NULL), 0);
        assert_string_equal(json_get_string(token, "url"),
                            "https://sts.eu-central-1.amazonaws.com?Action=GetCallerIdentity&"
                            "Version=2011-06-15");
        assert_string_equal(json_get_string(token, "method"), "POST");
        headers = json_object_get(token, "headers");
        assert_int_equal(json_array_size(headers), 5);
        json_array_foreach(headers, k, pair) {
                const char *name = json_get_string(pair, "key");
                const char *value = json_get_string(pair, "value");

                seen += streq(name, "host") && streq(value, "sts.eu-central-1.amazonaws.com");
                seen += streq(name, "Authorization") && streq(value, authorization);
                seen += streq(name, "x-amz-date") && streq(value, "20260921T141320Z");
                seen += streq(name, "x-amz-security-token") &&
                        streq(value, "session//token+EXAMPLE==");
                seen += streq(name, "x-goog-cloud-target-resource") && streq(value, AUDIENCE);
        }
        assert_int_equal(seen, 5);
}

static void a_proof_for_eks_is_a_signed_url(void **state) {
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_BUF struct buf url = BUF_INIT;

        make_proof("aws-proof:eks,bind=cluster-1", &got);
        assert_true(got.expires_wall == NOW + MINUTES(1));
        assert_int_equal(strncmp(got.jwt.data, "k8s-aws-v1.", 11), 0);
        assert_int_equal(base64url_decode(&url, got.jwt.data + 11, got.jwt.len - 11), 0);
        assert_string_equal(
                url.data,
                STS "?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&"
                    "X-Amz-Credential=ASIAEXAMPLE%2F20260921%2Feu-central-1%2Fsts%2Faws4_request&"
                    "X-Amz-Date=20260921T141320Z&X-Amz-Expires=60&X-Amz-Security-Token=session%2F%2"
                    "Ftoken%2BEXAMPLE%3D%3D&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature"
                    "=2dc1b1a3d44b6421a34d9b4dd420a12bc36648d7909785d8ed7f953b1751523b");
}

static void a_proof_is_always_bound(void **state) {
        static const struct {
                const char *config;
                size_t n_audiences;
        } unbound[] = {
                { "aws-proof:vault", 0 },
                { "aws-proof:google", 0 },
                { "aws-proof:eks", 0 },
                { "aws-proof:vault,bind=a b", 1 },
        };
        static const char *const audiences[] = { AUDIENCE };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;

        env_make(&env, lambda);
        for (size_t k = 0; k < ARRAY_SIZE(unbound); k++) {
                AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                struct error err = ERROR_INIT;

                assert_int_equal(identity_config_parse(unbound[k].config, &c, NULL), 0);
                assert_int_equal(
                        identity_begin(&c, &env, audiences, unbound[k].n_audiences, NOW, &i, &err),
                        -EINVAL);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                assert_non_null(strstr(err.message, "bound to nothing"));
        }
}

/* Vault's endpoint is the global one unless a region is configured; the environment has no say. */
static void a_proof_of_an_instance_needs_its_credentials_first(void **state) {
        static const char *const none[] = { "AWS_REGION=us-west-2", NULL };
        const struct exchange e[] = { imds[0], imds[2], imds[3] };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        env_make(&env, none);
        assert_int_equal(identity_start("aws-proof:vault,source=imds", &env, &i, NULL), 0);
        answer_all(i, e, ARRAY_SIZE(e));
        assert_int_equal(next_of(i), IDENTITY_DONE);
        assert_int_equal(identity_take(i, &got), 0);
        assert_non_null(strstr(got.jwt.data, "\"iam_request_url\":\"aHR0cHM6Ly9zdHMuYW1hem9uYXdzL"
                                             "mNvbS8=\""));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_proof_for_vault_is_its_login),
                cmocka_unit_test(a_proof_for_google_is_a_subject_token),
                cmocka_unit_test(a_proof_for_eks_is_a_signed_url),
                cmocka_unit_test(a_proof_is_always_bound),
                cmocka_unit_test(a_proof_of_an_instance_needs_its_credentials_first),
        };

        return cmocka_run_group_tests_name("identity-aws-proof", tests, NULL, NULL);
}
