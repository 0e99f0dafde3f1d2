/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/pause.h"

#include "test.h"

static void pauses_grow_up_to_their_bound_and_stay_there(void **state) {
        uint64_t next = PAUSE_MIN_USEC;
        uint64_t last = 0;

        /* More than a number of 64 bits can be doubled. */
        for (int i = 0; i < 200; i++) {
                uint64_t now = pause_next(&next);

                assert_true(now >= PAUSE_MIN_USEC && now <= PAUSE_MAX_USEC);
                assert_true(now > last || now == PAUSE_MAX_USEC);
                last = now;
        }
        assert_int_equal(last, PAUSE_MAX_USEC);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(pauses_grow_up_to_their_bound_and_stay_there),
        };

        return cmocka_run_group_tests_name("connect-pause", tests, NULL, NULL);
}
