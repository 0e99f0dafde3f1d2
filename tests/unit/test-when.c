/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/when.h"

#include "test.h"

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
                cmocka_unit_test(seconds_are_a_number_or_a_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
