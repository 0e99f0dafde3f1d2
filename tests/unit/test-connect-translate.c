/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/translate.h"

#include "connect/rewrite.h"
#include "oom.h"
#include "spans.h"

#define M "io.modelcontextprotocol/"
#define INFO "{\"name\":\"h\",\"version\":\"1\"}"
#define META                                                                        \
        "\"" M "protocolVersion\":\"2026-07-28\",\"" M "clientInfo\":" INFO ",\"" M \
        "clientCapabilities\":{\"roots\":{}}"

static const struct span none = { 0 };

static void scan(struct message *m, const char *line) {
        assert_int_equal(message_scan(m, line, strlen(line), NULL), 0);
}

static void assert_text(struct buf *b, const char *expected) {
        assert_string_equal(b->data ? b->data : "", expected);
        buf_clear(b);
}

static const char initialize[] =
        "{\"jsonrpc\":\"2.0\",\"id\":\"i\",\"method\":\"initialize\",\"params\":{"
        "\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"roots\":{},\"tasks\":{\"list\":{}}}"
        ","
        "\"clientInfo\":" INFO "}}";
static const char modern[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/"
        "call\",\"params\":{\"name\":\"t\",\"_meta\":"
        "{\"" M "protocolVersion\":\"2026-07-28\",\"progressToken\":5,\"" M "clientInfo\":" INFO
        ",\"" M "clientCapabilities\":{\"roots\":{},\"extensions\":{\"x/y\":{}}},\"" M
        "logLevel\":\"info\"},\"requestState\":\"s\",\"inputResponses\":{}}}";

/* The bridge has heard the first line of its host. */
struct host {
        struct translate t;
        struct buf out;
};

static int host_setup(void **state, const char *line,
                      int (*hear)(struct translate *t, const struct message *m)) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        struct host *h = calloc(1, sizeof(*h));

        assert_non_null(h);
        translate_init(&h->t, 0);
        scan(&m, line);
        assert_int_equal(hear(&h->t, &m), 0);
        *state = h;
        return 0;
}

static int legacy_setup(void **state) {
        return host_setup(state, initialize, translate_hear_initialize);
}

static int modern_setup(void **state) {
        return host_setup(state, modern, translate_hear_meta);
}

static int host_teardown(void **state) {
        struct host *h = *state;

        translate_done(&h->t);
        buf_done(&h->out);
        free(h);
        return 0;
}

/* ---- rewrite ---- */

static void members_change_and_the_others_keep_their_bytes(void **state) {
        static const struct {
                const char *object;
                const char *value; /* of "a"; NULL: none */
                const char *expected;
        } table[] = {
                { "{}", "1", "{\"a\":1}" },
                { "", "1", "{\"a\":1}" },
                { "", NULL, "{}" },
                { "{\"a\":0}", NULL, "{}" },
                { "{ \"b\" : 1.50 , \"a\" : 0 , \"c\":[ 1 ]}", "2",
                  "{\"b\":1.50,\"a\":2,\"c\":[ 1 ]}" },
                { "{\"b\":\"\\u0061\",\"c\":2}", "2", "{\"b\":\"\\u0061\",\"c\":2,\"a\":2}" },
                { "{\"\\u0061\":0,\"b\":1,\"a\":3}", "2", "{\"a\":2,\"b\":1}" },
                { "{\"a\":0,\"b\":1,\"a\":3}", NULL, "{\"b\":1}" },
        };
        AUTO_BUF struct buf out = BUF_INIT;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct rewrite a = { .key = "a",
                                     .value = table[i].value ? span_of(table[i].value) : none };

                assert_int_equal(rewrite_object(&out, span_of(table[i].object), &a, 1), 0);
                assert_text(&out, table[i].expected);
        }
}

static void what_is_no_object_or_too_long_leaves_nothing_behind(void **state) {
        struct rewrite a = { .key = "a", .value = span_of("1") };
        AUTO_BUF struct buf out = { .max = 8 };

        assert_int_equal(buf_append_str(&out, "x"), 0);
        assert_int_equal(rewrite_object(&out, span_of("[1]"), &a, 1), -EINVAL);
        assert_int_equal(rewrite_object(&out, span_of("{\"b\":2}"), &a, 1), -EMSGSIZE);
        assert_text(&out, "x");
}

/* ---- up ---- */

static const char discovered[] =
        "{\"resultType\":\"complete\",\"supportedVersions\":[\"2030-01-01\",\"2026-07-28\"],"
        "\"capabilities\":{\"tools\":{\"listChanged\":true},\"prompts\":{\"listChanged\":false},"
        "\"logging\":{}},\"instructions\":\"Be\\u0020kind\",\"_meta\":{\"" M
        "serverInfo\":{\"name\":\"s\",\"version\":\"2\"}}}";

static void a_modern_server_is_asked_what_it_is(void **state) {
        struct host *h = *state;

        assert_int_equal(translate_write_discover(&h->t, span_of("7"), &h->out), 0);
        assert_text(&h->out,
                    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"server/discover\",\"params\":"
                    "{\"_meta\":{" META "}}}");
}

static void its_answer_becomes_that_to_initialize(void **state) {
        struct host *h = *state;
        static const struct {
                const char *asked;
                const char *got;
        } versions[] = { { "2025-11-25", "2025-11-25" },
                         { "2025-06-18", "2025-06-18" },
                         { "2025-03-26", "2025-03-26" },
                         { "2024-11-05", "2024-11-05" },
                         { "1.0", "2025-11-25" } };
        char line[512];

        assert_int_equal(translate_hear_discovered(&h->t, span_of(discovered)), 0);
        for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
                AUTO_MESSAGE struct message m = MESSAGE_INIT;

                (void)snprintf(line, sizeof(line),
                               "{\"jsonrpc\":\"2.0\",\"id\":\"i\",\"method\":\"initialize\","
                               "\"params\":{\"protocolVersion\":\"%s\"}}",
                               versions[i].asked);
                scan(&m, line);
                assert_int_equal(translate_write_initialized(&h->t, &m, "n", &h->out), 0);
                (void)snprintf(line, sizeof(line),
                               "{\"jsonrpc\":\"2.0\",\"id\":\"i\",\"result\":{\"protocolVersion\":"
                               "\"%s\",\"capabilities\":{\"tools\":{\"listChanged\":true},"
                               "\"prompts\":{\"listChanged\":false},\"logging\":{}},"
                               "\"serverInfo\":{\"name\":\"s\",\"version\":\"2\"},"
                               "\"instructions\":\"Be\\u0020kind\"}}",
                               versions[i].got);
                assert_text(&h->out, line);
        }
}

static void a_server_that_says_little_is_described_all_the_same(void **state) {
        struct host *h = *state;
        AUTO_MESSAGE struct message m = MESSAGE_INIT;

        scan(&m, initialize);
        assert_int_equal(translate_hear_discovered(
                                 &h->t, span_of("{\"supportedVersions\":[\"2026-07-28\"]}")),
                         0);
        assert_int_equal(translate_write_initialized(&h->t, &m, "the \"n\"", &h->out), 0);
        assert_text(&h->out, "{\"jsonrpc\":\"2.0\",\"id\":\"i\",\"result\":{\"protocolVersion\":"
                             "\"2025-06-18\",\"capabilities\":{},\"serverInfo\":{\"name\":"
                             "\"the \\\"n\\\"\",\"version\":\"\"}}}");
        assert_int_equal(translate_hear_discovered(
                                 &h->t, span_of("{\"supportedVersions\":[\"2030-01-01\"]}")),
                         -EPROTO);
        assert_int_equal(
                translate_hear_discovered(&h->t, span_of("{\"supportedVersions\":\"2026-07-28\"}")),
                -EPROTO);
        assert_true(translate_offers_modern(
                span_of("{\"code\":1,\"data\":{\"supported\":[\"x\",\"2026-07-28\"]}}")));
        assert_false(translate_offers_modern(span_of("{\"data\":{\"supported\":[\"x\"]}}")));
        assert_false(translate_offers_modern(span_of("{\"data\":[\"2026-07-28\"]}")));
}

static void a_request_gets_meta_and_keeps_all_else(void **state) {
        struct host *h = *state;
        static const struct {
                const char *line;
                const char *expected;
        } table[] = {
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}",
                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/"
                  "list\",\"params\":{\"_meta\":{" META "}}}" },
                { "{\"params\":{\"arguments\":{\"x\":1.00,\"y\":\"\\u00e4\"},\"_meta\":"
                  "{\"progressToken\":5}, \"name\":\"t\"},\"id\":1,\"method\":\"tools/call\","
                  "\"jsonrpc\":\"2.0\"}",
                  "{\"params\":{\"arguments\":{\"x\":1.00,\"y\":\"\\u00e4\"},\"_meta\":"
                  "{\"progressToken\":5," META
                  "},\"name\":\"t\"},\"id\":1,\"method\":\"tools/call\","
                  "\"jsonrpc\":\"2.0\"}" },
                /* What a host cannot have from anywhere does not reach the server. */
                { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":"
                  "{\"requestState\":\"x\",\"inputResponses\":{},\"_meta\":7}}",
                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{\"_meta\":{" META
                  "}}}" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_MESSAGE struct message m = MESSAGE_INIT;

                scan(&m, table[i].line);
                assert_int_equal(translate_up(&h->t, &m, none, none, none, &h->out), 0);
                assert_text(&h->out, table[i].expected);
        }
}

static void a_round_has_an_id_of_its_own_and_the_state_as_it_was(void **state) {
        struct host *h = *state;
        AUTO_MESSAGE struct message m = MESSAGE_INIT;

        scan(&m, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{\"name\":\"t\"}}");
        assert_int_equal(translate_up(&h->t, &m, span_of("\"n\""), span_of("{\"k\":{}}"),
                                      span_of("\"\\u0041\""), &h->out),
                         0);
        assert_text(&h->out,
                    "{\"jsonrpc\":\"2.0\",\"id\":\"n\",\"method\":\"a\",\"params\":{\"name\":"
                    "\"t\",\"_meta\":{" META "},\"inputResponses\":{\"k\":{}},"
                    "\"requestState\":\"\\u0041\"}}");
}

static void params_that_are_no_object_cannot_be_translated(void **state) {
        struct host *h = *state;
        AUTO_MESSAGE struct message m = MESSAGE_INIT;

        scan(&m, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":[1]}");
        assert_int_equal(translate_up(&h->t, &m, none, none, none, &h->out), -EINVAL);
        assert_int_equal(translate_down(&m, &h->out), -EINVAL);
        assert_int_equal(h->out.len, 0);
}

static int hear_level(struct translate *t, const char *level) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        char line[256];

        (void)snprintf(line, sizeof(line),
                       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logging/setLevel\",\"params\":"
                       "{\"level\":%s}}",
                       level);
        scan(&m, line);
        return translate_hear_level(t, &m);
}

static void a_level_goes_into_meta(void **state) {
        struct host *h = *state;
        AUTO_MESSAGE struct message m = MESSAGE_INIT;

        assert_int_equal(hear_level(&h->t, "\"info\""), -ENOTSUP);
        assert_int_equal(translate_hear_discovered(&h->t, span_of(discovered)), 0);
        assert_int_equal(hear_level(&h->t, "\"loud\""), -EINVAL);
        assert_int_equal(hear_level(&h->t, "7"), -EINVAL);
        assert_int_equal(hear_level(&h->t, "\"emergency\""), 0);
        scan(&m, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}");
        assert_int_equal(translate_up(&h->t, &m, none, none, none, &h->out), 0);
        assert_text(&h->out,
                    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{\"_meta\":{" META
                    ",\"" M "logLevel\":\"emergency\"}}}");
}

static void it_is_listened_for_what_was_promised(void **state) {
        struct host *h = *state;

        assert_false(translate_lists_change(&h->t));
        assert_int_equal(translate_hear_discovered(&h->t, span_of(discovered)), 0);
        assert_true(translate_lists_change(&h->t));
        assert_true(translate_server_can(&h->t, "prompts", NULL));
        assert_false(translate_server_can(&h->t, "prompts", "listChanged"));
        assert_int_equal(translate_write_listen(&h->t, span_of("1"), NULL, &h->out), 0);
        assert_text(&h->out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\","
                             "\"params\":{\"_meta\":{" META
                             "},\"notifications\":{\"toolsListChanged\":true}}}");
        assert_int_equal(translate_write_listen(&h->t, span_of("1"), "x\"", &h->out), 0);
        assert_text(&h->out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\","
                             "\"params\":{\"_meta\":{" META
                             "},\"notifications\":{\"resourceSubscriptions\":[\"x\\\"\"]}}}");
}

/* ---- down ---- */

static void what_a_modern_host_says_of_itself_goes_into_initialize(void **state) {
        struct host *h = *state;

        assert_int_equal(translate_write_initialize(&h->t, span_of("\"n\""), &h->out), 0);
        assert_text(&h->out,
                    "{\"jsonrpc\":\"2.0\",\"id\":\"n\",\"method\":\"initialize\",\"params\":{"
                    "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"roots\":{}},"
                    "\"clientInfo\":" INFO "}}");
}

static void a_host_without_a_name_is_introduced_as_the_bridge(void **state) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        AUTO_BUF struct buf out = BUF_INIT;
        struct translate t;

        translate_init(&t, 0);
        scan(&m,
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\",\"params\":{\"_meta\":"
             "{\"" M "protocolVersion\":\"2026-07-28\"}}}");
        assert_int_equal(translate_hear_meta(&t, &m), 0);
        assert_int_equal(translate_write_initialize(&t, span_of("1"), &out), 0);
        assert_non_null(strstr(out.data, "\"capabilities\":{},\"clientInfo\":{\"name\":"
                                         "\"mcp-connect\",\"version\":"));
        translate_done(&t);
}

static void the_answer_to_initialize_becomes_that_to_discover(void **state) {
        struct host *h = *state;

        assert_int_equal(
                translate_hear_initialized(
                        &h->t, span_of("{\"protocolVersion\":\"2025-06-18\",\"capabilities\":"
                                       "{\"tools\":{},\"tasks\":{}},\"serverInfo\":{\"name\":"
                                       "\"s\"},\"instructions\":\"i\"}")),
                0);
        assert_int_equal(translate_write_discovered(&h->t, span_of("1"), &h->out), 0);
        assert_text(&h->out,
                    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resultType\":\"complete\","
                    "\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{}},"
                    "\"instructions\":\"i\",\"ttlMs\":0,\"cacheScope\":\"private\",\"_meta\":{"
                    "\"" M "serverInfo\":{\"name\":\"s\"}}}}");
        assert_int_equal(translate_hear_initialized(&h->t, span_of("{}")), 0);
        assert_int_equal(translate_write_discovered(&h->t, span_of("1"), &h->out), 0);
        assert_text(&h->out,
                    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resultType\":\"complete\","
                    "\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{},\"ttlMs\":0,"
                    "\"cacheScope\":\"private\"}}");
}

static void a_request_loses_what_a_legacy_server_does_not_know(void **state) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        AUTO_MESSAGE struct message bare = MESSAGE_INIT;
        AUTO_BUF struct buf out = BUF_INIT;

        scan(&m, modern);
        assert_int_equal(translate_down(&m, &out), 0);
        assert_text(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
                          "\"name\":\"t\",\"_meta\":{\"progressToken\":5}}}");
        scan(&bare,
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"_meta\":{"
             "\"" M "protocolVersion\":\"2026-07-28\"}}}");
        assert_int_equal(translate_down(&bare, &out), 0);
        assert_text(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{}}");
}

#define LISTEN                                                                               \
        "{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"method\":\"subscriptions/listen\",\"params\":{" \
        "\"notifications\":{\"toolsListChanged\":true,\"promptsListChanged\":false,"         \
        "\"resourcesListChanged\":true,\"resourceSubscriptions\":[\"file:///\\u0061\",7,\"b\"]}}}"

static void a_server_agrees_to_what_it_can(void **state) {
        struct host *h = *state;
        static const struct {
                const char *capabilities;
                const char *granted;
        } table[] = {
                { "{}", "{}" },
                { "{\"tools\":{\"listChanged\":true}}", "{\"toolsListChanged\":true}" },
                { "{\"prompts\":{\"listChanged\":true},\"resources\":{\"listChanged\":true}}",
                  "{\"resourcesListChanged\":true}" },
                { "{\"tools\":{\"listChanged\":true},\"resources\":{\"subscribe\":true}}",
                  "{\"toolsListChanged\":true,\"resourceSubscriptions\":[\"file:///"
                  "\\u0061\",7,\"b\"]}" },
        };
        AUTO_MESSAGE struct message listen = MESSAGE_INIT;
        char line[512];

        scan(&listen, LISTEN);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                (void)snprintf(line, sizeof(line), "{\"capabilities\":%s}", table[i].capabilities);
                assert_int_equal(translate_hear_initialized(&h->t, span_of(line)), 0);
                assert_int_equal(translate_write_acknowledged(&h->t, &listen, &h->out), 0);
                (void)snprintf(line, sizeof(line),
                               "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/"
                               "acknowledged\",\"params\":{\"_meta\":{\"" M
                               "subscriptionId\":\"l\"},\"notifications\":%s}}",
                               table[i].granted);
                assert_text(&h->out, line);
        }
}

static void notifications_go_to_who_asked_for_them(void **state) {
        static const struct {
                const char *method;
                const char *params;
                bool wanted;
        } table[] = {
                { "notifications/tools/list_changed", "{}", true },
                { "notifications/prompts/list_changed", "{}", false },
                { "notifications/resources/list_changed", "{}", true },
                { "notifications/resources/updated", "{\"uri\":\"file:///a\"}", true },
                { "notifications/resources/updated", "{\"uri\":\"file:///a/x\"}", true },
                { "notifications/resources/updated", "{\"uri\":\"b\"}", true },
                { "notifications/resources/updated", "{\"uri\":\"file:///c\"}", false },
                { "notifications/resources/updated", "{\"uri\":7}", false },
                { "notifications/message", "{}", false },
        };
        AUTO_MESSAGE struct message listen = MESSAGE_INIT;
        AUTO_BUF struct buf out = BUF_INIT;
        char line[512];

        scan(&listen, LISTEN);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_MESSAGE struct message m = MESSAGE_INIT;

                (void)snprintf(line, sizeof(line),
                               "{\"jsonrpc\":\"2.0\",\"method\":\"%s\",\"params\":%s}",
                               table[i].method, table[i].params);
                scan(&m, line);
                assert_int_equal(translate_listens(&listen, &m), table[i].wanted);
                assert_int_equal(translate_write_listened(&listen, &m, &out), 0);
                assert_non_null(strstr(out.data, "\"_meta\":{\"" M "subscriptionId\":\"l\"}"));
                buf_clear(&out);
        }
}

static void addresses_are_those_that_are_strings(void **state) {
        AUTO_MESSAGE struct message listen = MESSAGE_INIT;
        AUTO_BUF struct buf out = BUF_INIT;
        struct span uri;
        size_t pos = 0;

        scan(&listen, LISTEN);
        assert_true(translate_next_listened(&listen, &pos, &uri));
        assert_int_equal(translate_write_subscribe(span_of("1"), "resources/subscribe", uri, &out),
                         0);
        assert_text(&out,
                    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/subscribe\",\"params\":"
                    "{\"uri\":\"file:///\\u0061\"}}");
        assert_true(translate_next_listened(&listen, &pos, &uri));
        assert_true(jsonspan_string_is(uri, "b"));
        assert_false(translate_next_listened(&listen, &pos, &uri));
}

static void levels_are_read_and_written(void **state) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        AUTO_MESSAGE struct message bare = MESSAGE_INIT;
        AUTO_MESSAGE struct message note = MESSAGE_INIT;
        AUTO_BUF struct buf out = BUF_INIT;

        scan(&m, modern);
        scan(&bare, LISTEN);
        scan(&note,
             "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":"
             "\"emergency\"}}");
        assert_int_equal(translate_wanted_level(&m), 1);
        assert_int_equal(translate_wanted_level(&bare), -1);
        assert_int_equal(translate_level(&note), 7);
        assert_int_equal(translate_level(&bare), -1);
        assert_int_equal(translate_write_set_level(span_of("1"), 7, &out), 0);
        assert_text(&out,
                    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logging/setLevel\",\"params\":"
                    "{\"level\":\"emergency\"}}");
        assert_int_equal(translate_write_cancel(span_of("\"x\""), &out), 0);
        assert_text(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
                          "{\"requestId\":\"x\"}}");
        assert_false(translate_shows_addresses(&m));
}

/* ---- answers ---- */

static void answers_get_what_their_reader_expects(void **state) {
        static const struct {
                bool up;
                const char *method;
                const char *answer; /* behind "id": */
                const char *expected;
        } table[] = {
                { true, "tools/call", "\"result\":{\"resultType\":\"complete\",\"n\":1.0}",
                  "\"result\":{\"resultType\":\"complete\",\"n\":1.0}" },
                { true, "resources/read",
                  "\"error\":{\"code\":-32602,\"message\":\"m\",\"data\":1}",
                  "\"error\":{\"code\":-32002,\"message\":\"m\",\"data\":1}" },
                { true, "tools/call", "\"error\":{\"code\":-32602,\"message\":\"m\"}",
                  "\"error\":{\"code\":-32602,\"message\":\"m\"}" },
                { false, "tools/call", "\"result\":{\"n\":1.0}",
                  "\"result\":{\"n\":1.0,\"resultType\":\"complete\"}" },
                { false, "tools/list", "\"result\":{\"tools\":[]}",
                  "\"result\":{\"tools\":[],\"resultType\":\"complete\",\"ttlMs\":0,"
                  "\"cacheScope\":\"private\"}" },
                { false, "tools/call", "\"result\":7", "\"result\":7" },
                { false, "resources/read", "\"error\":{\"code\":-32002,\"message\":\"m\"}",
                  "\"error\":{\"code\":-32602,\"message\":\"m\"}" },
                { false, "tools/call", "\"error\":{\"code\":-32002,\"message\":\"m\"}",
                  "\"error\":{\"code\":-32002,\"message\":\"m\"}" },
                { false, "tools/call", "\"error\":{\"code\":-32042,\"message\":\"m\",\"data\":{}}",
                  "\"error\":{\"code\":-32000,\"message\":\"m\",\"data\":{}}" },
        };
        AUTO_BUF struct buf out = BUF_INIT;
        char line[512];

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_MESSAGE struct message asked = MESSAGE_INIT;
                AUTO_MESSAGE struct message answer = MESSAGE_INIT;
                char question[128];

                (void)snprintf(question, sizeof(question),
                               "{\"jsonrpc\":\"2.0\",\"id\":\"h\",\"method\":\"%s\"}",
                               table[i].method);
                scan(&asked, question);
                (void)snprintf(line, sizeof(line), "{\"jsonrpc\":\"2.0\",\"id\":9,%s}",
                               table[i].answer);
                scan(&answer, line);
                assert_int_equal(table[i].up ? translate_answer_up(&asked, &answer, &out)
                                             : translate_answer_down(&asked, &answer, &out),
                                 0);
                (void)snprintf(line, sizeof(line), "{\"jsonrpc\":\"2.0\",\"id\":\"h\",%s}",
                               table[i].expected);
                assert_text(&out, line);
        }
}

/* ---- which era? ---- */

static void refusals_tell_the_eras_apart(void **state) {
        static const struct {
                unsigned status;
                int code;
                bool modern; /* of initialize */
                bool legacy_discover;
                bool legacy_call;
        } table[] = {
                { 400, -32020, true, false, false }, { 400, -32021, true, false, false },
                { 400, -32022, true, false, false }, { 200, -32022, true, false, false },
                { 400, -32602, true, true, true },   { 404, -32601, true, true, true },
                { 200, -32601, true, true, false },  { 400, -32000, true, true, true },
                { 400, 0, true, true, true },        { 404, 0, false, true, true },
                { 405, 0, false, true, true },       { 200, -32600, true, true, true },
                { 200, -32602, true, true, true },   { 200, -32002, false, true, true },
                { 200, -32603, false, true, false }, { 500, -32603, false, false, false },
                { 401, 0, false, false, false },     { 403, -32000, false, false, false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                assert_int_equal(translate_may_be_modern(table[i].status, table[i].code),
                                 table[i].modern);
                assert_int_equal(
                        translate_may_be_legacy("server/discover", table[i].status, table[i].code),
                        table[i].legacy_discover);
                assert_int_equal(
                        translate_may_be_legacy("tools/call", table[i].status, table[i].code),
                        table[i].legacy_call);
        }
}

/* ---- memory ---- */

static int do_all(struct translate *t, struct buf *out, struct message *m) {
        int r = message_scan(m, initialize, strlen(initialize), NULL);

        r = r < 0 ? r : translate_hear_initialize(t, m);
        r = r < 0 ? r : translate_hear_discovered(t, span_of(discovered));
        r = r < 0 ? r : translate_write_discover(t, span_of("1"), out);
        r = r < 0 ? r : translate_write_initialized(t, m, "n", out);
        r = r < 0 ? r : translate_up(t, m, span_of("2"), span_of("{}"), span_of("\"\""), out);
        r = r < 0 ? r : translate_write_listen(t, span_of("1"), NULL, out);
        r = r < 0 ? r : translate_hear_meta(t, m);
        r = r < 0 ? r : translate_write_initialize(t, span_of("1"), out);
        r = r < 0 ? r : translate_write_discovered(t, span_of("1"), out);
        r = r < 0 ? r : translate_write_acknowledged(t, m, out);
        r = r < 0 ? r : translate_write_listened(m, m, out);
        r = r < 0 ? r : translate_write_subscribe(span_of("1"), "a", span_of("2"), out);
        r = r < 0 ? r : translate_write_set_level(span_of("1"), 0, out);
        r = r < 0 ? r : translate_write_cancel(span_of("1"), out);
        return r < 0 ? r : translate_down(m, out);
}

static int fresh(void *userdata) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        AUTO_BUF struct buf out = BUF_INIT;
        struct translate t;
        int r;

        translate_init(&t, 0);
        r = do_all(&t, &out, &m);
        translate_done(&t);
        return r;
}

static void each_failed_allocation_is_reported(void **state) {
        assert_true(oom_sweep(fresh, NULL) > 20);
}

int main(void) {
#define T(test, era) cmocka_unit_test_setup_teardown(test, era##_setup, host_teardown)
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(members_change_and_the_others_keep_their_bytes),
                cmocka_unit_test(what_is_no_object_or_too_long_leaves_nothing_behind),
                T(a_modern_server_is_asked_what_it_is, legacy),
                T(its_answer_becomes_that_to_initialize, legacy),
                T(a_server_that_says_little_is_described_all_the_same, legacy),
                T(a_request_gets_meta_and_keeps_all_else, legacy),
                T(a_round_has_an_id_of_its_own_and_the_state_as_it_was, legacy),
                T(params_that_are_no_object_cannot_be_translated, legacy),
                T(a_level_goes_into_meta, legacy),
                T(it_is_listened_for_what_was_promised, legacy),
                T(what_a_modern_host_says_of_itself_goes_into_initialize, modern),
                cmocka_unit_test(a_host_without_a_name_is_introduced_as_the_bridge),
                T(the_answer_to_initialize_becomes_that_to_discover, modern),
                cmocka_unit_test(a_request_loses_what_a_legacy_server_does_not_know),
                T(a_server_agrees_to_what_it_can, modern),
                cmocka_unit_test(notifications_go_to_who_asked_for_them),
                cmocka_unit_test(addresses_are_those_that_are_strings),
                cmocka_unit_test(levels_are_read_and_written),
                cmocka_unit_test(answers_get_what_their_reader_expects),
                cmocka_unit_test(refusals_tell_the_eras_apart),
                cmocka_unit_test(each_failed_allocation_is_reported),
        };

        return cmocka_run_group_tests_name("connect-translate", tests, NULL, NULL);
}
