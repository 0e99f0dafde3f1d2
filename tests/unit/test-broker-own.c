/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that need no person: they come up by themselves, are fetched anew before they end, and
 * what was refused is not tried again and again. */
#include "base/codec.h"
#include "broker-world.h"

#define FILE_A "/etc/servers.d/work.conf"
#define BY_SECRET                                              \
        "[Server]\nURL=" WORLD_SERVER "\nIssuer=" WORLD_ISSUER \
        "\nClientId=robot\nClientSecretFile=/run/secret\nPresent=client-credentials\n"
#define BY_IDENTITY \
        "[Server]\nURL=" WORLD_SERVER "\nIdentity=file:path=/run/id/token\nPresent=jwt-bearer\n"

static const char *const by_secret[] = { FILE_A, BY_SECRET, NULL };
static const char *const by_identity[] = { FILE_A, BY_IDENTITY, NULL };
static const char *const by_person[] = { FILE_A, "[Server]\nURL=" WORLD_SERVER "\n", NULL };
static const char *const none[] = { NULL };

static int set_up(void **state, const char *const *servers) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        w->servers = servers;
        w->secret = "s3cret";
        world_init(w);
        *state = w;
        return 0;
}

static int setup_secret(void **state) {
        return set_up(state, by_secret);
}

static int setup_identity(void **state) {
        return set_up(state, by_identity);
}

static int setup_nothing(void **state) {
        return set_up(state, none);
}

static int setup_jag(void **state) {
        static const char *const by_jag[] = {
                FILE_A,
                "[Server]\nURL=" WORLD_SERVER "\nIssuer=" WORLD_ISSUER
                "\nClientId=robot\nClientSecretFile=/run/secret\nPresent=id-jag\n"
                "Identity=file:path=/run/id/token\nIdpClientId=us-there\n"
                "IdpTokenEndpoint=https://idp.example.com/exchange\n",
                NULL
        };

        return set_up(state, by_jag);
}

/* What the server and the issuer say to discovery; the next request is for a token. */
static void serve_up_to_token(struct world *w) {
        world_run(w);
        world_serve(w);
        if (!world_fetch(w))
                fail_msg("nothing is asked of anybody");
        assert_string_equal(world_fetch(w)->request.url, WORLD_ISSUER "/token");
}

static void come_up(struct world *w, const char *token) {
        serve_up_to_token(w);
        world_tokens(w, token, NULL, 600, NULL);
        world_run(w);
        assert_int_equal(w->n_fetches, 0);
}

/* A180 A181 A182 A183 */
static void it_comes_up_by_itself(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        const struct fetch_request *f;
        bool basic = false;

        serve_up_to_token(w);
        f = &world_fetch(w)->request;
        assert_int_equal(world_fetch(w)->via, FETCH_DEAL);
        assert_form(w, "grant_type", "client_credentials");
        assert_form(w, "resource", WORLD_SERVER);
        assert_form(w, "client_secret", NULL);
        for (size_t i = 0; i < f->n_headers; i++) /* "robot:s3cret" */
                basic = basic || streq(f->headers[i].value, "Basic cm9ib3Q6czNjcmV0");
        assert_true(basic);
        assert_server_state(w, "login_pending");
        world_tokens(w, "at1", "rt1", 600, NULL);
        world_run(w);
        assert_server_state(w, "ready");
        assert_int_equal(w->n_listeners, 0);
        assert_int_equal(w->n_register, 0);
        assert_string_equal(world_token(w, &a), "at1");
        answer_done(&a);
        /* The refresh token that came along is not kept: another token is got like the first. */
        world_advance(w, 700 * USEC_PER_SEC);
        world_get(w, NULL, &a);
        serve_up_to_token(w);
        assert_form(w, "grant_type", "client_credentials");
        world_tokens(w, "at2", NULL, 600, NULL);
        world_run(w);
        assert_token(&a, "at2");
}

/* A151: a refresh token would be dropped, and a client that may not have one is refused. */
static void no_refresh_token_is_asked_for(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        w->as_more = "{\"scopes_supported\":[\"read\",\"write\",\"offline_access\"]}";
        serve_up_to_token(w);
        assert_form(w, "scope", "read write");
        world_tokens(w, "at1", NULL, 600, NULL);
        world_run(w);
        world_get(w, "admin", &a);
        serve_up_to_token(w);
        assert_form(w, "scope", "admin read write");
        world_tokens(w, "at2", NULL, 600, NULL);
        world_run(w);
        assert_token(&a, "at2");
}

static void who_asks_meanwhile_waits_and_needs_no_browser(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };

        world_get(w, NULL, &a);
        world_get(w, NULL, &b);
        assert_int_equal(a.n_told, 0);
        come_up(w, "at1");
        assert_token(&a, "at1");
        assert_token(&b, "at1");
        assert_int_equal(w->n_token, 1);
}

static void what_is_in_use_is_fetched_ahead_of_its_end(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        come_up(w, "at1");
        assert_string_equal(world_token(w, &a), "at1");
        answer_done(&a);
        world_advance(w, 560 * USEC_PER_SEC);
        come_up(w, "at2");
        assert_string_equal(world_token(w, &a), "at2");
        assert_int_equal(w->n_token, 2);
}

static void what_nobody_uses_is_left_to_end(void **state) {
        struct world *w = *state;

        come_up(w, "at1");
        world_advance(w, 3600 * USEC_PER_SEC);
        assert_int_equal(w->n_fetches, 0);
        assert_server_state(w, "idle");
}

static void a_restart_finds_what_there_was(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        come_up(w, "at1");
        world_crash(w);
        world_run(w);
        assert_int_equal(w->n_fetches, 0);
        assert_string_equal(world_token(w, &a), "at1");
}

/* One presentation, one attempt: a "no" is no invitation to try something else. */
/* A198 A199 */
static void what_was_refused_is_left_alone_for_a_while(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        serve_up_to_token(w);
        world_answer(w, 0, 401, "{\"error\":\"invalid_client\"}");
        world_run(w);
        assert_non_null(strstr(a.err.message, "invalid_client"));
        answer_done(&a);
        assert_server_state(w, "error");
        for (unsigned i = 0; i < 3; i++) {
                world_get(w, NULL, &a);
                world_run(w);
                assert_non_null(strstr(a.err.message, "invalid_client"));
                assert_int_equal(w->n_fetches, 0);
                answer_done(&a);
                world_advance(w, 15 * USEC_PER_SEC);
        }
        world_advance(w, 20 * USEC_PER_SEC);
        world_get(w, NULL, &a);
        come_up(w, "at1");
        assert_token(&a, "at1");
}

static void a_reload_may_have_mended_it(void **state) {
        struct world *w = *state;

        serve_up_to_token(w);
        world_answer(w, 0, 401, "{\"error\":\"invalid_client\"}");
        world_run(w);
        w->secret = "b3tter";
        world_reload(w);
        serve_up_to_token(w);
        assert_string_equal(world_fetch(w)->request.url, WORLD_ISSUER "/token");
        world_tokens(w, "at1", NULL, 600, NULL);
        world_run(w);
        assert_server_state(w, "ready");
}

static void a_failure_that_may_pass_is_tried_again_sooner(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        serve_up_to_token(w);
        world_answer(w, 0, 503, "");
        world_run(w);
        world_advance(w, 2 * USEC_PER_SEC);
        world_get(w, NULL, &a);
        come_up(w, "at1");
        assert_token(&a, "at1");
}

static void a_token_that_the_server_refuses_is_replaced(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };

        come_up(w, "at1");
        world_get(w, NULL, &a);
        world_ask(w, METHOD_TOKEN_REJECT,
                  json_pack("{s:s, s:s}", "server", WORLD_SERVER, "token_id",
                            json_get_string(a.result, "token_id")),
                  &b);
        assert_true(json_get_bool(b.result, "rejected", false));
        answer_done(&a);
        world_get(w, NULL, &a);
        come_up(w, "at2");
        assert_token(&a, "at2");
}

static void tokens_that_have_ended_when_they_come_are_not_asked_for_for_ever(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        for (unsigned i = 0; i < 10 && a.n_told == 0; i++) {
                serve_up_to_token(w);
                world_tokens(w, "at", NULL, 0, NULL);
                world_run(w);
        }
        assert_int_equal(a.n_told, 1);
        assert_int_equal(a.err.code, MCPB_ISSUER_ERROR);
        assert_true(w->n_token <= 5);
}

static void what_a_machine_has_goes_with_its_declaration(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        come_up(w, "at1");
        w->servers = none;
        world_reload(w);
        assert_non_null(world_fetch(w));
        assert_non_null(strstr(world_fetch(w)->request.url, "/revoke"));
        assert_form(w, "token", "at1");
        world_answer(w, 0, 200, "");
        world_run(w);
        world_get(w, NULL, &a);
        assert_refused(&a, MCPB_NOT_FOUND);
}

/* What a person was granted is not what the machine may do, nor the other way. */
static void a_person_and_a_machine_have_not_one_grant(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        come_up(w, "at1");
        w->servers = by_person;
        world_reload(w);
        world_get(w, NULL, &a);
        assert_refused(&a, MCPB_LOGIN_REQUIRED);
}

/* ---- with an identity ---- */

/* {"alg":"none"...} would do as little: nobody here verifies it. */
static char *token_for(const char *audience) {
        AUTO_BUF struct buf claims = BUF_INIT;
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(buf_printf(&claims,
                                    "{\"iss\":\"https://k8s\",\"sub\":\"sa\",\"aud\":\"%s\","
                                    "\"exp\":%llu}",
                                    audience,
                                    (unsigned long long)(WORLD_WALL / USEC_PER_SEC + 600)),
                         0);
        assert_int_equal(base64url_append(&b, "{\"alg\":\"ES256\"}", 15), 0);
        assert_int_equal(buf_append_str(&b, "."), 0);
        assert_int_equal(base64url_append(&b, claims.data, claims.len), 0);
        assert_int_equal(buf_append_str(&b, ".c2lnbmF0dXJl"), 0);
        return buf_steal(&b);
}

static void serve_up_to_order(struct world *w) {
        world_run(w);
        world_serve(w);
        world_run(w);
        assert_int_equal(w->n_fetches, 0);
        assert_non_null(w->order_fn);
        assert_int_equal(w->order.kind, ORDER_READ);
        assert_string_equal(w->order.path, "/run/id/token");
}

/* A174 A195 A197 */
static void an_identity_is_got_and_shown_once(void **state) {
        struct world *w = *state;
        AUTO_FREE char *token = token_for(WORLD_ISSUER);
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        serve_up_to_order(w);
        world_order(w, 0, token);
        assert_string_equal(world_fetch(w)->request.url, WORLD_ISSUER "/token");
        assert_form(w, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        assert_form(w, "assertion", token);
        assert_form(w, "client_id", NULL);
        assert_int_equal(w->n_register, 0);
        world_tokens(w, "at1", NULL, 60, NULL);
        world_run(w);
        assert_token(&a, "at1");
        /* The next time the file is read again: it is rotated. */
        world_advance(w, 100 * USEC_PER_SEC);
        world_get(w, NULL, &a);
        serve_up_to_order(w);
        world_order(w, 0, token);
        world_tokens(w, "at2", NULL, 600, NULL);
        world_run(w);
        assert_token(&a, "at2");
}

/* A196 */
static void an_identity_for_somebody_else_goes_nowhere(void **state) {
        struct world *w = *state;
        AUTO_FREE char *token = token_for("https://other.example.com");
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        serve_up_to_order(w);
        world_order(w, 0, token);
        assert_int_equal(w->n_fetches, 0);
        assert_int_equal(a.n_told, 1);
        assert_non_null(strstr(a.err.message, "https://other.example.com"));
}

static void a_file_that_is_not_there_is_named(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        serve_up_to_order(w);
        world_order(w, -ENOENT, NULL);
        assert_int_equal(w->n_fetches, 0);
        assert_int_equal(a.n_told, 1);
        assert_non_null(strstr(a.err.message, "/run/id/token"));
}

static void a_server_that_goes_meanwhile_ends_it(void **state) {
        struct world *w = *state;
        AUTO_FREE char *token = token_for(WORLD_ISSUER);
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        serve_up_to_order(w);
        w->servers = none;
        world_reload(w);
        world_order(w, 0, token);
        assert_int_equal(w->n_fetches, 0);
        assert_refused(&a, MCPB_LOGIN_CANCELLED);
}

/* ---- in other words ---- */

#define BY_PROFILE(more) "[Server]\nURL=" WORLD_SERVER "\nIdentity=file:path=/run/id/token\n" more

static const char *const by_openrouter[] = {
        FILE_A, BY_PROFILE("Profile=openrouter\nExtra.federation_policy_id=fp-1\n"), NULL
};
static const char *const by_entra[] = { FILE_A,
                                        BY_PROFILE("Issuer=" WORLD_ISSUER
                                                   "\nClientId=robot\nPresent=client-assertion\n"
                                                   "Profile=entra\nExtra.x-tenant=t\n"),
                                        NULL };

/* The profile says by which grant, whatever the metadata offers, and what it is to be given. */
static void a_profile_is_told_what_it_wants_besides(void **state) {
        struct world *w = *state;
        AUTO_FREE char *token = token_for(WORLD_ISSUER);

        w->servers = by_openrouter;
        world_reload(w);
        serve_up_to_order(w);
        world_order(w, 0, token);
        assert_form(w, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
        assert_form(w, "subject_token", token);
        assert_form(w, "federation_policy_id", "fp-1");
        world_tokens(w, "at1", NULL, 600, NULL);
        world_run(w);
        assert_server_state(w, "ready");
}

static void a_profile_says_for_whom_the_identity_is(void **state) {
        struct world *w = *state;
        AUTO_FREE char *token = token_for("api://AzureADTokenExchange");

        w->servers = by_entra;
        world_reload(w);
        serve_up_to_order(w);
        world_order(w, 0, token);
        assert_form(w, "client_assertion", token);
        assert_form(w, "x-tenant", "t");
}

/* No identity is got for what cannot become a request. */
static void what_cannot_be_said_is_said_so_before_anything_is_shown(void **state) {
        static const struct {
                const char *const servers[3];
                const char *fault;
        } table[] = {
                { { FILE_A, BY_PROFILE("Profile=nobody\n"), NULL }, "not 'nobody'" },
                { { FILE_A, BY_PROFILE("Profile=openrouter\n"), NULL },
                  "needs Extra.federation_policy_id=" },
                { { FILE_A, BY_PROFILE("Extra.client_secret=x\n"), NULL },
                  "Extra.client_secret= cannot be set" },
                { { FILE_A, "[Server]\nURL=" WORLD_SERVER "\nIdentity=nobody\n", NULL },
                  "'nobody' names no identity provider" },
        };
        struct world *w = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_REPLY struct answer a = { 0 };

                w->servers = table[i].servers;
                world_reload(w);
                world_get(w, NULL, &a);
                world_run(w);
                world_serve(w);
                world_run(w);
                assert_int_equal(a.n_told, 1);
                assert_null(w->order_fn);
                assert_int_equal(a.err.code, MCPB_BAD_CONFIG);
                if (!strstr(a.err.message, table[i].fault))
                        fail_msg("%zu: %s", i, a.err.message);
        }
}

/* A184 A185 A186 A187 A188 A190 A194 */
static void a_login_at_an_identity_provider_is_made_into_an_assertion(void **state) {
        struct world *w = *state;
        AUTO_FREE char *id_token = token_for("us-there");
        AUTO_FREE char *jag = token_for(WORLD_ISSUER);
        AUTO_BUF struct buf body = BUF_INIT;
        AUTO_REPLY struct answer a = { 0 };

        world_get(w, NULL, &a);
        serve_up_to_order(w);
        world_order(w, 0, id_token);
        assert_string_equal(world_fetch(w)->request.url, "https://idp.example.com/exchange");
        assert_form(w, "requested_token_type", "urn:ietf:params:oauth:token-type:id-jag");
        assert_form(w, "subject_token", id_token);
        assert_form(w, "audience", WORLD_ISSUER);
        assert_form(w, "resource", WORLD_SERVER);
        assert_form(w, "client_id", "us-there");
        assert_int_equal(buf_printf(&body,
                                    "{\"access_token\":\"%s\",\"token_type\":\"N_A\","
                                    "\"issued_token_type\":"
                                    "\"urn:ietf:params:oauth:token-type:id-jag\"}",
                                    jag),
                         0);
        world_answer(w, 0, 200, body.data);
        world_run(w);
        assert_string_equal(world_fetch(w)->request.url, WORLD_ISSUER "/token");
        assert_form(w, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        assert_form(w, "assertion", jag);
        assert_form(w, "subject_token", NULL);
        world_tokens(w, "at1", NULL, 600, NULL);
        world_run(w);
        assert_token(&a, "at1");
        assert_int_equal(w->n_listeners, 0);
}

/* ---- added, not declared ---- */

/* Adds the world's server, and logs in. */
static void add(struct world *w, json_t *more, struct answer *a) {
        AUTO_JSON json_t *owned = more;
        json_t *params = json_pack("{s:s, s:b}", "url", WORLD_SERVER, "login", 1);

        assert_int_equal(json_object_update(params, owned), 0);
        world_ask(w, METHOD_SERVER_ADD, params, a);
}

static json_t *robot(const char *more, const char *value) {
        return json_pack("{s:s, s:s, s:s, s:s*}", "issuer", WORLD_ISSUER, "client_id", "robot",
                         "present", "client-credentials", more, value);
}

static json_t *federated(void) {
        return json_pack("{s:s, s:s, s:{s:s}}", "identity", "file:path=/run/id/token", "profile",
                         "openrouter", "extra", "federation_policy_id", "fp-1");
}

/* The answer is the token's, or the reason: nobody has to be waited for. */
static void what_is_added_so_has_a_token_when_the_answer_comes(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };
        json_t *server;

        add(w, robot("client_secret", "s3cret"), &a);
        serve_up_to_token(w);
        assert_form(w, "grant_type", "client_credentials");
        assert_int_equal(a.n_told, 0);
        world_tokens(w, "at1", NULL, 600, NULL);
        world_run(w);
        if (!a.result)
                fail_msg("%s", a.err.message);
        assert_string_equal(json_get_string(json_object_get(a.result, "login"), "state"), "done");
        server = json_object_get(a.result, "server");
        assert_string_equal(json_get_string(server, "state"), "ready");
        assert_string_equal(json_get_string(server, "present"), "client-credentials");
        assert_null(json_object_get(server, "declared"));
        assert_int_equal(w->n_listeners, 0);
        assert_string_equal(world_token(w, &b), "at1");
}

/* Also when nobody adds it again: the record says all. */
static void what_was_added_so_comes_up_by_itself_ever_after(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_JSON json_t *server = NULL;

        add(w, federated(), &a);
        for (int round = 0; round < 2; round++) {
                AUTO_FREE char *token = token_for(WORLD_ISSUER);

                serve_up_to_order(w);
                world_order(w, 0, token);
                assert_form(w, "subject_token", token);
                assert_form(w, "federation_policy_id", "fp-1");
                world_tokens(w, "at", NULL, 60, NULL);
                world_run(w);
                assert_server_state(w, "ready");
                world_advance(w, 100 * USEC_PER_SEC);
                world_crash(w);
        }
        server = world_server(w);
        assert_string_equal(json_get_string(server, "identity"), "file:path=/run/id/token");
        assert_string_equal(json_get_string(server, "present"), "auto");
        assert_string_equal(json_get_string(server, "profile"), "openrouter");
        assert_string_equal(
                json_get_string(json_object_get(server, "extra"), "federation_policy_id"), "fp-1");
}

static void why_there_is_no_token_is_the_answer(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        for (int round = 0; round < 2; round++) {
                /* Whoever asks for it has it tried again, at once, and with what is right now. */
                add(w, robot("client_secret", round == 0 ? "wrong" : "s3cret"), &a);
                serve_up_to_token(w);
                if (round > 0)
                        break;
                world_answer(w, 0, 401, "{\"error\":\"invalid_client\"}");
                world_run(w);
                assert_non_null(strstr(a.err.message, "invalid_client"));
                answer_done(&a);
                assert_server_state(w, "error");
        }
        world_tokens(w, "at1", NULL, 600, NULL);
        world_run(w);
        assert_non_null(a.result);
        assert_server_state(w, "ready");
}

/* By what a file would be judged by, in words of options; and nothing is left behind. */
static void what_is_added_so_is_judged_as_if_it_were_declared(void **state) {
        const struct {
                json_t *what;
                const char *fault;
        } table[] = {
                { json_pack("{s:s}", "present", "bearer"), "--present is one of browser, auto" },
                { json_pack("{s:s}", "present", "jwt-bearer"),
                  "--present=jwt-bearer needs --identity" },
                { json_pack("{s:s}", "present", "client-credentials"), "needs --client-id" },
                { robot("extra_of_none", NULL), "needs --client-secret-file" },
                { robot("client_key", "{}"), "needs --client-secret-file" },
                { json_pack("{s:s, s:s}", "present", "browser", "identity", "k8s"),
                  "no identity to be presented" },
                { json_pack("{s:{s:s}}", "extra", "a", "b"), "nothing is sent along" },
                { json_pack("{s:s, s:{s:s}}", "identity", "k8s", "extra", "a b", "c"),
                  "--extra NAME= takes a name" },
                { json_pack("{s:s, s:{s:s}}", "identity", "k8s", "extra", "code", "c"),
                  "cannot be set" },
                { json_pack("{s:s, s:s}", "identity", "k8s", "audience", "me"),
                  "--audience is issuer, token-endpoint or" },
                { json_pack("{s:s, s:s}", "identity", "k8s", "idp_token_endpoint", "http://a.b/"),
                  "--idp-token-endpoint" },
                { json_pack("{s:s, s:s}", "identity", "k8s", "profile", "none"), "not 'none'" },
                { json_pack("{s:s, s:s}", "identity", "k8s", "profile", "openai"),
                  "needs Extra.identity_provider_id=" },
                { json_pack("{s:s}", "identity", "k9s"), "'k9s' names no identity provider" },
                { json_pack("{s:s}", "client_key", "{}"), "key was given without a client id" },
                { json_pack("{s:s}", "signing_alg", "ES256"), "key was given without a client id" },
                { json_pack("{s:s, s:s, s:s, s:s}", "issuer", WORLD_ISSUER, "client_id", "robot",
                            "client_key", "{}", "client_secret", "x"),
                  "A client secret and a client key" },
                /* What mcp-add is run by may be confined, and the daemon is not by that. */
                { json_pack("{s:s}", "identity", "exec:/usr/bin/id-token"), "in a file only" },
        };
        struct world *w = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_REPLY struct answer a = { 0 };

                add(w, table[i].what, &a);
                world_run(w);
                assert_int_equal(a.n_told, 1);
                if (!strstr(a.err.message, table[i].fault))
                        fail_msg("%zu: %s", i, a.result ? "was taken" : a.err.message);
                assert_refused(&a, MCPB_BAD_PARAMS);
                world_get(w, NULL, &a);
                world_run(w);
                assert_refused(&a, MCPB_NOT_FOUND);
                assert_int_equal(w->n_fetches, 0);
        }
}

/* Nobody is asked here, so nobody is made somebody else. */
static void what_logs_in_so_is_not_changed_by_another_add(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        add(w, robot("client_secret", "s3cret"), &a);
        come_up(w, "at1");
        answer_done(&a);
        add(w, json_pack("{s:s}", "present", "auto"), &a);
        world_run(w);
        assert_non_null(strstr(a.err.message, "another present: client-credentials, not auto"));
        assert_refused(&a, MCPB_EXISTS);
        add(w, json_pack("{s:s, s:s}", "identity", "k8s", "present", "client-credentials"), &a);
        world_run(w);
        assert_non_null(strstr(a.err.message, "another identity: none, not k8s"));
        assert_refused(&a, MCPB_EXISTS);
        /* The same again is a login again; the secret may be left out. */
        add(w, robot("client_secret", NULL), &a);
        come_up(w, "at2");
        assert_non_null(a.result);
        answer_done(&a);
        add(w, json_object(), &a);
        come_up(w, "at3");
        assert_non_null(a.result);
}

/* What a person was granted is not turned into the machine's. */
static void a_persons_login_is_not_made_a_machines(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_login(w, NULL);
        add(w, json_pack("{s:s}", "identity", "k8s"), &a);
        world_run(w);
        assert_non_null(strstr(a.err.message, "another present: none, not auto"));
        assert_refused(&a, MCPB_EXISTS);
        assert_lease(w, "at1");
}

/* The login that stays is a person's, so the server is one. */
static void a_persons_login_outlives_a_declaration_of_a_machine(void **state) {
        struct world *w = *state;

        w->servers = by_person;
        world_reload(w);
        world_login(w, NULL);
        w->servers = by_identity;
        world_reload(w);
        world_run(w);
        w->servers = none;
        world_reload(w);
        world_run(w);
        assert_lease(w, "at1");
}

#define SECRET_TEST(f) cmocka_unit_test_setup_teardown(f, setup_secret, world_teardown)
#define JAG_TEST(f) cmocka_unit_test_setup_teardown(f, setup_jag, world_teardown)
#define NOTHING_TEST(f) cmocka_unit_test_setup_teardown(f, setup_nothing, world_teardown)
#define IDENTITY_TEST(f) cmocka_unit_test_setup_teardown(f, setup_identity, world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                SECRET_TEST(it_comes_up_by_itself),
                SECRET_TEST(no_refresh_token_is_asked_for),
                SECRET_TEST(who_asks_meanwhile_waits_and_needs_no_browser),
                SECRET_TEST(what_is_in_use_is_fetched_ahead_of_its_end),
                SECRET_TEST(what_nobody_uses_is_left_to_end),
                SECRET_TEST(a_restart_finds_what_there_was),
                SECRET_TEST(what_was_refused_is_left_alone_for_a_while),
                SECRET_TEST(a_reload_may_have_mended_it),
                SECRET_TEST(a_failure_that_may_pass_is_tried_again_sooner),
                SECRET_TEST(a_token_that_the_server_refuses_is_replaced),
                SECRET_TEST(tokens_that_have_ended_when_they_come_are_not_asked_for_for_ever),
                SECRET_TEST(what_a_machine_has_goes_with_its_declaration),
                SECRET_TEST(a_person_and_a_machine_have_not_one_grant),
                JAG_TEST(a_login_at_an_identity_provider_is_made_into_an_assertion),
                IDENTITY_TEST(an_identity_is_got_and_shown_once),
                IDENTITY_TEST(an_identity_for_somebody_else_goes_nowhere),
                IDENTITY_TEST(a_file_that_is_not_there_is_named),
                IDENTITY_TEST(a_server_that_goes_meanwhile_ends_it),
                NOTHING_TEST(what_is_added_so_has_a_token_when_the_answer_comes),
                NOTHING_TEST(what_was_added_so_comes_up_by_itself_ever_after),
                NOTHING_TEST(why_there_is_no_token_is_the_answer),
                NOTHING_TEST(what_is_added_so_is_judged_as_if_it_were_declared),
                NOTHING_TEST(what_logs_in_so_is_not_changed_by_another_add),
                NOTHING_TEST(a_persons_login_is_not_made_a_machines),
                NOTHING_TEST(a_persons_login_outlives_a_declaration_of_a_machine),
                NOTHING_TEST(a_profile_is_told_what_it_wants_besides),
                NOTHING_TEST(a_profile_says_for_whom_the_identity_is),
                NOTHING_TEST(what_cannot_be_said_is_said_so_before_anything_is_shown),
        };

        return cmocka_run_group_tests_name("broker-own", tests, NULL, NULL);
}
