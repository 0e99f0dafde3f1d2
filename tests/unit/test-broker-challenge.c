/* SPDX-License-Identifier: Apache-2.0 */
/* What a challenge that a peer hands in brings about: a server that becomes known, a login, more
 * scopes, or nothing at all. */
#include "broker-world.h"

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

int main(void) {
#define E(test) cmocka_unit_test_setup_teardown(test, setup_empty, world_teardown)
        const struct CMUnitTest tests[] = {
                E(of_an_unknown_url_nothing_is_asked_or_kept_before_it_challenges),
                E(its_first_challenge_adds_it_and_begins_a_login),
                E(two_who_meet_it_at_once_get_one_server_and_one_login),
                E(nobody_but_a_program_of_ours_with_a_challenge_adds_it),
                E(what_may_not_be_contacted_is_not_added),
                E(what_policy_denies_is_not_added),
        };

        return cmocka_run_group_tests_name("broker-challenge", tests, NULL, NULL);
}
