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

static void a_time_is_read_as_it_was_meant(void **state) {
        static const struct {
                const char *text;
                uint64_t sec;
                uint64_t usec;
        } table[] = {
                { "1970-01-01T00:00:00Z", 0, 0 },
                { "2026-11-23T10:00:00Z", 1795428000, 0 },
                { "2026-11-23t10:00:00z", 1795428000, 0 },
                { "2026-11-23T10:00:00.25Z", 1795428000, 250000 },
                { "2026-11-23T10:00:00.123456789Z", 1795428000, 123456 },
                { "2026-11-23T12:30:00+02:30", 1795428000, 0 },
                { "2026-11-23T00:00:00.5-10:00", 1795428000, 500000 },
                { "2000-02-29T12:34:56Z", 951827696, 0 },
                { "2016-12-31T23:59:60Z", 1483228799, 0 },
                { "9999-12-31T23:59:59.000Z", 253402300799, 0 },
        };

        assert_int_equal(setenv("TZ", "Asia/Kathmandu", 1), 0);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                uint64_t usec = 1;

                assert_int_equal(clock_parse_utc(table[i].text, &usec), 0);
                assert_int_equal(usec, table[i].sec * USEC_PER_SEC + table[i].usec);
        }
}

static void what_is_no_time_is_refused(void **state) {
        static const char *const refused[] = {
                "",
                "now",
                "1795428000",
                "2026-11-23",
                "2026-11-23T10:00:00",
                "2026-11-23 10:00:00Z",
                "2026-11-23T10:00Z",
                "2026-11-23T10:00:00Z ",
                " 2026-11-23T10:00:00Z",
                "2026-11-23T10:00:00.Z",
                "2026-11-23T10:00:00,5Z",
                "2026-11-23T10:00:00+0200",
                "2026-11-23T10:00:00+24:00",
                "2026-11-23T10:00:00+02:60",
                "2026-11-23T10:00:00UTC",
                "2026-13-23T10:00:00Z",
                "2026-00-23T10:00:00Z",
                "2026-11-31T10:00:00Z",
                "2026-11-00T10:00:00Z",
                "2026-02-29T10:00:00Z",
                "2026-11-23T24:00:00Z",
                "2026-11-23T10:60:00Z",
                "2026-11-23T10:00:61Z",
                "26-11-23T10:00:00Z",
                "+026-11-23T10:00:00Z",
                "1969-12-31T23:59:59Z",
                "1970-01-01T00:00:00+00:01",
        };

        for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
                uint64_t usec = 77;

                if (clock_parse_utc(refused[i], &usec) != -EINVAL)
                        fail_msg("taken: %s", refused[i]);
                assert_int_equal(usec, 77);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(times_are_written_in_utc_to_the_millisecond),
                cmocka_unit_test(the_time_zone_does_not_matter),
                cmocka_unit_test(any_number_fits),
                cmocka_unit_test(a_time_is_read_as_it_was_meant),
                cmocka_unit_test(what_is_no_time_is_refused),
                cmocka_unit_test(the_clocks_run_forward),
        };

        return cmocka_run_group_tests_name("timetext", tests, NULL, NULL);
}
