/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/methods.h"

#include "test.h"

static void every_method_has_one_name_and_a_class(void **state) {
        for (unsigned i = 0; i < METHOD_COUNT; i++) {
                enum method found = METHOD_COUNT;

                assert_non_null(method_name((enum method)i));
                assert_true(method_class((enum method)i) < METHOD_CLASS_COUNT);
                assert_int_equal(method_from_name(method_name((enum method)i), &found), 0);
                assert_int_equal(found, i);
        }
}

static void an_unknown_name_is_no_method(void **state) {
        static const char *const names[] = { "", "token", "token.get ", "Token.Get",
                                             "rpc.discover" };
        enum method m = METHOD_COUNT;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_int_equal(method_from_name(names[i], &m), -ENOENT);
        assert_int_equal(m, METHOD_COUNT);
}

static void only_session_open_comes_before_the_session(void **state) {
        for (unsigned i = 0; i < METHOD_COUNT; i++)
                assert_int_equal(method_class((enum method)i) == METHOD_OPEN,
                                 i == METHOD_SESSION_OPEN);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_method_has_one_name_and_a_class),
                cmocka_unit_test(an_unknown_name_is_no_method),
                cmocka_unit_test(only_session_open_comes_before_the_session),
        };

        return cmocka_run_group_tests_name("methods", tests, NULL, NULL);
}
