/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <malloc.h>

#include "badserver.h"
#include "base/limits.h"
#include "http/stream.h"
#include "loop/loop.h"
#include "oom.h"
#include "test.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define PATIENCE_USEC (60 * USEC_PER_SEC)
#define MEGABYTE ((uint64_t)1024 * 1024)

static int set_up(void **state) {
        static const struct badserver_manners hang = { .then = BAD_HANG };

        return fixture_set_up(state, &hang);
}

/* ---- a reader that writes down what it is told ---- */

enum what { HEAD, BODY, END };

struct reader {
        struct fixture *f;
        struct http_stream *stream;
        struct buf told; /* "head 200\n", "body text\n", "end answered none\n" */
        struct fetch_answer end;
        unsigned n_bodies;
        uint64_t n_bytes;
        bool quiet; /* bodies are counted only */
        uint64_t pause_at;
        bool paused;
        bool ended;
        bool gone; /* it must not be told anything any more */
        void (*act)(struct reader *r, enum what what);
        struct reader *other;
        int result; /* of on_body */
};

static void told(struct reader *r, enum what what, const char *text) {
        static const char *const names[] = { "head", "body", "end" };

        assert_false(r->gone);
        assert_false(r->ended);
        if (what != BODY || !r->quiet)
                assert_int_equal(buf_printf(&r->told, "%s %s\n", names[what], text), 0);
        r->ended = what == END;
        if (r->act)
                r->act(r, what);
}

static void on_head(struct http_stream *s, const struct fetch_answer *a, void *userdata) {
        struct reader *r = userdata;
        char text[16];

        assert_ptr_equal(s, r->stream);
        (void)snprintf(text, sizeof(text), "%u", a->status);
        told(r, HEAD, text);
}

static int on_body(struct http_stream *s, const char *data, size_t len, void *userdata) {
        struct reader *r = userdata;

        assert_ptr_equal(s, r->stream);
        assert_true(len > 0);
        r->n_bodies++;
        r->n_bytes += len;
        told(r, BODY, r->quiet ? "" : data);
        return r->result;
}

static void on_end(struct http_stream *s, struct fetch_answer *a, void *userdata) {
        struct reader *r = userdata;
        char text[64];

        assert_ptr_equal(s, r->stream);
        assert_int_equal(a->body.len, 0);
        (void)snprintf(text, sizeof(text), "%s %s", fetch_outcome_name(a->outcome),
                       fetch_failure_name(a->failure));
        r->end = *a;
        fetch_answer_init(a);
        told(r, END, text);
}

static const struct http_stream_ops ops = {
        .on_head = on_head,
        .on_body = on_body,
        .on_end = on_end,
};

static void reader_done(struct reader *r) {
        buf_done(&r->told);
        fetch_answer_done(&r->end);
        r->n_bodies = 0;
        r->n_bytes = 0;
        r->ended = false;
}

/* ---- opening ---- */

static struct fetch_request make_request(const struct fixture *f, const char *method) {
        struct fetch_request q;
        char url[64];

        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/mcp", badserver_port(f->server));
        fetch_request_init(&q);
        assert_int_equal(fetch_request_set(&q, method, url), 0);
        q.allow = ADDRESS_LOOPBACK;
        return q;
}

static void open_request(struct fixture *f, struct fetch_request *q, struct reader *r) {
        r->f = f;
        assert_int_equal(http_stream_open(f->http, q, &ops, r, &r->stream), 0);
        assert_null(q->url);
}

static void open_stream(struct fixture *f, struct reader *r) {
        struct fetch_request q = make_request(f, "GET");

        open_request(f, &q, r);
}

/* A stream that has no end of its own is a failure here, and not a test that hangs. */
static void run_until(struct fixture *f, const bool *done) {
        while (!*done)
                assert_true(sd_event_run(f->event, PATIENCE_USEC) > 0);
}

static void run_until_bytes(struct reader *r, uint64_t n) {
        while (r->n_bytes < n)
                assert_true(sd_event_run(r->f->event, PATIENCE_USEC) > 0);
}

/* Lets everything happen that is ready to. */
static void settle(struct fixture *f) {
        while (sd_event_run(f->event, 20 * USEC_PER_MSEC) > 0)
                ;
}

static void read_answer(struct fixture *f, const struct badserver_manners *m, struct reader *r) {
        badserver_set(f->server, m);
        open_stream(f, r);
        run_until(f, &r->ended);
}

static void assert_told(struct reader *r, const char *text) {
        assert_string_equal(r->told.data ? r->told.data : "", text);
        reader_done(r);
}

/* ---- what is told ---- */

static void an_answer_is_told_as_it_comes(void **state) {
        static const struct badserver_manners m = { .answer =
                                                            OK "Content-Type: text/event-stream\r\n"
                                                               "Transfer-Encoding: chunked\r\n\r\n",
                                                    .then = BAD_HANG };
        struct fixture *f = *state;
        struct reader r = { 0 };

        badserver_set(f->server, &m);
        open_stream(f, &r);
        settle(f);
        assert_string_equal(r.told.data, "head 200\n");
        badserver_say(f->server, "3\r\none\r\n");
        run_until_bytes(&r, 3);
        badserver_say(f->server, "3\r\ntwo\r\n");
        run_until_bytes(&r, 6);
        assert_false(r.ended);
        badserver_say(f->server, "0\r\n\r\n");
        run_until(f, &r.ended);
        assert_int_equal(r.end.status, 200);
        assert_int_equal(r.end.reached, ADDRESS_LOOPBACK);
        assert_string_equal(fetch_answer_header(&r.end, "Content-Type"), "text/event-stream");
        assert_told(&r, "head 200\nbody one\nbody two\nend answered none\n");
}

/* A timer that is due takes a turn of the loop and three system calls. */
static void what_libcurl_wants_at_once_needs_no_timer(void **state) {
        struct fixture *f = *state;
        struct reader r = { 0 };

        settle(f);
        open_stream(f, &r);
        assert_true(sd_event_prepare(f->event) > 0);
        assert_true(sd_event_dispatch(f->event) > 0);
        (void)http_stream_close(r.stream);
}

static void the_head_is_that_of_the_final_answer(void **state) {
        static const struct badserver_manners m = {
                .answer = "HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\n"
                          "HTTP/1.1 103 Early Hints\r\nX-B: 1\r\n\r\n"
                          "HTTP/1.1 202 Accepted\r\nX-C: 1\r\nContent-Length: 0\r\n\r\n"
        };
        struct reader r = { 0 };

        read_answer(*state, &m, &r);
        assert_null(fetch_answer_header(&r.end, "X-A"));
        assert_null(fetch_answer_header(&r.end, "X-B"));
        assert_non_null(fetch_answer_header(&r.end, "X-C"));
        assert_told(&r, "head 202\nend answered none\n");
}

/* A229 */
static void an_answer_that_is_cut_is_in_doubt_and_what_came_was_told(void **state) {
        static const struct badserver_manners table[] = {
                { .answer = OK "Content-Length: 9\r\n\r\npart" },
                { .answer = OK "Transfer-Encoding: chunked\r\n\r\n9\r\npart" },
                { .answer = OK "Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct reader r = { 0 };

                read_answer(*state, &table[i], &r);
                assert_int_equal(r.end.status, 0);
                assert_int_equal(r.end.n_headers, 0);
                assert_non_null(r.end.reason);
                assert_told(&r, "head 200\nbody part\nend no_answer cut\n");
        }
}

static void without_a_head_nothing_but_the_end_is_told(void **state) {
        static const struct {
                struct badserver_manners m;
                const char *told;
        } table[] = {
                { { .answer = NULL }, "end no_answer cut\n" },
                { { .answer = "HTTP/1.1 200 OK\r\nX-A: b\r\n", .then = BAD_RESET },
                  "end no_answer cut\n" },
                { { .answer = "SSH-2.0-OpenSSH_9.2\r\n" }, "end no_answer protocol\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct reader r = { 0 };

                read_answer(*state, &table[i].m, &r);
                assert_told(&r, table[i].told);
        }
}

/* A6 */
static void redirects_are_answers_and_are_not_followed(void **state) {
        static const struct badserver_manners hang = { .then = BAD_HANG };
        static const unsigned codes[] = { 301, 302, 303, 307, 308 };
        struct fixture *f = *state;
        struct badserver *second = badserver_new(f->event, &hang);

        for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
                struct badserver_manners m = { 0 };
                struct reader r = { 0 };
                char text[128];

                (void)snprintf(text, sizeof(text),
                               "HTTP/1.1 %u R\r\nLocation: http://127.0.0.1:%u/\r\n"
                               "Content-Length: 0\r\n\r\n",
                               codes[i], badserver_port(second));
                m.answer = text;
                read_answer(f, &m, &r);
                assert_int_equal(r.end.status, codes[i]);
                reader_done(&r);
        }
        settle(f);
        assert_int_equal(badserver_connections(second), 0);
        (void)badserver_free(second);
}

/* ---- what is sent ---- */

static void each_method_is_sent_as_it_was_given(void **state) {
        static const char *const methods[] = { "GET", "POST", "DELETE" };
        static const struct badserver_manners m = { .answer = OK "Content-Length: 0\r\n\r\n" };
        struct fixture *f = *state;

        badserver_set(f->server, &m);
        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                struct fetch_request q = make_request(f, methods[i]);
                struct reader r = { 0 };
                char line[64];
                const char *got;

                assert_int_equal(fetch_request_add_header(&q, "Mcp-Session-Id", "s1"), 0);
                if (streq(methods[i], "POST"))
                        assert_int_equal(buf_append_str(&q.body, "{\"a\":1}"), 0);
                open_request(f, &q, &r);
                run_until(f, &r.ended);
                (void)snprintf(line, sizeof(line), "%s /mcp HTTP/1.1\r\n", methods[i]);
                got = strstr(badserver_received(f->server), line);
                assert_non_null(got);
                assert_non_null(strstr(got, "\r\nMcp-Session-Id: s1\r\n"));
                assert_int_equal(strstr(got, "{\"a\":1}") != NULL, streq(methods[i], "POST"));
                assert_told(&r, "head 200\nend answered none\n");
        }
        assert_int_equal(badserver_requests(f->server), ARRAY_SIZE(methods));
}

/* S8 */
static void what_may_not_be_asked_is_not_sent_and_told_later(void **state) {
        static const struct {
                const char *method;
                const char *url;
                unsigned allow;
                const char *told;
        } table[] = {
                { "PUT", NULL, ADDRESS_LOOPBACK, "end not_sent protocol\n" },
                { "GET", "http://example.com/", ADDRESS_PUBLIC, "end not_sent protocol\n" },
                { "GET", "https://127.0.0.1:1/", ADDRESS_PUBLIC, "end not_sent address\n" },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct fetch_request q = make_request(f, table[i].method);
                struct reader r = { 0 };

                q.allow = table[i].allow;
                if (table[i].url)
                        assert_int_equal(fetch_request_set(&q, table[i].method, table[i].url), 0);
                open_request(f, &q, &r);
                assert_false(r.ended);
                run_until(f, &r.ended);
                assert_told(&r, table[i].told);
        }
        assert_int_equal(badserver_connections(f->server), 0);
}

/* ---- much, and no faster than it is taken ---- */

static size_t in_use(void) {
        return mallinfo2().uordblks + mallinfo2().hblkhd;
}

static void watch_memory(struct reader *r, enum what what) {
        static size_t before;

        if (what == HEAD)
                before = in_use();
        else
                assert_true(in_use() < before + MEGABYTE);
}

static void endless(struct fixture *f, struct buf *text) {
        struct badserver_manners m = { .then = BAD_REPEAT,
                                       .prologue = OK "Content-Length: 104857600\r\n\r\n" };

        for (int i = 0; i < 16384; i++)
                assert_int_equal(buf_append_str(text, "abcdefghijklmno\n"), 0);
        m.answer = text->data;
        badserver_set(f->server, &m);
}

/* S9 */
static void a_hundred_megabytes_pass_through_little_memory(void **state) {
        AUTO_BUF struct buf text = BUF_INIT;
        struct reader r = { .quiet = true, .act = watch_memory };
        struct fixture *f = *state;

        endless(f, &text);
        open_stream(f, &r);
        run_until(f, &r.ended);
        assert_int_equal(r.n_bytes, 100 * MEGABYTE);
        assert_told(&r, "head 200\nend answered none\n");
}

static void pause_now_and_then(struct reader *r, enum what what) {
        watch_memory(r, what);
        if (what == HEAD || r->n_bytes >= r->pause_at) {
                r->pause_at += 16 * MEGABYTE;
                r->paused = true;
                http_stream_pause(r->stream, true);
        }
}

/* S9 */
static void what_is_paused_is_not_read(void **state) {
        AUTO_BUF struct buf text = BUF_INIT;
        struct reader r = { .quiet = true, .act = pause_now_and_then };
        struct fixture *f = *state;
        unsigned n_pauses = 0;

        endless(f, &text);
        for (open_stream(f, &r); !r.ended; n_pauses++) {
                uint64_t n;

                while (!r.paused && !r.ended)
                        assert_true(sd_event_run(f->event, PATIENCE_USEC) > 0);
                n = r.n_bytes;
                settle(f);
                assert_int_equal(r.n_bytes, n);
                /* What the kernel holds, at both ends. */
                assert_true(badserver_sent(f->server) < n + 16 * MEGABYTE);
                r.paused = false;
                if (!r.ended)
                        http_stream_pause(r.stream, false);
                assert_int_equal(r.n_bytes, n); /* not from within */
        }
        assert_int_equal(n_pauses, 8);
        assert_int_equal(r.n_bytes, 100 * MEGABYTE);
        assert_told(&r, "head 200\nend answered none\n");
}

static void the_end_waits_for_the_body_that_is_paused(void **state) {
        static const struct badserver_manners m = { .answer = OK "Content-Length: 4\r\n\r\nbody" };
        struct fixture *f = *state;
        struct reader r = { 0 };

        badserver_set(f->server, &m);
        open_stream(f, &r);
        http_stream_pause(r.stream, true);
        settle(f);
        assert_string_equal(r.told.data, "head 200\n");
        http_stream_pause(r.stream, false);
        http_stream_pause(r.stream, true);
        settle(f);
        assert_string_equal(r.told.data, "head 200\n");
        http_stream_pause(r.stream, false);
        run_until(f, &r.ended);
        assert_told(&r, "head 200\nbody body\nend answered none\n");
}

/* S9 */
static void endless_heads_end_at_their_limit(void **state) {
        static const struct badserver_manners table[] = {
                { .then = BAD_REPEAT, .prologue = OK, .answer = "X-A: bbbbbbbbbbbbbbb\r\n" },
                { .then = BAD_REPEAT, .prologue = OK, .answer = "X-A:\r\n" },
                { .then = BAD_REPEAT, .answer = "HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct reader r = { 0 };

                read_answer(*state, &table[i], &r);
                assert_told(&r, "end no_answer too_large\n");
        }
}

/* S9 */
static void a_body_may_be_as_large_as_its_caller_allows(void **state) {
        static const struct badserver_manners m = { .answer = OK "Content-Length: 4\r\n\r\nbody" };
        static const struct {
                size_t body_max;
                const char *told;
        } table[] = {
                { 0, "head 200\nbody body\nend answered none\n" },
                { 4, "head 200\nbody body\nend answered none\n" },
                { 3, "head 200\nend no_answer too_large\n" },
        };
        struct fixture *f = *state;

        badserver_set(f->server, &m);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct fetch_request q = make_request(f, "GET");
                struct reader r = { 0 };

                q.body_max = table[i].body_max;
                open_request(f, &q, &r);
                run_until(f, &r.ended);
                assert_told(&r, table[i].told);
        }
}

static void a_stream_may_be_given_a_time(void **state) {
        static const struct badserver_manners m = { .answer = OK "\r\nbody", .then = BAD_HANG };
        struct fixture *f = *state;
        struct fetch_request q = make_request(f, "GET");
        struct reader r = { 0 };

        badserver_set(f->server, &m);
        q.timeout_msec = 200;
        open_request(f, &q, &r);
        run_until(f, &r.ended);
        assert_told(&r, "head 200\nbody body\nend no_answer timeout\n");
}

/* ---- callbacks that do things ---- */

static const struct badserver_manners whole = { .answer = OK "Content-Length: 4\r\n\r\nbody" };

static void close_at_head(struct reader *r, enum what what) {
        if (what == HEAD) {
                r->gone = true;
                assert_null(http_stream_close(r->stream));
        }
}

static void close_at_body(struct reader *r, enum what what) {
        if (what == BODY) {
                r->gone = true;
                r->result = -ECANCELED; /* of no interest any more */
                assert_null(http_stream_close(r->stream));
        }
}

static void close_at_end(struct reader *r, enum what what) {
        if (what == END) {
                r->gone = true;
                assert_null(http_stream_close(r->stream));
        }
}

static void a_stream_may_be_closed_in_each_of_its_callbacks(void **state) {
        static const struct {
                void (*act)(struct reader *r, enum what what);
                const char *told;
        } table[] = {
                { close_at_head, "head 200\n" },
                { close_at_body, "head 200\nbody body\n" },
                { close_at_end, "head 200\nbody body\nend answered none\n" },
        };
        struct fixture *f = *state;

        badserver_set(f->server, &whole);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct reader r = { .act = table[i].act };

                open_stream(f, &r);
                run_until(f, &r.gone);
                settle(f);
                assert_told(&r, table[i].told);
        }
}

static void close_other(struct reader *r, enum what what) {
        struct reader *o = r->other;

        if (what != HEAD && !o->gone && !o->ended) {
                o->gone = true;
                assert_null(http_stream_close(o->stream));
        }
}

/* Both get their answers at the same time; the one that is told first closes the other. */
static void a_callback_may_close_another_stream(void **state) {
        static const struct badserver_manners quiet = { .then = BAD_HANG };
        struct fixture *f = *state;
        struct reader a = { .act = close_other };
        struct reader b = { .act = close_other };

        a.other = &b;
        b.other = &a;
        badserver_set(f->server, &quiet);
        open_stream(f, &a);
        open_stream(f, &b);
        while (badserver_requests(f->server) < 2)
                assert_true(sd_event_run(f->event, PATIENCE_USEC) > 0);
        badserver_say(f->server, OK "Content-Length: 4\r\n\r\nbody");
        run_until(f, a.gone ? &b.ended : &a.ended);
        settle(f);
        assert_int_equal(a.ended + b.ended, 1);
        assert_int_equal(a.gone + b.gone, 1);
        reader_done(&a);
        reader_done(&b);
}

static void open_other(struct reader *r, enum what what) {
        struct reader *o = r->other;

        if (!o || o->f)
                return;
        if (what == END) {
                struct fetch_request q = make_request(r->f, "PUT"); /* refused */

                o->act = NULL;
                open_request(r->f, &q, o);
        } else {
                o->act = open_other;
                open_stream(r->f, o);
        }
        assert_null(o->told.data);
}

static void open_at_end(struct reader *r, enum what what) {
        if (what == END)
                open_other(r, what);
}

static void a_callback_may_open_another_stream(void **state) {
        struct fixture *f = *state;
        struct reader third = { 0 };
        struct reader second = { 0 };
        struct reader first = { .act = open_other, .other = &second };

        badserver_set(f->server, &whole);
        open_stream(f, &first);
        run_until(f, &first.ended);
        run_until(f, &second.ended);
        assert_told(&first, "head 200\nbody body\nend answered none\n");
        assert_told(&second, "head 200\nbody body\nend answered none\n");

        first = (struct reader){ .act = open_at_end, .other = &third };
        open_stream(f, &first);
        run_until(f, &first.ended);
        run_until(f, &third.ended);
        assert_told(&third, "end not_sent protocol\n");
        reader_done(&first);
}

static void a_reader_may_give_up(void **state) {
        static const struct badserver_manners m = { .answer = OK "\r\nbody", .then = BAD_HANG };
        struct fixture *f = *state;
        struct reader r = { .result = -EPIPE };

        read_answer(f, &m, &r);
        assert_int_equal(r.end.status, 0);
        assert_told(&r, "head 200\nbody body\nend no_answer worker\n");
        read_answer(f, &whole, &r); /* also where all has come already */
        assert_told(&r, "head 200\nbody body\nend no_answer worker\n");
}

/* ---- many, and none ---- */

static void a_closed_stream_is_not_told(void **state) {
        struct fixture *f = *state;
        struct fetch_request refused = make_request(f, "PUT");
        struct reader a = { .gone = true };
        struct reader b = { .gone = true };

        open_stream(f, &a);
        settle(f);
        assert_int_equal(badserver_requests(f->server), 1);
        assert_null(http_stream_close(a.stream));
        open_request(f, &refused, &b);
        assert_null(http_stream_close(b.stream));
        settle(f);
        assert_null(http_stream_close(NULL));
}

static void what_is_open_ends_with_its_client(void **state) {
        struct fixture *f = *state;
        struct fetch_request refused = make_request(f, "PUT");
        struct reader a = { .gone = true };
        struct reader b = { .gone = true };
        struct reader c = { 0 };

        open_stream(f, &a);
        settle(f);
        badserver_set(f->server, &whole);
        open_stream(f, &c);
        http_stream_pause(c.stream, true);
        settle(f);
        c.gone = true;
        open_request(f, &refused, &b);
        open_stream(f, &a);
        f->http = http_free(f->http);
        settle(f);
        reader_done(&b);
        reader_done(&c);
}

/* S9 */
static void there_is_a_limit_to_streams_at_once(void **state) {
        struct fixture *f = *state;
        struct reader readers[LIMIT_STREAMS] = { 0 };
        struct reader more = { 0 };
        struct fetch_request q = make_request(f, "PUT"); /* is never sent */

        open_request(f, &q, &readers[0]);
        for (size_t i = 1; i < LIMIT_STREAMS; i++)
                open_stream(f, &readers[i]);
        q = make_request(f, "GET");
        assert_int_equal(http_stream_open(f->http, &q, &ops, &more, &more.stream), -EBUSY);
        assert_non_null(q.url); /* still ours */
        assert_null(http_stream_close(readers[0].stream));
        open_request(f, &q, &more);
        settle(f);
        assert_int_equal(badserver_requests(f->server), LIMIT_STREAMS);
}

static void count_end(struct fetch_answer *a, void *userdata) {
        bool *done = userdata;

        assert_int_equal(a->outcome, FETCH_ANSWERED);
        *done = true;
}

static void streams_and_fetches_do_not_know_each_other(void **state) {
        struct fixture *f = *state;
        struct fetch_request q = make_request(f, "GET");
        struct reader r = { 0 };
        bool done = false;

        q.id = 7;
        open_request(f, &q, &r);
        assert_int_equal(http_cancel(f->http, 7), -ENOENT);
        q = make_request(f, "GET");
        q.id = 7;
        q.body_max = 100;
        badserver_set(f->server, &whole);
        assert_int_equal(http_fetch(f->http, &q, count_end, &done), 0);
        run_until(f, &done);
        run_until(f, &r.ended);
        reader_done(&r);
}

/* ---- running out of memory ---- */

static int on_body_short(struct http_stream *s, const char *data, size_t len, void *userdata) {
        struct reader *r = userdata;

        r->n_bytes += len;
        http_stream_pause(s, true); /* it goes on from the loop */
        return 0;
}

static void on_end_short(struct http_stream *s, struct fetch_answer *a, void *userdata) {
        struct reader *r = userdata;

        r->ended = true;
        r->result = a->outcome == FETCH_ANSWERED ? 0 : -ENOMEM;
}

static int read_short_of_memory(void *userdata) {
        static const struct http_stream_ops short_ops = { .on_body = on_body_short,
                                                          .on_end = on_end_short };
        struct fixture *f = userdata;
        struct reader r = { 0 };
        struct fetch_request q;
        struct http *h = NULL;
        char url[64];
        int e;

        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/mcp", badserver_port(f->server));
        fetch_request_init(&q);
        e = fetch_request_set(&q, "POST", url);
        if (e == 0)
                e = buf_append_str(&q.body, "{}");
        q.allow = ADDRESS_LOOPBACK;
        if (e == 0)
                e = http_new(f->event, &(struct http_options){ 0 }, &h, NULL);
        if (e == 0)
                e = http_stream_open(h, &q, &short_ops, &r, &r.stream);
        while (e == 0 && !r.ended) {
                assert_true(sd_event_run(f->event, PATIENCE_USEC) > 0);
                if (!r.ended)
                        http_stream_pause(r.stream, false);
        }
        fetch_request_done(&q);
        (void)http_free(h);
        return e < 0 ? e : r.result;
}

static void every_allocation_may_fail(void **state) {
        struct fixture *f = *state;

        badserver_set(f->server, &whole);
        assert_true(oom_sweep_any(read_short_of_memory, f) > 20);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, fixture_tear_down)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(an_answer_is_told_as_it_comes),
                TEST(what_libcurl_wants_at_once_needs_no_timer),
                TEST(the_head_is_that_of_the_final_answer),
                TEST(an_answer_that_is_cut_is_in_doubt_and_what_came_was_told),
                TEST(without_a_head_nothing_but_the_end_is_told),
                TEST(redirects_are_answers_and_are_not_followed),
                TEST(each_method_is_sent_as_it_was_given),
                TEST(what_may_not_be_asked_is_not_sent_and_told_later),
                TEST(a_hundred_megabytes_pass_through_little_memory),
                TEST(what_is_paused_is_not_read),
                TEST(the_end_waits_for_the_body_that_is_paused),
                TEST(endless_heads_end_at_their_limit),
                TEST(a_body_may_be_as_large_as_its_caller_allows),
                TEST(a_stream_may_be_given_a_time),
                TEST(a_stream_may_be_closed_in_each_of_its_callbacks),
                TEST(a_callback_may_close_another_stream),
                TEST(a_callback_may_open_another_stream),
                TEST(a_reader_may_give_up),
                TEST(a_closed_stream_is_not_told),
                TEST(what_is_open_ends_with_its_client),
                TEST(there_is_a_limit_to_streams_at_once),
                TEST(streams_and_fetches_do_not_know_each_other),
                TEST(every_allocation_may_fail),
        };

        if (http_init() < 0)
                return 1;
        return cmocka_run_group_tests_name("http-stream", tests, NULL, NULL);
}
