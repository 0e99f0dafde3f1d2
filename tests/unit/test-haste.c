/* SPDX-License-Identifier: Apache-2.0 */
#include "http/haste.h"

#include "test.h"

/* One request at @now that is answered after @usec. True: it was looked for until then. */
static bool looked(struct haste *h, uint64_t now, uint64_t usec) {
        bool on;

        haste_sent(h, now);
        on = haste_is_on(h, now + usec - 1);
        haste_answered(h, now + usec);
        assert_false(haste_is_on(h, now + usec));
        return on;
}

static void the_first_answer_is_slept_for(void **state) {
        struct haste h = { 0 };

        assert_false(haste_is_on(&h, 5));
        assert_false(looked(&h, 1000, 10));
        assert_true(looked(&h, 2000, 10));
}

static void a_slow_server_is_never_looked_for(void **state) {
        struct haste h = { 0 };

        for (uint64_t i = 1; i < 10; i++)
                assert_false(looked(&h, i * 100000, HASTE_USEC));
}

static void one_that_becomes_slow_is_looked_for_once_more(void **state) {
        struct haste h = { 0 };

        assert_false(looked(&h, 1000, 10));
        haste_sent(&h, 2000);
        assert_true(haste_is_on(&h, 2000 + HASTE_USEC - 1));
        assert_false(haste_is_on(&h, 2000 + HASTE_USEC));
        haste_answered(&h, 9000);
        assert_false(looked(&h, 10000, 10));
        assert_true(looked(&h, 20000, 10));
}

/* What a server sends by itself says nothing of how fast it answers. */
static void what_nobody_waits_for_changes_nothing(void **state) {
        struct haste h = { 0 };

        haste_answered(&h, 10);
        assert_false(looked(&h, 1000, 10));
        haste_answered(&h, 900000);
        assert_true(looked(&h, 1000000, 10));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_first_answer_is_slept_for),
                cmocka_unit_test(a_slow_server_is_never_looked_for),
                cmocka_unit_test(one_that_becomes_slow_is_looked_for_once_more),
                cmocka_unit_test(what_nobody_waits_for_changes_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
