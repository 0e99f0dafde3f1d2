/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-aws.h"
#include "oom.h"

/* --- what goes wrong -------------------------------------------------------------------------- */

/* The steps that fetch something, of all sources: how to get to each, and how it says what it does.
 */
static const struct {
        const char *variables[4];
        bool file; /* a file is read before */
        size_t n;  /* so many requests to the instance are answered before */
        const char *what;
} steps[] = {
        { { NULL }, false, 0, "asking the instance for a session" },
        { { NULL }, false, 1, "asking the instance for its region" },
        { { NULL }, false, 2, "asking the instance for its role" },
        { { NULL }, false, 3, "asking the instance for the credentials of its role" },
        { { NULL }, false, 4, "asking " STS " for a token" },
        { { REGION, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/c" },
          false,
          0,
          "asking for the container's credentials" },
        { { REGION, ARN, TOKEN_FILE }, true, 0, "assuming the role by web identity" },
};

static void walk_to(size_t step, struct identity_env *env, struct identity **ret) {
        const char *variables[5] = { NULL };

        for (size_t n = 0; n < 4; n++)
                variables[n] = steps[step].variables[n];
        env_make(env, variables);
        assert_int_equal(identity_start("aws-wit", env, ret, NULL), 0);
        if (steps[step].file)
                feed_text(*ret, "eyJ.a.b");
        answer_all(*ret, imds, steps[step].n);
}

static void assert_step_failed(struct identity *i, size_t step, const char *says) {
        assert_failed(i, "'aws-wit'", says);
        if (!strstr(identity_error(i)->message, steps[step].what))
                fail_msg("'%s' does not say '%s'", identity_error(i)->message, steps[step].what);
}

static void nobody_answers_at_any_step(void **state) {
        static const enum fetch_failure failures[] = {
                FETCH_FAILURE_CONNECT,  FETCH_FAILURE_TIMEOUT,   FETCH_FAILURE_CUT,
                FETCH_FAILURE_PROTOCOL, FETCH_FAILURE_TOO_LARGE,
        };

        for (size_t k = 0; k < ARRAY_SIZE(steps) * ARRAY_SIZE(failures); k++) {
                size_t step = k / ARRAY_SIZE(failures);
                enum fetch_failure failure = failures[k % ARRAY_SIZE(failures)];
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_ANSWER struct fetch_answer a;

                walk_to(step, &env, &i);
                fetch_answer_init(&a);
                a.outcome = FETCH_NO_ANSWER;
                a.failure = failure;
                identity_feed_answer(i, &a, NOW);
                assert_step_failed(i, step,
                                   failure == FETCH_FAILURE_TOO_LARGE ? "too large" : "no answer");
        }
}

static void a_wrong_answer_fails_at_any_step(void **state) {
        static const struct {
                unsigned status;
                const char *body;
                const char *says;
        } faults[] = {
                { 302, "", "redirects" },
                { 400, "", "status 400" },
                { 403, "{\"message\":\"not you\"}", "status 403" },
                { 200, "", "what came" },
                { 200, "<!DOCTYPE html><html><body>Log in</body></html>", "what came" },
                { 200, "{\"AccessKeyId\":\"A\",\"AccessKeyId\":\"B\"}", "what came" },
                { 200, "{\"a\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}", "what came" },
                { 200, "a\r\nX-Injected: b", "what came" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(steps) * ARRAY_SIZE(faults); k++) {
                size_t step = k / ARRAY_SIZE(faults);
                size_t fault = k % ARRAY_SIZE(faults);
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;

                /* A session's token is any text: without blanks that is one. */
                if (step == 0 && faults[fault].body[0] == '{' && faults[fault].status == 200)
                        continue;
                walk_to(step, &env, &i);
                feed_status(i, faults[fault].status, faults[fault].body);
                assert_step_failed(i, step, faults[fault].says);
        }
}

static void an_answer_without_end_is_refused_at_any_step(void **state) {
        AUTO_BUF struct buf body = BUF_INIT;

        for (size_t k = 0; k <= 64 * 1024; k++)
                assert_int_equal(buf_append(&body, "x", 1), 0);
        for (size_t step = 0; step < ARRAY_SIZE(steps); step++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;

                walk_to(step, &env, &i);
                feed_status(i, 200, body.data);
                assert_step_failed(i, step, "too large");
        }
}

static void whoever_is_busy_is_asked_again_and_then_given_up(void **state) {
        static const uint64_t pauses[] = { 100, 400, 1600 };

        for (size_t step = 0; step < ARRAY_SIZE(steps); step++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_FREE char *url = NULL;

                walk_to(step, &env, &i);
                url = strdup(step_of(i, IDENTITY_FETCH)->fetch.url);
                for (size_t k = 0; k < ARRAY_SIZE(pauses); k++) {
                        feed_status(i, 503, "");
                        assert_true(step_of(i, IDENTITY_WAIT)->wait_usec ==
                                    pauses[k] * USEC_PER_MSEC);
                        identity_feed_time(i, NOW);
                        assert_string_equal(step_of(i, IDENTITY_FETCH)->fetch.url, url);
                }
                feed_status(i, 503, "");
                assert_step_failed(i, step, "status 503");
        }
}

static void credentials_that_are_none_are_refused(void **state) {
        static const struct {
                const char *body;
                const char *says;
        } table[] = {
                { "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", "AssumeRoleUnauthorizedAccess" },
                { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\"}", "no credentials" },
                { "{\"AccessKeyId\":\"A\",\"Token\":\"t\"}", "no credentials" },
                { "{\"SecretAccessKey\":\"s\",\"Token\":\"t\"}", "no credentials" },
                { "{\"AccessKeyId\":7,\"SecretAccessKey\":\"s\",\"Token\":\"t\"}",
                  "no credentials" },
                { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"t\\r\\nX: y\"}",
                  "no credentials" },
                { "{\"AccessKeyId\":\"A, B\",\"SecretAccessKey\":\"s\",\"Token\":\"t\"}",
                  "no credentials" },
                { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
                  "\"Expiration\":\"soon\"}",
                  "no credentials" },
                { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
                  "\"Expiration\":\"2026-09-21T14:13:20Z\"}",
                  "have expired" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;

                walk_to(3, &env, &i);
                feed_status(i, 200, table[k].body);
                assert_step_failed(i, 3, table[k].says);
        }
}

static void names_that_would_lead_elsewhere_are_refused(void **state) {
        static const struct {
                size_t step;
                const char *body;
        } table[] = {
                { 1, "evil.example/" },
                { 1, "eu central" },
                { 1, "EU" },
                { 2, "../../x" },
                { 2, "role?x=y" },
                { 2, "role\nother" },
                { 2, ".." },
                { 0, "session\nX-Evil: y" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;

                walk_to(table[k].step, &env, &i);
                feed_status(i, 200, table[k].body);
                assert_step_failed(i, table[k].step, "what came is no");
        }
}

static void a_session_that_has_ended_is_begun_anew_once(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        struct exchange again = imds[0];

        walk_to(2, &env, &i);
        feed_status(i, 401, "");
        again.answer = "SESSION==";
        answer_all(i, &again, 1);
        check_request(&step_of(i, IDENTITY_FETCH)->fetch, &imds[2]);
        feed_status(i, 401, "");
        assert_step_failed(i, 2, "status 401");
}

/* Not version 1, whatever goes wrong: no request but the PUT is without a session. */
static void an_instance_that_refuses_the_session_is_asked_no_more(void **state) {
        static const unsigned statuses[] = { 400, 401, 403, 404, 405 };

        for (size_t k = 0; k < ARRAY_SIZE(statuses); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;

                walk_to(0, &env, &i);
                feed_status(i, statuses[k], "");
                assert_step_failed(i, 0, "refused");
                assert_non_null(strstr(identity_error(i)->hint, "hop limit"));
        }
}

/* Where the credentials come from elsewhere, its hop limit is not what has to be changed. */
static void an_instance_that_cannot_say_its_region_need_not(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        static const char *const variables[] = { KEY_ID, KEY, NULL };

        env_make(&env, variables);
        for (size_t k = 0; k < 2; k++) {
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_ANSWER struct fetch_answer a;

                assert_int_equal(identity_start("aws-wit", &env, &i, NULL), 0);
                fetch_answer_init(&a);
                a.outcome = k == 0 ? FETCH_NO_ANSWER : FETCH_ANSWERED;
                a.status = 403;
                identity_feed_answer(i, &a, NOW);
                assert_step_failed(i, 0, k == 0 ? "no answer" : "403");
                assert_non_null(strstr(identity_error(i)->hint, "AWS_REGION"));
        }
}

static void an_instance_without_a_role_is_told_so(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        walk_to(2, &env, &i);
        feed_status(i, 404, "<html>");
        assert_step_failed(i, 2, "has no role");
        assert_non_null(strstr(identity_error(i)->hint, "instance profile"));
}

static void a_refusal_of_sts_says_what_to_do(void **state) {
        static const struct {
                const char *code;
                const char *hint;
        } table[] = {
                { "OutboundWebIdentityFederationDisabled", "EnableOutboundWebIdentityFederation" },
                { "AccessDenied", "policy" },
                { "ExpiredToken", "new ones" },
                { "SessionDurationEscalation", "duration=" },
                { "JWTPayloadSizeExceeded", "tags=" },
                { "InvalidIdentityToken", "trust policy" },
                { "SignatureDoesNotMatch", "clock" },
                { "SomethingNew", "documentation" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_BUF struct buf body = BUF_INIT;

                walk_to(4, &env, &i);
                assert_int_equal(buf_printf(&body,
                                            "<ErrorResponse><Error><Type>Sender</Type><Code>%s"
                                            "</Code><Message>because</Message></Error><RequestId/>"
                                            "</ErrorResponse>",
                                            table[k].code),
                                 0);
                feed_status(i, 403, body.data);
                assert_step_failed(i, 4, table[k].code);
                assert_non_null(strstr(identity_error(i)->message, "because"));
                assert_non_null(strstr(identity_error(i)->hint, table[k].hint));
        }
}

static void a_token_is_judged_like_any_other(void **state) {
        static const struct {
                const char *claims;
                const char *until;
                const char *says;
        } table[] = {
                { "{\"aud\":\"https://other.example\",\"exp\":1790000600}", "2026-09-21T14:18:20Z",
                  "https://other.example" },
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":1790000000}", "2026-09-21T14:18:20Z",
                  "expired" },
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":1790000600}", "2026-09-21T14:13:20Z",
                  "expired" },
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":1790000600}", "tomorrow", "XML" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_FREE char *token = token_of(table[k].claims);
                AUTO_FREE char *answer = wit_answer(token, table[k].until);

                walk_to(4, &env, &i);
                feed_status(i, 200, answer);
                assert_step_failed(i, 4, table[k].says);
        }
}

static void a_file_that_cannot_be_read_is_named(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        static const char *const variables[] = { REGION, ARN, TOKEN_FILE, NULL };
        static const char *const texts[] = { "", " \n", "eyJ\r\nx" };

        env_make(&env, variables);
        for (size_t k = 0; k <= ARRAY_SIZE(texts); k++) {
                AUTO_IDENTITY struct identity *i = NULL;

                assert_int_equal(identity_start("aws-wit", &env, &i, NULL), 0);
                if (k < ARRAY_SIZE(texts))
                        feed_text(i, texts[k]);
                else
                        identity_feed_bytes(i, -EACCES, NULL, NULL, NOW);
                assert_failed(i, "'aws-wit'", "AWS_WEB_IDENTITY_TOKEN_FILE");
        }
}

/* --- memory ----------------------------------------------------------------------------------- */

struct scene {
        const char *config;
        const struct identity_env *env;
        const char *file;
        const char *const *answers;
        size_t n_answers;
};

static int act(void *userdata) {
        const struct scene *s = userdata;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        int r = identity_start(s->config, s->env, &i, NULL);

        if (r == 0 && s->file) {
                AUTO_BUF struct buf b = BUF_INIT;

                oom_pause(true);
                assert_int_equal(buf_append_str(&b, s->file), 0);
                oom_pause(false);
                identity_feed_bytes(i, 0, &b, NULL, NOW);
        }
        for (size_t k = 0; r == 0 && k < s->n_answers && next_of(i) != IDENTITY_FAILED; k++) {
                AUTO_ANSWER struct fetch_answer a;

                oom_pause(true);
                fetch_answer_init(&a);
                a.outcome = FETCH_ANSWERED;
                a.status = 200;
                assert_int_equal(buf_append_str(&a.body, s->answers[k]), 0);
                oom_pause(false);
                identity_feed_answer(i, &a, NOW);
        }
        return r < 0 ? r : identity_take(i, &got);
}

static void running_out_of_memory_leaks_nothing(void **state) {
        static const char *const none[] = { NULL };
        static const char *const irsa[] = { REGION, ARN, TOKEN_FILE, NULL };
        static const char *const pod[] = {
                REGION, "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.23/c",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/t", NULL
        };
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_FREE char *answer = wit_answer(token, "2026-09-21T14:18:20Z");
        static const char credentials[] = CREDENTIALS;
        const char *by_imds[] = { "SESSION", "eu-central-1", "role", credentials, answer };
        const char *by_web[] = { WEB_ANSWER("ASIAEXAMPLE", "2026-09-21T15:13:20Z"), answer };
        const char *by_pod[] = { credentials, answer };
        AUTO_IDENTITY_ENV struct identity_env empty = IDENTITY_ENV_INIT;
        AUTO_IDENTITY_ENV struct identity_env web = IDENTITY_ENV_INIT;
        AUTO_IDENTITY_ENV struct identity_env agent = IDENTITY_ENV_INIT;
        AUTO_IDENTITY_ENV struct identity_env keys = IDENTITY_ENV_INIT;
        struct scene scenes[] = {
                { "aws-wit:tags=a=b", &empty, NULL, by_imds, ARRAY_SIZE(by_imds) },
                { "aws-wit", &web, "eyJ.a.b", by_web, ARRAY_SIZE(by_web) },
                { "aws-wit", &agent, "token", by_pod, ARRAY_SIZE(by_pod) },
                { "aws-proof:vault,role=x", &keys, NULL, NULL, 0 },
                { "aws-proof:google", &keys, NULL, NULL, 0 },
                { "aws-proof:eks", &keys, NULL, NULL, 0 },
        };

        env_make(&empty, none);
        env_make(&web, irsa);
        env_make(&agent, pod);
        env_make(&keys, lambda);
        /* jansson tells no lack of memory from bad text, nor does a token that cannot be read. */
        for (size_t k = 0; k < ARRAY_SIZE(scenes); k++)
                assert_true(oom_sweep_any(act, &scenes[k]) > 20);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(nobody_answers_at_any_step),
                cmocka_unit_test(a_wrong_answer_fails_at_any_step),
                cmocka_unit_test(an_answer_without_end_is_refused_at_any_step),
                cmocka_unit_test(whoever_is_busy_is_asked_again_and_then_given_up),
                cmocka_unit_test(credentials_that_are_none_are_refused),
                cmocka_unit_test(names_that_would_lead_elsewhere_are_refused),
                cmocka_unit_test(a_session_that_has_ended_is_begun_anew_once),
                cmocka_unit_test(an_instance_that_refuses_the_session_is_asked_no_more),
                cmocka_unit_test(an_instance_that_cannot_say_its_region_need_not),
                cmocka_unit_test(an_instance_without_a_role_is_told_so),
                cmocka_unit_test(a_refusal_of_sts_says_what_to_do),
                cmocka_unit_test(a_token_is_judged_like_any_other),
                cmocka_unit_test(a_file_that_cannot_be_read_is_named),
                cmocka_unit_test(running_out_of_memory_leaks_nothing),
        };

        return cmocka_run_group_tests_name("identity-aws-faults", tests, NULL, NULL);
}
