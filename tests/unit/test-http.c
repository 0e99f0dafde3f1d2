/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <malloc.h>

#include "badserver.h"
#include "base/limits.h"
#include "http/client.h"
#include "loop/loop.h"
#include "oom.h"
#include "test.h"

#define LOOPBACK ADDRESS_LOOPBACK
#define ALL (ADDRESS_LOOPBACK | ADDRESS_PRIVATE | ADDRESS_PUBLIC)
#define OK "HTTP/1.1 200 OK\r\n"
#define PATIENCE_USEC (60 * USEC_PER_SEC)

static int set_up(void **state) {
        static const struct badserver_manners hang = { .then = BAD_HANG };

        return fixture_set_up(state, &hang);
}

/* A fetch that has no end of its own is a failure here, and not a test that hangs. */
static void run_until(struct fixture *f, unsigned n_done) {
        while (f->n_done < n_done)
                assert_true(sd_event_run(f->event, PATIENCE_USEC) > 0);
}

/* Lets everything happen that is ready to. */
static void settle(struct fixture *f) {
        while (sd_event_run(f->event, 20 * USEC_PER_MSEC) > 0)
                ;
}

static void make_url(const struct fixture *f, char *url, size_t n_url, const char *scheme) {
        (void)snprintf(url, n_url, "%s://127.0.0.1:%u/path?q=1", scheme, badserver_port(f->server));
}

static struct fetch_request make_request(const char *method, const char *url) {
        struct fetch_request r;

        fetch_request_init(&r);
        assert_int_equal(fetch_request_set(&r, method, url), 0);
        r.id = 7;
        r.allow = LOOPBACK;
        r.timeout_msec = 5000;
        r.body_max = 4096;
        return r;
}

static const struct fetch_answer *fetch_url(struct fixture *f, const char *url) {
        struct fetch_request r = make_request("GET", url);

        assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), 0);
        assert_null(r.url);
        run_until(f, f->n_done + 1);
        assert_int_equal(f->answer.id, 7);
        return &f->answer;
}

static const struct fetch_answer *fetch(struct fixture *f, const struct badserver_manners *m) {
        char url[64];

        if (m)
                badserver_set(f->server, m);
        make_url(f, url, sizeof(url), "http");
        return fetch_url(f, url);
}

static const struct fetch_answer *fetch_answered_by(struct fixture *f, const char *answer) {
        struct badserver_manners m = { .answer = answer };

        return fetch(f, &m);
}

static void assert_failed(const struct fetch_answer *a, enum fetch_outcome outcome,
                          enum fetch_failure failure) {
        if (a->outcome != outcome || a->failure != failure)
                fail_msg("%s, %s: %s", fetch_outcome_name(a->outcome),
                         fetch_failure_name(a->failure), a->reason ? a->reason : "no reason");
        assert_non_null(a->reason);
        assert_int_equal(a->status, 0);
        assert_int_equal(a->n_headers, 0);
        assert_int_equal(a->body.len, 0);
}

/* ---- answered ---- */

static void an_answer_comes_whole_with_its_headers_in_order(void **state) {
        const struct fetch_answer *a =
                fetch_answered_by(*state, "HTTP/1.1 401 Unauthorized\r\n"
                                          "Content-Length: 5\r\n"
                                          "WWW-Authenticate: Basic realm=\"a\"\r\n"
                                          "www-AUTHENTICATE:\t Bearer scope=\"b\" \r\n"
                                          "X-Latin: caf\xe9 au lait\r\n"
                                          "X-Empty:\r\n"
                                          "X-Folded: one\r\n"
                                          "\t two\r\n"
                                          "\r\nhello");

        assert_int_equal(a->outcome, FETCH_ANSWERED);
        assert_int_equal(a->failure, FETCH_FAILURE_NONE);
        assert_int_equal(a->status, 401);
        assert_int_equal(a->reached, LOOPBACK);
        assert_int_equal(a->body.len, 5);
        assert_string_equal(a->body.data, "hello");
        assert_int_equal(a->n_headers, 6);
        assert_string_equal(a->headers[1].name, "www-authenticate");
        assert_string_equal(a->headers[1].value, "Basic realm=\"a\"");
        assert_string_equal(a->headers[2].name, "www-authenticate");
        assert_string_equal(a->headers[2].value, "Bearer scope=\"b\"");
        assert_string_equal(fetch_answer_header(a, "X-Latin"), "caf? au lait");
        assert_string_equal(fetch_answer_header(a, "X-Empty"), "");
        assert_string_equal(fetch_answer_header(a, "X-Folded"), "one two");
}

static void bodies_end_as_http_says(void **state) {
        static const struct {
                const char *answer;
                unsigned status;
                const char *body;
        } table[] = {
                { OK "\r\nuntil the end", 200, "until the end" },
                { OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 200,
                  "abcde" },
                { "HTTP/1.1 204 No Content\r\n\r\n", 204, "" },
                { "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", 500, "no" },
                { "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "" },
                { OK "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08", 200,
                  "\x1f\x8b\x08" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                const struct fetch_answer *a = fetch_answered_by(*state, table[i].answer);

                assert_int_equal(a->outcome, FETCH_ANSWERED);
                assert_int_equal(a->status, table[i].status);
                assert_int_equal(a->body.len, strlen(table[i].body));
                if (a->body.len > 0)
                        assert_string_equal(a->body.data, table[i].body);
        }
}

static void interim_answers_and_trailers_leave_nothing_behind(void **state) {
        const struct fetch_answer *a =
                fetch_answered_by(*state, "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n" OK
                                          "Transfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n"
                                          "1\r\na\r\n0\r\nX-Late: 1\r\n\r\n");

        assert_int_equal(a->outcome, FETCH_ANSWERED);
        assert_int_equal(a->status, 200);
        assert_null(fetch_answer_header(a, "X-Early"));
        assert_null(fetch_answer_header(a, "X-Late"));
        assert_non_null(fetch_answer_header(a, "Trailer"));
}

/* A6 */
static void redirects_are_answers_and_are_not_followed(void **state) {
        static const struct badserver_manners hang = { .then = BAD_HANG };
        struct fixture *f = *state;
        struct badserver *second = badserver_new(f->event, &hang);
        static const unsigned codes[] = { 301, 302, 303, 307, 308 };

        for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
                const struct fetch_answer *a;
                char text[128];

                (void)snprintf(text, sizeof(text),
                               "HTTP/1.1 %u R\r\nLocation: http://127.0.0.1:%u/\r\n"
                               "Content-Length: 0\r\n\r\n",
                               codes[i], badserver_port(second));
                a = fetch_answered_by(f, text);
                assert_int_equal(a->outcome, FETCH_ANSWERED);
                assert_int_equal(a->status, codes[i]);
                assert_non_null(fetch_answer_header(a, "location"));
        }
        settle(f);
        assert_int_equal(badserver_connections(second), 0);
        (void)badserver_free(second);
}

/* ---- what is sent ---- */

static void a_post_arrives_as_it_was_given_and_once(void **state) {
        static const struct badserver_manners fine = { .answer = OK "Content-Length: 0\r\n\r\n" };
        struct fixture *f = *state;
        struct fetch_request r;
        const char *got;
        char url[64];

        make_url(f, url, sizeof(url), "http");
        r = make_request("POST", url);
        assert_int_equal(fetch_request_add_header(&r, "Authorization", "Basic Zm9v"), 0);
        assert_int_equal(fetch_request_add_header(&r, "X-Empty", ""), 0);
        assert_int_equal(buf_append_str(&r.body, "grant_type=refresh_token&x=%00"), 0);
        badserver_set(f->server, &fine);
        assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), 0);
        run_until(f, 1);

        assert_int_equal(f->answer.outcome, FETCH_ANSWERED);
        got = badserver_received(f->server);
        assert_ptr_equal(strstr(got, "POST /path?q=1 HTTP/1.1\r\n"), got);
        assert_non_null(strstr(got, "\r\nAuthorization: Basic Zm9v\r\n"));
        assert_non_null(strstr(got, "\r\nX-Empty:\r\n"));
        assert_non_null(strstr(got, "\r\nUser-Agent: mcp-broker/"));
        assert_non_null(strstr(got, "\r\n\r\ngrant_type=refresh_token&x=%00"));
        assert_null(strstr(got, "Content-Type"));
        assert_null(strstr(got, "Expect"));
        assert_null(strstr(got, "Accept-Encoding"));
        assert_null(strstr(got, "Cookie"));
        assert_int_equal(badserver_requests(f->server), 1);
}

static void a_large_body_is_sent_without_asking_first(void **state) {
        static const struct badserver_manners fine = { .answer = OK "Content-Length: 0\r\n\r\n" };
        struct fixture *f = *state;
        struct fetch_request r;
        char url[64];

        make_url(f, url, sizeof(url), "http");
        r = make_request("POST", url);
        for (int i = 0; i < 40000; i++)
                assert_int_equal(
                        buf_append_str(&r.body, "0123456789012345678901234567890123456789"), 0);
        badserver_set(f->server, &fine);
        assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), 0);
        run_until(f, 1);
        assert_int_equal(f->answer.outcome, FETCH_ANSWERED);
        assert_int_equal(badserver_requests(f->server), 1);
        assert_null(strstr(badserver_received(f->server), "Expect"));
}

static void no_connection_carries_two_requests(void **state) {
        struct fixture *f = *state;
        struct badserver_manners m = { .answer = OK "Content-Length: 0\r\n\r\n", .then = BAD_HANG };

        for (unsigned i = 1; i <= 3; i++) {
                assert_int_equal(fetch(f, &m)->outcome, FETCH_ANSWERED);
                assert_int_equal(badserver_connections(f->server), i);
                assert_int_equal(badserver_requests(f->server), i);
        }
}

static void the_environment_has_no_say(void **state) {
        static const char *const names[] = { "http_proxy", "https_proxy", "all_proxy", "ALL_PROXY",
                                             "HTTPS_PROXY" };
        struct fixture *f = *state;
        char proxy[64];

        (void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", badserver_free_port());
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_int_equal(setenv(names[i], proxy, 1), 0);
        assert_int_equal(fetch_answered_by(f, OK "Content-Length: 0\r\n\r\n")->outcome,
                         FETCH_ANSWERED);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_int_equal(unsetenv(names[i]), 0);
}

/* ---- not sent ---- */

static void what_may_not_be_asked_is_not_sent(void **state) {
        static const struct {
                const char *method;
                const char *url; /* "": the server */
                const char *name;
                const char *value;
                const char *body;
        } table[] = {
                { "PUT", "", NULL, NULL, NULL },
                { "DELETE", "", NULL, NULL, NULL },
                { "get", "", NULL, NULL, NULL },
                { "GET", "", NULL, NULL, "body" },
                { "GET", "", "Host", "example.com", NULL },
                { "POST", "", "content-length", "3", "abc" },
                { "POST", "", "Transfer-Encoding", "chunked", "abc" },
                { "GET", "", "Connection", "upgrade", NULL },
                { "GET", "", "Upgrade", "h2c", NULL },
                { "GET", "", "Expect", "100-continue", NULL },
                { "GET", "", "Proxy-Authorization", "Basic Zm9v", NULL },
                { "GET", "ftp://127.0.0.1/", NULL, NULL, NULL },
                { "GET", "file:///etc/passwd", NULL, NULL, NULL },
                { "GET", "gopher://127.0.0.1/", NULL, NULL, NULL },
                { "GET", "127.0.0.1", NULL, NULL, NULL },
                { "GET", "http://user:pw@127.0.0.1/", NULL, NULL, NULL },
                { "GET", "http://example.com/", NULL, NULL, NULL },
                { "GET", "http://127.1/", NULL, NULL, NULL },
                { "GET", "http://127.0.0.1.example.com/", NULL, NULL, NULL },
                { "GET", "http://[::ffff:127.0.0.1]/", NULL, NULL, NULL },
                { "GET", "http://2130706433/", NULL, NULL, NULL },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct fetch_request r;
                char url[64];

                make_url(f, url, sizeof(url), "http");
                r = make_request(table[i].method, *table[i].url ? table[i].url : url);
                r.allow = ALL;
                if (table[i].name)
                        assert_int_equal(
                                fetch_request_add_header(&r, table[i].name, table[i].value), 0);
                if (table[i].body)
                        assert_int_equal(buf_append_str(&r.body, table[i].body), 0);
                assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), 0);
                assert_int_equal(f->n_done, i); /* told later, never at once */
                run_until(f, (unsigned)i + 1);
                assert_failed(&f->answer, FETCH_NOT_SENT, FETCH_FAILURE_PROTOCOL);
        }
        settle(f);
        assert_int_equal(badserver_connections(f->server), 0);
}

static void a_header_cannot_smuggle_a_line(void **state) {
        static const char *const bad[] = { "a\r\nX-Evil: 1", "a\nb", "a\rb", "a\x7f" };
        struct fixture *f = *state;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct fetch_request r;
                char url[64];

                make_url(f, url, sizeof(url), "http");
                r = make_request("GET", url);
                assert_int_equal(fetch_request_add_header(&r, "X-Good", "1"), 0);
                free(r.headers[0].value);
                r.headers[0].value = strdup(bad[i]); /* past the check of wire/fetch.c */
                assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), 0);
                run_until(f, f->n_done + 1);
                assert_failed(&f->answer, FETCH_NOT_SENT, FETCH_FAILURE_PROTOCOL);
        }
        assert_int_equal(badserver_connections(f->server), 0);
}

static void a_refused_connection_is_not_sent(void **state) {
        char url[64];

        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", badserver_free_port());
        assert_failed(fetch_url(*state, url), FETCH_NOT_SENT, FETCH_FAILURE_CONNECT);
}

/* A39 S9 */
static void what_fails_before_the_end_of_the_handshake_is_not_sent(void **state) {
        static const struct {
                struct badserver_manners manners;
                enum fetch_failure failure;
        } table[] = {
                { { .when = BAD_AT_ONCE, .then = BAD_CLOSE }, FETCH_FAILURE_TLS },
                { { .when = BAD_AT_ONCE, .then = BAD_RESET }, FETCH_FAILURE_TLS },
                { { .when = BAD_AFTER_BYTES, .then = BAD_CLOSE }, FETCH_FAILURE_TLS },
                { { .when = BAD_AFTER_BYTES, .then = BAD_RESET }, FETCH_FAILURE_TLS },
                { { .when = BAD_AFTER_BYTES, .then = BAD_CLOSE, .answer = OK "\r\nhello" },
                  FETCH_FAILURE_TLS },
                { { .when = BAD_AFTER_BYTES,
                    .then = BAD_HANG,
                    .answer = "\x16\x03\x03\x00\x04zzzz",
                    .n_answer = 9 },
                  FETCH_FAILURE_TLS },
                { { .when = BAD_AFTER_BYTES, .then = BAD_HANG }, FETCH_FAILURE_TIMEOUT },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct fetch_request r;
                char url[64];

                make_url(f, url, sizeof(url), "https");
                r = make_request("POST", url);
                if (table[i].failure == FETCH_FAILURE_TIMEOUT)
                        r.timeout_msec = 300;
                assert_int_equal(buf_append_str(&r.body, "secret"), 0);
                badserver_set(f->server, &table[i].manners);
                assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), 0);
                run_until(f, f->n_done + 1);
                assert_failed(&f->answer, FETCH_NOT_SENT, table[i].failure);
                assert_int_equal(f->answer.reached, 0);
        }
        assert_int_equal(badserver_requests(f->server), 0);
        assert_null(strstr(badserver_received(f->server), "secret"));
}

/* ---- in doubt ---- */

/* A39 A229 S9 */
static void what_fails_after_the_handshake_is_in_doubt(void **state) {
        static const struct {
                struct badserver_manners manners;
                enum fetch_failure failure;
        } table[] = {
                { { .then = BAD_CLOSE }, FETCH_FAILURE_CUT },
                { { .then = BAD_RESET }, FETCH_FAILURE_CUT },
                { { .then = BAD_HANG }, FETCH_FAILURE_TIMEOUT },
                { { .then = BAD_HANG, .answer = "HTTP/1.1 2" }, FETCH_FAILURE_TIMEOUT },
                { { .then = BAD_HANG, .answer = OK "Content-Length: 9\r\n\r\nhalf" },
                  FETCH_FAILURE_TIMEOUT },
                { { .then = BAD_RESET, .answer = OK "Content-Length: 9\r\n\r\nhalf" },
                  FETCH_FAILURE_CUT },
                { { .answer = OK "Transfer-Encoding: chunked\r\n\r\n5\r\nab" }, FETCH_FAILURE_CUT },
                { { .answer = OK "Transfer-Encoding: chunked\r\n\r\nzz\r\nab" },
                  FETCH_FAILURE_CUT },
                { { .answer = "garbage\r\n\r\n" }, FETCH_FAILURE_PROTOCOL },
                { { .answer = "\0\1\2\3\r\n", .n_answer = 6 }, FETCH_FAILURE_PROTOCOL },
                { { .answer = "SSH-2.0-OpenSSH_9.2\r\n" }, FETCH_FAILURE_PROTOCOL },
                { { .answer = "HTTP/9.9 200 OK\r\n\r\n" }, FETCH_FAILURE_PROTOCOL },
                { { .answer = "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n" },
                  FETCH_FAILURE_PROTOCOL },
                { { .answer = OK "bad name: x\r\n\r\n" }, FETCH_FAILURE_PROTOCOL },
                { { .answer = OK "no colon\r\n\r\n" }, FETCH_FAILURE_PROTOCOL },
                { { .answer = OK " folded onto nothing\r\n\r\n" }, FETCH_FAILURE_PROTOCOL },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct fetch_request r;
                char url[64];

                make_url(f, url, sizeof(url), "http");
                r = make_request("POST", url);
                if (table[i].failure == FETCH_FAILURE_TIMEOUT)
                        r.timeout_msec = 300;
                badserver_set(f->server, &table[i].manners);
                assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), 0);
                run_until(f, f->n_done + 1);
                if (f->answer.outcome != FETCH_NO_ANSWER || f->answer.failure != table[i].failure)
                        fail_msg("%zu: %s %s %s", i, fetch_outcome_name(f->answer.outcome),
                                 fetch_failure_name(f->answer.failure), f->answer.reason);
                assert_failed(&f->answer, FETCH_NO_ANSWER, table[i].failure);
                assert_int_equal(f->answer.reached, LOOPBACK);
                assert_int_equal(badserver_requests(f->server), i + 1); /* never twice */
        }
}

/* An answer that is cut anywhere is no answer. */
static void an_answer_cut_at_any_byte_is_in_doubt(void **state) {
        static const char whole[] = OK "Content-Type: application/json\r\nContent-Length: 8\r\n\r\n"
                                       "{\"a\": 1}";
        struct fixture *f = *state;

        for (size_t n = 1; n < strlen(whole); n++) {
                struct badserver_manners m = { .answer = whole, .n_answer = n };

                assert_int_equal(fetch(f, &m)->outcome, FETCH_NO_ANSWER);
                assert_int_equal(badserver_requests(f->server), n);
        }
        assert_int_equal(fetch_answered_by(f, whole)->outcome, FETCH_ANSWERED);
}

/* A39 S9 */
static void endless_bodies_and_headers_end_at_their_limit(void **state) {
        static const struct badserver_manners table[] = {
                { .then = BAD_REPEAT, .prologue = OK "\r\n", .answer = "0123456789abcdef" },
                { .then = BAD_REPEAT,
                  .prologue = OK "Transfer-Encoding: chunked\r\n\r\n",
                  .answer = "10\r\n0123456789abcdef\r\n" },
                { .then = BAD_REPEAT, .prologue = OK, .answer = "X-Again: 0123456789abcdef\r\n" },
                { .then = BAD_REPEAT, .prologue = OK "X-Long: ", .answer = "0123456789abcdef" },
                { .then = BAD_REPEAT, .answer = "HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n" },
                { .then = BAD_CLOSE, .answer = OK "Content-Length: 4097\r\n\r\n", .n_answer = 0 },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i + 1 < ARRAY_SIZE(table); i++) {
                const struct fetch_answer *a = fetch(f, &table[i]);

                assert_int_equal(a->outcome, FETCH_NO_ANSWER);
                /* libcurl has a limit of its own for one line, and calls that a protocol error
                 * or out of memory. */
                if (i != 3)
                        assert_failed(a, FETCH_NO_ANSWER, FETCH_FAILURE_TOO_LARGE);
        }
}

/* S9 */
static void a_body_may_be_as_large_as_allowed_and_not_larger(void **state) {
        AUTO_BUF struct buf text = BUF_INIT;
        struct badserver_manners m = { 0 };

        assert_int_equal(buf_append_str(&text, OK "\r\n"), 0);
        for (int i = 0; i < 4096; i++)
                assert_int_equal(buf_append(&text, "x", 1), 0);
        m.answer = text.data;
        assert_int_equal(fetch(*state, &m)->outcome, FETCH_ANSWERED);
        assert_int_equal(((struct fixture *)*state)->answer.body.len, 4096);
        assert_int_equal(buf_append(&text, "x", 1), 0);
        m.answer = text.data;
        assert_failed(fetch(*state, &m), FETCH_NO_ANSWER, FETCH_FAILURE_TOO_LARGE);
}

/* ---- many, and none ---- */

static void a_cancelled_fetch_is_not_told(void **state) {
        struct fixture *f = *state;
        struct fetch_request r;
        char url[64];

        make_url(f, url, sizeof(url), "http");
        r = make_request("GET", url);
        assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), 0);
        settle(f);
        assert_int_equal(badserver_requests(f->server), 1);
        assert_int_equal(http_cancel(f->http, 7), 0);
        assert_int_equal(http_cancel(f->http, 7), -ENOENT);

        r = make_request("GET", "http://example.com/"); /* refused, and not told yet */
        assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), 0);
        assert_int_equal(http_cancel(f->http, 7), 0);
        settle(f);
        assert_int_equal(f->n_done, 0);
}

/* S9 */
static void there_is_a_limit_to_fetches_at_once(void **state) {
        struct fixture *f = *state;
        struct fetch_request r;
        char url[64];

        make_url(f, url, sizeof(url), "http");
        for (uint64_t i = 0; i < LIMIT_FETCHES; i++) {
                r = make_request("GET", url);
                r.id = i;
                assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), 0);
        }
        r = make_request("GET", url);
        assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), -EEXIST);
        r.id = LIMIT_FETCHES;
        assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), -EBUSY);
        assert_non_null(r.url); /* still ours */
        assert_int_equal(http_cancel(f->http, 0), 0);
        assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), 0);
        settle(f);
        assert_int_equal(badserver_requests(f->server), LIMIT_FETCHES);
        assert_int_equal(f->n_done, 0);
}

static void on_done_again(struct fetch_answer *a, void *userdata) {
        struct fixture *f = userdata;
        struct fetch_request r;
        char url[64];

        fixture_on_done(a, f);
        if (f->n_done >= 5)
                return;
        make_url(f, url, sizeof(url), "http");
        r = make_request("GET", f->n_done % 2 ? url : "http://example.com/");
        assert_int_equal(http_fetch(f->http, &r, on_done_again, f), 0);
}

static void a_callback_may_start_the_next_fetch(void **state) {
        static const struct badserver_manners fine = { .answer = OK "Content-Length: 0\r\n\r\n" };
        struct fixture *f = *state;
        struct fetch_request r;
        char url[64];

        badserver_set(f->server, &fine);
        make_url(f, url, sizeof(url), "http");
        r = make_request("GET", url);
        assert_int_equal(http_fetch(f->http, &r, on_done_again, f), 0);
        run_until(f, 5);
}

static void own_certificates_must_be_readable(void **state) {
        struct fixture *f = *state;
        struct http_options o = { .ca_file = "/nonexistent/ca.pem" };
        struct http *h = NULL;
        struct error err = ERROR_INIT;

        assert_int_equal(http_new(f->event, &o, &h, &err), -ENOENT);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
        assert_null(h);
}

/* ---- running out of memory ---- */

static int fetch_short_of_memory(void *userdata) {
        struct fixture *f = userdata;
        struct fetch_request r;
        struct http *h = NULL;
        unsigned n = f->n_done;
        char url[64];
        int e;

        fetch_request_init(&r);
        make_url(f, url, sizeof(url), "http");
        e = fetch_request_set(&r, "POST", url);
        if (e == 0)
                e = fetch_request_add_header(&r, "Authorization", "Basic Zm9v");
        if (e == 0)
                e = buf_append_str(&r.body, "a=b");
        r.allow = LOOPBACK;
        r.timeout_msec = 5000;
        r.body_max = 4096;
        if (e == 0)
                e = http_new(f->event, &(struct http_options){ 0 }, &h, NULL);
        if (e == 0)
                e = http_fetch(h, &r, fixture_on_done, f);
        if (e == 0) {
                run_until(f, n + 1);
                e = f->answer.outcome == FETCH_ANSWERED ? 0 : -ENOMEM;
        }
        fetch_request_done(&r);
        (void)http_free(h);
        return e;
}

static void every_allocation_may_fail(void **state) {
        static const struct badserver_manners fine = { .answer = OK "Content-Length: 2\r\n\r\n{}" };
        struct fixture *f = *state;

        badserver_set(f->server, &fine);
        assert_true(oom_sweep_any(fetch_short_of_memory, f) > 20);
}

/* ---- what is freed ---- */

/* S1: no block that is given back to the heap, by us or by libcurl, holds what was secret. */
static volatile bool watch_frees; /* volatile: the compiler thinks it knows what free() does */
static volatile unsigned n_dirty;
static const char *const secrets[] = { "SECRET-IN-HEADER", "SECRET-IN-BODY", "SECRET-IN-ANSWER" };

void __real_free(void *p);
void __wrap_free(void *p);

void __wrap_free(void *p) {
        size_t n = p && watch_frees ? malloc_usable_size(p) : 0;

        for (size_t i = 0; n > 0 && i < ARRAY_SIZE(secrets); i++)
                if (memmem(p, n, secrets[i], strlen(secrets[i])))
                        n_dirty++;
        __real_free(p);
}

static bool under_valgrind(void) {
        FILE *maps = fopen("/proc/self/maps", "re");
        char line[512];
        bool found = false;

        while (maps && !found && fgets(line, sizeof(line), maps))
                found = strstr(line, "/vgpreload") != NULL;
        if (maps)
                (void)fclose(maps);
        return found;
}

/* S1 */
static void secrets_are_wiped_before_their_memory_is_freed(void **state) {
        struct fixture *f = *state;
        static const struct badserver_manners m = {
                .answer = OK "Content-Length: 30\r\nX-Token: SECRET-IN-ANSWER\r\n\r\n"
                             "{\"token\": \"SECRET-IN-ANSWER\"}  "
        };
        struct fetch_request r;
        char *volatile witness; /* or the compiler leaves both calls out */
        char url[64];

        if (under_valgrind())
                skip(); /* it minds that bytes are looked at that were never written */
        make_url(f, url, sizeof(url), "http");
        r = make_request("POST", url);
        assert_int_equal(fetch_request_add_header(&r, "Authorization", "Bearer SECRET-IN-HEADER"),
                         0);
        assert_int_equal(buf_append_str(&r.body, "refresh_token=SECRET-IN-BODY"), 0);
        badserver_set(f->server, &m);
        watch_frees = true;
        n_dirty = 0;
        witness = strdup("SECRET-IN-HEADER");
        free(witness); /* the watch works */
        assert_int_equal(n_dirty, 1);
        n_dirty = 0;
        assert_int_equal(http_fetch(f->http, &r, fixture_on_done, f), 0);
        run_until(f, 1);
        assert_int_equal(f->answer.outcome, FETCH_ANSWERED);
        fetch_answer_done(&f->answer);
        f->http = http_free(f->http);
        watch_frees = false;
        assert_int_equal(n_dirty, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, fixture_tear_down)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(an_answer_comes_whole_with_its_headers_in_order),
                TEST(bodies_end_as_http_says),
                TEST(interim_answers_and_trailers_leave_nothing_behind),
                TEST(redirects_are_answers_and_are_not_followed),
                TEST(a_post_arrives_as_it_was_given_and_once),
                TEST(a_large_body_is_sent_without_asking_first),
                TEST(no_connection_carries_two_requests),
                TEST(the_environment_has_no_say),
                TEST(what_may_not_be_asked_is_not_sent),
                TEST(a_header_cannot_smuggle_a_line),
                TEST(a_refused_connection_is_not_sent),
                TEST(what_fails_before_the_end_of_the_handshake_is_not_sent),
                TEST(what_fails_after_the_handshake_is_in_doubt),
                TEST(an_answer_cut_at_any_byte_is_in_doubt),
                TEST(endless_bodies_and_headers_end_at_their_limit),
                TEST(a_body_may_be_as_large_as_allowed_and_not_larger),
                TEST(a_cancelled_fetch_is_not_told),
                TEST(there_is_a_limit_to_fetches_at_once),
                TEST(a_callback_may_start_the_next_fetch),
                TEST(own_certificates_must_be_readable),
                TEST(every_allocation_may_fail),
                TEST(secrets_are_wiped_before_their_memory_is_freed),
        };

        if (http_init() < 0)
                return 1;
        return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
