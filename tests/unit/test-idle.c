/* SPDX-License-Identifier: Apache-2.0 */
#include "http/idle.h"

#include "oom.h"
#include "test.h"

#define A "https://a.example"
#define B "https://b.example"

static void a_connection_is_given_up_before_the_server_does(void **state) {
        static const struct {
                const char *said;
                unsigned limit;
        } table[] = {
                { "timeout=5", 4 },
                { "timeout=5, max=100", 4 },
                { "max=100 ,\ttimeout=5", 4 },
                { "Timeout=5", 4 },
                { "timeout=1", 0 },
                { "timeout=0", 0 },
                { "timeout=2", 1 },
                { "timeout=55", 54 },
                { "timeout=56", IDLE_SEC_MAX },
                { "timeout=4294967295", IDLE_SEC_MAX },
                { "timeout=99999999999999999999", IDLE_SEC_MAX },
                { "", IDLE_SEC_MAX },
                { "timeout", IDLE_SEC_MAX },
                { "timeout=", IDLE_SEC_MAX },
                { "timeout=-1", IDLE_SEC_MAX },
                { "timeout=5s", IDLE_SEC_MAX },
                { "max=5", IDLE_SEC_MAX },
                { "xtimeout=5", IDLE_SEC_MAX },
                { ",;, ,", IDLE_SEC_MAX },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                struct idle i = { 0 };

                assert_int_equal(idle_note(&i, A, table[k].said), 0);
                assert_int_equal(idle_limit(&i, A), table[k].limit);
                assert_int_equal(idle_limit(&i, B), IDLE_SEC_MAX);
                idle_done(&i);
        }
}

static void what_was_said_last_counts(void **state) {
        struct idle i = { 0 };

        assert_int_equal(idle_note(&i, A, "timeout=5"), 0);
        assert_int_equal(idle_note(&i, B, "timeout=7"), 0);
        assert_int_equal(idle_note(&i, A, "max=3"), 0);
        assert_int_equal(idle_limit(&i, A), 4);
        assert_int_equal(idle_note(&i, A, "timeout=20"), 0);
        assert_int_equal(idle_limit(&i, A), 19);
        assert_int_equal(idle_limit(&i, B), 6);
        idle_done(&i);
}

/* S9 */
static void only_so_many_servers_are_remembered(void **state) {
        struct idle i = { 0 };
        char origin[32];

        for (unsigned k = 0; k < IDLE_SERVERS + 3; k++) {
                (void)snprintf(origin, sizeof(origin), "https://s%u.example", k);
                assert_int_equal(idle_note(&i, origin, "timeout=5"), 0);
        }
        assert_int_equal(idle_limit(&i, "https://s2.example"), IDLE_SEC_MAX);
        assert_int_equal(idle_limit(&i, "https://s3.example"), 4);
        assert_int_equal(idle_limit(&i, origin), 4);
        idle_done(&i);
}

static int note_short_of_memory(void *userdata) {
        struct idle i = { 0 };
        int r = idle_note(&i, A, "timeout=5");

        assert_int_equal(idle_limit(&i, A), r == 0 ? 4 : IDLE_SEC_MAX);
        idle_done(&i);
        return r;
}

static void every_allocation_may_fail(void **state) {
        assert_int_equal(oom_sweep(note_short_of_memory, NULL), 1);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_connection_is_given_up_before_the_server_does),
                cmocka_unit_test(what_was_said_last_counts),
                cmocka_unit_test(only_so_many_servers_are_remembered),
                cmocka_unit_test(every_allocation_may_fail),
        };

        return cmocka_run_group_tests_name("idle", tests, NULL, NULL);
}
