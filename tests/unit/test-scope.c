/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include "base/limits.h"
#include "oom.h"

/* A17 */
static void a_set_is_sorted_and_holds_each_token_once(void **state) {
        static const struct {
                const char *text;
                const char *set;
                size_t n_dropped;
        } table[] = {
                { "", "", 0 },
                { "   ", "", 0 },
                { "b a", "a b", 0 },
                { "a  b a", "a b", 0 },
                { "read Read", "Read read", 0 },
                { "mcp:read https://h/x a.b", "a.b https://h/x mcp:read", 0 },
                { "a \"b\" c", "a c", 1 },
                { "a b\\c", "a", 1 },
                { "a\tb c", "c", 1 },
                { "\xc3\xa4 a", "a", 1 },
                { "a\x7f", "", 1 },
                { "ab a abc", "a ab abc", 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_SCOPES struct scope_set s = SCOPE_SET_INIT;
                size_t n_dropped = 99;

                assert_int_equal(scope_set_parse(&s, table[i].text, &n_dropped), 0);
                assert_int_equal(n_dropped, table[i].n_dropped);
                assert_scopes(&s, table[i].set);
        }
}

static void sets_compare_as_sets(void **state) {
        AUTO_SCOPES struct scope_set a = SCOPE_SET_INIT;
        AUTO_SCOPES struct scope_set b = SCOPE_SET_INIT;
        AUTO_SCOPES struct scope_set none = SCOPE_SET_INIT;

        scopes_make(&a, "x y z");
        scopes_make(&b, "z x");
        assert_true(scope_set_contains(&a, &b));
        assert_false(scope_set_contains(&b, &a));
        assert_true(scope_set_contains(&b, &none));
        assert_false(scope_set_equal(&a, &b));
        assert_int_equal(scope_set_union(&b, &a), 0);
        assert_true(scope_set_equal(&a, &b));
        assert_true(scope_set_has(&a, "y"));
        assert_false(scope_set_has(&a, "Y"));
        assert_false(scope_set_has(&none, ""));
}

static void json_and_back_is_the_same_set(void **state) {
        AUTO_SCOPES struct scope_set a = SCOPE_SET_INIT;
        AUTO_SCOPES struct scope_set b = SCOPE_SET_INIT;
        AUTO_JSON json_t *json = NULL;
        AUTO_JSON json_t *odd = json_pack("[s, i, s, s]", "ok", 1, "not ok", "fine");
        size_t n_dropped = 0;

        scopes_make(&a, "x y");
        assert_int_equal(scope_set_to_json(&a, &json), 0);
        assert_int_equal(scope_set_from_json(&b, json, &n_dropped), 0);
        assert_true(scope_set_equal(&a, &b));
        scope_set_done(&b);
        assert_int_equal(scope_set_from_json(&b, odd, &n_dropped), 0);
        assert_int_equal(n_dropped, 2);
        assert_scopes(&b, "fine ok");
}

static void a_set_has_bounds(void **state) {
        AUTO_SCOPES struct scope_set s = SCOPE_SET_INIT;
        AUTO_SCOPES struct scope_set big = SCOPE_SET_INIT;
        char text[32];
        char huge[LIMIT_SCOPE_BYTES + 2];

        for (int i = 0; i < LIMIT_SCOPES; i++) {
                (void)snprintf(text, sizeof(text), "s%d", i);
                assert_int_equal(scope_set_add(&s, text), 0);
        }
        assert_int_equal(scope_set_add(&s, "more"), -E2BIG);
        assert_int_equal(scope_set_add(&s, "s1"), 0);
        for (size_t i = 0; i < sizeof(huge) - 1; i++)
                huge[i] = 'x';
        huge[sizeof(huge) - 1] = '\0';
        assert_int_equal(scope_set_add(&big, huge), -E2BIG);
        assert_int_equal(scope_set_add(&big, ""), -EINVAL);
}

static int parse_and_copy(void *userdata) {
        AUTO_SCOPES struct scope_set a = SCOPE_SET_INIT;
        AUTO_SCOPES struct scope_set b = SCOPE_SET_INIT;
        AUTO_JSON json_t *json = NULL;
        int r = scope_set_parse(&a, "a b c", NULL);

        if (r == 0)
                r = scope_set_copy(&b, &a);
        if (r == 0)
                r = scope_set_to_json(&b, &json);
        return r;
}

static void running_out_of_memory_is_said(void **state) {
        assert_true(oom_sweep(parse_and_copy, NULL) > 5);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_set_is_sorted_and_holds_each_token_once),
                cmocka_unit_test(sets_compare_as_sets),
                cmocka_unit_test(json_and_back_is_the_same_set),
                cmocka_unit_test(a_set_has_bounds),
                cmocka_unit_test(running_out_of_memory_is_said),
        };

        return cmocka_run_group_tests_name("scope", tests, NULL, NULL);
}
