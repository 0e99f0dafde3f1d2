/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libmcpbroker does when the connection is not what it should be.
 */
#include "config.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fake-daemon.h"

static void script_dies_once(struct fake *f) {
        int fd = fake_accept_open(f);

        json_decref(fake_serve(fd, "token.get", NULL));
        (void)close(fd);
        fd = fake_accept_open(f);
        json_decref(fake_serve(fd, "token.get",
                               "\"result\":{\"token\":\"t\",\"token_type\":\"Bearer\",\"token_id\":"
                               "\"i\",\"server\":\"s\",\"scopes\":[]}"));
        fake_expect_end(fd);
}

static void a_token_request_is_sent_once_more_when_the_daemon_goes_away(void **state) {
        mcpb_token_request q = MCPB_TOKEN_REQUEST_INIT;
        mcpb_token *t = NULL;
        mcpb_client *c;

        c = fake_talk(script_dies_once);
        q.server = "x";
        assert_int_equal(mcpb_token_get(c, &q, &t, NULL), 0);
        assert_int_equal(t->expires_in, -1);
        (void)mcpb_token_free(t);
        fake_over(c);
}

static void script_dies_always(struct fake *f) {
        for (int i = 0; i < 2; i++) {
                int fd = fake_accept_open(f);

                json_decref(fake_serve(fd, "token.get", NULL));
                (void)close(fd);
        }
}

static void and_not_more_than_once(void **state) {
        mcpb_token_request q = MCPB_TOKEN_REQUEST_INIT;
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_token *t = NULL;
        mcpb_client *c;

        c = fake_talk(script_dies_always);
        q.server = "x";
        assert_int_equal(mcpb_token_get(c, &q, &t, &err), -ECONNRESET);
        assert_string_equal(err.code, "retry");
        assert_int_equal(mcpb_client_fd(c), -1);
        fake_over(c);
}

static void script_dies_on_add(struct fake *f) {
        int fd = fake_accept_open(f);

        json_decref(fake_serve(fd, "server.add", NULL));
        (void)close(fd);
        fd = fake_accept_open(f);
        json_decref(fake_serve(fd, "server.list", "\"result\":{}"));
        fake_expect_end(fd);
}

static void what_changes_something_is_not_sent_twice(void **state) {
        mcpb_server_request q = MCPB_SERVER_REQUEST_INIT;
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c;
        char *text;

        c = fake_talk(script_dies_on_add);
        q.url = "https://x";
        assert_int_equal(mcpb_server_add(c, &q, NULL, NULL, &err), -ECONNRESET);
        assert_string_equal(err.code, "retry");
        check_text(mcpb_server_list(c, &text, NULL), &text, "{}");
        fake_over(c);
}

/* Closes between two calls, once in silence and once with a word of farewell. */
static void script_closes_between(struct fake *f) {
        int fd = fake_accept_open(f);

        json_decref(fake_serve(fd, "broker.lock", "\"result\":{}"));
        (void)close(fd);
        fd = fake_accept_open(f);
        json_decref(fake_serve(fd, "broker.lock", "\"result\":{}"));
        fake_say(fd,
                 "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1025,\"message\":\"idle\","
                 "\"data\":{\"code\":\"timeout\"}}}\n");
        (void)close(fd);
        fd = fake_accept_open(f);
        json_decref(fake_serve(fd, "broker.lock", "\"result\":{}"));
        fake_expect_end(fd);
}

static void a_connection_that_ended_between_calls_is_replaced(void **state) {
        mcpb_client *c;

        c = fake_talk(script_closes_between);
        for (int i = 0; i < 3; i++)
                assert_int_equal(mcpb_broker_lock(c, NULL), 0);
        fake_over(c);
}

static void script_refuses_in_the_middle(struct fake *f) {
        int fd = fake_accept_open(f);

        json_decref(fake_serve(fd, "broker.lock", NULL));
        fake_say(fd, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1002,\"message\":\"no\","
                     "\"data\":{\"code\":\"not_permitted\"}}}\n");
        (void)close(fd);
}

static void an_error_of_the_connection_is_told(void **state) {
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c;

        c = fake_talk(script_refuses_in_the_middle);
        assert_int_equal(mcpb_broker_lock(c, &err), -EREMOTEIO);
        assert_string_equal(err.code, "not_permitted");
        assert_int_equal(mcpb_client_fd(c), -1);
        fake_over(c);
}

static void script_notifies(struct fake *f) {
        int fd = fake_accept_open(f);
        AUTO_JSON json_t *m = fake_read(fd);
        AUTO_BUF struct buf out = BUF_INIT;

        fake_say(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"event\"}\n"
                     "{\"jsonrpc\":\"2.0\",\"id\":999,\"result\":{\"wrong\":1}}\n"
                     "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{\"wrong\":1}}\n");
        require(buf_printf(&out, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"right\":1}}\n",
                           (int)json_get_int(m, "id", 0)) == 0);
        for (size_t i = 0; i < out.len; i++)
                require(send(fd, out.data + i, 1, 0) == 1); /* byte by byte */
}

static void only_the_answer_with_its_id_counts(void **state) {
        mcpb_client *c;
        char *text = NULL;

        c = fake_talk(script_notifies);
        check_text(mcpb_broker_status(c, &text, NULL), &text, "{\"right\":1}");
        fake_over(c);
}

static void script_is_silent(struct fake *f) {
        int fd = fake_accept_open(f);

        json_decref(fake_serve(fd, "broker.status", NULL));
        fake_expect_end(fd); /* the end of the connection tells us */
        fd = fake_accept_open(f);
        json_decref(fake_serve(fd, "broker.status", "\"result\":{}"));
        fake_expect_end(fd);
}

static void a_deadline_ends_the_call_and_its_connection(void **state) {
        mcpb_options o = fake_options();
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;
        char *text = NULL;

        o.timeout_msec = 300;
        fake_run(&fake, script_is_silent);
        assert_int_equal(mcpb_client_new(&o, &c, &err), 0);
        assert_int_equal(mcpb_broker_status(c, &text, &err), -ETIMEDOUT);
        assert_string_equal(err.code, "timeout");
        assert_int_equal(mcpb_client_fd(c), -1);
        check_text(mcpb_broker_status(c, &text, &err), &text, "{}");
        fake_over(c);
}

static void script_never_greets(struct fake *f) {
        int fd = fake_accept(f);

        fake_expect_end(fd);
}

static void a_daemon_that_does_not_greet_is_not_waited_for(void **state) {
        mcpb_options o = fake_options();
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;

        o.timeout_msec = 50;
        fake_run(&fake, script_never_greets);
        assert_int_equal(mcpb_client_new(&o, &c, &err), -ETIMEDOUT);
        assert_null(c);
        assert_int_equal(fake_end(&fake), 0);
}

static mcpb_client *to_cancel;

static void on_signal(int sig) {
        mcpb_cancel(to_cancel);
}

static void script_signals(struct fake *f) {
        int fd = fake_accept_open(f);

        json_decref(fake_serve(fd, "broker.status", NULL));
        require(kill(getppid(), SIGUSR1) == 0);
        fake_expect_end(fd);
        fd = fake_accept_open(f);
        json_decref(fake_serve(fd, "broker.status", "\"result\":{}"));
        fake_expect_end(fd);
}

static void a_signal_handler_may_cancel(void **state) {
        const struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
        mcpb_error err = MCPB_ERROR_INIT;
        char *text = NULL;

        fake_run(&fake, script_signals);
        to_cancel = fake_client();
        assert_int_equal(sigaction(SIGUSR1, &sa, NULL), 0);
        assert_int_equal(mcpb_broker_status(to_cancel, &text, &err), -ECANCELED);
        assert_string_equal(err.code, "cancelled");
        assert_int_equal(err.exit_status, 130);
        check_text(mcpb_broker_status(to_cancel, &text, &err), &text, "{}"); /* one ends one */
        (void)mcpb_client_free(to_cancel);
        assert_int_equal(fake_end(&fake), 0);
}

static void script_two_sessions(struct fake *f) {
        int fd = fake_accept_open(f);

        fake_expect_end(fd);
}

static void a_cancellation_that_comes_early_is_not_lost(void **state) {
        mcpb_client *c;

        c = fake_talk(script_two_sessions);
        mcpb_cancel(c);
        assert_int_equal(mcpb_broker_lock(c, NULL), -ECANCELED);
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0); /* nothing was sent */
}

static int pipe_fds[2];

static void script_writes_a_pipe(struct fake *f) {
        int fd = fake_accept_open(f);

        json_decref(fake_serve(fd, "broker.status", NULL));
        require(write(pipe_fds[1], "!", 1) == 1);
        fake_expect_end(fd);
}

static void a_descriptor_may_cancel(void **state) {
        mcpb_options o = fake_options();
        mcpb_client *c = NULL;
        char *text = NULL;
        char byte = 0;

        assert_int_equal(pipe(pipe_fds), 0);
        fake_run(&fake, script_writes_a_pipe);
        o.cancel_fd = pipe_fds[0];
        assert_int_equal(mcpb_client_new(&o, &c, NULL), 0);
        assert_int_equal(mcpb_broker_status(c, &text, NULL), -ECANCELED);
        assert_int_equal(read(pipe_fds[0], &byte, 1), 1); /* it was not read */
        fake_over(c);
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);
}

static const char *first_words;

static void script_first_words(struct fake *f) {
        int fd = fake_accept(f);

        fake_say(fd, first_words);
        fake_expect_end(fd);
}

static void what_is_not_our_daemon_is_not_spoken_to(void **state) {
        static const struct {
                const char *words;
                int r;
                const char *code;
        } table[] = {
                { "SSH-2.0-OpenSSH_9.2\r\n", -EPROTO, "unsupported" },
                { "[]\n", -EPROTO, "unsupported" },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}\n", -EPROTO, "unsupported" },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"hello\",\"params\":{\"protocol\":1}}\n",
                  -EPROTO, "unsupported" },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"hello\",\"params\":{\"protocol\":2,"
                  "\"nonce\":\"n\"}}\n",
                  -EPROTO, "unsupported" },
                { "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1002,\"message\":\"no\","
                  "\"data\":{\"code\":\"not_permitted\"}}}\n",
                  -EPERM, "not_permitted" },
                { "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1024,\"message\":\"full\","
                  "\"data\":{\"code\":\"busy\"}}}\n",
                  -EREMOTEIO, "busy" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                mcpb_options o = fake_options();
                mcpb_error err = MCPB_ERROR_INIT;
                mcpb_client *c = NULL;

                first_words = table[i].words;
                fake_run(&fake, script_first_words);
                assert_int_equal(mcpb_client_new(&o, &c, &err), table[i].r);
                assert_string_equal(err.code, table[i].code);
                assert_int_equal(fake_end(&fake), 0); /* and not a byte was sent */
        }
}

static void script_as_nobody(struct fake *f) {
        const struct passwd *nobody = getpwnam("nobody");
        int fd;

        /* Listening again makes the socket nobody's: that is who the kernel then says is there. */
        require(setgroups(0, NULL) == 0 && setgid(nobody->pw_gid) == 0 &&
                setuid(nobody->pw_uid) == 0);
        require(listen(f->listener, 16) == 0);
        require(write(pipe_fds[1], "!", 1) == 1);
        fd = fake_accept(f);
        fake_expect_end(fd);
}

static void somebody_elses_socket_gets_not_a_byte(void **state) {
        mcpb_options o = fake_options();
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;
        char byte;

        if (geteuid() != 0)
                skip();
        assert_int_equal(pipe(pipe_fds), 0);
        fake_run(&fake, script_as_nobody);
        assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
        assert_int_equal(mcpb_client_new(&o, &c, &err), -EPERM);
        assert_string_equal(err.code, "denied");
        assert_int_equal(err.exit_status, 5);
        assert_int_equal(fake_end(&fake), 0);
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);
}

static void a_folder_that_is_open_to_others_is_not_trusted(void **state) {
        mcpb_options o = fake_options();
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;

        assert_int_equal(chmod(fake.dir, 0777), 0);
        assert_int_equal(mcpb_client_new(&o, &c, &err), -EPERM);
        assert_string_equal(err.code, "denied");
}

static void script_two_processes(struct fake *f) {
        int first = fake_accept_open(f);
        struct ucred a;
        struct ucred b;
        socklen_t len = sizeof(a);
        int second;

        json_decref(fake_serve(first, "broker.lock", "\"result\":{}"));
        second = fake_accept_open(f);
        json_decref(fake_serve(second, "broker.lock", "\"result\":{}"));
        require(getsockopt(first, SOL_SOCKET, SO_PEERCRED, &a, &len) == 0);
        require(getsockopt(second, SOL_SOCKET, SO_PEERCRED, &b, &len) == 0);
        require(a.pid != b.pid);
        json_decref(fake_serve(first, "broker.lock", "\"result\":{}"));
        fake_expect_end(first);
}

static void after_fork_the_child_has_a_connection_of_its_own(void **state) {
        mcpb_client *c;
        pid_t child;
        int status = 0;

        c = fake_talk(script_two_processes);
        assert_int_equal(mcpb_broker_lock(c, NULL), 0);
        child = fork();
        if (child == 0)
                _exit(mcpb_broker_lock(c, NULL) == 0 ? 0 : 1);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(mcpb_broker_lock(c, NULL), 0); /* the parent's goes on */
        fake_over(c);
}

static void script_serves_nothing(struct fake *f) {
        int fd = fake_accept_open(f);

        fake_expect_end(fd);
}

static void bad_parameters_are_not_sent(void **state) {
        static const char *const bad[] = { "", "{", "[]", "1", "{} x", "{\"a\":1,\"a\":2}" };
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c;
        char *huge = calloc(1, 1024 * 1024 + 16);

        c = fake_talk(script_serves_nothing);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                assert_int_equal(mcpb_call(c, "m", bad[i], NULL, &err), -EINVAL);
                assert_string_equal(err.code, "bad_params");
        }
        (void)snprintf(huge, 16, "{\"a\":\"");
        for (size_t i = 6; i < 1024 * 1024 - 16; i++)
                huge[i] = 'x';
        (void)snprintf(huge + 1024 * 1024 - 16, 16, "\"}");
        assert_int_equal(mcpb_call(c, "m", huge, NULL, &err), -EINVAL); /* with its wrapping */
        assert_string_equal(err.code, "bad_params");
        free(huge);
        fake_over(c);
}

static void options_of_an_older_program_are_understood(void **state) {
        mcpb_options o = fake_options();
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;

        o.size = offsetof(mcpb_options, cancel_fd);
        o.cancel_fd = 0; /* was not there then: must not be looked at */
        fake_run(&fake, script_serves_nothing);
        assert_int_equal(mcpb_client_new(&o, &c, &err), 0);
        fake_over(c);
        o.size = 0;
        assert_int_equal(mcpb_client_new(&o, &c, &err), -EINVAL);
        assert_string_equal(err.code, "bad_params");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(a_token_request_is_sent_once_more_when_the_daemon_goes_away),
                TEST(and_not_more_than_once),
                TEST(what_changes_something_is_not_sent_twice),
                TEST(a_connection_that_ended_between_calls_is_replaced),
                TEST(an_error_of_the_connection_is_told),
                TEST(only_the_answer_with_its_id_counts),
                TEST(a_deadline_ends_the_call_and_its_connection),
                TEST(a_daemon_that_does_not_greet_is_not_waited_for),
                TEST(a_signal_handler_may_cancel),
                TEST(a_cancellation_that_comes_early_is_not_lost),
                TEST(a_descriptor_may_cancel),
                TEST(what_is_not_our_daemon_is_not_spoken_to),
                TEST(somebody_elses_socket_gets_not_a_byte),
                TEST(a_folder_that_is_open_to_others_is_not_trusted),
                TEST(after_fork_the_child_has_a_connection_of_its_own),
                TEST(bad_parameters_are_not_sent),
                TEST(options_of_an_older_program_are_understood),
        };

        return cmocka_run_group_tests_name("client-conn", tests, NULL, NULL);
}
