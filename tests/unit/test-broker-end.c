/* SPDX-License-Identifier: Apache-2.0 */
/* Those who leave a refresh, and those who end it: lock, stop, removal. */
#include "base/clock.h"
#include "broker-world.h"

/* --- Those who leave, and those who end it ---------------------------------------------------- */

/* What a refresh consists of, one thing after the other; false: there is nothing left. */
static bool step(struct world *w, const char *at, const char *rt) {
        world_run_loop(w);
        if (w->disk->n_requests > 0) {
                world_disk(w, 0, false);
                return true;
        }
        if (w->n_fetches == 0)
                return false;
        world_tokens(w, at, rt, 3600, NULL);
        return true;
}

/* S6 S7 */
static void who_leaves_at_any_point_ends_nothing_for_the_others(void **state) {
        struct world *w = *state;
        char token[16];
        char next[16];
        unsigned n_steps = 0;
        bool more = true;

        for (unsigned i = 0; more; i++) {
                struct answer leaves;
                struct answer stays;
                bool alone = i % 2; /* the others come when it has left */

                (void)snprintf(token, sizeof(token), "at%u", i + 2);
                (void)snprintf(next, sizeof(next), "rt%u", i + 2);
                world_crash(
                        w); /* a token that nobody has used yet is not refreshed ahead of time */
                world_expire(w);
                w->disk_held = true;
                world_get(w, NULL, &leaves);
                if (!alone)
                        world_get(w, NULL, &stays);
                for (n_steps = 0; n_steps < i && step(w, token, next);)
                        n_steps++;
                more = n_steps == i;
                if (leaves.call)
                        broker_call_abandon(leaves.call);
                else
                        answer_done(&leaves);
                if (alone)
                        world_get(w, NULL, &stays);
                while (step(w, token, next))
                        ;
                w->disk_held = false;
                assert_token(&stays, token);
                assert_int_equal(w->n_token, i + 1);
        }
        assert_true(n_steps > 3);
}

/* S6 */
static void who_leaves_during_the_second_look_is_not_answered(void **state) {
        struct world *w = *state;
        struct answer a;
        attest_done_fn done;

        world_done(w);
        w->policy = "[Rule one]\nAgent=exe:/usr/bin/agent\nServer=@added\nScopes=@granted\n";
        w->attest_held = true;
        world_init(w);
        w->evidence.exe = (struct evidence_exe){ true, "/usr/bin/mcp-token", 1, 2 };
        w->evidence.anchor_known = true;
        w->evidence.anchor_pid = 41;
        w->evidence.anchor_start_ticks = 6;
        w->evidence.anchor = (struct evidence_exe){ true, "", 1, 3 };
        (void)snprintf(w->evidence.anchor.path, EVIDENCE_TEXT_MAX, "/usr/bin/agent");
        world_login(w, NULL);
        world_get(w, NULL, &a);
        world_run(w);
        assert_non_null(w->attest);
        assert_int_equal(a.n_told, 0);
        broker_call_abandon(a.call);
        done = w->attest;
        w->attest = NULL;
        done(0, &w->evidence, NULL, w->attest_userdata);
        assert_int_equal(a.n_told, 0);
        /* Another one, which stays and is the same. */
        world_get(w, NULL, &a);
        done = w->attest;
        w->attest = NULL;
        done(0, &w->evidence, NULL, w->attest_userdata);
        world_run(w);
        assert_token(&a, "at1");
        /* And one that has become another program meanwhile. */
        world_get(w, NULL, &a);
        w->evidence.anchor.ino++;
        done = w->attest;
        w->attest = NULL;
        done(0, &w->evidence, NULL, w->attest_userdata);
        world_run(w);
        assert_refused(&a, MCPB_DENIED);
}

static void count_drained(void *userdata) {
        unsigned *n = userdata;

        (*n)++;
}

/* A145 S7 */
static void a_lock_waits_for_the_refresh_under_way(void **state) {
        struct world *w = *state;
        struct answer waits;
        struct answer lock;
        struct answer late;

        world_expire(w);
        world_send(w, NULL, &waits);
        world_ask(w, METHOD_BROKER_LOCK, NULL, &lock);
        world_advance(w, USEC_PER_SEC);
        assert_int_equal(lock.n_told, 0);
        world_get(w, NULL, &late);
        world_run(w);
        assert_refused(&late, MCPB_LOCKED);
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_advance(w, USEC_PER_SEC);
        assert_token(&waits, "at2");
        assert_int_equal(lock.n_told, 1);
        assert_non_null(lock.result);
        answer_done(&lock);
        world_get(w, NULL, &late);
        assert_refused(&late, MCPB_LOCKED);
        world_ask(w, METHOD_BROKER_UNLOCK, NULL, &lock);
        world_run(w);
        assert_non_null(lock.result);
        answer_done(&lock);
        assert_string_equal(world_token(w, &late), "at2");
        answer_done(&late);
}

/* A148 S7 */
static void a_lock_does_not_wait_for_ever(void **state) {
        struct world *w = *state;
        struct answer waits;
        struct answer lock;

        world_expire(w);
        world_send(w, NULL, &waits);
        world_ask(w, METHOD_BROKER_LOCK, NULL, &lock);
        world_advance(w, 31 * USEC_PER_SEC);
        assert_non_null(lock.result);
        answer_done(&lock);
        assert_refused(&waits, MCPB_LOCKED);
        assert_int_equal(w->n_fetches, 0);
        world_ask(w, METHOD_BROKER_UNLOCK, NULL, &lock);
        world_run(w);
        assert_non_null(lock.result);
        answer_done(&lock);
        assert_server_state(w, "in_doubt");
}

/* S7 */
static void a_stop_waits_for_the_refresh_and_begins_nothing_new(void **state) {
        struct world *w = *state;
        struct answer waits;
        struct answer late;
        unsigned n_drained = 0;

        world_expire(w);
        world_send(w, NULL, &waits);
        broker_drain(w->broker, count_drained, &n_drained);
        world_advance(w, USEC_PER_SEC);
        assert_int_equal(n_drained, 0);
        world_get(w, NULL, &late);
        assert_refused(&late, MCPB_STOPPING);
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_advance(w, USEC_PER_SEC);
        assert_token(&waits, "at2");
        assert_int_equal(n_drained, 1);
}

/* A152 */
static void a_server_that_is_removed_during_a_refresh_is_removed_after_it(void **state) {
        struct world *w = *state;
        struct answer waits;
        struct answer removal;

        world_expire(w);
        world_send(w, NULL, &waits);
        world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:s}", "server", WORLD_SERVER), &removal);
        world_run(w);
        assert_refused(&waits, MCPB_NOT_FOUND);
        assert_int_equal(removal.n_told, 0);
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run(w);
        assert_string_equal(world_fetch(w)->request.url, WORLD_ISSUER "/revoke");
        assert_form(w, "token", "rt2");
        world_answer(w, 0, 200, "");
        world_run(w);
        assert_form(w, "token", "at2");
        world_answer(w, 0, 200, "");
        world_run(w);
        assert_int_equal(removal.n_told, 1);
        assert_true(json_get_bool(removal.result, "revoked", false));
        answer_done(&removal);
        world_crash(w);
        world_get(w, NULL, &waits);
        assert_refused(&waits, MCPB_NOT_FOUND);
}

/* --- A server that goes while its code is on the way ------------------------------------------ */

static void remove_server(struct world *w, const char *server, struct answer *a) {
        world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:s}", "server", server), a);
        world_run(w);
}

/* server.add and a browser that has come back: the code is at the issuer. */
static void redeem_at(struct world *w, const char *server, struct answer *waits) {
        AUTO_REPLY struct answer a = { 0 };
        const json_t *login;

        world_ask(w, METHOD_SERVER_ADD, json_pack("{s:s, s:b}", "url", server, "login", 1), &a);
        world_serve(w);
        assert_non_null(a.result);
        login = json_object_get(a.result, "login");
        world_ask(w, METHOD_LOGIN_WAIT,
                  json_pack("{s:s}", "login", json_get_string(login, "login")), waits);
        world_redirect(w, json_get_string(login, "url"), "code2");
        assert_int_equal(w->n_fetches, 1);
}

static void assert_login_failed(struct answer *a, const char *code) {
        assert_int_equal(a->n_told, 1);
        assert_string_equal(json_get_string(json_object_get(a->result, "error"), "code"), code);
        answer_done(a);
}

static void assert_revoked(struct world *w, const char *token, unsigned allow) {
        assert_int_equal(w->n_fetches, 1);
        assert_string_equal(world_fetch(w)->request.url, WORLD_ISSUER "/revoke");
        assert_int_equal(world_fetch(w)->request.allow, allow);
        assert_form(w, "token", token);
        world_answer(w, 0, 200, "");
        world_run(w);
}

/* A152 S8 */
static void what_comes_for_a_server_that_was_removed_is_revoked(void **state) {
        struct world *w = *state;
        struct answer waits;
        struct answer a;

        for (unsigned storing = 0; storing < 2; storing++) {
                world_done(w);
                w->reached = ADDRESS_LOOPBACK;
                world_init(w);
                redeem_at(w, WORLD_SERVER, &waits);
                if (storing) {
                        w->disk_held = true;
                        world_tokens(w, "at9", "rt9", 3600, NULL);
                        world_run(w);
                        world_ask(w, METHOD_SERVER_REMOVE,
                                  json_pack("{s:s}", "server", WORLD_SERVER), &a);
                        w->disk_held = false;
                        world_run(w);
                } else {
                        remove_server(w, WORLD_SERVER, &a);
                        world_tokens(w, "at9", "rt9", 3600, NULL);
                        world_run(w);
                }
                assert_int_equal(a.n_told, 1);
                assert_non_null(a.result);
                answer_done(&a);
                assert_login_failed(&waits, "login_cancelled");
                assert_revoked(w, "rt9", ADDRESS_PUBLIC | ADDRESS_LOOPBACK);
                assert_revoked(w, "at9", ADDRESS_PUBLIC | ADDRESS_LOOPBACK);
                assert_int_equal(w->n_fetches, 0);
                assert_int_equal(world_audit(w, "token.revoke"), 1);
                /* Nothing is left to be waited for, or to be found again. */
                world_ask(w, METHOD_BROKER_STATUS, NULL, &a);
                assert_int_equal(
                        json_get_int(json_object_get(a.result, "counts"), "operations", 99), 0);
                assert_int_equal(json_get_int(json_object_get(a.result, "counts"), "grants", 99),
                                 0);
                answer_done(&a);
        }
}

/* S5 */
static void what_comes_for_a_server_that_was_removed_costs_no_other_server_its_grant(void **state) {
        struct world *w = *state;
        struct answer waits;
        struct answer a;

        for (unsigned storing = 0; storing < 2; storing++) {
                redeem_at(w, WORLD_BENEATH, &waits);
                w->disk_held = storing;
                if (storing) {
                        world_tokens(w, "at2", "rt2", 3600, NULL);
                        world_run(w);
                }
                world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:s}", "server", WORLD_BENEATH), &a);
                w->disk_held = false;
                world_run(w);
                if (!storing)
                        world_tokens(w, "at9", "rt9", 3600, NULL);
                world_run(w);
                assert_int_equal(a.n_told, 1);
                assert_non_null(a.result);
                answer_done(&a);
                assert_login_failed(&waits, "login_cancelled");
                assert_int_equal(w->n_fetches, 0);
                assert_string_equal(world_token(w, &a), storing ? "at2" : "at1");
                answer_done(&a);
        }
}

/* S9 */
static void a_peer_can_force_a_refresh_and_no_storm(void **state) {
        struct world *w = *state;
        struct answer a;
        char token[16];
        char id[64];

        for (unsigned i = 0; i < 30; i++) {
                assert_non_null(world_token(w, &a));
                (void)snprintf(id, sizeof(id), "%s", json_get_string(a.result, "token_id"));
                answer_done(&a);
                world_ask(w, METHOD_TOKEN_REJECT,
                          json_pack("{s:s, s:s}", "server", WORLD_SERVER, "token_id", id), &a);
                assert_non_null(a.result);
                answer_done(&a);
                world_get(w, NULL, &a);
                world_run(w);
                if (w->n_fetches > 0) {
                        (void)snprintf(token, sizeof(token), "at%u", i + 2);
                        world_tokens(w, token, NULL, 3600, NULL);
                        world_run(w);
                }
                assert_int_equal(a.n_told, 1);
                assert_non_null(a.result);
                answer_done(&a);
        }
        assert_int_equal(w->n_token, 12); /* at once; then one every 15 s */
        world_ask(w, METHOD_TOKEN_REJECT,
                  json_pack("{s:s, s:s}", "server", WORLD_SERVER, "token_id", "unknown"), &a);
        assert_true(json_get_bool(a.result, "stale", false));
        answer_done(&a);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                T(what_comes_for_a_server_that_was_removed_is_revoked),
                T(what_comes_for_a_server_that_was_removed_costs_no_other_server_its_grant),
                T(who_leaves_at_any_point_ends_nothing_for_the_others),
                T(who_leaves_during_the_second_look_is_not_answered),
                T(a_lock_waits_for_the_refresh_under_way),
                T(a_lock_does_not_wait_for_ever),
                T(a_stop_waits_for_the_refresh_and_begins_nothing_new),
                T(a_server_that_is_removed_during_a_refresh_is_removed_after_it),
                T(a_peer_can_force_a_refresh_and_no_storm),
        };

        return cmocka_run_group_tests_name("broker-end", tests, NULL, NULL);
}
