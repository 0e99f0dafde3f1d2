/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to a UNIX socket, by HTTP/2 with prior knowledge. The server runs on the loop of the
 * test itself: it reads, and at the first request writes what the test gave it.
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/buf.h"
#include "http/stream.h"
#include "loop/loop.h"
#include "test.h"
#include "tmp.h"

#define PATIENCE_USEC (60 * USEC_PER_SEC)

/* Frames of HTTP/2: length, kind, flags, stream. The request is stream 1. */
#define FRAME(len, kind, flags, stream) "\0\0" len kind flags "\0\0\0" stream
#define HELLO FRAME("\0", "\4", "\0", "\0") FRAME("\0", "\4", "\1", "\0")
#define HEAD_200 FRAME("\1", "\1", "\4", "\1") "\x88"
#define BODY(len, text) FRAME(len, "\0", "\0", "\1") text
/* grpc-status: 7, as a literal; ends the stream */
#define STATUS_7              \
        "\0\x0bgrpc-status\1" \
        "7"
#define TRAILERS FRAME("\x0f", "\1", "\5", "\1") STATUS_7
#define HEAD_WITH_STATUS FRAME("\x10", "\1", "\5", "\1") "\x88" STATUS_7

/* "te: trailers" as every encoder that is sparing writes it. */
static const char te_trailers[] = "\x02te\x86\x4d\x83\x35\x05\xb1\x1f";

struct world {
        sd_event *event;
        struct http *http;
        char *folder;
        char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
        int listener;
        int connection;
        sd_event_source *accept;
        sd_event_source *io;
        const char *says;
        size_t n_says;
        bool hangs_up;
        bool said;
        unsigned n_connections;
        struct buf got;
        struct buf body; /* of the answer */
        struct fetch_answer answer;
        unsigned n_done;
};

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        struct world *w = userdata;
        char data[4096];
        ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

        if (n <= 0) {
                w->io = loop_source_free(w->io);
                return 0;
        }
        assert_int_equal(buf_append(&w->got, data, (size_t)n), 0);
        /* The settings of the client come first, alone or with its request. */
        if (w->said || w->got.len < 100)
                return 0;
        w->said = true;
        assert_int_equal(send(fd, w->says, w->n_says, MSG_NOSIGNAL), w->n_says);
        if (w->hangs_up)
                assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
        return 0;
}

static int on_accept(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        struct world *w = userdata;

        w->connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        assert_true(w->connection >= 0);
        w->n_connections++;
        assert_true(sd_event_add_io(w->event, &w->io, w->connection, EPOLLIN, on_io, w) >= 0);
        return 0;
}

static void listen_at(struct world *w) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        memcpy(a.sun_path, w->path, sizeof(a.sun_path));
        w->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(w->listener >= 0);
        assert_int_equal(bind(w->listener, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(listen(w->listener, 4), 0);
        assert_true(sd_event_add_io(w->event, &w->accept, w->listener, EPOLLIN, on_accept, w) >= 0);
}

static int set_up(void **state) {
        struct http_options options = { 0 };
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        *state = w;
        w->connection = -1;
        w->folder = tmp_new();
        (void)snprintf(w->path, sizeof(w->path), "%s/api.sock", w->folder);
        options.unix_socket = w->path;
        assert_int_equal(loop_new(&w->event), 0);
        assert_int_equal(http_new(w->event, &options, &w->http, NULL), 0);
        listen_at(w);
        fetch_answer_init(&w->answer);
        return 0;
}

static int tear_down(void **state) {
        struct world *w = *state;

        (void)http_free(w->http);
        (void)loop_source_free(w->accept);
        (void)loop_source_free(w->io);
        (void)close(w->listener);
        if (w->connection >= 0)
                (void)close(w->connection);
        (void)loop_free(w->event);
        fetch_answer_done(&w->answer);
        buf_done(&w->got);
        buf_done(&w->body);
        tmp_free(w->folder);
        free(w);
        return 0;
}

static void on_done(struct fetch_answer *a, void *userdata) {
        struct world *w = userdata;

        fetch_answer_done(&w->answer);
        w->answer = *a;
        fetch_answer_init(a);
        w->n_done++;
}

static struct fetch_request make_request(const char *url) {
        struct fetch_request r;

        fetch_request_init(&r);
        assert_int_equal(fetch_request_set(&r, "POST", url), 0);
        assert_int_equal(fetch_request_add_header(&r, "Content-Type", "application/grpc"), 0);
        assert_int_equal(fetch_request_add_header(&r, "TE", "trailers"), 0);
        assert_int_equal(buf_append(&r.body, "\0\0\0\0\3abc", 8), 0);
        r.timeout_msec = 5000;
        r.body_max = 4096;
        return r;
}

static void run(struct world *w, const char *url) {
        struct fetch_request r = make_request(url);
        unsigned n = w->n_done;

        assert_int_equal(http_fetch(w->http, &r, on_done, w), 0);
        while (w->n_done == n)
                assert_true(sd_event_run(w->event, PATIENCE_USEC) > 0);
}

#define SAYS(w, text)                           \
        do {                                    \
                (w)->says = (text);             \
                (w)->n_says = sizeof(text) - 1; \
        } while (0)

static bool got(const struct world *w, const char *bytes, size_t n) {
        return w->got.len > 0 && memmem(w->got.data, w->got.len, bytes, n);
}

static void a_call_is_answered_with_its_trailers(void **state) {
        struct world *w = *state;

        SAYS(w, HELLO HEAD_200 BODY("\4", "body") TRAILERS);
        run(w, "http://localhost/Api/Fetch");
        assert_int_equal(w->answer.outcome, FETCH_ANSWERED);
        assert_int_equal(w->answer.status, 200);
        assert_int_equal(w->answer.body.len, 4);
        assert_memory_equal(w->answer.body.data, "body", 4);
        assert_string_equal(fetch_answer_header(&w->answer, "grpc-status"), "7");
        assert_int_equal(w->answer.reached, 0);
        assert_int_equal(w->n_connections, 1);
        assert_ptr_equal(memmem(w->got.data, w->got.len, "PRI * HTTP/2.0", 14), w->got.data);
        assert_true(got(w, te_trailers, sizeof(te_trailers) - 1));
        assert_true(got(w, "\0\0\0\0\3abc", 8));
}

static void an_answer_without_a_body_has_its_status_in_its_head(void **state) {
        struct world *w = *state;

        SAYS(w, HELLO HEAD_WITH_STATUS);
        run(w, "http://localhost/Api/Fetch");
        assert_int_equal(w->answer.outcome, FETCH_ANSWERED);
        assert_int_equal(w->answer.body.len, 0);
        assert_string_equal(fetch_answer_header(&w->answer, "grpc-status"), "7");
}

static void an_answer_that_is_cut_is_none(void **state) {
        struct world *w = *state;

        SAYS(w, HELLO HEAD_200 BODY("\4", "body"));
        w->hangs_up = true;
        run(w, "http://localhost/Api/Fetch");
        assert_int_equal(w->answer.outcome, FETCH_NO_ANSWER);
        assert_int_equal(w->answer.body.len, 0);
        assert_int_equal(w->n_connections, 1); /* and nobody tried again */
}

/* S9 */
static void an_answer_has_its_bound(void **state) {
        struct world *w = *state;
        struct fetch_request r = make_request("http://localhost/Api/Fetch");

        SAYS(w, HELLO HEAD_200 BODY("\4", "body") TRAILERS);
        r.body_max = 3;
        assert_int_equal(http_fetch(w->http, &r, on_done, w), 0);
        while (w->n_done == 0)
                assert_true(sd_event_run(w->event, PATIENCE_USEC) > 0);
        assert_int_equal(w->answer.failure, FETCH_FAILURE_TOO_LARGE);
}

static void what_speaks_no_http_2_is_told_from_an_answer(void **state) {
        struct world *w = *state;

        SAYS(w, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
        w->hangs_up = true;
        run(w, "http://localhost/Api/Fetch");
        assert_int_not_equal(w->answer.outcome, FETCH_ANSWERED);
}

static void nobody_there_is_not_sent(void **state) {
        struct world *w = *state;

        assert_int_equal(unlink(w->path), 0);
        run(w, "http://localhost/Api/Fetch");
        assert_int_equal(w->answer.outcome, FETCH_NOT_SENT);
        assert_int_equal(w->answer.failure, FETCH_FAILURE_CONNECT);
}

/* Such a client has the one way; nor may what frames a message be said through it. */
static void it_goes_to_the_socket_and_nowhere_else(void **state) {
        static const char *const urls[] = { "http://127.0.0.1/", "https://localhost/",
                                            "http://example.com/" };
        struct world *w = *state;
        struct fetch_request r;

        for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
                run(w, urls[i]);
                assert_int_equal(w->answer.outcome, FETCH_NOT_SENT);
                assert_int_equal(w->answer.failure, FETCH_FAILURE_PROTOCOL);
        }
        r = make_request("http://localhost/");
        assert_int_equal(fetch_request_add_header(&r, "TE", "gzip"), 0);
        assert_int_equal(http_fetch(w->http, &r, on_done, w), 0);
        while (w->n_done < 4)
                assert_true(sd_event_run(w->event, PATIENCE_USEC) > 0);
        assert_int_equal(w->answer.failure, FETCH_FAILURE_PROTOCOL);
        assert_int_equal(w->n_connections, 0);
}

/* ---- as it comes ---- */

static int on_body(struct http_stream *s, const char *data, size_t len, void *userdata) {
        struct world *w = userdata;

        return buf_append(&w->body, data, len);
}

static void on_end(struct http_stream *s, struct fetch_answer *a, void *userdata) {
        on_done(a, userdata);
}

static void a_stream_is_read_as_it_comes_and_may_be_left(void **state) {
        static const struct http_stream_ops ops = { .on_body = on_body, .on_end = on_end };
        struct world *w = *state;
        struct fetch_request r = make_request("http://localhost/Api/Watch");
        struct http_stream *s = NULL;

        SAYS(w, HELLO HEAD_200 BODY("\4", "body"));
        assert_int_equal(http_stream_open(w->http, &r, &ops, w, &s), 0);
        while (w->body.len < 4)
                assert_true(sd_event_run(w->event, PATIENCE_USEC) > 0);
        assert_null(http_stream_close(s));
        assert_int_equal(w->n_done, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(a_call_is_answered_with_its_trailers),
                TEST(an_answer_without_a_body_has_its_status_in_its_head),
                TEST(an_answer_that_is_cut_is_none),
                TEST(an_answer_has_its_bound),
                TEST(what_speaks_no_http_2_is_told_from_an_answer),
                TEST(nobody_there_is_not_sent),
                TEST(it_goes_to_the_socket_and_nowhere_else),
                TEST(a_stream_is_read_as_it_comes_and_may_be_left),
        };

        if (http_init() < 0)
                return 1;
        return cmocka_run_group_tests_name("http-local", tests, NULL, NULL);
}
