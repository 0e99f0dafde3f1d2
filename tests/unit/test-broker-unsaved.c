/* SPDX-License-Identifier: Apache-2.0 */
/* A new refresh token that the disk does not take: who waits for it, and who may not throw it away.
 */
#include "base/clock.h"
#include "broker-world.h"

/* The disk takes no write (@r < 0), or everything. */
static void disk(struct world *w, int r) {
        world_run_loop(w);
        while (w->disk->n_requests > 0)
                world_disk(w, w->disk->requests[0]->verb == MEMORY_WRITE ? r : 0, false);
}

static void advance(struct world *w, unsigned sec, int r) {
        for (; sec > 0; sec--) {
                world_advance(w, USEC_PER_SEC);
                disk(w, r);
        }
}

/* at2 and rt2 are there, and the disk is full from now on. */
static void refresh_unsaved(struct world *w) {
        struct answer a;

        world_expire_lease(w);
        world_send(w, NULL, &a);
        w->disk_held = true;
        world_tokens(w, "at2", "rt2", 3600, NULL);
        disk(w, -ENOSPC);
        assert_refused(&a, MCPB_STORE_UNAVAILABLE);
        assert_server_state(w, "unsaved");
}

/* Up to the code, which waits at the issuer. */
static void log_in_again(struct world *w, struct answer *waits) {
        AUTO_REPLY struct answer a = { 0 };
        AUTO_FREE char *url = NULL;

        world_ask(w, METHOD_LOGIN_START, json_pack("{s:s}", "server", WORLD_SERVER), &a);
        world_serve(w);
        assert_non_null(a.result);
        url = strdup(json_get_string(a.result, "url"));
        assert_non_null(url);
        world_ask(w, METHOD_LOGIN_WAIT,
                  json_pack("{s:s}", "login", json_get_string(a.result, "login")), waits);
        world_redirect(w, url, "code2");
        assert_int_equal(w->n_fetches, 1);
}

static const char login_tokens[] =
        "{\"access_token\":\"login-at\",\"token_type\":\"Bearer\",\"expires_in\":3600,"
        "\"refresh_token\":\"login-rt\"}";

static void assert_login(struct answer *a, const char *state, const char *code) {
        assert_int_equal(a->n_told, 1);
        assert_non_null(a->result);
        assert_string_equal(json_get_string(a->result, "state"), state);
        if (code)
                assert_string_equal(json_get_string(json_object_get(a->result, "error"), "code"),
                                    code);
        answer_done(a);
}

/* What is kept is good after a restart, and the issuer was asked no more than that. */
static void assert_kept(struct world *w, const char *token) {
        unsigned n = w->n_token;
        struct answer a;

        w->disk_held = false;
        world_advance(w, 60 * USEC_PER_SEC);
        assert_string_equal(world_token(w, &a), token);
        answer_done(&a);
        assert_server_state(w, "ready");
        world_crash(w);
        assert_string_equal(world_token(w, &a), token);
        answer_done(&a);
        assert_int_equal(w->n_token, n);
}

/* S6 S7 */
static void a_login_into_it_is_written_at_once_or_fails_with_the_disk(void **state) {
        struct world *w = *state;

        for (unsigned i = 0; i < 8; i++) {
                bool full = i & 1;    /* when the login is to be written */
                bool waiting = i & 2; /* the login was there before the refresh was over */
                struct answer login;
                struct answer a;

                world_done(w);
                world_init(w);
                world_login(w, NULL);
                log_in_again(w, &login);
                if (waiting) {
                        world_expire_lease(w);
                        world_get(w, NULL, &a);
                        world_run(w);
                        assert_int_equal(w->n_fetches, 2);
                        world_answer(w, 0, 200, login_tokens);
                        world_run(w);
                        assert_int_equal(login.n_told, 0);
                        w->disk_held = true;
                        world_tokens(w, "at2", "rt2", 3600, NULL);
                        world_run_loop(w);
                        world_disk(w, -ENOSPC, false);
                        answer_done(&a);
                } else {
                        /* The refresh is asked for while the code is at the issuer. */
                        world_expire_lease(w);
                        world_get(w, NULL, &a);
                        world_run(w);
                        assert_int_equal(w->n_fetches, 2);
                        w->disk_held = true;
                        world_answer(w, 1, 200,
                                     "{\"access_token\":\"at2\",\"token_type\":\"Bearer\","
                                     "\"expires_in\":3600,\"refresh_token\":\"rt2\"}");
                        disk(w, -ENOSPC);
                        assert_refused(&a, MCPB_STORE_UNAVAILABLE);
                        world_answer(w, 0, 200, login_tokens);
                }
                /* No second goes by, or the disk takes its time. */
                if (i & 4) {
                        world_advance(w, 40 * USEC_PER_SEC);
                        /* Meanwhile nobody else is at the record. */
                        assert_int_equal(store_pending(w->store), 1);
                }
                disk(w, full ? -ENOSPC : 0);
                if (full) {
                        assert_login(&login, "failed", "store_unavailable");
                        assert_server_state(w, "unsaved");
                        assert_kept(w, "at2");
                } else {
                        assert_login(&login, "done", NULL);
                        assert_kept(w, "login-at");
                }
        }
}

/* A152 */
static void a_removal_does_not_wait_for_it(void **state) {
        struct world *w = *state;

        for (unsigned i = 0; i < 2; i++) {
                struct answer a;
                struct answer removal;

                world_done(w);
                world_init(w);
                world_login(w, NULL);
                if (i == 0) {
                        refresh_unsaved(w);
                        world_ask(w, METHOD_SERVER_REMOVE,
                                  json_pack("{s:s}", "server", WORLD_SERVER), &removal);
                } else {
                        world_expire_lease(w);
                        world_send(w, NULL, &a);
                        w->disk_held = true;
                        world_ask(w, METHOD_SERVER_REMOVE,
                                  json_pack("{s:s}", "server", WORLD_SERVER), &removal);
                        assert_refused(&a, MCPB_NOT_FOUND);
                        world_tokens(w, "at2", "rt2", 3600, NULL);
                }
                disk(w, -ENOSPC);
                while (w->n_fetches > 0) {
                        assert_non_null(strstr(world_fetch(w)->request.url, "/revoke"));
                        world_answer(w, 0, 200, "");
                        disk(w, -ENOSPC);
                }
                assert_int_equal(removal.n_told, 1);
                assert_non_null(removal.result);
                answer_done(&removal);
                world_get(w, NULL, &a);
                assert_refused(&a, MCPB_NOT_FOUND);
        }
}

/* S7 */
static void a_lock_that_would_lose_it_is_refused_and_says_so(void **state) {
        struct world *w = *state;
        struct answer lock;
        struct answer a;

        refresh_unsaved(w);
        world_ask(w, METHOD_BROKER_LOCK, NULL, &lock);
        advance(w, 29, -ENOSPC);
        assert_int_equal(lock.n_told, 0);
        advance(w, 2, -ENOSPC);
        assert_int_equal(lock.n_told, 1);
        assert_non_null(strstr(lock.err.message, WORLD_SERVER));
        assert_refused(&lock, MCPB_STORE_UNAVAILABLE);
        /* It is as it was: nothing is locked, and the token is kept. */
        world_get(w, NULL, &a);
        disk(w, -ENOSPC);
        assert_refused(&a, MCPB_STORE_UNAVAILABLE);
        assert_kept(w, "at2");
}

/* S7 */
static void a_lock_waits_for_a_disk_that_is_mended_in_time(void **state) {
        struct world *w = *state;
        struct answer lock;

        refresh_unsaved(w);
        advance(w, 92, -ENOSPC); /* the next attempt would be in half a minute */
        world_ask(w, METHOD_BROKER_LOCK, NULL, &lock);
        advance(w, 20, -ENOSPC);
        assert_int_equal(lock.n_told, 0);
        w->disk_held = false;
        world_advance(w, 2 * USEC_PER_SEC);
        assert_int_equal(lock.n_told, 1);
        assert_non_null(lock.result);
        answer_done(&lock);
        world_ask(w, METHOD_BROKER_UNLOCK, NULL, &lock);
        world_run(w);
        assert_non_null(lock.result);
        answer_done(&lock);
        assert_kept(w, "at2");
}

static void count_drained(void *userdata) {
        unsigned *n = userdata;

        (*n)++;
}

/* S7 */
static void a_stop_that_loses_it_says_so_in_the_audit_log(void **state) {
        struct world *w = *state;
        struct answer lock;
        unsigned n_drained = 0;
        unsigned n_rotate;

        refresh_unsaved(w);
        n_rotate = world_audit(w, "refresh.rotate");
        /* A lock that waits as well ends with it: what is lost is lost by the stop. */
        world_ask(w, METHOD_BROKER_LOCK, NULL, &lock);
        broker_drain(w->broker, count_drained, &n_drained);
        advance(w, 29, -ENOSPC);
        assert_int_equal(n_drained, 0);
        advance(w, 2, -ENOSPC);
        assert_int_equal(n_drained, 1);
        assert_int_equal(world_audit(w, "refresh.rotate"), n_rotate + 1);
        assert_int_equal(lock.n_told, 1);
        assert_non_null(lock.result);
        answer_done(&lock);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                T(a_login_into_it_is_written_at_once_or_fails_with_the_disk),
                T(a_removal_does_not_wait_for_it),
                T(a_lock_that_would_lose_it_is_refused_and_says_so),
                T(a_lock_waits_for_a_disk_that_is_mended_in_time),
                T(a_stop_that_loses_it_says_so_in_the_audit_log),
        };

        return cmocka_run_group_tests_name("broker-unsaved", tests, NULL, NULL);
}
