/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/message.h"

#include "base/limits.h"
#include "oom.h"
#include "spans.h"

#define META(version) "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":" version "}"

static void assert_text(const char *text, const char *expected) {
        if (expected)
                assert_string_equal(text, expected);
        else
                assert_null(text);
}

static int scan(struct message *m, const char *line) {
        const char *why = NULL;
        int r = message_scan(m, line, strlen(line), &why);

        assert_int_equal(r < 0, why != NULL);
        return r;
}

static void what_is_routed_by_is_found(void **state) {
        static const struct {
                const char *line;
                enum message_kind kind;
                const char *id;
                const char *method;
                const char *name;
                const char *version;
                const char *arguments;
                const char *token;
                const char *cancelled;
        } table[] = {
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", MESSAGE_REQUEST, "1",
                  "tools/list", NULL, NULL, NULL, NULL, NULL },
                { " {\"method\" : \"tools/call\" , \"params\" : {\"name\":\"t\\u00e4\","
                  "\"arguments\":{ \"a\":[1] }, " META(
                          "\"2026-07-28\"") "},"
                                            "\"id\":\"x\\\"\",\"jsonrpc\":\"2.0\"}\r\n",
                  MESSAGE_REQUEST, "\"x\\\"\"", "tools/call", "t\xc3\xa4", "2026-07-28",
                  "{ \"a\":[1] }", NULL, NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":-7,\"method\":\"resources/read\",\"params\":"
                  "{\"uri\":\"file:\\/\\/x\",\"name\":\"other\","
                  "\"_meta\":{\"progressToken\":\"p\"}}}",
                  MESSAGE_REQUEST, "-7", "resources/read", "file://x", NULL, NULL, "\"p\"", NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"prompts/get\",\"params\":"
                  "{\"name\":\"n\",\"uri\":\"u\",\"_meta\":{\"progressToken\":{}}}}",
                  MESSAGE_REQUEST, "2", "prompts/get", "n", NULL, NULL, NULL, NULL },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}",
                  MESSAGE_NOTIFICATION, NULL, "notifications/initialized", NULL, NULL, NULL, NULL,
                  NULL },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
                  "{\"requestId\":12," META("\"2026-07-28\"") "}}",
                  MESSAGE_NOTIFICATION, NULL, "notifications/cancelled", NULL, "2026-07-28", NULL,
                  NULL, "12" },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":"
                  "{\"progressToken\":5,\"progress\":1,\"_meta\":{\"progressToken\":6}}}",
                  MESSAGE_NOTIFICATION, NULL, "notifications/progress", NULL, NULL, NULL, "5",
                  NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":"
                  "{\"requestId\":12,\"progressToken\":5,\"name\":5}}",
                  MESSAGE_REQUEST, "1", "x", NULL, NULL, NULL, NULL, NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":[1]}", MESSAGE_REQUEST,
                  "1", "a", NULL, NULL, NULL, NULL, NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":null}",
                  MESSAGE_REQUEST, "1", "a", NULL, NULL, NULL, NULL, NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"a\",\"\\u006dethod\":\"b\"}",
                  MESSAGE_REQUEST, "2", "b", NULL, NULL, NULL, NULL, NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"method\":\"x\",\"id\":3}}",
                  MESSAGE_RESPONSE, "1", NULL, NULL, NULL, NULL, NULL, NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":"
                  "{\"name\":\"a\\u0000\"}}",
                  MESSAGE_REQUEST, "1", "tools/call", NULL, NULL, NULL, NULL, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_MESSAGE struct message m = MESSAGE_INIT;

                assert_int_equal(scan(&m, table[i].line), 0);
                assert_int_equal(m.kind, table[i].kind);
                assert_span(m.id, table[i].id);
                assert_text(m.method, table[i].method);
                assert_text(m.name, table[i].name);
                assert_text(m.protocol_version, table[i].version);
                assert_span(m.arguments, table[i].arguments);
                assert_span(m.progress_token, table[i].token);
                assert_span(m.cancelled_id, table[i].cancelled);
        }
}

static void an_answer_has_a_result_or_an_error(void **state) {
        static const struct {
                const char *line;
                const char *id;
                const char *result;
                const char *error;
                int code;
        } table[] = {
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{ }}", "1", "{ }", NULL, 0 },
                { "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"error\":{\"code\":-32601}}", "\"a\"", NULL,
                  "{\"code\":-32601}", -32601 },
                { "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32020.0}}", NULL, NULL,
                  "{\"code\":-32020.0}", -32020 },
                { "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":\"x\"}}", NULL, NULL,
                  "{\"code\":\"x\"}", 0 },
                { "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":99999999999}}", NULL, NULL,
                  "{\"code\":99999999999}", 0 },
                { "{\"jsonrpc\":\"2.0\",\"error\":{}}", NULL, NULL, "{}", 0 },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":null}", "1", "{}", NULL,
                  0 },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null,\"error\":{\"code\":7}}", "1",
                  NULL, "{\"code\":7}", 7 },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}", "1", "null", NULL, 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_MESSAGE struct message m = MESSAGE_INIT;

                assert_int_equal(scan(&m, table[i].line), 0);
                assert_int_equal(m.kind, MESSAGE_RESPONSE);
                assert_span(m.whole, table[i].line);
                assert_span(m.id, table[i].id);
                assert_span(m.result, table[i].result);
                assert_span(m.error, table[i].error);
                assert_int_equal(message_error_code(&m), table[i].code);
        }
}

static void what_is_no_message_is_refused(void **state) {
        static const struct {
                const char *line;
                int r;
                const char *id; /* that an error can be sent to */
        } table[] = {
                { "", -EBADMSG, NULL },
                { "hello", -EBADMSG, NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"", -EBADMSG, NULL },
                { "1", -EPROTO, NULL },
                { "null", -EPROTO, NULL },
                { "{}", -EPROTO, NULL },
                { "[]", -EPROTO, NULL },
                { "{\"id\":1,\"method\":\"a\"}", -EPROTO, "1" },
                { "{\"jsonrpc\":2.0,\"id\":1,\"method\":\"a\"}", -EPROTO, "1" },
                { "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"a\"}", -EPROTO, "1" },
                { "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"a\"}", -EPROTO, NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"a\"}", -EPROTO, NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"a\"}", -EPROTO, NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":[1],\"result\":{}}", -EPROTO, NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}", -EPROTO, "1" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\\u0000\"}", -EPROTO, "1" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"result\":{}}", -EPROTO, "1" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"error\":{}}", -EPROTO, "1" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1}", -EPROTO, "1" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":null}", -EPROTO, "1" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}", -EPROTO, "1" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":\"invalid_token\"}", -EPROTO, "1" },
                { "{\"error\":\"invalid_token\"}", -EPROTO, NULL }, /* OAuth, not JSON-RPC */
                { "{\"jsonrpc\":\"2.0\",\"result\":{}}", -EPROTO, NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{}}", -EPROTO, NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{" META("5") "}}",
                  -EPROTO, "1" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{" META("\"\"") "}}",
                  -EPROTO, "1" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{" META(
                          "\"2026\\r\\nX: y\"") "}}",
                  -EPROTO, "1" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{" META(
                          "\"a b\"") "}}",
                  -EPROTO, "1" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{" META(
                          "\"\xc3\xa4\"") "}}",
                  -EPROTO, "1" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct message m = MESSAGE_INIT;

                if (scan(&m, table[i].line) != table[i].r)
                        fail_msg("%s", table[i].line);
                assert_span(m.id, table[i].id);
                assert_null(m.method);
                assert_null(m.name);
                assert_null(m.protocol_version);
                assert_int_equal(message_scan(&m, table[i].line, strlen(table[i].line), NULL),
                                 table[i].r);
        }
}

/* S9 */
static void nesting_beyond_the_bound_is_refused(void **state) {
        char line[2 * LIMIT_MESSAGE_DEPTH + 64];
        struct message m = MESSAGE_INIT;

        for (unsigned over = 0; over <= 1; over++) {
                size_t n = (size_t)snprintf(line, sizeof(line),
                                            "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":");

                for (unsigned i = 1; i < LIMIT_MESSAGE_DEPTH + over; i++)
                        line[n++] = '[';
                for (unsigned i = 1; i < LIMIT_MESSAGE_DEPTH + over; i++)
                        line[n++] = ']';
                line[n++] = '}';
                line[n] = '\0';
                assert_int_equal(scan(&m, line), over ? -EBADMSG : 0);
                message_done(&m);
        }
}

static void a_batch_is_scanned_message_by_message(void **state) {
        const char *line = "[ {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}, 5, [],"
                           "{\"jsonrpc\":\"2.0\",\"method\":\"b\"} ]";
        static const int expected[] = { 0, -EPROTO, -EPROTO, 0 };
        AUTO_MESSAGE struct message batch = MESSAGE_INIT;
        struct span item;
        size_t pos = 0;
        size_t n = 0;

        assert_int_equal(scan(&batch, line), 0);
        assert_int_equal(batch.kind, MESSAGE_BATCH);
        assert_span(batch.items, line);
        while (jsonspan_next_item(batch.items, &pos, &item)) {
                AUTO_MESSAGE struct message m = MESSAGE_INIT;
                const char *why = NULL;

                assert_true(n < ARRAY_SIZE(expected));
                assert_int_equal(message_scan_value(&m, item, &why), expected[n++]);
        }
        assert_int_equal(n, ARRAY_SIZE(expected));
}

static void ids_are_equal_by_value(void **state) {
        static const struct {
                const char *a;
                const char *b;
                bool equal;
        } table[] = {
                { "1", "1", true },          { "1", "1.0", true },
                { "1", "\"1\"", false },     { "1", "2", false },
                { "\"a\"", "\"a\"", true },  { "\"a\"", "\"\\u0061\"", true },
                { "\"a\"", "\"b\"", false }, { "", "", false },
                { "", "1", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                assert_int_equal(message_id_equal(span_of(table[i].a), span_of(table[i].b)),
                                 table[i].equal);
}

static void an_error_is_one_compact_line(void **state) {
        static const struct {
                const char *id;
                int code;
                const char *text;
                const char *data;
                const char *line;
        } table[] = {
                { "1", -32603, "no answer", NULL,
                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32603,\"message\":"
                  "\"no answer\"}}" },
                { "\"\\u0061\"", 5, "a\nb \"c\" \xff", "{ \"url\" :\n\"x y\" }",
                  "{\"jsonrpc\":\"2.0\",\"id\":\"\\u0061\",\"error\":{\"code\":5,\"message\":"
                  "\"a\\u000ab \\\"c\\\" \xef\xbf\xbd\",\"data\":{\"url\":\"x y\"}}}" },
                { "", -32700, "", NULL,
                  "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"\"}"
                  "}" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf out = BUF_INIT;
                AUTO_MESSAGE struct message m = MESSAGE_INIT;

                assert_int_equal(message_error(&out, span_of(table[i].id), table[i].code,
                                               table[i].text, table[i].data),
                                 0);
                assert_string_equal(out.data, table[i].line);
                assert_int_equal(scan(&m, out.data), 0);
                assert_span(m.id, table[i].id[0] ? table[i].id : NULL);
                assert_int_equal(message_error_code(&m), table[i].code);
        }
}

static void only_the_id_is_written_anew(void **state) {
        static const struct {
                const char *line;
                const char *id;
                const char *out;
        } table[] = {
                { " { \"id\" : null ,\"jsonrpc\":\"2.0\", \"error\":{\"code\":1e0} }\n", "7",
                  "{ \"id\" : 7 ,\"jsonrpc\":\"2.0\", \"error\":{\"code\":1e0} }" },
                { "{ \"jsonrpc\":\"2.0\",\"error\":{\"id\":2}}", "\"x\"",
                  "{\"id\":\"x\", \"jsonrpc\":\"2.0\",\"error\":{\"id\":2}}" },
                { "{\"id\":1,\"jsonrpc\":\"2.0\",\"result\":{\"id\":1},\"\\u0069d\":22}", "3",
                  "{\"id\":3,\"jsonrpc\":\"2.0\",\"result\":{\"id\":1},\"\\u0069d\":3}" },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"id\":1}", "",
                  "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"id\":null}" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf out = BUF_INIT;
                AUTO_MESSAGE struct message m = MESSAGE_INIT;

                assert_int_equal(scan(&m, table[i].line), 0);
                assert_int_equal(message_write_with_id(&out, &m, span_of(table[i].id)), 0);
                assert_string_equal(out.data, table[i].out);
        }
}

static void a_full_buffer_keeps_what_it_had(void **state) {
        const char *line = "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":1}}";
        AUTO_MESSAGE struct message m = MESSAGE_INIT;

        assert_int_equal(scan(&m, line), 0);
        for (size_t max = 1; max < 36; max++) {
                AUTO_BUF struct buf out = BUF_INIT;

                buf_init(&out, max);
                assert_int_equal(buf_append_str(&out, "x"), 0);
                assert_int_equal(message_error(&out, SPAN_NONE, 1, "text", "{}"), -EMSGSIZE);
                assert_string_equal(out.data, "x");
                assert_int_equal(message_write_with_id(&out, &m, span_of("1")), -EMSGSIZE);
                assert_string_equal(out.data, "x");
        }
}

static int scan_and_answer(void *userdata) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        AUTO_BUF struct buf out = BUF_INIT;
        AUTO_BUF struct buf again = BUF_INIT;
        const char *line = userdata;
        int r = message_scan(&m, line, strlen(line), NULL);

        r = r < 0 ? r : message_error(&out, m.id, 1, "x", "{}");
        return r < 0 ? r : message_write_with_id(&again, &m, m.id);
}

static void each_failed_allocation_is_reported(void **state) {
        char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":"
                      "{\"name\":\"n\"," META("\"2026-07-28\"") "}}";

        assert_true(oom_sweep(scan_and_answer, line) >= 5);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_routed_by_is_found),
                cmocka_unit_test(an_answer_has_a_result_or_an_error),
                cmocka_unit_test(what_is_no_message_is_refused),
                cmocka_unit_test(nesting_beyond_the_bound_is_refused),
                cmocka_unit_test(a_batch_is_scanned_message_by_message),
                cmocka_unit_test(ids_are_equal_by_value),
                cmocka_unit_test(an_error_is_one_compact_line),
                cmocka_unit_test(only_the_id_is_written_anew),
                cmocka_unit_test(a_full_buffer_keeps_what_it_had),
                cmocka_unit_test(each_failed_allocation_is_reported),
        };

        return cmocka_run_group_tests_name("connect-message", tests, NULL, NULL);
}
