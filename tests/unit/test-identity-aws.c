/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-aws.h"

/* The body and the signature that the SDK itself makes of this: botocore 1.43.11, caught before it
 * was sent, the clock at NOW. */
#define WIT_BODY                                                                                   \
        "Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1=https%3A%2F%2Fas.example" \
        ".com&SigningAlgorithm=RS256&DurationSeconds=300"
#define WIT_AUTHORIZATION                                                                  \
        "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/20260921/eu-central-1/sts/aws4_request, " \
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "                \
        "Signature=afdae7e3a145c98f2495f6ec31abacc3c3d03b739c18f20c70fdb648e090d297"

/* The last request is the SDK's, to the byte; then comes the token. */
static void finish_wit(struct identity *i) {
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_FREE char *answer = wit_answer(token, "2026-09-21T14:18:20Z");
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        const struct fetch_request *f = &step_of(i, IDENTITY_FETCH)->fetch;

        assert_string_equal(f->method, "POST");
        assert_string_equal(f->url, STS);
        assert_int_equal(f->allow, ANYWHERE);
        assert_false(f->link_local);
        assert_true(f->direct);
        assert_string_equal(f->body.data, WIT_BODY);
        assert_int_equal(f->n_headers, 4);
        assert_string_equal(sent_header(f, "Content-Type"),
                            "application/x-www-form-urlencoded; charset=utf-8");
        assert_string_equal(sent_header(f, "X-Amz-Date"), "20260921T141320Z");
        assert_string_equal(sent_header(f, "X-Amz-Security-Token"), "session//token+EXAMPLE==");
        assert_string_equal(sent_header(f, "Authorization"), WIT_AUTHORIZATION);
        feed_status(i, 200, answer);
        assert_int_equal(next_of(i), IDENTITY_DONE);
        assert_int_equal(identity_take(i, &got), 0);
        assert_int_equal(got.kind, IDENTITY_JWT);
        assert_string_equal(got.jwt.data, token);
        assert_string_equal(got.subject, "me");
        assert_string_equal(got.provider, "aws-wit");
        /* What AWS says counts, for it is earlier than what the token says. */
        assert_true(got.expires_wall == NOW + MINUTES(5));
        assert_true(got.refresh_wall == NOW + MINUTES(4));
}

/* --- where credentials come from -------------------------------------------------------------- */

static void credentials_of_the_environment_are_used(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        env_make(&env, lambda);
        assert_int_equal(identity_start("aws-wit", &env, &i, NULL), 0);
        finish_wit(i);
}

static void an_instance_is_asked_by_the_second_version_alone(void **state) {
        static const char *const none[] = { NULL };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        env_make(&env, none);
        assert_int_equal(identity_start("aws-wit", &env, &i, NULL), 0);
        answer_all(i, imds, ARRAY_SIZE(imds));
        finish_wit(i);
}

static void an_instance_of_ipv6_is_asked_there(void **state) {
        static const char *const variables[] = { "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6",
                                                 REGION, NULL };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        struct exchange e[] = { imds[0], imds[2], imds[3] };

        e[0].url = "http://[fd00:ec2::254]/latest/api/token";
        e[1].url = "http://[fd00:ec2::254]" ROLES;
        e[2].url = "http://[fd00:ec2::254]" ROLES "agent+role@x";
        env_make(&env, variables);
        assert_int_equal(identity_start("aws-wit", &env, &i, NULL), 0);
        answer_all(i, e, ARRAY_SIZE(e));
        finish_wit(i);
}

static void what_stands_in_for_the_instance_may_listen_on_loopback(void **state) {
        static const char *const variables[] = {
                "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1338/", REGION, NULL
        };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        struct exchange e = imds[0];

        e.url = "http://127.0.0.1:1338/latest/api/token";
        env_make(&env, variables);
        assert_int_equal(identity_start("aws-wit", &env, &i, NULL), 0);
        answer_all(i, &e, 1);
        assert_string_equal(step_of(i, IDENTITY_FETCH)->fetch.url, "http://127.0.0.1:1338" ROLES);
}

static void a_container_of_ecs_asks_its_agent(void **state) {
        static const char *const variables[] = {
                REGION, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/7?a=b", NULL
        };
        static const struct exchange e = { "GET",
                                           "http://169.254.170.2/v2/credentials/7?a=b",
                                           METADATA,
                                           { { "Accept", "application/json" } },
                                           CREDENTIALS };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        env_make(&env, variables);
        assert_int_equal(identity_start("aws-wit", &env, &i, NULL), 0);
        /* It may be just starting. */
        feed_status(i, 404, "");
        assert_true(step_of(i, IDENTITY_WAIT)->wait_usec == 100 * USEC_PER_MSEC);
        identity_feed_time(i, NOW);
        answer_all(i, &e, 1);
        finish_wit(i);
}

/* The token goes as it is, without "Bearer"; one in a file is read each time, and counts more. */
static void a_pod_of_eks_shows_its_token(void **state) {
        static const char path[] = "/run/pods.eks.amazonaws.com/token";
        static const char *const variables[] = {
                REGION, "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.23/v1/credentials",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN=of the environment",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/run/pods.eks.amazonaws.com/token", NULL
        };
        static const struct exchange e = { "GET",
                                           "http://169.254.170.23/v1/credentials",
                                           METADATA,
                                           { { "Accept", "application/json" },
                                             { "Authorization", "raw.token" } },
                                           CREDENTIALS };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        env_make(&env, variables);
        assert_int_equal(identity_start("aws-wit", &env, &i, NULL), 0);
        assert_string_equal(step_of(i, IDENTITY_READ)->order.path, path);
        feed_text(i, "raw.token\n");
        answer_all(i, &e, 1);
        finish_wit(i);
}

static void a_token_of_the_environment_goes_as_it_is(void **state) {
        static const char *const variables[] = {
                REGION, "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://localhost:2773/credentials",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN=Basic abcd", NULL
        };
        static const struct exchange e = { "GET",
                                           "http://localhost:2773/credentials",
                                           ANYWHERE,
                                           { { "Accept", "application/json" },
                                             { "Authorization", "Basic abcd" } },
                                           CREDENTIALS };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        env_make(&env, variables);
        assert_int_equal(identity_start("aws-wit", &env, &i, NULL), 0);
        answer_all(i, &e, 1);
        finish_wit(i);
}

static void a_token_of_the_cluster_is_exchanged(void **state) {
        static const char *const variables[] = { REGION, ARN, TOKEN_FILE, NULL };
        static const struct exchange e = {
                "POST",
                STS,
                ANYWHERE,
                { { "Content-Type", "application/x-www-form-urlencoded; charset=utf-8" } },
                WEB_ANSWER("ASIAEXAMPLE", "2026-09-21T15:13:20Z")
        };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        env_make(&env, variables);
        assert_int_equal(identity_start("aws-wit", &env, &i, NULL), 0);
        assert_string_equal(step_of(i, IDENTITY_READ)->order.path,
                            "/var/run/secrets/eks.amazonaws.com/x/token");
        feed_text(i, "eyJ.a.b");
        /* As the SDK sends it: not signed, the token is the proof. */
        assert_string_equal(step_of(i, IDENTITY_FETCH)->fetch.body.data,
                            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%"
                            "3Aiam%3A%3A123456789012%3Arole%2Fagent&RoleSessionName=mcp-broker&"
                            "WebIdentityToken=eyJ.a.b");
        answer_all(i, &e, 1);
        finish_wit(i);
}

static void the_session_is_named_as_the_environment_says(void **state) {
        static const char *const variables[] = { REGION, ARN, TOKEN_FILE,
                                                 "AWS_ROLE_SESSION_NAME=pod 7", NULL };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        env_make(&env, variables);
        assert_int_equal(identity_start("aws-wit", &env, &i, NULL), 0);
        feed_text(i, "eyJ.a.b");
        assert_non_null(
                strstr(step_of(i, IDENTITY_FETCH)->fetch.body.data, "&RoleSessionName=pod%207&"));
}

/* Whatever the order of the table: what was configured, and nothing else. */
static void the_source_that_is_configured_is_taken(void **state) {
        static const char *const all[] = { REGION,     KEY_ID,
                                           KEY,        ARN,
                                           TOKEN_FILE, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/c",
                                           NULL };
        static const struct {
                const char *config;
                enum identity_next next;
                const char *place;
        } table[] = {
                { "aws-wit", IDENTITY_FETCH, STS },
                { "aws-wit:source=environment", IDENTITY_FETCH, STS },
                { "aws-wit:source=web-identity", IDENTITY_READ,
                  "/var/run/secrets/eks.amazonaws.com/x/token" },
                { "aws-wit:source=container", IDENTITY_FETCH, "http://169.254.170.2/c" },
                { "aws-wit:source=imds", IDENTITY_FETCH, IMDS "/latest/api/token" },
        };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;

        env_make(&env, all);
        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;
                struct identity_step *step;

                assert_int_equal(identity_start(table[k].config, &env, &i, NULL), 0);
                step = step_of(i, table[k].next);
                assert_string_equal(table[k].next == IDENTITY_READ ? step->order.path
                                                                   : step->fetch.url,
                                    table[k].place);
        }
}

static void a_region_comes_from_the_first_that_knows_it(void **state) {
        static const struct {
                const char *config;
                const char *variables[4];
                const char *url;
        } table[] = {
                { "aws-wit:us-west-2",
                  { REGION, KEY_ID, KEY },
                  "https://sts.us-west-2.amazonaws.com/" },
                { "aws-wit", { REGION, "AWS_DEFAULT_REGION=us-west-2", KEY_ID, KEY }, STS },
                { "aws-wit",
                  { "AWS_DEFAULT_REGION=us-west-2", KEY_ID, KEY },
                  "https://sts.us-west-2.amazonaws.com/" },
                { "aws-wit",
                  { "AWS_REGION=cn-north-1", KEY_ID, KEY },
                  "https://sts.cn-north-1.amazonaws.com.cn/" },
                { "aws-wit", { KEY_ID, KEY }, IMDS "/latest/api/token" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                const char *variables[5] = { NULL };
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;

                for (size_t n = 0; n < 4; n++)
                        variables[n] = table[k].variables[n];
                env_make(&env, variables);
                assert_int_equal(identity_start(table[k].config, &env, &i, NULL), 0);
                assert_string_equal(step_of(i, IDENTITY_FETCH)->fetch.url, table[k].url);
        }
}

static void an_instance_that_is_only_asked_for_its_region(void **state) {
        static const char *const variables[] = { KEY_ID, KEY, SESSION, NULL };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        env_make(&env, variables);
        assert_int_equal(identity_start("aws-wit", &env, &i, NULL), 0);
        answer_all(i, imds, 2);
        finish_wit(i);
}

/* --- what is configured ----------------------------------------------------------------------- */

static void all_that_may_be_asked_for_is_in_the_request(void **state) {
        static const char *const audiences[] = { AUDIENCE, "b", "c" };
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        env_make(&env, lambda);
        assert_int_equal(identity_config_parse("aws-wit:alg=ES384,duration=60,"
                                               "tags=agent=on call;mcp-server=x=y",
                                               &c, NULL),
                         0);
        assert_int_equal(identity_begin(&c, &env, audiences, 3, NOW, &i, NULL), 0);
        assert_string_equal(step_of(i, IDENTITY_FETCH)->fetch.body.data,
                            "Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1=https%"
                            "3A%2F%2Fas.example.com&Audience.member.2=b&Audience.member.3=c&"
                            "SigningAlgorithm=ES384&DurationSeconds=60&Tags.member.1.Key=agent&"
                            "Tags.member.1.Value=on%20call&Tags.member.2.Key=mcp-server&"
                            "Tags.member.2.Value=x%3Dy");
}

/* 128 characters of key and 256 of value; 50 of them. */
static void tags_are_as_long_and_as_many_as_aws_takes(void **state) {
        static const struct {
                size_t n_key;
                size_t n_value;
                unsigned n;
                bool taken;
        } table[] = {
                { 128, 256, 1, true }, { 129, 1, 1, false }, { 1, 257, 1, false },
                { 1, 0, 50, true },    { 1, 0, 51, false },
        };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;

        env_make(&env, lambda);
        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_BUF struct buf config = BUF_INIT;
                AUTO_BUF struct buf last = BUF_INIT;

                assert_int_equal(buf_append_str(&config, "aws-wit:tags="), 0);
                for (unsigned n = 0; n < table[k].n; n++)
                        assert_int_equal(buf_printf(&config, "%s%0*d=%0*d", n > 0 ? ";" : "",
                                                    (int)table[k].n_key, 7, (int)table[k].n_value,
                                                    table[k].n_value > 0 ? 8 : 0),
                                         0);
                assert_int_equal(identity_start(config.data, &env, &i, NULL),
                                 table[k].taken ? 0 : -EINVAL);
                if (!table[k].taken)
                        continue;
                assert_int_equal(buf_printf(&last, "&Tags.member.%u.Key=%0*d&Tags.member.%u.Value=",
                                            table[k].n, (int)table[k].n_key, 7, table[k].n),
                                 0);
                assert_non_null(strstr(step_of(i, IDENTITY_FETCH)->fetch.body.data, last.data));
        }
}

static void ten_audiences_are_the_most(void **state) {
        static const char *const audiences[] = { "1", "2", "3", "4",  "5", "6",
                                                 "7", "8", "9", "10", "11" };
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;

        env_make(&env, lambda);
        assert_int_equal(identity_config_parse("aws-wit", &c, NULL), 0);
        for (size_t n = 10; n <= 11; n++) {
                AUTO_IDENTITY struct identity *i = NULL;
                struct error err = ERROR_INIT;
                int r = identity_begin(&c, &env, audiences, n, NOW, &i, &err);

                assert_int_equal(r, n == 10 ? 0 : -E2BIG);
                assert_int_equal(err.code, n == 10 ? MCPB_NO_ERROR : MCPB_BAD_CONFIG);
        }
}

static void what_cannot_be_configured_is_named(void **state) {
        static const struct {
                const char *config;
                const char *says;
        } table[] = {
                { "aws-wit:source=v1", "no source 'v1'" },
                { "aws-wit:region=eu.central", "'eu.central'" },
                { "aws-wit:region=EU", "'EU'" },
                { "aws-wit:region=-eu", "'-eu'" },
                { "aws-wit:region=eu-", "'eu-'" },
                { "aws-wit:region=evil.example/", "'evil.example/'" },
                { "aws-wit:alg=HS256", "alg 'HS256'" },
                { "aws-wit:duration=59", "'59'" },
                { "aws-wit:duration=3601", "'3601'" },
                { "aws-wit:duration=1h", "'1h'" },
                { "aws-wit:tags=x", "tags" },
                { "aws-wit:tags==x", "tags" },
                { "aws-wit:tags=a=1;;b=2", "tags" },
                { "aws-wit:token=x", "'token'" },
                { "aws-proof", "for whom" },
                { "aws-proof:nobody", "for whom" },
                { "aws-proof:google,role=x", "no role" },
                { "aws-proof:vault,source=x", "no source 'x'" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
                struct error err = ERROR_INIT;

                assert_int_equal(identity_config_parse(table[k].config, &c, &err), -EINVAL);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                if (!strstr(err.message, table[k].says))
                        fail_msg("'%s' does not say '%s'", err.message, table[k].says);
                assert_true(err.hint[0]);
        }
}

/* The environment alone can be wrong too, and is found out before anything is asked. */
static void what_the_environment_lacks_is_named(void **state) {
        static const struct {
                const char *config;
                const char *variables[4];
                const char *says;
        } table[] = {
                { "aws-wit:source=environment", { REGION, KEY_ID }, "AWS_SECRET_ACCESS_KEY" },
                { "aws-wit:source=environment", { REGION, KEY }, "AWS_ACCESS_KEY_ID" },
                { "aws-wit:source=web-identity", { REGION, TOKEN_FILE }, "AWS_ROLE_ARN" },
                { "aws-wit:source=web-identity", { REGION, ARN }, "AWS_WEB_IDENTITY_TOKEN_FILE" },
                { "aws-wit:source=container", { REGION }, "AWS_CONTAINER_CREDENTIALS_FULL_URI" },
                { "aws-wit", { "AWS_EC2_METADATA_DISABLED=true" }, "AWS_EC2_METADATA_DISABLED" },
                { "aws-wit", { "AWS_EC2_METADATA_DISABLED=true", REGION }, "access key" },
                { "aws-wit", { "AWS_EC2_METADATA_DISABLED=True", KEY_ID, KEY }, "region" },
                { "aws-wit", { "AWS_REGION=evil.example/?", KEY_ID, KEY }, "'evil.example/?'" },
                { "aws-wit", { REGION, "AWS_ACCESS_KEY_ID=A/B", KEY }, "no credentials" },
                { "aws-wit", { REGION, KEY_ID, KEY, "AWS_SESSION_TOKEN=a b" }, "no credentials" },
                { "aws-wit",
                  { REGION, "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://169.254.169.254/v1" },
                  "AWS_EC2_METADATA_SERVICE_ENDPOINT" },
                { "aws-wit",
                  { REGION, "AWS_EC2_METADATA_SERVICE_ENDPOINT=169.254.169.254" },
                  "AWS_EC2_METADATA_SERVICE_ENDPOINT" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                const char *variables[5] = { NULL };
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                struct error err = ERROR_INIT;

                for (size_t n = 0; n < 4; n++)
                        variables[n] = table[k].variables[n];
                env_make(&env, variables);
                assert_true(identity_start(table[k].config, &env, &i, &err) < 0);
                assert_int_equal(err.code, MCPB_IDENTITY_FAILED);
                if (!strstr(err.message, "'aws-wit'") || !strstr(err.message, table[k].says))
                        fail_msg("'%s' does not say '%s'", err.message, table[k].says);
                assert_true(err.hint[0]);
        }
}

/* Whoever could set this variable could else have the token of the container, or have us believe
 * anybody's credentials. */
static void a_container_is_sent_to_services_of_aws_alone(void **state) {
        static const struct {
                const char *variable;
                bool allowed;
        } table[] = {
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.2/c", true },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.23/v1/credentials", true },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://[fd00:ec2::23]/v1/credentials", true },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:1/c", true },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://[::1]/c", true },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=https://vault.example.com/c", true },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://vault.example.com/c", false },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.169.254/c", false },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.22/c", false },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://0xa9.254.170.2/c", false },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.2.evil.example/", false },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.2@evil.example/", false },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.2/c#x", false },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=ftp://169.254.170.2/c", false },
                { "AWS_CONTAINER_CREDENTIALS_FULL_URI=/c", false },
                { "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/c", true },
                { "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=.evil.example/", false },
                { "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=@evil.example/", false },
                { "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=3/c", false },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                const char *variables[] = { REGION, table[k].variable, NULL };
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                struct error err = ERROR_INIT;
                int r;

                env_make(&env, variables);
                r = identity_start("aws-wit", &env, &i, &err);
                if ((r == 0) != table[k].allowed)
                        fail_msg("%s: %d", table[k].variable, r);
                assert_true(r == 0 || strstr(err.message, "AWS_CONTAINER_CREDENTIALS_"));
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(credentials_of_the_environment_are_used),
                cmocka_unit_test(an_instance_is_asked_by_the_second_version_alone),
                cmocka_unit_test(an_instance_of_ipv6_is_asked_there),
                cmocka_unit_test(what_stands_in_for_the_instance_may_listen_on_loopback),
                cmocka_unit_test(a_container_of_ecs_asks_its_agent),
                cmocka_unit_test(a_pod_of_eks_shows_its_token),
                cmocka_unit_test(a_token_of_the_environment_goes_as_it_is),
                cmocka_unit_test(a_token_of_the_cluster_is_exchanged),
                cmocka_unit_test(the_session_is_named_as_the_environment_says),
                cmocka_unit_test(the_source_that_is_configured_is_taken),
                cmocka_unit_test(a_region_comes_from_the_first_that_knows_it),
                cmocka_unit_test(an_instance_that_is_only_asked_for_its_region),
                cmocka_unit_test(all_that_may_be_asked_for_is_in_the_request),
                cmocka_unit_test(tags_are_as_long_and_as_many_as_aws_takes),
                cmocka_unit_test(ten_audiences_are_the_most),
                cmocka_unit_test(what_cannot_be_configured_is_named),
                cmocka_unit_test(what_the_environment_lacks_is_named),
                cmocka_unit_test(a_container_is_sent_to_services_of_aws_alone),
        };

        return cmocka_run_group_tests_name("identity-aws", tests, NULL, NULL);
}
