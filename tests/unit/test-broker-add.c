/* SPDX-License-Identifier: Apache-2.0 */
/* server.add of a server that is known: who we are there is changed by nobody but a person. */
#include "base/clock.h"
#include "broker-world.h"
#include "store/store.h"

#define OTHER_SERVER "https://other.example.com/mcp"

static int setup_empty(void **state) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        world_init(w);
        *state = w;
        return 0;
}

static void add(struct world *w, const char *url, json_t *more, struct answer *a) {
        AUTO_JSON json_t *owned = more;
        json_t *params = json_pack("{s:s}", "url", url);

        if (owned)
                assert_int_equal(json_object_update(params, owned), 0);
        world_ask(w, METHOD_SERVER_ADD, params, a);
        world_run(w);
}

static void assert_added(struct world *w, const char *url, json_t *more) {
        struct answer a;

        add(w, url, more, &a);
        assert_int_equal(a.n_told, 1);
        if (!a.result)
                fail_msg("%s", a.err.message);
        answer_done(&a);
}

/* The message names @what, and the hint says how to go on. */
static void assert_exists(struct world *w, const char *url, json_t *more, const char *what) {
        struct answer a;

        add(w, url, more, &a);
        assert_int_equal(a.n_told, 1);
        assert_non_null(strstr(a.err.message, what));
        assert_non_null(strstr(a.err.hint, "mcp-add -d "));
        assert_refused(&a, MCPB_EXISTS);
}

static json_t *client(const char *id, const char *secret) {
        return json_pack("{s:s, s:s, s:s*}", "issuer", WORLD_ISSUER, "client_id", id,
                         "client_secret", secret);
}

/* A login with a registered client: the code is redeemed with these credentials. @resource is what
 * the requests carry; NULL: they carry none. */
static void log_in_for(struct world *w, const char *resource) {
        AUTO_REPLY struct answer a = { 0 };
        const char *url;

        world_ask(w, METHOD_LOGIN_START, json_pack("{s:s}", "server", WORLD_SERVER), &a);
        world_serve(w);
        if (!a.result)
                fail_msg("%s", a.err.message);
        url = json_get_string(a.result, "url");
        assert_int_equal(strstr(url, "resource=") != NULL, resource != NULL);
        /* The code is redeemed as it was asked for. */
        world_crash(w);
        world_serve(w);
        world_redirect(w, url, "code1");
        assert_form(w, "grant_type", "authorization_code");
        assert_form(w, "resource", resource);
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        w->n_token = 0;
}

static void log_in(struct world *w) {
        log_in_for(w, WORLD_SERVER);
}

/* What a record of the store says of @name; NULL: nothing. To be freed. */
struct look {
        const char *name;
        char *text;
};

static void on_record(int r, const struct store_item *item, const struct error *err,
                      void *userdata) {
        struct look *l = userdata;
        const char *text = r == 0 ? json_get_string(item->value, l->name) : NULL;

        l->text = text ? strdup(text) : NULL;
}

static void assert_record(struct world *w, enum store_kind kind, const char *key, const char *name,
                          const char *text) {
        struct look l = { .name = name };

        assert_int_equal(store_get(w->store, kind, key, on_record, &l), 0);
        world_run(w);
        if (text)
                assert_string_equal(l.text ? l.text : "(none)", text);
        else
                assert_null(l.text);
        free(l.text);
}

#define KEY_ME WORLD_ISSUER "\nme"
#define KEY_SERVER WORLD_SERVER " "

static void what_a_login_was_made_with_is_not_changed_by_another_add(void **state) {
        struct world *w = *state;

        assert_added(w, WORLD_SERVER, client("me", "secret"));
        log_in(w);
        assert_exists(w, WORLD_SERVER, json_pack("{s:s}", "issuer", "https://evil.example.com"),
                      "another issuer: " WORLD_ISSUER ", not https://evil.example.com");
        assert_exists(w, WORLD_SERVER, client("you", NULL), "another client id: me, not you");
        assert_exists(w, WORLD_SERVER, client("me", "other"), "another secret");
        assert_exists(w, WORLD_SERVER,
                      json_pack("{s:s}", "client_metadata_url", "https://c.example.com/c.json"),
                      "another client metadata URL: none, not https://c.example.com/c.json");
        /* Nor by way of another server: the credentials are the issuer's. */
        assert_exists(w, OTHER_SERVER, client("me", "other"), "another secret");
        assert_record(w, STORE_REGISTRATION, KEY_ME, "client_secret", "secret");
        assert_record(w, STORE_SERVER, KEY_SERVER, "configured_issuer", WORLD_ISSUER);
        assert_record(w, STORE_SERVER, KEY_SERVER, "client_id", "me");
        assert_record(w, STORE_SERVER, KEY_SERVER, "client_metadata_url", NULL);
        assert_record(w, STORE_SERVER, "https://other.example.com/mcp ", "url", NULL);
}

static void an_add_that_says_what_is_there_changes_nothing_and_is_fine(void **state) {
        struct world *w = *state;

        assert_added(w, WORLD_SERVER, client("me", "secret"));
        log_in(w);
        assert_added(w, WORLD_SERVER, client("me", "secret"));
        assert_added(w, WORLD_SERVER, client("me", NULL));
        assert_added(w, WORLD_SERVER, NULL);
        assert_added(w, OTHER_SERVER, client("me", NULL));
        assert_record(w, STORE_REGISTRATION, KEY_ME, "client_secret", "secret");
}

/* An issuer that was found may be pinned, and other scopes ask the person by way of a login. */
static void what_asks_a_person_all_the_same_may_be_added(void **state) {
        struct world *w = *state;

        world_login(w, NULL);
        assert_added(w, WORLD_SERVER, json_pack("{s:s}", "issuer", WORLD_ISSUER));
        assert_added(w, WORLD_SERVER, json_pack("{s:[s]}", "scopes", "write"));
        assert_exists(w, WORLD_SERVER, client("me", "secret"), "another client id: none, not me");
        assert_record(w, STORE_SERVER, KEY_SERVER, "configured_issuer", WORLD_ISSUER);
}

/* An issuer without registration says so in the first login: the second add brings the client, and
 * a third the right secret. */
static void before_the_first_login_what_was_left_out_may_be_given(void **state) {
        struct world *w = *state;

        assert_added(w, WORLD_SERVER, NULL);
        assert_added(w, WORLD_SERVER, client("me", "wrong"));
        assert_added(w, WORLD_SERVER, client("me", "secret"));
        assert_record(w, STORE_REGISTRATION, KEY_ME, "client_secret", "secret");
        /* What was given is not silently another, though. */
        assert_exists(w, WORLD_SERVER, client("you", NULL), "another client id: me, not you");
        log_in(w);
        assert_record(w, STORE_SERVER, KEY_SERVER, "client_id", "me");
}

static json_t *client_with_key(const char *key, const char *key_id) {
        return json_pack("{s:s, s:s, s:s, s:s*, s:s}", "issuer", WORLD_ISSUER, "client_id", "me",
                         "client_key", key, "client_key_id", key_id, "signing_alg", "ES256");
}

/* A key is the client's like a secret: sealed with the registration, never shown, and not replaced
 * where another lives by it. */
static void a_key_of_a_client_is_kept_like_a_secret(void **state) {
        struct world *w = *state;
        AUTO_JSON json_t *server = NULL;
        AUTO_FREE char *shown = NULL;

        assert_added(w, WORLD_SERVER, client_with_key("-----pem-----", "k1"));
        assert_record(w, STORE_REGISTRATION, KEY_ME, "client_key", "-----pem-----");
        assert_record(w, STORE_REGISTRATION, KEY_ME, "key_id", "k1");
        assert_record(w, STORE_REGISTRATION, KEY_ME, "signing_alg", "ES256");
        server = world_server(w);
        shown = json_dumps(server, 0);
        assert_null(strstr(shown, "pem"));
        assert_string_equal(json_get_string(server, "client_key_id"), "k1");
        assert_added(w, OTHER_SERVER, client_with_key("-----pem-----", "k1"));
        assert_exists(w, OTHER_SERVER, client_with_key("-----other-----", "k1"), "secret or key");
        assert_exists(w, OTHER_SERVER, client("me", "secret"), "another secret or key");
        assert_exists(w, "https://third.example.com/mcp", client_with_key("-----pem-----", "k2"),
                      "another secret or key");
        assert_record(w, STORE_REGISTRATION, KEY_ME, "client_key", "-----pem-----");
        assert_record(w, STORE_REGISTRATION, KEY_ME, "client_secret", NULL);
}

static json_t *without_resource(void) {
        return json_pack("{s:b}", "no_resource", 1);
}

/* A refresh for @scope (NULL: for all), with @resource or without. */
static void refresh_for(struct world *w, const char *scope, const char *resource) {
        AUTO_REPLY struct answer a = { 0 };

        if (!scope) /* a narrowed one is not there yet */
                world_expire(w);
        world_send(w, scope, &a);
        assert_form(w, "grant_type", "refresh_token");
        assert_form(w, "scope", scope);
        assert_form(w, "resource", resource);
        world_tokens(w, "at2", "rt2", 3600, scope);
        world_run(w);
        assert_token(&a, "at2");
}

static void assert_without_resource(struct world *w, bool without) {
        AUTO_JSON json_t *server = world_server(w);

        assert_int_equal(json_get_bool(server, "no_resource", false), without);
        assert_int_equal(json_object_get(server, "no_resource") != NULL, without);
}

/* A53 */
static void an_issuer_that_chokes_on_resource_never_sees_it(void **state) {
        struct world *w = *state;

        assert_added(w, WORLD_SERVER,
                     json_pack("{s:b, s:[s, s]}", "no_resource", 1, "scopes", "read", "write"));
        assert_without_resource(w, true);
        log_in_for(w, NULL);
        for (int restart = 0; restart < 2; restart++) {
                refresh_for(w, NULL, NULL);
                refresh_for(w, "read", NULL);
                /* Who says nothing of it, or says it again, changes nothing. */
                assert_added(w, WORLD_SERVER, NULL);
                assert_added(w, WORLD_SERVER, without_resource());
                assert_without_resource(w, true);
                world_crash(w);
        }
        log_in_for(w, NULL);
        refresh_for(w, NULL, NULL);
}

/* A53 A95 */
static void a_login_is_not_loosened_by_another_add(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        assert_added(w, WORLD_SERVER, NULL);
        /* Its first login has failed: the second add knows why. */
        assert_added(w, WORLD_SERVER, without_resource());
        assert_without_resource(w, true);
        world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:s}", "server", WORLD_SERVER), &a);
        world_run(w);
        assert_added(w, WORLD_SERVER, NULL);
        assert_without_resource(w, false);
        log_in(w);
        assert_exists(w, WORLD_SERVER, without_resource(), "resource: sent, not left out");
        assert_without_resource(w, false);
        refresh_for(w, NULL, WORLD_SERVER);
        world_crash(w);
        assert_exists(w, WORLD_SERVER, without_resource(), "resource: sent, not left out");
        refresh_for(w, NULL, WORLD_SERVER);
}

static void who_forgets_a_server_may_add_it_with_other_credentials(void **state) {
        struct world *w = *state;
        struct answer a;

        assert_added(w, WORLD_SERVER, client("me", "secret"));
        log_in(w);
        world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:s}", "server", WORLD_SERVER), &a);
        world_run(w);
        while (w->n_fetches > 0) {
                world_answer(w, 0, 200, "");
                world_run(w);
        }
        answer_done(&a);
        assert_added(w, WORLD_SERVER, client("me", "other"));
        assert_record(w, STORE_REGISTRATION, KEY_ME, "client_secret", "other");
}

/* @applied: it has happened all the same. */
static void fail_to_add(struct world *w, bool applied) {
        struct answer a;
        struct answer other;

        assert_added(w, WORLD_SERVER,
                     json_pack("{s:s, s:[s]}", "client_metadata_url",
                               "https://c.example.com/c.json", "scopes", "read"));
        w->disk_held = true;
        world_ask(w, METHOD_SERVER_ADD,
                  json_pack("{s:s, s:s, s:s, s:[s], s:b}", "url", WORLD_SERVER, "issuer",
                            WORLD_ISSUER, "client_id", "me", "scopes", "write", "no_resource", 1),
                  &a);
        world_run(w);
        /* One change at a time; who changes nothing is served. */
        world_ask(w, METHOD_SERVER_ADD,
                  json_pack("{s:s, s:s}", "url", WORLD_SERVER, "issuer", WORLD_ISSUER), &other);
        assert_refused(&other, MCPB_BUSY);
        for (unsigned n_writes = 0; a.n_told == 0;) {
                bool write = w->disk->requests[0]->verb == MEMORY_WRITE;

                n_writes += write;
                /* The credentials are written, the server is not. */
                world_disk(w, write && n_writes == 2 ? -ENOSPC : 0, applied);
        }
        assert_refused(&a, MCPB_STORE_UNAVAILABLE);
        w->disk_held = false;
        world_run(w);
        /* It is saved again with what it is, whatever that write has left. */
        assert_record(w, STORE_SERVER, KEY_SERVER, "client_id", NULL);
        assert_record(w, STORE_SERVER, KEY_SERVER, "configured_issuer", NULL);
        assert_record(w, STORE_SERVER, KEY_SERVER, "client_metadata_url",
                      "https://c.example.com/c.json");
        world_ask(w, METHOD_LOGIN_START, json_pack("{s:s}", "server", WORLD_SERVER), &a);
        world_serve(w);
        assert_non_null(a.result);
        assert_non_null(strstr(json_get_string(a.result, "url"), "scope=read&"));
        assert_non_null(strstr(json_get_string(a.result, "url"), "&resource="));
        answer_done(&a);
        assert_added(w, OTHER_SERVER, client("me", "secret"));
}

/* S7 */
static void an_add_that_the_disk_does_not_take_leaves_the_server_as_it_was(void **state) {
        struct world *w = *state;

        fail_to_add(w, false);
        world_done(w);
        world_init(w);
        fail_to_add(w, true);
}

int main(void) {
#define E(test) cmocka_unit_test_setup_teardown(test, setup_empty, world_teardown)
        const struct CMUnitTest tests[] = {
                E(what_a_login_was_made_with_is_not_changed_by_another_add),
                E(an_add_that_says_what_is_there_changes_nothing_and_is_fine),
                E(what_asks_a_person_all_the_same_may_be_added),
                E(before_the_first_login_what_was_left_out_may_be_given),
                E(a_key_of_a_client_is_kept_like_a_secret),
                E(an_issuer_that_chokes_on_resource_never_sees_it),
                E(a_login_is_not_loosened_by_another_add),
                E(who_forgets_a_server_may_add_it_with_other_credentials),
                E(an_add_that_the_disk_does_not_take_leaves_the_server_as_it_was),
        };

        return cmocka_run_group_tests_name("broker-add", tests, NULL, NULL);
}
