/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strmap.h"
#include "test.h"

static void thousand_keys_are_found_replaced_and_removed(void **state) {
        struct strmap *m = strmap_new();
        static char values[1000];
        char key[16];

        assert_non_null(m);
        for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
                (void)snprintf(key, sizeof(key), "k%zu", i);
                assert_int_equal(strmap_put(m, key, &values[i]), 0);
        }
        assert_int_equal(strmap_count(m), 1000);
        assert_int_equal(strmap_put(m, "k7", &values[0]), 0);
        assert_int_equal(strmap_count(m), 1000);
        assert_ptr_equal(strmap_get(m, "k7"), &values[0]);
        for (size_t i = 8; i < ARRAY_SIZE(values); i++) {
                (void)snprintf(key, sizeof(key), "k%zu", i);
                assert_ptr_equal(strmap_get(m, key), &values[i]);
                assert_ptr_equal(strmap_remove(m, key), &values[i]);
                assert_null(strmap_get(m, key));
        }
        assert_int_equal(strmap_count(m), 8);
        assert_null(strmap_remove(m, "absent"));
        assert_null(strmap_free(m));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(thousand_keys_are_found_replaced_and_removed),
        };

        return cmocka_run_group_tests_name("strmap", tests, NULL, NULL);
}
