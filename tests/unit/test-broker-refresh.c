/* SPDX-License-Identifier: Apache-2.0 */
/* One refresh at a time, in the one order, and killed after each of its steps. */
#include "base/clock.h"
#include "broker-world.h"

#define LIFE (3600 * USEC_PER_SEC)

/* --- Single flight ---------------------------------------------------------------------------- */

/* A145 A146 S6 */
static void one_refresh_serves_all_waiters(void **state) {
        struct world *w = *state;
        struct answer a[50] = { 0 };

        world_expire(w);
        for (size_t i = 0; i < 50; i++) {
                world_get(w, NULL, &a[i]);
                world_run(w);
                assert_int_equal(a[i].n_told, 0);
        }
        assert_int_equal(w->n_token, 1);
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run(w);
        for (size_t i = 0; i < 50; i++)
                assert_token(&a[i], "at2");
        assert_int_equal(w->n_token, 1);
}

/* A142 A145 */
static void the_request_carries_the_token_and_the_resource_and_the_next_the_new_token(
        void **state) {
        struct world *w = *state;
        struct answer a;

        world_expire(w);
        world_send(w, NULL, &a);
        assert_string_equal(world_fetch(w)->request.url, WORLD_ISSUER "/token");
        assert_int_equal(world_fetch(w)->via, FETCH_DEAL);
        assert_form(w, "grant_type", "refresh_token");
        assert_form(w, "refresh_token", "rt1");
        assert_form(w, "resource", WORLD_SERVER);
        assert_form(w, "client_id", "client1");
        assert_form(w, "scope", NULL);
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run(w);
        assert_token(&a, "at2");
        world_expire(w);
        world_send(w, NULL, &a);
        assert_form(w, "refresh_token", "rt2");
        /* None in the answer: the old one stays. */
        world_tokens(w, "at3", NULL, 3600, NULL);
        world_run(w);
        assert_token(&a, "at3");
        world_crash(w);
        world_expire(w);
        world_send(w, NULL, &a);
        assert_form(w, "refresh_token", "rt2");
        broker_call_abandon(a.call);
}

/* A143 A144 S6 */
static void as_many_scope_sets_as_are_asked_for_at_once_are_served_one_after_the_other(
        void **state) {
        struct world *w = *state;
        static const char *const sets[] = { "read", "write", "read write", NULL };
        struct answer a[12] = { 0 };
        char token[16];
        char next[16];

        world_expire(w);
        for (size_t i = 0; i < 12; i++)
                world_get(w, sets[i % 4], &a[i]);
        world_run(w);
        for (unsigned n = 1; n <= 3; n++) {
                assert_int_equal(w->n_fetches, 1);
                assert_int_equal(w->n_token, n);
                (void)snprintf(token, sizeof(token), "rt%u", n);
                assert_form(w, "refresh_token", token);
                assert_form(w, "scope", n <= 2 ? sets[n - 1] : NULL);
                (void)snprintf(token, sizeof(token), "at%u", n + 1);
                (void)snprintf(next, sizeof(next), "rt%u", n + 1);
                world_tokens(w, token, next, 3600, n <= 2 ? sets[n - 1] : NULL);
                world_run(w);
        }
        for (size_t i = 0; i < 12; i++)
                assert_token(&a[i], i % 4 == 0 ? "at2" : i % 4 == 1 ? "at3" : "at4");
}

/* A144 S6 */
static void waiting_for_others_is_no_fault_of_the_one_who_waits(void **state) {
        struct world *w = *state;
        static const char *const sets[] = { "read", "write", "a", "b", "c", "d" };
        struct answer a[6] = { 0 };
        char token[16];

        /* A grant of many scopes, and each asks for another one. */
        world_done(w);
        world_init(w);
        world_login(w, "read write a b c d");
        world_expire(w);
        for (size_t i = 0; i < 6; i++)
                world_get(w, sets[i], &a[i]);
        world_run(w);
        for (size_t i = 0; i < 6; i++) {
                assert_int_equal(w->n_fetches, 1);
                assert_form(w, "scope", sets[i]);
                (void)snprintf(token, sizeof(token), "at-%s", sets[i]);
                world_tokens(w, token, NULL, 3600, sets[i]);
                world_run(w);
                assert_token(&a[i], token);
        }
}

/* A143 A144 */
static void a_narrowed_token_cuts_nothing_of_the_grant(void **state) {
        struct world *w = *state;
        struct answer a;

        world_send(w, "read", &a);
        assert_form(w, "scope", "read");
        world_tokens(w, "narrow", "rt2", 3600, "read");
        world_run(w);
        assert_token(&a, "narrow");
        /* The full one is as it was, and no browser is needed after it. */
        assert_string_equal(world_token(w, &a), "at1");
        answer_done(&a);
        world_crash(w);
        world_expire(w);
        assert_refresh(w, "rt2", "at3", "rt3");
        assert_string_equal(world_token(w, &a), "at3");
        answer_done(&a);
        world_get(w, "read write", &a);
        world_run(w);
        assert_token(&a, "at3");
        assert_server_state(w, "ready");
}

/* A135 A143 */
static void a_scope_set_that_the_issuer_does_not_narrow_to_fails_alone(void **state) {
        struct world *w = *state;
        struct answer a;
        struct answer b;

        world_expire(w);
        world_send(w, "read", &a);
        world_get(w, NULL, &b);
        world_answer(w, 0, 400, "{\"error\":\"invalid_scope\"}");
        world_run(w);
        assert_int_equal(a.n_told, 1);
        assert_null(a.result);
        answer_done(&a);
        assert_int_equal(b.n_told, 0);
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run(w);
        assert_token(&b, "at2");
}

/* A133 */
static void tokens_that_are_dead_on_arrival_are_not_fetched_for_ever(void **state) {
        struct world *w = *state;
        struct answer a;

        world_expire(w);
        world_send(w, NULL, &a);
        for (unsigned n = 1; a.n_told == 0; n++) {
                assert_true(n <= 3);
                world_tokens(w, "dead", NULL, 0, NULL);
                world_run(w);
        }
        assert_refused(&a, MCPB_ISSUER_ERROR);
        assert_int_equal(w->n_fetches, 0);
}

/* A149 */
static void a_token_in_use_is_refreshed_before_its_end_and_one_that_is_not_is_left(void **state) {
        struct world *w = *state;
        struct answer a;

        world_advance(w, LIFE - 2 * USEC_PER_SEC);
        assert_int_equal(w->n_token, 0);
        world_expire(w);
        world_send(w, NULL, &a);
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run(w);
        assert_token(&a, "at2"); /* it is used now */
        world_advance(w, LIFE - 2 * USEC_PER_SEC);
        assert_int_equal(w->n_token, 2);
        assert_form(w, "refresh_token", "rt2");
        /* Whoever asks meanwhile for a little time is served at once. */
        world_ask(w, METHOD_TOKEN_GET,
                  json_pack("{s:s, s:i}", "server", WORLD_SERVER, "min_ttl", 0), &a);
        assert_token(&a, "at2");
        world_tokens(w, "at3", "rt3", 3600, NULL);
        world_run(w);
        assert_string_equal(world_token(w, &a), "at3");
        answer_done(&a);
}

/* --- The order -------------------------------------------------------------------------------- */

/* A145 S4 S7 */
static void nothing_is_sent_before_the_mark_and_nothing_told_before_the_new_token_is_durable(
        void **state) {
        struct world *w = *state;
        struct answer a;
        unsigned n_writes = 0;

        world_expire(w);
        w->disk->n_asked[MEMORY_WRITE] = 0;
        world_get(w, NULL, &a);
        world_run_loop(w);
        while (w->disk->n_requests > 0) {
                assert_int_equal(w->n_fetches, 0);
                n_writes += w->disk->requests[0]->verb == MEMORY_WRITE;
                memory_answer(w->disk, 0);
                world_run_loop(w);
        }
        assert_int_equal(n_writes, 1);
        assert_int_equal(w->n_fetches, 1);
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run_loop(w);
        assert_int_equal(w->disk->n_requests, 1);
        assert_int_equal(w->disk->requests[0]->verb, MEMORY_WRITE);
        assert_int_equal(a.n_told, 0);
        assert_int_equal(world_audit(w, "token.release"), 0);
        memory_answer(w->disk, 0);
        world_run_loop(w);
        assert_token(&a, "at2");
        assert_int_equal(world_audit(w, "token.release"), 1);
}

/* A145 S7 */
static void a_full_disk_keeps_the_new_token_in_memory_and_costs_no_second_refresh(void **state) {
        struct world *w = *state;
        static const int failures[] = { -ENOSPC, -EIO, -EDQUOT, -EROFS };
        struct answer a;
        char token[16];
        char next[16];

        for (unsigned i = 0; i < 4 * 2; i++) {
                bool applied = i % 2; /* the failed write has happened all the same */

                world_expire(w);
                world_send(w, NULL, &a);
                (void)snprintf(token, sizeof(token), "at%u", i + 2);
                (void)snprintf(next, sizeof(next), "rt%u", i + 2);
                w->disk_held = true;
                world_tokens(w, token, next, 3600, NULL);
                world_run(w);
                assert_int_equal(w->disk->n_requests, 1);
                world_disk(w, failures[i / 2], applied);
                assert_refused(&a, MCPB_STORE_UNAVAILABLE);
                assert_server_state(w, "unsaved");
                /* As long as that lasts nobody gets what a crash would lose, and the issuer is left
                 * alone. */
                world_get(w, NULL, &a);
                world_run(w);
                assert_refused(&a, MCPB_STORE_UNAVAILABLE);
                /* It is tried again, fails again, and then there is room. */
                world_advance(w, USEC_PER_SEC);
                while (w->disk->n_requests > 0)
                        world_disk(w, w->disk->requests[0]->verb == MEMORY_WRITE ? -ENOSPC : 0,
                                   false);
                assert_server_state(w, "unsaved");
                w->disk_held = false;
                world_advance(w, 60 * USEC_PER_SEC);
                assert_string_equal(world_token(w, &a), token);
                answer_done(&a);
                assert_int_equal(w->n_token, i + 1);
                assert_server_state(w, "ready");
                world_crash(w);
                assert_string_equal(world_token(w, &a), token);
                answer_done(&a);
                assert_int_equal(w->n_token, i + 1);
        }
}

/* S7 */
static void a_mark_that_cannot_be_written_sends_nothing(void **state) {
        struct world *w = *state;
        struct answer a;

        world_expire(w);
        w->disk_held = true;
        world_get(w, NULL, &a);
        world_run(w);
        while (w->disk->n_requests > 0)
                world_disk(w, w->disk->requests[0]->verb == MEMORY_WRITE ? -ENOSPC : 0, false);
        assert_refused(&a, MCPB_STORE_UNAVAILABLE);
        assert_int_equal(w->n_token, 0);
        w->disk_held = false;
        assert_refresh(w, "rt1", "at2", "rt2");
}

/* --- kill -9 at every point ------------------------------------------------------------------- */

/* An issuer as strict as they come: a refresh token is good once, and a used one ends them all. */
struct issuer {
        unsigned good; /* rtN */
        bool revoked;
};

static void issue(struct issuer *i, struct world *w) {
        AUTO_FREE char *token = world_form(w, "refresh_token");
        char expected[16];
        char at[16];
        char rt[16];

        (void)snprintf(expected, sizeof(expected), "rt%u", i->good);
        if (i->revoked || !streq(token, expected)) {
                i->revoked = true;
                world_answer(w, 0, 400, "{\"error\":\"invalid_grant\"}");
                return;
        }
        i->good++;
        (void)snprintf(at, sizeof(at), "at%u", i->good);
        (void)snprintf(rt, sizeof(rt), "rt%u", i->good);
        world_tokens(w, at, rt, 3600, NULL);
}

static bool issuer_step(struct issuer *i, struct world *w) {
        world_run_loop(w);
        if (w->disk->n_requests > 0)
                world_disk(w, 0, false);
        else if (w->n_fetches > 0)
                issue(i, w);
        else
                return false;
        return true;
}

/* One refresh, killed after @n steps; @applied: the disk has done what it was asked for last.
 * False: it was over before that. */
static bool kill_after(struct world *w, unsigned n, bool applied) {
        struct issuer issuer = { .good = 1 };
        struct answer a;
        bool in_time = true;
        bool issued;

        world_expire(w);
        w->disk_held = true;
        world_get(w, NULL, &a);
        for (unsigned i = 0; i < n && in_time; i++)
                in_time = issuer_step(&issuer, w);
        if (a.call)
                broker_call_abandon(a.call);
        else
                answer_done(&a);
        issued = issuer.good > 1;
        if (applied && w->disk->n_requests > 0)
                world_disk(w, -EIO, true);
        world_crash(w);
        world_expire(w);
        world_get(w, NULL, &a);
        while (issuer_step(&issuer, w) || w->disk->n_requests > 0)
                ;
        assert_int_equal(a.n_told, 1);
        if (a.result) {
                assert_false(issuer.revoked);
        } else {
                /* The issuer had given a new token that no disk has seen: the one thing that can be
                 * lost, and it is said. */
                assert_true(issued && issuer.revoked);
                assert_int_equal(a.err.code, MCPB_GRANT_REVOKED);
                assert_non_null(strstr(a.err.message, "lost"));
        }
        answer_done(&a);
        return in_time;
}

/* A145 A148 S7 */
static void killed_after_any_step_the_grant_works_or_the_error_says_what_was_lost(void **state) {
        struct world *w = *state;
        unsigned n = 0;

        for (bool in_time = true; in_time; n++) {
                for (unsigned applied = 0; applied < 2; applied++) {
                        world_done(w);
                        world_init(w);
                        world_login(w, NULL);
                        in_time = kill_after(w, n, applied) && in_time;
                }
        }
        assert_true(n > 6);
}

/* Whether the broker believes that the token at hand was refused. */
static bool is_believed(struct world *w) {
        AUTO_REPLY struct answer token = { 0 };
        AUTO_REPLY struct answer reject = { 0 };

        assert_non_null(world_token(w, &token));
        world_ask(w, METHOD_TOKEN_REJECT,
                  json_pack("{s:s, s:s}", "server", WORLD_SERVER, "token_id",
                            json_get_string(token.result, "token_id")),
                  &reject);
        assert_non_null(reject.result);
        assert_int_equal(json_get_int(reject.result, "retry_after", 0),
                         json_get_bool(reject.result, "rejected", false) ? 0 : 15);
        return json_get_bool(reject.result, "rejected", false);
}

/* Believed @n times, each time for one refresh, and once more not. */
static void assert_believed(struct world *w, unsigned n) {
        char token[16];
        struct answer a;

        for (unsigned i = 0; i < n; i++) {
                unsigned n_token = w->n_token;

                assert_true(is_believed(w));
                world_send(w, NULL, &a);
                assert_int_equal(w->n_token, n_token + 1);
                (void)snprintf(token, sizeof(token), "again%u", n_token);
                world_tokens(w, token, NULL, 36000, NULL);
                world_run(w);
                assert_token(&a, token);
        }
        assert_false(is_believed(w));
        world_run(w);
        assert_int_equal(w->n_fetches, 0);
}

/* S6 S9 */
static void a_dozen_refusals_at_once_are_believed_and_then_one_in_a_quarter_of_a_minute(
        void **state) {
        struct world *w = *state;

        assert_believed(w, 12);
        world_advance(w, 14 * USEC_PER_SEC);
        assert_believed(w, 0);
        world_advance(w, USEC_PER_SEC);
        assert_believed(w, 1);
        world_advance(w, 44 * USEC_PER_SEC);
        assert_believed(w, 2);
        world_advance(w, USEC_PER_SEC);
        assert_believed(w, 1);
        world_advance(w, 3600 * USEC_PER_SEC);
        assert_believed(w, 12);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                T(one_refresh_serves_all_waiters),
                T(the_request_carries_the_token_and_the_resource_and_the_next_the_new_token),
                T(as_many_scope_sets_as_are_asked_for_at_once_are_served_one_after_the_other),
                T(waiting_for_others_is_no_fault_of_the_one_who_waits),
                T(a_narrowed_token_cuts_nothing_of_the_grant),
                T(a_scope_set_that_the_issuer_does_not_narrow_to_fails_alone),
                T(tokens_that_are_dead_on_arrival_are_not_fetched_for_ever),
                T(a_token_in_use_is_refreshed_before_its_end_and_one_that_is_not_is_left),
                T(nothing_is_sent_before_the_mark_and_nothing_told_before_the_new_token_is_durable),
                T(a_full_disk_keeps_the_new_token_in_memory_and_costs_no_second_refresh),
                T(a_mark_that_cannot_be_written_sends_nothing),
                T(killed_after_any_step_the_grant_works_or_the_error_says_what_was_lost),
                T(a_dozen_refusals_at_once_are_believed_and_then_one_in_a_quarter_of_a_minute),
        };

        return cmocka_run_group_tests_name("broker-refresh", tests, NULL, NULL);
}
