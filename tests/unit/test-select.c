/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include "oauth/select.h"
#include "oom.h"

static void challenge_make(struct challenge *c, const char *value) {
        assert_int_equal(challenge_parse(c, &value, 1), 0);
}

/* A141 A155 A156 A157 A158 A107 */
static void a_login_asks_for_the_challenges_scopes_else_the_servers_else_none(void **state) {
        static const struct {
                const char *challenge; /* NULL: none at all */
                const char *prm;       /* NULL: no list */
                const char *user;
                const char *as;
                const char *asked;
        } table[] = {
                { "Bearer scope=\"mcp:basic\"", "mcp:read mcp:write", NULL, NULL, "mcp:basic" },
                { "Bearer", "mcp:basic mcp:read", NULL, NULL, "mcp:basic mcp:read" },
                { NULL, "b a", NULL, NULL, "a b" },
                { "Bearer", NULL, NULL, NULL, "" },
                { NULL, NULL, NULL, NULL, "" },
                { NULL, "", NULL, NULL, "" },
                { "Bearer scope=a", "x", "mine", NULL, "mine" },
                { "Bearer scope=a", "x", "", NULL, "a" },
                { "Bearer scope=a", NULL, NULL, "a offline_access", "a offline_access" },
                { "Bearer scope=a", NULL, NULL, "a b openid profile email", "a" },
                { "Bearer", NULL, NULL, "offline_access openid", "" },
                { NULL, "a", NULL, "offline_access", "a offline_access" },
                { NULL, NULL, "mine", "offline_access", "mine offline_access" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
                AUTO_SCOPES struct scope_set prm = SCOPE_SET_INIT;
                AUTO_SCOPES struct scope_set user = SCOPE_SET_INIT;
                AUTO_SCOPES struct scope_set as = SCOPE_SET_INIT;
                AUTO_SCOPES struct scope_set asked = SCOPE_SET_INIT;
                const struct scope_sources from = {
                        .challenge = table[i].challenge ? &c : NULL,
                        .prm = table[i].prm ? &prm : NULL,
                        .user = table[i].user ? &user : NULL,
                        .as = table[i].as ? &as : NULL,
                };

                if (table[i].challenge)
                        challenge_make(&c, table[i].challenge);
                scopes_make(&prm, table[i].prm ? table[i].prm : "");
                scopes_make(&user, table[i].user ? table[i].user : "");
                scopes_make(&as, table[i].as ? table[i].as : "");
                assert_int_equal(scope_select_login(&asked, &from), 0);
                assert_scopes(&asked, table[i].asked);
        }
}

/* A150 A159 A160 */
static void a_step_up_asks_for_what_was_and_what_is_wanted(void **state) {
        static const struct {
                const char *before;
                const char *challenge;
                const char *as;
                const char *asked;
                const char *granted;
        } table[] = {
                { "mcp:basic", "Bearer error=\"insufficient_scope\", scope=\"mcp:write\"", NULL,
                  "mcp:basic mcp:write" },
                { "a offline_access", "Bearer scope=\"b\"", NULL, "a b c offline_access", "a c" },
                { "a b", "Bearer scope=\"b\"", NULL, "a b" },
                { "", "Bearer scope=\"b\"", NULL, "b" },
                { "a:write", "Bearer scope=\"a:read\"", "a:admin", "a:read a:write" },
                { "a offline_access", "Bearer scope=\"b\"", NULL, "a b offline_access" },
                { "a", "Bearer scope=\"b\"", "offline_access", "a b offline_access" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
                AUTO_SCOPES struct scope_set before = SCOPE_SET_INIT;
                AUTO_SCOPES struct scope_set granted = SCOPE_SET_INIT;
                AUTO_SCOPES struct scope_set as = SCOPE_SET_INIT;
                AUTO_SCOPES struct scope_set asked = SCOPE_SET_INIT;

                challenge_make(&c, table[i].challenge);
                scopes_make(&before, table[i].before);
                scopes_make(&as, table[i].as ? table[i].as : "");
                scopes_make(&granted, table[i].granted ? table[i].granted : "");
                assert_int_equal(
                        scope_select_step_up(
                                &asked, &(struct scope_step_up){ .requested = &before,
                                                                 .granted = &granted,
                                                                 .more = &c.scopes,
                                                                 .as = table[i].as ? &as : NULL }),
                        0);
                assert_scopes(&asked, table[i].asked);
        }
}

/* A161 A162 */
static void a_challenge_that_asks_nothing_new_starts_nothing(void **state) {
        static const struct {
                const char *before;
                const char *challenge;
                bool more;
        } table[] = {
                { "a b", "Bearer scope=\"a\"", false },
                { "a b", "Bearer scope=\"b a\"", false },
                { "a b", "Bearer error=\"insufficient_scope\"", false },
                { "a b", "Bearer scope=\"a c\"", true },
                { "", "Bearer scope=\"a\"", true },
                { "A", "Bearer scope=\"a\"", true },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
                AUTO_SCOPES struct scope_set before = SCOPE_SET_INIT;

                challenge_make(&c, table[i].challenge);
                scopes_make(&before, table[i].before);
                assert_int_equal(scope_challenge_asks_more(&before, &c), table[i].more);
        }
}

/* A163 */
static void a_refused_elevation_is_remembered_for_a_while(void **state) {
        struct scope_refusal refusal = { 0 };
        AUTO_SCOPES struct scope_set asked = SCOPE_SET_INIT;
        AUTO_SCOPES struct scope_set more = SCOPE_SET_INIT;
        AUTO_SCOPES struct scope_set less = SCOPE_SET_INIT;
        uint64_t end = 1000 + LIMIT_REFUSAL_SEC * USEC_PER_SEC;

        scopes_make(&asked, "a b");
        scopes_make(&more, "a b c");
        scopes_make(&less, "a");
        assert_false(scope_refusal_holds(&refusal, &asked, 1000));
        assert_int_equal(scope_refusal_note(&refusal, &asked, 1000), 0);
        assert_true(scope_refusal_holds(&refusal, &asked, 1000));
        assert_true(scope_refusal_holds(&refusal, &more, end - 1));
        assert_false(scope_refusal_holds(&refusal, &less, 1000));
        assert_false(scope_refusal_holds(&refusal, &asked, end));
        scope_refusal_done(&refusal);
}

/* A161 */
static void elevations_of_one_resource_are_counted_by_what_they_ask(void **state) {
        struct scope_attempts a = { 0 };
        AUTO_SCOPES struct scope_set asked = SCOPE_SET_INIT;
        AUTO_SCOPES struct scope_set other = SCOPE_SET_INIT;
        uint64_t now = 1;
        uint64_t later = now + LIMIT_STEP_UP_SEC * USEC_PER_SEC;
        char name[8];

        scopes_make(&asked, "a b");
        for (unsigned i = 0; i < LIMIT_STEP_UPS; i++)
                assert_int_equal(scope_attempts_note(&a, &asked, now), 0);
        assert_int_equal(scope_attempts_note(&a, &asked, now), -EAGAIN);
        assert_int_equal(scope_attempts_note(&a, &asked, later - 1), -EAGAIN);
        for (unsigned i = 1; i < LIMIT_STEP_UP_SETS; i++) {
                scope_set_done(&other);
                (void)snprintf(name, sizeof(name), "a%u", i);
                scopes_make(&other, name);
                assert_int_equal(scope_attempts_note(&a, &other, now), 0);
        }
        scope_set_done(&other);
        scopes_make(&other, "one more");
        assert_int_equal(scope_attempts_note(&a, &other, now), -EAGAIN);
        assert_int_equal(scope_attempts_note(&a, &other, later), 0);
        assert_int_equal(scope_attempts_note(&a, &asked, later), 0);
        scope_attempts_done(&a);
        assert_int_equal(scope_attempts_note(&a, &asked, now), 0);
        scope_attempts_done(&a);
}

static int select_once(void *userdata) {
        static const char *const value = "Bearer scope=\"a b\"";
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        AUTO_SCOPES struct scope_set as = SCOPE_SET_INIT;
        AUTO_SCOPES struct scope_set asked = SCOPE_SET_INIT;
        AUTO_SCOPES struct scope_set up = SCOPE_SET_INIT;
        struct scope_sources from = { .challenge = &c, .as = &as };
        int r = challenge_parse(&c, &value, 1);

        if (r == 0)
                r = scope_set_parse(&as, "offline_access", NULL);
        if (r == 0)
                r = scope_select_login(&asked, &from);
        if (r == 0)
                r = scope_select_step_up(&up, &(struct scope_step_up){ .requested = &asked,
                                                                       .granted = &asked,
                                                                       .more = &c.scopes,
                                                                       .as = &as });
        return r;
}

static void running_out_of_memory_is_said(void **state) {
        assert_true(oom_sweep(select_once, NULL) > 10);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_login_asks_for_the_challenges_scopes_else_the_servers_else_none),
                cmocka_unit_test(a_step_up_asks_for_what_was_and_what_is_wanted),
                cmocka_unit_test(a_challenge_that_asks_nothing_new_starts_nothing),
                cmocka_unit_test(a_refused_elevation_is_remembered_for_a_while),
                cmocka_unit_test(elevations_of_one_resource_are_counted_by_what_they_ask),
                cmocka_unit_test(running_out_of_memory_is_said),
        };

        return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
