/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that the configuration declares: they are there without anybody's doing, cost nothing
 * until somebody asks, and take no login with them when they go. */
#include "base/codec.h"
#include "broker-world.h"

#define FILE_A "/etc/servers.d/work.conf"
#define DECLARED "[Server]\nURL=" WORLD_SERVER "\n"
#define OTHER_URL "https://other.example.com/mcp"

static const char *const one[] = { FILE_A, DECLARED, NULL };
static const char *const named[] = { FILE_A, DECLARED "Name=fleet\n", NULL };
static const char *const none[] = { NULL };

static int setup(void **state) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        w->servers = one;
        world_init(w);
        *state = w;
        return 0;
}

/* What server.list says of @name, or NULL: to be released. */
static json_t *listed(struct world *w, const char *name) {
        AUTO_REPLY struct answer a = { 0 };
        const json_t *item;
        size_t i;

        world_ask(w, METHOD_SERVER_LIST, NULL, &a);
        assert_non_null(a.result);
        json_array_foreach(json_object_get(a.result, "servers"), i, item)
                if (streq(json_get_string(item, "name"), name))
                        return json_incref((json_t *)(uintptr_t)item);
        return NULL;
}

static void assert_listed(struct world *w, const char *name, const char *file, const char *state) {
        AUTO_JSON json_t *s = listed(w, name);
        const char *declared = json_get_string(s, "declared");

        if (!s)
                fail_msg("%s is not listed", name);
        if (file) {
                assert_non_null(declared);
                assert_string_equal(declared, file);
        } else {
                assert_null(declared);
        }
        assert_string_equal(json_get_string(s, "state"), state);
}

static void assert_not_listed(struct world *w, const char *name) {
        AUTO_JSON json_t *s = listed(w, name);

        assert_null(s);
}

static void add(struct world *w, const char *url, const char *name, struct answer *a) {
        world_ask(w, METHOD_SERVER_ADD, json_pack("{s:s, s:s*}", "url", url, "name", name), a);
        world_run(w);
        assert_int_equal(a->n_told, 1);
}

static void add_person(struct world *w, const char *url, const char *name) {
        AUTO_REPLY struct answer a = { 0 };

        add(w, url, name, &a);
        assert_non_null(a.result);
}

static void ask_remove(struct world *w, const char *server, bool login_only, struct answer *a) {
        world_ask(w, METHOD_SERVER_REMOVE,
                  json_pack("{s:s, s:b}", "server", server, "login_only", login_only), a);
        world_run(w);
}

/* The issuer says yes to all that is revoked. */
static void revoke_all(struct world *w) {
        while (world_fetch(w)) {
                assert_non_null(strstr(world_fetch(w)->request.url, "/revoke"));
                world_answer(w, 0, 200, "");
                world_run(w);
        }
}

/* S10 */
static void a_declared_server_is_there_and_nothing_is_asked_of_anybody(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        assert_listed(w, "work", FILE_A, "login_required");
        world_get(w, NULL, &a);
        assert_refused(&a, MCPB_LOGIN_REQUIRED);
        world_reload(w);
        world_crash(w);
        world_advance(w, 3600 * USEC_PER_SEC);
        assert_listed(w, "work", FILE_A, "login_required");
        assert_int_equal(w->n_fetches, 0);
}

static void a_login_to_it_is_kept_over_a_restart(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_login(w, NULL);
        assert_listed(w, "work", FILE_A, "ready");
        world_crash(w);
        assert_listed(w, "work", FILE_A, "ready");
        assert_string_equal(world_token(w, &a), "at1");
}

static void it_cannot_be_removed_but_its_login_can(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_login(w, NULL);
        ask_remove(w, "work", false, &a);
        assert_string_equal(error_name(a.err.code), "exists");
        assert_non_null(strstr(a.err.message, FILE_A));
        assert_non_null(strstr(a.err.hint, "--logout"));
        answer_done(&a);
        assert_listed(w, "work", FILE_A, "ready");
        ask_remove(w, "work", true, &a);
        revoke_all(w);
        assert_int_equal(a.n_told, 1);
        assert_non_null(a.result);
        assert_int_equal(json_array_size(json_object_get(a.result, "removed")), 0);
        assert_string_equal(
                json_string_value(json_array_get(json_object_get(a.result, "logged_out"), 0)),
                "work");
        assert_true(json_get_bool(a.result, "revoked", false));
        answer_done(&a);
        assert_listed(w, "work", FILE_A, "login_required");
        world_crash(w);
        assert_listed(w, "work", FILE_A, "login_required");
        world_get(w, NULL, &a);
        assert_refused(&a, MCPB_LOGIN_REQUIRED);
        /* Where there is none, that is no failure, and nobody is told of one. */
        ask_remove(w, "work", true, &a);
        assert_int_equal(json_array_size(json_object_get(a.result, "logged_out")), 0);
        answer_done(&a);
        world_login(w, NULL);
        assert_listed(w, "work", FILE_A, "ready");
}

static void removing_all_removes_the_others_and_all_logins(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_login(w, NULL);
        add_person(w, OTHER_URL, "mine");
        for (unsigned round = 0; round < 2; round++) {
                world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:b}", "all", 1), &a);
                world_run(w);
                revoke_all(w);
                assert_int_equal(a.n_told, 1);
                assert_int_equal(json_array_size(json_object_get(a.result, "removed")),
                                 round == 0 ? 1 : 0);
                assert_int_equal(json_array_size(json_object_get(a.result, "logged_out")),
                                 round == 0 ? 1 : 0);
                answer_done(&a);
                assert_not_listed(w, "mine");
                assert_listed(w, "work", FILE_A, "login_required");
        }
        /* All logins, and no server: of those that a person added, too. */
        add_person(w, OTHER_URL, "mine");
        world_login(w, NULL);
        world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:b, s:b}", "all", 1, "login_only", 1), &a);
        world_run(w);
        revoke_all(w);
        assert_int_equal(json_array_size(json_object_get(a.result, "removed")), 0);
        assert_int_equal(json_array_size(json_object_get(a.result, "logged_out")), 1);
        assert_listed(w, "mine", NULL, "login_required");
}

static void a_reload_takes_what_changed(void **state) {
        struct world *w = *state;
        static const char *const two[] = { FILE_A, DECLARED "Name=fleet\nScope=read\n",
                                           "/etc/servers.d/b.conf", "[Server]\nURL=" OTHER_URL "\n",
                                           NULL };
        AUTO_JSON json_t *fleet = NULL;

        w->servers = two;
        world_reload(w);
        assert_not_listed(w, "work");
        assert_listed(w, "b", "/etc/servers.d/b.conf", "login_required");
        fleet = listed(w, "fleet");
        assert_non_null(fleet);
        assert_string_equal(json_string_value(json_array_get(json_object_get(fleet, "scopes"), 0)),
                            "read");
        w->servers = one;
        world_reload(w);
        assert_not_listed(w, "fleet");
        assert_not_listed(w, "b");
        assert_listed(w, "work", FILE_A, "login_required");
        w->servers = none;
        world_reload(w);
        assert_not_listed(w, "work");
        assert_int_equal(w->n_fetches, 0);
}

static void two_that_swap_their_names_keep_their_logins(void **state) {
        struct world *w = *state;
        static const char *const before[] = { "a.conf", DECLARED, "b.conf",
                                              "[Server]\nURL=" OTHER_URL "\n", NULL };
        static const char *const after[] = { "b.conf", DECLARED, "a.conf",
                                             "[Server]\nURL=" OTHER_URL "\n", NULL };

        w->servers = before;
        world_reload(w);
        world_login(w, NULL);
        assert_listed(w, "a", "a.conf", "ready");
        w->servers = after;
        for (unsigned restart = 0; restart < 2; restart++) {
                if (restart)
                        world_crash(w);
                else
                        world_reload(w);
                assert_listed(w, "b", "b.conf", "ready");
                assert_listed(w, "a", "a.conf", "login_required");
        }
}

static void one_that_is_declared_no_more_stays_if_somebody_logged_in(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_login(w, NULL);
        w->servers = none;
        world_crash(w);
        assert_listed(w, "work", NULL, "ready");
        assert_string_equal(world_token(w, &a), "at1");
        answer_done(&a);
        world_crash(w); /* for good: it is a person's now */
        assert_listed(w, "work", NULL, "ready");
        ask_remove(w, "work", false, &a);
        revoke_all(w);
        assert_non_null(a.result);
        assert_not_listed(w, "work");
}

static void what_was_kept_of_one_without_a_login_goes_with_its_declaration(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_ask(w, METHOD_SERVER_ADD, json_pack("{s:s}", "url", WORLD_SERVER), &a);
        world_run(w);
        assert_non_null(a.result); /* it has a record now */
        w->servers = none;
        world_reload(w);
        assert_not_listed(w, "work");
        world_crash(w);
        assert_not_listed(w, "work");
}

/* DESIGN 6: nothing re-points a name but a person. */
static void a_name_that_a_person_gave_is_not_pointed_elsewhere(void **state) {
        struct world *w = *state;
        AUTO_JSON json_t *mine = NULL;
        AUTO_JSON json_t *other = NULL;

        w->servers = none;
        world_reload(w);
        add_person(w, OTHER_URL, "fleet");
        w->servers = named;
        for (unsigned restart = 0; restart < 2; restart++) {
                if (restart)
                        world_crash(w);
                else
                        world_reload(w);
                json_decref(mine);
                json_decref(other);
                mine = listed(w, "fleet");
                other = listed(w, "example");
                assert_non_null(mine);
                assert_string_equal(json_get_string(mine, "url"), OTHER_URL);
                assert_non_null(other);
                assert_string_equal(json_get_string(other, "url"), WORLD_SERVER);
        }
}

/* The record still has the name that the file had before; a person has it now. Both are read. */
static void a_name_that_became_free_may_be_given_anew(void **state) {
        struct world *w = *state;
        AUTO_JSON json_t *mine = NULL;

        world_login(w, NULL); /* "work" has a record */
        w->servers = named;
        world_reload(w);
        add_person(w, OTHER_URL, "work");
        for (unsigned i = 0; i < 2; i++) {
                world_crash(w);
                json_decref(mine);
                mine = listed(w, "work");
                assert_non_null(mine);
                assert_string_equal(json_get_string(mine, "url"), OTHER_URL);
                assert_listed(w, "fleet", FILE_A, "ready");
        }
}

static void one_that_a_person_added_keeps_its_name_and_stays(void **state) {
        struct world *w = *state;

        w->servers = none;
        world_reload(w);
        add_person(w, WORLD_SERVER, "mine");
        w->servers = named;
        world_reload(w);
        assert_listed(w, "mine", FILE_A, "login_required");
        assert_not_listed(w, "fleet");
        w->servers = none;
        world_crash(w);
        assert_listed(w, "mine", NULL, "login_required");
}

static void mcp_add_changes_nothing_that_the_file_says(void **state) {
        struct world *w = *state;
        static const char *const members[] = { "issuer", "client_metadata_url", NULL };
        static const char *const values[] = { "https://as2.example.com",
                                              "https://example.com/c.json" };
        AUTO_REPLY struct answer a = { 0 };

        for (size_t i = 0; members[i]; i++) {
                world_ask(w, METHOD_SERVER_ADD,
                          json_pack("{s:s, s:s}", "url", WORLD_SERVER, members[i], values[i]), &a);
                world_run(w);
                assert_string_equal(error_name(a.err.code), "exists");
                assert_non_null(strstr(a.err.message, FILE_A));
                answer_done(&a);
        }
        world_ask(w, METHOD_SERVER_ADD,
                  json_pack("{s:s, s:b}", "url", WORLD_SERVER, "no_resource", 1), &a);
        world_run(w);
        assert_non_null(strstr(a.err.message, FILE_A));
        assert_refused(&a, MCPB_EXISTS);
        assert_listed(w, "work", FILE_A, "login_required");
}

/* A login, and what its requests say of the resource. */
static void log_in_for(struct world *w, const char *resource) {
        AUTO_FREE char *url = world_begin_login(w, NULL, NULL);

        assert_int_equal(strstr(url, "resource=") != NULL, resource != NULL);
        world_redirect(w, url, "code1");
        assert_form(w, "grant_type", "authorization_code");
        assert_form(w, "resource", resource);
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        assert_listed(w, "work", FILE_A, "ready");
}

static void refresh_for(struct world *w, const char *resource) {
        AUTO_REPLY struct answer a = { 0 };

        world_expire_lease(w);
        world_send(w, NULL, &a);
        assert_form(w, "grant_type", "refresh_token");
        assert_form(w, "resource", resource);
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run(w);
        assert_token(&a, "at2");
}

static void assert_says_no_resource(struct world *w, bool says) {
        AUTO_JSON json_t *s = listed(w, "work");

        assert_int_equal(json_get_bool(s, "no_resource", false), says);
}

/* A53 */
static void resource_is_left_out_as_the_file_says(void **state) {
        struct world *w = *state;
        static const char *const without[] = { FILE_A, DECLARED "SendResource=no\n", NULL };

        w->servers = without;
        world_reload(w);
        assert_says_no_resource(w, true);
        log_in_for(w, NULL);
        refresh_for(w, NULL);
        world_crash(w);
        refresh_for(w, NULL);
        /* What was given without is refreshed without, until somebody logs in again. */
        w->servers = one;
        world_reload(w);
        assert_says_no_resource(w, false);
        refresh_for(w, NULL);
        world_crash(w);
        refresh_for(w, NULL);
        log_in_for(w, WORLD_SERVER);
        refresh_for(w, WORLD_SERVER);
        /* An issuer that chokes on it in refreshes alone. */
        w->servers = without;
        world_reload(w);
        refresh_for(w, NULL);
}

static void scopes_can_be_asked_for_in_one_login(void **state) {
        struct world *w = *state;
        static const char *const scoped[] = { FILE_A, DECLARED "Scope=read\n", NULL };
        AUTO_FREE char *url = NULL;
        AUTO_FREE char *again = NULL;

        w->servers = scoped;
        world_reload(w);
        url = world_begin_login(w, NULL, NULL);
        assert_non_null(strstr(url, "scope=read&"));
        world_redirect(w, url, NULL);
        again = world_begin_login(w, "read write", NULL);
        assert_non_null(strstr(again, "scope=read+write&"));
        world_redirect(w, again, NULL);
        url = (free(url), world_begin_login(w, NULL, NULL));
        assert_non_null(strstr(url, "scope=read&"));
}

/* A71 */
static void another_issuer_in_the_file_needs_another_login(void **state) {
        struct world *w = *state;
        static const char *const moved[] = { FILE_A, DECLARED "Issuer=https://as2.example.com\n",
                                             NULL };
        AUTO_REPLY struct answer a = { 0 };

        world_login(w, NULL);
        w->servers = moved;
        world_reload(w);
        assert_listed(w, "work", FILE_A, "login_required");
        world_get(w, NULL, &a);
        assert_refused(&a, MCPB_LOGIN_REQUIRED);
        w->servers = one; /* it was a mistake: nothing is lost */
        world_reload(w);
        assert_string_equal(world_token(w, &a), "at1");
        assert_int_equal(w->n_fetches, 0);
}

/* --- Credentials ----------------------------------------------------------------------------- */

#define CLIENT DECLARED "Issuer=" WORLD_ISSUER "\nClientId=fleet-client\nClientSecretFile=/s\n"

/* Logs in; the client secret that the token request carries is @secret. */
static void log_in_with(struct world *w, const char *secret) {
        AUTO_FREE char *url = world_begin_login(w, NULL, NULL);
        AUTO_BUF struct buf pair = BUF_INIT;
        AUTO_BUF struct buf basic = BUF_INIT;
        bool seen = false;

        assert_non_null(strstr(url, "client_id=fleet-client&"));
        assert_int_equal(w->n_register, 0);
        world_redirect(w, url, "code1");
        assert_int_equal(w->n_fetches, 1);
        assert_int_equal(buf_printf(&pair, "fleet-client:%s", secret), 0);
        assert_int_equal(buf_append_str(&basic, "Basic "), 0);
        assert_int_equal(base64_append(&basic, pair.data, pair.len), 0);
        for (size_t i = 0; i < world_fetch(w)->request.n_headers; i++)
                seen = seen || streq(world_fetch(w)->request.headers[i].value, basic.data);
        if (!seen)
                assert_form(w, "client_secret", secret);
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        assert_listed(w, "work", FILE_A, "ready");
}

/* A68 S1 */
static void a_declared_client_logs_in_with_its_secret_and_shows_it_nowhere(void **state) {
        struct world *w = *state;
        static const char *const files[] = { FILE_A, CLIENT, NULL };
        AUTO_REPLY struct answer a = { 0 };
        AUTO_FREE char *text = NULL;

        w->servers = files;
        w->secret = "s3cret-one";
        world_reload(w);
        log_in_with(w, "s3cret-one");
        for (unsigned i = 0; i < 2; i++) {
                world_ask(w, i ? METHOD_BROKER_STATUS : METHOD_SERVER_LIST, NULL, &a);
                free(text);
                text = json_dumps(a.result, 0);
                assert_non_null(text);
                assert_null(strstr(text, "s3cret"));
                answer_done(&a);
        }
}

static void a_new_secret_is_taken_at_the_reload_and_one_that_was_kept_serves_on(void **state) {
        struct world *w = *state;
        static const char *const files[] = { FILE_A, CLIENT, NULL };
        unsigned n_written;

        w->servers = files;
        w->secret = "s3cret-one";
        world_reload(w);
        n_written = w->disk->n_asked[MEMORY_WRITE];
        world_reload(w);
        assert_int_equal(w->disk->n_asked[MEMORY_WRITE], n_written); /* the same: not written */
        w->secret = "s3cret-two";
        world_reload(w);
        assert_int_equal(w->disk->n_asked[MEMORY_WRITE], n_written + 1);
        log_in_with(w, "s3cret-two");
}

int main(void) {
#define E(test) cmocka_unit_test_setup_teardown(test, setup, world_teardown)
        const struct CMUnitTest tests[] = {
                E(a_declared_server_is_there_and_nothing_is_asked_of_anybody),
                E(a_login_to_it_is_kept_over_a_restart),
                E(it_cannot_be_removed_but_its_login_can),
                E(removing_all_removes_the_others_and_all_logins),
                E(a_reload_takes_what_changed),
                E(two_that_swap_their_names_keep_their_logins),
                E(one_that_is_declared_no_more_stays_if_somebody_logged_in),
                E(what_was_kept_of_one_without_a_login_goes_with_its_declaration),
                E(a_name_that_a_person_gave_is_not_pointed_elsewhere),
                E(a_name_that_became_free_may_be_given_anew),
                E(one_that_a_person_added_keeps_its_name_and_stays),
                E(mcp_add_changes_nothing_that_the_file_says),
                E(resource_is_left_out_as_the_file_says),
                E(scopes_can_be_asked_for_in_one_login),
                E(another_issuer_in_the_file_needs_another_login),
                E(a_declared_client_logs_in_with_its_secret_and_shows_it_nowhere),
                E(a_new_secret_is_taken_at_the_reload_and_one_that_was_kept_serves_on),
        };

        return cmocka_run_group_tests_name("broker-declared", tests, NULL, NULL);
}
