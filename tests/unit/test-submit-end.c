/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of submitted calls when the connection ends, the process forks, or memory does.
 */
#include "config.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "oom.h"
#include "submit-rig.h"

/* --- the end of a connection ------------------------------------------------------------------ */

static void script_dies_under_four(struct fake *f) {
        int fd = fake_accept_open(f);

        (void)take_request(fd, "token.get");
        (void)take_request(fd, "server.add");
        (void)take_request(fd, "token.get");
        let_arrive(fd); /* server.show: not read */
        (void)close(fd);
        fd = fake_accept_open(f);
        serve(fd, "token.get", TOKEN); /* in their order */
        serve(fd, "token.get", TOKEN);
        serve(fd, "server.show", "\"result\":{}");
        fake_expect_end(fd);
}

static void what_may_be_is_sent_again_and_the_rest_is_told(void **state) {
        struct told t[4] = { 0 };
        mcpb_client *c;

        fake_run(&fake, script_dies_under_four);
        c = fake_client();
        submit_token(c, &t[0]);
        submit(c, "server.add", &t[1]);
        submit_token(c, &t[2]);
        submit(c, "server.show", &t[3]);
        until_told(c, 4);
        assert_int_equal(t[0].r, 0);
        assert_int_equal(t[1].r, -ECONNRESET);
        assert_string_equal(t[1].code, "retry");
        assert_int_equal(t[2].r, 0);
        assert_int_equal(t[3].r, 0);
        submit_end(c);
}

#define N_MANY (LIMIT_REQUESTS_PER_CLIENT + 6)

static void script_dies_under_many(struct fake *f) {
        int fd = fake_accept_open(f);
        int last = 0;

        for (int i = 0; i < LIMIT_REQUESTS_PER_CLIENT; i++)
                (void)take_request(fd, "token.get");
        (void)close(fd);
        fd = fake_accept_open(f);
        for (int i = 0; i < N_MANY; i++) {
                int id = take_request(fd, "token.get");

                require(id > last);
                last = id;
                say_answer(fd, id, TOKEN);
        }
        fake_expect_end(fd);
}

static void in_the_order_in_which_it_was_submitted(void **state) {
        struct told t[N_MANY] = { 0 };
        mcpb_client *c;

        fake_run(&fake, script_dies_under_many);
        c = fake_client();
        for (int i = 0; i < N_MANY; i++)
                submit_token(c, &t[i]);
        until_told(c, N_MANY);
        for (int i = 0; i < N_MANY; i++)
                assert_int_equal(t[i].r, 0);
        submit_end(c);
}

static void script_dies_always(struct fake *f) {
        for (int i = 0; i < 2; i++) {
                int fd = fake_accept_open(f);

                (void)take_request(fd, "token.get");
                (void)close(fd);
        }
}

static void and_not_more_than_once(void **state) {
        struct told t = { 0 };
        mcpb_client *c;

        fake_run(&fake, script_dies_always);
        c = fake_client();
        submit_token(c, &t);
        until_told(c, 1);
        assert_int_equal(t.r, -ECONNRESET);
        assert_string_equal(t.code, "retry");
        submit_end(c);
}

#define REQUEST "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.add\",\"params\":{}}\n"

static size_t cut;

static void script_reads_so_much(struct fake *f) {
        int fd = fake_accept_open(f);
        char some[sizeof(REQUEST)];

        let_arrive(fd);
        if (cut > 0)
                require(recv(fd, some, cut, MSG_WAITALL) == (ssize_t)cut);
        (void)close(fd);
        if (cut == strlen(REQUEST))
                return;
        fd = fake_accept_open(f);
        serve(fd, "server.add", "\"result\":{}");
        fake_expect_end(fd);
}

static void a_request_that_was_not_read_whole_is_sent_again(void **state) {
        for (cut = 0; cut <= strlen(REQUEST); cut++) {
                struct told t = { 0 };
                mcpb_client *c;

                n_told = 0;
                fake_run(&fake, script_reads_so_much);
                c = fake_client();
                submit(c, "server.add", &t);
                until_told(c, 1);
                assert_int_equal(t.r, cut < strlen(REQUEST) ? 0 : -ECONNRESET);
                submit_end(c);
        }
}

#define ANSWER "{\"jsonrpc\":\"2.0\",\"id\":1," TOKEN "}\n"

static void script_answers_so_much(struct fake *f) {
        int fd = fake_accept_open(f);

        require(take_request(fd, "token.get") == 1);
        require(send(fd, ANSWER, cut, MSG_NOSIGNAL) == (ssize_t)cut);
        (void)close(fd);
        if (cut == strlen(ANSWER))
                return;
        fd = fake_accept_open(f);
        serve(fd, "token.get", TOKEN);
        fake_expect_end(fd);
}

static void an_answer_may_be_cut_anywhere(void **state) {
        for (cut = 0; cut <= strlen(ANSWER); cut++) {
                struct told t = { 0 };
                mcpb_client *c;

                n_told = 0;
                fake_run(&fake, script_answers_so_much);
                c = fake_client();
                submit_token(c, &t);
                until_told(c, 1);
                assert_int_equal(t.r, 0);
                assert_string_equal(t.text, "t");
                submit_end(c);
        }
}

static void script_stops(struct fake *f) {
        int fd = fake_accept_open(f);
        int list = take_request(fd, "server.list");
        int token = take_request(fd, "token.get");

        say_answer(fd, token,
                   "\"error\":{\"code\":1027,\"message\":\"stop\",\"data\":{\"code\":"
                   "\"stopping\"}}");
        say_answer(fd, list, "\"result\":{}"); /* what was begun is finished */
        fake_expect_end(fd);
        fd = fake_accept_open(f);
        serve(fd, "token.get", TOKEN);
        serve(fd, "broker.lock", "\"result\":{}");
        fake_expect_end(fd);
}

static void the_next_daemon_is_asked_when_one_stops(void **state) {
        struct told t[2] = { 0 };
        mcpb_client *c;

        fake_run(&fake, script_stops);
        c = fake_client();
        submit(c, "server.list", &t[0]);
        submit_token(c, &t[1]);
        until_told(c, 2);
        assert_int_equal(t[0].r, 0);
        assert_int_equal(t[1].r, 0);
        assert_int_equal(mcpb_broker_lock(c, NULL), 0);
        submit_end(c);
}

static void script_refuses_in_the_middle(struct fake *f) {
        int fd = fake_accept_open(f);

        (void)take_request(fd, "server.list");
        (void)take_request(fd, "token.get");
        fake_say(fd, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1002,\"message\":\"no\","
                     "\"data\":{\"code\":\"not_permitted\",\"why\":1}}}\n");
        fake_expect_end(fd);
}

static void an_error_of_the_connection_ends_all(void **state) {
        struct told t[2] = { 0 };
        mcpb_client *c;

        fake_run(&fake, script_refuses_in_the_middle);
        c = fake_client();
        submit(c, "server.list", &t[0]);
        submit_token(c, &t[1]);
        until_told(c, 2);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(t[i].r, -EREMOTEIO);
                assert_string_equal(t[i].code, "not_permitted");
        }
        assert_int_equal(mcpb_client_fd(c), -1);
        submit_end(c);
}

static void script_refuses_in_between(struct fake *f) {
        int fd = fake_accept_open(f);

        fake_say(fd,
                 "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1024,\"message\":\"full\","
                 "\"data\":{\"code\":\"busy\"}}}\n");
        (void)close(fd);
        fd = fake_accept_open(f);
        serve(fd, "server.list", "\"result\":{}");
        fake_expect_end(fd);
}

static void but_what_was_said_before_concerns_no_call(void **state) {
        struct told t = { 0 };
        struct pollfd p = { .events = POLLRDHUP };
        mcpb_client *c;

        fake_run(&fake, script_refuses_in_between);
        c = fake_client();
        p.fd = mcpb_client_fd(c);
        assert_int_equal(poll(&p, 1, 20000), 1);
        submit(c, "server.list", &t);
        until_told(c, 1);
        assert_int_equal(t.r, 0);
        submit_end(c);
}

static void script_speaks_nonsense(struct fake *f) {
        int fd = fake_accept_open(f);

        (void)take_request(fd, "server.list");
        fake_say(fd, "nonsense\n");
        fake_expect_end(fd);
}

static void and_so_does_what_is_no_message(void **state) {
        struct told t = { 0 };
        mcpb_client *c;

        fake_run(&fake, script_speaks_nonsense);
        c = fake_client();
        submit(c, "server.list", &t);
        until_told(c, 1);
        assert_int_equal(t.r, -EPROTO);
        submit_end(c);
}

static void script_closes_at_once(struct fake *f) {
        for (;;) {
                int fd = fake_accept(f);

                await_go();
                fake_say(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"hello\",\"params\":{\"protocol\":1,"
                             "\"nonce\":\"N0nce\"}}\n");
                require(take_request(fd, "session.open") == 0);
                await_go();
                say_answer(fd, 0, "\"result\":{\"protocol\":1}");
                (void)close(fd);
        }
}

static void wait_for(mcpb_client *c, short events) {
        struct pollfd p = { .fd = mcpb_client_fd(c), .events = events };

        assert_int_equal(poll(&p, 1, 20000), 1);
}

/* Each time the end is there before a byte of the request was sent. */
static void a_daemon_that_always_closes_is_not_tried_for_ever(void **state) {
        struct told t = { 0 };
        unsigned n = 1;
        mcpb_client *c;

        fake_run(&fake, script_closes_at_once);
        say_go();
        say_go();
        c = fake_client();
        wait_for(c, POLLRDHUP);
        submit(c, "server.list", &t); /* connects anew */
        for (; n_told == 0; n++) {
                say_go(); /* no hello before */
                wait_for(c, POLLIN);
                assert_int_equal(mcpb_dispatch(c), 0);
                say_go();
                wait_for(c, POLLRDHUP);
                assert_int_equal(mcpb_dispatch(c), 0);
        }
        assert_int_equal(n, 4);
        assert_int_equal(t.r, -ECONNRESET);
        (void)mcpb_client_free(c);
        assert_int_equal(kill(fake.pid, SIGKILL), 0);
        assert_int_not_equal(fake_end(&fake), 0);
}

static void script_goes(struct fake *f) {
        int fd = fake_accept_open(f);

        await_go();
        (void)close(fd);
}

static void the_end_of_an_idle_connection_is_noticed(void **state) {
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c;

        fake_run(&fake, script_goes);
        c = fake_client();
        assert_int_equal(mcpb_dispatch(c), 0);
        assert_true(mcpb_client_fd(c) >= 0);
        say_go();
        turn(c);
        assert_int_equal(mcpb_client_fd(c), -1);
        assert_int_equal(fake_end(&fake), 0);
        (void)close(fake.listener);
        fake.listener = -1;
        /* Nobody is there any more: that is known at once. */
        assert_int_equal(mcpb_submit(c, "m", NULL, on_never, NULL, NULL, &err), -ECONNREFUSED);
        assert_string_equal(err.code, "no_daemon");
        assert_int_equal(mcpb_client_timeout(c), -1);
        (void)mcpb_client_free(c);
}

static void script_goes_for_good(struct fake *f) {
        int fd = fake_accept_open(f);

        (void)take_request(fd, "token.get");
        await_go();
        (void)close(fd);
}

static void a_daemon_that_does_not_come_back_is_told(void **state) {
        struct told t = { 0 };
        mcpb_client *c;

        fake_run(&fake, script_goes_for_good);
        c = fake_client();
        submit_token(c, &t);
        (void)close(fake.listener);
        fake.listener = -1;
        say_go();
        assert_int_equal(fake_end(&fake), 0);
        until_told(c, 1);
        assert_int_equal(t.r, -ECONNREFUSED);
        assert_string_equal(t.code, "no_daemon");
        (void)mcpb_client_free(c);
}

/* --- processes -------------------------------------------------------------------------------- */

static void script_two_processes(struct fake *f) {
        int first = fake_accept_open(f);
        int id = take_request(first, "server.list");
        int second = fake_accept_open(f);

        serve(second, "broker.lock", "\"result\":{}");
        fake_expect_end(second);
        say_answer(first, id, "\"result\":{}");
        fake_expect_end(first);
}

static int in_the_child(mcpb_client *c) {
        if (mcpb_client_events(c) != 0 || mcpb_client_timeout(c) != -1)
                return 1;
        if (mcpb_broker_lock(c, NULL) < 0 || mcpb_dispatch(c) < 0 || n_told > 0)
                return 2;
        if (mcpb_client_timeout(c) != -1) /* it waits for nothing of the parent's */
                return 3;
        (void)mcpb_client_free(c);
        return 0;
}

static void after_fork_calls_are_the_parents(void **state) {
        struct told t = { 0 };
        mcpb_client *c;
        int status = 0;
        pid_t child;

        fake_run(&fake, script_two_processes);
        c = fake_client();
        submit(c, "server.list", &t);
        child = fork();
        if (child == 0)
                _exit(in_the_child(c));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        until_told(c, 1);
        assert_int_equal(t.r, 0);
        submit_end(c);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void script_serves_all(struct fake *f) {
        static const char hello[] = "{\"jsonrpc\":\"2.0\",\"method\":\"hello\",\"params\":"
                                    "{\"protocol\":1,\"nonce\":\"n\"}}\n";

        for (;;) {
                int fd = fake_accept(f);

                /* a client without memory may be gone already */
                (void)send(fd, hello, strlen(hello), MSG_NOSIGNAL);
                for (json_t *m; (m = fake_read(fd)); json_decref(m)) {
                        char line[512];
                        int n = snprintf(line, sizeof(line), "{\"jsonrpc\":\"2.0\",\"id\":%d,%s}\n",
                                         (int)json_get_int(m, "id", 0), TOKEN);

                        (void)send(fd, line, (size_t)n, MSG_NOSIGNAL);
                }
                (void)close(fd);
        }
}

/* Every call that was taken is told. */
static int submit_and_drop(void *userdata) {
        mcpb_token_request q = MCPB_TOKEN_REQUEST_INIT;
        mcpb_options o = fake_options();
        struct told t[2] = { 0 };
        unsigned n_taken = 0;
        mcpb_client *c = NULL;
        int r = mcpb_client_new(&o, &c, NULL);

        n_told = 0;
        q.server = "x";
        if (r < 0)
                return r;
        r = mcpb_token_submit(c, &q, on_token, &t[0], NULL, NULL);
        n_taken += r == 0;
        if (r == 0) {
                r = mcpb_submit(c, "server.list", "{}", on_answer, &t[1], NULL, NULL);
                n_taken += r == 0;
        }
        until_told(c, n_taken);
        for (unsigned i = 0; r == 0 && i < n_taken; i++)
                r = t[i].r;
        (void)mcpb_client_free(c);
        return r;
}

static void out_of_memory_is_told_wherever_it_strikes(void **state) {
        fake_run(&fake, script_serves_all);
        assert_true(oom_sweep_any(submit_and_drop, NULL) > 30);
        assert_int_equal(kill(fake.pid, SIGKILL), 0);
        assert_int_not_equal(fake_end(&fake), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, submit_setup, submit_teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(what_may_be_is_sent_again_and_the_rest_is_told),
                TEST(in_the_order_in_which_it_was_submitted),
                TEST(and_not_more_than_once),
                TEST(a_request_that_was_not_read_whole_is_sent_again),
                TEST(an_answer_may_be_cut_anywhere),
                TEST(the_next_daemon_is_asked_when_one_stops),
                TEST(an_error_of_the_connection_ends_all),
                TEST(but_what_was_said_before_concerns_no_call),
                TEST(and_so_does_what_is_no_message),
                TEST(a_daemon_that_always_closes_is_not_tried_for_ever),
                TEST(the_end_of_an_idle_connection_is_noticed),
                TEST(a_daemon_that_does_not_come_back_is_told),
                TEST(after_fork_calls_are_the_parents),
                TEST(out_of_memory_is_told_wherever_it_strikes),
        };

        return cmocka_run_group_tests_name("submit-end", tests, NULL, NULL);
}
