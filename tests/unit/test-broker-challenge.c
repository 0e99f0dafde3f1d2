/* SPDX-License-Identifier: Apache-2.0 */
/* What a challenge that a peer hands in brings about: a server that becomes known, a login, more
 * scopes, or nothing at all. */
#include "broker-world.h"
#include "oauth/select.h"

#define HINTS     \
        "Bearer " \
        "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\""

static int setup_empty(void **state) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        world_init(w);
        w->ours = true;
        *state = w;
        return 0;
}

/* token.get with a challenge; @login: "start", "never", or NULL. */
static void challenged(struct world *w, unsigned status, const char *field, const char *login,
                       struct answer *a) {
        world_ask(w, METHOD_TOKEN_GET,
                  json_pack("{s:s, s:s*, s:{s:i, s:[s]}}", "server", WORLD_SERVER, "login", login,
                            "challenge", "status", (int)status, "fields", field),
                  a);
        world_serve(w);
}

static size_t n_servers(struct world *w) {
        AUTO_REPLY struct answer a = { 0 };

        world_ask(w, METHOD_SERVER_LIST, NULL, &a);
        assert_non_null(a.result);
        return json_array_size(json_object_get(a.result, "servers"));
}

/* The URL of the login that @a, a refusal, is about; to be freed. */
static char *login_url(const struct answer *a) {
        const char *url = json_get_string(a->data, "url");

        assert_int_equal(a->n_told, 1);
        if (!url)
                fail_msg("no login: %s: %s", error_name(a->err.code), a->err.message);
        return strdup(url);
}

/* --- A URL that nobody knows ----------------------------------------------------------------- */

/* S10 */
static void of_an_unknown_url_nothing_is_asked_or_kept_before_it_challenges(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        unsigned n_written = w->disk->n_asked[MEMORY_WRITE];

        for (unsigned i = 0; i < 2; i++) {
                world_ask(w, METHOD_TOKEN_GET,
                          json_pack("{s:s, s:s}", "server", WORLD_SERVER, "login",
                                    i ? "start" : "never"),
                          &a);
                assert_true(json_get_bool(a.result, "no_challenge", false));
                assert_null(json_get_string(a.result, "server"));
                answer_done(&a);
        }
        world_run(w);
        assert_int_equal(w->n_fetches, 0);
        assert_int_equal(n_servers(w), 0);
        assert_int_equal(w->disk->n_asked[MEMORY_WRITE], n_written);
}

/* DESIGN 12.10 */
static void its_first_challenge_adds_it_and_begins_a_login(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_JSON json_t *s = NULL;
        AUTO_FREE char *url = NULL;

        challenged(w, 401, HINTS, "start", &a);
        assert_string_equal(error_name(a.err.code), "login_required");
        url = login_url(&a);
        assert_true(json_get_bool(a.data, "opener", false));
        s = world_server(w);
        assert_string_equal(json_get_string(s, "name"), "example");
        assert_string_equal(json_get_string(s, "state"), "login_pending");
        world_crash(w); /* it is as durable as its login */
        assert_int_equal(n_servers(w), 1);
        world_serve(w);
        world_redirect(w, url, "code1");
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        answer_done(&a);
        assert_string_equal(world_token(w, &a), "at1");
        assert_int_equal(n_servers(w), 1);
}

static void two_who_meet_it_at_once_get_one_server_and_one_login(void **state) {
        struct world *w = *state;
        struct answer a[2];
        AUTO_FREE char *url = NULL;
        AUTO_FREE char *same = NULL;

        for (size_t i = 0; i < 2; i++)
                world_ask(w, METHOD_TOKEN_GET,
                          json_pack("{s:s, s:s, s:{s:i, s:[s]}}", "server", WORLD_SERVER, "login",
                                    "start", "challenge", "status", 401, "fields", "Bearer"),
                          &a[i]);
        world_serve(w);
        url = login_url(&a[0]);
        same = login_url(&a[1]);
        assert_string_equal(url, same);
        assert_int_equal(n_servers(w), 1);
        assert_int_equal(json_get_bool(a[0].data, "opener", false) +
                                 json_get_bool(a[1].data, "opener", false),
                         1);
        answer_done(&a[0]);
        answer_done(&a[1]);
}

static void nobody_but_a_program_of_ours_with_a_challenge_adds_it(void **state) {
        static const struct {
                bool ours;
                unsigned status; /* 0: no challenge */
                const char *field;
                const char *login;
        } tries[] = {
                { false, 0, NULL, "start" },      { false, 401, HINTS, "start" },
                { true, 401, HINTS, "never" },    { true, 401, HINTS, NULL },
                { true, 403, "Bearer", "start" }, /* A19: that is no challenge */
        };
        struct world *w = *state;

        for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
                AUTO_REPLY struct answer a = { 0 };

                w->ours = tries[i].ours;
                if (tries[i].status)
                        challenged(w, tries[i].status, tries[i].field, tries[i].login, &a);
                else
                        world_get(w, NULL, &a);
                assert_non_null(strstr(a.err.hint, "mcp-add " WORLD_SERVER));
                assert_refused(&a, MCPB_NOT_FOUND);
        }
        assert_int_equal(w->n_fetches, 0);
        assert_int_equal(n_servers(w), 0);
}

/* A4 */
static void what_may_not_be_contacted_is_not_added(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_ask(w, METHOD_TOKEN_GET,
                  json_pack("{s:s, s:s, s:{s:i, s:[s]}}", "server", "http://mcp.example.com/mcp",
                            "login", "start", "challenge", "status", 401, "fields", "Bearer"),
                  &a);
        assert_refused(&a, MCPB_BAD_PARAMS);
        assert_int_equal(n_servers(w), 0);
}

/* S3 */
static void what_policy_denies_is_not_added(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_end(w);
        w->policy = "[Rule no]\nAgent=uid:self\nServer=" WORLD_SERVER "\nEffect=deny\n";
        world_begin(w);
        challenged(w, 401, HINTS, "start", &a);
        assert_refused(&a, MCPB_DENIED);
        assert_int_equal(w->n_fetches, 0);
        assert_int_equal(n_servers(w), 0);
        assert_int_equal(world_audit(w, "token.deny"), 1);
        world_crash(w);
        assert_int_equal(n_servers(w), 0);
}

/* --- More scope ------------------------------------------------------------------------------ */

#define MORE(scope) "Bearer error=\"insufficient_scope\", scope=\"" scope "\""

/* A login that asks for @scopes and is granted @granted. */
static void log_in(struct world *w, const char *scopes, const char *granted) {
        AUTO_FREE char *url = world_begin_login(w, scopes, NULL);

        world_redirect(w, url, "code1");
        world_tokens(w, "at1", "rt1", 3600, granted);
        world_run(w);
        assert_server_state(w, "ready");
}

static void assert_asked(const char *url, const char *scope) {
        const char *at = strstr(url, "scope=");

        assert_non_null(at);
        assert_true(strncmp(at + 6, scope, strlen(scope)) == 0);
        assert_int_equal(at[6 + strlen(scope)], '&');
}

/* The person says no to nothing, and never comes back. */
static void leave_login(struct world *w) {
        world_advance(w, 601 * USEC_PER_SEC);
        assert_server_state(w, "ready");
}

/* A160: what was requested, as well as what was granted; or the refresh token would be lost. */
static void a_step_up_asks_for_all_that_was_requested_or_granted(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_FREE char *url = NULL;

        log_in(w, "read offline_access", "read profile");
        challenged(w, 403, MORE("write"), "start", &a);
        url = login_url(&a);
        assert_asked(url, "offline_access+profile+read+write");
        answer_done(&a);
        world_redirect(w, url, "code1");
        world_tokens(w, "at2", "rt2", 3600, "read write");
        world_run(w);
        assert_string_equal(world_token(w, &a), "at2");
}

/* A161 A162 */
static void a_server_that_is_never_satisfied_gets_one_login(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_FREE char *url = NULL;

        log_in(w, NULL, "read");
        challenged(w, 403, MORE("admin"), "start", &a);
        url = login_url(&a);
        answer_done(&a);
        world_redirect(w, url, "code1");
        world_tokens(w, "at2", "rt2", 3600, "read"); /* the issuer has no such scope to give */
        world_run(w);
        for (unsigned i = 0; i < 3; i++) {
                challenged(w, 403, MORE("admin"), i ? "start" : "never", &a);
                assert_refused(&a, MCPB_INSUFFICIENT_SCOPE);
        }
        assert_int_equal(w->n_fetches, 0);
        assert_string_equal(world_token(w, &a), "at2"); /* what there is serves on */
}

/* A161 */
static void logins_that_nobody_finishes_are_not_begun_for_ever(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        log_in(w, NULL, "read");
        for (unsigned i = 0; i < LIMIT_STEP_UPS; i++) {
                challenged(w, 403, MORE("admin"), "start", &a);
                free(login_url(&a));
                answer_done(&a);
                /* Who comes while it waits joins it: that is no other one. */
                for (unsigned k = 0; k < 4; k++) {
                        challenged(w, 403, MORE("admin"), "start", &a);
                        free(login_url(&a));
                        answer_done(&a);
                }
                leave_login(w);
        }
        challenged(w, 403, MORE("admin"), "start", &a);
        assert_refused(&a, MCPB_INSUFFICIENT_SCOPE);
        /* Another one is another matter, and a person may always begin anew. */
        challenged(w, 403, MORE("delete"), "start", &a);
        free(login_url(&a));
        answer_done(&a);
        leave_login(w);
        free(world_begin_login(w, NULL, NULL));
        leave_login(w);
        challenged(w, 403, MORE("admin"), "start", &a);
        free(login_url(&a));
}

/* A161 */
static void a_server_that_wants_ever_more_is_given_up(void **state) {
        struct world *w = *state;
        char field[64];
        unsigned n = 0;

        log_in(w, NULL, "read");
        for (unsigned i = 0; i < 2 * LIMIT_STEP_UP_SETS; i++) {
                AUTO_REPLY struct answer a = { 0 };
                AUTO_FREE char *login = NULL;

                (void)snprintf(field, sizeof(field), MORE("s%u"), i);
                world_ask(w, METHOD_TOKEN_GET,
                          json_pack("{s:s, s:s, s:{s:i, s:[s]}}", "server", WORLD_SERVER, "login",
                                    "start", "challenge", "status", 403, "fields", field),
                          &a);
                world_serve(w);
                assert_int_equal(a.n_told, 1);
                if (json_get_string(a.data, "url"))
                        n++;
                else
                        assert_string_equal(error_name(a.err.code), "insufficient_scope");
                /* Closed at once: the hour is not over. */
                login = strdup(json_get_string(a.data, "login") ?: "-");
                answer_done(&a);
                world_ask(w, METHOD_LOGIN_CANCEL, json_pack("{s:s}", "login", login), &a);
                world_run(w);
        }
        assert_int_equal(n, LIMIT_STEP_UP_SETS);
}

/* A144: nobody is asked for what was granted already. */
static void a_token_for_less_is_replaced_by_one_for_more_without_a_login(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        log_in(w, NULL, NULL); /* read and write */
        world_ask(w, METHOD_TOKEN_GET,
                  json_pack("{s:s, s:[s], s:s, s:{s:i, s:[s]}}", "server", WORLD_SERVER, "scopes",
                            "read", "login", "start", "challenge", "status", 403, "fields",
                            MORE("write")),
                  &a);
        world_run(w);
        assert_token(&a, "at1");
}

/* A161: the other bridge has asked the person already. */
static void what_was_said_of_an_older_token_asks_nobody(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        char ids[2][64];

        log_in(w, "read", "read");
        for (unsigned i = 0; i < 2; i++) {
                assert_non_null(world_token(w, &a));
                (void)snprintf(ids[i], sizeof(ids[i]), "%s", json_get_string(a.result, "token_id"));
                answer_done(&a);
                if (i == 0)
                        log_in(w, "read write", "read write");
        }
        assert_string_not_equal(ids[0], ids[1]);
        for (unsigned i = 0; i < 3; i++) {
                world_ask(w, METHOD_TOKEN_GET,
                          json_pack("{s:s, s:s, s:s*, s:{s:i, s:[s]}}", "server", WORLD_SERVER,
                                    "login", "start", "token_id", i < 2 ? ids[i] : NULL,
                                    "challenge", "status", 403, "fields", MORE("write")),
                          &a);
                world_run(w);
                if (i == 0)
                        assert_token(&a, "at1");
                else
                        assert_refused(&a, MCPB_INSUFFICIENT_SCOPE);
        }
}

/* S3 */
static void what_policy_takes_away_no_challenge_brings_back(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        log_in(w, NULL, NULL);
        world_end(w);
        w->policy = "[Rule some]\nAgent=uid:self\nServer=@added\nScopes=read\nOnExcess=trim\n";
        world_begin(w);
        for (unsigned i = 0; i < 2; i++) {
                world_ask(w, METHOD_TOKEN_GET,
                          json_pack("{s:s, s:o*, s:s, s:{s:i, s:[s]}}", "server", WORLD_SERVER,
                                    "scopes", i ? json_pack("[s]", "read") : NULL, "login", "start",
                                    "challenge", "status", 403, "fields", MORE("write")),
                          &a);
                world_run(w);
                assert_int_equal(a.n_told, 1);
                assert_null(a.result);
                assert_null(json_get_string(a.data, "url"));
                answer_done(&a);
        }
}

/* A164 */
static void a_server_that_wants_a_stronger_login_gets_one_with_the_same_scopes(void **state) {
        static const char field[] = "Bearer error=\"insufficient_user_authentication\", "
                                    "acr_values=\"gold\", max_age=\"60\"";
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_FREE char *url = NULL;

        log_in(w, "read offline_access", "read");
        challenged(w, 401, field, "never", &a);
        assert_refused(&a, MCPB_LOGIN_REQUIRED);
        challenged(w, 401, field, "start", &a);
        url = login_url(&a);
        assert_non_null(strstr(url, "acr_values=gold"));
        assert_non_null(strstr(url, "max_age=60"));
        assert_asked(url, "offline_access+read");
        for (unsigned i = 1; i < LIMIT_STEP_UPS; i++) {
                leave_login(w);
                answer_done(&a);
                challenged(w, 401, field, "start", &a);
                free(login_url(&a));
        }
        leave_login(w);
        answer_done(&a);
        challenged(w, 401, field, "start", &a);
        assert_refused(&a, MCPB_INSUFFICIENT_SCOPE);
}

/* The other bridge was faster, where a token can be had by a login alone. */
static void a_dead_token_that_was_replaced_by_a_login_needs_no_other(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        char id[64];

        w->no_refresh_token = true;
        world_login(w, NULL);
        assert_non_null(world_token(w, &a));
        (void)snprintf(id, sizeof(id), "%s", json_get_string(a.result, "token_id"));
        answer_done(&a);
        for (unsigned i = 0; i < 2; i++) {
                world_ask(w, METHOD_TOKEN_GET,
                          json_pack("{s:s, s:s, s:s, s:{s:i, s:[s]}}", "server", WORLD_SERVER,
                                    "login", "never", "token_id", id, "challenge", "status", 401,
                                    "fields", "Bearer error=\"invalid_token\""),
                          &a);
                world_run(w);
                if (i == 0) {
                        assert_refused(&a, MCPB_LOGIN_REQUIRED);
                        world_login(w, NULL);
                } else {
                        assert_token(&a, "at1");
                }
        }
}

/* --- Another issuer -------------------------------------------------------------------------- */

/* Says that the token at hand was refused; what the server said. */
static void reject(struct world *w, const char *field) {
        AUTO_REPLY struct answer a = { 0 };
        char id[64];

        assert_non_null(world_token(w, &a));
        (void)snprintf(id, sizeof(id), "%s", json_get_string(a.result, "token_id"));
        answer_done(&a);
        world_ask(w, METHOD_TOKEN_REJECT,
                  json_pack("{s:s, s:s, s:{s:i, s:[s]}}", "server", WORLD_SERVER, "token_id", id,
                            "challenge", "status", 401, "fields", field),
                  &a);
        assert_non_null(a.result);
}

/* token.get with a challenge, not waited for. */
static void ask_challenged(struct world *w, const char *field, const char *login,
                           struct answer *a) {
        world_ask(w, METHOD_TOKEN_GET,
                  json_pack("{s:s, s:s, s:{s:i, s:[s]}}", "server", WORLD_SERVER, "login", login,
                            "challenge", "status", 401, "fields", field),
                  a);
}

/* All that is asked meanwhile: nothing of the old issuer's but an end of its tokens, and nothing of
 * the old client at the new one (A69, A70). */
static void serve_moved(struct world *w) {
        do {
                const struct world_fetch *q;

                world_run(w);
                q = world_fetch(w);
                if (!q)
                        continue;
                assert_null(strstr(q->request.url, WORLD_ISSUER "/token"));
                assert_null(strstr(q->request.url, WORLD_ISSUER "/authorize"));
                if (strstr(q->request.url, WORLD_ISSUER2) && q->request.body.len > 0)
                        assert_null(strstr(q->request.body.data, "client1"));
        } while (world_serve_step(w));
}

/* A22 A69 A70 S5 */
static void a_server_that_names_another_issuer_is_logged_in_to_there_as_another_client(
        void **state) {
        static const char *const fields[] = { HINTS, HINTS ", error=\"invalid_token\"" };
        struct world *w = *state;

        for (unsigned i = 0; i < 4; i++) {
                AUTO_REPLY struct answer a = { 0 };
                AUTO_FREE char *url = NULL;
                const char *field = fields[i % 2];

                world_done(w);
                w->no_refresh_token = i / 2;
                world_init(w);
                world_login(w, NULL);
                w->moved = true;
                reject(w, field);
                ask_challenged(w, field, "start", &a);
                assert_int_equal(a.n_told, 0); /* first the server is looked at */
                serve_moved(w);
                assert_string_equal(error_name(a.err.code), "login_required");
                url = login_url(&a);
                assert_int_equal(strncmp(url, WORLD_ISSUER2 "/authorize?", 33), 0);
                assert_non_null(strstr(url, "client_id=client2&"));
                answer_done(&a);
                world_redirect(w, url, "code2");
                assert_form(w, "client_id", "client2");
                world_tokens(w, "at2", "rt2", 3600, NULL);
                world_run(w);
                assert_string_equal(world_token(w, &a), "at2");
                /* The old one's tokens are its issuer's to end, by its client. */
                while (world_fetch(w)) {
                        assert_non_null(
                                strstr(world_fetch(w)->request.url, WORLD_ISSUER "/revoke"));
                        assert_form(w, "client_id", "client1");
                        world_answer(w, 0, 200, "");
                        world_run(w);
                }
        }
}

/* DESIGN 6 */
static void another_issuer_begins_nothing_by_itself(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_login(w, NULL);
        w->moved = true;
        reject(w, HINTS);
        ask_challenged(w, HINTS, "never", &a);
        serve_moved(w);
        assert_int_equal(w->n_register, 1); /* that of the first login */
        assert_non_null(strstr(a.err.message, WORLD_ISSUER2 " instead of " WORLD_ISSUER));
        assert_refused(&a, MCPB_LOGIN_REQUIRED);
        assert_int_equal(world_audit(w, "metadata.change"), 1);
        world_get(w, NULL, &a);
        assert_refused(&a, MCPB_LOGIN_REQUIRED);
        assert_int_equal(w->n_fetches, 0);
}

static void who_waits_for_a_look_that_fails_gets_what_there_is(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_login(w, NULL);
        reject(w, HINTS);
        ask_challenged(w, HINTS ", error=\"invalid_token\"", "start", &a);
        assert_int_equal(a.n_told, 0);
        world_no_answer(w, 0, FETCH_NOT_SENT);
        world_run(w);
        assert_int_equal(w->n_fetches, 1);
        assert_form(w, "refresh_token", "rt1");
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run(w);
        assert_token(&a, "at2");
}

/* A token that nobody can replace is not taken from the others by the word of one. */
static void who_says_that_a_token_was_refused_may_log_in_and_the_others_keep_it(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        w->no_refresh_token = true;
        world_login(w, NULL);
        ask_challenged(w, "Bearer", "start", &a);
        assert_token(&a, "at1"); /* nobody has said which token it was */
        reject(w, "Bearer");
        ask_challenged(w, "Bearer", "never", &a);
        world_serve(w);
        assert_refused(&a, MCPB_LOGIN_REQUIRED);
        assert_string_equal(world_token(w, &a), "at1");
        answer_done(&a);
        ask_challenged(w, "Bearer", "start", &a);
        world_serve(w);
        free(login_url(&a));
}

static void those_who_wait_for_a_look_are_told_when_it_cannot_end(void **state) {
        struct world *w = *state;

        for (unsigned i = 0; i < 3; i++) {
                AUTO_REPLY struct answer gone = { 0 };
                struct answer a;
                struct answer b;

                world_done(w);
                world_init(w);
                world_login(w, NULL);
                reject(w, HINTS);
                ask_challenged(w, HINTS, "start", &a);
                ask_challenged(w, HINTS, "never", &b);
                broker_call_abandon(a.call);
                if (i == 0)
                        world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:b}", "all", 1), &gone);
                else if (i == 1)
                        world_ask(w, METHOD_BROKER_LOCK, NULL, &gone);
                else
                        world_serve(w);
                world_advance(w, USEC_PER_SEC);
                while (world_fetch(w))
                        world_answer(w, 0, 200, "");
                world_run(w);
                if (i < 2)
                        assert_refused(&b, i == 0 ? MCPB_NOT_FOUND : MCPB_LOCKED);
                else
                        assert_int_equal(b.n_told, 1);
                answer_done(&b);
        }
}

int main(void) {
#define E(test) cmocka_unit_test_setup_teardown(test, setup_empty, world_teardown)
        const struct CMUnitTest tests[] = {
                E(of_an_unknown_url_nothing_is_asked_or_kept_before_it_challenges),
                E(its_first_challenge_adds_it_and_begins_a_login),
                E(two_who_meet_it_at_once_get_one_server_and_one_login),
                E(nobody_but_a_program_of_ours_with_a_challenge_adds_it),
                E(what_may_not_be_contacted_is_not_added),
                E(what_policy_denies_is_not_added),
                E(a_step_up_asks_for_all_that_was_requested_or_granted),
                E(a_server_that_is_never_satisfied_gets_one_login),
                E(logins_that_nobody_finishes_are_not_begun_for_ever),
                E(a_server_that_wants_ever_more_is_given_up),
                E(a_token_for_less_is_replaced_by_one_for_more_without_a_login),
                E(what_was_said_of_an_older_token_asks_nobody),
                E(what_policy_takes_away_no_challenge_brings_back),
                E(a_server_that_wants_a_stronger_login_gets_one_with_the_same_scopes),
                E(a_dead_token_that_was_replaced_by_a_login_needs_no_other),
                E(a_server_that_names_another_issuer_is_logged_in_to_there_as_another_client),
                E(another_issuer_begins_nothing_by_itself),
                E(who_waits_for_a_look_that_fails_gets_what_there_is),
                E(who_says_that_a_token_was_refused_may_log_in_and_the_others_keep_it),
                E(those_who_wait_for_a_look_are_told_when_it_cannot_end),
        };

        return cmocka_run_group_tests_name("broker-challenge", tests, NULL, NULL);
}
