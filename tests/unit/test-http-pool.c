/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are used again. libcurl's clock is one that the test moves: the C library's is
 * replaced by a double, as far as it is monotonic. The loop's timers run by another one.
 */
#include "config.h"

#include <sys/syscall.h>
#include <time.h>

#include "badserver.h"
#include "http/stream.h"
#include "loop/loop.h"
#include "oom.h"
#include "test.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define PATIENCE_USEC (60 * USEC_PER_SEC)

static time_t later; /* seconds that the clock is ahead */

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *ts) {
        int r = (int)syscall(SYS_clock_gettime, id, ts);

        if (r == 0 && (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_RAW))
                ts->tv_sec += later;
        return r;
}

static uint64_t n_bytes; /* of bodies */

static const struct badserver_manners fine = { .answer = OK "Content-Length: 4\r\n\r\nbody",
                                               .then = BAD_HANG };

static void new_client(struct fixture *f, unsigned connect_msec) {
        struct http_options options = { .ca_file = badserver_ca_file(),
                                        .connect_msec = connect_msec,
                                        .keep_alive = true };

        f->http = http_free(f->http);
        assert_int_equal(http_new(f->event, &options, &f->http, NULL), 0);
}

static int set_up(void **state) {
        later = 0;
        n_bytes = 0;
        (void)fixture_set_up(state, &fine);
        new_client(*state, 0);
        return 0;
}

static int on_body(struct http_stream *s, const char *data, size_t len, void *userdata) {
        n_bytes += len;
        return 0;
}

static void on_end(struct http_stream *s, struct fetch_answer *a, void *userdata) {
        fixture_on_done(a, userdata);
}

static const struct http_stream_ops ops = { .on_body = on_body, .on_end = on_end };

static struct fetch_request make_request(struct fixture *f, const char *method) {
        struct fetch_request q;
        char url[64];

        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/mcp", badserver_port(f->server));
        fetch_request_init(&q);
        assert_int_equal(fetch_request_set(&q, method, url), 0);
        q.allow = ADDRESS_LOOPBACK;
        if (streq(method, "POST"))
                assert_int_equal(buf_append_str(&q.body, "{}"), 0);
        return q;
}

static struct http_stream *open_stream(struct fixture *f, const char *method) {
        struct fetch_request q = make_request(f, method);
        struct http_stream *s = NULL;

        assert_int_equal(http_stream_open(f->http, &q, &ops, f, &s), 0);
        return s;
}

/* A request that has no end of its own is a failure here, and not a test that hangs. */
static void run_until(struct fixture *f, unsigned n_done) {
        while (f->n_done < n_done)
                assert_true(sd_event_run(f->event, PATIENCE_USEC) > 0);
}

static void settle(struct fixture *f) {
        while (sd_event_run(f->event, 20 * USEC_PER_MSEC) > 0)
                ;
}

static void request(struct fixture *f, const char *method) {
        (void)open_stream(f, method);
        run_until(f, f->n_done + 1);
}

static void assert_answered(const struct fixture *f) {
        assert_int_equal(f->answer.outcome, FETCH_ANSWERED);
        assert_int_equal(f->answer.status, 200);
}

static void assert_seen(const struct fixture *f, unsigned n_connections, unsigned n_requests) {
        assert_int_equal(badserver_connections(f->server), n_connections);
        assert_int_equal(badserver_requests(f->server), n_requests);
}

/* ---- used again ---- */

static void requests_share_a_connection(void **state) {
        static const char *const methods[] = { "POST", "GET", "POST", "DELETE" };
        struct fixture *f = *state;
        struct fetch_request q;

        for (unsigned i = 0; i < ARRAY_SIZE(methods); i++) {
                request(f, methods[i]);
                assert_answered(f);
                assert_seen(f, 1, i + 1);
        }
        q = make_request(f, "POST");
        q.body_max = 100;
        assert_int_equal(http_fetch(f->http, &q, fixture_on_done, f), 0);
        run_until(f, f->n_done + 1);
        assert_answered(f);
        assert_seen(f, 1, ARRAY_SIZE(methods) + 1);
}

/* Neither before it nor behind it does anybody have the connection of such a request. */
static void what_stands_apart_shares_no_connection(void **state) {
        struct fixture *f = *state;

        request(f, "POST");
        assert_seen(f, 1, 1);
        for (unsigned i = 0; i < 3; i++) {
                struct fetch_request q = make_request(f, "GET");

                q.body_max = 100;
                q.link_local = i == 0;
                if (i == 1)
                        assert_int_equal(buf_append_str(&q.ca_pem, "x"), 0);
                if (i == 2) {
                        assert_int_equal(buf_append_str(&q.cert_pem, "x"), 0);
                        assert_int_equal(buf_append_str(&q.key_pem, "x"), 0);
                }
                assert_int_equal(http_fetch(f->http, &q, fixture_on_done, f), 0);
                run_until(f, f->n_done + 1);
                assert_answered(f);
                assert_seen(f, i + 2, i + 2);
        }
        request(f, "POST");
        assert_seen(f, 4, 5);
}

static void an_answer_under_way_keeps_its_connection_for_itself(void **state) {
        static const struct badserver_manners half = { .answer = OK "Content-Length: 8\r\n\r\nbody",
                                                       .then = BAD_HANG };
        struct fixture *f = *state;

        badserver_set(f->server, &half);
        (void)open_stream(f, "GET");
        while (n_bytes < 4)
                assert_true(sd_event_run(f->event, PATIENCE_USEC) > 0);
        badserver_set(f->server, &fine);
        request(f, "POST");
        assert_answered(f);
        assert_seen(f, 2, 2);
}

static void what_is_closed_in_between_is_not_used_again(void **state) {
        static const struct badserver_manners half = { .answer = OK "Content-Length: 8\r\n\r\nbody",
                                                       .then = BAD_HANG };
        struct fixture *f = *state;
        struct http_stream *s;

        badserver_set(f->server, &half);
        s = open_stream(f, "GET");
        while (n_bytes < 4)
                assert_true(sd_event_run(f->event, PATIENCE_USEC) > 0);
        assert_null(http_stream_close(s));
        badserver_set(f->server, &fine);
        request(f, "POST");
        assert_answered(f);
        assert_seen(f, 2, 2);
}

static void a_server_that_wants_to_close_may(void **state) {
        static const struct badserver_manners m = {
                .answer = OK "Connection: close\r\nContent-Length: 4\r\n\r\nbody", .then = BAD_HANG
        };
        struct fixture *f = *state;

        badserver_set(f->server, &m);
        for (unsigned i = 1; i <= 3; i++) {
                request(f, "POST");
                assert_answered(f);
                assert_seen(f, i, i);
        }
}

/* S8 */
static void each_request_is_judged_by_its_own_rule(void **state) {
        struct fixture *f = *state;
        struct http_stream *s = NULL;
        struct fetch_request q;

        request(f, "POST");
        q = make_request(f, "POST");
        q.allow = ADDRESS_PUBLIC | ADDRESS_PRIVATE;
        assert_int_equal(http_stream_open(f->http, &q, &ops, f, &s), 0);
        run_until(f, 2);
        assert_int_equal(f->answer.outcome, FETCH_NOT_SENT);
        assert_int_equal(f->answer.failure, FETCH_FAILURE_ADDRESS);
        assert_seen(f, 1, 1);
}

/* ---- never twice ---- */

static void a_stale_connection_makes_no_request_be_sent_twice(void **state) {
        static const char *const methods[] = { "POST", "GET", "DELETE" };
        static const enum badserver_then ends[] = { BAD_CLOSE, BAD_RESET };
        struct fixture *f = *state;
        unsigned n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(methods) * ARRAY_SIZE(ends); i++) {
                struct badserver_manners gone = { .then = ends[i % ARRAY_SIZE(ends)] };

                badserver_set(f->server, &fine);
                request(f, "POST");
                assert_answered(f);
                badserver_set(f->server, &gone);
                request(f, methods[i / ARRAY_SIZE(ends)]);
                assert_int_equal(f->answer.outcome, FETCH_NO_ANSWER);
                assert_int_equal(f->answer.failure, FETCH_FAILURE_CUT);
                settle(f);
                n++;
                assert_seen(f, n, 2 * n);
        }
        badserver_set(f->server, &fine);
        request(f, "POST");
        assert_answered(f);
}

/* The other connection is a used one too, so that nothing new would have to be opened. */
static void nor_does_it_go_to_another_that_waits(void **state) {
        static const struct badserver_manners quiet = { .then = BAD_HANG };
        static const struct badserver_manners gone = { .then = BAD_CLOSE };
        struct fixture *f = *state;

        badserver_set(f->server, &quiet);
        (void)open_stream(f, "GET");
        (void)open_stream(f, "GET");
        while (badserver_requests(f->server) < 2)
                assert_true(sd_event_run(f->event, PATIENCE_USEC) > 0);
        badserver_say(f->server, OK "Content-Length: 4\r\n\r\nbody");
        run_until(f, 2);
        badserver_set(f->server, &gone);
        request(f, "POST");
        assert_int_equal(f->answer.outcome, FETCH_NO_ANSWER);
        assert_int_equal(f->answer.failure, FETCH_FAILURE_CUT);
        settle(f);
        assert_seen(f, 2, 3);
}

static void a_fetch_is_not_sent_twice_either(void **state) {
        static const struct badserver_manners gone = { .then = BAD_CLOSE };
        struct fixture *f = *state;
        struct fetch_request q = make_request(f, "POST");

        request(f, "POST");
        badserver_set(f->server, &gone);
        q.body_max = 100;
        assert_int_equal(http_fetch(f->http, &q, fixture_on_done, f), 0);
        run_until(f, 2);
        assert_int_equal(f->answer.outcome, FETCH_NO_ANSWER);
        assert_int_equal(f->answer.failure, FETCH_FAILURE_CUT);
        settle(f);
        assert_seen(f, 1, 2);
}

static void a_connection_known_to_be_closed_is_not_used(void **state) {
        struct fixture *f = *state;

        request(f, "POST");
        badserver_hang_up(f->server, false);
        settle(f);
        request(f, "POST");
        assert_answered(f);
        assert_seen(f, 2, 2);
}

/* ---- time ---- */

static void idle_connections_are_given_up_before_the_server_does(void **state) {
        static const struct {
                const char *answer;
                time_t fresh; /* still used after so long, */
                time_t old;   /* and not any more after this */
        } table[] = {
                { OK "Content-Length: 0\r\n\r\n", 54, 55 },
                { OK "Keep-Alive: timeout=300\r\nContent-Length: 0\r\n\r\n", 54, 55 },
                { OK "Keep-Alive: timeout=5, max=9\r\nContent-Length: 0\r\n\r\n", 3, 4 },
                { OK "Keep-Alive: timeout=2\r\nContent-Length: 0\r\n\r\n", 0, 1 },
                { OK "Keep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n", -1, 0 },
        };
        struct fixture *f = *state;
        unsigned n_connections = 0;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct badserver_manners m = { .answer = table[i].answer, .then = BAD_HANG };

                new_client(f, 0);
                badserver_set(f->server, &m);
                request(f, "POST");
                assert_int_equal(badserver_connections(f->server), ++n_connections);
                if (table[i].fresh >= 0) {
                        later += table[i].fresh;
                        request(f, "POST");
                        assert_int_equal(badserver_connections(f->server), n_connections);
                }
                later += table[i].old;
                request(f, "POST");
                assert_answered(f);
                assert_int_equal(badserver_connections(f->server), ++n_connections);
        }
}

static void a_silent_stream_lives_on(void **state) {
        static const struct badserver_manners m = { .answer = OK "Content-Length: 8\r\n\r\nbody",
                                                    .then = BAD_HANG };
        struct fixture *f = *state;

        badserver_set(f->server, &m);
        (void)open_stream(f, "GET");
        while (n_bytes < 4)
                assert_true(sd_event_run(f->event, PATIENCE_USEC) > 0);
        for (int i = 0; i < 5; i++) {
                later += 86400;
                badserver_set(f->server, &fine);
                request(f, "POST"); /* libcurl looks at its clock */
                assert_answered(f);
        }
        assert_int_equal(n_bytes, 4 + 5 * 4);
        badserver_say(f->server, "more");
        run_until(f, 6);
        assert_answered(f);
        assert_int_equal(n_bytes, 4 + 5 * 4 + 4);
}

static void the_time_to_connect_may_be_set(void **state) {
        static const struct badserver_manners silent = { .then = BAD_HANG };
        struct fixture *f = *state;
        struct http_stream *s = NULL;
        struct fetch_request q;
        char url[64];

        new_client(f, 100);
        badserver_set(f->server, &silent);
        (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/", badserver_port(f->server));
        fetch_request_init(&q);
        assert_int_equal(fetch_request_set(&q, "GET", url), 0);
        q.allow = ADDRESS_LOOPBACK;
        assert_int_equal(http_stream_open(f->http, &q, &ops, f, &s), 0);
        run_until(f, 1);
        assert_int_equal(f->answer.outcome, FETCH_NOT_SENT);
        assert_int_equal(f->answer.failure, FETCH_FAILURE_TIMEOUT);
}

/* ---- running out of memory ---- */

static int ask(struct fixture *f, struct http *h) {
        struct http_stream *s = NULL;
        struct fetch_request q;
        char url[64];
        int r;

        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/mcp", badserver_port(f->server));
        fetch_request_init(&q);
        r = fetch_request_set(&q, "POST", url);
        q.allow = ADDRESS_LOOPBACK;
        if (r == 0)
                r = http_stream_open(h, &q, &ops, f, &s);
        fetch_request_done(&q);
        if (r < 0)
                return r;
        run_until(f, f->n_done + 1);
        return f->answer.outcome == FETCH_ANSWERED ? 0 : -ENOMEM;
}

static int ask_twice_short_of_memory(void *userdata) {
        struct http_options options = { .keep_alive = true };
        struct fixture *f = userdata;
        struct http *h = NULL;
        int r = http_new(f->event, &options, &h, NULL);

        if (r == 0)
                r = ask(f, h);
        if (r == 0)
                r = ask(f, h);
        (void)http_free(h);
        return r;
}

static void every_allocation_may_fail(void **state) {
        static const struct badserver_manners m = {
                .answer = OK "Keep-Alive: timeout=9\r\nContent-Length: 2\r\n\r\n{}",
                .then = BAD_HANG
        };
        struct fixture *f = *state;

        badserver_set(f->server, &m);
        assert_true(oom_sweep_any(ask_twice_short_of_memory, f) > 20);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, fixture_tear_down)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(requests_share_a_connection),
                TEST(what_stands_apart_shares_no_connection),
                TEST(an_answer_under_way_keeps_its_connection_for_itself),
                TEST(what_is_closed_in_between_is_not_used_again),
                TEST(a_server_that_wants_to_close_may),
                TEST(each_request_is_judged_by_its_own_rule),
                TEST(a_stale_connection_makes_no_request_be_sent_twice),
                TEST(nor_does_it_go_to_another_that_waits),
                TEST(a_fetch_is_not_sent_twice_either),
                TEST(a_connection_known_to_be_closed_is_not_used),
                TEST(idle_connections_are_given_up_before_the_server_does),
                TEST(a_silent_stream_lives_on),
                TEST(the_time_to_connect_may_be_set),
                TEST(every_allocation_may_fail),
        };

        if (http_init() < 0)
                return 1;
        return cmocka_run_group_tests_name("http-pool", tests, NULL, NULL);
}
