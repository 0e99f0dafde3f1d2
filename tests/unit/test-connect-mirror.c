/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/mirror.h"

#include "base/limits.h"
#include "oom.h"
#include "spans.h"

/* One tool, "t", with an annotated argument of each type, one within another and one without. */
static const char tools[] =
        "{\"tools\":[{\"name\":\"t\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
        "\"s\":{\"type\":\"string\",\"x-mcp-header\":\"Text\"},"
        "\"i\":{\"type\":\"integer\",\"x-mcp-header\":\"Count\"},"
        "\"b\":{\"type\":\"boolean\",\"x-mcp-header\":\"Flag\"},"
        "\"m\":{\"type\":\"string\",\"x-mcp-header\":\"Method\"},"
        "\"o\":{\"type\":\"object\",\"properties\":{"
        "\"x.y\":{\"type\":\"string\",\"x-mcp-header\":\"Inner\"}}},"
        "\"plain\":{\"type\":\"string\"},\"f\":{\"type\":\"number\"}}}}]}";

/* The fields that @line gets, as "Name: value\n" lines. */
static int mirror(const char *line, struct buf *out) {
        AUTO_CATALOG struct catalog *c = catalog_new();
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        AUTO_BUF struct buf result = BUF_INIT;
        struct fetch_request f;
        int r;

        assert_non_null(c);
        assert_int_equal(catalog_take(c, span_of(tools), true, &result, NULL, NULL), 0);
        assert_int_equal(result.len, 0);
        assert_int_equal(message_scan(&m, line, strlen(line), NULL), 0);
        fetch_request_init(&f);
        r = mirror_add(&f, &m, c);
        assert_int_equal(buf_append_str(out, ""), 0);
        for (size_t i = 0; r == 0 && i < f.n_headers; i++)
                assert_int_equal(buf_printf(out, "%s: %s\n", f.headers[i].name, f.headers[i].value),
                                 0);
        fetch_request_done(&f);
        return r;
}

static void the_head_says_what_the_body_says(void **state) {
        static const struct {
                const char *line;
                const char *fields;
        } table[] = {
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\"}",
                  "Mcp-Method: server/discover\n" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
                  "\"name\":\"other\",\"arguments\":{\"s\":\"x\"}}}",
                  "Mcp-Method: tools/call\nMcp-Name: other\n" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"prompts/get\",\"params\":{"
                  "\"name\":\"t\",\"arguments\":{\"s\":\"x\"}}}",
                  "Mcp-Method: prompts/get\nMcp-Name: t\n" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\",\"params\":{"
                  "\"uri\":\"file:\\/\\/\\/a b\"}}",
                  "Mcp-Method: resources/read\nMcp-Name: file:///a b\n" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\",\"params\":{"
                  "\"uri\":\"file:///\xc3\xa4\"}}",
                  "Mcp-Method: resources/read\nMcp-Name: =?base64?ZmlsZTovLy/DpA==?=\n" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{"
                  "\"name\":\"x\"}}",
                  "Mcp-Method: tools/list\n" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}",
                  "Mcp-Method: tools/call\n" },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}",
                  "Mcp-Method: notifications/progress\n" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\\r\\nX: y\"}",
                  "Mcp-Method: =?base64?YQ0KWDogeQ==?=\n" },
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", "" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf out = BUF_INIT;

                assert_int_equal(mirror(table[i].line, &out), 0);
                assert_string_equal(out.data, table[i].fields);
        }
}

static void an_argument_is_written_as_the_rules_say(void **state) {
        static const struct {
                const char *arguments;
                const char *fields;
        } table[] = {
                /* the value as it is */
                { "{\"s\":\"us-west1\"}", "Mcp-Param-Text: us-west1\n" },
                { "{\"s\":\"us west 1\"}", "Mcp-Param-Text: us west 1\n" },
                { "{\"s\":\"\"}", "Mcp-Param-Text: \n" },
                { "{\"s\":\"!~\"}", "Mcp-Param-Text: !~\n" },
                { "{\"s\":\"\\u0061\\/\"}", "Mcp-Param-Text: a/\n" },
                { "{\"m\":\"test-method\"}", "Mcp-Param-Method: test-method\n" },
                { "{\"i\":42}", "Mcp-Param-Count: 42\n" },
                { "{\"i\":-7}", "Mcp-Param-Count: -7\n" },
                { "{\"i\":0}", "Mcp-Param-Count: 0\n" },
                { "{\"i\":42.0}", "Mcp-Param-Count: 42\n" },
                { "{\"i\":1e3}", "Mcp-Param-Count: 1000\n" },
                { "{\"i\":9007199254740991}", "Mcp-Param-Count: 9007199254740991\n" },
                { "{\"b\":false}", "Mcp-Param-Flag: false\n" },
                { "{\"b\":true}", "Mcp-Param-Flag: true\n" },
                /* wrapped */
                { "{\"s\":\"Hello, \xe4\xb8\x96\xe7\x95\x8c\"}",
                  "Mcp-Param-Text: =?base64?SGVsbG8sIOS4lueVjA==?=\n" },
                { "{\"s\":\"Hello, \\u4e16\\u754c\"}",
                  "Mcp-Param-Text: =?base64?SGVsbG8sIOS4lueVjA==?=\n" },
                { "{\"s\":\" padded \"}", "Mcp-Param-Text: =?base64?IHBhZGRlZCA=?=\n" },
                { "{\"s\":\" us-west1\"}", "Mcp-Param-Text: =?base64?IHVzLXdlc3Qx?=\n" },
                { "{\"s\":\"us-west1 \"}", "Mcp-Param-Text: =?base64?dXMtd2VzdDEg?=\n" },
                { "{\"s\":\" \"}", "Mcp-Param-Text: =?base64?IA==?=\n" },
                { "{\"s\":\"line1\\nline2\"}", "Mcp-Param-Text: =?base64?bGluZTEKbGluZTI=?=\n" },
                { "{\"s\":\"line1\\r\\nline2\"}", "Mcp-Param-Text: =?base64?bGluZTENCmxpbmUy?=\n" },
                { "{\"s\":\"\\tindented\"}", "Mcp-Param-Text: =?base64?CWluZGVudGVk?=\n" },
                { "{\"s\":\"a\\tb\"}", "Mcp-Param-Text: =?base64?YQli?=\n" },
                { "{\"s\":\"a\\u0000b\"}", "Mcp-Param-Text: =?base64?YQBi?=\n" },
                { "{\"s\":\"a\\u007f\"}", "Mcp-Param-Text: =?base64?YX8=?=\n" },
                { "{\"s\":\"=?base64?literal?=\"}",
                  "Mcp-Param-Text: =?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=\n" },
                { "{\"s\":\"=?base64?=\"}", "Mcp-Param-Text: =?base64?PT9iYXNlNjQ/PQ==?=\n" },
                { "{\"s\":\"=?base64?open\"}", "Mcp-Param-Text: =?base64?open\n" },
                { "{\"s\":\"=?BASE64?eA==?=\"}", "Mcp-Param-Text: =?BASE64?eA==?=\n" },
                { "{\"s\":\"?=\"}", "Mcp-Param-Text: ?=\n" },
                /* no field */
                { "{\"s\":null}", "" },
                { "{}", "" },
                { "null", "" },
                { "[\"s\"]", "" },
                { "{\"S\":\"x\"}", "" },
                { "{\"plain\":\"x\",\"f\":3.14159}", "" },
                { "{\"x.y\":\"x\",\"s.x\":\"y\"}", "" },
                { "{\"o\":{\"s\":\"x\"}}", "" },
                { "{\"o\":\"x.y\"}", "" },
                { "{\"o\":null}", "" },
                { "{\"s\":{},\"i\":[1]}", "" },
                { "{\"s\":\"\\ud800\"}", "" },
                /* what the schema does not want is the server's to refuse */
                { "{\"i\":1.5,\"b\":\"yes\",\"s\":7}",
                  "Mcp-Param-Text: 7\nMcp-Param-Count: 1.5\nMcp-Param-Flag: yes\n" },
                /* by the exact path, the last of duplicates */
                { "{\"o\":{\"x.y\":\"deep\"}}", "Mcp-Param-Inner: deep\n" },
                { "{\"s\":\"a\",\"\\u0073\":\"b\"}", "Mcp-Param-Text: b\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf out = BUF_INIT;
                AUTO_BUF struct buf line = BUF_INIT;
                AUTO_BUF struct buf fields = BUF_INIT;

                assert_int_equal(buf_printf(&line,
                                            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
                                            "\"tools/call\",\"params\":{\"name\":\"t\","
                                            "\"arguments\":%s}}",
                                            table[i].arguments),
                                 0);
                assert_int_equal(buf_printf(&fields, "Mcp-Method: tools/call\nMcp-Name: t\n%s",
                                            table[i].fields),
                                 0);
                assert_int_equal(mirror(line.data, &out), 0);
                assert_string_equal(out.data, fields.data);
        }
}

/* S9 */
static void what_no_head_can_hold_is_an_error(void **state) {
        static const size_t sizes[] = { LIMIT_HEADER_BYTES / 2, LIMIT_HEADER_BYTES + 1,
                                        6 * LIMIT_HEADER_BYTES + 1, BUF_MAX_DEFAULT + 1 };
        static const char *const forms[] = { ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
                                              "\"tools/call\",\"params\":{\"name\":\"t\","
                                              "\"arguments\":{\"s\":\"%s\"}}}"),
                                             ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
                                              "\"tools/call\",\"params\":{\"name\":\"%s\"}}"),
                                             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"}" };

        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                for (size_t k = 0; k < 2 * ARRAY_SIZE(forms); k++) {
                        AUTO_FREE char *value = malloc(sizes[i] + 1);
                        AUTO_BUF struct buf line = BUF_INIT;
                        AUTO_BUF struct buf out = BUF_INIT;
                        const char *form = forms[k / 2];
                        size_t at;

                        assert_non_null(value);
                        for (size_t n = 0; n < sizes[i]; n++)
                                value[n] = 'v';
                        value[0] = k % 2 ? ' ' : 'v'; /* wrapped, or as it is */
                        value[sizes[i]] = '\0';
                        buf_init(&line, sizes[i] + 1000);
                        at = (size_t)(strstr(form, "%s") - form);
                        assert_int_equal(buf_append(&line, form, at), 0);
                        assert_int_equal(buf_append_str(&line, value), 0);
                        assert_int_equal(buf_append_str(&line, form + at + 2), 0);
                        assert_int_equal(mirror(line.data, &out), i == 0 ? 0 : -E2BIG);
                }
        }
}

struct call {
        struct catalog *catalog;
        struct message message;
};

static int mirror_once(void *userdata) {
        struct call *call = userdata;
        struct fetch_request f;
        int r;

        fetch_request_init(&f);
        r = mirror_add(&f, &call->message, call->catalog);
        fetch_request_done(&f);
        return r;
}

static void each_failed_allocation_is_reported(void **state) {
        static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
                                   "\"params\":{\"name\":\"t\",\"arguments\":{\"s\":\" \","
                                   "\"i\":1,\"b\":true}}}";
        AUTO_CATALOG struct catalog *c = catalog_new();
        AUTO_BUF struct buf result = BUF_INIT;
        struct call call = { .catalog = c };

        assert_non_null(c);
        assert_int_equal(catalog_take(c, span_of(tools), true, &result, NULL, NULL), 0);
        assert_int_equal(message_scan(&call.message, line, strlen(line), NULL), 0);
        assert_true(oom_sweep(mirror_once, &call) > 10);
        message_done(&call.message);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_head_says_what_the_body_says),
                cmocka_unit_test(an_argument_is_written_as_the_rules_say),
                cmocka_unit_test(what_no_head_can_hold_is_an_error),
                cmocka_unit_test(each_failed_allocation_is_reported),
        };

        return cmocka_run_group_tests_name("connect-mirror", tests, NULL, NULL);
}
