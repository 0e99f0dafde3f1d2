/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "test.h"

static void times_are_written_in_utc_to_the_millisecond(void **state) {
        static const struct {
                uint64_t sec;
                uint64_t usec;
                const char *text;
        } table[] = {
                { 0, 0, "1970-01-01T00:00:00.000Z" },
                { 0, 999999, "1970-01-01T00:00:00.999Z" },
                { 951827696, 7000, "2000-02-29T12:34:56.007Z" },
                { 1795428000, 0, "2026-11-23T10:00:00.000Z" },
                { 4102444799, 999000, "2099-12-31T23:59:59.999Z" },
                { 253402300799, 0, "9999-12-31T23:59:59.000Z" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                char text[CLOCK_TEXT_MAX];

                clock_format_utc(table[i].sec * USEC_PER_SEC + table[i].usec, text);
                assert_string_equal(text, table[i].text);
        }
}

static void the_time_zone_does_not_matter(void **state) {
        char text[CLOCK_TEXT_MAX];

        assert_int_equal(setenv("TZ", "Asia/Kathmandu", 1), 0);
        clock_format_utc(0, text);
        assert_string_equal(text, "1970-01-01T00:00:00.000Z");
}

static void any_number_fits(void **state) {
        char text[CLOCK_TEXT_MAX] = { 0 };

        clock_format_utc(UINT64_MAX, text);
        assert_true(strlen(text) < CLOCK_TEXT_MAX);
}

static void the_clocks_run_forward(void **state) {
        uint64_t boot = clock_boot_usec();

        assert_true(boot > 0);
        assert_true(clock_boot_usec() >= boot);
        assert_true(clock_wall_usec() > 1700000000 * USEC_PER_SEC);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(times_are_written_in_utc_to_the_millisecond),
                cmocka_unit_test(the_time_zone_does_not_matter),
                cmocka_unit_test(any_number_fits),
                cmocka_unit_test(the_clocks_run_forward),
        };

        return cmocka_run_group_tests_name("timetext", tests, NULL, NULL);
}
