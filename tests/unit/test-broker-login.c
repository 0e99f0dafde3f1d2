/* SPDX-License-Identifier: Apache-2.0 */
/* Logins: a code is sent once, whoever waits is told, and a restart costs nobody anything. */
#include "base/clock.h"
#include "broker-world.h"

static int setup_empty(void **state) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        world_init(w);
        *state = w;
        return 0;
}

static void assert_login(struct answer *a, const char *name) {
        assert_int_equal(a->n_told, 1);
        assert_non_null(a->result);
        assert_string_equal(json_get_string(a->result, "state"), name);
}

static void assert_failed(struct answer *a, const char *code) {
        assert_login(a, "failed");
        assert_string_equal(json_get_string(json_object_get(a->result, "error"), "code"), code);
        answer_done(a);
}

static void assert_done(struct answer *a) {
        assert_login(a, "done");
        answer_done(a);
}

/* The id of the login that @a, an answer with a URL, is about; to be freed. */
static char *login_id(const struct answer *a) {
        const json_t *login = json_object_get(a->result, "login");
        const char *id = json_is_object(login) ? json_get_string(login, "login")
                         : a->result           ? json_get_string(a->result, "login")
                                               : json_get_string(a->data, "login");

        assert_non_null(id);
        return strdup(id);
}

static void wait_for(struct world *w, const char *id, struct answer *a) {
        world_ask(w, METHOD_LOGIN_WAIT, json_pack("{s:s}", "login", id), a);
}

/* token.get of somebody who may start a login. */
static void get_or_log_in(struct world *w, struct answer *a) {
        world_ask(w, METHOD_TOKEN_GET,
                  json_pack("{s:s, s:s}", "server", WORLD_SERVER, "login", "start"), a);
        world_serve(w);
}

/* Codes that were sent, by what the token requests say. */
static bool takes_code(struct world *w) {
        AUTO_FREE char *code = w->n_fetches > 0 ? world_form(w, "code") : NULL;

        return code && streq(code, "code1");
}

/* --- The code --------------------------------------------------------------------------------- */

/* A122 A137 */
static void a_code_is_sent_once_whatever_comes_back(void **state) {
        struct world *w = *state;
        static const struct {
                enum fetch_outcome outcome;
                unsigned status;
                const char *body;
        } answers[] = {
                { FETCH_ANSWERED, 500, "" },
                { FETCH_ANSWERED, 503, "" },
                { FETCH_ANSWERED, 429, "" },
                { FETCH_ANSWERED, 200, "" },
                { FETCH_ANSWERED, 200, "{\"token_type\":\"Bearer\"}" },
                { FETCH_ANSWERED, 400, "{\"error\":\"invalid_grant\"}" },
                { FETCH_ANSWERED, 400, "{\"error\":\"temporarily_unavailable\"}" },
                { FETCH_NO_ANSWER, 0, "" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
                struct answer waits;
                AUTO_FREE char *url = NULL;

                world_done(w);
                world_init(w);
                url = world_begin_login(w, NULL, &waits);
                world_redirect(w, url, "code1");
                assert_true(takes_code(w));
                if (answers[i].outcome == FETCH_ANSWERED)
                        world_answer(w, 0, answers[i].status, answers[i].body);
                else
                        world_no_answer(w, 0, answers[i].outcome);
                world_run(w);
                assert_login(&waits, "failed");
                answer_done(&waits);
                assert_int_equal(w->page_status, 400);
                world_advance(w, 700 * USEC_PER_SEC);
                assert_int_equal(w->n_token, 1);
                world_crash(w);
                assert_int_equal(w->n_token, 1);
                assert_int_equal(w->listener.id, 0);
                assert_server_state(w, "error");
        }
}

/* What a login does after the redirect, one thing after the other. */
static bool step(struct world *w, unsigned *n_sent) {
        world_run_loop(w);
        if (w->disk->n_requests > 0) {
                world_disk(w, 0, false);
                return true;
        }
        if (w->n_fetches == 0)
                return false;
        *n_sent += takes_code(w);
        world_tokens(w, "at1", "rt1", 3600, NULL);
        return true;
}

/* True: it was over before @n steps were done. */
static bool kill_login_after(struct world *w, unsigned n, bool applied) {
        AUTO_FREE char *url = world_begin_login(w, NULL, NULL);
        const char *token;
        struct answer a;
        unsigned n_sent = 0;
        bool over = false;

        w->disk_held = true;
        world_redirect(w, url, "code1");
        for (unsigned i = 0; i < n && !over; i++)
                over = !step(w, &n_sent);
        n_sent += w->n_fetches > 0; /* it is on its way */
        if (applied && w->disk->n_requests > 0)
                world_disk(w, -EIO, true);
        world_crash(w);
        world_serve(w);
        /* A browser that comes again, with what it has. */
        if (w->listener.id) {
                assert_int_equal(n_sent, 0);
                world_redirect(w, url, "code1");
                while (step(w, &n_sent))
                        ;
        }
        assert_true(n_sent <= 1);
        token = world_token(w, &a);
        if (token)
                assert_string_equal(token, "at1");
        else
                assert_int_equal(a.err.code, MCPB_LOGIN_REQUIRED);
        assert_true(token || !over);
        answer_done(&a);
        return over;
}

/* A94 A122 S7 */
static void killed_after_any_step_a_code_is_sent_once_at_most(void **state) {
        struct world *w = *state;
        unsigned n = 0;

        for (bool over = false; !over; n++) {
                for (unsigned applied = 0; applied < 2; applied++) {
                        world_done(w);
                        world_init(w);
                        over = kill_login_after(w, n, applied);
                }
        }
        assert_true(n > 4);
}

/* A88 */
static void a_client_that_the_issuer_forgot_is_registered_once_more_and_then_given_up(
        void **state) {
        struct world *w = *state;
        struct answer waits;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);
        AUTO_FREE char *again = NULL;
        AUTO_FREE char *id = NULL;

        world_redirect(w, url, "code1");
        world_answer(w, 0, 401, "{\"error\":\"invalid_client\"}");
        world_serve(w);
        assert_int_equal(w->n_register, 2);
        assert_int_equal(w->page_status, 400);
        /* Whoever waited is told to open the new address. */
        assert_login(&waits, "waiting");
        assert_true(json_get_bool(waits.result, "opener", false));
        again = strdup(json_get_string(waits.result, "url"));
        id = strdup(json_get_string(waits.result, "login"));
        assert_string_not_equal(again, url);
        assert_non_null(strstr(again, "client2"));
        answer_done(&waits);
        wait_for(w, id, &waits);
        world_redirect(w, again, "code2");
        assert_form(w, "client_id", "client2");
        assert_form(w, "code", "code2");
        world_answer(w, 0, 401, "{\"error\":\"invalid_client\"}");
        world_serve(w);
        assert_login(&waits, "failed");
        answer_done(&waits);
        assert_int_equal(w->n_register, 2);
        assert_int_equal(w->n_fetches, 0);
}

/* A88 */
static void a_second_registration_is_used_and_kept(void **state) {
        struct world *w = *state;
        struct answer waits;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);
        AUTO_FREE char *again = NULL;
        struct answer a;

        world_redirect(w, url, "code1");
        world_answer(w, 0, 401, "{\"error\":\"invalid_client\"}");
        world_serve(w);
        again = strdup(json_get_string(waits.result, "url"));
        answer_done(&waits);
        world_redirect(w, again, "code2");
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        assert_string_equal(world_token(w, &a), "at1");
        answer_done(&a);
        world_crash(w);
        world_expire(w);
        world_send(w, NULL, &a);
        assert_form(w, "client_id", "client2");
        broker_call_abandon(a.call);
}

/* --- The redirect ----------------------------------------------------------------------------- */

/* A93 A99 */
static void a_redirect_with_another_state_changes_nothing(void **state) {
        struct world *w = *state;
        struct answer waits;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);
        static const char *const queries[] = {
                "",
                "code=code1",
                "code=code1&state=wrong&iss=https%3A%2F%2Fas.example.com",
                "error=access_denied&state=wrong&iss=https%3A%2F%2Fas.example.com",
                "error=access_denied",
        };

        for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
                w->listener.on_redirect(100 + i, queries[i], w->listener.userdata);
                world_run(w);
                assert_int_equal(waits.n_told, 0);
                assert_int_equal(w->n_pages, i + 1);
                assert_int_equal(w->page_status, 400);
        }
        world_redirect(w, url, "code1");
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        assert_done(&waits);
}

/* A93 */
static void a_redirect_that_comes_twice_is_taken_once(void **state) {
        struct world *w = *state;
        struct answer waits;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);

        w->disk_held = true;
        world_redirect(w, url, "code1");
        world_redirect(w, url, "code1");
        assert_int_equal(w->n_pages, 1); /* for the second */
        w->disk_held = false;
        world_run(w);
        world_redirect(w, url, "code1");
        assert_int_equal(w->n_fetches, 1);
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        assert_done(&waits);
        assert_int_equal(w->n_token, 1);
        assert_int_equal(w->listener.id, 0);
}

static void a_refused_consent_is_said(void **state) {
        struct world *w = *state;
        struct answer waits;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);

        world_redirect(w, url, NULL);
        assert_login(&waits, "failed");
        answer_done(&waits);
        assert_int_equal(w->n_token, 0);
        assert_int_equal(w->page_status, 400);
        world_crash(w);
        assert_int_equal(w->listener.id, 0);
}

/* A93 */
static void a_login_that_nobody_finishes_ends(void **state) {
        struct world *w = *state;
        struct answer waits;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);
        AUTO_REPLY struct answer after = { 0 };

        assert_non_null(strstr(url, WORLD_ISSUER));
        world_advance(w, 601 * USEC_PER_SEC);
        assert_failed(&waits, "timeout");
        assert_int_equal(w->listener.id, 0);
        world_crash(w);
        assert_int_equal(w->listener.id, 0);
        world_ask(w, METHOD_SERVER_SHOW, json_pack("{s:s}", "server", WORLD_SERVER), &after);
        assert_non_null(after.result);
}

/* --- A restart -------------------------------------------------------------------------------- */

/* A94 */
static void a_login_under_way_survives_a_restart_on_the_same_port(void **state) {
        struct world *w = *state;
        struct answer waits;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);
        AUTO_FREE char *id = NULL;
        uint16_t port = w->listener.port;
        struct answer a;

        broker_call_abandon(waits.call);
        world_crash(w);
        /* Also who asks before the listener is there again. */
        world_ask(w, METHOD_TOKEN_GET,
                  json_pack("{s:s, s:s}", "server", WORLD_SERVER, "login", "start"), &a);
        assert_int_equal(a.n_told, 0);
        world_serve(w);
        assert_string_equal(json_get_string(a.data, "url"), url);
        answer_done(&a);
        assert_int_equal(w->listener.port, port);
        assert_int_equal(w->n_register, 1);
        /* Whoever asks is pointed to the same login. */
        get_or_log_in(w, &a);
        assert_int_equal(a.err.code, MCPB_LOGIN_REQUIRED);
        assert_string_equal(json_get_string(a.data, "url"), url);
        id = login_id(&a);
        answer_done(&a);
        wait_for(w, id, &waits);
        world_redirect(w, url, "code1");
        assert_true(takes_code(w));
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        assert_done(&waits);
        assert_string_equal(world_token(w, &a), "at1");
        answer_done(&a);
}

static void a_port_that_is_taken_after_the_restart_ends_the_login_and_says_so(void **state) {
        struct world *w = *state;
        AUTO_FREE char *url = world_begin_login(w, NULL, NULL);
        AUTO_JSON json_t *server = NULL;

        assert_non_null(strstr(url, WORLD_ISSUER));
        world_end(w);
        w->listen_result = -EADDRINUSE;
        world_begin(w);
        world_serve(w);
        w->listen_result = 0;
        server = world_server(w);
        assert_non_null(strstr(json_get_string(json_object_get(server, "last_error"), "message"),
                               "redirect listener"));
        world_crash(w);
        assert_int_equal(w->listener.id, 0);
}

static void a_listener_that_is_lost_ends_the_login_that_waits_and_says_so(void **state) {
        struct world *w = *state;
        struct answer waits;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);
        const json_t *error;

        world_lose_listener(w);
        assert_int_equal(waits.n_told, 1);
        assert_string_equal(json_get_string(waits.result, "state"), "failed");
        error = json_object_get(waits.result, "error");
        assert_string_equal(json_get_string(error, "code"), "login_failed");
        assert_non_null(strstr(json_get_string(error, "message"), "40000"));
        answer_done(&waits);
        world_crash(w);
        assert_int_equal(w->listener.id, 0);
        assert_int_equal(world_timers(), 0);
}

/* The code is here: it is used, and only the page is lost. */
static void a_listener_that_is_lost_after_the_redirect_costs_the_page_only(void **state) {
        struct world *w = *state;
        struct answer waits;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);

        world_redirect(w, url, "code1");
        world_lose_listener(w);
        assert_int_equal(waits.n_told, 0);
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        assert_done(&waits);
        assert_int_equal(w->n_pages, 0);
}

/* While the registration is being asked for, before anybody was told an address. */
static void a_listener_that_is_lost_early_ends_the_login_as_well(void **state) {
        struct world *w = *state;
        struct answer a;

        world_ask(w, METHOD_SERVER_ADD, json_pack("{s:s, s:b}", "url", WORLD_SERVER, "login", 1),
                  &a);
        while (w->listener.id == 0 || w->listener.done) {
                world_run(w);
                assert_true(world_serve_step(w));
        }
        assert_int_equal(w->n_fetches, 1);
        world_lose_listener(w);
        assert_refused(&a, MCPB_LOGIN_FAILED);
        assert_int_equal(w->n_fetches, 0);
}

/* A93 */
static void a_login_that_is_too_old_at_the_restart_is_gone(void **state) {
        struct world *w = *state;
        AUTO_FREE char *url = world_begin_login(w, NULL, NULL);
        struct answer a;

        world_end(w);
        world_advance_stopped(700 * USEC_PER_SEC);
        world_begin(w);
        world_serve(w);
        assert_int_equal(w->listener.id, 0);
        get_or_log_in(w, &a);
        assert_string_not_equal(json_get_string(a.data, "url"), url);
        answer_done(&a);
}

/* --- Our metadata document -------------------------------------------------------------------- */

#define DOCUMENT "https://client.example.com/mcp-broker.json"

static int setup_document(void **state) {
        int r = setup_empty(state);

        ((struct world *)*state)->as_more = "{\"client_id_metadata_document_supported\":true}";
        return r;
}

static char *begin_with_document(struct world *w) {
        AUTO_REPLY struct answer a = { 0 };

        world_ask(w, METHOD_SERVER_ADD,
                  json_pack("{s:s, s:b, s:s}", "url", WORLD_SERVER, "login", 1,
                            "client_metadata_url", DOCUMENT),
                  &a);
        world_serve(w);
        assert_int_equal(a.n_told, 1);
        assert_int_equal(w->n_register, 0);
        return strdup(json_get_string(json_object_get(a.result, "login"), "url"));
}

/* A67: also after a restart of a login, a grant lives by it, and another login finds it there. */
static void a_grant_lives_by_our_metadata_document(void **state) {
        struct world *w = *state;

        for (unsigned i = 0; i < 2; i++) {
                AUTO_FREE char *url = begin_with_document(w);

                world_crash(w);
                world_serve(w);
                world_redirect(w, url, "code1");
                assert_form(w, "client_id", DOCUMENT);
                world_tokens(w, "at1", "rt1", 3600, NULL);
                world_run(w);
                assert_server_state(w, "ready");
                world_expire(w);
                assert_refresh(w, "rt1", "at2", "rt2");
        }
}

/* --- Those who wait --------------------------------------------------------------------------- */

static void one_of_those_who_wait_opens_the_browser_and_if_it_leaves_the_next(void **state) {
        struct world *w = *state;
        struct answer a[3];
        struct answer waits[3];
        AUTO_FREE char *url = NULL;
        AUTO_FREE char *id = NULL;

        world_ask(w, METHOD_SERVER_ADD, json_pack("{s:s}", "url", WORLD_SERVER), &a[0]);
        world_run(w);
        answer_done(&a[0]);
        /* All ask before there is a URL. */
        for (size_t i = 0; i < 3; i++)
                world_ask(w, METHOD_TOKEN_GET,
                          json_pack("{s:s, s:s}", "server", WORLD_SERVER, "login", "start"), &a[i]);
        world_serve(w);
        assert_int_equal(w->n_listeners, 1);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(a[i].err.code, MCPB_LOGIN_REQUIRED);
                assert_int_equal(json_get_bool(a[i].data, "opener", false), i == 0);
        }
        url = strdup(json_get_string(a[2].data, "url"));
        id = login_id(&a[2]);
        for (size_t i = 0; i < 3; i++) {
                answer_done(&a[i]);
                wait_for(w, id, &waits[i]);
        }
        /* Who waits only: its end is nobody's business. */
        broker_call_abandon(waits[2].call);
        assert_int_equal(waits[0].n_told + waits[1].n_told, 0);
        /* Who was to open it: the next one is told. */
        broker_call_abandon(waits[0].call);
        assert_login(&waits[1], "waiting");
        assert_true(json_get_bool(waits[1].result, "opener", false));
        assert_string_equal(json_get_string(waits[1].result, "url"), url);
        answer_done(&waits[1]);
        wait_for(w, id, &waits[1]);
        world_redirect(w, url, "code1");
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        assert_done(&waits[1]);
}

static void cancelling_ends_a_login_only_if_nobody_else_waits(void **state) {
        struct world *w = *state;
        struct answer first;
        struct answer second;
        struct answer a;
        AUTO_FREE char *url = world_begin_login(w, NULL, &first);
        AUTO_FREE char *id = NULL;

        assert_non_null(strstr(url, WORLD_ISSUER));
        get_or_log_in(w, &a);
        id = login_id(&a);
        answer_done(&a);
        wait_for(w, id, &second);
        world_ask(w, METHOD_LOGIN_CANCEL, json_pack("{s:s}", "login", id), &a);
        assert_false(json_get_bool(a.result, "cancelled", true));
        answer_done(&a);
        assert_int_equal(first.n_told + second.n_told, 0);
        broker_call_abandon(first.call);
        if (second.n_told) /* it is the opener now */
                answer_done(&second);
        else
                broker_call_abandon(second.call);
        world_ask(w, METHOD_LOGIN_CANCEL, json_pack("{s:s}", "login", id), &a);
        assert_true(json_get_bool(a.result, "cancelled", false));
        answer_done(&a);
        world_run(w);
        assert_int_equal(w->listener.id, 0);
        world_crash(w);
        assert_int_equal(w->listener.id, 0);
}

static void who_leaves_at_any_point_before_the_url_ends_no_login(void **state) {
        struct world *w = *state;
        bool over = false;

        for (unsigned n = 0; !over; n++) {
                struct answer leaves;
                struct answer stays;

                world_done(w);
                world_init(w);
                world_ask(w, METHOD_SERVER_ADD, json_pack("{s:s}", "url", WORLD_SERVER), &leaves);
                world_run(w);
                answer_done(&leaves);
                w->disk_held = true;
                world_ask(w, METHOD_TOKEN_GET,
                          json_pack("{s:s, s:s}", "server", WORLD_SERVER, "login", "start"),
                          &leaves);
                world_ask(w, METHOD_TOKEN_GET,
                          json_pack("{s:s, s:s}", "server", WORLD_SERVER, "login", "start"),
                          &stays);
                for (unsigned i = 0; i < n && !over; i++) {
                        world_run_loop(w);
                        if (w->disk->n_requests > 0)
                                world_disk(w, 0, false);
                        else
                                over = !world_serve_step(w);
                }
                if (leaves.call)
                        broker_call_abandon(leaves.call);
                else
                        answer_done(&leaves);
                w->disk_held = false;
                world_serve(w);
                assert_int_equal(stays.err.code, MCPB_LOGIN_REQUIRED);
                assert_non_null(json_get_string(stays.data, "url"));
                answer_done(&stays);
        }
}

/* --- Grants that are there already ------------------------------------------------------------ */

static void begin_second_login(struct world *w, char **ret_url, struct answer *waits) {
        struct answer a;
        AUTO_FREE char *id = NULL;

        world_ask(w, METHOD_LOGIN_START, json_pack("{s:s}", "server", WORLD_SERVER), &a);
        world_serve(w);
        assert_non_null(a.result);
        *ret_url = strdup(json_get_string(a.result, "url"));
        id = login_id(&a);
        answer_done(&a);
        wait_for(w, id, waits);
}

/* S6 */
static void a_login_waits_for_the_refresh_of_the_grant_that_it_replaces(void **state) {
        struct world *w = *state;
        struct answer waits;
        struct answer login;
        AUTO_FREE char *url = NULL;

        world_login(w, NULL);
        begin_second_login(w, &url, &login);
        world_expire_lease(w);
        world_send(w, NULL, &waits);
        world_redirect(w, url, "code2");
        assert_int_equal(w->n_fetches, 2);
        /* The login's answer comes first, the refresh is still under way. */
        world_answer(w, 1, 200,
                     "{\"access_token\":\"login-at\",\"token_type\":\"Bearer\",\"expires_in\":3600,"
                     "\"refresh_token\":\"login-rt\"}");
        world_run(w);
        assert_int_equal(login.n_told, 0);
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run(w);
        assert_int_equal(waits.n_told, 1);
        assert_non_null(waits.result);
        answer_done(&waits);
        assert_done(&login);
        assert_string_equal(world_token(w, &waits), "login-at");
        answer_done(&waits);
        world_crash(w);
        world_expire(w);
        world_send(w, NULL, &waits);
        assert_form(w, "refresh_token", "login-rt");
        broker_call_abandon(waits.call);
}

/* S6 */
static void who_asks_while_a_login_is_being_stored_gets_its_token(void **state) {
        struct world *w = *state;
        struct answer waits;
        struct answer login;
        AUTO_FREE char *url = NULL;

        world_login(w, NULL);
        begin_second_login(w, &url, &login);
        world_expire_lease(w);
        world_redirect(w, url, "code2");
        w->disk_held = true;
        world_tokens(w, "login-at", "login-rt", 3600, NULL);
        world_run(w);
        world_get(w, NULL, &waits);
        assert_int_equal(waits.n_told, 0);
        w->disk_held = false;
        world_run(w);
        assert_token(&waits, "login-at");
        assert_done(&login);
        assert_int_equal(w->n_fetches, 0);
}

static void a_server_that_is_removed_during_its_login_takes_it_along(void **state) {
        struct world *w = *state;
        struct answer waits;
        struct answer removal;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);

        world_redirect(w, url, "code1");
        world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:s}", "server", WORLD_SERVER), &removal);
        world_run(w);
        if (w->n_fetches > 0)
                world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        /* What it got all the same is given back. */
        while (w->n_fetches > 0) {
                assert_string_equal(world_fetch(w)->request.url, WORLD_ISSUER "/revoke");
                world_answer(w, 0, 200, "");
                world_run(w);
        }
        assert_login(&waits, "failed");
        answer_done(&waits);
        assert_int_equal(removal.n_told, 1);
        answer_done(&removal);
        world_crash(w);
        world_get(w, NULL, &waits);
        assert_refused(&waits, MCPB_NOT_FOUND);
        assert_int_equal(w->listener.id, 0);
}

/* S7 */
static void a_disk_that_is_full_fails_the_login_before_the_browser_or_says_what_is_lost(
        void **state) {
        struct world *w = *state;
        unsigned n_failed = 0;
        bool done = false;

        for (unsigned n = 0; !done; n++) {
                struct answer a;
                struct answer waits = { 0 };
                AUTO_FREE char *url = NULL;
                unsigned left = n; /* writes that still work */

                world_done(w);
                world_init(w);
                world_ask(w, METHOD_SERVER_ADD, json_pack("{s:s}", "url", WORLD_SERVER), &a);
                world_run(w);
                answer_done(&a);
                w->disk_held = true;
                world_ask(w, METHOD_LOGIN_START, json_pack("{s:s}", "server", WORLD_SERVER), &a);
                for (unsigned redirected = 0;;) {
                        world_run_loop(w);
                        if (w->disk->n_requests > 0) {
                                bool write = w->disk->requests[0]->verb == MEMORY_WRITE;

                                world_disk(w, write && left == 0 ? -ENOSPC : 0, false);
                                left -= write && left > 0;
                        } else if (a.result && redirected == 0) {
                                AUTO_FREE char *id = login_id(&a);

                                url = strdup(json_get_string(a.result, "url"));
                                wait_for(w, id, &waits);
                                world_redirect(w, url, "code1");
                                redirected = 1;
                        } else if (redirected == 1 && w->n_fetches > 0) {
                                world_tokens(w, "at1", "rt1", 3600, NULL);
                                redirected = 2;
                        } else if (!world_serve_step(w)) {
                                break;
                        }
                }
                assert_int_equal(a.n_told, 1);
                if (!a.result) {
                        assert_int_equal(a.err.code, MCPB_STORE_UNAVAILABLE);
                        assert_int_equal(w->listener.id, 0);
                        n_failed++;
                } else {
                        assert_int_equal(waits.n_told, 1);
                        done = streq(json_get_string(waits.result, "state"), "done");
                        n_failed += !done;
                        if (!done)
                                assert_failed(&waits, "store_unavailable");
                        else
                                answer_done(&waits);
                }
                answer_done(&a);
                w->disk_held = false;
                world_run(w);
        }
        assert_true(n_failed >= 2);
}

int main(void) {
#define E(test) cmocka_unit_test_setup_teardown(test, setup_empty, world_teardown)
        const struct CMUnitTest tests[] = {
                E(a_code_is_sent_once_whatever_comes_back),
                E(killed_after_any_step_a_code_is_sent_once_at_most),
                E(a_client_that_the_issuer_forgot_is_registered_once_more_and_then_given_up),
                E(a_second_registration_is_used_and_kept),
                E(a_redirect_with_another_state_changes_nothing),
                E(a_redirect_that_comes_twice_is_taken_once),
                E(a_refused_consent_is_said),
                E(a_login_that_nobody_finishes_ends),
                E(a_login_under_way_survives_a_restart_on_the_same_port),
                E(a_port_that_is_taken_after_the_restart_ends_the_login_and_says_so),
                E(a_listener_that_is_lost_ends_the_login_that_waits_and_says_so),
                E(a_listener_that_is_lost_after_the_redirect_costs_the_page_only),
                E(a_listener_that_is_lost_early_ends_the_login_as_well),
                E(a_login_that_is_too_old_at_the_restart_is_gone),
                cmocka_unit_test_setup_teardown(a_grant_lives_by_our_metadata_document,
                                                setup_document, world_teardown),
                E(one_of_those_who_wait_opens_the_browser_and_if_it_leaves_the_next),
                E(cancelling_ends_a_login_only_if_nobody_else_waits),
                E(who_leaves_at_any_point_before_the_url_ends_no_login),
                E(a_login_waits_for_the_refresh_of_the_grant_that_it_replaces),
                E(who_asks_while_a_login_is_being_stored_gets_its_token),
                E(a_server_that_is_removed_during_its_login_takes_it_along),
                E(a_disk_that_is_full_fails_the_login_before_the_browser_or_says_what_is_lost),
        };

        return cmocka_run_group_tests_name("broker-login", tests, NULL, NULL);
}
