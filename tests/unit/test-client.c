/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmcpbroker against a daemon that says what it is told.
 */
#include "config.h"

#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fake-daemon.h"
#include "mcpbroker.h"
#include "oom.h"

static struct fake fake;

static int setup(void **state) {
        fake_init(&fake);
        return 0;
}

static int teardown(void **state) {
        fake_done(&fake);
        return 0;
}

static mcpb_options options(void) {
        mcpb_options o = MCPB_OPTIONS_INIT;

        o.socket_path = fake.path;
        o.client_name = "test-client";
        o.timeout_msec = 20000;
        return o;
}

static mcpb_client *client(void) {
        mcpb_options o = options();
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;

        if (mcpb_client_new(&o, &c, &err) < 0)
                fail_msg("%s: %s", err.code, err.message);
        return c;
}

/* --- scripts and their tests ------------------------------------------------------------------------------------------ */

static void script_one_call(struct fake *f) {
        int fd = fake_accept(f);
        AUTO_JSON json_t *m = NULL;
        AUTO_JSON json_t *params = NULL;

        fake_say(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"hello\",\"params\":{\"protocol\":1,"
                     "\"nonce\":\"n\"}}\n");
        m = fake_read(fd);
        require(streq(json_get_string(json_object_get(m, "params"), "client"), "test-client"));
        fake_say(fd,
                 "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocol\":1,\"manage\":false}}\r\n");
        params = fake_serve(fd, "server.list", "\"result\":{\"servers\":[]}");
        require(json_object_size(params) == 0);
        fake_expect_end(fd);
}

static void a_call_brings_its_result(void **state) {
        mcpb_client *c;
        char *text = NULL;

        fake_run(&fake, script_one_call);
        c = client();
        assert_true(mcpb_client_fd(c) >= 0);
        assert_int_equal(mcpb_client_may_manage(c), 0);
        assert_int_equal(mcpb_call(c, "server.list", NULL, &text, NULL), 0);
        assert_string_equal(text, "{\"servers\":[]}");
        assert_null(mcpb_text_free(text));
        assert_null(mcpb_client_free(c));
        assert_int_equal(fake_end(&fake), 0);
}

static void script_token(struct fake *f) {
        int fd = fake_accept_open(f);
        AUTO_JSON json_t *params = fake_serve(
                fd, "token.get",
                "\"result\":{\"token\":\"s3cr3t-abcdefgh\",\"token_type\":\"Bearer\","
                "\"token_id\":\"T1\",\"expires_in\":300,\"server\":\"x\",\"request\":\"R1\","
                "\"scopes\":[\"a\",\"b\"],\"later\":1}");
        AUTO_JSON json_t *full =
                json_pack("{s:s,s:s,s:[s,s],s:i,s:s,s:{s:i,s:[s]}}", "server", "x", "account", "me",
                          "scopes", "a", "b", "min_ttl", 60, "login", "start", "challenge",
                          "status", 401, "fields", "Bearer realm=\"x\"");

        require(json_equal(params, full) || json_object_size(params) == 1);
}

static void a_token_comes_with_what_is_known_of_it(void **state) {
        static const char *const fields[] = { "Bearer realm=\"x\"" };
        const mcpb_challenge challenge = { 401, fields, 1 };
        mcpb_token_request q = MCPB_TOKEN_REQUEST_INIT;
        mcpb_token *t = NULL;
        mcpb_client *c;

        fake_run(&fake, script_token);
        c = client();
        q.server = "x";
        q.account = "me";
        q.scopes = " a  b ";
        q.min_ttl = 60;
        q.start_login = 1;
        q.challenge = &challenge;
        assert_int_equal(mcpb_token_get(c, &q, &t, NULL), 0);
        assert_int_equal(t->no_challenge, 0);
        assert_string_equal(t->token, "s3cr3t-abcdefgh");
        assert_string_equal(t->token_type, "Bearer");
        assert_string_equal(t->token_id, "T1");
        assert_string_equal(t->server, "x");
        assert_string_equal(t->request, "R1");
        assert_string_equal(t->scopes, "a b");
        assert_int_equal(t->expires_in, 300);
        assert_null(mcpb_token_free(t));
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
}

/* What our code gives back to the heap is looked at: no block may hold the token. */
static unsigned n_dirty;
static bool look;
void __real_free(void *p);
void __wrap_free(void *p);

void __wrap_free(void *p) {
        if (look && p && memmem(p, malloc_usable_size(p), "s3cr3t-", 7))
                n_dirty++;
        __real_free(p);
}

/* S1 */
static void no_copy_of_a_token_is_left_in_the_heap(void **state) {
        mcpb_token_request q = MCPB_TOKEN_REQUEST_INIT;
        mcpb_token *t = NULL;
        mcpb_client *c;
        void *p = strdup("s3cr3t-canary");

        fake_run(&fake, script_token);
        c = client();
        look = true;
        __wrap_free(p);
        assert_int_equal(n_dirty, 1); /* it does look */
        n_dirty = 0;
        q.server = "x";
        (void)!mcpb_token_get(c, &q, &t, NULL);
        assert_non_null(t);
        (void)mcpb_token_free(t);
        (void)mcpb_client_free(c);
        look = false;
        assert_int_equal(n_dirty, 0);
        (void)fake_end(&fake);
}

static void script_no_challenge(struct fake *f) {
        int fd = fake_accept_open(f);

        json_decref(fake_serve(fd, "token.get", "\"result\":{\"no_challenge\":true}"));
        json_decref(fake_serve(fd, "token.get", "\"result\":{\"token\":\"x\"}"));
        json_decref(fake_serve(fd, "token.get", "\"nothing\":1"));
        fake_expect_end(fd);
}

static void an_open_server_needs_no_token_and_half_a_token_is_none(void **state) {
        mcpb_token_request q = MCPB_TOKEN_REQUEST_INIT;
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_token *t = NULL;
        mcpb_client *c;

        fake_run(&fake, script_no_challenge);
        c = client();
        q.server = "x";
        assert_int_equal(mcpb_token_get(c, &q, &t, &err), 0);
        assert_int_equal(t->no_challenge, 1);
        assert_null(t->token);
        t = mcpb_token_free(t);
        assert_int_equal(mcpb_token_get(c, &q, &t, &err), -EPROTO);
        assert_string_equal(err.code, "unsupported");
        assert_int_equal(mcpb_token_get(c, &q, &t, &err), -EPROTO);
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
}

static void script_errors(struct fake *f) {
        int fd = fake_accept_open(f);

        json_decref(fake_serve(
                fd, "token.get",
                "\"error\":{\"code\":1004,\"message\":\"No login for x\",\"data\":{\"code\":"
                "\"login_required\",\"hint\":\"Run mcp-add x\",\"login\":\"L1\",\"url\":"
                "\"https://as/authorize?state=1\",\"opener\":true}}"));
        json_decref(fake_serve(fd, "server.show",
                               "\"error\":{\"code\":4711,\"message\":\"a\\u001b[31mb\","
                               "\"data\":{\"code\":\"from_the_future\"}}"));
        json_decref(fake_serve(fd, "server.show", "\"error\":{\"code\":-32603}"));
        json_decref(fake_serve(fd, "server.show", "\"result\":{}"));
        fake_expect_end(fd);
}

static void the_daemons_errors_arrive_whole(void **state) {
        mcpb_token_request q = MCPB_TOKEN_REQUEST_INIT;
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_login *l = NULL;
        mcpb_token *t = NULL;
        char *text = NULL;
        mcpb_client *c;

        fake_run(&fake, script_errors);
        c = client();
        q.server = "x";
        assert_int_equal(mcpb_token_get(c, &q, &t, &err), -EREMOTEIO);
        assert_string_equal(err.code, "login_required");
        assert_int_equal(err.number, 1004);
        assert_int_equal(err.exit_status, 4);
        assert_string_equal(err.message, "No login for x");
        assert_string_equal(err.hint, "Run mcp-add x");
        assert_int_equal(mcpb_login_from_error(&err, &l), 0);
        assert_string_equal(l->login, "L1");
        assert_string_equal(l->url, "https://as/authorize?state=1");
        assert_int_equal(l->opener, 1);
        assert_null(mcpb_login_free(l));

        assert_int_equal(mcpb_server_show(c, "x", &text, &err), -EREMOTEIO);
        assert_string_equal(err.code, "from_the_future");
        assert_int_equal(err.number, 4711);
        assert_int_equal(err.exit_status, 1);
        assert_string_equal(err.message, "a?[31mb"); /* nothing that a terminal would obey */
        assert_null(err.data);
        assert_int_equal(mcpb_login_from_error(&err, &l), -ENOENT);

        assert_int_equal(mcpb_server_show(c, "x", &text, &err), -EREMOTEIO);
        assert_string_equal(err.code, "internal");
        assert_int_equal(mcpb_server_show(c, "x", &text, &err), 0);
        assert_string_equal(err.code, ""); /* success empties it */
        (void)mcpb_text_free(text);
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
}

static void script_all_methods(struct fake *f) {
        static const struct {
                const char *method;
                const char *params;
                const char *result;
        } table[] = {
                { "token.reject", "{\"server\":\"x\",\"token_id\":\"T\"}", "{}" },
                { "server.add",
                  "{\"url\":\"https://x\",\"name\":\"x\",\"account\":\"a\",\"scopes\":[\"s\"],"
                  "\"issuer\":\"https://i\",\"client_id\":\"c\",\"client_secret\":\"p\","
                  "\"client_metadata_url\":\"https://m\",\"login\":true}",
                  "{\"server\":{\"name\":\"x\"},\"login\":{\"login\":\"L\",\"url\":\"u\","
                  "\"opener\":true}}" },
                { "server.add", "{\"url\":\"https://y\"}", "{\"server\":{\"name\":\"y\"}}" },
                { "server.list", "{}", "{\"servers\":[]}" },
                { "server.show", "{\"server\":\"x\"}", "{\"name\":\"x\"}" },
                { "server.remove", "{\"server\":\"x\"}", "{\"removed\":[\"x\"]}" },
                { "server.remove", "{\"all\":true}", "{\"removed\":[]}" },
                { "login.start", "{\"server\":\"x\",\"scopes\":[\"a\",\"b\"]}",
                  "{\"login\":\"L\",\"url\":\"u\"}" },
                { "login.start", "{\"server\":\"y\"}",
                  "{\"open\":true,\"server\":{\"name\":\"y\"}}" },
                { "login.status", "{\"login\":\"L\"}",
                  "{\"state\":\"waiting\",\"server\":\"x\",\"url\":\"u\",\"seconds_left\":9}" },
                { "login.wait", "{\"login\":\"L\"}",
                  "{\"state\":\"failed\",\"server\":\"x\",\"error\":{\"code\":\"login_failed\","
                  "\"message\":\"m\",\"hint\":\"h\"},\"seconds_left\":0}" },
                { "login.complete", "{\"login\":\"L\",\"redirect_url\":\"r\"}",
                  "{\"state\":\"done\",\"server\":\"x\"}" },
                { "login.cancel", "{\"login\":\"L\"}", "{}" },
                { "broker.status", "{}", "{\"locked\":false}" },
                { "broker.lock", "{}", "{}" },
                { "broker.unlock", "{\"passphrase\":\"p\"}", "{}" },
                { "broker.reload", "{}", "{}" },
                { "broker.stop", "{}", "{}" },
        };
        int fd = fake_accept_open(f);

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_JSON json_t *want = json_loads(table[i].params, 0, NULL);
                AUTO_BUF struct buf answer = BUF_INIT;
                AUTO_JSON json_t *params = NULL;

                require(buf_printf(&answer, "\"result\":%s", table[i].result) == 0);
                params = fake_serve(fd, table[i].method, answer.data);
                require(want && json_equal(params, want));
        }
        fake_expect_end(fd);
}

static void check_text(int r, char **text, const char *want) {
        assert_int_equal(r, 0);
        assert_string_equal(*text, want);
        *text = mcpb_text_free(*text);
}

static void check_logins(mcpb_client *c) {
        mcpb_login *l = NULL;

        assert_int_equal(mcpb_login_start(c, "x", "a b", &l, NULL), 0);
        assert_string_equal(l->login, "L");
        assert_string_equal(l->url, "u");
        assert_string_equal(l->state, "waiting");
        l = mcpb_login_free(l);
        assert_int_equal(mcpb_login_start(c, "y", NULL, &l, NULL), 0);
        assert_string_equal(l->state, "open");
        assert_null(l->login);
        l = mcpb_login_free(l);
        assert_int_equal(mcpb_login_status(c, "L", &l, NULL), 0);
        assert_string_equal(l->login, "L");
        assert_int_equal(l->seconds_left, 9);
        l = mcpb_login_free(l);
        assert_int_equal(mcpb_login_wait(c, "L", &l, NULL), 0);
        assert_string_equal(l->state, "failed");
        assert_string_equal(l->error_code, "login_failed");
        assert_string_equal(l->error, "m");
        assert_string_equal(l->error_hint, "h");
        l = mcpb_login_free(l);
        assert_int_equal(mcpb_login_complete(c, "L", "r", &l, NULL), 0);
        assert_string_equal(l->state, "done");
        l = mcpb_login_free(l);
        assert_int_equal(mcpb_login_cancel(c, "L", NULL), 0);
}

static void each_typed_call_sends_what_the_protocol_says(void **state) {
        mcpb_server_request q = MCPB_SERVER_REQUEST_INIT;
        mcpb_login *l = NULL;
        char *text = NULL;
        mcpb_client *c;

        fake_run(&fake, script_all_methods);
        c = client();
        assert_int_equal(mcpb_client_may_manage(c), 1);
        assert_int_equal(mcpb_token_reject(c, "x", NULL, "T", NULL, NULL), 0);
        q = (mcpb_server_request){ sizeof(q),   "https://x", "x", "a",         "s",
                                   "https://i", "c",         "p", "https://m", 1 };
        check_text(mcpb_server_add(c, &q, &text, &l, NULL), &text, "{\"name\":\"x\"}");
        assert_string_equal(l->login, "L");
        assert_string_equal(l->state, "waiting");
        assert_int_equal(l->opener, 1);
        l = mcpb_login_free(l);
        q = (mcpb_server_request)MCPB_SERVER_REQUEST_INIT;
        q.url = "https://y";
        check_text(mcpb_server_add(c, &q, &text, &l, NULL), &text, "{\"name\":\"y\"}");
        assert_null(l);
        check_text(mcpb_server_list(c, &text, NULL), &text, "{\"servers\":[]}");
        check_text(mcpb_server_show(c, "x", &text, NULL), &text, "{\"name\":\"x\"}");
        check_text(mcpb_server_remove(c, "x", &text, NULL), &text, "{\"removed\":[\"x\"]}");
        assert_int_equal(mcpb_server_remove_all(c, NULL, NULL), 0);
        check_logins(c);
        check_text(mcpb_broker_status(c, &text, NULL), &text, "{\"locked\":false}");
        assert_int_equal(mcpb_broker_lock(c, NULL), 0);
        assert_int_equal(mcpb_broker_unlock(c, "p", NULL), 0);
        assert_int_equal(mcpb_broker_reload(c, NULL), 0);
        assert_int_equal(mcpb_broker_stop(c, NULL), 0);
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
}

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

        fake_run(&fake, script_dies_once);
        c = client();
        q.server = "x";
        assert_int_equal(mcpb_token_get(c, &q, &t, NULL), 0);
        assert_int_equal(t->expires_in, -1);
        (void)mcpb_token_free(t);
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
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

        fake_run(&fake, script_dies_always);
        c = client();
        q.server = "x";
        assert_int_equal(mcpb_token_get(c, &q, &t, &err), -ECONNRESET);
        assert_string_equal(err.code, "retry");
        assert_int_equal(mcpb_client_fd(c), -1);
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
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

        fake_run(&fake, script_dies_on_add);
        c = client();
        q.url = "https://x";
        assert_int_equal(mcpb_server_add(c, &q, NULL, NULL, &err), -ECONNRESET);
        assert_string_equal(err.code, "retry");
        check_text(mcpb_server_list(c, &text, NULL), &text, "{}");
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
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

        fake_run(&fake, script_closes_between);
        c = client();
        for (int i = 0; i < 3; i++)
                assert_int_equal(mcpb_broker_lock(c, NULL), 0);
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
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

        fake_run(&fake, script_refuses_in_the_middle);
        c = client();
        assert_int_equal(mcpb_broker_lock(c, &err), -EREMOTEIO);
        assert_string_equal(err.code, "not_permitted");
        assert_int_equal(mcpb_client_fd(c), -1);
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
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

        fake_run(&fake, script_notifies);
        c = client();
        check_text(mcpb_broker_status(c, &text, NULL), &text, "{\"right\":1}");
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
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
        mcpb_options o = options();
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
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
}

static void script_never_greets(struct fake *f) {
        int fd = fake_accept(f);

        fake_expect_end(fd);
}

static void a_daemon_that_does_not_greet_is_not_waited_for(void **state) {
        mcpb_options o = options();
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
        to_cancel = client();
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

        fake_run(&fake, script_two_sessions);
        c = client();
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
        mcpb_options o = options();
        mcpb_client *c = NULL;
        char *text = NULL;
        char byte = 0;

        assert_int_equal(pipe(pipe_fds), 0);
        fake_run(&fake, script_writes_a_pipe);
        o.cancel_fd = pipe_fds[0];
        assert_int_equal(mcpb_client_new(&o, &c, NULL), 0);
        assert_int_equal(mcpb_broker_status(c, &text, NULL), -ECANCELED);
        assert_int_equal(read(pipe_fds[0], &byte, 1), 1); /* it was not read */
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
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
                mcpb_options o = options();
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
        mcpb_options o = options();
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
        mcpb_options o = options();
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

        fake_run(&fake, script_two_processes);
        c = client();
        assert_int_equal(mcpb_broker_lock(c, NULL), 0);
        child = fork();
        if (child == 0)
                _exit(mcpb_broker_lock(c, NULL) == 0 ? 0 : 1);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(mcpb_broker_lock(c, NULL), 0); /* the parent's goes on */
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
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

        fake_run(&fake, script_serves_nothing);
        c = client();
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
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
}

static void options_of_an_older_program_are_understood(void **state) {
        mcpb_options o = options();
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;

        o.size = offsetof(mcpb_options, cancel_fd);
        o.cancel_fd = 0; /* was not there then: must not be looked at */
        fake_run(&fake, script_serves_nothing);
        assert_int_equal(mcpb_client_new(&o, &c, &err), 0);
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
        o.size = 0;
        assert_int_equal(mcpb_client_new(&o, &c, &err), -EINVAL);
        assert_string_equal(err.code, "bad_params");
}

static void script_serves_tokens(struct fake *f) {
        for (;;) {
                int fd = fake_accept(f);

                fake_say(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"hello\",\"params\":{\"protocol\":1,"
                             "\"nonce\":\"n\"}}\n");
                for (json_t *m; (m = fake_read(fd)); json_decref(m)) {
                        AUTO_BUF struct buf out = BUF_INIT;

                        if (streq(json_get_string(m, "method"), "broker.stop"))
                                _exit(0);
                        require(buf_printf(&out,
                                           "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"token\":"
                                           "\"t\",\"token_type\":\"Bearer\",\"token_id\":\"i\","
                                           "\"server\":\"s\",\"scopes\":[\"a\",\"b\"]}}\n",
                                           (int)json_get_int(m, "id", 0)) == 0);
                        fake_say(fd, out.data);
                }
                (void)close(fd);
        }
}

static int get_and_drop(void *userdata) {
        mcpb_token_request q = MCPB_TOKEN_REQUEST_INIT;
        mcpb_options o = options();
        mcpb_client *c = NULL;
        mcpb_token *t = NULL;
        int r = mcpb_client_new(&o, &c, NULL);

        q.server = "x";
        q.scopes = "a b";
        if (r == 0)
                r = mcpb_token_get(c, &q, &t, NULL);
        (void)mcpb_token_free(t);
        (void)mcpb_client_free(c);
        return r;
}

static void out_of_memory_is_an_error_wherever_it_strikes(void **state) {
        mcpb_client *c;

        fake_run(&fake, script_serves_tokens);
        assert_true(oom_sweep_any(get_and_drop, NULL) > 20);
        c = client();
        (void)!mcpb_broker_stop(c, NULL);
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(a_call_brings_its_result),
                TEST(a_token_comes_with_what_is_known_of_it),
                TEST(no_copy_of_a_token_is_left_in_the_heap),
                TEST(an_open_server_needs_no_token_and_half_a_token_is_none),
                TEST(the_daemons_errors_arrive_whole),
                TEST(each_typed_call_sends_what_the_protocol_says),
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
                TEST(out_of_memory_is_an_error_wherever_it_strikes),
        };

        return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
