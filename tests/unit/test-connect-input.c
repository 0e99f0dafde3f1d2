/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/input.h"

#include "oom.h"
#include "spans.h"

#define ASK "\"method\":\"roots/list\""

static struct errand *new_errand(void) {
        static const char line[] =
                "{\"jsonrpc\":\"2.0\",\"id\":\"h\",\"method\":\"tools/call\",\"params\":{}}";
        AUTO_BUF struct buf text = BUF_INIT;
        struct message m;
        struct errand *e = NULL;

        if (buf_append_str(&text, line) < 0 || message_scan(&m, text.data, text.len, NULL) < 0)
                return NULL;
        if (errand_new(&text, &m, &e) < 0)
                message_done(&m);
        return e;
}

static int answer(struct errand *e, const char *line, struct buf *error) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        int r = message_scan(&m, line, strlen(line), NULL);

        return r < 0 ? r : errand_take_answer(e, &m, error);
}

static void only_one_type_of_result_wants_input(void **state) {
        assert_true(errand_is_input_required(span_of("{\"resultType\":\"input\\u005frequired\"}")));
        assert_false(errand_is_input_required(span_of("{\"resultType\":\"complete\"}")));
        assert_false(errand_is_input_required(span_of("{}")));
        assert_false(errand_is_input_required(span_of("7")));
        assert_false(errand_is_input_required(SPAN_NONE));
}

static void requests_go_out_as_they_are_and_answers_come_back_by_key(void **state) {
        struct errand *e = new_errand();
        AUTO_BUF struct buf out = BUF_INIT;
        uint64_t last = 41;

        assert_int_equal(
                errand_take_result(e,
                                   span_of("{\"resultType\":\"input_required\",\"requestState\":"
                                           "\"\\u0041\",\"inputRequests\":{\"a\\u0062\":{" ASK
                                           "},\"c\":{\"method\":\"elicitation/create\",\"params\":"
                                           "{ \"mode\":\"url\",\"url\":\"u\" }}}}"),
                                   &last),
                0);
        assert_int_equal(e->n_open, 2);
        assert_string_equal(e->state.data, "\"\\u0041\"");
        assert_int_equal(errand_write_request(e, 0, &out), 0);
        assert_string_equal(out.data,
                            "{\"jsonrpc\":\"2.0\",\"id\":\"mcp-connect/input/42\"," ASK "}");
        buf_clear(&out);
        assert_int_equal(errand_write_request(e, 1, &out), 0);
        assert_string_equal(out.data,
                            "{\"jsonrpc\":\"2.0\",\"id\":\"mcp-connect/input/43\",\"method\":"
                            "\"elicitation/create\",\"params\":{\"mode\":\"url\",\"url\":"
                            "\"u\",\"elicitationId\":\"mcp-connect/input/43\"}}");
        buf_clear(&out);
        assert_int_equal(answer(e, "{\"jsonrpc\":\"2.0\",\"id\":43,\"result\":{}}", &out), -ENOENT);
        assert_int_equal(answer(e,
                                "{\"jsonrpc\":\"2.0\",\"id\":\"mcp-connect/input/"
                                "43\",\"error\":{\"code\":1}}",
                                &out),
                         0);
        assert_int_equal(
                answer(e,
                       "{\"jsonrpc\":\"2.0\",\"id\":\"mcp-connect/input/42\",\"result\":{\"n\":"
                       "1.0}}",
                       &out),
                0);
        assert_int_equal(e->n_open, 0);
        assert_int_equal(
                answer(e, "{\"jsonrpc\":\"2.0\",\"id\":\"mcp-connect/input/42\",\"result\":{}}",
                       &out),
                -ENOENT);
        assert_int_equal(errand_write_responses(e, &out), 0);
        assert_string_equal(out.data, "{\"a\\u0062\":{\"n\":1.0},\"c\":{\"action\":\"cancel\"}}");
        (void)errand_free(e);
}

static void a_refusal_of_the_host_is_the_answer_to_its_own_request(void **state) {
        struct errand *e = new_errand();
        AUTO_BUF struct buf out = BUF_INIT;
        uint64_t last = 0;

        assert_int_equal(
                errand_take_result(e, span_of("{\"inputRequests\":{\"a\":{" ASK "}}}"), &last), 0);
        assert_int_equal(
                answer(e,
                       "{\"jsonrpc\":\"2.0\",\"id\":\"mcp-connect/input/1\",\"error\":{\"code\":"
                       "-32601,\"message\":\"no\"}}",
                       &out),
                -ECANCELED);
        assert_string_equal(
                out.data,
                "{\"jsonrpc\":\"2.0\",\"id\":\"h\",\"error\":{\"code\":-32601,\"message\":"
                "\"no\"}}");
        (void)errand_free(e);
}

static void what_was_not_answered_can_be_withdrawn(void **state) {
        struct errand *e = new_errand();
        AUTO_BUF struct buf out = BUF_INIT;
        uint64_t last = 0;

        assert_int_equal(
                errand_take_result(
                        e, span_of("{\"inputRequests\":{\"a\":{" ASK "},\"b\":{" ASK "}}}"), &last),
                0);
        assert_int_equal(
                answer(e, "{\"jsonrpc\":\"2.0\",\"id\":\"mcp-connect/input/1\",\"result\":{}}",
                       &out),
                0);
        assert_int_equal(errand_write_cancel(e, 0, &out), 0);
        assert_int_equal(out.len, 0);
        assert_int_equal(errand_write_cancel(e, 1, &out), 0);
        assert_string_equal(out.data, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
                                      "\"params\":{\"requestId\":\"mcp-connect/input/2\"}}");
        (void)errand_free(e);
}

static void what_cannot_be_understood_is_said_to_be_so(void **state) {
        static const char *const bad[] = {
                "{}",
                "{\"requestState\":7}",
                "{\"inputRequests\":[]}",
                "{\"inputRequests\":{\"a\":7}}",
                "{\"inputRequests\":{\"a\":{}}}",
                "{\"inputRequests\":{\"a\":{\"method\":\"tools/call\"}}}",
                "{\"inputRequests\":{\"a\":{" ASK ",\"params\":[]}}}",
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct errand *e = new_errand();
                uint64_t last = 0;

                assert_int_equal(errand_take_result(e, span_of(bad[i]), &last), -EPROTO);
                (void)errand_free(e);
        }
}

static void more_is_not_asked_than_can_be_answered(void **state) {
        struct errand *e = new_errand();
        AUTO_BUF struct buf many = BUF_INIT;
        uint64_t last = 0;

        assert_int_equal(buf_append_str(&many, "{\"inputRequests\":{"), 0);
        for (int i = 0; i <= INPUT_REQUESTS_MAX; i++)
                assert_int_equal(buf_printf(&many, "%s\"%d\":{" ASK "}", i ? "," : "", i), 0);
        assert_int_equal(buf_append_str(&many, "}}"), 0);
        assert_int_equal(errand_take_result(e, span_of(many.data), &last), -EPROTO);
        (void)errand_free(e);
}

static void ten_rounds_are_enough(void **state) {
        struct errand *e = new_errand();
        uint64_t last = 0;

        for (int i = 0; i < INPUT_ROUNDS_MAX; i++)
                assert_int_equal(errand_take_result(e, span_of("{\"requestState\":\"\"}"), &last),
                                 0);
        assert_int_equal(errand_take_result(e, span_of("{\"requestState\":\"\"}"), &last), -E2BIG);
        (void)errand_free(e);
}

static int a_round(void *userdata) {
        struct errand *e = new_errand();
        AUTO_BUF struct buf out = BUF_INIT;
        uint64_t last = 0;
        int r = e ? errand_take_result(
                            e,
                            span_of("{\"requestState\":\"s\",\"inputRequests\":{\"a\":{" ASK
                                    ",\"params\":{}}}}"),
                            &last)
                  : -ENOMEM;

        r = r < 0 ? r : errand_write_request(e, 0, &out);
        r = r < 0 ? r
                  : answer(e, "{\"jsonrpc\":\"2.0\",\"id\":\"mcp-connect/input/1\",\"result\":{}}",
                           &out);
        r = r < 0 ? r : errand_write_responses(e, &out);
        (void)errand_free(e);
        return r;
}

static void each_failed_allocation_is_reported(void **state) {
        assert_true(oom_sweep(a_round, NULL) > 5);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_one_type_of_result_wants_input),
                cmocka_unit_test(requests_go_out_as_they_are_and_answers_come_back_by_key),
                cmocka_unit_test(a_refusal_of_the_host_is_the_answer_to_its_own_request),
                cmocka_unit_test(what_was_not_answered_can_be_withdrawn),
                cmocka_unit_test(what_cannot_be_understood_is_said_to_be_so),
                cmocka_unit_test(more_is_not_asked_than_can_be_answered),
                cmocka_unit_test(ten_rounds_are_enough),
                cmocka_unit_test(each_failed_allocation_is_reported),
        };

        return cmocka_run_group_tests_name("connect-input", tests, NULL, NULL);
}
