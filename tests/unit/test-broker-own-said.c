/* SPDX-License-Identifier: Apache-2.0 */
/* What there is to be said of a server that needs no person: in other words, with a certificate,
 * and by who adds it rather than declares it. */
#include "base/codec.h"
#include "certs.h"
#include "keys.h"
#include "world-own.h"

#define BY_IDENTITY \
        "[Server]\nURL=" WORLD_SERVER "\nIdentity=file:path=/run/id/token\nPresent=jwt-bearer\n"

static const char *const by_identity[] = { FILE_A, BY_IDENTITY, NULL };
static const char *const by_person[] = { FILE_A, "[Server]\nURL=" WORLD_SERVER "\n", NULL };
static const char *const none[] = { NULL };

static int setup_nothing(void **state) {
        return own_set_up(state, none);
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

static void get_with(struct world *w, const char *const *servers, struct answer *a) {
        w->servers = servers;
        world_reload(w);
        world_get(w, NULL, a);
        world_run(w);
        world_serve(w);
        world_run(w);
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

                get_with(w, table[i].servers, &a);
                assert_int_equal(a.n_told, 1);
                assert_null(w->order_fn);
                assert_int_equal(a.err.code, MCPB_BAD_CONFIG);
                if (!strstr(a.err.message, table[i].fault))
                        fail_msg("%zu: %s", i, a.err.message);
        }
}

/* ---- with a certificate ---- */

#define SVID "spiffe://example.org/ns/agents/sa/bot"
#define MTLS_TOKEN "https://mtls.example.com/token"
#define BY_CERTIFICATE(identity, present)                                         \
        "[Server]\nURL=" WORLD_SERVER "\nIssuer=" WORLD_ISSUER "\nClientId=" SVID \
        "\nIdentity=" identity "\nPresent=" present "\n"

static const char *const by_certificate[] = { FILE_A,
                                              BY_CERTIFICATE("spiffe:x509,folder=/run/id", "mtls"),
                                              NULL };
static const char *const by_command[] = { FILE_A, BY_CERTIFICATE("exec:/bin/svid", "mtls"), NULL };

static void serve_up_to_certificate(struct world *w) {
        w->as_more = "{\"mtls_endpoint_aliases\":{\"token_endpoint\":\"" MTLS_TOKEN "\"},"
                     "\"token_endpoint_auth_methods_supported\":[\"tls_client_auth\"]}";
        w->servers = by_certificate;
        world_reload(w);
        world_run(w);
        world_serve(w);
        world_run(w);
        assert_non_null(w->order_fn);
        assert_string_equal(w->order.path, "/run/id/credential-bundle.private-key.pem");
        world_order(w, 0, KEY_P256_PKCS8 CERT_LEAF CERT_CA);
}

/* A client's own certificate, at the endpoint that asks for one. */
static void a_certificate_is_shown_in_tls(void **state) {
        struct world *w = *state;
        const struct fetch_request *f;

        serve_up_to_certificate(w);
        f = &world_fetch(w)->request;
        assert_string_equal(f->url, MTLS_TOKEN);
        assert_form(w, "grant_type", "client_credentials");
        assert_form(w, "client_id", SVID);
        assert_form(w, "client_assertion", NULL);
        assert_string_equal(f->cert_pem.data, CERT_LEAF CERT_CA);
        assert_non_null(strstr(f->key_pem.data, "-----BEGIN PRIVATE KEY-----"));
        world_tokens(w, "at1", NULL, 600, NULL);
        world_run(w);
        assert_server_state(w, "ready");
}

/* A220: whoever asks here has no key for it. */
static void a_token_that_is_bound_to_the_certificate_is_not_handed_out(void **state) {
        static const char claims[] = "{\"cnf\":{\"x5t#S256\":\"x\"}}";
        struct world *w = *state;
        AUTO_BUF struct buf token = BUF_INIT;
        AUTO_REPLY struct answer a = { 0 };

        serve_up_to_certificate(w);
        assert_int_equal(buf_append_str(&token, "eyJhbGciOiJFUzI1NiJ9."), 0);
        assert_int_equal(base64url_append(&token, claims, strlen(claims)), 0);
        assert_int_equal(buf_append_str(&token, ".c2ln"), 0);
        world_tokens(w, token.data, NULL, 600, NULL);
        world_run(w);
        assert_server_state(w, "error");
        world_get(w, NULL, &a);
        world_run(w);
        assert_non_null(strstr(a.err.message, "bound to the certificate"));
        assert_refused(&a, MCPB_UNSUPPORTED);
}

/* What a provider gives is known of all but a command, so nothing is asked of it in vain. */
static void what_gives_no_certificate_or_no_token_is_not_asked_for_it(void **state) {
        static const struct {
                const char *const servers[3];
                const char *fault;
        } table[] = {
                { { FILE_A, BY_CERTIFICATE("spiffe:x509,folder=/run/id", "jwt-bearer"), NULL },
                  "Present=jwt-bearer needs an identity that is a JWT" },
                { { FILE_A, BY_CERTIFICATE("spiffe:x509,folder=/run/id", "jwt-spiffe"), NULL },
                  "Present=jwt-spiffe needs an identity that is a JWT" },
                { { FILE_A, BY_CERTIFICATE("file:path=/run/id/token", "mtls"), NULL },
                  "Present=mtls needs an identity that is a certificate" },
                { { FILE_A, BY_CERTIFICATE("spiffe", "mtls"), NULL },
                  "Present=mtls needs an identity that is a certificate" },
                { { FILE_A, BY_CERTIFICATE("aws-proof:verifier=google,bind=a", "jwt-bearer"),
                    NULL },
                  "Present=jwt-bearer needs an identity that is a JWT" },
        };
        struct world *w = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_REPLY struct answer a = { 0 };

                get_with(w, table[i].servers, &a);
                assert_null(w->order_fn);
                if (!strstr(a.err.message, table[i].fault))
                        fail_msg("%zu: %s", i, a.err.message);
        }
}

static void a_command_that_gives_no_certificate_is_shown_nowhere(void **state) {
        struct world *w = *state;
        AUTO_FREE char *token = token_for(WORLD_ISSUER);
        AUTO_BUF struct buf printed = BUF_INIT;
        AUTO_REPLY struct answer a = { 0 };

        w->servers = by_command;
        world_reload(w);
        world_get(w, NULL, &a);
        world_run(w);
        world_serve(w);
        world_run(w);
        assert_int_equal(w->order.kind, ORDER_RUN);
        assert_int_equal(buf_printf(&printed,
                                    "{\"version\":1,\"success\":true,\"token_type\":"
                                    "\"urn:ietf:params:oauth:token-type:id_token\","
                                    "\"id_token\":\"%s\",\"expiration_time\":%llu}",
                                    token, (unsigned long long)(WORLD_WALL / USEC_PER_SEC + 600)),
                         0);
        world_order(w, 0, printed.data);
        assert_int_equal(w->n_fetches, 0);
        assert_non_null(strstr(a.err.message, "gives no certificate, which Present=mtls needs"));
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

#define T(f) cmocka_unit_test_setup_teardown(f, setup_nothing, world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(a_certificate_is_shown_in_tls),
                T(a_token_that_is_bound_to_the_certificate_is_not_handed_out),
                T(what_gives_no_certificate_or_no_token_is_not_asked_for_it),
                T(a_command_that_gives_no_certificate_is_shown_nowhere),
                T(what_is_added_so_has_a_token_when_the_answer_comes),
                T(what_was_added_so_comes_up_by_itself_ever_after),
                T(why_there_is_no_token_is_the_answer),
                T(what_is_added_so_is_judged_as_if_it_were_declared),
                T(what_logs_in_so_is_not_changed_by_another_add),
                T(a_persons_login_is_not_made_a_machines),
                T(a_persons_login_outlives_a_declaration_of_a_machine),
                T(a_profile_is_told_what_it_wants_besides),
                T(a_profile_says_for_whom_the_identity_is),
                T(what_cannot_be_said_is_said_so_before_anything_is_shown),
        };

        return cmocka_run_group_tests_name("broker-own-said", tests, NULL, NULL);
}
