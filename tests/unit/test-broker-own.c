/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that need no person: they come up by themselves, are fetched anew before they end, and
 * what was refused is not tried again and again. */
#include "world-own.h"

#define BY_SECRET                                              \
        "[Server]\nURL=" WORLD_SERVER "\nIssuer=" WORLD_ISSUER \
        "\nClientId=robot\nClientSecretFile=/run/secret\nPresent=client-credentials\n"
#define BY_IDENTITY \
        "[Server]\nURL=" WORLD_SERVER "\nIdentity=file:path=/run/id/token\nPresent=jwt-bearer\n"

static const char *const by_secret[] = { FILE_A, BY_SECRET, NULL };
static const char *const by_identity[] = { FILE_A, BY_IDENTITY, NULL };
static const char *const by_person[] = { FILE_A, "[Server]\nURL=" WORLD_SERVER "\n", NULL };
static const char *const none[] = { NULL };

static int setup_secret(void **state) {
        return own_set_up(state, by_secret);
}

static int setup_identity(void **state) {
        return own_set_up(state, by_identity);
}

static int setup_jag(void **state) {
        static const char *const by_jag[] = {
                FILE_A,
                "[Server]\nURL=" WORLD_SERVER "\nIssuer=" WORLD_ISSUER
                "\nClientId=robot\nClientSecretFile=/run/secret\nPresent=id-jag\n"
                "Identity=file:path=/run/id/token\nIdpClientId=us-there\n"
                "IdpTokenEndpoint=https://idp.example.com/exchange\n",
                NULL
        };

        return own_set_up(state, by_jag);
}

/* A180 A181 A182 A183 */
static void it_comes_up_by_itself(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        const struct fetch_request *f;
        bool basic = false;

        serve_up_to_token(w);
        f = &world_fetch(w)->request;
        assert_int_equal(world_fetch(w)->via, FETCH_DEAL);
        assert_form(w, "grant_type", "client_credentials");
        assert_form(w, "resource", WORLD_SERVER);
        assert_form(w, "client_secret", NULL);
        for (size_t i = 0; i < f->n_headers; i++) /* "robot:s3cret" */
                basic = basic || streq(f->headers[i].value, "Basic cm9ib3Q6czNjcmV0");
        assert_true(basic);
        assert_server_state(w, "login_pending");
        world_tokens(w, "at1", "rt1", 600, NULL);
        world_run(w);
        assert_server_state(w, "ready");
        assert_int_equal(w->n_listeners, 0);
        assert_int_equal(w->n_register, 0);
        assert_string_equal(world_token(w, &a), "at1");
        answer_done(&a);
        /* The refresh token that came along is not kept: another token is got like the first. */
        world_advance(w, 700 * USEC_PER_SEC);
        world_get(w, NULL, &a);
        serve_up_to_token(w);
        assert_form(w, "grant_type", "client_credentials");
        world_tokens(w, "at2", NULL, 600, NULL);
        world_run(w);
        assert_token(&a, "at2");
}

static void assert_no_device(struct world *w, enum method method, const char *more) {
        AUTO_JSON json_t *params = json_loads(more, 0, NULL);
        AUTO_REPLY struct answer a = { 0 };

        assert_int_equal(json_object_set_new(params, "flow", json_string("device")), 0);
        world_ask(w, method, TAKE(params), &a);
        world_serve(w);
        assert_non_null(strstr(a.err.hint, "--device"));
        assert_refused(&a, MCPB_BAD_PARAMS);
}

static void nobody_logs_in_to_it_by_a_code(void **state) {
        struct world *w = *state;

        come_up(w, "at1");
        assert_no_device(w, METHOD_LOGIN_START, "{\"server\":\"" WORLD_SERVER "\"}");
        assert_no_device(w, METHOD_SERVER_ADD, "{\"url\":\"" WORLD_SERVER "\",\"login\":true}");
        assert_no_device(w, METHOD_SERVER_ADD,
                         "{\"url\":\"https://other.example.com/mcp\",\"login\":true,\"issuer\":"
                         "\"" WORLD_ISSUER "\",\"client_id\":\"robot\",\"client_secret\":\"s\","
                         "\"present\":\"client-credentials\"}");
        assert_int_equal(w->n_fetches, 0);
        assert_server_state(w, "ready");
}

/* A151: a refresh token would be dropped, and a client that may not have one is refused. */
static void no_refresh_token_is_asked_for(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        w->as_more = "{\"scopes_supported\":[\"read\",\"write\",\"offline_access\"]}";
        serve_up_to_token(w);
        assert_form(w, "scope", "read write");
        world_tokens(w, "at1", NULL, 600, NULL);
        world_run(w);
        world_get(w, "admin", &a);
        serve_up_to_token(w);
        assert_form(w, "scope", "admin read write");
        world_tokens(w, "at2", NULL, 600, NULL);
        world_run(w);
        assert_token(&a, "at2");
}

static void who_asks_meanwhile_waits_and_needs_no_browser(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };

        world_get(w, NULL, &a);
        world_get(w, NULL, &b);
        assert_int_equal(a.n_told, 0);
        come_up(w, "at1");
        assert_token(&a, "at1");
        assert_token(&b, "at1");
        assert_int_equal(w->n_token, 1);
}

static void what_is_in_use_is_fetched_ahead_of_its_end(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        come_up(w, "at1");
        assert_string_equal(world_token(w, &a), "at1");
        answer_done(&a);
        world_advance(w, 560 * USEC_PER_SEC);
        come_up(w, "at2");
        assert_string_equal(world_token(w, &a), "at2");
        assert_int_equal(w->n_token, 2);
}

static void what_nobody_uses_is_left_to_end(void **state) {
        struct world *w = *state;

        come_up(w, "at1");
        world_advance(w, 3600 * USEC_PER_SEC);
        assert_int_equal(w->n_fetches, 0);
        assert_server_state(w, "idle");
}

static void a_restart_finds_what_there_was(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        come_up(w, "at1");
        world_crash(w);
        world_run(w);
        assert_int_equal(w->n_fetches, 0);
        assert_string_equal(world_token(w, &a), "at1");
}

/* Seconds, of the one server that there is; -1: it is not said. */
static long held(struct world *w) {
        AUTO_REPLY struct answer a = { 0 };

        world_ask(w, METHOD_SERVER_LIST, NULL, &a);
        assert_non_null(a.result);
        return (long)json_get_int(json_array_get(json_object_get(a.result, "servers"), 0), "held",
                                  -1);
}

/* One presentation, one attempt: a "no" is no invitation to try something else. */
/* A198 A199 */
static void what_was_refused_is_left_alone_for_a_while(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        serve_up_to_token(w);
        world_answer(w, 0, 401, "{\"error\":\"invalid_client\"}");
        world_run(w);
        assert_non_null(strstr(a.err.message, "invalid_client"));
        answer_done(&a);
        assert_server_state(w, "error");
        assert_in_range(held(w), 50, 61);
        for (unsigned i = 0; i < 3; i++) {
                world_get(w, NULL, &a);
                world_run(w);
                assert_non_null(strstr(a.err.message, "invalid_client"));
                assert_int_equal(w->n_fetches, 0);
                answer_done(&a);
                world_advance(w, 15 * USEC_PER_SEC);
        }
        world_advance(w, 20 * USEC_PER_SEC);
        assert_int_equal(held(w), -1);
        world_get(w, NULL, &a);
        come_up(w, "at1");
        assert_token(&a, "at1");
        assert_int_equal(held(w), -1);
}

static void a_reload_may_have_mended_it(void **state) {
        struct world *w = *state;

        serve_up_to_token(w);
        world_answer(w, 0, 401, "{\"error\":\"invalid_client\"}");
        world_run(w);
        w->secret = "b3tter";
        world_reload(w);
        serve_up_to_token(w);
        assert_string_equal(world_fetch(w)->request.url, WORLD_ISSUER "/token");
        world_tokens(w, "at1", NULL, 600, NULL);
        world_run(w);
        assert_server_state(w, "ready");
}

static void a_failure_that_may_pass_is_tried_again_sooner(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        serve_up_to_token(w);
        world_answer(w, 0, 503, "");
        world_run(w);
        world_advance(w, 2 * USEC_PER_SEC);
        world_get(w, NULL, &a);
        come_up(w, "at1");
        assert_token(&a, "at1");
}

static void a_token_that_the_server_refuses_is_replaced(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };

        come_up(w, "at1");
        world_get(w, NULL, &a);
        world_ask(w, METHOD_TOKEN_REJECT,
                  json_pack("{s:s, s:s}", "server", WORLD_SERVER, "token_id",
                            json_get_string(a.result, "token_id")),
                  &b);
        assert_true(json_get_bool(b.result, "rejected", false));
        answer_done(&a);
        world_get(w, NULL, &a);
        come_up(w, "at2");
        assert_token(&a, "at2");
}

static void tokens_that_have_ended_when_they_come_are_not_asked_for_for_ever(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        for (unsigned i = 0; i < 10 && a.n_told == 0; i++) {
                serve_up_to_token(w);
                world_tokens(w, "at", NULL, 0, NULL);
                world_run(w);
        }
        assert_int_equal(a.n_told, 1);
        assert_int_equal(a.err.code, MCPB_ISSUER_ERROR);
        assert_true(w->n_token <= 5);
}

static void what_a_machine_has_goes_with_its_declaration(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        come_up(w, "at1");
        w->servers = none;
        world_reload(w);
        assert_non_null(world_fetch(w));
        assert_non_null(strstr(world_fetch(w)->request.url, "/revoke"));
        assert_form(w, "token", "at1");
        world_answer(w, 0, 200, "");
        world_run(w);
        world_get(w, NULL, &a);
        assert_refused(&a, MCPB_NOT_FOUND);
}

/* What a person was granted is not what the machine may do, nor the other way. */
static void a_person_and_a_machine_have_not_one_grant(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        come_up(w, "at1");
        w->servers = by_person;
        world_reload(w);
        world_get(w, NULL, &a);
        assert_refused(&a, MCPB_LOGIN_REQUIRED);
}

/* ---- with an identity ---- */

/* A174 A195 A197 */
static void an_identity_is_got_and_shown_once(void **state) {
        struct world *w = *state;
        AUTO_FREE char *token = token_for(WORLD_ISSUER);
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        serve_up_to_order(w);
        world_order(w, 0, token);
        assert_string_equal(world_fetch(w)->request.url, WORLD_ISSUER "/token");
        assert_form(w, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        assert_form(w, "assertion", token);
        assert_form(w, "client_id", NULL);
        assert_int_equal(w->n_register, 0);
        world_tokens(w, "at1", NULL, 60, NULL);
        world_run(w);
        assert_token(&a, "at1");
        /* The next time the file is read again: it is rotated. */
        world_advance(w, 100 * USEC_PER_SEC);
        world_get(w, NULL, &a);
        serve_up_to_order(w);
        world_order(w, 0, token);
        world_tokens(w, "at2", NULL, 600, NULL);
        world_run(w);
        assert_token(&a, "at2");
}

/* A196 */
static void an_identity_for_somebody_else_goes_nowhere(void **state) {
        struct world *w = *state;
        AUTO_FREE char *token = token_for("https://other.example.com");
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        serve_up_to_order(w);
        world_order(w, 0, token);
        assert_int_equal(w->n_fetches, 0);
        assert_int_equal(a.n_told, 1);
        assert_non_null(strstr(a.err.message, "https://other.example.com"));
}

static void a_file_that_is_not_there_is_named(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        serve_up_to_order(w);
        world_order(w, -ENOENT, NULL);
        assert_int_equal(w->n_fetches, 0);
        assert_int_equal(a.n_told, 1);
        assert_non_null(strstr(a.err.message, "/run/id/token"));
}

static void a_server_that_goes_meanwhile_ends_it(void **state) {
        struct world *w = *state;
        AUTO_FREE char *token = token_for(WORLD_ISSUER);
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        serve_up_to_order(w);
        w->servers = none;
        world_reload(w);
        world_order(w, 0, token);
        assert_int_equal(w->n_fetches, 0);
        assert_refused(&a, MCPB_LOGIN_CANCELLED);
}

/* A184 A185 A186 A187 A188 A190 A194 */
static void a_login_at_an_identity_provider_is_made_into_an_assertion(void **state) {
        struct world *w = *state;
        AUTO_FREE char *id_token = token_for("us-there");
        AUTO_FREE char *jag = token_for(WORLD_ISSUER);
        AUTO_BUF struct buf body = BUF_INIT;
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        serve_up_to_order(w);
        world_order(w, 0, id_token);
        assert_string_equal(world_fetch(w)->request.url, "https://idp.example.com/exchange");
        assert_form(w, "requested_token_type", "urn:ietf:params:oauth:token-type:id-jag");
        assert_form(w, "subject_token", id_token);
        assert_form(w, "audience", WORLD_ISSUER);
        assert_form(w, "resource", WORLD_SERVER);
        assert_form(w, "client_id", "us-there");
        assert_int_equal(buf_printf(&body,
                                    "{\"access_token\":\"%s\",\"token_type\":\"N_A\","
                                    "\"issued_token_type\":"
                                    "\"urn:ietf:params:oauth:token-type:id-jag\"}",
                                    jag),
                         0);
        world_answer(w, 0, 200, body.data);
        world_run(w);
        assert_string_equal(world_fetch(w)->request.url, WORLD_ISSUER "/token");
        assert_form(w, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        assert_form(w, "assertion", jag);
        assert_form(w, "subject_token", NULL);
        world_tokens(w, "at1", NULL, 600, NULL);
        world_run(w);
        assert_token(&a, "at1");
        assert_int_equal(w->n_listeners, 0);
}

#define SECRET_TEST(f) cmocka_unit_test_setup_teardown(f, setup_secret, world_teardown)
#define JAG_TEST(f) cmocka_unit_test_setup_teardown(f, setup_jag, world_teardown)
#define IDENTITY_TEST(f) cmocka_unit_test_setup_teardown(f, setup_identity, world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                SECRET_TEST(it_comes_up_by_itself),
                SECRET_TEST(nobody_logs_in_to_it_by_a_code),
                SECRET_TEST(no_refresh_token_is_asked_for),
                SECRET_TEST(who_asks_meanwhile_waits_and_needs_no_browser),
                SECRET_TEST(what_is_in_use_is_fetched_ahead_of_its_end),
                SECRET_TEST(what_nobody_uses_is_left_to_end),
                SECRET_TEST(a_restart_finds_what_there_was),
                SECRET_TEST(what_was_refused_is_left_alone_for_a_while),
                SECRET_TEST(a_reload_may_have_mended_it),
                SECRET_TEST(a_failure_that_may_pass_is_tried_again_sooner),
                SECRET_TEST(a_token_that_the_server_refuses_is_replaced),
                SECRET_TEST(tokens_that_have_ended_when_they_come_are_not_asked_for_for_ever),
                SECRET_TEST(what_a_machine_has_goes_with_its_declaration),
                SECRET_TEST(a_person_and_a_machine_have_not_one_grant),
                JAG_TEST(a_login_at_an_identity_provider_is_made_into_an_assertion),
                IDENTITY_TEST(an_identity_is_got_and_shown_once),
                IDENTITY_TEST(an_identity_for_somebody_else_goes_nowhere),
                IDENTITY_TEST(a_file_that_is_not_there_is_named),
                IDENTITY_TEST(a_server_that_goes_meanwhile_ends_it),
        };

        return cmocka_run_group_tests_name("broker-own", tests, NULL, NULL);
}
