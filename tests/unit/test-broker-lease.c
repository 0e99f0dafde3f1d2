/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of an access token in the grant's record, from one daemon to the next. */
#include "base/clock.h"
#include "broker-world.h"
#include "store/store.h"

#define MINUTE (60 * USEC_PER_SEC)

static void a_token_has_an_id_of_its_own(void **state) {
        struct world w = { 0 };
        AUTO_REPLY struct answer waits = { 0 };
        AUTO_REPLY struct answer a = { 0 };
        AUTO_FREE char *url = NULL;
        const char *login;

        world_init(&w);
        url = world_begin_login(&w, NULL, &waits);
        world_redirect(&w, url, "code1");
        world_tokens(&w, "at1", "rt1", 3600, NULL);
        world_run(&w);
        login = json_get_string(waits.result, "login");
        assert_non_null(login);
        assert_non_null(world_token(&w, &a));
        assert_string_not_equal(json_get_string(a.result, "token_id"), login);
        world_done(&w);
}

/* --- Its time --------------------------------------------------------------------------------- */

static void a_lease_goes_on_in_the_next_daemon_to_its_end(void **state) {
        struct world *w = *state;

        world_advance_stopped(50 * MINUTE);
        world_crash(w);
        assert_lease(w, "at1");
        world_advance_stopped(10 * MINUTE);
        world_crash(w);
        assert_refresh(w, "rt1", "at2", "rt2");
}

/* A133 */
static void a_clock_that_was_set_back_lengthens_no_lease(void **state) {
        struct world *w = *state;

        world_advance_stopped(50 * MINUTE);
        world_set_clock_back(51 * MINUTE);
        world_crash(w);
        assert_refresh(w, "rt1", "at2", "rt2");
        /* The new one is of this time. */
        world_crash(w);
        assert_lease(w, "at2");
        world_set_clock_back(24 * 60 * MINUTE);
        world_crash(w);
        assert_refresh(w, "rt2", "at3", "rt3");
}

struct found {
        char *key;
        uint64_t generation;
        json_t *value;
};

static void on_each(int r, const struct store_item *item, const char *file, const struct error *err,
                    void *userdata) {
        struct found *f = userdata;

        assert_int_equal(r, 0);
        f->key = strdup(item->key);
        f->generation = item->generation;
        f->value = json_deep_copy(item->value);
}

static void on_ready(int r, const struct error *err, void *userdata) {
        assert_int_equal(r, 0);
}

static void on_put(int r, const struct store_item *item, const struct error *err, void *userdata) {
        assert_int_equal(r, 0);
}

static void a_record_of_before_goes_by_its_end_alone(void **state) {
        struct world *w = *state;
        struct found grant = { 0 };

        assert_int_equal(store_each(w->store, STORE_GRANT, on_each, on_ready, &grant), 0);
        world_run(w);
        assert_non_null(grant.value);
        assert_int_equal(json_object_del(json_object_get(grant.value, "lease"), "obtained"), 0);
        assert_int_equal(store_put(w->store,
                                   &(struct store_put){ .kind = STORE_GRANT,
                                                        .key = grant.key,
                                                        .expect = grant.generation,
                                                        .value = grant.value },
                                   on_put, NULL),
                         0);
        world_run(w);
        world_set_clock_back(MINUTE);
        world_crash(w);
        assert_lease(w, "at1");
        world_advance_stopped(61 * MINUTE);
        world_crash(w);
        assert_refresh(w, "rt1", "at2", "rt2");
        json_decref(grant.value);
        free(grant.key);
}

/* --- Refused by its server -------------------------------------------------------------------- */

/* S7 */
static void a_token_that_was_refused_does_not_come_back_with_the_next_daemon(void **state) {
        struct world *w = *state;
        struct answer a;

        /* Killed while its successor is fetched. */
        world_expire_lease(w);
        world_send(w, NULL, &a);
        world_crash(w);
        answer_done(&a);
        assert_refresh(w, "rt1", "at2", "rt2");
        /* And where none can be had. */
        world_expire_lease(w);
        world_send(w, NULL, &a);
        world_answer(w, 0, 400, "{\"error\":\"invalid_grant\"}");
        world_run(w);
        assert_refused(&a, MCPB_GRANT_REVOKED);
        world_crash(w);
        world_get(w, NULL, &a);
        world_run(w);
        assert_refused(&a, MCPB_GRANT_REVOKED);
        assert_server_state(w, "login_required");
}

/* S7 A148 */
static void so_does_none_that_is_refused_while_its_successor_is_fetched(void **state) {
        struct world *w = *state;
        struct answer a;
        struct answer old;

        world_send(w, "read", &a);
        world_get(w, NULL, &old);
        world_run(w);
        assert_token(&old, "at1");
        world_expire_lease(w);
        world_no_answer(w, 0, FETCH_NO_ANSWER);
        world_run(w);
        answer_done(&a);
        world_crash(w);
        assert_refresh(w, "rt1", "at2", "rt2");
}

/* --- A helper's second call ------------------------------------------------------------------ */

/* Whether another token is fetched for the helper; @token is what it gets. */
static bool is_taken_for_a_refusal(struct world *w, int anchor, const char *token) {
        unsigned n_token = w->n_token;
        struct answer a;
        bool fetched;

        w->evidence.anchor_known = true;
        w->evidence.anchor_pid = anchor;
        world_ask(w, METHOD_TOKEN_GET, json_pack("{s:s, s:b}", "server", WORLD_SERVER, "helper", 1),
                  &a);
        world_run(w);
        fetched = w->n_token > n_token;
        if (fetched) {
                world_tokens(w, token, NULL, 36000, NULL);
                world_run(w);
        }
        assert_token(&a, token);
        return fetched;
}

/* S6 */
static void a_helper_that_asks_again_soon_for_an_old_token_was_refused_with_it(void **state) {
        struct world *w = *state;

        world_advance(w, 6 * USEC_PER_SEC);
        assert_false(is_taken_for_a_refusal(w, 100, "at1"));
        assert_false(is_taken_for_a_refusal(w, 100, "at1")); /* at once: another connection */
        world_advance(w, 19 * USEC_PER_MSEC);
        assert_false(is_taken_for_a_refusal(w, 100, "at1"));
        assert_false(is_taken_for_a_refusal(w, 200, "at1")); /* another program */
        world_advance(w, USEC_PER_MSEC);
        assert_true(is_taken_for_a_refusal(w, 100, "at2"));
        assert_false(is_taken_for_a_refusal(w, 200, "at2"));
        world_advance(w, 10 * USEC_PER_SEC);
        assert_false(is_taken_for_a_refusal(w, 100, "at2")); /* its first call for this one */
        world_advance(w, 10 * USEC_PER_SEC);
        assert_false(is_taken_for_a_refusal(w, 100, "at2")); /* rarely */
        world_advance(w, MINUTE);
        assert_true(is_taken_for_a_refusal(w, 100, "at3"));
}

/* S6 */
static void a_new_token_is_not_replaced_for_a_helper(void **state) {
        struct world *w = *state;

        assert_false(is_taken_for_a_refusal(w, 100, "at1"));
        world_advance(w, 4 * USEC_PER_SEC);
        assert_false(is_taken_for_a_refusal(w, 100, "at1"));
        world_advance(w, USEC_PER_SEC);
        assert_true(is_taken_for_a_refusal(w, 100, "at2"));
}

/* S6 */
static void a_token_of_the_daemon_before_is_not_new(void **state) {
        struct world *w = *state;

        world_advance_stopped(MINUTE);
        world_crash(w);
        assert_false(is_taken_for_a_refusal(w, 100, "at1"));
        world_advance(w, 50 * USEC_PER_MSEC);
        assert_true(is_taken_for_a_refusal(w, 100, "at2"));
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_token_has_an_id_of_its_own),
                T(a_lease_goes_on_in_the_next_daemon_to_its_end),
                T(a_clock_that_was_set_back_lengthens_no_lease),
                T(a_record_of_before_goes_by_its_end_alone),
                T(a_token_that_was_refused_does_not_come_back_with_the_next_daemon),
                T(so_does_none_that_is_refused_while_its_successor_is_fetched),
                T(a_helper_that_asks_again_soon_for_an_old_token_was_refused_with_it),
                T(a_new_token_is_not_replaced_for_a_helper),
                T(a_token_of_the_daemon_before_is_not_new),
        };

        return cmocka_run_group_tests_name("broker-lease", tests, NULL, NULL);
}
