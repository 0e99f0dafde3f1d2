/* SPDX-License-Identifier: Apache-2.0 */
/* Logins by device code: what the person is told, how often the issuer is asked, and that nothing
 * is lost by a restart. */
#include <stdio.h>

#include "broker-world.h"

#define DEVICE_URL WORLD_ISSUER "/device_authorization"
#define TOKEN_URL WORLD_ISSUER "/token"
#define METADATA "{\"device_authorization_endpoint\":\"" DEVICE_URL "\"}"
#define CODE(more)                                                        \
        "{\"device_code\":\"dc1\",\"user_code\":\"BCDF-GHJK\","           \
        "\"verification_uri\":\"" WORLD_ISSUER "/device\",\"interval\":5" \
        ",\"expires_in\":300" more "}"
#define COMPLETE ",\"verification_uri_complete\":\"" WORLD_ISSUER "/device?user_code=BCDF-GHJK\""
#define REQUIRES_BOUND                                                                         \
        "{\"resource\":\"" WORLD_SERVER "\",\"authorization_servers\":[\"" WORLD_ISSUER "\"]," \
        "\"dpop_bound_access_tokens_required\":true}"

static int setup_more(void **state, const char *as_more) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        w->as_more = as_more;
        world_init(w);
        *state = w;
        return 0;
}

static int setup(void **state) {
        return setup_more(state, METADATA);
}

static void again(struct world *w) {
        world_done(w);
        w->as_more = METADATA;
        world_init(w);
}

static int setup_none(void **state) {
        return setup_more(state, NULL);
}

static int setup_device_alone(void **state) {
        return setup_more(state, "{\"device_authorization_endpoint\":\"" DEVICE_URL "\","
                                 "\"authorization_endpoint\":null,"
                                 "\"code_challenge_methods_supported\":[]}");
}

static int setup_bound(void **state) {
        int r = setup_more(state, METADATA);

        ((struct world *)*state)->prm = REQUIRES_BOUND;
        return r;
}

static void add(struct world *w, struct answer *a) {
        world_ask(w, METHOD_SERVER_ADD,
                  json_pack("{s:s, s:b, s:s}", "url", WORLD_SERVER, "login", 1, "flow", "device"),
                  a);
        world_serve(w);
}

static void assert_asks(struct world *w, const char *url) {
        assert_int_equal(w->n_fetches, 1);
        assert_string_equal(world_fetch(w)->request.url, url);
        assert_int_equal(world_fetch(w)->via, FETCH_DEAL);
}

static const char *told(const struct answer *a, const char *name) {
        const json_t *login = json_object_get(a->result, "login");

        assert_int_equal(a->n_told, 1);
        return json_get_string(a->data ? a->data : json_is_object(login) ? login : a->result, name);
}

/* Up to the code: the person can begin. */
static void begin(struct world *w, struct answer *a) {
        add(w, a);
        assert_int_equal(a->n_told, 0);
        assert_asks(w, DEVICE_URL);
        world_answer(w, 0, 200, CODE(COMPLETE));
        world_run(w);
        assert_string_equal(told(a, "user_code"), "BCDF-GHJK");
        assert_int_equal(w->n_fetches, 0);
}

static void wait_for(struct world *w, const struct answer *begun, struct answer *a) {
        world_ask(w, METHOD_LOGIN_WAIT, json_pack("{s:s}", "login", told(begun, "login")), a);
        assert_int_equal(a->n_told, 0);
}

/* After that time, and no earlier, the issuer is asked. */
static void polls_after(struct world *w, unsigned sec) {
        world_advance(w, sec * USEC_PER_SEC - USEC_PER_SEC / 2);
        assert_int_equal(w->n_fetches, 0);
        world_advance(w, USEC_PER_SEC / 2);
        assert_asks(w, TOKEN_URL);
        assert_form(w, "grant_type", "urn:ietf:params:oauth:grant-type:device_code");
        assert_form(w, "device_code", "dc1");
}

static void not_yet(struct world *w, const char *code) {
        char body[64];

        (void)snprintf(body, sizeof(body), "{\"error\":\"%s\"}", code);
        world_answer(w, 0, 400, body);
        world_run(w);
        assert_int_equal(w->n_fetches, 0);
}

static void allow(struct world *w) {
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
}

static void assert_over(struct answer *a, const char *state, const char *code) {
        assert_string_equal(told(a, "state"), state);
        if (code)
                assert_string_equal(json_get_string(json_object_get(a->result, "error"), "code"),
                                    code);
        answer_done(a);
}

/* Under way, for which a stop would wait. */
static json_int_t operations(struct world *w) {
        AUTO_REPLY struct answer a = { 0 };

        world_ask(w, METHOD_BROKER_STATUS, json_object(), &a);
        world_run(w);
        return json_get_int(json_object_get(a.result, "counts"), "operations", -1);
}

static void a_person_types_a_code_elsewhere(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer waits = { 0 };
        AUTO_REPLY struct answer token = { 0 };

        begin(w, &a);
        assert_string_equal(told(&a, "url"), WORLD_ISSUER "/device?user_code=BCDF-GHJK");
        assert_string_equal(told(&a, "verification_uri"), WORLD_ISSUER "/device");
        assert_false(json_get_bool(json_object_get(a.result, "login"), "opener", true));
        assert_int_equal(w->n_listeners, 0);
        wait_for(w, &a, &waits);
        assert_server_state(w, "login_pending");
        polls_after(w, 5);
        assert_form(w, "client_id", "client1");
        assert_form(w, "resource", WORLD_SERVER);
        not_yet(w, "authorization_pending");
        polls_after(w, 5);
        allow(w);
        assert_over(&waits, "done", NULL);
        assert_string_equal(world_token(w, &token), "at1");
        assert_int_equal(world_audit(w, "auth.flow.finish"), 1);
        answer_done(&token);
        world_crash(w); /* and its record is gone */
        world_run(w);
        world_advance(w, 20 * USEC_PER_SEC);
        assert_int_equal(w->n_fetches, 0);
        world_expire(w);
        assert_refresh(w, "rt1", "at2", "rt2");
}

static void an_issuer_may_know_no_other_way(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        begin(w, &a);
        polls_after(w, 5);
        allow(w);
        assert_server_state(w, "ready");
}

static void where_there_is_no_such_way_it_is_said_at_once(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        add(w, &a);
        assert_int_equal(a.n_told, 1);
        assert_int_equal(a.err.code, MCPB_UNSUPPORTED);
        assert_non_null(strstr(a.err.message, WORLD_ISSUER));
        assert_non_null(strstr(a.err.hint, "--device"));
        assert_int_equal(w->n_register, 0);
        assert_int_equal(w->n_fetches, 0);
}

static void an_issuer_that_wants_to_be_asked_less_often_is(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        begin(w, &a);
        polls_after(w, 5);
        not_yet(w, "slow_down");
        polls_after(w, 10);
        not_yet(w, "slow_down");
        polls_after(w, 15);
        not_yet(w, "authorization_pending");
        polls_after(w, 15);
        world_no_answer(w, 0, FETCH_NO_ANSWER);
        world_run(w);
        polls_after(w, 30);
        world_answer_header(w, 0, 503, "retry-after", "70");
        world_run(w);
        polls_after(w, 70);
        allow(w);
        assert_server_state(w, "ready");
}

static void a_no_ends_it(void **state) {
        struct world *w = *state;
        static const struct {
                const char *error;
                const char *code;
        } said[] = {
                { "access_denied", "login_failed" },
                { "expired_token", "timeout" },
                { "invalid_grant", "grant_revoked" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
                AUTO_REPLY struct answer a = { 0 };
                AUTO_REPLY struct answer waits = { 0 };

                again(w);
                begin(w, &a);
                wait_for(w, &a, &waits);
                polls_after(w, 5);
                not_yet(w, said[i].error);
                assert_string_equal(told(&waits, "state"), "failed");
                world_advance(w, 60 * USEC_PER_SEC);
                assert_int_equal(w->n_fetches, 0);
                assert_server_state(w, "error");
                if (i < 2)
                        assert_over(&waits, "failed", said[i].code);
        }
}

static void nobody_comes_in_time(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer waits = { 0 };

        begin(w, &a);
        wait_for(w, &a, &waits);
        for (unsigned i = 0; i < 59; i++) {
                polls_after(w, 5);
                not_yet(w, "authorization_pending");
        }
        /* The last one is on its way as the time ends. */
        world_advance(w, 5 * USEC_PER_SEC);
        world_advance(w, USEC_PER_SEC);
        assert_over(&waits, "failed", "timeout");
        assert_int_equal(w->n_fetches, 0);
        assert_int_equal(operations(w), 0);
}

static void it_can_be_called_off_at_any_time(void **state) {
        struct world *w = *state;

        for (unsigned in_flight = 0; in_flight < 2; in_flight++) {
                AUTO_REPLY struct answer a = { 0 };
                AUTO_REPLY struct answer b = { 0 };

                again(w);
                begin(w, &a);
                if (in_flight)
                        polls_after(w, 5);
                world_ask(w, METHOD_LOGIN_CANCEL, json_pack("{s:s}", "login", told(&a, "login")),
                          &b);
                world_run(w);
                assert_true(json_get_bool(b.result, "cancelled", false));
                assert_int_equal(w->n_fetches, 0);
                assert_int_equal(operations(w), 0);
                world_advance(w, 60 * USEC_PER_SEC);
                world_crash(w);
                world_advance(w, 60 * USEC_PER_SEC);
                assert_int_equal(w->n_fetches, 0);
                assert_server_state(w, "login_required");
        }
}

static void a_server_that_is_removed_takes_it_along(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };

        begin(w, &a);
        polls_after(w, 5);
        world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:s}", "server", WORLD_SERVER), &b);
        world_run(w);
        assert_int_equal(b.n_told, 1);
        world_advance(w, 60 * USEC_PER_SEC);
        assert_int_equal(w->n_fetches, 0);
}

static void a_restart_goes_on_asking(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };

        begin(w, &a);
        polls_after(w, 5);
        not_yet(w, "slow_down");
        world_end(w);
        world_advance_stopped(60 * USEC_PER_SEC);
        world_begin(w);
        world_run(w);
        world_ask(w, METHOD_LOGIN_STATUS, json_pack("{s:s}", "login", told(&a, "login")), &b);
        assert_string_equal(told(&b, "user_code"), "BCDF-GHJK");
        assert_string_equal(told(&b, "state"), "waiting");
        world_advance(w, 0);
        assert_asks(w, TOKEN_URL);
        assert_form(w, "device_code", "dc1");
        assert_form(w, "resource", WORLD_SERVER);
        assert_form(w, "client_id", "client1");
        allow(w);
        assert_server_state(w, "ready");
        assert_int_equal(w->n_listeners, 0);
}

static void one_that_is_too_old_at_the_restart_is_gone(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        begin(w, &a);
        world_end(w);
        world_advance_stopped(400 * USEC_PER_SEC);
        world_begin(w);
        world_run(w);
        world_advance(w, 60 * USEC_PER_SEC);
        assert_int_equal(w->n_fetches, 0);
        assert_server_state(w, "login_required");
}

/* Who asks without saying how, is told how the person does it. */
static void who_comes_later_joins(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };

        begin(w, &a);
        world_ask(w, METHOD_TOKEN_GET,
                  json_pack("{s:s, s:s}", "server", WORLD_SERVER, "login", "start"), &b);
        world_run(w);
        assert_int_equal(b.err.code, MCPB_LOGIN_REQUIRED);
        assert_string_equal(told(&b, "login"), told(&a, "login"));
        assert_string_equal(told(&b, "user_code"), "BCDF-GHJK");
        assert_false(json_get_bool(b.data, "opener", true));
}

/* A person says which way: a login that an agent began with a browser is not in the way. */
static void the_way_that_a_person_names_is_taken(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer waits = { 0 };
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };

        begin(w, &a);
        assert_over(&waits, "failed", "login_cancelled");
        assert_int_equal(w->listener.id, 0);
        /* A client of its own: the other one is for another grant. */
        assert_int_equal(w->n_register, 2);
        wait_for(w, &a, &waits);
        world_ask(w, METHOD_LOGIN_START,
                  json_pack("{s:s, s:s}", "server", WORLD_SERVER, "flow", "browser"), &b);
        world_serve(w);
        assert_over(&waits, "failed", "login_cancelled");
        assert_null(told(&b, "user_code"));
        assert_int_equal(w->n_register, 2);
        answer_done(&b);
        world_ask(w, METHOD_LOGIN_START,
                  json_pack("{s:s, s:s}", "server", WORLD_SERVER, "flow", "telepathy"), &b);
        assert_int_equal(b.err.code, MCPB_BAD_PARAMS);
}

static void there_is_no_address_to_paste(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer b = { 0 };

        begin(w, &a);
        world_ask(w, METHOD_LOGIN_COMPLETE,
                  json_pack("{s:s, s:s}", "login", told(&a, "login"), "redirect_url",
                            "http://127.0.0.1/?code=x&state=y"),
                  &b);
        assert_true(b.err.code == MCPB_BAD_REQUEST || b.err.code == MCPB_NOT_PERMITTED);
        world_run(w);
        assert_server_state(w, "login_pending");
}

/* A88 */
static void a_client_that_is_not_known_there_is_registered_anew(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        add(w, &a);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(w->n_register, i + 1);
                assert_asks(w, DEVICE_URL);
                world_answer(w, 0, 401, "{\"error\":\"invalid_client\"}");
                world_serve(w);
        }
        assert_int_equal(w->n_register, 2);
        assert_int_equal(a.n_told, 1);
        assert_non_null(strstr(a.err.message, "invalid_client"));
}

static bool has_proof(struct world *w) {
        const struct fetch_request *f = &world_fetch(w)->request;

        for (size_t i = 0; i < f->n_headers; i++)
                if (strcasecmp(f->headers[i].name, "dpop") == 0)
                        return true;
        return false;
}

/* A209 A211 */
static void the_token_is_bound_where_that_is_required(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer waits = { 0 };

        begin(w, &a);
        wait_for(w, &a, &waits);
        for (unsigned i = 0; i < 2; i++) {
                polls_after(w, 5);
                assert_true(has_proof(w));
                /* The one repeat, of each poll. */
                world_answer_both(w, 0, 400, "dpop-nonce", i == 0 ? "n1" : "n2",
                                  "{\"error\":\"use_dpop_nonce\"}");
                world_run(w);
                assert_asks(w, TOKEN_URL);
                assert_true(has_proof(w));
                if (i == 0)
                        not_yet(w, "authorization_pending");
        }
        world_answer(w, 0, 200,
                     "{\"access_token\":\"at1\",\"token_type\":\"DPoP\",\"expires_in\":600}");
        world_run(w);
        assert_over(&waits, "done", NULL);
        assert_server_state(w, "ready");
}

static void a_token_that_is_bound_to_nothing_is_not_taken(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_REPLY struct answer waits = { 0 };

        begin(w, &a);
        wait_for(w, &a, &waits);
        polls_after(w, 5);
        allow(w);
        assert_over(&waits, "failed", "issuer_error");
        assert_server_state(w, "error");
}

/* kill -9 after each step from the poll on: the grant is there, or the person is asked again. */
static void wherever_it_is_killed_it_comes_up_again(void **state) {
        struct world *w = *state;

        for (unsigned n = 0; n < 12; n++) {
                AUTO_REPLY struct answer a = { 0 };
                AUTO_REPLY struct answer token = { 0 };
                const char *got;

                again(w);
                begin(w, &a);
                polls_after(w, 5);
                w->disk_held = true;
                world_tokens(w, "at1", "rt1", 3600, NULL);
                for (unsigned i = 0; i < n; i++) {
                        world_run_loop(w);
                        if (w->disk->n_requests > 0)
                                world_disk(w, 0, false);
                }
                world_crash(w);
                world_run(w);
                world_advance(w, 0);
                if (w->n_fetches > 0) { /* it asks with a code that was used */
                        assert_asks(w, TOKEN_URL);
                        not_yet(w, "invalid_grant");
                }
                got = world_token(w, &token);
                if (got)
                        assert_string_equal(got, "at1");
                else
                        assert_true(token.err.code == MCPB_LOGIN_REQUIRED ||
                                    token.err.code == MCPB_GRANT_REVOKED);
                if (n > 8)
                        assert_non_null(got);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
                TEST(a_person_types_a_code_elsewhere, setup),
                TEST(an_issuer_may_know_no_other_way, setup_device_alone),
                TEST(where_there_is_no_such_way_it_is_said_at_once, setup_none),
                TEST(an_issuer_that_wants_to_be_asked_less_often_is, setup),
                TEST(a_no_ends_it, setup),
                TEST(nobody_comes_in_time, setup),
                TEST(it_can_be_called_off_at_any_time, setup),
                TEST(a_server_that_is_removed_takes_it_along, setup),
                TEST(a_restart_goes_on_asking, setup),
                TEST(one_that_is_too_old_at_the_restart_is_gone, setup),
                TEST(who_comes_later_joins, setup),
                TEST(the_way_that_a_person_names_is_taken, setup),
                TEST(there_is_no_address_to_paste, setup),
                TEST(a_client_that_is_not_known_there_is_registered_anew, setup),
                TEST(the_token_is_bound_where_that_is_required, setup_bound),
                TEST(a_token_that_is_bound_to_nothing_is_not_taken, setup_bound),
                TEST(wherever_it_is_killed_it_comes_up_again, setup),
        };

        return cmocka_run_group_tests_name("broker-device", tests, NULL, NULL);
}
