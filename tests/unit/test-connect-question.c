/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/question.h"

#include "oom.h"
#include "spans.h"

#define ANSWER "{\"jsonrpc\":\"2.0\",\"id\":"

static int add(struct questions *q, const char *line, uint64_t number) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        int r = message_scan(&m, line, strlen(line), NULL);

        return r < 0 ? r : questions_add(q, &m, number);
}

static const char elicit[] =
        "{\"jsonrpc\":\"2.0\",\"id\":\"\\u0061\",\"method\":\"elicitation/create\","
        "\"params\":{\"message\":\"\\u0057ho?\",\"elicitationId\":\"e\"}}";
static const char roots[] = "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"roots/list\"}";

static void questions_become_an_answer_and_answers_responses(void **state) {
        AUTO_BUF struct buf out = BUF_INIT;
        struct questions q;

        questions_init(&q);
        assert_int_equal(add(&q, elicit, 1), 0);
        assert_int_equal(add(&q, roots, 2), 0);
        assert_int_equal(questions_write(&q, span_of("\"h\""), 3, &out), 0);
        assert_string_equal(out.data,
                            ANSWER "\"h\",\"result\":{\"resultType\":\"input_required\","
                                   "\"inputRequests\":{\"1\":{\"method\":\"elicitation/create\","
                                   "\"params\":{\"message\":\"\\u0057ho?\"}},\"2\":{\"method\":"
                                   "\"roots/list\"}},\"requestState\":\"mcp-connect/state/3\"}}");
        assert_string_equal(q.state, "\"mcp-connect/state/3\"");
        buf_clear(&out);
        assert_int_equal(questions_next_answer(&q, span_of("{\"2\":{\"n\":1.0},\"9\":{}}"), &out),
                         1);
        assert_string_equal(out.data, ANSWER "7,\"result\":{\"n\":1.0}}");
        assert_int_equal(questions_next_answer(&q, span_of("{\"2\":{\"n\":1.0},\"9\":{}}"), &out),
                         0);
        assert_int_equal(q.n, 1);
        assert_int_equal(questions_next_answer(&q, SPAN_NONE, &out), 0);
        questions_done(&q);
        assert_int_equal(q.n, 0);
}

static void what_was_not_told_cannot_be_answered(void **state) {
        AUTO_BUF struct buf out = BUF_INIT;
        struct questions q;

        questions_init(&q);
        assert_int_equal(add(&q, roots, 1), 0);
        assert_int_equal(questions_next_answer(&q, span_of("{\"1\":{}}"), &out), 0);
        questions_done(&q);
}

static void the_server_may_withdraw_what_it_asked(void **state) {
        struct questions q;

        questions_init(&q);
        assert_int_equal(add(&q, elicit, 1), 0);
        assert_false(questions_withdraw(&q, span_of("7")));
        assert_true(questions_withdraw(&q, span_of("\"a\"")));
        assert_int_equal(q.n, 0);
        questions_done(&q);
}

static void who_is_given_up_is_refused(void **state) {
        AUTO_BUF struct buf out = BUF_INIT;
        struct questions q;

        questions_init(&q);
        assert_int_equal(add(&q, roots, 1), 0);
        assert_int_equal(questions_next_refusal(&q, &out), 1);
        assert_string_equal(
                out.data,
                ANSWER "7,\"error\":{\"code\":-32603,\"message\":\"The client did not answer\"}}");
        assert_int_equal(questions_next_refusal(&q, &out), 0);
        questions_done(&q);
}

static void there_is_an_end_to_questions(void **state) {
        struct questions q;

        questions_init(&q);
        for (uint64_t i = 0; i < QUESTIONS_MAX; i++)
                assert_int_equal(add(&q, roots, i), 0);
        assert_int_equal(add(&q, roots, 99), -ENOBUFS);
        questions_done(&q);
}

static void addresses_become_questions(void **state) {
        AUTO_BUF struct buf out = BUF_INIT;

        assert_int_equal(question_write_addresses(
                                 span_of("{\"code\":-32042,\"data\":{\"elicitations\":[{\"url\":"
                                         "\"u\",\"mode\":"
                                         "\"url\",\"elicitationId\":\"e\"},{\"url\":\"v\"}]}}"),
                                 span_of("1"), &out),
                         0);
        assert_string_equal(out.data, ANSWER
                            "1,\"result\":{\"resultType\":\"input_required\",\"inputRequests\":{"
                            "\"0\":{\"method\":\"elicitation/create\",\"params\":{\"url\":\"u\","
                            "\"mode\":\"url\"}},\"1\":{\"method\":\"elicitation/create\","
                            "\"params\":{\"url\":\"v\",\"mode\":\"url\"}}},\"requestState\":"
                            "\"mcp-connect/state/again\"}}");
}

static void an_error_without_addresses_has_none(void **state) {
        static const char *const bad[] = {
                "{}",
                "{\"data\":{}}",
                "{\"data\":{\"elicitations\":{}}}",
                "{\"data\":{\"elicitations\":[]}}",
                "{\"data\":{\"elicitations\":[7]}}",
        };
        AUTO_BUF struct buf out = BUF_INIT;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                assert_int_equal(question_write_addresses(span_of(bad[i]), span_of("1"), &out),
                                 -EPROTO);
                assert_int_equal(out.len, 0);
        }
}

static int ask_and_answer(void *userdata) {
        AUTO_BUF struct buf out = BUF_INIT;
        struct questions q;
        int r;

        questions_init(&q);
        r = add(&q, elicit, 1);
        r = r < 0 ? r : add(&q, roots, 2);
        r = r < 0 ? r : questions_write(&q, span_of("1"), 3, &out);
        buf_done(&out);
        r = r < 0 ? r : questions_next_answer(&q, span_of("{\"1\":{}}"), &out);
        buf_done(&out);
        r = r < 0 ? r : questions_next_refusal(&q, &out);
        questions_done(&q);
        return r < 0 ? r : 0;
}

static void each_failed_allocation_is_reported(void **state) {
        assert_true(oom_sweep(ask_and_answer, NULL) > 8);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(questions_become_an_answer_and_answers_responses),
                cmocka_unit_test(what_was_not_told_cannot_be_answered),
                cmocka_unit_test(the_server_may_withdraw_what_it_asked),
                cmocka_unit_test(who_is_given_up_is_refused),
                cmocka_unit_test(there_is_an_end_to_questions),
                cmocka_unit_test(addresses_become_questions),
                cmocka_unit_test(an_error_without_addresses_has_none),
                cmocka_unit_test(each_failed_allocation_is_reported),
        };

        return cmocka_run_group_tests_name("connect-question", tests, NULL, NULL);
}
