/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include "oom.h"

static void a_file_is_read_and_its_token_taken(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_BUF struct buf text = BUF_INIT;
        struct identity_step *step;

        assert_int_equal(identity_start("file:/run/id/token", NULL, &i, NULL), 0);
        step = step_of(i, IDENTITY_READ);
        assert_int_equal(step->order.kind, ORDER_READ);
        assert_string_equal(step->order.path, "/run/id/token");
        assert_int_equal(step->order.rules, ORDER_RULES_SECRET);
        assert_int_equal(step->order.max, 64 * 1024);
        assert_string_equal(step->what, "reading /run/id/token");
        assert_int_equal(identity_take(i, &got), -EINVAL);
        assert_int_equal(buf_printf(&text, " %s \r\n", token), 0);
        feed_text(i, text.data);
        assert_int_equal(next_of(i), IDENTITY_DONE);
        assert_int_equal(identity_take(i, &got), 0);
        assert_int_equal(got.kind, IDENTITY_JWT);
        assert_string_equal(got.jwt.data, token);
        assert_string_equal(got.subject, "me");
        assert_string_equal(got.issuer, "https://issuer.example");
        assert_true(got.expires_wall == NOW + MINUTES(10));
        assert_true(got.refresh_wall == 0);
        assert_string_equal(got.provider, "file");
        assert_int_equal(identity_take(i, &got), -EINVAL);
}

/* Whoever carries an order out takes it away. */
static void an_order_that_was_taken_away_is_answered(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_for(AUDIENCE);
        struct order order;

        order_init(&order, ORDER_READ);
        assert_int_equal(identity_start("file:/run/id/token", NULL, &i, NULL), 0);
        order_move(&order, &step_of(i, IDENTITY_READ)->order);
        feed_text(i, token);
        assert_int_equal(next_of(i), IDENTITY_DONE);
        order_done(&order);
}

static void what_the_claims_must_say(void **state) {
        static const struct {
                const char *claims;
                const char *says; /* NULL: taken */
        } table[] = {
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":1790000001}", NULL },
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":1790000001.5}", NULL },
                { "{\"aud\":[\"" AUDIENCE "\"]}", NULL },
                { "{\"aud\":[\"" AUDIENCE "\",\"" AUDIENCE "\"]}", NULL },
                { "{\"sub\":7,\"iss\":[],\"aud\":\"" AUDIENCE "\"}", NULL },
                { "{}", "for nobody" },
                { "{\"aud\":null}", "for nobody" },
                { "{\"aud\":[]}", "for nobody" },
                { "{\"aud\":{}}", "for nobody" },
                { "{\"aud\":\"https://as.example.com/\"}", "'https://as.example.com/'" },
                { "{\"aud\":\"https://AS.example.com\"}", "'https://AS.example.com'" },
                { "{\"aud\":[\"" AUDIENCE "\",\"https://other.example\"]}", "alone" },
                { "{\"aud\":[\"" AUDIENCE "\",7]}", "alone" },
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":1790000000}", "expired" },
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":0}", "expired" },
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":-5}", "no date" },
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":\"1790000600\"}", "no date" },
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":1e300}", "no date" },
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":1e400}", "no JSON Web Token" },
                { "{\"aud\":\"a\",\"aud\":\"" AUDIENCE "\"}", "no JSON Web Token" },
                { "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
                  "no JSON Web Token" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_FREE char *token = token_of(table[k].claims);

                assert_int_equal(identity_start("file:/x", NULL, &i, NULL), 0);
                feed_text(i, token);
                while (next_of(i) == IDENTITY_WAIT) {
                        identity_feed_time(i, NOW);
                        feed_text(i, token);
                }
                if (table[k].says)
                        assert_failed(i, "'file', reading /x", table[k].says);
                else if (next_of(i) != IDENTITY_DONE)
                        fail_msg("%s: %s", table[k].claims, identity_error(i)->message);
        }
}

static void a_text_that_is_no_token_is_refused_and_not_repeated_to_anybody(void **state) {
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_BUF struct buf broken = BUF_INIT;
        const char *const texts[] = { "", " \n", "hunter2", "a.b.c", "<html>", NULL };

        assert_int_equal(buf_append(&broken, token, 20), 0);
        assert_int_equal(buf_append_str(&broken, "\r\n"), 0);
        assert_int_equal(buf_append_str(&broken, token + 20), 0);
        for (size_t k = 0; k < ARRAY_SIZE(texts); k++) {
                AUTO_IDENTITY struct identity *i = NULL;
                const char *text = texts[k] ? texts[k] : broken.data;

                assert_int_equal(identity_start("file:/x", NULL, &i, NULL), 0);
                feed_text(i, text);
                for (int n = 0; n < 3; n++) {
                        assert_int_equal(next_of(i), IDENTITY_WAIT);
                        identity_feed_time(i, NOW);
                        feed_text(i, text);
                }
                assert_failed(i, "'file'", "no JSON Web Token");
                assert_null(strstr(identity_error(i)->message, "hunter2"));
        }
}

/* A token with a NUL in it. */
static void bytes_behind_a_nul_are_no_part_of_a_token(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(identity_start("file:/x", NULL, &i, NULL), 0);
        assert_int_equal(buf_append(&b, token, strlen(token) + 1), 0);
        identity_feed_bytes(i, 0, &b, NULL, NOW);
        assert_int_equal(next_of(i), IDENTITY_WAIT);
}

static void a_file_caught_while_it_is_written_is_read_again(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_FREE char *half = strndup(token, strlen(token) / 2);
        struct identity_step *step;

        assert_int_equal(identity_start("file:/x", NULL, &i, NULL), 0);
        feed_text(i, half);
        step = step_of(i, IDENTITY_WAIT);
        assert_true(step->wait_usec == 100 * USEC_PER_MSEC);
        identity_feed_time(i, NOW);
        step = step_of(i, IDENTITY_READ);
        assert_string_equal(step->order.path, "/x");
        feed_text(i, "");
        assert_true(step_of(i, IDENTITY_WAIT)->wait_usec == 400 * USEC_PER_MSEC);
        identity_feed_time(i, NOW);
        feed_text(i, token);
        assert_int_equal(next_of(i), IDENTITY_DONE);
        assert_int_equal(identity_error(i)->code, MCPB_NO_ERROR);
}

static void a_clock_that_jumps_makes_a_token_stale(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(identity_start("file:/x", NULL, &i, NULL), 0);
        for (int n = 0; n < 4; n++) {
                assert_int_equal(buf_append_str(&b, token), 0);
                identity_feed_bytes(i, 0, &b, NULL, NOW + MINUTES(11));
                buf_clear(&b);
                if (next_of(i) == IDENTITY_WAIT)
                        identity_feed_time(i, NOW + MINUTES(11));
        }
        assert_failed(i, "'file'", "expired");
        assert_non_null(strstr(identity_error(i)->hint, "clock"));
}

static void a_file_that_cannot_be_read_fails_at_once_with_its_reason_and_remedy(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        struct error why = ERROR_INIT;

        assert_int_equal(identity_start("file:/x", NULL, &i, NULL), 0);
        (void)error_set(&why, MCPB_NOT_FOUND, ENOENT, "Mount it", "/x does not exist");
        identity_feed_bytes(i, -ENOENT, NULL, &why, NOW);
        assert_failed(i, "'file', reading /x", "/x does not exist");
        assert_string_equal(identity_error(i)->hint, "Mount it");
        i = identity_free(i);
        assert_int_equal(identity_start("file:/x", NULL, &i, NULL), 0);
        identity_feed_bytes(i, -EACCES, NULL, NULL, NOW);
        assert_failed(i, "'file', reading /x", "Permission denied");
}

static void a_call_that_could_not_be_made_fails_like_any_order(void **state) {
        static const char *const variables[] = { "SPIFFE_ENDPOINT_SOCKET=unix:///run/x", NULL };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        struct error why = ERROR_INIT;

        env_make(&env, variables);
        assert_int_equal(identity_start("spiffe", &env, &i, NULL), 0);
        (void)step_of(i, IDENTITY_CALL);
        (void)error_set(&why, MCPB_TIMEOUT, ETIMEDOUT, NULL, "It took too long");
        identity_feed_bytes(i, -ETIMEDOUT, NULL, &why, NOW);
        assert_failed(i, "'spiffe'", "too long");
}

static void an_order_whose_process_dies_is_given_again_but_no_command(void **state) {
        AUTO_IDENTITY struct identity *file = NULL;
        AUTO_IDENTITY struct identity *command = NULL;
        AUTO_FREE char *token = token_for(AUDIENCE);
        struct error why = ERROR_INIT;

        (void)error_set(&why, MCPB_RETRY, EAGAIN, "Try again", "The process has died");
        assert_int_equal(identity_start("file:/x", NULL, &file, NULL), 0);
        identity_feed_bytes(file, -EAGAIN, NULL, &why, NOW);
        (void)step_of(file, IDENTITY_WAIT);
        identity_feed_time(file, NOW);
        assert_string_equal(step_of(file, IDENTITY_READ)->order.path, "/x");
        feed_text(file, token);
        assert_int_equal(next_of(file), IDENTITY_DONE);
        file = identity_free(file);
        assert_int_equal(identity_start("file:/x", NULL, &file, NULL), 0);
        for (int n = 0; n < 3; n++) {
                identity_feed_bytes(file, -EAGAIN, NULL, &why, NOW);
                identity_feed_time(file, NOW);
        }
        identity_feed_bytes(file, -EAGAIN, NULL, &why, NOW);
        assert_failed(file, "'file'", "has died");
        assert_int_equal(identity_start("exec:/x", NULL, &command, NULL), 0);
        identity_feed_bytes(command, -EAGAIN, NULL, &why, NOW);
        assert_failed(command, "'exec'", "has died");
}

static void more_bytes_than_were_asked_for_are_refused(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(identity_start("file:/x", NULL, &i, NULL), 0);
        while (b.len <= (size_t)64 * 1024)
                assert_int_equal(buf_append_str(&b, "xxxxxxxxxxxxxxxx"), 0);
        identity_feed_bytes(i, 0, &b, NULL, NOW);
        assert_failed(i, "'file'", "too many");
}

static void a_token_lies_in_json_where_the_pointer_says(void **state) {
        AUTO_FREE char *token = token_for(AUDIENCE);
        static const struct {
                const char *field;
                const char *before;
                const char *behind;
                const char *says; /* NULL: taken */
        } table[] = {
                { "/token", "{\"token\":\"", "\"}", NULL },
                { "/a/b", "{\"a\":{\"b\":\"", "\"}}", NULL },
                { "/a~1b/c~0", "{\"a/b\":{\"c~\":\"", "\"}}", NULL },
                { "/", "{\"\":\"", "\"}", NULL },
                { "/a/c", "{\"a\":{\"b\":\"", "\"}}", "no text at /a/c" },
                { "/a", "{\"a\":{\"b\":\"", "\"}}", "no text at /a" },
                { "/a/b", "{\"a\":[\"", "\"]}", "no text at /a/b" },
                { "/a", "[\"", "\"]", "no object" },
                { "/a", "{\"a\":1,\"a\":\"", "\"}", "duplicate key" },
                { "/a", "<html>", "</html>", "not JSON" },
                { "/a", "{\"a\":\"", "\\n\"}", "no JSON Web Token" },
                { "/a", "{\"b\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]],\"a\":\"", "\"}",
                  "nested too deeply" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_BUF struct buf config = BUF_INIT;
                AUTO_BUF struct buf text = BUF_INIT;

                assert_int_equal(
                        buf_printf(&config, "file:/x,format=json,field=%s", table[k].field), 0);
                assert_int_equal(
                        buf_printf(&text, "%s%s%s", table[k].before, token, table[k].behind), 0);
                assert_int_equal(identity_start(config.data, NULL, &i, NULL), 0);
                feed_text(i, text.data);
                while (next_of(i) == IDENTITY_WAIT) {
                        identity_feed_time(i, NOW);
                        feed_text(i, text.data);
                }
                if (table[k].says)
                        assert_failed(i, "'file'", table[k].says);
                else
                        assert_int_equal(next_of(i), IDENTITY_DONE);
        }
}

static void a_token_can_be_too_old_before_it_expires(void **state) {
        AUTO_FREE char *token = token_for(AUDIENCE); /* a minute old */
        AUTO_FREE char *undated = token_of("{\"aud\":\"" AUDIENCE "\"}");
        AUTO_IDENTITY struct identity *i = NULL;

        assert_int_equal(identity_start("file:/x,max-age=61", NULL, &i, NULL), 0);
        feed_text(i, token);
        assert_int_equal(next_of(i), IDENTITY_DONE);
        i = identity_free(i);
        for (int n = 0; n < 2; n++) {
                assert_int_equal(identity_start("file:/x,max-age=60", NULL, &i, NULL), 0);
                feed_text(i, n == 0 ? token : undated);
                while (next_of(i) == IDENTITY_WAIT) {
                        identity_feed_time(i, NOW);
                        feed_text(i, n == 0 ? token : undated);
                }
                assert_failed(i, "'file'", n == 0 ? "older than max-age=" : "when it was issued");
                i = identity_free(i);
        }
}

static void audiences_are_judged_before_anything_is_asked(void **state) {
        static const struct {
                const char *audiences[2];
                size_t n;
                const char *says;
        } table[] = {
                { { NULL }, 0, "no audience" },
                { { "a", "b" }, 2, "one audience" },
                { { "" }, 1, "''" },
                { { "a b" }, 1, "'a b'" },
                { { "a\r\nX: y" }, 1, "can be no audience" },
        };
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;

        assert_int_equal(identity_config_parse("file:/x", &c, NULL), 0);
        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                struct identity *i = NULL;
                struct error err = ERROR_INIT;

                assert_true(identity_begin(&c, NULL, table[k].audiences, table[k].n, NOW, &i,
                                           &err) < 0);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                assert_non_null(strstr(err.message, table[k].says));
                assert_true(err.hint[0]);
                assert_null(i);
        }
}

static void a_credential_lies_in_the_folder_that_systemd_names(void **state) {
        const char *const environment[] = { "CREDENTIALS_DIRECTORY=/run/credentials/x", NULL };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY_ENV struct identity_env none = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_for(AUDIENCE);
        struct error err = ERROR_INIT;

        env_make(&env, environment);
        assert_int_equal(identity_start("credential:id", &env, &i, NULL), 0);
        assert_string_equal(step_of(i, IDENTITY_READ)->order.path, "/run/credentials/x/id");
        feed_text(i, token);
        assert_int_equal(next_of(i), IDENTITY_DONE);
        i = identity_free(i);
        assert_int_equal(identity_start("credential:id", &none, &i, &err), -ENOENT);
        assert_int_equal(err.code, MCPB_IDENTITY_FAILED);
        assert_non_null(strstr(err.message, "'credential': CREDENTIALS_DIRECTORY"));
        assert_non_null(strstr(err.hint, "LoadCredential="));
}

static void the_environment_holds_a_token(void **state) {
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_FREE char *other = token_for("https://other.example");
        AUTO_BUF struct buf mine = BUF_INIT;
        AUTO_BUF struct buf gitlab = BUF_INIT;
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        struct error err = ERROR_INIT;
        const char *environment[3] = { NULL };

        assert_int_equal(buf_printf(&mine, "TFC_WORKLOAD_IDENTITY_TOKEN=%s", token), 0);
        assert_int_equal(buf_printf(&gitlab, "MCP_ID_TOKEN=%s", other), 0);
        environment[0] = mine.data;
        environment[1] = gitlab.data;
        env_make(&env, environment);
        assert_int_equal(identity_start("env:TFC_WORKLOAD_IDENTITY_TOKEN", &env, &i, NULL), 0);
        assert_int_equal(next_of(i), IDENTITY_DONE);
        assert_int_equal(identity_take(i, &got), 0);
        assert_string_equal(got.jwt.data, token);
        assert_string_equal(got.provider, "env");
        i = identity_free(i);
        assert_int_equal(identity_start("gitlab", &env, &i, &err), -EPERM);
        assert_non_null(strstr(err.message, "'gitlab': the token is for 'https://other.example'"));
        assert_non_null(strstr(err.hint, "id_tokens:"));
        assert_int_equal(identity_start("gitlab:OTHER", &env, &i, &err), -ENOENT);
        assert_non_null(strstr(err.message, "OTHER is not in the environment"));
}

static int read_a_file(void *userdata) {
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_BUF struct buf b = BUF_INIT;
        struct error err = ERROR_INIT;
        int r = identity_start("file:/x,format=json,field=/a", NULL, &i, &err);

        if (r < 0)
                return r;
        oom_pause(true);
        assert_int_equal(buf_printf(&b, "{\"a\":\"%s\"}", (const char *)userdata), 0);
        oom_pause(false);
        identity_feed_bytes(i, 0, &b, NULL, NOW);
        if (next_of(i) == IDENTITY_FAILED) {
                assert_int_equal(identity_error(i)->code, MCPB_INTERNAL);
                return -ENOMEM;
        }
        /* jansson tells some of its failed allocations from bad input, gets by without others. */
        return next_of(i) == IDENTITY_WAIT ? -ENOMEM : identity_take(i, &got);
}

static void no_allocation_that_fails_is_missed(void **state) {
        AUTO_FREE char *token = token_for(AUDIENCE);

        assert_true(oom_sweep_any(read_a_file, token) > 10);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_file_is_read_and_its_token_taken),
                cmocka_unit_test(an_order_that_was_taken_away_is_answered),
                cmocka_unit_test(what_the_claims_must_say),
                cmocka_unit_test(a_text_that_is_no_token_is_refused_and_not_repeated_to_anybody),
                cmocka_unit_test(bytes_behind_a_nul_are_no_part_of_a_token),
                cmocka_unit_test(a_file_caught_while_it_is_written_is_read_again),
                cmocka_unit_test(a_clock_that_jumps_makes_a_token_stale),
                cmocka_unit_test(
                        a_file_that_cannot_be_read_fails_at_once_with_its_reason_and_remedy),
                cmocka_unit_test(a_call_that_could_not_be_made_fails_like_any_order),
                cmocka_unit_test(an_order_whose_process_dies_is_given_again_but_no_command),
                cmocka_unit_test(more_bytes_than_were_asked_for_are_refused),
                cmocka_unit_test(a_token_lies_in_json_where_the_pointer_says),
                cmocka_unit_test(a_token_can_be_too_old_before_it_expires),
                cmocka_unit_test(audiences_are_judged_before_anything_is_asked),
                cmocka_unit_test(a_credential_lies_in_the_folder_that_systemd_names),
                cmocka_unit_test(the_environment_holds_a_token),
                cmocka_unit_test(no_allocation_that_fails_is_missed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
