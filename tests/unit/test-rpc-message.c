/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/message.h"

#include "base/limits.h"
#include "test.h"

static void a_request_is_read(void **state) {
        static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"token.get\","
                                   "\"params\":{\"server\":\"x\"}}";
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(message_parse(&m, line, strlen(line), &err), 0);
        assert_string_equal(json_string_value(m.id), "a");
        assert_string_equal(m.name, "token.get");
        assert_false(m.notification);
        assert_string_equal(json_get_string(m.params, "server"), "x");
}

static void absent_params_are_an_empty_object(void **state) {
        static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.list\"}";
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(message_parse(&m, line, strlen(line), &err), 0);
        assert_true(json_is_object(m.params));
        assert_int_equal(json_object_size(m.params), 0);
}

static void what_is_no_request_gets_its_own_number(void **state) {
        static const struct {
                const char *line;
                enum error_code code;
                bool has_id;
                bool notification;
        } table[] = {
                { "", MCPB_PARSE_ERROR, false, false },
                { "{", MCPB_PARSE_ERROR, false, false },
                { "hello", MCPB_PARSE_ERROR, false, false },
                { "{} {}", MCPB_PARSE_ERROR, false, false },
                { "{\"id\":1,\"id\":2}", MCPB_PARSE_ERROR, false, false },
                { "{\"id\":\"\xff\"}", MCPB_PARSE_ERROR, false, false },
                { "{\"id\":\"a\\u0000b\"}", MCPB_PARSE_ERROR, false, false },
                { "{\"jsonrpc\":\"2.0\",\"id\":99999999999999999999,\"method\":\"m\"}",
                  MCPB_PARSE_ERROR, false, false },
                { "1", MCPB_BAD_REQUEST, false, false },
                { "null", MCPB_BAD_REQUEST, false, false },
                { "[]", MCPB_BAD_REQUEST, false, false },
                { "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}]", MCPB_BAD_REQUEST, false,
                  false },
                { "{}", MCPB_BAD_REQUEST, false, false },
                { "{\"jsonrpc\":\"2.0\",\"id\":1}", MCPB_BAD_REQUEST, true, false },
                { "{\"id\":1,\"method\":\"m\"}", MCPB_BAD_REQUEST, true, false },
                { "{\"jsonrpc\":2.0,\"id\":1,\"method\":\"m\"}", MCPB_BAD_REQUEST, true, false },
                { "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"m\"}", MCPB_BAD_REQUEST, true,
                  false },
                { "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"m\"}", MCPB_BAD_REQUEST, false,
                  false },
                { "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"m\"}", MCPB_BAD_REQUEST, false,
                  false },
                { "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"m\"}", MCPB_BAD_REQUEST, false,
                  false },
                { "{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"m\"}", MCPB_BAD_REQUEST, false,
                  false },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":1}", MCPB_BAD_REQUEST, true, false },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":1}", MCPB_BAD_REQUEST,
                  true, false },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":\"x\"}", MCPB_BAD_REQUEST,
                  false, false },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[1]}", MCPB_BAD_PARAMS,
                  true, false },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":[1]}", MCPB_BAD_PARAMS, false,
                  true },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_MESSAGE struct message m = MESSAGE_INIT;
                struct error err = ERROR_INIT;

                assert_int_equal(message_parse(&m, table[i].line, strlen(table[i].line), &err),
                                 -EBADMSG);
                assert_int_equal(err.code, table[i].code);
                assert_int_equal(m.id != NULL, table[i].has_id);
                assert_int_equal(m.notification, table[i].notification);
        }
}

static void a_request_cut_at_any_byte_is_refused(void **state) {
        static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"token.get\","
                                   "\"params\":{\"server\":\"x\",\"scopes\":[\"a\"]}}";

        for (size_t n = 0; n < strlen(line); n++) {
                AUTO_MESSAGE struct message m = MESSAGE_INIT;
                struct error err = ERROR_INIT;

                assert_int_equal(message_parse(&m, line, n, &err), -EBADMSG);
                assert_int_equal(err.code, MCPB_PARSE_ERROR);
        }
}

/* S9 */
static void depth_and_id_have_bounds(void **state) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        AUTO_BUF struct buf b = BUF_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(buf_append_str(&b, "{\"jsonrpc\":\"2.0\",\"id\":1,\"x\":"), 0);
        for (int i = 0; i < LIMIT_JSON_DEPTH; i++)
                assert_int_equal(buf_append_str(&b, "["), 0);
        for (int i = 0; i < LIMIT_JSON_DEPTH; i++)
                assert_int_equal(buf_append_str(&b, "]"), 0);
        assert_int_equal(buf_append_str(&b, "}"), 0);
        assert_int_equal(message_parse(&m, b.data, b.len, &err), -EBADMSG);
        assert_int_equal(err.code, MCPB_PARSE_ERROR);
        message_done(&m);

        buf_clear(&b);
        assert_int_equal(buf_append_str(&b, "{\"jsonrpc\":\"2.0\",\"id\":\""), 0);
        for (int i = 0; i <= LIMIT_REQUEST_ID_BYTES; i++)
                assert_int_equal(buf_append_str(&b, "x"), 0);
        assert_int_equal(buf_append_str(&b, "\",\"method\":\"m\"}"), 0);
        assert_int_equal(message_parse(&m, b.data, b.len, &err), -EBADMSG);
        assert_int_equal(err.code, MCPB_BAD_REQUEST);
}

static void ids_come_back_exactly(void **state) {
        static const char *const ids[] = {
                "1", "0", "-7", "9223372036854775807", "\"\"", "\"1\"", "\"\xc3\xa4 \\\" \\\\ \\n\""
        };

        for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
                AUTO_MESSAGE struct message m = MESSAGE_INIT;
                AUTO_BUF struct buf line = BUF_INIT;
                AUTO_BUF struct buf out = BUF_INIT;
                AUTO_BUF struct buf want = BUF_INIT;
                AUTO_JSON json_t *result = json_object();
                struct error err = ERROR_INIT;

                assert_int_equal(buf_printf(&line,
                                            "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"m\"}",
                                            ids[i]),
                                 0);
                assert_int_equal(message_parse(&m, line.data, line.len, &err), 0);
                assert_int_equal(message_result(&out, m.id, result), 0);
                assert_int_equal(buf_printf(&want,
                                            "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n",
                                            ids[i]),
                                 0);
                assert_string_equal(out.data, want.data);
        }
}

static void an_error_carries_code_hint_and_what_joins_them(void **state) {
        AUTO_BUF struct buf out = BUF_INIT;
        AUTO_JSON json_t *data =
                json_pack("{s:s,s:s,s:s}", "login", "L1", "code", "forged", "hint", "forged");
        AUTO_JSON json_t *line = NULL;
        const json_t *error;
        struct error err;

        (void)error_set(&err, MCPB_LOGIN_REQUIRED, 0, NULL, "No login for %s", "x");
        assert_int_equal(message_error(&out, NULL, &err, data), 0);
        assert_int_equal(json_parse(out.data, out.len - 1, 8, &line, NULL), 0);
        assert_true(json_is_null(json_object_get(line, "id")));
        error = json_object_get(line, "error");
        assert_int_equal(json_get_int(error, "code", 0), 1004);
        assert_string_equal(json_get_string(error, "message"), "No login for x");
        error = json_object_get(error, "data");
        assert_string_equal(json_get_string(error, "code"), "login_required");
        assert_null(json_object_get(error, "hint"));
        assert_string_equal(json_get_string(error, "login"), "L1");
        assert_string_equal(json_get_string(data, "code"), "forged"); /* borrowed: untouched */
}

static void the_hello_is_what_the_document_says(void **state) {
        AUTO_BUF struct buf out = BUF_INIT;

        assert_int_equal(message_hello(&out, "abc"), 0);
        assert_string_equal(out.data,
                            "{\"jsonrpc\":\"2.0\",\"method\":\"hello\",\"params\":{\"protocol\":1,"
                            "\"version\":\"0.1.0\",\"nonce\":\"abc\"}}\n");
}

static void a_line_that_does_not_fit_leaves_nothing_behind(void **state) {
        AUTO_BUF struct buf out = { .max = 64 };
        AUTO_JSON json_t *result =
                json_pack("{s:s}", "token", "0123456789012345678901234567890123");

        assert_int_equal(buf_append_str(&out, "before"), 0);
        assert_int_equal(message_result(&out, NULL, result), -EMSGSIZE);
        assert_string_equal(out.data, "before");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_request_is_read),
                cmocka_unit_test(absent_params_are_an_empty_object),
                cmocka_unit_test(what_is_no_request_gets_its_own_number),
                cmocka_unit_test(a_request_cut_at_any_byte_is_refused),
                cmocka_unit_test(depth_and_id_have_bounds),
                cmocka_unit_test(ids_come_back_exactly),
                cmocka_unit_test(an_error_carries_code_hint_and_what_joins_them),
                cmocka_unit_test(the_hello_is_what_the_document_says),
                cmocka_unit_test(a_line_that_does_not_fit_leaves_nothing_behind),
        };

        return cmocka_run_group_tests_name("rpc-message", tests, NULL, NULL);
}
