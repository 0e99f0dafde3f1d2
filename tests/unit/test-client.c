/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the calls of libmcpbroker send, and what they make of the answers.
 */
#include "config.h"

#include <malloc.h>
#include <sys/socket.h>

#include "fake-daemon.h"
#include "oom.h"

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

        c = fake_talk(script_one_call);
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
        AUTO_JSON json_t *full = json_pack(
                "{s:s,s:s,s:s,s:[s,s],s:i,s:s,s:{s:i,s:[s]}}", "on_behalf_of", "planner", "server",
                "x", "account", "me", "scopes", "a", "b", "min_ttl", 60, "login", "start",
                "challenge", "status", 401, "fields", "Bearer realm=\"x\"");

        require(json_equal(params, full) || json_object_size(params) == 1);
}

static void a_token_comes_with_what_is_known_of_it(void **state) {
        static const char *const fields[] = { "Bearer realm=\"x\"" };
        const mcpb_challenge challenge = { 401, fields, 1 };
        mcpb_token_request q = MCPB_TOKEN_REQUEST_INIT;
        mcpb_token *t = NULL;
        mcpb_client *c;

        c = fake_talk(script_token);
        q.server = "x";
        q.account = "me";
        q.scopes = " a  b ";
        q.min_ttl = 60;
        q.on_behalf_of = "planner";
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
        fake_over(c);
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

        c = fake_talk(script_token);
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

        c = fake_talk(script_no_challenge);
        q.server = "x";
        assert_int_equal(mcpb_token_get(c, &q, &t, &err), 0);
        assert_int_equal(t->no_challenge, 1);
        assert_null(t->token);
        t = mcpb_token_free(t);
        assert_int_equal(mcpb_token_get(c, &q, &t, &err), -EPROTO);
        assert_string_equal(err.code, "unsupported");
        assert_int_equal(mcpb_token_get(c, &q, &t, &err), -EPROTO);
        fake_over(c);
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

        c = fake_talk(script_errors);
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
        fake_over(c);
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
                  "\"client_metadata_url\":\"https://m\",\"no_resource\":true,\"login\":true,"
                  "\"flow\":\"device\"}",
                  "{\"server\":{\"name\":\"x\"},\"login\":{\"login\":\"L\",\"url\":\"u\","
                  "\"opener\":true,\"user_code\":\"B-C\",\"verification_uri\":\"v\"}}" },
                { "server.add", "{\"url\":\"https://y\"}", "{\"server\":{\"name\":\"y\"}}" },
                { "server.add",
                  "{\"url\":\"https://z\",\"present\":\"auto\",\"identity\":\"k8s\","
                  "\"audience\":\"issuer\",\"profile\":\"hydra\",\"client_key\":\"pem\","
                  "\"client_key_id\":\"k\",\"signing_alg\":\"ES256\","
                  "\"idp_token_endpoint\":\"https://i/t\",\"idp_client_id\":\"b\","
                  "\"extra\":{\"a\":\"1\",\"b\":\"x=y\"}}",
                  "{\"server\":{\"name\":\"z\"},\"login\":{\"login\":\"L\",\"state\":\"done\"}}" },
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

static void check_own(mcpb_client *c) {
        static const char *const bad[][2] = { { "a=1", "a=2" }, { "a=1", "b" }, { "=1", "b=2" } };
        static const char *const extra[] = { "a=1", "b=x=y" };
        mcpb_server_request q = MCPB_SERVER_REQUEST_INIT;
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_login *l = NULL;

        q.url = "https://z";
        q.present = "auto";
        q.identity = "k8s";
        q.audience = "issuer";
        q.profile = "hydra";
        q.client_key = "pem";
        q.client_key_id = "k";
        q.signing_alg = "ES256";
        q.idp_token_endpoint = "https://i/t";
        q.idp_client_id = "b";
        q.n_extra = 2;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                q.extra = bad[i];
                assert_int_equal(mcpb_server_add(c, &q, NULL, NULL, &err), -EINVAL);
                assert_string_equal(err.code, "bad_params");
        }
        q.extra = extra;
        assert_int_equal(mcpb_server_add(c, &q, NULL, &l, &err), 0);
        assert_string_equal(l->state, "done");
        (void)mcpb_login_free(l);
        mcpb_error_done(&err);
}

static void each_typed_call_sends_what_the_protocol_says(void **state) {
        mcpb_server_request q = MCPB_SERVER_REQUEST_INIT;
        mcpb_login *l = NULL;
        char *text = NULL;
        mcpb_client *c;

        c = fake_talk(script_all_methods);
        assert_int_equal(mcpb_client_may_manage(c), 1);
        assert_int_equal(mcpb_token_reject(c, "x", NULL, "T", NULL, NULL), 0);
        q = (mcpb_server_request){ sizeof(q), "https://x", "x",         "a", "s", "https://i",
                                   "c",       "p",         "https://m", 1,   1 };
        q.flow = "device";
        check_text(mcpb_server_add(c, &q, &text, &l, NULL), &text, "{\"name\":\"x\"}");
        assert_string_equal(l->login, "L");
        assert_string_equal(l->state, "waiting");
        assert_int_equal(l->opener, 1);
        assert_string_equal(l->user_code, "B-C");
        assert_string_equal(l->verification_uri, "v");
        l = mcpb_login_free(l);
        q = (mcpb_server_request)MCPB_SERVER_REQUEST_INIT;
        q.url = "https://y";
        /* Of a program that knows a shorter one nothing is read behind it, padding included. */
        _Static_assert(offsetof(mcpb_server_request, no_resource) % sizeof(void *) == 0,
                       "lies in what was padding");
        q.no_resource = 1;
        q.present = "browser";
        q.size = offsetof(mcpb_server_request, no_resource);
        check_text(mcpb_server_add(c, &q, &text, &l, NULL), &text, "{\"name\":\"y\"}");
        assert_null(l);
        check_own(c);
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
        fake_over(c);
}

static void script_serves_tokens(struct fake *f) {
        for (;;) {
                static const char hello[] = "{\"jsonrpc\":\"2.0\",\"method\":\"hello\","
                                            "\"params\":{\"protocol\":1,\"nonce\":\"n\"}}\n";
                int fd = fake_accept(f);

                /* a client without memory may be gone already */
                (void)send(fd, hello, strlen(hello), MSG_NOSIGNAL);
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
        mcpb_options o = fake_options();
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
        c = fake_client();
        (void)!mcpb_broker_stop(c, NULL);
        fake_over(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(a_call_brings_its_result),
                TEST(a_token_comes_with_what_is_known_of_it),
                TEST(no_copy_of_a_token_is_left_in_the_heap),
                TEST(an_open_server_needs_no_token_and_half_a_token_is_none),
                TEST(the_daemons_errors_arrive_whole),
                TEST(each_typed_call_sends_what_the_protocol_says),
                TEST(out_of_memory_is_an_error_wherever_it_strikes),
        };

        return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
