/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client can make the daemon hold, and for how long.
 */
#include "config.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "rpc-harness.h"

#define TOKEN_GET \
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"token.get\",\"params\":{\"server\":\"x\"}}\n"

static unsigned clients(const struct harness *h) {
        struct rpc_counts n;

        rpc_counts(h->rpc, &n);
        return n.clients;
}

/*
 * Sends as much of @chunk over and over as the daemon takes, until @max bytes or the end. Returns
 * what was taken.
 */
static size_t flood(struct harness *h, int fd, const char *chunk, size_t len, size_t max) {
        size_t sent = 0;
        bool moved = true;

        while (moved && sent < max) {
                size_t at = sent % len;
                ssize_t n = send(fd, chunk + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

                moved = n > 0;
                if (n > 0)
                        sent += (size_t)n;
                else if (errno == EAGAIN) {
                        harness_spin(h);
                        n = send(fd, chunk + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
                        moved = n > 0;
                        if (n > 0)
                                sent += (size_t)n;
                }
        }
        return sent;
}

/* S9 */
static void a_line_without_end_costs_a_megabyte_and_the_connection(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);
        char *chunk = calloc(1, 65536);
        size_t sent;

        for (size_t i = 0; i < 65536; i++)
                chunk[i] = 'x';
        sent = flood(h, fd, chunk, 65536, (size_t)100 * 1000 * 1000);
        free(chunk);
        assert_true(sent >= LIMIT_LINE_BYTES);
        assert_true(sent < LIMIT_LINE_BYTES + 1024 * 1024); /* and what the kernel holds */
        harness_spin(h);
        expect_refusal(fd, "bad_request");
        assert_int_equal(clients(h), 0);
}

/* S9 */
static void before_the_session_a_line_is_short(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_connect(h->path);
        AUTO_BUF struct buf line = BUF_INIT;

        harness_spin(h);
        expect_line(fd, "hello");
        while (line.len <= LIMIT_OPEN_LINE_BYTES)
                assert_int_equal(buf_append_str(&line, "x"), 0);
        client_send(fd, line.data);
        harness_spin(h);
        expect_refusal(fd, "bad_request");
}

/* S9 */
static void a_line_as_long_as_allowed_is_served(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);
        AUTO_BUF struct buf line = BUF_INIT;

        assert_int_equal(buf_append_str(&line, TOKEN_GET), 0);
        buf_truncate(&line, line.len - 1);
        while (line.len < LIMIT_LINE_BYTES)
                assert_int_equal(buf_append_str(&line, " "), 0);
        assert_int_equal(buf_append_str(&line, "\n"), 0);
        assert_int_equal(flood(h, fd, line.data, line.len, line.len), line.len);
        harness_spin(h);
        expect_line(fd, "\"id\":1,\"result\"");
}

/* S9 */
static void requests_beyond_the_limit_wait_in_the_socket(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);

        h->call = CALL_PARK;
        for (int i = 0; i < LIMIT_REQUESTS_PER_CLIENT + 10; i++)
                client_send(fd, TOKEN_GET);
        harness_spin(h);
        assert_int_equal(h->n_parked, LIMIT_REQUESTS_PER_CLIENT);
        harness_answer(h, 5, "{}");
        harness_answer(h, 7, "{}");
        harness_spin(h);
        assert_int_equal(h->n_parked, LIMIT_REQUESTS_PER_CLIENT + 2);
        expect_line(fd, "result");
        expect_line(fd, "result");
        expect_silence(fd);
}

/* S9 */
static void a_full_client_that_leaves_is_noticed(void **state) {
        struct harness *h = *state;
        int fd = client_open(h, h->path);

        h->call = CALL_PARK;
        for (int i = 0; i < LIMIT_REQUESTS_PER_CLIENT + 1; i++)
                client_send(fd, TOKEN_GET);
        harness_spin(h);
        (void)close(fd);
        harness_spin(h);
        assert_int_equal(h->n_abandoned, LIMIT_REQUESTS_PER_CLIENT);
        assert_int_equal(clients(h), 0);
}

/* S9 */
static void a_client_that_never_reads_is_not_read(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);
        struct rpc_counts n;
        size_t sent;
        unsigned calls;

        h->call = CALL_FILL;
        h->fill = 4000;
        sent = flood(h, fd, TOKEN_GET, strlen(TOKEN_GET), (size_t)64 * 1024 * 1024);
        assert_true(sent < (size_t)2 * 1024 * 1024); /* it stopped at the kernel's buffers */
        rpc_counts(h->rpc, &n);
        assert_int_equal(n.clients, 1);
        assert_true(n.out_bytes >= LIMIT_OUT_PAUSE_BYTES);
        assert_true(n.out_bytes < LIMIT_OUT_PAUSE_BYTES + 8192);
        calls = h->n_calls;

        /* It begins to read: all goes on where it stood. */
        for (unsigned i = 0; i < calls + 10; i++) {
                expect_line(fd, "fill");
                harness_spin(h);
        }
        assert_true(h->n_calls > calls);
}

/* S9 */
static void answers_that_pile_up_end_the_connection(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);
        AUTO_BUF struct buf big = BUF_INIT;
        struct rpc_counts n;

        assert_int_equal(buf_append_str(&big, "{\"x\":\""), 0);
        while (big.len < 500 * 1000)
                assert_int_equal(buf_append_str(&big, "0123456789"), 0);
        assert_int_equal(buf_append_str(&big, "\"}"), 0);
        h->call = CALL_PARK;
        for (int i = 0; i < 20; i++)
                client_send(fd, TOKEN_GET);
        harness_spin(h);
        assert_int_equal(h->n_parked, 20);
        for (unsigned i = 0; i < 20; i++) {
                if (h->parked[i].fn)
                        harness_answer(h, i, big.data);
                rpc_counts(h->rpc, &n);
                assert_true(n.out_bytes <= LIMIT_OUT_BYTES_PER_CLIENT);
        }
        harness_spin(h);
        assert_int_equal(clients(h), 0);
}

/* S9 */
static void an_answer_that_no_client_could_take_is_an_error(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);

        h->call = CALL_FILL;
        h->fill = LIMIT_OUT_BYTES_PER_CLIENT;
        client_send(fd, TOKEN_GET);
        harness_spin(h);
        expect_line(fd, "\"id\":1,\"error\":{\"code\":-32603");
        assert_int_equal(clients(h), 1);
}

/* S9 */
static void who_does_not_open_a_session_is_sent_away(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int quiet = client_connect(h->path);
        AUTO_CLOSE int slow = -1;

        harness_spin(h);
        expect_line(quiet, "hello");
        harness_advance(LIMIT_HELLO_SEC - 1);
        harness_spin(h);
        expect_silence(quiet);
        h->attest = ATTEST_LATER; /* session hangs */
        slow = client_connect(h->path);
        harness_advance(1);
        harness_spin(h);
        expect_refusal(quiet, "timeout");
        harness_advance(LIMIT_HELLO_SEC);
        harness_spin(h);
        expect_refusal(slow, "timeout");
}

/* S9 */
static void half_a_line_is_not_waited_for(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);

        client_send(fd, "{\"jsonrpc\":");
        harness_spin(h);
        harness_advance(LIMIT_HALF_LINE_SEC - 1);
        client_send(fd, "\"2.0\","); /* drop by drop does not help */
        harness_spin(h);
        expect_silence(fd);
        harness_advance(1);
        harness_spin(h);
        expect_refusal(fd, "timeout");
}

/* S9 */
static void a_finished_line_resets_the_wait(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);

        for (int i = 0; i < 4; i++) {
                client_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"token.get\",");
                harness_spin(h);
                harness_advance(LIMIT_HALF_LINE_SEC - 1);
                client_send(fd, "\"params\":{\"server\":\"x\"}}\n");
                harness_spin(h);
                expect_line(fd, "result");
        }
}

/* S9 */
static void an_idle_client_is_sent_away_but_not_one_that_waits(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int idle = client_open(h, h->path);
        AUTO_CLOSE int waiting = client_open(h, h->path);

        h->call = CALL_PARK;
        client_send(waiting, TOKEN_GET);
        harness_spin(h);
        harness_advance(LIMIT_IDLE_SEC - 1);
        harness_spin(h);
        expect_silence(idle);
        harness_advance(1);
        harness_spin(h);
        expect_refusal(idle, "timeout");
        expect_silence(waiting);
        harness_answer(h, 0, "{}");
        harness_spin(h);
        expect_line(waiting, "result");
}

/* S9 */
static void who_does_not_read_is_sent_away_in_the_end(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);

        h->call = CALL_FILL;
        h->fill = 1024 * 1024;
        client_send(fd, TOKEN_GET);
        harness_spin(h);
        harness_advance(LIMIT_STALL_SEC - 1);
        harness_spin(h);
        assert_int_equal(clients(h), 1);
        harness_advance(1);
        harness_spin(h);
        assert_int_equal(clients(h), 0);
}

/* S9 */
static void one_process_has_so_many_connections(void **state) {
        struct harness *h = *state;
        int fds[LIMIT_CLIENTS_PER_PID];

        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                fds[i] = client_open(h, h->path);
        {
                AUTO_CLOSE int more = client_connect(h->path);

                harness_spin(h);
                expect_refusal(more, "busy");
        }
        (void)close(fds[0]);
        harness_spin(h);
        fds[0] = client_open(h, h->path);
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                (void)close(fds[i]);
}

/* Connects as often as it may, and holds on until @hold ends. */
static pid_t crowd(const char *path, int ready, const int hold[2]) {
        pid_t child = fork();
        char c;

        if (child != 0)
                return child;
        (void)close(hold[1]);
        for (int i = 0; i < LIMIT_CLIENTS_PER_PID; i++)
                (void)client_try(path);
        (void)!write(ready, "!", 1);
        (void)!read(hold[0], &c, 1);
        _exit(0);
}

/* S9 */
static void all_processes_have_so_many_connections(void **state) {
        struct harness *h = *state;
        const struct rlimit enough = { 4096, 4096 };
        struct rlimit before;
        int ready[2];
        int hold[2];
        pid_t children[LIMIT_CLIENTS / LIMIT_CLIENTS_PER_PID];
        char c;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        if (before.rlim_max < enough.rlim_max)
                skip();
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 4096, before.rlim_max }), 0);
        assert_int_equal(pipe(ready), 0);
        assert_int_equal(pipe(hold), 0);
        for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
                children[i] = crowd(h->path, ready[1], hold);
                assert_int_equal(read(ready[0], &c, 1), 1);
                harness_spin(h);
        }
        assert_int_equal(clients(h), LIMIT_CLIENTS);
        {
                AUTO_CLOSE int more = client_connect(h->path);

                harness_spin(h);
                expect_refusal(more, "busy");
        }
        (void)close(hold[0]);
        (void)close(hold[1]);
        for (size_t i = 0; i < ARRAY_SIZE(children); i++)
                assert_int_equal(waitpid(children[i], NULL, 0), children[i]);
        harness_spin(h);
        assert_int_equal(clients(h), 0);
        (void)close(ready[0]);
        (void)close(ready[1]);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* S9 */
static void without_descriptors_it_waits_instead_of_spinning(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_connect(h->path);
        struct rlimit before;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 3, before.rlim_max }), 0);
        harness_spin(h);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(clients(h), 0);
        harness_advance(1);
        harness_spin(h);
        expect_line(fd, "hello");
}

static void who_asks_little_is_served_between_who_asks_much(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int greedy = client_open(h, h->path);
        AUTO_CLOSE int modest = client_open(h, h->path);
        unsigned at = 0;

        for (int i = 0; i < 150; i++)
                client_send(greedy, TOKEN_GET);
        client_send(modest, TOKEN_GET);
        harness_spin(h);
        assert_int_equal(h->n_calls, 151);
        while (h->callers[at] != 2)
                at++;
        assert_true(at < 40); /* one turn or two of the other's, not all that it had to say */
}

static void one_clients_state_delays_no_other(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int half = client_open(h, h->path);
        AUTO_CLOSE int parked = client_open(h, h->path);
        AUTO_CLOSE int deaf = client_open(h, h->path);
        AUTO_CLOSE int unopened = client_connect(h->path);
        AUTO_CLOSE int fd = client_open(h, h->path);

        client_send(half, "{\"jsonrpc\":\"2.0\"");
        h->call = CALL_PARK;
        client_send(parked, TOKEN_GET);
        harness_spin(h);
        h->call = CALL_FILL;
        h->fill = 1024 * 1024;
        client_send(deaf, TOKEN_GET);
        harness_spin(h);
        h->call = CALL_ECHO;
        client_send(fd, TOKEN_GET);
        harness_spin(h);
        expect_line(fd, "result");
        expect_line(unopened, "hello");
}

static void on_drained(void *userdata) {
        struct harness *h = userdata;

        h->n_drained++;
}

static void draining_delivers_what_is_under_way_and_takes_nothing_more(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int idle = client_open(h, h->path);
        AUTO_CLOSE int greeted = client_connect(h->path);
        AUTO_CLOSE int busy = client_open(h, h->path);

        h->call = CALL_PARK;
        client_send(busy, TOKEN_GET);
        harness_spin(h);
        expect_line(greeted, "hello");
        assert_int_equal(rpc_drain(h->rpc, on_drained, h), 0);
        assert_int_equal(h->n_drained, 0);
        client_send(busy, TOKEN_GET);
        harness_spin(h);
        expect_end(idle);
        expect_end(greeted);
        expect_silence(busy);
        assert_int_equal(h->n_parked, 1);
        assert_int_equal(h->n_drained, 0);
        harness_answer(h, 0, "{\"token\":1}");
        harness_spin(h);
        expect_line(busy, "\"token\":1");
        expect_end(busy);
        assert_int_equal(h->n_drained, 1);
        harness_spin(h);
        assert_int_equal(h->n_drained, 1);
}

static void on_drained_free(void *userdata) {
        struct harness *h = userdata;

        h->n_drained++;
        h->rpc = rpc_free(h->rpc);
}

static void a_drain_without_clients_ends_from_the_loop(void **state) {
        struct harness *h = *state;

        assert_int_equal(rpc_drain(h->rpc, on_drained_free, h), 0);
        assert_int_equal(h->n_drained, 0);
        harness_spin(h);
        assert_int_equal(h->n_drained, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(a_line_without_end_costs_a_megabyte_and_the_connection),
                TEST(before_the_session_a_line_is_short),
                TEST(a_line_as_long_as_allowed_is_served),
                TEST(requests_beyond_the_limit_wait_in_the_socket),
                TEST(a_full_client_that_leaves_is_noticed),
                TEST(a_client_that_never_reads_is_not_read),
                TEST(answers_that_pile_up_end_the_connection),
                TEST(an_answer_that_no_client_could_take_is_an_error),
                TEST(who_does_not_open_a_session_is_sent_away),
                TEST(half_a_line_is_not_waited_for),
                TEST(a_finished_line_resets_the_wait),
                TEST(an_idle_client_is_sent_away_but_not_one_that_waits),
                TEST(who_does_not_read_is_sent_away_in_the_end),
                TEST(one_process_has_so_many_connections),
                TEST(all_processes_have_so_many_connections),
                TEST(without_descriptors_it_waits_instead_of_spinning),
                TEST(who_asks_little_is_served_between_who_asks_much),
                TEST(one_clients_state_delays_no_other),
                TEST(draining_delivers_what_is_under_way_and_takes_nothing_more),
                TEST(a_drain_without_clients_ends_from_the_loop),
        };

        return cmocka_run_group_tests_name("rpc-limits", tests, NULL, NULL);
}
