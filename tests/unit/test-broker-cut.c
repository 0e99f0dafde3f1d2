/* SPDX-License-Identifier: Apache-2.0 */
/* What ends while something else is under way: locks, removals and expiries in the middle of a
 * removal, a login, or a second look at the peer. Everybody is answered, once. */
#include "base/clock.h"
#include "base/limits.h"
#include "broker-world.h"

static const char by_program[] =
        "[Rule one]\nAgent=exe:/usr/bin/agent\nServer=@added\nScopes=@granted\n";

static int begin(void **state, const char *policy) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        w->policy = policy;
        world_init(w);
        w->evidence.anchor_known = true;
        w->evidence.anchor_pid = 41;
        w->evidence.anchor_start_ticks = 6;
        w->evidence.anchor = (struct evidence_exe){ true, "/usr/bin/agent", 1, 3 };
        *state = w;
        return 0;
}

static int setup(void **state) {
        int r = begin(state, NULL);

        world_login(*state, NULL);
        return r;
}

static int setup_empty(void **state) {
        return begin(state, NULL);
}

static int setup_by_program(void **state) {
        int r = begin(state, by_program);

        world_login(*state, NULL);
        return r;
}

static int teardown(void **state) {
        struct world *w = *state;

        world_done(w);
        free(w);
        return 0;
}

static void assert_error(struct answer *a, enum error_code code) {
        assert_int_equal(a->n_told, 1);
        assert_string_equal(error_name(a->err.code), error_name(code));
        answer_done(a);
}

static void assert_good(struct answer *a) {
        assert_int_equal(a->n_told, 1);
        if (!a->result)
                fail_msg("%s: %s", error_name(a->err.code), a->err.message);
        answer_done(a);
}

static unsigned operations(struct world *w) {
        AUTO_REPLY struct answer a = { 0 };

        world_ask(w, METHOD_BROKER_STATUS, NULL, &a);
        assert_non_null(a.result);
        return (unsigned)json_get_int(json_object_get(a.result, "counts"), "operations", 99);
}

static void lock(struct world *w, uint64_t sec) {
        struct answer a;

        world_ask(w, METHOD_BROKER_LOCK, NULL, &a);
        world_advance(w, sec * USEC_PER_SEC);
        assert_good(&a);
}

static void unlock(struct world *w) {
        struct answer a;

        world_ask(w, METHOD_BROKER_UNLOCK, NULL, &a);
        world_run(w);
        assert_good(&a);
}

/* S3 */
static void a_lock_during_the_second_look_at_a_peer_refuses_the_token(void **state) {
        struct world *w = *state;
        struct answer a;

        w->attest_held = true;
        world_get(w, NULL, &a);
        world_run(w);
        assert_non_null(w->attest);
        lock(w, 1);
        assert_int_equal(a.n_told, 0);
        w->attest(0, &w->evidence, NULL, w->attest_userdata);
        w->attest = NULL;
        assert_error(&a, MCPB_LOCKED);
}

static void remove_server(struct world *w, const char *server, struct answer *a) {
        world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:s}", "server", server), a);
}

static unsigned n_servers(struct world *w) {
        AUTO_REPLY struct answer a = { 0 };

        world_ask(w, METHOD_SERVER_LIST, NULL, &a);
        assert_non_null(a.result);
        return (unsigned)json_array_size(json_object_get(a.result, "servers"));
}

/* S7 */
static void a_lock_gives_up_a_removal_that_does_not_end(void **state) {
        struct world *w = *state;
        struct answer removal;

        remove_server(w, WORLD_SERVER, &removal);
        world_run(w);
        assert_int_equal(w->n_fetches, 1); /* the issuer is asked to revoke, and is silent */
        lock(w, 31);
        assert_error(&removal, MCPB_LOCKED);
        assert_int_equal(w->n_fetches, 0);
        unlock(w);
        assert_int_equal(operations(w), 0);
        assert_int_equal(n_servers(w), 1);
        /* And again, at every step of the disk. */
        for (unsigned n = 0; n < 3; n++) {
                w->disk_held = true;
                remove_server(w, WORLD_SERVER, &removal);
                world_run_loop(w);
                for (unsigned i = 0; i < n && w->disk->n_requests > 0; i++)
                        world_disk(w, 0, true);
                lock(w, 31);
                assert_error(&removal, MCPB_LOCKED);
                w->disk_held = false;
                unlock(w);
                assert_int_equal(operations(w), 0);
        }
        remove_server(w, WORLD_SERVER, &removal);
        world_run(w);
        while (w->n_fetches > 0) {
                world_answer(w, 0, 200, "");
                world_run(w);
        }
        assert_good(&removal);
        assert_int_equal(n_servers(w), 0);
}

static char *login_again(struct world *w, struct answer *waits) {
        AUTO_REPLY struct answer a = { 0 };
        char *url;

        world_ask(w, METHOD_LOGIN_START, json_pack("{s:s}", "server", WORLD_SERVER), &a);
        world_serve(w);
        assert_non_null(a.result);
        url = strdup(json_get_string(a.result, "url"));
        assert_non_null(url);
        world_ask(w, METHOD_LOGIN_WAIT,
                  json_pack("{s:s}", "login", json_get_string(a.result, "login")), waits);
        return url;
}

/* A152 */
static void a_server_that_is_removed_while_a_login_stores_its_grant_is_removed(void **state) {
        struct world *w = *state;
        struct answer removal;
        struct answer waits;
        AUTO_FREE char *url = NULL;

        url = login_again(w, &waits);
        world_redirect(w, url, "code2");
        w->disk_held = true;
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run_loop(w);
        remove_server(w, WORLD_SERVER, &removal);
        world_run_loop(w);
        w->disk_held = false;
        world_run(w);
        while (w->n_fetches > 0) {
                world_answer(w, 0, 200, "");
                world_run(w);
        }
        assert_int_equal(waits.n_told, 1);
        answer_done(&waits);
        assert_good(&removal);
        assert_int_equal(n_servers(w), 0);
        assert_int_equal(operations(w), 0);
}

/* A93 */
static void a_login_does_not_expire_once_the_code_is_here(void **state) {
        struct world *w = *state;
        struct answer waits;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);

        world_advance(w, (LIMIT_LOGIN_SEC - 1) * USEC_PER_SEC);
        world_redirect(w, url, "code1");
        assert_int_equal(w->n_fetches, 1);
        world_advance(w, 5 * USEC_PER_SEC);
        assert_int_equal(waits.n_told, 0);
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        assert_string_equal(json_get_string(waits.result, "state"), "done");
        answer_done(&waits);
        assert_int_equal(operations(w), 0);
}

/* S7 */
static void a_lock_gives_up_a_code_whose_answer_does_not_come(void **state) {
        struct world *w = *state;
        struct answer waits;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);

        world_redirect(w, url, "code1");
        assert_int_equal(operations(w), 1);
        lock(w, 31);
        assert_error(&waits, MCPB_LOCKED);
        unlock(w);
        assert_int_equal(operations(w), 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                        a_lock_during_the_second_look_at_a_peer_refuses_the_token, setup_by_program,
                        teardown),
                cmocka_unit_test_setup_teardown(a_lock_gives_up_a_removal_that_does_not_end, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        a_server_that_is_removed_while_a_login_stores_its_grant_is_removed, setup,
                        teardown),
                cmocka_unit_test_setup_teardown(a_login_does_not_expire_once_the_code_is_here,
                                                setup_empty, teardown),
                cmocka_unit_test_setup_teardown(a_lock_gives_up_a_code_whose_answer_does_not_come,
                                                setup_empty, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
