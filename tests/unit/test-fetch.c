/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/fetch.h"

#include "base/limits.h"
#include "oom.h"
#include "test.h"

static struct fetch_request sample_request(void) {
        struct fetch_request f;

        fetch_request_init(&f);
        f.id = 7;
        f.allow = ADDRESS_PUBLIC | ADDRESS_LOOPBACK;
        f.timeout_msec = 20000;
        f.body_max = LIMIT_TOKEN_REPLY_BYTES;
        assert_int_equal(fetch_request_set(&f, "POST", "https://as.example.com/token"), 0);
        assert_int_equal(fetch_request_add_header(&f, "Accept", "application/json"), 0);
        assert_int_equal(fetch_request_add_header(&f, "Authorization", "Basic eDp5"), 0);
        assert_int_equal(buf_append_str(&f.body, "grant_type=refresh_token"), 0);
        return f;
}

static void a_request_crosses_unchanged(void **state) {
        struct fetch_request f = sample_request();
        struct fetch_request back;
        AUTO_JSON json_t *head = NULL;

        fetch_request_init(&back);
        assert_int_equal(fetch_request_to_head(&f, &head), 0);
        assert_int_equal(fetch_request_from_head(&back, head, &f.body), 0);
        assert_int_equal(back.id, 7);
        assert_string_equal(back.method, "POST");
        assert_string_equal(back.url, "https://as.example.com/token");
        assert_int_equal(back.n_headers, 2);
        assert_string_equal(back.headers[1].name, "Authorization");
        assert_string_equal(back.headers[1].value, "Basic eDp5");
        assert_string_equal(back.body.data, "grant_type=refresh_token");
        assert_int_equal(f.body.len, 0); /* moved */
        assert_int_equal(back.allow, ADDRESS_PUBLIC | ADDRESS_LOOPBACK);
        assert_int_equal(back.timeout_msec, 20000);
        assert_int_equal(back.body_max, LIMIT_TOKEN_REPLY_BYTES);
        fetch_request_done(&back);
        fetch_request_done(&f);
}

static void what_shows_who_we_are_crosses(void **state) {
        struct fetch_request f = sample_request();
        struct fetch_request back;
        AUTO_JSON json_t *head = NULL;

        fetch_request_init(&back);
        assert_int_equal(buf_append_str(&f.ca_pem, "-----BEGIN CERTIFICATE-----\nca\n"), 0);
        assert_int_equal(buf_append_str(&f.cert_pem, "-----BEGIN CERTIFICATE-----\nus\n"), 0);
        assert_int_equal(buf_append_str(&f.key_pem, "-----BEGIN PRIVATE KEY-----\nx\n"), 0);
        f.direct = true;
        assert_int_equal(fetch_request_to_head(&f, &head), 0);
        assert_int_equal(fetch_request_from_head(&back, head, NULL), 0);
        assert_string_equal(back.ca_pem.data, f.ca_pem.data);
        assert_string_equal(back.cert_pem.data, f.cert_pem.data);
        assert_string_equal(back.key_pem.data, f.key_pem.data);
        assert_true(back.direct);
        assert_false(back.link_local);
        fetch_request_done(&back);
        assert_int_equal(back.key_pem.len, 0);
        fetch_request_done(&f);
}

/* A certificate is no use without its key, nor may a key lie about. */
static void a_certificate_and_its_key_come_together(void **state) {
        for (int i = 0; i < 2; i++) {
                struct fetch_request f = sample_request();
                AUTO_JSON json_t *head = NULL;

                assert_int_equal(buf_append_str(i ? &f.cert_pem : &f.key_pem, "x"), 0);
                assert_int_equal(fetch_request_to_head(&f, &head), -EINVAL);
                fetch_request_done(&f);
        }
}

static void what_is_no_text_is_no_certificate(void **state) {
        static const struct {
                const char *data;
                size_t len;
        } bad[] = { { "a\0b", 3 }, { "\xff\xfe", 2 } };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct fetch_request f = sample_request();
                AUTO_JSON json_t *head = NULL;

                assert_int_equal(buf_append(&f.ca_pem, bad[i].data, bad[i].len), 0);
                assert_int_equal(fetch_request_to_head(&f, &head), -EINVAL);
                fetch_request_done(&f);
        }
}

/* S8 */
static void link_local_is_never_said_by_a_mask_alone(void **state) {
        struct fetch_request f = sample_request();
        struct fetch_request back;
        AUTO_JSON json_t *head = NULL;

        fetch_request_init(&back);
        f.allow |= ADDRESS_LINK_LOCAL;
        assert_int_equal(fetch_request_to_head(&f, &head), -EINVAL);
        f.link_local = true;
        assert_int_equal(fetch_request_to_head(&f, &head), 0);
        assert_int_equal(fetch_request_from_head(&back, head, NULL), 0);
        assert_true(back.link_local);
        assert_true(back.allow & ADDRESS_LINK_LOCAL);
        fetch_request_done(&back);
        assert_int_equal(json_object_del(head, "link_local"), 0);
        assert_int_equal(fetch_request_from_head(&back, head, NULL), -EBADMSG);
        fetch_request_done(&f);
}

static struct fetch_answer sample_answer(void) {
        struct fetch_answer a;

        fetch_answer_init(&a);
        a.id = 7;
        a.outcome = FETCH_ANSWERED;
        a.status = 401;
        a.reached = ADDRESS_PUBLIC;
        assert_int_equal(fetch_answer_add_header(&a, "WWW-Authenticate", "Bearer a=\"1\""), 0);
        assert_int_equal(fetch_answer_add_header(&a, "WWW-Authenticate", "DPoP\talgs=\"ES256\""),
                         0);
        return a;
}

static void an_answer_crosses_with_repeated_fields_in_order(void **state) {
        struct fetch_answer a = sample_answer();
        struct fetch_answer back;
        AUTO_JSON json_t *head = NULL;
        AUTO_BUF struct buf body = BUF_INIT;

        fetch_answer_init(&back);
        assert_int_equal(buf_append_str(&body, "{}"), 0);
        assert_int_equal(fetch_answer_to_head(&a, &head), 0);
        assert_int_equal(fetch_answer_from_head(&back, head, &body), 0);
        assert_int_equal(back.outcome, FETCH_ANSWERED);
        assert_int_equal(back.failure, FETCH_FAILURE_NONE);
        assert_int_equal(back.status, 401);
        assert_int_equal(back.reached, ADDRESS_PUBLIC);
        assert_int_equal(back.n_headers, 2);
        assert_string_equal(back.headers[0].name, "www-authenticate");
        assert_string_equal(back.headers[1].value, "DPoP algs=\"ES256\"");
        assert_string_equal(fetch_answer_header(&back, "WWW-AUTHENTICATE"), "Bearer a=\"1\"");
        assert_null(fetch_answer_header(&back, "location"));
        assert_string_equal(back.body.data, "{}");
        fetch_answer_done(&back);
        fetch_answer_done(&a);
}

static void every_failure_crosses_by_name(void **state) {
        for (unsigned i = 1; i < FETCH_FAILURE_COUNT; i++) {
                struct fetch_answer a;
                struct fetch_answer back;
                AUTO_JSON json_t *head = NULL;

                fetch_answer_init(&a);
                fetch_answer_init(&back);
                a.id = i;
                a.outcome = i % 2 ? FETCH_NOT_SENT : FETCH_NO_ANSWER;
                a.failure = (enum fetch_failure)i;
                a.reason = strdup("connection \x1b[31m refused");
                assert_int_equal(fetch_answer_to_head(&a, &head), 0);
                assert_int_equal(fetch_answer_from_head(&back, head, NULL), 0);
                assert_int_equal(back.outcome, a.outcome);
                assert_int_equal(back.failure, i);
                assert_string_equal(back.reason, "connection ?[31m refused");
                fetch_answer_done(&a);
                fetch_answer_done(&back);
        }
}

static void a_header_cannot_smuggle_another(void **state) {
        static const struct {
                const char *name;
                const char *value;
        } bad[] = {
                { "A", "x\r\nB: y" }, { "A", "x\ny" }, { "A", "x\x7f" }, { "A", "\xff" },
                { "A:", "x" },        { "A B", "x" },  { "", "x" },      { "A\n", "x" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct fetch_request f;

                fetch_request_init(&f);
                assert_int_equal(fetch_request_add_header(&f, bad[i].name, bad[i].value), -EINVAL);
                assert_int_equal(f.n_headers, 0);
                fetch_request_done(&f);
        }
}

static void foreign_bytes_in_an_answer_are_made_harmless(void **state) {
        struct fetch_answer a;

        fetch_answer_init(&a);
        assert_int_equal(fetch_answer_add_header(&a, "X-Latin", "caf\xe9 noir"), 0);
        assert_string_equal(fetch_answer_header(&a, "x-latin"), "caf? noir");
        assert_int_equal(fetch_answer_add_header(&a, "bad name", "x"), -EINVAL);
        fetch_answer_done(&a);
}

/* S9 */
static void headers_have_bounds(void **state) {
        AUTO_FREE char *large = calloc(1, LIMIT_HEADER_BYTES + 1);
        struct fetch_answer a;
        int r = 0;

        assert_non_null(large);
        for (size_t i = 0; i < LIMIT_HEADER_BYTES; i++)
                large[i] = 'x';
        fetch_answer_init(&a);
        assert_int_equal(fetch_answer_add_header(&a, "x", large), -E2BIG);
        for (size_t i = 0; i < LIMIT_HEADERS; i++)
                assert_int_equal(fetch_answer_add_header(&a, "x", "y"), 0);
        r = fetch_answer_add_header(&a, "x", "y");
        assert_int_equal(r, -E2BIG);
        fetch_answer_done(&a);
}

#define REQUEST(members)                                                                    \
        "{\"op\":\"fetch\",\"id\":1,\"method\":\"GET\",\"url\":\"https://x/\",\"allow\":1," \
        "\"timeout_msec\":1,\"body_max\":1,\"headers\":[]" members "}"

static void heads_that_are_no_request_are_refused(void **state) {
        static const char *const bad[] = {
                "{}",
                "[]",
                "{\"op\":\"answer\",\"id\":1,\"method\":\"GET\",\"url\":\"https://x/\",\"allow\":1,"
                "\"timeout_msec\":1,\"body_max\":1,\"headers\":[]}",
                "{\"op\":\"fetch\",\"id\":-1,\"method\":\"GET\",\"url\":\"https://x/\",\"allow\":1,"
                "\"timeout_msec\":1,\"body_max\":1,\"headers\":[]}",
                "{\"op\":\"fetch\",\"id\":1,\"method\":\"G T\",\"url\":\"https://x/\",\"allow\":1,"
                "\"timeout_msec\":1,\"body_max\":1,\"headers\":[]}",
                "{\"op\":\"fetch\",\"id\":1,\"method\":\"GET\",\"url\":\"\",\"allow\":1,"
                "\"timeout_msec\":1,\"body_max\":1,\"headers\":[]}",
                "{\"op\":\"fetch\",\"id\":1,\"method\":\"GET\",\"url\":\"https://x/\",\"allow\":8,"
                "\"timeout_msec\":1,\"body_max\":1,\"headers\":[]}",
                "{\"op\":\"fetch\",\"id\":1,\"method\":\"GET\",\"url\":\"https://x/\",\"allow\":1,"
                "\"timeout_msec\":\"1\",\"body_max\":1,\"headers\":[]}",
                "{\"op\":\"fetch\",\"id\":1,\"method\":\"GET\",\"url\":\"https://x/\",\"allow\":1,"
                "\"timeout_msec\":1,\"body_max\":99999999999,\"headers\":[]}",
                "{\"op\":\"fetch\",\"id\":1,\"method\":\"GET\",\"url\":\"https://x/\",\"allow\":1,"
                "\"timeout_msec\":1,\"body_max\":1}",
                "{\"op\":\"fetch\",\"id\":1,\"method\":\"GET\",\"url\":\"https://x/\",\"allow\":1,"
                "\"timeout_msec\":1,\"body_max\":1,\"headers\":[[\"A\"]]}",
                "{\"op\":\"fetch\",\"id\":1,\"method\":\"GET\",\"url\":\"https://x/\",\"allow\":1,"
                "\"timeout_msec\":1,\"body_max\":1,\"headers\":[[\"A\",\"x\\r\\nB: y\"]]}",
                "{\"op\":\"fetch\",\"id\":1,\"method\":\"GET\",\"url\":\"https://x/\",\"allow\":1,"
                "\"timeout_msec\":1,\"body_max\":1,\"headers\":{\"A\":\"b\"}}",
                REQUEST(",\"ca_pem\":\"\""),
                REQUEST(",\"ca_pem\":1"),
                REQUEST(",\"cert_pem\":\"x\""),
                REQUEST(",\"key_pem\":\"x\""),
        };
        AUTO_JSON json_t *good = NULL;
        struct fetch_request f;

        fetch_request_init(&f);
        assert_int_equal(json_parse(REQUEST(""), strlen(REQUEST("")), 8, &good, NULL), 0);
        assert_int_equal(fetch_request_from_head(&f, good, NULL), 0);
        fetch_request_done(&f);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                AUTO_JSON json_t *head = NULL;

                assert_int_equal(json_parse(bad[i], strlen(bad[i]), 8, &head, NULL), 0);
                assert_int_equal(fetch_request_from_head(&f, head, NULL), -EBADMSG);
        }
}

/* What may be retried hangs on the outcome: a head that contradicts itself is no answer. */
static void an_answer_that_contradicts_itself_is_refused(void **state) {
        static const struct {
                const char *outcome;
                const char *failure;
                int status;
                int reached;
                int r;
        } table[] = {
                { "answered", "none", 200, 1, 0 },
                { "not_sent", "resolve", 0, 0, 0 },
                { "no_answer", "cut", 200, 2, 0 },
                { "answered", "cut", 200, 1, -EBADMSG },
                { "answered", "none", 0, 1, -EBADMSG },
                { "answered", "none", 1000, 1, -EBADMSG },
                { "not_sent", "none", 0, 0, -EBADMSG },
                { "sent", "none", 200, 1, -EBADMSG },
                { "answered", "perhaps", 200, 1, -EBADMSG },
                { "answered", "none", 200, 3, -EBADMSG },
                { "answered", "none", 200, 8, 0 },
                { "answered", "none", 200, 6, -EBADMSG },
                { "answered", "none", 200, 16, -EBADMSG },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct fetch_answer a;
                AUTO_JSON json_t *head =
                        json_pack("{ss si ss ss si si s[]}", "op", "answer", "id", 1, "outcome",
                                  table[i].outcome, "failure", table[i].failure, "status",
                                  table[i].status, "reached", table[i].reached, "headers");

                assert_non_null(head);
                fetch_answer_init(&a);
                assert_int_equal(fetch_answer_from_head(&a, head, NULL), table[i].r);
                fetch_answer_done(&a);
        }
}

static int cross_request(void *userdata) {
        struct fetch_request f;
        struct fetch_request back;
        AUTO_JSON json_t *head = NULL;
        int r;

        fetch_request_init(&f);
        fetch_request_init(&back);
        r = fetch_request_set(&f, "GET", "https://x/");
        for (int i = 0; r == 0 && i < 9; i++)
                r = fetch_request_add_header(&f, "A", "b");
        if (r == 0)
                r = buf_append_str(&f.cert_pem, "c");
        if (r == 0)
                r = buf_append_str(&f.key_pem, "k");
        f.link_local = f.direct = true;
        if (r == 0)
                r = fetch_request_to_head(&f, &head);
        if (r == 0)
                r = fetch_request_from_head(&back, head, NULL);
        fetch_request_done(&f);
        fetch_request_done(&back);
        return r;
}

static int cross_answer(void *userdata) {
        struct fetch_answer a;
        struct fetch_answer back;
        AUTO_JSON json_t *head = NULL;
        int r = 0;

        fetch_answer_init(&a);
        fetch_answer_init(&back);
        a.outcome = FETCH_NOT_SENT;
        a.failure = FETCH_FAILURE_TLS;
        for (int i = 0; r == 0 && i < 9; i++)
                r = fetch_answer_add_header(&a, "A", "b");
        if (r == 0 && !(a.reason = strdup("why")))
                r = -ENOMEM;
        if (r == 0)
                r = fetch_answer_to_head(&a, &head);
        if (r == 0)
                r = fetch_answer_from_head(&back, head, NULL);
        fetch_answer_done(&a);
        fetch_answer_done(&back);
        return r;
}

static void no_allocation_is_taken_for_granted(void **state) {
        assert_true(oom_sweep(cross_request, NULL) > 20);
        assert_true(oom_sweep(cross_answer, NULL) > 20);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_request_crosses_unchanged),
                cmocka_unit_test(what_shows_who_we_are_crosses),
                cmocka_unit_test(a_certificate_and_its_key_come_together),
                cmocka_unit_test(what_is_no_text_is_no_certificate),
                cmocka_unit_test(link_local_is_never_said_by_a_mask_alone),
                cmocka_unit_test(an_answer_crosses_with_repeated_fields_in_order),
                cmocka_unit_test(every_failure_crosses_by_name),
                cmocka_unit_test(a_header_cannot_smuggle_another),
                cmocka_unit_test(foreign_bytes_in_an_answer_are_made_harmless),
                cmocka_unit_test(headers_have_bounds),
                cmocka_unit_test(heads_that_are_no_request_are_refused),
                cmocka_unit_test(an_answer_that_contradicts_itself_is_refused),
                cmocka_unit_test(no_allocation_is_taken_for_granted),
        };

        return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
