/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 with tests/unit/h2server.py, a child that is told what to do through its input. */
#include "config.h"

#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>

#include "http/stream.h"
#include "loop/loop.h"
#include "test.h"

#define PATIENCE_USEC (60 * USEC_PER_SEC)
#define MEGABYTE ((uint64_t)1024 * 1024)
#define BIG (48 * MEGABYTE)

struct server {
        pid_t pid;
        FILE *in;
        FILE *out;
        unsigned port;
        char ca_file[256];
};

struct counts {
        unsigned connections;
        unsigned requests;
        unsigned http1;
        unsigned resets;
        unsigned resumed;
};

struct fixture {
        sd_event *event;
        struct http *http;
        struct server server;
};

/* ---- the server ---- */

static void start_server(struct server *s) {
        const char *top = getenv("top_srcdir");
        char path[4096];
        int in[2];
        int out[2];

        (void)snprintf(path, sizeof(path), "%s/tests/unit/h2server.py", top ? top : ".");
        assert_int_equal(pipe(in), 0);
        assert_int_equal(pipe(out), 0);
        s->pid = fork();
        assert_true(s->pid >= 0);
        if (s->pid == 0) {
                (void)dup2(in[0], STDIN_FILENO);
                (void)dup2(out[1], STDOUT_FILENO);
                for (int i = 0; i < 2; i++) {
                        (void)close(in[i]);
                        (void)close(out[i]);
                }
                (void)execlp("python3", "python3", path, (char *)NULL);
                _exit(127);
        }
        (void)close(in[0]);
        (void)close(out[1]);
        s->in = fdopen(in[1], "w");
        s->out = fdopen(out[0], "r");
        assert_non_null(s->in);
        assert_non_null(s->out);
}

/* False: it did not come up, for there is no python3 or no openssl. */
static bool server_is_up(struct server *s) {
        char line[512];
        char *blank;

        if (!fgets(line, sizeof(line), s->out))
                return false;
        line[strcspn(line, "\n")] = '\0';
        blank = strchr(line, ' ');
        assert_non_null(blank);
        *blank = '\0';
        s->port = (unsigned)strtoul(line, NULL, 10);
        (void)snprintf(s->ca_file, sizeof(s->ca_file), "%s", blank + 1);
        return true;
}

static void stop_server(struct server *s) {
        if (s->in)
                (void)fclose(s->in);
        if (s->out)
                (void)fclose(s->out);
        if (s->pid > 0)
                (void)waitpid(s->pid, NULL, 0);
}

static void ask_server(struct fixture *f, const char *what, char *line, size_t n_line) {
        assert_true(fprintf(f->server.in, "%s\n", what) > 0);
        assert_int_equal(fflush(f->server.in), 0);
        assert_non_null(fgets(line, (int)n_line, f->server.out));
}

static void tell(struct fixture *f, const char *what) {
        char line[128];

        ask_server(f, what, line, sizeof(line));
        assert_string_equal(line, "ok\n");
}

static struct counts ask_counts(struct fixture *f) {
        struct counts c = { 0 };
        char line[128];
        char *p = line;

        ask_server(f, "count", line, sizeof(line));
        c.connections = (unsigned)strtoul(p, &p, 10);
        c.requests = (unsigned)strtoul(p, &p, 10);
        c.http1 = (unsigned)strtoul(p, &p, 10);
        c.resets = (unsigned)strtoul(p, &p, 10);
        c.resumed = (unsigned)strtoul(p, &p, 10);
        return c;
}

/* ---- life ---- */

static void new_client(struct fixture *f, bool keep_alive) {
        struct http_options options = { .ca_file = f->server.ca_file,
                                        .keep_alive = keep_alive,
                                        .http2 = true };

        f->http = http_free(f->http);
        assert_int_equal(http_new(f->event, &options, &f->http, NULL), 0);
}

static int set_up(void **state) {
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        *state = f;
        start_server(&f->server);
        assert_int_equal(loop_new(&f->event), 0);
        if (server_is_up(&f->server))
                new_client(f, true);
        return 0;
}

static int tear_down(void **state) {
        struct fixture *f = *state;

        f->http = http_free(f->http);
        f->event = loop_free(f->event);
        stop_server(&f->server);
        free(f);
        return 0;
}

/* ---- reading ---- */

struct reader {
        struct fixture *f;
        struct http_stream *stream;
        struct buf body;
        uint64_t n_bytes;
        uint64_t pause_at;
        size_t memory_max; /* seen in use */
        bool big;
        bool headed;
        bool ended;
        enum fetch_outcome outcome;
        enum fetch_failure failure;
        unsigned status;
};

static void on_head(struct http_stream *s, const struct fetch_answer *a, void *userdata) {
        struct reader *r = userdata;

        r->headed = true;
}

static int on_body(struct http_stream *s, const char *data, size_t len, void *userdata) {
        struct reader *r = userdata;
        size_t memory = mallinfo2().uordblks + mallinfo2().hblkhd;

        if (!r->big)
                assert_int_equal(buf_append(&r->body, data, len), 0);
        for (size_t i = 0; r->big && i < len; i += 997)
                assert_int_equal((unsigned char)data[i], (r->n_bytes + i) % 256);
        r->n_bytes += len;
        r->memory_max = memory > r->memory_max ? memory : r->memory_max;
        if (r->pause_at > 0 && r->n_bytes >= r->pause_at)
                http_stream_pause(s, true);
        return 0;
}

static void on_end(struct http_stream *s, struct fetch_answer *a, void *userdata) {
        struct reader *r = userdata;

        r->ended = true;
        r->outcome = a->outcome;
        r->failure = a->failure;
        r->status = a->status;
}

static const struct http_stream_ops ops = {
        .on_head = on_head,
        .on_body = on_body,
        .on_end = on_end,
};

static void open_stream(struct fixture *f, const char *method, struct reader *r) {
        struct fetch_request q;
        char url[64];

        (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/mcp", f->server.port);
        fetch_request_init(&q);
        assert_int_equal(fetch_request_set(&q, method, url), 0);
        q.allow = ADDRESS_LOOPBACK;
        if (streq(method, "POST"))
                assert_int_equal(buf_append_str(&q.body, "{\"jsonrpc\":\"2.0\"}"), 0);
        r->f = f;
        assert_int_equal(http_stream_open(f->http, &q, &ops, r, &r->stream), 0);
}

/* What does not come to it is a failure here, and not a test that hangs. */
static void run_until(struct fixture *f, const bool *done) {
        while (!*done)
                assert_true(sd_event_run(f->event, PATIENCE_USEC) > 0);
}

/* Does not come back while the loop is kept busy. */
static void settle(struct fixture *f) {
        while (sd_event_run(f->event, 50 * USEC_PER_MSEC) > 0)
                ;
}

static struct reader request(struct fixture *f, const char *method) {
        struct reader r = { 0 };

        open_stream(f, method, &r);
        run_until(f, &r.ended);
        buf_done(&r.body);
        return r;
}

static void assert_answered(struct reader r) {
        assert_int_equal(r.outcome, FETCH_ANSWERED);
        assert_int_equal(r.status, 200);
}

#define NEEDS_SERVER(f)                                            \
        do {                                                       \
                if (!(f)->http)                                    \
                        skip(); /* it needs python3 and openssl */ \
        } while (0)

/* ---- tests ---- */

static void many_requests_share_one_connection(void **state) {
        struct fixture *f = *state;
        struct reader readers[8] = { 0 };
        struct counts c;

        NEEDS_SERVER(f);
        assert_answered(request(f, "POST"));
        tell(f, "mode hold");
        for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
                open_stream(f, i % 2 ? "GET" : "POST", &readers[i]);
        for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
                run_until(f, &readers[i].headed);
        tell(f, "finish");
        for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
                run_until(f, &readers[i].ended);
                assert_answered(readers[i]);
                assert_string_equal(readers[i].body.data, "body");
                buf_done(&readers[i].body);
        }
        tell(f, "mode answer");
        assert_answered(request(f, "DELETE"));
        c = ask_counts(f);
        assert_int_equal(c.connections, 1);
        assert_int_equal(c.requests, ARRAY_SIZE(readers) + 2);
        assert_int_equal(c.http1, 0);
}

static void unless_it_is_wanted_it_is_not_spoken(void **state) {
        struct fixture *f = *state;
        struct http_options options = { .ca_file = f->server.ca_file, .keep_alive = true };
        struct counts c;

        NEEDS_SERVER(f);
        f->http = http_free(f->http);
        assert_int_equal(http_new(f->event, &options, &f->http, NULL), 0);
        assert_answered(request(f, "GET"));
        assert_answered(request(f, "GET"));
        c = ask_counts(f);
        assert_int_equal(c.connections, 1);
        assert_int_equal(c.http1, 2);
}

static void without_keep_alive_it_is_not_spoken(void **state) {
        struct fixture *f = *state;
        struct counts c;

        NEEDS_SERVER(f);
        new_client(f, false);
        assert_answered(request(f, "GET"));
        assert_answered(request(f, "GET"));
        c = ask_counts(f);
        assert_int_equal(c.connections, 2);
        assert_int_equal(c.requests, 2);
        assert_int_equal(c.http1, 2);
        assert_int_equal(c.resumed, 0);
}

static void no_refusal_makes_a_request_be_sent_twice(void **state) {
        static const char *const modes[] = { "mode refuse", "mode goaway", "mode cut",
                                             "mode http1" };
        static const char *const methods[] = { "POST", "GET", "DELETE" };
        struct fixture *f = *state;
        unsigned n = 0;

        NEEDS_SERVER(f);
        for (size_t i = 0; i < ARRAY_SIZE(modes) * ARRAY_SIZE(methods); i++) {
                /* On a connection that had been used before, and on a new one. */
                for (int used = 0; used < 2; used++) {
                        struct reader r;

                        new_client(f, true);
                        tell(f, "mode answer");
                        if (used)
                                assert_answered(request(f, "POST"));
                        tell(f, modes[i / ARRAY_SIZE(methods)]);
                        r = request(f, methods[i % ARRAY_SIZE(methods)]);
                        assert_int_equal(r.outcome, FETCH_NO_ANSWER);
                        assert_int_equal(r.failure, FETCH_FAILURE_CUT);
                        settle(f);
                        n += used ? 2 : 1;
                        assert_int_equal(ask_counts(f).requests, n);
                }
        }
}

/* A stream stays on the old connection to its end, and what comes after goes to another. */
static void a_server_that_takes_no_more_gets_no_more(void **state) {
        struct fixture *f = *state;
        struct reader held = { 0 };
        struct counts c;

        NEEDS_SERVER(f);
        tell(f, "mode hold");
        open_stream(f, "GET", &held);
        run_until(f, &held.headed);
        tell(f, "goaway");
        settle(f);
        tell(f, "mode answer");
        assert_answered(request(f, "POST"));
        assert_answered(request(f, "POST"));
        tell(f, "finish");
        run_until(f, &held.ended);
        assert_answered(held);
        buf_done(&held.body);
        c = ask_counts(f);
        assert_int_equal(c.connections, 2);
        assert_int_equal(c.requests, 3);
}

static void a_stream_that_is_broken_off_is_in_doubt(void **state) {
        struct fixture *f = *state;
        struct reader r = { 0 };

        NEEDS_SERVER(f);
        tell(f, "mode hold");
        open_stream(f, "POST", &r);
        run_until(f, &r.headed);
        tell(f, "abort");
        run_until(f, &r.ended);
        assert_int_equal(r.outcome, FETCH_NO_ANSWER);
        assert_int_equal(r.failure, FETCH_FAILURE_CUT);
        assert_int_equal(r.status, 0);
        buf_done(&r.body);
        settle(f);
        assert_int_equal(ask_counts(f).requests, 1);
}

static void one_that_is_closed_leaves_the_others(void **state) {
        struct fixture *f = *state;
        struct reader a = { 0 };
        struct reader b = { 0 };
        struct counts c;

        NEEDS_SERVER(f);
        assert_answered(request(f, "POST"));
        tell(f, "mode hold");
        open_stream(f, "POST", &a);
        open_stream(f, "POST", &b);
        run_until(f, &a.headed);
        run_until(f, &b.headed);
        assert_null(http_stream_close(a.stream));
        settle(f);
        c = ask_counts(f);
        assert_int_equal(c.connections, 1);
        assert_int_equal(c.resets, 1);
        tell(f, "finish");
        run_until(f, &b.ended);
        assert_answered(b);
        assert_false(a.ended);
        buf_done(&b.body);
}

/* S9 */
static void what_is_paused_takes_little_memory_and_no_time(void **state) {
        struct fixture *f = *state;
        struct reader r = { .big = true, .pause_at = 1 };
        size_t before;

        NEEDS_SERVER(f);
        assert_answered(request(f, "POST"));
        before = mallinfo2().uordblks + mallinfo2().hblkhd;
        tell(f, "mode big");
        open_stream(f, "GET", &r);
        while (!r.ended) {
                uint64_t n;

                settle(f);
                n = r.n_bytes;
                settle(f);
                assert_int_equal(r.n_bytes, n);
                r.pause_at += 12 * MEGABYTE;
                if (!r.ended)
                        http_stream_pause(r.stream, false);
        }
        assert_answered(r);
        assert_int_equal(r.n_bytes, BIG);
        assert_true(r.memory_max < before + MEGABYTE);
}

/* What is opened beside a connection costs no second handshake of full length. */
static void sessions_of_tls_are_resumed(void **state) {
        struct fixture *f = *state;
        struct reader held = { 0 };
        struct counts c;

        NEEDS_SERVER(f);
        tell(f, "http1");
        assert_answered(request(f, "POST"));
        tell(f, "mode hold");
        open_stream(f, "GET", &held);
        settle(f);
        tell(f, "mode answer");
        assert_answered(request(f, "POST"));
        c = ask_counts(f);
        assert_int_equal(c.connections, 2);
        assert_int_equal(c.http1, 3);
        assert_int_equal(c.resumed, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(many_requests_share_one_connection),
                TEST(without_keep_alive_it_is_not_spoken),
                TEST(unless_it_is_wanted_it_is_not_spoken),
                TEST(no_refusal_makes_a_request_be_sent_twice),
                TEST(a_server_that_takes_no_more_gets_no_more),
                TEST(a_stream_that_is_broken_off_is_in_doubt),
                TEST(one_that_is_closed_leaves_the_others),
                TEST(what_is_paused_takes_little_memory_and_no_time),
                TEST(sessions_of_tls_are_resumed),
        };
        struct sigaction ignore = { .sa_handler = SIG_IGN };

        if (http_init() < 0 || sigaction(SIGPIPE, &ignore, NULL) < 0)
                return 1;
        return cmocka_run_group_tests_name("http2", tests, NULL, NULL);
}
