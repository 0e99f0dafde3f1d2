/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include "base/limits.h"
#include "oauth/challenge.h"
#include "oom.h"

#define WELL_KNOWN "https://h/.well-known/oauth-protected-resource/mcp"

static void parse(struct challenge *c, const char *value) {
        assert_int_equal(challenge_parse(c, &value, 1), 0);
}

static void assert_text(const char *got, const char *want) {
        if (!want)
                assert_null(got);
        else
                assert_string_equal(got ? got : "(none)", want);
}

struct row {
        const char *value;
        const char *scheme; /* NULL: nothing found */
        const char *link;
        const char *scopes;
        const char *error;
};

static void check_rows(const struct row *rows, size_t n) {
        for (size_t i = 0; i < n; i++) {
                AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;

                parse(&c, rows[i].value);
                assert_int_equal(c.found, rows[i].scheme != NULL);
                assert_text(c.scheme, rows[i].scheme);
                assert_text(c.resource_metadata, rows[i].link);
                assert_text(c.error, rows[i].error);
                assert_scopes(&c.scopes, rows[i].scopes ? rows[i].scopes : "");
                assert_int_equal(c.has_scope, rows[i].scopes != NULL);
        }
}

/* A10 */
static void names_are_without_case_and_values_may_be_quoted(void **state) {
        static const struct row rows[] = {
                { "Bearer", "Bearer", NULL, NULL, NULL },
                { "bearer scope=a", "Bearer", NULL, "a", NULL },
                { "BEARER SCOPE = \"a b\"", "Bearer", NULL, "a b", NULL },
                { "Bearer error\t=\tinvalid_token", "Bearer", NULL, NULL, "invalid_token" },
                { "Bearer realm=\"a \\\"b\\\", scope=x\", scope=\"c\"", "Bearer", NULL, "c", NULL },
                { "Bearer resource_metadata=\"https://h/x?a=1,2\"", "Bearer", "https://h/x?a=1,2",
                  NULL, NULL },
                { "Bearer resource_metadata=https://h/x, scope=a", "Bearer", "https://h/x", "a",
                  NULL },
                { "Bearer scope=\"\\a\\ \\b\"", "Bearer", NULL, "a b", NULL },
                { "Bearer scope=\"\"", "Bearer", NULL, NULL, NULL },
        };

        check_rows(rows, ARRAY_SIZE(rows));
}

/* A11 A21 */
static void several_challenges_in_one_field_are_told_apart(void **state) {
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        static const struct row rows[] = {
                { "Basic realm=\"x\", Bearer resource_metadata=\"u\", scope=\"a\", DPoP "
                  "algs=\"ES256\"",
                  "Bearer", "u", "a", NULL },
                { "Basic scope=\"no\", Bearer scope=yes", "Bearer", NULL, "yes", NULL },
                { ", ,Bearer scope=a,, error=\"e\" ,", "Bearer", NULL, "a", "e" },
                { "DPoP algs=\"ES256\", Bearer resource_metadata=\"u\"", "Bearer", "u", NULL,
                  NULL },
                { "DPoP resource_metadata=\"u\", Bearer scope=a", "Bearer", "u", "a", NULL },
                { "DPoP scope=d, resource_metadata=\"d\", Bearer scope=b, resource_metadata=\"b\"",
                  "Bearer", "b", "b", NULL },
                { "Bearer, Basic realm=x", "Bearer", NULL, NULL, NULL },
        };

        check_rows(rows, ARRAY_SIZE(rows));
        parse(&c, rows[0].value);
        assert_true(c.dpop_offered);
        assert_false(c.dpop_only);
}

/* A11 */
static void several_fields_are_one_list(void **state) {
        static const char *const values[] = { "Basic realm=\"x\"", "Bearer scope=a",
                                              "resource_metadata=\"u\"" };
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;

        assert_int_equal(challenge_parse(&c, values, ARRAY_SIZE(values)), 0);
        assert_string_equal(c.scheme, "Bearer");
        assert_string_equal(c.resource_metadata, "u");
        assert_scopes(&c.scopes, "a");
}

/* A12 */
static void unknown_schemes_are_skipped_with_what_is_theirs(void **state) {
        static const struct row rows[] = {
                { "Negotiate abc==, Bearer scope=a", "Bearer", NULL, "a", NULL },
                { "Negotiate YII=,Bearer scope=a", "Bearer", NULL, "a", NULL },
                { "Negotiate, Bearer scope=a", "Bearer", NULL, "a", NULL },
                { "NTLM TlRMTVNTUAAB/+==  , Bearer scope=a", "Bearer", NULL, "a", NULL },
                { "Bearer scope=a, Negotiate abc==", "Bearer", NULL, "a", NULL },
                { "Digest realm=\"r\", scope=\"no\", qop=\"auth,auth-int\", Bearer scope=a",
                  "Bearer", NULL, "a", NULL },
                { "Negotiate abc==", NULL, NULL, NULL, NULL },
        };

        check_rows(rows, ARRAY_SIZE(rows));
}

/* A13 */
static void unknown_parameters_are_ignored(void **state) {
        static const struct row rows[] = {
                { "Bearer foo=\"1\", scope=\"a\"", "Bearer", NULL, "a", NULL },
                { "Bearer x-scope=\"b\", scopes=\"c\"", "Bearer", NULL, NULL, NULL },
        };

        check_rows(rows, ARRAY_SIZE(rows));
}

/* A14 */
static void of_a_repeated_parameter_the_first_counts(void **state) {
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;

        parse(&c, "Bearer scope=\"a\", scope=\"b\", error=x, ERROR=y");
        assert_scopes(&c.scopes, "a");
        assert_string_equal(c.error, "x");
        assert_int_equal(c.n_repeated, 2);
}

/* A15 */
static void what_stands_before_a_fault_is_used(void **state) {
        static const struct row rows[] = {
                { "Bearer scope=\"a\", resource_metadata=\"https://h", "Bearer", NULL, "a", NULL },
                { "Bearer scope=\"a\"; resource_metadata=\"u\"", "Bearer", NULL, "a", NULL },
                { "Bearer scope=a, error=\"x\ny\"", "Bearer", NULL, "a", NULL },
                { "Bearer scope=a, error=\"x\\", "Bearer", NULL, "a", NULL },
                { "Bearer scope=a, =b", "Bearer", NULL, "a", NULL },
                { "=", NULL, NULL, NULL, NULL },
                { "\"", NULL, NULL, NULL, NULL },
                { "", NULL, NULL, NULL, NULL },
                { "scope=a", NULL, NULL, NULL, NULL },
        };

        check_rows(rows, ARRAY_SIZE(rows));
        for (size_t i = 0; i < 7; i++) {
                AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;

                parse(&c, rows[i].value);
                assert_true(c.cut);
        }
}

/* A15 */
static void a_fault_in_one_field_does_not_hide_the_next(void **state) {
        static const char *const values[] = { "Bearer scope=\"a", "error=\"no\"",
                                              "Bearer resource_metadata=\"u\"" };
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;

        assert_int_equal(challenge_parse(&c, values, ARRAY_SIZE(values)), 0);
        assert_true(c.cut);
        assert_null(c.error);
        assert_string_equal(c.resource_metadata, "u");
}

/* A15 */
static void a_field_cut_at_any_byte_yields_no_half_value(void **state) {
        static const char whole[] = "Basic abc==, Bearer realm=\"a, \\\"b\", "
                                    "resource_metadata=\"https://h/x\", scope=\"a b\", error=\"e\"";

        for (size_t n = 0; n <= strlen(whole); n++) {
                AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
                AUTO_FREE char *part = strndup(whole, n);

                parse(&c, part);
                assert_text(c.resource_metadata, c.resource_metadata ? "https://h/x" : NULL);
                assert_scopes(&c.scopes, c.has_scope ? "a b" : "");
                assert_text(c.error, c.error ? "e" : NULL);
        }
}

/* A15 A39 */
static void an_oversized_field_is_read_as_far_as_the_limit(void **state) {
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        AUTO_BUF struct buf b = BUF_INIT;
        const char *value;

        assert_int_equal(buf_append_str(&b, "Bearer scope=a, resource_metadata=u"), 0);
        while (b.len <= LIMIT_CHALLENGE_BYTES)
                assert_int_equal(buf_append_str(&b, "u"), 0);
        value = b.data;
        assert_int_equal(challenge_parse(&c, &value, 1), 0);
        assert_true(c.cut);
        assert_scopes(&c.scopes, "a");
        assert_null(c.resource_metadata); /* half of it is not it */
}

/* A17 */
static void a_scope_with_a_forbidden_character_is_dropped_and_counted(void **state) {
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;

        parse(&c, "Bearer scope=\"a b\\\"c d\\\\e f\"");
        assert_scopes(&c.scopes, "a f");
        assert_int_equal(c.n_dropped_scopes, 2);
}

/* A21 */
static void dpop_alone_is_found_and_said(void **state) {
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;

        parse(&c, "DPoP algs=\"ES256\", resource_metadata=\"u\"");
        assert_string_equal(c.scheme, "DPoP");
        assert_true(c.dpop_only);
        assert_string_equal(c.resource_metadata, "u");
}

/* A23 */
static void foreign_text_is_cleaned_and_cut(void **state) {
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        AUTO_BUF struct buf b = BUF_INIT;
        const char *value;

        assert_int_equal(buf_append_str(&b, "Bearer error_description=\"a\xc2\x9b"
                                            "31m\xff"),
                         0);
        for (int i = 0; i < 1000; i++)
                assert_int_equal(buf_append_str(&b, "x"), 0);
        assert_int_equal(buf_append_str(&b, "\", max_age=\"12a\", acr_values=\"gold\""), 0);
        value = b.data;
        assert_int_equal(challenge_parse(&c, &value, 1), 0);
        assert_int_equal(strlen(c.error_description), LIMIT_FOREIGN_TEXT);
        assert_memory_equal(c.error_description, "a?31m?xx", 8);
        assert_null(c.max_age);
        assert_string_equal(c.acr_values, "gold");
}

/* A40 A41 */
static void the_old_scheme_is_a_login_request(void **state) {
        static const struct row rows[] = {
                { "MCP resource_metadata=\"u\"", "MCP", "u", NULL, NULL },
                { "mcp realm=\"x\", resource=\"" WELL_KNOWN "\"", "MCP", WELL_KNOWN, NULL, NULL },
                { "MCP resource_metadata_uri=\"" WELL_KNOWN "\"", "MCP", WELL_KNOWN, NULL, NULL },
                { "MCP resource=\"https://h/mcp\"", "MCP", NULL, NULL, NULL },
                { "Bearer resource=\"" WELL_KNOWN "\"", "Bearer", NULL, NULL, NULL },
                { "MCP, resource_metadata=\"u\"", "MCP", "u", NULL, NULL },
                { "McpAuth, resource_metadata=\"u\"", "MCP", "u", NULL, NULL },
                { "Bearer, resource_metadata=\"u\", scope=a", "Bearer", "u", "a", NULL },
        };

        check_rows(rows, ARRAY_SIZE(rows));
}

/* A42 */
static void a_real_challenge_beside_the_old_one_wins(void **state) {
        static const struct row rows[] = {
                { "MCP resource_metadata=\"old\", scope=old, Bearer resource_metadata=\"new\"",
                  "Bearer", "new", NULL, NULL },
                { "MCP resource_metadata=\"old\", Bearer scope=a", "Bearer", NULL, "a", NULL },
                { "MCP resource_metadata=\"old\", DPoP algs=ES256", "DPoP", NULL, NULL, NULL },
        };

        check_rows(rows, ARRAY_SIZE(rows));
}

/* A8 A9 A18 A19 A20 A164 */
static void an_answer_means_what_status_and_code_say(void **state) {
        static const struct {
                unsigned status;
                const char *value;
                enum challenge_meaning meaning;
        } table[] = {
                { 401, NULL, CHALLENGE_LOGIN },
                { 401, "Basic realm=x", CHALLENGE_LOGIN },
                { 401, "Bearer", CHALLENGE_LOGIN },
                { 401, "Bearer error=\"invalid_token\"", CHALLENGE_TOKEN_DEAD },
                { 401, "Bearer error=\"insufficient_scope\"", CHALLENGE_STEP_UP },
                { 401, "DPoP error=\"use_dpop_nonce\"", CHALLENGE_NONCE },
                { 401, "Bearer error=\"invalid_token\", DPoP error=\"use_dpop_nonce\"",
                  CHALLENGE_NONCE },
                { 401, "DPoP error=\"use_dpop_nonce\", Bearer error=\"invalid_token\"",
                  CHALLENGE_NONCE },
                { 401, "Bearer, DPoP algs=ES256", CHALLENGE_LOGIN },
                { 401, "Bearer error=\"insufficient_user_authentication\"",
                  CHALLENGE_REAUTHENTICATE },
                { 401, "Bearer error=\"something_new\"", CHALLENGE_LOGIN },
                { 403, NULL, CHALLENGE_NONE },
                { 403, "Bearer", CHALLENGE_NONE },
                { 403, "Bearer error=\"invalid_token\"", CHALLENGE_NONE },
                { 403, "Bearer error=\"insufficient_scope\", scope=a", CHALLENGE_STEP_UP },
                { 403, "Basic error=\"insufficient_scope\"", CHALLENGE_NONE },
                { 400, "Bearer error=\"invalid_request\"", CHALLENGE_OUR_BUG },
                { 400, "Bearer error=\"invalid_token\"", CHALLENGE_NONE },
                { 200, "Bearer error=\"invalid_token\"", CHALLENGE_NONE },
                { 500, "Bearer error=\"invalid_token\"", CHALLENGE_NONE },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;

                assert_int_equal(challenge_parse(&c, &table[i].value, table[i].value ? 1 : 0), 0);
                assert_int_equal(challenge_judge(&c, table[i].status), table[i].meaning);
        }
}

static int parse_and_copy(void *userdata) {
        static const char *const value =
                "MCP x=\"1\", Bearer realm=\"a\", resource_metadata=\"u\", scope=\"a b\", "
                "error=\"e\", error_description=\"d\", acr_values=\"x\", max_age=\"5\"";
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        AUTO_CHALLENGE struct challenge copy = CHALLENGE_INIT;
        int r = challenge_parse(&c, &value, 1);

        if (r == 0)
                r = challenge_copy(&copy, &c);
        if (r == 0) {
                assert_string_equal(copy.resource_metadata, "u");
                assert_string_equal(copy.max_age, "5");
                assert_true(scope_set_equal(&copy.scopes, &c.scopes));
        }
        return r;
}

static void running_out_of_memory_is_said(void **state) {
        assert_true(oom_sweep(parse_and_copy, NULL) > 20);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(names_are_without_case_and_values_may_be_quoted),
                cmocka_unit_test(several_challenges_in_one_field_are_told_apart),
                cmocka_unit_test(several_fields_are_one_list),
                cmocka_unit_test(unknown_schemes_are_skipped_with_what_is_theirs),
                cmocka_unit_test(unknown_parameters_are_ignored),
                cmocka_unit_test(of_a_repeated_parameter_the_first_counts),
                cmocka_unit_test(what_stands_before_a_fault_is_used),
                cmocka_unit_test(a_fault_in_one_field_does_not_hide_the_next),
                cmocka_unit_test(a_field_cut_at_any_byte_yields_no_half_value),
                cmocka_unit_test(an_oversized_field_is_read_as_far_as_the_limit),
                cmocka_unit_test(a_scope_with_a_forbidden_character_is_dropped_and_counted),
                cmocka_unit_test(dpop_alone_is_found_and_said),
                cmocka_unit_test(foreign_text_is_cleaned_and_cut),
                cmocka_unit_test(the_old_scheme_is_a_login_request),
                cmocka_unit_test(a_real_challenge_beside_the_old_one_wins),
                cmocka_unit_test(an_answer_means_what_status_and_code_say),
                cmocka_unit_test(running_out_of_memory_is_said),
        };

        return cmocka_run_group_tests_name("challenge", tests, NULL, NULL);
}
