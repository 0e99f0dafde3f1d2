/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/when.h"

#include "test.h"

static void dates_of_rfc_3339_are_read(void **state) {
        static const struct {
                const char *text;
                uint64_t sec;
        } table[] = {
                { "1970-01-01T00:00:00Z", 0 },
                { "2026-11-22T23:10:00Z", 1795389000 },
                { "2026-11-22T23:10:00.123456789Z", 1795389000 },
                { "2026-11-23T00:40:00+01:30", 1795389000 },
                { "2026-11-22t23:10:00z", 0 },
                { "2026-11-22T16:10:00-07:00", 1795389000 },
                { "2024-02-29T00:00:00Z", 1709164800 },
                { "9999-12-31T23:59:59Z", 253402300799 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                uint64_t usec = 1;
                int r = when_parse(table[i].text, &usec);

                if (table[i].sec == 0 && i > 0)
                        assert_int_equal(r, -EBADMSG);
                else if (r < 0 || usec != table[i].sec * USEC_PER_SEC)
                        fail_msg("%s: %d", table[i].text, r);
        }
}

static void other_texts_are_no_dates(void **state) {
        static const char *const table[] = {
                "",
                "2026-11-22",
                "2026-11-22T23:10:00",
                "2026-11-22 23:10:00Z",
                "2026-11-22T23:10:00.Z",
                "2026-11-22T23:10:00X",
                "2026-11-22T23:10:00Z ",
                "2026-11-22T23:10:00+0130",
                "2026-11-22T23:10:00+01:60",
                "2026-13-22T23:10:00Z",
                "2026-00-22T23:10:00Z",
                "2026-11-31T23:10:00Z",
                "2025-02-29T00:00:00Z",
                "2026-11-22T24:10:00Z",
                "2026-11-22T23:60:00Z",
                "2026-11-22T23:10:61Z",
                "1969-12-31T23:59:59Z",
                "-026-11-22T23:10:00Z",
                "1970-01-01T00:00:00+00:01",
                "Sun, 06 Nov 1994 08:49:37 GMT",
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                uint64_t usec = 7;

                if (when_parse(table[i], &usec) != -EBADMSG || usec != 7)
                        fail_msg("%s", table[i]);
        }
}

static void seconds_are_a_number_or_a_text(void **state) {
        static const struct {
                const char *json;
                uint64_t sec;
        } table[] = {
                { "1795389000", 1795389000 },
                { "\"1795389000\"", 1795389000 },
                { "1795389000.9", 1795389000 },
                { "253402300799", 253402300799 },
                { "1", 1 },
        };
        static const char *const bad[] = {
                "-1",   "\"-1\"", "1e300", "253402300800", "\"99999999999999999999\"",
                "\"\"", "\"1 \"", "true",  "null",         "[1]",
                "-0.5"
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_JSON json_t *value = NULL;
                uint64_t usec = 0;

                assert_int_equal(json_parse(table[i].json, strlen(table[i].json), 4, &value, NULL),
                                 0);
                assert_int_equal(when_from_epoch(value, &usec), 0);
                assert_true(usec == table[i].sec * USEC_PER_SEC);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                AUTO_JSON json_t *value = NULL;
                uint64_t usec = 7;

                assert_int_equal(json_parse(bad[i], strlen(bad[i]), 4, &value, NULL), 0);
                if (when_from_epoch(value, &usec) != -EBADMSG || usec != 7)
                        fail_msg("%s", bad[i]);
        }
        assert_int_equal(when_from_epoch(NULL, &(uint64_t){ 0 }), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(dates_of_rfc_3339_are_read),
                cmocka_unit_test(other_texts_are_no_dates),
                cmocka_unit_test(seconds_are_a_number_or_a_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
