/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are lost, refusals, and failures that pass. */
#include "base/clock.h"
#include "broker-world.h"

#define LIFE (3600 * USEC_PER_SEC)

/* --- In doubt --------------------------------------------------------------------------------- */

/* Uses the token, and waits for the refresh ahead of its end, whose answer is lost. */
static void lose_an_answer(struct world *w) {
        struct answer a;

        assert_non_null(world_token(w, &a));
        answer_done(&a);
        /* The login's token was used only now, so it is looked at again when it is old. */
        world_advance(w, LIFE - 30 * USEC_PER_SEC);
        if (w->n_fetches == 0)
                world_ask(w, METHOD_TOKEN_GET,
                          json_pack("{s:s, s:i}", "server", WORLD_SERVER, "min_ttl", 60), &a);
        else
                a = (struct answer){ 0 };
        world_run(w);
        assert_int_equal(w->n_fetches, 1);
        world_no_answer(w, 0, FETCH_NO_ANSWER);
        world_run(w);
        answer_done(&a);
}

/* A148 */
static void a_lost_answer_leaves_the_lease_to_its_end_and_then_the_old_token_is_tried_once(
        void **state) {
        struct world *w = *state;
        struct answer a;

        lose_an_answer(w);
        for (unsigned i = 0; i < 5; i++) {
                assert_string_equal(world_token(w, &a), "at1");
                answer_done(&a);
                world_advance(w, USEC_PER_SEC);
        }
        assert_int_equal(w->n_token, 1);
        world_expire(w);
        assert_server_state(w, "in_doubt");
        world_send(w, NULL, &a);
        assert_form(w, "refresh_token", "rt1");
        assert_int_equal(w->n_token, 2);
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run(w);
        assert_token(&a, "at2");
        assert_server_state(w, "ready");
        /* Nothing of the doubt is left. */
        world_crash(w);
        world_expire(w);
        world_send(w, NULL, &a);
        assert_form(w, "refresh_token", "rt2");
        world_answer(w, 0, 400, "{\"error\":\"invalid_grant\"}");
        world_run(w);
        assert_null(strstr(a.err.message, "lost"));
        assert_refused(&a, MCPB_GRANT_REVOKED);
}

/* A147 A148 */
static void a_rejection_after_a_lost_answer_says_why(void **state) {
        struct world *w = *state;
        struct answer a;

        lose_an_answer(w);
        world_expire(w);
        world_send(w, NULL, &a);
        world_answer(w, 0, 400, "{\"error\":\"invalid_grant\"}");
        world_run(w);
        assert_non_null(strstr(a.err.message, "lost"));
        assert_non_null(strstr(a.err.hint, "mcp-add"));
        assert_refused(&a, MCPB_GRANT_REVOKED);
        world_get(w, NULL, &a);
        world_run(w);
        assert_refused(&a, MCPB_GRANT_REVOKED);
        assert_int_equal(w->n_token, 2);
        assert_int_equal(w->n_fetches, 0);
}

/* A148 */
static void a_crash_after_the_request_leaves_the_same_doubt(void **state) {
        struct world *w = *state;
        struct answer a;

        world_expire(w);
        world_send(w, NULL, &a);
        broker_call_abandon(a.call);
        world_crash(w);
        assert_server_state(w, "in_doubt");
        world_send(w, NULL, &a);
        assert_form(w, "refresh_token", "rt1");
        world_answer(w, 0, 400, "{\"error\":\"invalid_grant\"}");
        world_run(w);
        assert_non_null(strstr(a.err.message, "lost"));
        assert_refused(&a, MCPB_GRANT_REVOKED);
        assert_server_state(w, "login_required");
        /* And it is known after the next restart as well, without asking again. */
        world_crash(w);
        world_get(w, NULL, &a);
        world_run(w);
        assert_int_equal(w->n_token, 2);
        assert_non_null(strstr(a.err.message, "lost"));
        assert_refused(&a, MCPB_GRANT_REVOKED);
}

/* A137 A148 */
static void a_failure_that_passes_does_not_end_the_doubt(void **state) {
        struct world *w = *state;
        struct answer a;

        world_expire(w);
        world_send(w, NULL, &a);
        world_no_answer(w, 0, FETCH_NO_ANSWER);
        world_run(w);
        assert_int_equal(a.n_told, 1);
        answer_done(&a);
        world_advance(w, 10 * USEC_PER_SEC);
        world_get(w, NULL, &a);
        for (unsigned n = 0; a.n_told == 0; n++) {
                assert_true(n < 5);
                world_advance(w, 10 * USEC_PER_SEC);
                if (w->n_fetches > 0)
                        world_answer(w, 0, 503, "");
                world_run(w);
        }
        answer_done(&a);
        world_crash(w);
        world_expire(w);
        world_send(w, NULL, &a);
        world_answer(w, 0, 400, "{\"error\":\"invalid_grant\"}");
        world_run(w);
        assert_non_null(strstr(a.err.message, "lost"));
        assert_refused(&a, MCPB_GRANT_REVOKED);
}

/* A148 */
static void two_lost_answers_in_a_row_are_said_and_do_not_become_a_storm(void **state) {
        struct world *w = *state;
        struct answer a;

        world_expire(w);
        for (unsigned i = 1; i <= 20; i++) {
                world_get(w, NULL, &a);
                world_run(w);
                if (w->n_fetches > 0)
                        world_no_answer(w, 0, FETCH_NO_ANSWER);
                world_run(w);
                assert_int_equal(a.n_told, 1);
                assert_true(a.err.code == MCPB_ISSUER_UNREACHABLE || a.err.code == MCPB_RETRY);
                answer_done(&a);
                world_advance(w, USEC_PER_SEC / 2);
        }
        assert_in_range(w->n_token, 2, 5); /* in ten seconds */
}

/* --- Refused ---------------------------------------------------------------------------------- */

/* A147 */
static void a_dead_refresh_token_never_drops_a_valid_lease(void **state) {
        struct world *w = *state;
        struct answer a;
        struct answer b;

        world_send(w, "read", &a);
        world_answer(w, 0, 400, "{\"error\":\"invalid_grant\"}");
        world_run(w);
        /* The one token there is has to do, as far as policy lets it. */
        assert_int_equal(a.n_told, 1);
        answer_done(&a);
        assert_string_equal(world_token(w, &a), "at1");
        answer_done(&a);
        assert_server_state(w, "ready");
        world_crash(w);
        assert_string_equal(world_token(w, &b), "at1");
        answer_done(&b);
        world_expire(w);
        assert_server_state(w, "login_required");
        world_get(w, NULL, &a);
        world_run(w);
        assert_refused(&a, MCPB_GRANT_REVOKED);
        assert_int_equal(w->n_token, 1);
        assert_int_equal(w->n_register, 1);
}

/* A135 A88 */
static void an_unknown_client_costs_neither_grant_nor_registration(void **state) {
        struct world *w = *state;
        struct answer a;

        world_expire(w);
        world_send(w, NULL, &a);
        world_answer(w, 0, 401, "{\"error\":\"invalid_client\"}");
        world_run(w);
        assert_int_equal(a.n_told, 1);
        assert_true(a.err.code != MCPB_GRANT_REVOKED);
        answer_done(&a);
        world_advance(w, 120 * USEC_PER_SEC);
        assert_refresh(w, "rt1", "at2", "rt2");
        assert_int_equal(w->n_register, 1);
}

/* A140 S7 */
static void a_grant_without_a_refresh_token_serves_to_its_end_and_survives(void **state) {
        struct world *w = *state;
        struct answer a;

        world_done(w);
        w->no_refresh_token = true;
        world_init(w);
        world_login(w, NULL);
        for (unsigned i = 0; i < 3; i++) {
                assert_string_equal(world_token(w, &a), "at1");
                answer_done(&a);
                world_crash(w);
        }
        /* Narrower is not to be had, and the one there is may do. */
        world_get(w, "read", &a);
        world_run(w);
        assert_int_equal(a.n_told, 1);
        answer_done(&a);
        world_expire(w);
        world_get(w, NULL, &a);
        world_run(w);
        assert_refused(&a, MCPB_LOGIN_REQUIRED);
        assert_int_equal(w->n_token, 0);
        assert_server_state(w, "login_required");
}

/* --- Failures that pass ----------------------------------------------------------------------- */

/* A137 */
static void a_busy_issuer_is_asked_three_times_with_growing_pauses_and_then_left_alone(
        void **state) {
        struct world *w = *state;
        struct answer a;
        uint64_t times[3];

        world_expire(w);
        world_get(w, NULL, &a);
        for (size_t i = 0; i < 3; i++) {
                world_run(w);
                while (w->n_fetches == 0)
                        world_advance(w, 10 * USEC_PER_MSEC);
                times[i] = world_now();
                world_answer(w, 0, i == 1 ? 429 : 503, "");
                world_run(w);
        }
        assert_true(times[1] - times[0] >= 200 * USEC_PER_MSEC);
        assert_true(times[2] - times[1] > times[1] - times[0]);
        assert_int_equal(a.n_told, 1);
        assert_true(a.err.code == MCPB_ISSUER_UNREACHABLE || a.err.code == MCPB_ISSUER_ERROR ||
                    a.err.code == MCPB_RETRY);
        answer_done(&a);
        /* Whoever asks at once gets the same answer, without a request. */
        world_get(w, NULL, &a);
        world_run(w);
        assert_int_equal(a.n_told, 1);
        answer_done(&a);
        assert_int_equal(w->n_token, 3);
        world_advance(w, 61 * USEC_PER_SEC);
        assert_refresh(w, "rt1", "at2", "rt2");
        assert_server_state(w, "ready");
}

/* A137 */
static void a_no_of_the_issuer_is_never_repeated_at_once(void **state) {
        static const struct {
                unsigned status;
                const char *body;
        } table[] = {
                { 400, "{\"error\":\"invalid_request\"}" },
                { 400, "{\"error\":\"invalid_client\"}" },
                { 400, "{\"error\":\"temporarily_unavailable\"}" },
                { 401, "" },
                { 403, "" },
                { 404, "" },
                { 408, "" },
        };
        struct world *w = *state;
        struct answer a;

        world_expire(w);
        for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
                world_send(w, NULL, &a);
                assert_form(w, "refresh_token", "rt1");
                world_answer(w, 0, table[i].status, table[i].body);
                /* Told at once, and nothing is asked as time goes by. */
                world_run(w);
                assert_int_equal(a.n_told, 1);
                assert_null(a.result);
                answer_done(&a);
                world_advance(w, 400 * USEC_PER_SEC);
                assert_int_equal(w->n_token, i + 1);
        }
        assert_refresh(w, "rt1", "at2", "rt2");
}

/* A137 */
static void retry_after_is_respected(void **state) {
        struct world *w = *state;
        struct answer a;
        uint64_t asked;

        world_expire(w);
        world_send(w, NULL, &a);
        asked = world_now();
        world_answer_header(w, 0, 503, "retry-after", "30");
        world_run(w);
        while (w->n_token == 1) {
                if (a.n_told)
                        answer_done(&a), world_get(w, NULL, &a);
                world_advance(w, USEC_PER_SEC);
                assert_true(world_now() < asked + 120 * USEC_PER_SEC);
        }
        assert_true(world_now() - asked >= 29 * USEC_PER_SEC);
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run(w);
        assert_token(&a, "at2");
}

/* A137 A148 */
static void what_was_surely_not_sent_is_sent_again(void **state) {
        struct world *w = *state;
        struct answer a;

        world_expire(w);
        world_send(w, NULL, &a);
        world_no_answer(w, 0, FETCH_NOT_SENT);
        world_advance(w, 5 * USEC_PER_SEC);
        assert_int_equal(w->n_token, 2);
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run(w);
        assert_token(&a, "at2");
}

/* S7 */
static void a_request_that_cannot_be_begun_leaves_no_mark(void **state) {
        struct world *w = *state;
        struct answer a;

        world_expire(w);
        w->fetch_result = -ENOMEM;
        world_get(w, NULL, &a);
        world_run(w);
        assert_int_equal(a.n_told, 1);
        assert_null(a.result);
        answer_done(&a);
        world_crash(w);
        assert_server_state(w, "ready");
        world_send(w, NULL, &a);
        world_answer(w, 0, 400, "{\"error\":\"invalid_grant\"}");
        world_run(w);
        assert_null(strstr(a.err.message, "lost"));
        assert_refused(&a, MCPB_GRANT_REVOKED);
}

/* A148 */
static void a_yes_that_cannot_be_read_is_a_lost_answer(void **state) {
        struct world *w = *state;
        static const char *const bodies[] = { "",
                                              "{",
                                              "[]",
                                              "{}",
                                              "{\"access_token\":\"x y\"}",
                                              "{\"access_token\":\"x\",\"token_type\":\"MAC\"}" };
        struct answer a;

        for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
                world_done(w);
                world_init(w);
                world_login(w, NULL);
                world_expire(w);
                world_send(w, NULL, &a);
                world_answer(w, 0, 200, bodies[i]);
                world_run(w);
                assert_int_equal(a.n_told, 1);
                assert_int_equal(a.err.code, MCPB_ISSUER_ERROR);
                answer_done(&a);
                world_crash(w);
                world_send(w, NULL, &a);
                world_answer(w, 0, 400, "{\"error\":\"invalid_grant\"}");
                world_run(w);
                assert_non_null(strstr(a.err.message, "lost"));
                assert_refused(&a, MCPB_GRANT_REVOKED);
        }
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                T(a_lost_answer_leaves_the_lease_to_its_end_and_then_the_old_token_is_tried_once),
                T(a_rejection_after_a_lost_answer_says_why),
                T(a_crash_after_the_request_leaves_the_same_doubt),
                T(a_failure_that_passes_does_not_end_the_doubt),
                T(two_lost_answers_in_a_row_are_said_and_do_not_become_a_storm),
                T(a_dead_refresh_token_never_drops_a_valid_lease),
                T(an_unknown_client_costs_neither_grant_nor_registration),
                T(a_grant_without_a_refresh_token_serves_to_its_end_and_survives),
                T(a_busy_issuer_is_asked_three_times_with_growing_pauses_and_then_left_alone),
                T(a_no_of_the_issuer_is_never_repeated_at_once),
                T(retry_after_is_respected),
                T(what_was_surely_not_sent_is_sent_again),
                T(a_request_that_cannot_be_begun_leaves_no_mark),
                T(a_yes_that_cannot_be_read_is_a_lost_answer),
        };

        return cmocka_run_group_tests_name("broker-doubt", tests, NULL, NULL);
}
