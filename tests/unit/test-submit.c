/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many calls of libmcpbroker at once, none of which waits.
 */
#include "config.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "submit-rig.h"

/* --- answers ---------------------------------------------------------------------------------- */

static void script_reverses(struct fake *f) {
        int fd = fake_accept_open(f);
        int ids[3];

        ids[0] = take_request(fd, "server.list");
        ids[1] = take_request(fd, "token.get");
        ids[2] = take_request(fd, "server.show");
        say_answer(fd, ids[2],
                   "\"error\":{\"code\":1011,\"message\":\"no\",\"data\":{\"code\":"
                   "\"not_found\"}}");
        say_answer(fd, ids[1], TOKEN);
        say_answer(fd, ids[0], "\"result\":{\"servers\":[]}");
        fake_expect_end(fd);
}

static void each_answer_finds_its_own_function(void **state) {
        struct told t[3] = { 0 };
        mcpb_client *c;

        fake_run(&fake, script_reverses);
        c = fake_client();
        submit(c, "server.list", &t[0]);
        submit_token(c, &t[1]);
        submit(c, "server.show", &t[2]);
        assert_int_equal(n_told, 0);
        until_told(c, 3);
        assert_int_equal(t[0].order, 3);
        assert_int_equal(t[0].r, 0);
        assert_string_equal(t[0].text, "{\"servers\":[]}");
        assert_int_equal(t[1].order, 2);
        assert_int_equal(t[1].r, 0);
        assert_string_equal(t[1].text, "t");
        assert_int_equal(t[2].order, 1);
        assert_int_equal(t[2].r, -EREMOTEIO);
        assert_string_equal(t[2].code, "not_found");
        assert_int_equal(mcpb_client_timeout(c), -1);
        assert_int_equal(mcpb_client_events(c), POLLIN);
        submit_end(c);
}

static void script_half_tokens(struct fake *f) {
        int fd = fake_accept_open(f);

        serve(fd, "token.get", "\"result\":{\"token\":\"x\"}");
        serve(fd, "token.get", "\"nothing\":1");
        serve(fd, "server.list", "\"result\":{}");
        fake_expect_end(fd);
}

static void what_is_no_answer_fails_its_call_alone(void **state) {
        struct told t[3] = { 0 };
        mcpb_client *c;

        fake_run(&fake, script_half_tokens);
        c = fake_client();
        submit_token(c, &t[0]);
        submit_token(c, &t[1]);
        submit(c, "server.list", &t[2]);
        until_told(c, 3);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(t[i].r, -EPROTO);
                assert_string_equal(t[i].code, "unsupported");
        }
        assert_int_equal(t[2].r, 0);
        submit_end(c);
}

#define N_MANY (LIMIT_REQUESTS_PER_CLIENT + 6)

static void script_counts(struct fake *f) {
        int fd = fake_accept_open(f);
        int ids[N_MANY];
        char byte;

        for (int i = 0; i < LIMIT_REQUESTS_PER_CLIENT; i++) {
                ids[i] = take_request(fd, "broker.status");
                require(i == 0 || ids[i] > ids[i - 1]); /* in order */
        }
        await_go();
        require(recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
        for (int i = LIMIT_REQUESTS_PER_CLIENT; i < N_MANY; i++) {
                say_answer(fd, ids[i - LIMIT_REQUESTS_PER_CLIENT], "\"result\":{}");
                ids[i] = take_request(fd, "broker.status");
                require(ids[i] > ids[i - 1]);
        }
        for (int i = N_MANY - LIMIT_REQUESTS_PER_CLIENT; i < N_MANY; i++)
                say_answer(fd, ids[i], "\"result\":{}");
        fake_expect_end(fd);
}

static void no_more_are_sent_than_the_daemon_takes(void **state) {
        struct told t[N_MANY] = { 0 };
        mcpb_client *c;

        fake_run(&fake, script_counts);
        c = fake_client();
        for (int i = 0; i < N_MANY; i++)
                submit(c, "broker.status", &t[i]);
        while (mcpb_client_events(c) & POLLOUT)
                turn(c);
        say_go();
        until_told(c, N_MANY);
        for (int i = 0; i < N_MANY; i++)
                assert_int_equal(t[i].order, i + 1);
        submit_end(c);
}

static void script_takes_all(struct fake *f) {
        int fd = fake_accept_open(f);
        char some[4096];

        while (recv(fd, some, sizeof(some), 0) > 0)
                ;
}

static void too_many_are_refused_and_room_comes_back(void **state) {
        unsigned long long tickets[LIMIT_SUBMITTED];
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c;

        fake_run(&fake, script_takes_all);
        c = fake_client();
        for (size_t i = 0; i < LIMIT_SUBMITTED; i++)
                assert_int_equal(mcpb_submit(c, "m", NULL, on_never, NULL, &tickets[i], NULL), 0);
        assert_int_equal(mcpb_submit(c, "m", NULL, on_never, NULL, NULL, &err), -EBUSY);
        assert_string_equal(err.code, "busy");
        assert_int_equal(err.exit_status, 11);
        for (size_t i = 0; i < LIMIT_SUBMITTED; i += LIMIT_SUBMITTED - 1)
                assert_int_equal(mcpb_withdraw(c, tickets[i]), 0);
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(mcpb_submit(c, "m", NULL, on_never, NULL, NULL, NULL), 0);
        assert_int_equal(mcpb_submit(c, "m", NULL, on_never, NULL, NULL, NULL), -EBUSY);
        submit_end(c);
}

static char *long_params(size_t len) {
        char *params = malloc(len + 1);

        for (size_t i = 0; i < len; i++)
                params[i] = i < 6 ? "{\"a\":\""[i] : 'x';
        (void)snprintf(params + len - 2, 3, "\"}");
        return params;
}

static void and_so_are_too_many_bytes(void **state) {
        size_t len = 1000 * 1000;
        char *huge = long_params(len);
        mcpb_options o = fake_options();
        unsigned long long ticket = 0;
        mcpb_client *c = NULL;
        size_t n = 0;

        o.timeout_msec = -1;
        fake_run(&fake, script_takes_all);
        assert_int_equal(mcpb_client_new(&o, &c, NULL), 0);
        while (mcpb_submit(c, "m", huge, on_never, NULL, &ticket, NULL) == 0)
                n++;
        assert_int_equal(n, LIMIT_SUBMITTED_BYTES / len);
        assert_int_equal(mcpb_submit(c, "m", huge, on_never, NULL, NULL, NULL), -EBUSY);
        assert_int_equal(mcpb_withdraw(c, ticket), 0);
        assert_int_equal(mcpb_submit(c, "m", huge, on_never, NULL, &ticket, NULL), 0);
        while (mcpb_client_events(c) & POLLOUT) /* more than a socket holds */
                turn(c);
        free(huge);
        submit_end(c);
}

/* --- with calls that block -------------------------------------------------------------------- */

static void script_answers_the_other_first(struct fake *f) {
        int fd = fake_accept_open(f);
        int other = take_request(fd, "server.list");
        int call = take_request(fd, "broker.status");

        say_answer(fd, other, "\"result\":{\"other\":1}");
        say_answer(fd, call, "\"result\":{\"call\":1}");
        serve(fd, "broker.status", "\"result\":{\"call\":2}");
        fake_expect_end(fd);
}

static void a_call_that_blocks_tells_nothing_of_others(void **state) {
        struct told t = { 0 };
        char *text = NULL;
        mcpb_client *c;

        fake_run(&fake, script_answers_the_other_first);
        c = fake_client();
        submit(c, "server.list", &t);
        check_text(mcpb_broker_status(c, &text, NULL), &text, "{\"call\":1}");
        assert_int_equal(n_told, 0);
        assert_int_equal(mcpb_client_timeout(c), 0);
        check_text(mcpb_broker_status(c, &text, NULL), &text, "{\"call\":2}");
        assert_int_equal(n_told, 0);
        assert_int_equal(mcpb_dispatch(c), 0);
        assert_int_equal(n_told, 1);
        assert_string_equal(t.text, "{\"other\":1}");
        submit_end(c);
}

static void script_answers_late(struct fake *f) {
        int fd = fake_accept_open(f);
        int other = take_request(fd, "server.list");
        int call = take_request(fd, "broker.status");

        require(kill(getppid(), SIGUSR1) == 0);
        await_go();
        say_answer(fd, call, "\"result\":{\"late\":1}");
        say_answer(fd, other, "\"result\":{}");
        fake_expect_end(fd);
}

static mcpb_client *to_cancel;

static void on_signal(int sig) {
        mcpb_cancel(to_cancel);
}

static void a_cancelled_call_leaves_the_connection_to_others(void **state) {
        const struct sigaction sa = { .sa_handler = on_signal };
        struct told t = { 0 };

        fake_run(&fake, script_answers_late);
        to_cancel = fake_client();
        assert_int_equal(sigaction(SIGUSR1, &sa, NULL), 0);
        submit(to_cancel, "server.list", &t);
        assert_int_equal(mcpb_broker_status(to_cancel, NULL, NULL), -ECANCELED);
        assert_true(mcpb_client_fd(to_cancel) >= 0);
        say_go();
        until_told(to_cancel, 1);
        assert_int_equal(t.r, 0);
        submit_end(to_cancel);
}

/* --- giving up -------------------------------------------------------------------------------- */

static void script_answers_what_nobody_wants(struct fake *f) {
        int fd = fake_accept_open(f);
        int unwanted = take_request(fd, "server.list");
        int wanted = take_request(fd, "server.show");

        await_go();
        say_answer(fd, unwanted, "\"result\":{}");
        say_answer(fd, wanted, "\"result\":{}");
        (void)take_request(fd, "m");
        fake_expect_end(fd); /* the last that was wanted was withdrawn */
        fd = fake_accept_open(f);
        serve(fd, "broker.lock", "\"result\":{}");
        fake_expect_end(fd);
}

static void what_is_withdrawn_is_not_told(void **state) {
        unsigned long long ticket = 0;
        unsigned long long done = 0;
        struct told t = { 0 };
        mcpb_client *c;

        fake_run(&fake, script_answers_what_nobody_wants);
        c = fake_client();
        assert_int_equal(mcpb_submit(c, "server.list", NULL, on_never, NULL, &ticket, NULL), 0);
        submit(c, "server.show", &t);
        assert_int_equal(mcpb_withdraw(c, ticket), 0);
        assert_int_equal(mcpb_withdraw(c, ticket), -ENOENT);
        say_go();
        until_told(c, 1);
        assert_int_equal(t.r, 0);
        assert_int_equal(mcpb_submit(c, "m", NULL, on_never, NULL, &done, NULL), 0);
        assert_true(done > ticket);
        assert_int_equal(mcpb_withdraw(c, done), 0);
        assert_int_equal(mcpb_client_fd(c), -1); /* nothing else was under way */
        assert_int_equal(mcpb_broker_lock(c, NULL), 0);
        assert_int_equal(mcpb_withdraw(c, 0), -ENOENT);
        submit_end(c);
}

static void script_answers_before(struct fake *f) {
        int fd = fake_accept_open(f);

        serve(fd, "token.get", TOKEN);
        serve(fd, "broker.lock", "\"result\":{}");
        fake_expect_end(fd);
}

static void an_answer_that_is_there_is_withdrawn_too(void **state) {
        mcpb_token_request q = MCPB_TOKEN_REQUEST_INIT;
        unsigned long long ticket = 0;
        struct told t = { 0 };
        mcpb_client *c;

        fake_run(&fake, script_answers_before);
        c = fake_client();
        q.server = "x";
        assert_int_equal(mcpb_token_submit(c, &q, on_token, &t, &ticket, NULL), 0);
        assert_int_equal(mcpb_broker_lock(c, NULL), 0);
        assert_int_equal(mcpb_client_timeout(c), 0);
        assert_int_equal(mcpb_withdraw(c, ticket), 0);
        assert_int_equal(mcpb_client_timeout(c), -1);
        assert_int_equal(mcpb_dispatch(c), 0);
        assert_int_equal(n_told, 0);
        submit_end(c);
}

static void script_takes_a_long_line(struct fake *f) {
        int fd = fake_accept_open(f);
        int first = take_request(fd, "server.list");

        await_go();
        (void)take_request(fd, "long"); /* whole, though it was withdrawn in the middle */
        serve(fd, "server.show", "\"result\":{}");
        say_answer(fd, first, "\"result\":{}");
        fake_expect_end(fd);
}

static void a_line_that_was_begun_is_finished(void **state) {
        unsigned long long ticket = 0;
        struct told t[2] = { 0 };
        mcpb_client *c;
        char *params;

        fake_run(&fake, script_takes_a_long_line);
        params = long_params(1000 * 1000); /* not before: the child would not free it */
        c = fake_client();
        submit(c, "server.list", &t[0]);
        assert_int_equal(mcpb_submit(c, "long", params, on_never, NULL, &ticket, NULL), 0);
        assert_true(mcpb_client_events(c) & POLLOUT); /* it does not fit in */
        submit(c, "server.show", &t[1]);
        assert_int_equal(mcpb_withdraw(c, ticket), 0);
        say_go();
        until_told(c, 2);
        assert_int_equal(t[1].order, 1);
        assert_int_equal(t[0].r, 0);
        assert_int_equal(t[1].r, 0);
        free(params);
        submit_end(c);
}

static void script_loses_half_a_line(struct fake *f) {
        int fd = fake_accept_open(f);
        char some[4096];

        await_go();
        while (recv(fd, some, sizeof(some), 0) > 0)
                ;
        fd = fake_accept_open(f);
        serve(fd, "server.show", "\"result\":{}");
        fake_expect_end(fd);
}

static void a_line_that_nobody_needs_keeps_nobody(void **state) {
        unsigned long long ticket = 0;
        struct told t = { 0 };
        mcpb_client *c;
        char *params;

        fake_run(&fake, script_loses_half_a_line);
        params = long_params(1000 * 1000);
        c = fake_client();
        assert_int_equal(mcpb_submit(c, "long", params, on_never, NULL, &ticket, NULL), 0);
        submit(c, "server.show", &t);
        assert_int_equal(mcpb_withdraw(c, ticket), 0);
        assert_int_equal(mcpb_client_fd(c), -1);
        assert_int_equal(mcpb_client_timeout(c), 0);
        say_go();
        until_told(c, 1);
        assert_int_equal(t.r, 0);
        free(params);
        submit_end(c);
}

static void script_is_silent(struct fake *f) {
        int fd = fake_accept_open(f);

        (void)take_request(fd, "server.list");
        (void)take_request(fd, "token.get");
        fake_expect_end(fd);
        fd = fake_accept_open(f);
        serve(fd, "broker.lock", "\"result\":{}");
        fake_expect_end(fd);
}

static void a_deadline_ends_each_call_and_the_last_the_connection(void **state) {
        mcpb_options o = fake_options();
        struct told t[2] = { 0 };
        mcpb_client *c = NULL;

        o.timeout_msec = 300;
        fake_run(&fake, script_is_silent);
        assert_int_equal(mcpb_client_new(&o, &c, NULL), 0);
        submit(c, "server.list", &t[0]);
        submit_token(c, &t[1]);
        assert_in_range(mcpb_client_timeout(c), 0, 300);
        until_told(c, 2);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(t[i].r, -ETIMEDOUT);
                assert_string_equal(t[i].code, "timeout");
        }
        assert_int_equal(mcpb_client_fd(c), -1);
        assert_int_equal(mcpb_client_events(c), 0);
        assert_int_equal(mcpb_client_timeout(c), -1);
        assert_int_equal(mcpb_broker_lock(c, NULL), 0);
        submit_end(c);
}

static void freeing_the_client_tells_nobody(void **state) {
        mcpb_client *c;

        fake_run(&fake, script_takes_all);
        c = fake_client();
        for (int i = 0; i < N_MANY; i++)
                assert_int_equal(mcpb_submit(c, "m", NULL, on_never, NULL, NULL, NULL), 0);
        submit_end(c);
}

/* --- inside of a function --------------------------------------------------------------------- */

struct inside {
        mcpb_client *c;
        struct told told;
        bool free;
};

static void on_inside(int r, const char *result, const mcpb_error *err, void *userdata) {
        struct inside *i = userdata;
        char *text = NULL;

        assert_int_equal(mcpb_dispatch(i->c), -EDEADLK);
        check_text(mcpb_broker_status(i->c, &text, NULL), &text, "{\"inside\":1}");
        submit(i->c, "server.show", &i->told);
        if (i->free)
                i->c = mcpb_client_free(i->c);
        n_told++;
}

static void script_three(struct fake *f) {
        int fd = fake_accept_open(f);

        serve(fd, "server.list", "\"result\":{}");
        serve(fd, "broker.status", "\"result\":{\"inside\":1}");
        serve(fd, "server.show", "\"result\":{}");
        fake_expect_end(fd);
}

static void a_function_may_use_the_client(void **state) {
        struct inside i = { 0 };

        fake_run(&fake, script_three);
        i.c = fake_client();
        assert_int_equal(mcpb_submit(i.c, "server.list", NULL, on_inside, &i, NULL, NULL), 0);
        until_told(i.c, 2);
        assert_int_equal(i.told.order, 2);
        submit_end(i.c);
}

static void script_two_and_more(struct fake *f) {
        int fd = fake_accept_open(f);
        int first = take_request(fd, "server.list");
        int second = take_request(fd, "m");
        char lines[256];

        /* At once, so that the second is still to be told when the first frees the client. */
        (void)snprintf(lines, sizeof(lines),
                       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{}}\n"
                       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{}}\n",
                       first, second);
        fake_say(fd, lines);
        serve(fd, "broker.status", "\"result\":{\"inside\":1}");
        (void)take_request(fd, "server.show");
        fake_expect_end(fd);
}

static void and_even_free_it(void **state) {
        struct inside i = { .free = true };
        struct told t = { 0 };

        fake_run(&fake, script_two_and_more);
        i.c = fake_client();
        assert_int_equal(mcpb_submit(i.c, "server.list", NULL, on_inside, &i, NULL, NULL), 0);
        submit(i.c, "m", &t);
        while (i.c)
                turn(i.c);
        assert_int_equal(i.told.order, 0);
        assert_int_equal(t.order, 0);
        submit_end(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, submit_setup, submit_teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(each_answer_finds_its_own_function),
                TEST(what_is_no_answer_fails_its_call_alone),
                TEST(no_more_are_sent_than_the_daemon_takes),
                TEST(too_many_are_refused_and_room_comes_back),
                TEST(and_so_are_too_many_bytes),
                TEST(a_call_that_blocks_tells_nothing_of_others),
                TEST(a_cancelled_call_leaves_the_connection_to_others),
                TEST(what_is_withdrawn_is_not_told),
                TEST(an_answer_that_is_there_is_withdrawn_too),
                TEST(a_line_that_was_begun_is_finished),
                TEST(a_line_that_nobody_needs_keeps_nobody),
                TEST(a_deadline_ends_each_call_and_the_last_the_connection),
                TEST(freeing_the_client_tells_nobody),
                TEST(a_function_may_use_the_client),
                TEST(and_even_free_it),
        };

        return cmocka_run_group_tests_name("submit", tests, NULL, NULL);
}
