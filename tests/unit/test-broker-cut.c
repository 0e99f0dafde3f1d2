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

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                        a_lock_during_the_second_look_at_a_peer_refuses_the_token, setup_by_program,
                        teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
