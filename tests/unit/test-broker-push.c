/* SPDX-License-Identifier: Apache-2.0 */
/* Pushed authorization requests: before the URL is told, and anew when its time is over. */
#include <stdio.h>

#include "base/codec.h"
#include "broker-world.h"

#define PAR_URL WORLD_ISSUER "/par"
#define OFFERED "\"pushed_authorization_request_endpoint\":\"" PAR_URL "\""
#define REQUIRED OFFERED ",\"require_pushed_authorization_requests\":true"
#define PUSHED(n) "{\"request_uri\":\"urn:request:" n "\",\"expires_in\":60}"
#define REQUIRES_BOUND                                                                         \
        "{\"resource\":\"" WORLD_SERVER "\",\"authorization_servers\":[\"" WORLD_ISSUER "\"]," \
        "\"dpop_bound_access_tokens_required\":true}"
#define FAR_URL "http://127.0.0.1/?"

static int set_up(void **state, const char *as_more) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        w->as_more = as_more;
        world_init(w);
        *state = w;
        return 0;
}

static int setup_offered(void **state) {
        return set_up(state, "{" OFFERED "}");
}

static int setup_required(void **state) {
        return set_up(state, "{" REQUIRED "}");
}

/* Up to the pushed request, which waits; what the browser would come back with, to be freed. */
static char *begin(struct world *w, struct answer *a) {
        AUTO_FREE char *state = NULL;
        char *back = NULL;

        world_ask(w, METHOD_SERVER_ADD, json_pack("{s:s, s:b}", "url", WORLD_SERVER, "login", 1),
                  a);
        world_serve(w);
        assert_int_equal(a->n_told, 0);
        assert_int_equal(w->n_fetches, 1);
        assert_string_equal(world_fetch(w)->request.url, PAR_URL);
        assert_int_equal(world_fetch(w)->via, FETCH_DEAL);
        state = world_form(w, "state");
        assert_true(asprintf(&back, FAR_URL "state=%s", state) > 0);
        return back;
}

static const char *told(const struct answer *a, const char *name) {
        const json_t *login = json_object_get(a->result, "login");

        assert_int_equal(a->n_told, 1);
        if (a->data)
                return json_get_string(a->data, name);
        return json_get_string(json_is_object(login) ? login : a->result, name);
}

static void assert_refers_to(const struct answer *a, const char *reference) {
        char url[256];

        (void)snprintf(url, sizeof(url),
                       WORLD_ISSUER "/authorize?client_id=client1&request_uri=urn%%3Arequest%%3A%s",
                       reference);
        assert_string_equal(told(a, "url"), url);
}

static void push_is_taken(struct world *w, const char *answer) {
        assert_int_equal(w->n_fetches, 1);
        assert_string_equal(world_fetch(w)->request.url, PAR_URL);
        world_answer(w, 0, 201, answer);
        world_run(w);
}

static void ask_for_url(struct world *w, struct answer *a) {
        world_ask(w, METHOD_LOGIN_START, json_pack("{s:s}", "server", WORLD_SERVER), a);
        world_run(w);
}

static void finish(struct world *w, const char *back) {
        AUTO_REPLY struct answer a = { 0 };

        world_redirect(w, back, "code1");
        assert_form(w, "code", "code1");
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        assert_int_equal(w->page_status, 200);
        assert_string_equal(world_token(w, &a), "at1");
}

/* A108 */
static void the_browser_carries_a_reference(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_FREE char *back = begin(w, &a);

        assert_form(w, "response_type", "code");
        assert_form(w, "client_id", "client1");
        assert_form(w, "resource", WORLD_SERVER);
        assert_form(w, "code_challenge_method", "S256");
        assert_form(w, "request_uri", NULL);
        push_is_taken(w, PUSHED("1"));
        assert_refers_to(&a, "1");
        assert_int_equal(w->n_fetches, 0);
        finish(w, back);
}

/* A108 */
static void where_it_is_required_a_refusal_ends_the_login(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_FREE char *back = begin(w, &a);

        world_answer(w, 0, 400, "{\"error\":\"invalid_scope\"}");
        world_run(w);
        assert_true(a.err.code != MCPB_NO_ERROR);
        assert_non_null(strstr(a.err.message, "invalid_scope"));
        assert_true(a.err.hint[0] != '\0');
        assert_int_equal(w->n_fetches, 0);
        assert_int_equal(w->listener.id, 0);
        assert_server_state(w, "error");
}

static void where_it_is_offered_a_refusal_leaves_the_other_way(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_FREE char *back = begin(w, &a);
        const char *url;

        world_answer(w, 0, 404, "");
        world_run(w);
        url = told(&a, "url");
        assert_non_null(strstr(url, "code_challenge="));
        assert_null(strstr(url, "request_uri"));
        finish(w, url);
}

/* A88 */
static void a_client_that_is_not_known_there_is_registered_anew(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_FREE char *back = begin(w, &a);

        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(w->n_register, i + 1);
                assert_int_equal(a.n_told, 0);
                world_answer(w, 0, 401, "{\"error\":\"invalid_client\"}");
                world_serve(w);
        }
        /* Once, and no more. */
        assert_int_equal(w->n_register, 2);
        assert_int_equal(a.n_told, 1);
        assert_non_null(strstr(a.err.message, "invalid_client"));
}

/* The reference is good for a minute, the login for ten. */
static void who_asks_late_gets_a_url_that_works(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };
        AUTO_REPLY struct answer c = { 0 };
        AUTO_FREE char *back = begin(w, &a);
        AUTO_FREE char *again = NULL;

        push_is_taken(w, PUSHED("1"));
        world_advance(w, 40 * USEC_PER_SEC);
        ask_for_url(w, &b);
        assert_refers_to(&b, "1");
        answer_done(&b);
        world_advance(w, 15 * USEC_PER_SEC); /* too little is left of it */
        ask_for_url(w, &b);
        ask_for_url(w, &c);
        assert_int_equal(b.n_told + c.n_told, 0);
        again = world_form(w, "state");
        assert_non_null(strstr(back, again)); /* who has the old one may still come */
        push_is_taken(w, PUSHED("2"));
        assert_refers_to(&b, "2");
        assert_refers_to(&c, "2");
        finish(w, back);
}

static void a_status_has_no_url_that_is_over(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };
        AUTO_FREE char *back = begin(w, &a);

        push_is_taken(w, PUSHED("1"));
        for (unsigned i = 0; i < 2; i++) {
                world_ask(w, METHOD_LOGIN_STATUS, json_pack("{s:s}", "login", told(&a, "login")),
                          &b);
                assert_string_equal(told(&b, "state"), "waiting");
                assert_int_equal(told(&b, "url") != NULL, i == 0);
                answer_done(&b);
                world_advance(w, 55 * USEC_PER_SEC);
        }
}

static void a_failure_meanwhile_is_told_and_the_login_goes_on(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };
        AUTO_FREE char *back = begin(w, &a);

        push_is_taken(w, PUSHED("1"));
        world_advance(w, 100 * USEC_PER_SEC);
        ask_for_url(w, &b);
        world_answer(w, 0, 503, "");
        world_run(w);
        assert_int_equal(b.n_told, 1);
        assert_true(b.err.code != MCPB_NO_ERROR);
        answer_done(&b);
        ask_for_url(w, &b);
        push_is_taken(w, PUSHED("2"));
        assert_refers_to(&b, "2");
        /* A refusal ends it: there will be no URL. */
        answer_done(&b);
        world_advance(w, 100 * USEC_PER_SEC);
        ask_for_url(w, &b);
        world_answer(w, 0, 400, "{\"error\":\"invalid_request\"}");
        world_run(w);
        assert_true(b.err.code != MCPB_NO_ERROR);
        assert_int_equal(w->listener.id, 0);
        assert_server_state(w, "error");
}

/* The code is what was waited for: the URL that was asked for meanwhile is not needed. */
static void a_code_that_comes_while_it_is_pushed_anew_is_taken(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };
        AUTO_FREE char *back = begin(w, &a);

        push_is_taken(w, PUSHED("1"));
        world_advance(w, 100 * USEC_PER_SEC);
        ask_for_url(w, &b);
        assert_int_equal(b.n_told, 0);
        finish(w, back);
        assert_string_equal(told(&b, "state"), "done");
}

static void the_next_opener_gets_a_url_that_works(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer first = { 0 };
        AUTO_REPLY struct answer second = { 0 };
        AUTO_FREE char *back = begin(w, &a);

        push_is_taken(w, PUSHED("1"));
        world_ask(w, METHOD_LOGIN_WAIT, json_pack("{s:s}", "login", told(&a, "login")), &first);
        world_ask(w, METHOD_LOGIN_WAIT, json_pack("{s:s}", "login", told(&a, "login")), &second);
        world_advance(w, 100 * USEC_PER_SEC);
        broker_call_abandon(first.call);
        assert_int_equal(second.n_told, 0);
        push_is_taken(w, PUSHED("2"));
        assert_true(json_get_bool(second.result, "opener", false));
        assert_refers_to(&second, "2");
        finish(w, back);
}

static void a_restart_keeps_the_reference_as_long_as_it_is_good(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };
        AUTO_FREE char *back = begin(w, &a);

        push_is_taken(w, PUSHED("1"));
        world_crash(w);
        world_serve(w);
        ask_for_url(w, &b);
        assert_refers_to(&b, "1");
        answer_done(&b);
        world_end(w);
        world_advance_stopped(100 * USEC_PER_SEC);
        world_begin(w);
        world_serve(w);
        ask_for_url(w, &b);
        push_is_taken(w, PUSHED("2"));
        assert_refers_to(&b, "2");
        finish(w, back);
}

static void a_login_that_is_cancelled_is_pushed_nowhere(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };
        AUTO_FREE char *back = begin(w, &a);

        world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:s}", "server", WORLD_SERVER), &b);
        world_run(w);
        assert_int_equal(a.n_told, 1);
        assert_int_equal(a.err.code, MCPB_LOGIN_CANCELLED);
        assert_int_equal(w->n_fetches, 0);
}

/* --- Tokens that are bound to a key ----------------------------------------------------------- */

static int setup_bound(void **state) {
        int r = set_up(state, "{" REQUIRED ",\"dpop_signing_alg_values_supported\":[\"ES256\"]}");

        ((struct world *)*state)->prm = REQUIRES_BOUND;
        return r;
}

/* The "jwk" of the proof that request number 0 brings, as text, and its nonce; to be freed. */
static char *key_of_proof(struct world *w, char **ret_nonce) {
        const struct fetch_request *f = &world_fetch(w)->request;
        AUTO_JSON json_t *head = NULL;
        AUTO_JSON json_t *claims = NULL;

        for (size_t i = 0; i < f->n_headers; i++) {
                const char *proof = f->headers[i].value;
                const char *dot = strchr(proof, '.');
                AUTO_BUF struct buf text = BUF_INIT;
                AUTO_BUF struct buf said = BUF_INIT;

                if (strcasecmp(f->headers[i].name, "dpop") != 0)
                        continue;
                assert_non_null(dot);
                assert_int_equal(base64url_decode(&text, proof, (size_t)(dot - proof)), 0);
                assert_int_equal(base64url_decode(&said, dot + 1, strcspn(dot + 1, ".")), 0);
                head = json_loadb(text.data, text.len, 0, NULL);
                claims = json_loadb(said.data, said.len, 0, NULL);
        }
        assert_non_null(claims);
        assert_string_equal(json_get_string(claims, "htu"), f->url);
        if (ret_nonce) {
                const char *nonce = json_get_string(claims, "nonce");

                *ret_nonce = nonce ? strdup(nonce) : NULL;
        }
        return json_dumps(json_object_get(head, "jwk"), JSON_SORT_KEYS);
}

/* A211: the code is bound to the key of the proof, which a restart does not lose. */
static void a_code_is_asked_for_and_redeemed_with_one_key(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_FREE char *back = begin(w, &a);
        AUTO_FREE char *nonce = NULL;
        AUTO_FREE char *first = key_of_proof(w, &nonce);
        AUTO_FREE char *second = NULL;

        assert_null(nonce);
        push_is_taken(w, PUSHED("1"));
        assert_refers_to(&a, "1");
        world_crash(w);
        world_serve(w);
        world_redirect(w, back, "code1");
        second = key_of_proof(w, NULL);
        assert_string_equal(first, second);
}

static void a_nonce_is_taken_once(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_FREE char *back = begin(w, &a);
        AUTO_FREE char *nonce = NULL;
        AUTO_FREE char *key = NULL;

        world_answer_both(w, 0, 400, "dpop-nonce", "n1", "{\"error\":\"use_dpop_nonce\"}");
        world_run(w);
        assert_int_equal(a.n_told, 0);
        key = key_of_proof(w, &nonce);
        assert_string_equal(nonce, "n1");
        world_answer_both(w, 0, 400, "dpop-nonce", "n2", "{\"error\":\"use_dpop_nonce\"}");
        world_run(w);
        assert_int_equal(w->n_fetches, 0);
        assert_int_equal(a.n_told, 1);
        assert_true(a.err.code != MCPB_NO_ERROR);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
                TEST(the_browser_carries_a_reference, setup_offered),
                TEST(the_browser_carries_a_reference, setup_required),
                TEST(where_it_is_required_a_refusal_ends_the_login, setup_required),
                TEST(where_it_is_offered_a_refusal_leaves_the_other_way, setup_offered),
                TEST(a_client_that_is_not_known_there_is_registered_anew, setup_required),
                TEST(who_asks_late_gets_a_url_that_works, setup_required),
                TEST(a_status_has_no_url_that_is_over, setup_required),
                TEST(a_failure_meanwhile_is_told_and_the_login_goes_on, setup_required),
                TEST(a_code_that_comes_while_it_is_pushed_anew_is_taken, setup_required),
                TEST(the_next_opener_gets_a_url_that_works, setup_required),
                TEST(a_restart_keeps_the_reference_as_long_as_it_is_good, setup_required),
                TEST(a_login_that_is_cancelled_is_pushed_nowhere, setup_required),
                TEST(a_code_is_asked_for_and_redeemed_with_one_key, setup_bound),
                TEST(a_nonce_is_taken_once, setup_bound),
        };

        return cmocka_run_group_tests_name("broker-push", tests, NULL, NULL);
}
