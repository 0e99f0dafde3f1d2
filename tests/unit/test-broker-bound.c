/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that are bound to a key of the broker's: where there is one, what is proved with it and
 * for whom, and what a nonce changes. */
#include <stdio.h>

#include "broker-world.h"
#include "jose/jwt.h"

#define REQUIRES                                                                               \
        "{\"resource\":\"" WORLD_SERVER "\",\"authorization_servers\":[\"" WORLD_ISSUER "\"]," \
        "\"scopes_supported\":[\"read\"],\"dpop_bound_access_tokens_required\":true}"
#define TOKENS(type)                                                               \
        "{\"access_token\":\"at\",\"token_type\":\"" type "\",\"expires_in\":600," \
        "\"refresh_token\":\"rt\"}"

static int setup(void **state) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        w->prm = REQUIRES;
        world_init(w);
        *state = w;
        return 0;
}

/* The value of a field of request number 0; NULL: it has none. */
static const char *field(struct world *w, const char *name) {
        const struct fetch_request *f = &world_fetch(w)->request;

        for (size_t i = 0; i < f->n_headers; i++)
                if (streq(f->headers[i].name, name))
                        return f->headers[i].value;
        return NULL;
}

static void read_proof(const char *text, json_t **header, json_t **claims) {
        assert_non_null(text);
        assert_int_equal(jwt_read(text, strlen(text), header, claims), 0);
}

static void assert_claim(const char *proof, const char *name, const char *value) {
        AUTO_JSON json_t *claims = NULL;
        const char *is;

        read_proof(proof, NULL, &claims);
        is = json_get_string(claims, name);
        if (value && (!is || !streq(is, value)))
                fail_msg("%s: %s", name, is ? is : "(none)");
        if (!value)
                assert_null(is);
}

/* The public key that it is made with, as text: to be freed. */
static char *key_of(const char *proof) {
        AUTO_JSON json_t *header = NULL;
        char *text;

        read_proof(proof, &header, NULL);
        text = json_dumps(json_object_get(header, "jwk"), JSON_SORT_KEYS);
        assert_non_null(text);
        return text;
}

/* Up to the request that redeems the code. @waits is told when the login is over. */
static void redeem(struct world *w, struct answer *waits) {
        AUTO_FREE char *url = world_begin_login(w, NULL, waits);

        world_redirect(w, url, "code1");
        world_run(w);
        assert_form(w, "grant_type", "authorization_code");
}

static void log_in(struct world *w) {
        AUTO_REPLY struct answer waits = { 0 };

        redeem(w, &waits);
        world_answer(w, 0, 200, TOKENS("DPoP"));
        world_run(w);
        assert_server_state(w, "ready");
}

static void prove(struct world *w, const char *url, const char *nonce, struct answer *a) {
        AUTO_REPLY struct answer token = { 0 };

        world_get(w, NULL, &token);
        assert_string_equal(json_get_string(token.result, "token_type"), "DPoP");
        world_ask(w, METHOD_TOKEN_PROOF,
                  json_pack("{s:s, s:s, s:s, s:s, s:s*}", "server", WORLD_SERVER, "token_id",
                            json_get_string(token.result, "token_id"), "method", "POST", "url", url,
                            "nonce", nonce),
                  a);
}

/* A203 A208 */
static void requests_for_tokens_carry_a_proof_of_one_key(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer waits = { 0 };
        AUTO_FREE char *first = NULL;
        AUTO_FREE char *second = NULL;
        AUTO_REPLY struct answer a = { 0 };

        redeem(w, &waits);
        assert_claim(field(w, "DPoP"), "htm", "POST");
        assert_claim(field(w, "DPoP"), "htu", WORLD_ISSUER "/token");
        assert_claim(field(w, "DPoP"), "ath", NULL);
        assert_claim(field(w, "DPoP"), "nonce", NULL);
        first = key_of(field(w, "DPoP"));
        assert_null(strstr(first, "\"d\""));
        world_answer(w, 0, 200, TOKENS("DPoP"));
        world_run(w);
        world_crash(w); /* the key is in the record */
        world_expire(w);
        world_send(w, NULL, &a);
        assert_form(w, "grant_type", "refresh_token");
        second = key_of(field(w, "DPoP"));
        assert_string_equal(first, second);
        world_answer(w, 0, 200, TOKENS("DPoP"));
        world_run(w);
        assert_token(&a, "at");
}

/* A122 A211: the one case in which a code is sent twice. */
static void a_nonce_of_the_issuer_is_used_at_once_and_kept(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer waits = { 0 };
        AUTO_FREE char *jti = NULL;
        AUTO_JSON json_t *claims = NULL;
        AUTO_REPLY struct answer a = { 0 };

        redeem(w, &waits);
        read_proof(field(w, "DPoP"), NULL, &claims);
        jti = strdup(json_get_string(claims, "jti"));
        world_answer_both(w, 0, 400, "dpop-nonce", "n1", "{\"error\":\"use_dpop_nonce\"}");
        world_run(w);
        assert_form(w, "code", "code1");
        assert_claim(field(w, "DPoP"), "nonce", "n1");
        json_decref(claims);
        claims = NULL;
        read_proof(field(w, "DPoP"), NULL, &claims);
        assert_string_not_equal(json_get_string(claims, "jti"), jti);
        world_answer_both(w, 0, 200, "dpop-nonce", "n2", TOKENS("DPoP"));
        world_run(w);
        world_expire(w);
        world_send(w, NULL, &a);
        assert_claim(field(w, "DPoP"), "nonce", "n2");
        world_answer_both(w, 0, 400, "dpop-nonce", "n3", "{\"error\":\"use_dpop_nonce\"}");
        world_run(w);
        assert_form(w, "refresh_token", "rt");
        assert_claim(field(w, "DPoP"), "nonce", "n3");
        world_answer(w, 0, 200, TOKENS("DPoP"));
        world_run(w);
        assert_token(&a, "at");
}

static void a_nonce_is_tried_once(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer waits = { 0 };

        redeem(w, &waits);
        for (unsigned i = 0; i < 2; i++) {
                world_answer_both(w, 0, 400, "dpop-nonce", i == 0 ? "n1" : "n2",
                                  "{\"error\":\"use_dpop_nonce\"}");
                world_run(w);
        }
        assert_int_equal(w->n_fetches, 0);
        assert_server_state(w, "error");
}

/* A35 A209 */
static void a_token_that_is_bound_to_nothing_will_not_do(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer waits = { 0 };
        AUTO_JSON json_t *s = NULL;

        redeem(w, &waits);
        world_answer(w, 0, 200, TOKENS("Bearer"));
        world_run(w);
        assert_server_state(w, "error");
        s = world_server(w);
        assert_non_null(strstr(json_get_string(json_object_get(s, "last_error"), "message"),
                               "bound to no key"));
}

/* A205 A217 S4 */
static void a_proof_is_for_one_request_and_recorded(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };
        const char *one;
        const char *two;

        log_in(w);
        prove(w, WORLD_SERVER, NULL, &a);
        one = json_get_string(a.result, "proof");
        assert_claim(one, "htm", "POST");
        assert_claim(one, "htu", WORLD_SERVER);
        /* base64url(SHA-256("at")) */
        assert_claim(one, "ath", "sda5G2fCr6XjIpiNlGJjjTVN34oe9526mH-BXCK0uu4");
        assert_claim(one, "nonce", NULL);
        assert_int_equal(world_audit(w, "dpop.sign"), 1);
        prove(w, WORLD_SERVER "/beneath?x=1#y", "n7", &b);
        two = json_get_string(b.result, "proof");
        assert_claim(two, "htu", WORLD_SERVER "/beneath");
        assert_claim(two, "nonce", "n7");
        assert_string_not_equal(one, two);
        assert_int_equal(world_audit(w, "dpop.sign"), 2);
        answer_done(&a);
        prove(w, WORLD_SERVER, NULL, &a); /* the server's latest holds for who comes next */
        assert_claim(json_get_string(a.result, "proof"), "nonce", "n7");
}

/* S5 */
static void a_proof_is_for_the_server_alone(void **state) {
        struct world *w = *state;
        static const char *const others[] = {
                "https://mcp.example.com/",
                "https://mcp.example.com/mcp2",
                "https://mcp.example.com/other",
                "http://mcp.example.com/mcp",
                "https://mcp.example.com:8443/mcp",
                "https://mcp.example.com.evil.example/mcp",
                WORLD_ISSUER "/token",
                WORLD_SERVER "/../token",
                "mcp",
                "",
        };

        log_in(w);
        for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
                AUTO_REPLY struct answer a = { 0 };

                prove(w, others[i], NULL, &a);
                if (a.result)
                        fail_msg("%s", others[i]);
        }
        assert_int_equal(world_audit(w, "dpop.sign"), 0);
}

/* An issuer may live under the path of its server: a proof for its endpoints would be ours. */
static void a_proof_is_for_no_endpoint_of_the_issuer(void **state) {
        struct world *w = *state;
        static const char *const paths[] = { "/as/token", "/as/token/", "/as/revoke?x",
                                             "/as/register", "/as/authorize" };

        w->prm = "{\"resource\":\"" WORLD_SERVER "\",\"authorization_servers\":[\"" WORLD_SERVER
                 "/as\"],\"dpop_bound_access_tokens_required\":true}";
        w->as = "{\"issuer\":\"" WORLD_SERVER "/as\",\"authorization_endpoint\":\"" WORLD_SERVER
                "/as/authorize\",\"token_endpoint\":\"" WORLD_SERVER
                "/as/token\",\"registration_endpoint\":\"" WORLD_SERVER
                "/as/register\",\"revocation_endpoint\":\"" WORLD_SERVER
                "/as/revoke\",\"response_types_supported\":[\"code\"],"
                "\"code_challenge_methods_supported\":[\"S256\"]}";
        log_in(w);
        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                AUTO_REPLY struct answer a = { 0 };
                char url[128];

                (void)snprintf(url, sizeof(url), WORLD_SERVER "%s", paths[i]);
                prove(w, url, NULL, &a);
                if (a.result)
                        fail_msg("%s", url);
        }
        {
                AUTO_REPLY struct answer a = { 0 };

                prove(w, WORLD_SERVER "/as", NULL, &a);
                assert_non_null(a.result);
        }
}

static void what_cannot_be_proved_is_said(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        log_in(w);
        world_ask(w, METHOD_TOKEN_PROOF,
                  json_pack("{s:s, s:s, s:s, s:s}", "server", WORLD_SERVER, "token_id", "t_none",
                            "method", "POST", "url", WORLD_SERVER),
                  &a);
        assert_refused(&a, MCPB_NOT_FOUND);
        world_ask(w, METHOD_TOKEN_PROOF,
                  json_pack("{s:s, s:s, s:s, s:s}", "server", WORLD_SERVER, "token_id", "t_none",
                            "method", "post", "url", WORLD_SERVER),
                  &a);
        assert_refused(&a, MCPB_BAD_PARAMS);
}

static void a_token_that_is_bound_to_nothing_needs_no_proof(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer token = { 0 };
        AUTO_REPLY struct answer a = { 0 };

        w->prm = NULL;
        world_login(w, NULL);
        world_get(w, NULL, &token);
        world_ask(w, METHOD_TOKEN_PROOF,
                  json_pack("{s:s, s:s, s:s, s:s}", "server", WORLD_SERVER, "token_id",
                            json_get_string(token.result, "token_id"), "method", "POST", "url",
                            WORLD_SERVER),
                  &a);
        assert_refused(&a, MCPB_BAD_REQUEST);
}

/* S3 */
static void policy_is_asked_for_a_proof_too(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer token = { 0 };
        AUTO_REPLY struct answer a = { 0 };

        log_in(w);
        world_get(w, NULL, &token);
        w->policy = "[Rule none]\nAgent=uid:self\nEffect=deny\nServer=@added\n";
        world_reload(w);
        world_ask(w, METHOD_TOKEN_PROOF,
                  json_pack("{s:s, s:s, s:s, s:s}", "server", WORLD_SERVER, "token_id",
                            json_get_string(token.result, "token_id"), "method", "POST", "url",
                            WORLD_SERVER),
                  &a);
        assert_refused(&a, MCPB_DENIED);
        assert_int_equal(world_audit(w, "dpop.sign"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(requests_for_tokens_carry_a_proof_of_one_key),
                TEST(a_nonce_of_the_issuer_is_used_at_once_and_kept),
                TEST(a_nonce_is_tried_once),
                TEST(a_token_that_is_bound_to_nothing_will_not_do),
                TEST(a_proof_is_for_one_request_and_recorded),
                TEST(a_proof_is_for_the_server_alone),
                TEST(a_proof_is_for_no_endpoint_of_the_issuer),
                TEST(what_cannot_be_proved_is_said),
                TEST(a_token_that_is_bound_to_nothing_needs_no_proof),
                TEST(policy_is_asked_for_a_proof_too),
        };

        return cmocka_run_group_tests_name("broker-bound", tests, NULL, NULL);
}
