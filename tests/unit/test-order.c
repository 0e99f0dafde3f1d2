/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/order.h"

#include "base/limits.h"
#include "oom.h"
#include "test.h"

static struct order sample_read(void) {
        struct order o;

        order_init(&o, ORDER_READ);
        assert_int_equal(order_set_path(&o, "/run/secrets/token"), 0);
        o.rules = ORDER_RULES_PUBLIC;
        o.max = 65536;
        return o;
}

static struct order sample_run(void) {
        struct order o;

        order_init(&o, ORDER_RUN);
        assert_int_equal(order_add_argument(&o, "/usr/bin/token"), 0);
        assert_int_equal(order_add_argument(&o, ""), 0);
        assert_int_equal(order_add_environment(&o, "AUDIENCE", "https://a/?b=c"), 0);
        assert_int_equal(order_add_environment(&o, "EMPTY", ""), 0);
        o.max = 10;
        o.timeout_usec = 30 * USEC_PER_SEC;
        return o;
}

static struct order sample_call(void) {
        struct order o;

        order_init(&o, ORDER_CALL);
        assert_int_equal(order_set_path(&o, "/run/spire/api.sock"), 0);
        assert_int_equal(fetch_request_set(&o.fetch, "POST", "http://localhost/Api/Fetch"), 0);
        assert_int_equal(fetch_request_add_header(&o.fetch, "workload.spiffe.io", "true"), 0);
        assert_int_equal(buf_append(&o.fetch.body, "\0\0\0\0\0", 5), 0);
        o.fetch.timeout_msec = 5000;
        o.fetch.body_max = 65536;
        o.first_message = true;
        return o;
}

static void an_order_to_read_crosses_unchanged(void **state) {
        struct order o = sample_read();
        struct order back;
        AUTO_JSON json_t *head = NULL;

        order_init(&back, ORDER_CALL);
        assert_int_equal(order_to_head(&o, &head), 0);
        assert_int_equal(order_from_head(&back, head, NULL), 0);
        assert_int_equal(back.kind, ORDER_READ);
        assert_string_equal(back.path, "/run/secrets/token");
        assert_int_equal(back.rules, ORDER_RULES_PUBLIC);
        assert_int_equal(back.max, 65536);
        order_done(&back);
        order_done(&o);
}

static void an_order_to_run_crosses_unchanged(void **state) {
        struct order o = sample_run();
        struct order back;
        AUTO_JSON json_t *head = NULL;

        order_init(&back, ORDER_READ);
        assert_int_equal(order_to_head(&o, &head), 0);
        assert_int_equal(order_from_head(&back, head, NULL), 0);
        assert_int_equal(back.kind, ORDER_RUN);
        assert_int_equal(back.n_argv, 2);
        assert_string_equal(back.argv[0], "/usr/bin/token");
        assert_string_equal(back.argv[1], "");
        assert_null(back.argv[2]);
        assert_int_equal(back.n_envp, 2);
        assert_string_equal(back.envp[0], "AUDIENCE=https://a/?b=c");
        assert_string_equal(back.envp[1], "EMPTY=");
        assert_null(back.envp[2]);
        assert_int_equal(back.max, 10);
        assert_int_equal(back.timeout_usec, 30 * USEC_PER_SEC);
        order_done(&back);
        order_done(&o);
}

static void an_order_to_call_crosses_unchanged(void **state) {
        struct order o = sample_call();
        struct order back;
        AUTO_JSON json_t *head = NULL;

        order_init(&back, ORDER_READ);
        assert_int_equal(order_to_head(&o, &head), 0);
        assert_int_equal(order_from_head(&back, head, &o.fetch.body), 0);
        assert_int_equal(o.fetch.body.len, 0); /* moved */
        assert_int_equal(back.kind, ORDER_CALL);
        assert_string_equal(back.path, "/run/spire/api.sock");
        assert_string_equal(back.fetch.url, "http://localhost/Api/Fetch");
        assert_int_equal(back.fetch.n_headers, 1);
        assert_int_equal(back.fetch.timeout_msec, 5000);
        assert_int_equal(back.fetch.body.len, 5);
        assert_true(back.first_message);
        order_done(&back);
        order_done(&o);
}

static void an_order_is_moved_whole(void **state) {
        struct order from = sample_run();
        struct order to = sample_read();

        order_move(&to, &from);
        assert_int_equal(to.kind, ORDER_RUN);
        assert_string_equal(to.argv[0], "/usr/bin/token");
        assert_null(to.path);
        assert_null(from.argv);
        assert_int_equal(from.n_argv, 0);
        order_done(&to);
        order_done(&from);
}

/* Nobody looks for a program or a file from here: what is not absolute names nothing. */
static void what_names_nothing_is_refused(void **state) {
        struct order o;

        order_init(&o, ORDER_RUN);
        assert_int_equal(order_set_path(&o, "token"), -EINVAL);
        assert_int_equal(order_set_path(&o, ""), -EINVAL);
        assert_int_equal(order_set_path(&o, "/\xff"), -EINVAL);
        assert_int_equal(order_add_argument(&o, "token"), -EINVAL);
        assert_int_equal(order_add_argument(&o, "/bin/x"), 0);
        assert_int_equal(order_add_argument(&o, "\xff"), -EINVAL);
        assert_int_equal(order_add_environment(&o, "", "x"), -EINVAL);
        assert_int_equal(order_add_environment(&o, "A=B", "x"), -EINVAL);
        assert_int_equal(o.n_argv, 1);
        assert_int_equal(o.n_envp, 0);
        order_done(&o);
}

/* S9 */
static void what_a_command_is_given_has_bounds(void **state) {
        AUTO_FREE char *large = calloc(1, LIMIT_ORDER_TEXT_BYTES + 2);
        struct order o;

        assert_non_null(large);
        for (size_t i = 0; i < LIMIT_ORDER_TEXT_BYTES; i++)
                large[i] = 'x';
        order_init(&o, ORDER_RUN);
        assert_int_equal(order_add_argument(&o, "/bin/x"), 0);
        assert_int_equal(order_add_argument(&o, large), -E2BIG);
        assert_int_equal(order_add_environment(&o, "A", large), -E2BIG);
        for (size_t i = 1; i < LIMIT_ORDER_TEXTS; i++)
                assert_int_equal(order_add_argument(&o, "x"), 0);
        assert_int_equal(order_add_argument(&o, "x"), -E2BIG);
        order_done(&o);
}

static void an_order_without_its_bounds_is_none(void **state) {
        struct order o = sample_read();
        AUTO_JSON json_t *head = NULL;

        o.max = 0;
        assert_int_equal(order_to_head(&o, &head), -EINVAL);
        o.max = LIMIT_ORDER_BYTES + 1;
        assert_int_equal(order_to_head(&o, &head), -EINVAL);
        order_done(&o);
        o = sample_run();
        o.timeout_usec = 0;
        assert_int_equal(order_to_head(&o, &head), -EINVAL);
        o.timeout_usec = LIMIT_ORDER_MSEC * USEC_PER_MSEC + 1;
        assert_int_equal(order_to_head(&o, &head), -EINVAL);
        order_done(&o);
        o = sample_call();
        o.fetch.timeout_msec = 0;
        assert_int_equal(order_to_head(&o, &head), -EINVAL);
        order_done(&o);
        order_init(&o, ORDER_RUN);
        assert_int_equal(order_to_head(&o, &head), -EINVAL);
        assert_null(head);
}

static int parse_order(const char *text, struct buf *body) {
        AUTO_JSON json_t *head = NULL;
        struct order o;
        int r;

        order_init(&o, ORDER_READ);
        assert_int_equal(json_parse(text, strlen(text), 8, &head, NULL), 0);
        r = order_from_head(&o, head, body);
        order_done(&o);
        return r;
}

#define READ(members) "{\"op\":\"order\",\"kind\":\"read\"," members "}"
#define RUN(members) "{\"op\":\"order\",\"kind\":\"run\"," members "}"
#define FETCH                                                                           \
        "{\"op\":\"fetch\",\"id\":0,\"method\":\"POST\",\"url\":\"http://localhost/\"," \
        "\"allow\":0,\"timeout_msec\":9,\"body_max\":9,\"headers\":[]}"

static void heads_that_are_no_order_are_refused(void **state) {
        static const char *const bad[] = {
                "{}",
                "[]",
                "{\"op\":\"order\",\"kind\":\"write\",\"path\":\"/x\"}",
                "{\"op\":\"fetch\",\"kind\":\"read\",\"path\":\"/x\",\"rules\":\"public\","
                "\"max\":1}",
                READ("\"path\":\"x\",\"rules\":\"public\",\"max\":1"),
                READ("\"path\":\"/x\",\"rules\":\"none\",\"max\":1"),
                READ("\"path\":\"/x\",\"rules\":\"public\",\"max\":0"),
                READ("\"path\":\"/x\",\"rules\":\"public\",\"max\":-1"),
                READ("\"path\":\"/x\",\"rules\":\"public\",\"max\":99999999"),
                READ("\"rules\":\"public\",\"max\":1"),
                RUN("\"argv\":[],\"envp\":[],\"max\":1,\"timeout_usec\":1"),
                RUN("\"argv\":[\"x\"],\"envp\":[],\"max\":1,\"timeout_usec\":1"),
                RUN("\"argv\":[\"/x\",1],\"envp\":[],\"max\":1,\"timeout_usec\":1"),
                RUN("\"argv\":[\"/x\"],\"envp\":[\"A\"],\"max\":1,\"timeout_usec\":1"),
                RUN("\"argv\":[\"/x\"],\"envp\":[\"=A\"],\"max\":1,\"timeout_usec\":1"),
                RUN("\"argv\":[\"/x\"],\"envp\":{},\"max\":1,\"timeout_usec\":1"),
                RUN("\"argv\":[\"/x\"],\"envp\":[],\"max\":1,\"timeout_usec\":0"),
                RUN("\"argv\":[\"/x\"],\"envp\":[],\"max\":1"),
                "{\"op\":\"order\",\"kind\":\"call\",\"path\":\"/x\",\"first_message\":false}",
                "{\"op\":\"order\",\"kind\":\"call\",\"fetch\":" FETCH "}",
        };

        assert_int_equal(parse_order(READ("\"path\":\"/x\",\"rules\":\"public\",\"max\":1"), NULL),
                         0);
        assert_int_equal(
                parse_order(RUN("\"argv\":[\"/x\"],\"envp\":[],\"max\":1,\"timeout_usec\":1"),
                            NULL),
                0);
        assert_int_equal(
                parse_order("{\"op\":\"order\",\"kind\":\"call\",\"path\":\"/x\",\"fetch\":" FETCH
                            "}",
                            NULL),
                0);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(parse_order(bad[i], NULL), -EBADMSG);
}

static void only_a_call_has_a_body(void **state) {
        AUTO_BUF struct buf body = BUF_INIT;

        assert_int_equal(buf_append_str(&body, "x"), 0);
        assert_int_equal(parse_order(READ("\"path\":\"/x\",\"rules\":\"public\",\"max\":1"), &body),
                         -EBADMSG);
        assert_int_equal(body.len, 1);
}

static void what_was_read_crosses_as_it_is(void **state) {
        AUTO_JSON json_t *head = NULL;
        AUTO_BUF struct buf body = BUF_INIT;
        struct order_reply p;
        struct order_reply back;

        order_reply_init(&p);
        order_reply_init(&back);
        p.exposed = true;
        assert_int_equal(buf_append(&body, "a\0b", 3), 0);
        assert_int_equal(order_reply_to_head(&p, ORDER_READ, &head), 0);
        assert_int_equal(order_reply_from_head(&back, ORDER_RUN, head, &body), -EBADMSG);
        assert_int_equal(order_reply_from_head(&back, ORDER_READ, head, &body), 0);
        assert_int_equal(back.r, 0);
        assert_true(back.exposed);
        assert_int_equal(back.bytes.len, 3);
        assert_memory_equal(back.bytes.data, "a\0b", 3);
        order_reply_done(&back);
        order_reply_done(&p);
}

static void a_failure_crosses_with_its_words(void **state) {
        AUTO_JSON json_t *head = NULL;
        struct order_reply p;
        struct order_reply back;

        order_reply_init(&p);
        order_reply_init(&back);
        p.r = error_set(&p.err, MCPB_BAD_CONFIG, EPERM, "Own it.", "%s is somebody else's", "/x");
        assert_int_equal(order_reply_to_head(&p, ORDER_READ, &head), 0);
        assert_int_equal(order_reply_from_head(&back, ORDER_READ, head, NULL), 0);
        assert_int_equal(back.r, -EPERM);
        assert_int_equal(back.err.code, MCPB_BAD_CONFIG);
        assert_string_equal(back.err.message, "/x is somebody else's");
        assert_string_equal(back.err.hint, "Own it.");
        order_reply_done(&back);
        order_reply_done(&p);
}

static void an_answer_crosses_with_its_trailers(void **state) {
        AUTO_JSON json_t *head = NULL;
        AUTO_BUF struct buf body = BUF_INIT;
        struct order_reply p;
        struct order_reply back;

        order_reply_init(&p);
        order_reply_init(&back);
        p.answer.outcome = FETCH_ANSWERED;
        p.answer.status = 200;
        assert_int_equal(fetch_answer_add_header(&p.answer, "grpc-status", "7"), 0);
        assert_int_equal(buf_append_str(&body, "x"), 0);
        assert_int_equal(order_reply_to_head(&p, ORDER_CALL, &head), 0);
        assert_int_equal(order_reply_from_head(&back, ORDER_CALL, head, &body), 0);
        assert_int_equal(back.answer.status, 200);
        assert_string_equal(fetch_answer_header(&back.answer, "grpc-status"), "7");
        assert_int_equal(back.answer.body.len, 1);
        order_reply_done(&back);
        order_reply_done(&p);
}

static void heads_that_are_no_reply_are_refused(void **state) {
        static const char *const bad[] = {
                "{}",
                "{\"op\":\"answer\",\"kind\":\"call\"}",
                "{\"op\":\"reply\",\"kind\":\"call\"}",
                "{\"op\":\"reply\",\"kind\":\"call\",\"answer\":{}}",
                "{\"op\":\"reply\",\"kind\":\"call\",\"errno\":0,\"code\":\"internal\","
                "\"message\":\"x\",\"hint\":\"\"}",
                "{\"op\":\"reply\",\"kind\":\"call\",\"errno\":-1,\"code\":\"internal\","
                "\"message\":\"x\",\"hint\":\"\"}",
                "{\"op\":\"reply\",\"kind\":\"call\",\"errno\":1,\"code\":\"internal\"}",
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                AUTO_JSON json_t *head = NULL;
                struct order_reply p;

                order_reply_init(&p);
                assert_int_equal(json_parse(bad[i], strlen(bad[i]), 8, &head, NULL), 0);
                assert_int_equal(order_reply_from_head(&p, ORDER_CALL, head, NULL), -EBADMSG);
        }
}

static int cross_order(void *userdata) {
        const enum order_kind *kind = userdata;
        AUTO_JSON json_t *head = NULL;
        struct order o;
        struct order back;
        int r;

        order_init(&o, *kind);
        order_init(&back, *kind);
        o.max = 1;
        o.timeout_usec = 1;
        o.fetch.timeout_msec = 1;
        r = order_set_path(&o, "/x");
        if (r == 0)
                r = order_add_argument(&o, "/x");
        if (r == 0)
                r = order_add_environment(&o, "A", "b");
        if (r == 0)
                r = fetch_request_set(&o.fetch, "POST", "http://localhost/");
        if (r == 0)
                r = order_to_head(&o, &head);
        if (r == 0)
                r = order_from_head(&back, head, NULL);
        order_done(&o);
        order_done(&back);
        return r;
}

static int cross_reply(void *userdata) {
        const bool *failed = userdata;
        AUTO_JSON json_t *head = NULL;
        struct order_reply p;
        struct order_reply back;
        int r;

        order_reply_init(&p);
        order_reply_init(&back);
        if (*failed)
                p.r = error_set(&p.err, MCPB_TIMEOUT, ETIMEDOUT, NULL, "x");
        p.answer.failure = FETCH_FAILURE_CONNECT;
        r = order_reply_to_head(&p, ORDER_CALL, &head);
        if (r == 0)
                r = order_reply_from_head(&back, ORDER_CALL, head, NULL);
        order_reply_done(&p);
        order_reply_done(&back);
        return r;
}

static void no_allocation_is_taken_for_granted(void **state) {
        for (unsigned kind = 0; kind < ORDER_KIND_COUNT; kind++)
                assert_true(oom_sweep(cross_order, &(enum order_kind){ kind }) > 10);
        assert_true(oom_sweep(cross_reply, &(bool){ false }) > 5);
        assert_true(oom_sweep(cross_reply, &(bool){ true }) > 5);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_order_to_read_crosses_unchanged),
                cmocka_unit_test(an_order_to_run_crosses_unchanged),
                cmocka_unit_test(an_order_to_call_crosses_unchanged),
                cmocka_unit_test(an_order_is_moved_whole),
                cmocka_unit_test(what_names_nothing_is_refused),
                cmocka_unit_test(what_a_command_is_given_has_bounds),
                cmocka_unit_test(an_order_without_its_bounds_is_none),
                cmocka_unit_test(heads_that_are_no_order_are_refused),
                cmocka_unit_test(only_a_call_has_a_body),
                cmocka_unit_test(what_was_read_crosses_as_it_is),
                cmocka_unit_test(a_failure_crosses_with_its_words),
                cmocka_unit_test(an_answer_crosses_with_its_trailers),
                cmocka_unit_test(heads_that_are_no_reply_are_refused),
                cmocka_unit_test(no_allocation_is_taken_for_granted),
        };

        return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
