/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include "base/utf8.h"
#include "test.h"

static void every_code_has_a_name_a_number_and_an_exit_status(void **state) {
        for (int i = MCPB_NO_ERROR + 1; i < MCPB_ERROR_COUNT; i++) {
                enum error_code code = (enum error_code)i;

                assert_int_equal(error_from_name(error_name(code)), code);
                assert_true(error_number(code) != 0);
                assert_in_range(error_exit_status(code), 1, 130);
                for (int k = i + 1; k < MCPB_ERROR_COUNT; k++) {
                        assert_int_not_equal(error_number(code), error_number((enum error_code)k));
                        assert_false(streq(error_name(code), error_name((enum error_code)k)));
                }
        }
}

/* Part of the protocol: doc/PROTOCOL.md. */
static void names_and_numbers_do_not_change(void **state) {
        static const struct {
                enum error_code code;
                const char *name;
                int number;
                int status;
        } table[] = {
                { MCPB_INTERNAL, "internal", -32603, 1 },
                { MCPB_NO_DAEMON, "no_daemon", 1001, 3 },
                { MCPB_DENIED, "denied", 1003, 5 },
                { MCPB_LOGIN_REQUIRED, "login_required", 1004, 4 },
                { MCPB_LOCKED, "locked", 1009, 8 },
                { MCPB_AUDIT_UNAVAILABLE, "audit_unavailable", 1021, 10 },
                { MCPB_CONFLICT, "conflict", 1029, 11 },
                { MCPB_IDENTITY_FAILED, "identity_failed", 1031, 7 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                assert_string_equal(error_name(table[i].code), table[i].name);
                assert_int_equal(error_number(table[i].code), table[i].number);
                assert_int_equal(error_exit_status(table[i].code), table[i].status);
        }
        assert_int_equal(error_from_name("no such code"), MCPB_INTERNAL);
        assert_string_equal(error_name(MCPB_NO_ERROR), "none");
        assert_string_equal(error_name(MCPB_ERROR_COUNT), "none");
        assert_int_equal(error_exit_status(MCPB_NO_ERROR), 0);
        assert_int_equal(error_number(MCPB_ERROR_COUNT), -32603);
}

static void setting_returns_the_number_and_keeps_code_message_and_hint(void **state) {
        struct error err = ERROR_INIT;

        assert_int_equal(error_set(&err, MCPB_DENIED, EPERM, "Ask", "No %s for %d", "token", 7),
                         -EPERM);
        assert_int_equal(err.code, MCPB_DENIED);
        assert_string_equal(err.message, "No token for 7");
        assert_string_equal(err.hint, "Ask");
        assert_int_equal(error_set(&err, MCPB_BUSY, EBUSY, NULL, "x"), -EBUSY);
        assert_string_equal(err.hint, "");
        assert_int_equal(error_set(NULL, MCPB_BUSY, EBUSY, NULL, "x"), -EBUSY);
        assert_int_equal(error_oom(&err), -ENOMEM);
}

static void a_message_never_carries_control_characters(void **state) {
        struct error err = ERROR_INIT;
        char text[600] = { 0 };

        (void)error_set(&err, MCPB_DENIED, EPERM, "\x1b]0;x\x07", "server '%s'", "a\r\nb\xff");
        assert_string_equal(err.message, "server 'a??b?'");
        assert_string_equal(err.hint, "?]0;x?");
        /* Too long a text ends with a whole character. */
        for (size_t shift = 0; shift < 3; shift++) {
                for (size_t i = 0; i + 3 < sizeof(text); i += 3)
                        memcpy(text + i, "\xe2\x82\xac", 3);
                (void)error_set(&err, MCPB_DENIED, EPERM, NULL, "%.*s%s", (int)shift, "ab", text);
                assert_true(utf8_valid(err.message, strlen(err.message)));
                assert_null(strchr(err.message, '?'));
                assert_true(strlen(err.message) >= sizeof(err.message) - 4);
        }
}

static void a_fallback_does_not_hide_the_cause(void **state) {
        struct error err = ERROR_INIT;

        assert_int_equal(error_fallback(&err, -EIO, "writing"), -EIO);
        assert_int_equal(err.code, MCPB_INTERNAL);
        assert_non_null(strstr(err.message, "writing: "));
        (void)error_set(&err, MCPB_DENIED, EPERM, NULL, "the cause");
        assert_int_equal(error_fallback(&err, -EPERM, "asking"), -EPERM);
        assert_string_equal(err.message, "the cause");
        err = ERROR_INIT;
        assert_int_equal(error_fallback(&err, 0, "nothing"), 0);
        assert_int_equal(err.code, MCPB_NO_ERROR);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_code_has_a_name_a_number_and_an_exit_status),
                cmocka_unit_test(names_and_numbers_do_not_change),
                cmocka_unit_test(setting_returns_the_number_and_keeps_code_message_and_hint),
                cmocka_unit_test(a_message_never_carries_control_characters),
                cmocka_unit_test(a_fallback_does_not_hide_the_cause),
        };

        return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
