/* SPDX-License-Identifier: Apache-2.0 */
/* What ends while something else is under way: locks, removals and expiries in the middle of a
 * removal, a login, or a second look at the peer. Everybody is answered, once. */
#include "base/clock.h"
#include "base/limits.h"
#include "broker-world.h"

static const char by_program[] =
        "[Rule one]\nAgent=exe:/usr/bin/agent\nServer=@added\nScopes=@granted\n";

static int begin(void **state, const char *policy) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        w->policy = policy;
        world_init(w);
        w->evidence.anchor_known = true;
        w->evidence.anchor_pid = 41;
        w->evidence.anchor_start_ticks = 6;
        w->evidence.anchor = (struct evidence_exe){ true, "/usr/bin/agent", 1, 3 };
        *state = w;
        return 0;
}

static int setup(void **state) {
        int r = begin(state, NULL);

        world_login(*state, NULL);
        return r;
}

static int setup_empty(void **state) {
        return begin(state, NULL);
}

static int setup_by_program(void **state) {
        int r = begin(state, by_program);

        world_login(*state, NULL);
        return r;
}

static int setup_no_refresh(void **state) {
        struct world *w;
        int r = begin(state, by_program);

        w = *state;
        w->no_refresh_token = true;
        world_login(w, NULL);
        return r;
}

static int teardown(void **state) {
        struct world *w = *state;

        world_done(w);
        free(w);
        return 0;
}

static void assert_error(struct answer *a, enum error_code code) {
        assert_int_equal(a->n_told, 1);
        assert_string_equal(error_name(a->err.code), error_name(code));
        answer_done(a);
}

static void assert_good(struct answer *a) {
        assert_int_equal(a->n_told, 1);
        if (!a->result)
                fail_msg("%s: %s", error_name(a->err.code), a->err.message);
        answer_done(a);
}

static unsigned count(struct world *w, const char *what) {
        AUTO_REPLY struct answer a = { 0 };

        world_ask(w, METHOD_BROKER_STATUS, NULL, &a);
        assert_non_null(a.result);
        return (unsigned)json_get_int(json_object_get(a.result, "counts"), what, 99);
}

static unsigned operations(struct world *w) {
        return count(w, "operations");
}

static void lock(struct world *w, uint64_t sec) {
        struct answer a;

        world_ask(w, METHOD_BROKER_LOCK, NULL, &a);
        world_advance(w, sec * USEC_PER_SEC);
        assert_good(&a);
}

static void unlock(struct world *w) {
        struct answer a;

        world_ask(w, METHOD_BROKER_UNLOCK, NULL, &a);
        world_run(w);
        assert_good(&a);
}

/* S3 */
static void a_lock_during_the_second_look_at_a_peer_refuses_the_token(void **state) {
        struct world *w = *state;
        struct answer a;

        w->attest_held = true;
        world_get(w, NULL, &a);
        world_run(w);
        assert_non_null(w->attest);
        lock(w, 1);
        assert_int_equal(a.n_told, 0);
        w->attest(0, &w->evidence, NULL, w->attest_userdata);
        w->attest = NULL;
        assert_error(&a, MCPB_LOCKED);
}

static void remove_server(struct world *w, const char *server, struct answer *a) {
        world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:s}", "server", server), a);
}

static unsigned n_servers(struct world *w) {
        AUTO_REPLY struct answer a = { 0 };

        world_ask(w, METHOD_SERVER_LIST, NULL, &a);
        assert_non_null(a.result);
        return (unsigned)json_array_size(json_object_get(a.result, "servers"));
}

/* S7 */
static void a_lock_gives_up_a_removal_that_does_not_end(void **state) {
        struct world *w = *state;
        struct answer removal;

        remove_server(w, WORLD_SERVER, &removal);
        world_run(w);
        assert_int_equal(w->n_fetches, 1); /* the issuer is asked to revoke, and is silent */
        lock(w, 31);
        assert_error(&removal, MCPB_LOCKED);
        assert_int_equal(w->n_fetches, 0);
        unlock(w);
        assert_int_equal(operations(w), 0);
        assert_int_equal(n_servers(w), 1);
        /* And again, at every step of the disk. */
        for (unsigned n = 0; n < 3; n++) {
                w->disk_held = true;
                remove_server(w, WORLD_SERVER, &removal);
                world_run_loop(w);
                for (unsigned i = 0; i < n && w->disk->n_requests > 0; i++)
                        world_disk(w, 0, true);
                lock(w, 31);
                assert_error(&removal, MCPB_LOCKED);
                w->disk_held = false;
                unlock(w);
                assert_int_equal(operations(w), 0);
        }
        remove_server(w, WORLD_SERVER, &removal);
        world_run(w);
        while (w->n_fetches > 0) {
                world_answer(w, 0, 200, "");
                world_run(w);
        }
        assert_good(&removal);
        assert_int_equal(n_servers(w), 0);
}

static char *login_again(struct world *w, struct answer *waits) {
        AUTO_REPLY struct answer a = { 0 };
        char *url;

        world_ask(w, METHOD_LOGIN_START, json_pack("{s:s}", "server", WORLD_SERVER), &a);
        world_serve(w);
        assert_non_null(a.result);
        url = strdup(json_get_string(a.result, "url"));
        assert_non_null(url);
        world_ask(w, METHOD_LOGIN_WAIT,
                  json_pack("{s:s}", "login", json_get_string(a.result, "login")), waits);
        return url;
}

/* A152 */
static void a_server_that_is_removed_while_a_login_stores_its_grant_is_removed(void **state) {
        struct world *w = *state;
        struct answer removal;
        struct answer waits;
        AUTO_FREE char *url = NULL;

        url = login_again(w, &waits);
        world_redirect(w, url, "code2");
        w->disk_held = true;
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run_loop(w);
        remove_server(w, WORLD_SERVER, &removal);
        world_run_loop(w);
        w->disk_held = false;
        world_run(w);
        while (w->n_fetches > 0) {
                world_answer(w, 0, 200, "");
                world_run(w);
        }
        assert_int_equal(waits.n_told, 1);
        answer_done(&waits);
        assert_good(&removal);
        assert_int_equal(n_servers(w), 0);
        assert_int_equal(operations(w), 0);
}

/* A93 */
static void a_login_does_not_expire_once_the_code_is_here(void **state) {
        struct world *w = *state;
        struct answer waits;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);

        world_advance(w, (LIMIT_LOGIN_SEC - 1) * USEC_PER_SEC);
        world_redirect(w, url, "code1");
        assert_int_equal(w->n_fetches, 1);
        world_advance(w, 5 * USEC_PER_SEC);
        assert_int_equal(waits.n_told, 0);
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        assert_string_equal(json_get_string(waits.result, "state"), "done");
        answer_done(&waits);
        assert_int_equal(operations(w), 0);
}

/* S7 */
static void a_lock_gives_up_a_code_whose_answer_does_not_come(void **state) {
        struct world *w = *state;
        struct answer waits;
        AUTO_FREE char *url = world_begin_login(w, NULL, &waits);

        world_redirect(w, url, "code1");
        assert_int_equal(operations(w), 1);
        lock(w, 31);
        assert_error(&waits, MCPB_LOCKED);
        unlock(w);
        assert_int_equal(operations(w), 0);
}

static void add(struct world *w, const char *url, bool login, struct answer *a) {
        world_ask(w, METHOD_SERVER_ADD, json_pack("{s:s, s:b}", "url", url, "login", login), a);
}

static void a_server_that_is_removed_while_it_is_added_gets_no_login(void **state) {
        struct world *w = *state;
        struct answer adding;
        struct answer removal;

        w->disk_held = true;
        add(w, WORLD_SERVER, true, &adding);
        remove_server(w, WORLD_SERVER, &removal);
        world_run_loop(w);
        w->disk_held = false;
        world_serve(w);
        assert_error(&adding, MCPB_NOT_FOUND);
        assert_good(&removal);
        assert_int_equal(n_servers(w), 0);
        assert_int_equal(w->n_fetches, 0);
}

static void a_server_that_cannot_be_saved_takes_the_login_of_another_with_it(void **state) {
        struct world *w = *state;
        struct answer adding;
        struct answer login;

        w->disk_held = true;
        add(w, WORLD_SERVER, false, &adding);
        world_ask(w, METHOD_LOGIN_START, json_pack("{s:s}", "server", WORLD_SERVER), &login);
        world_run_loop(w);
        while (w->disk->n_requests > 0)
                world_disk(w, -ENOSPC, false);
        w->disk_held = false;
        world_serve(w);
        assert_int_equal(adding.n_told, 1);
        assert_null(adding.result);
        answer_done(&adding);
        assert_error(&login, MCPB_LOGIN_CANCELLED);
        assert_int_equal(n_servers(w), 0);
}

static void who_adds_a_server_that_goes_meanwhile_is_told(void **state) {
        struct world *w = *state;
        struct answer first;
        struct answer second;
        struct answer removal;

        w->disk_held = true;
        add(w, WORLD_SERVER, false, &first);
        add(w, WORLD_SERVER, false, &second);
        remove_server(w, WORLD_SERVER, &removal);
        world_run_loop(w);
        w->disk_held = false;
        world_run(w);
        assert_int_equal(first.n_told, 1);
        answer_done(&first);
        assert_error(&second, MCPB_NOT_FOUND);
        assert_good(&removal);
        /* While it goes it is not added either. */
        add(w, WORLD_SERVER, false, &first);
        world_run(w);
        assert_good(&first);
        w->disk_held = true;
        remove_server(w, WORLD_SERVER, &removal);
        add(w, WORLD_SERVER, false, &second);
        assert_error(&second, MCPB_BUSY);
        w->disk_held = false;
        world_run(w);
        assert_good(&removal);
}

/* S5 */
static void a_server_that_shares_a_grant_takes_only_its_own_requests_with_it(void **state) {
        struct world *w = *state;
        struct answer a;
        struct answer stays;
        struct answer goes;
        AUTO_FREE char *url = NULL;

        add(w, WORLD_BENEATH, true, &a);
        world_serve(w);
        assert_int_equal(a.n_told, 1);
        assert_non_null(a.result);
        url = strdup(json_get_string(json_object_get(a.result, "login"), "url"));
        answer_done(&a);
        world_redirect(w, url, "code2");
        world_tokens(w, "at2", "rt2", 3600, NULL);
        world_run(w);
        world_advance(w, 3601 * USEC_PER_SEC);
        world_get(w, NULL, &stays);
        world_ask(w, METHOD_TOKEN_GET, json_pack("{s:s}", "server", WORLD_BENEATH), &goes);
        world_run(w);
        assert_int_equal(w->n_fetches, 1);
        remove_server(w, WORLD_BENEATH, &a);
        world_run(w);
        assert_good(&a);
        assert_error(&goes, MCPB_NOT_FOUND);
        world_tokens(w, "at3", "rt3", 3600, NULL);
        world_run(w);
        assert_string_equal(json_get_string(stays.result, "token"), "at3");
        answer_done(&stays);
}

/* A93 */
static void a_login_that_expired_while_nobody_was_there_leaves_no_record(void **state) {
        struct world *w = *state;
        AUTO_FREE char *url = world_begin_login(w, NULL, NULL);
        size_t n = w->disk->n_files;

        assert_non_null(url);
        world_end(w);
        world_advance(w, (LIMIT_LOGIN_SEC + 1) * USEC_PER_SEC);
        world_begin(w);
        assert_int_equal(w->disk->n_files, n - 1);
}

static void a_login_is_cancelled_only_when_nobody_else_waits_and_in_time(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer cancel = { 0 };
        struct answer adding;
        struct answer other;
        struct answer waits;
        AUTO_JSON json_t *server = NULL;
        AUTO_FREE char *url = NULL;
        AUTO_FREE char *id = NULL;

        add(w, WORLD_SERVER, true, &adding);
        world_run(w);
        world_ask(w, METHOD_TOKEN_GET,
                  json_pack("{s:s, s:s}", "server", WORLD_SERVER, "login", "start"), &other);
        server = world_server(w);
        id = strdup(json_get_string(server, "login"));
        world_ask(w, METHOD_LOGIN_CANCEL, json_pack("{s:s}", "login", id), &cancel);
        assert_false(json_get_bool(cancel.result, "cancelled", true));
        answer_done(&cancel);
        world_serve(w);
        assert_error(&other, MCPB_LOGIN_REQUIRED);
        assert_non_null(adding.result);
        url = strdup(json_get_string(json_object_get(adding.result, "login"), "url"));
        answer_done(&adding);
        world_redirect(w, url, "code1");
        world_ask(w, METHOD_LOGIN_CANCEL, json_pack("{s:s}", "login", id), &cancel);
        assert_false(json_get_bool(cancel.result, "cancelled", true));
        world_ask(w, METHOD_LOGIN_WAIT, json_pack("{s:s}", "login", id), &waits);
        world_tokens(w, "at1", "rt1", 3600, NULL);
        world_run(w);
        assert_string_equal(json_get_string(waits.result, "state"), "done");
        answer_done(&waits);
}

/* S7 */
static void an_unlock_that_fails_half_way_can_be_repeated(void **state) {
        struct world *w = *state;
        struct answer a;

        lock(w, 1);
        for (unsigned n = 0; n < 3; n++) {
                w->disk_held = true;
                world_ask(w, METHOD_BROKER_UNLOCK, NULL, &a);
                for (unsigned i = 0; i < n; i++)
                        world_disk(w, 0, true);
                assert_int_equal(a.n_told, 0);
                world_disk(w, n == 2 ? -EPIPE : -EIO, false);
                w->disk_held = false;
                world_run(w);
                assert_int_equal(a.n_told, 1);
                assert_null(a.result);
                answer_done(&a);
        }
        unlock(w);
        assert_int_equal(n_servers(w), 1);
        assert_string_equal(world_token(w, &a), "at1");
        answer_done(&a);
}

static void locking_and_unlocking_do_not_overtake_each_other(void **state) {
        struct world *w = *state;
        struct answer a;
        struct answer b;

        w->disk_held = true;
        lock(w, 1);
        world_ask(w, METHOD_BROKER_UNLOCK, NULL, &a);
        world_ask(w, METHOD_BROKER_LOCK, NULL, &b);
        assert_error(&b, MCPB_BUSY);
        w->disk_held = false;
        world_run(w);
        assert_good(&a);
        world_ask(w, METHOD_BROKER_LOCK, NULL, &a);
        world_ask(w, METHOD_BROKER_UNLOCK, NULL, &b);
        assert_error(&b, MCPB_BUSY);
        world_advance(w, USEC_PER_SEC);
        assert_good(&a);
        unlock(w);
}

/* S3 */
static void a_challenge_begins_nothing_for_whom_policy_refuses(void **state) {
        static const char *const fields[] = {
                "Bearer error=\"insufficient_scope\", scope=\"write admin\"",
                "Bearer error=\"invalid_token\"",
        };
        struct world *w = *state;
        struct answer a;

        w->evidence.anchor = (struct evidence_exe){ true, "/usr/bin/other", 1, 4 };
        for (unsigned i = 0; i < 2; i++) {
                world_ask(w, METHOD_TOKEN_GET,
                          json_pack("{s:s, s:s, s:{s:i, s:[s]}}", "server", WORLD_SERVER, "login",
                                    "start", "challenge", "status", i == 0 ? 403 : 401, "fields",
                                    fields[i]),
                          &a);
                assert_error(&a, MCPB_DENIED);
                assert_int_equal(w->n_fetches, 0);
        }
}

/* S7 */
static void an_end_at_any_step_of_a_start_or_a_login_is_clean(void **state) {
        struct world *w = *state;

        for (unsigned n = 0; n < 12; n++) {
                struct answer a;

                w->disk_held = true;
                add(w, WORLD_SERVER, true, &a);
                for (unsigned i = 0; i < n; i++) {
                        if (!world_serve_step(w) && w->disk->n_requests > 0)
                                world_disk(w, 0, true);
                }
                if (a.call)
                        broker_call_abandon(a.call);
                else
                        answer_done(&a);
                world_end(w);
                /* The next one does not get far either. */
                w->disk_held = true;
                world_begin(w);
                for (unsigned i = 0; i < n && w->disk->n_requests > 0; i++)
                        world_disk(w, 0, true);
                world_end(w);
                world_begin(w);
        }
}

/* S7 */
static void a_server_that_the_disk_does_not_let_go_is_there_and_can_be_removed_again(void **state) {
        struct world *w = *state;
        struct answer a;

        add(w, WORLD_SERVER, false, &a);
        world_run(w);
        assert_good(&a);
        w->disk->refuse = -EIO; /* at once */
        remove_server(w, WORLD_SERVER, &a);
        w->disk->refuse = 0;
        assert_error(&a, MCPB_STORE_UNAVAILABLE);
        assert_int_equal(n_servers(w), 1);
        w->disk_held = true; /* and later */
        remove_server(w, WORLD_SERVER, &a);
        world_disk(w, -EIO, false);
        w->disk_held = false;
        world_run(w);
        assert_error(&a, MCPB_STORE_UNAVAILABLE);
        assert_int_equal(n_servers(w), 1);
        remove_server(w, WORLD_SERVER, &a);
        world_run(w);
        assert_good(&a);
        assert_int_equal(n_servers(w), 0);
}

static void removing_all_does_not_stop_at_one_that_is_being_removed(void **state) {
        struct world *w = *state;
        struct answer one;
        struct answer all;

        add(w, WORLD_SERVER, false, &one);
        world_run(w);
        assert_good(&one);
        add(w, WORLD_BENEATH, false, &one);
        world_run(w);
        assert_good(&one);
        w->disk_held = true;
        remove_server(w, WORLD_SERVER, &one);
        world_ask(w, METHOD_SERVER_REMOVE, json_pack("{s:b}", "all", 1), &all);
        w->disk_held = false;
        world_run(w);
        assert_good(&one);
        assert_good(&all);
        assert_int_equal(n_servers(w), 0);
}

static void complete(struct world *w, const char *id, struct answer *a) {
        world_ask(w, METHOD_LOGIN_COMPLETE,
                  json_pack("{s:s, s:s}", "login", id, "redirect_url",
                            "http://127.0.0.1:40000/?code=theirs&state=unknown"),
                  a);
}

/* S5 */
static void only_who_was_told_the_address_may_complete_a_login(void **state) {
        struct world *w = *state;
        struct evidence mine = w->evidence;
        struct answer a;
        AUTO_FREE char *id = NULL;

        add(w, WORLD_SERVER, true, &a);
        world_serve(w);
        assert_non_null(a.result);
        id = strdup(json_get_string(json_object_get(a.result, "login"), "login"));
        answer_done(&a);
        for (unsigned i = 0; i < 2; i++) {
                w->evidence.start_ticks++; /* another process with the same number */
                complete(w, id, &a);
                assert_error(&a, MCPB_NOT_PERMITTED);
                w->evidence = mine;
                complete(w, id, &a); /* ours, but the address is not of this login */
                assert_int_equal(a.n_told, 1);
                assert_null(a.result);
                assert_true(a.err.code != MCPB_NOT_PERMITTED);
                answer_done(&a);
                world_crash(w); /* and the same after it */
                world_serve(w);
        }
}

/* The token at hand is refused, and who asks for another waits for the refresh. */
static void wait_for_refresh(struct world *w, struct answer *ret) {
        AUTO_REPLY struct answer token = { 0 };
        AUTO_REPLY struct answer reject = { 0 };

        assert_non_null(world_token(w, &token));
        world_ask(w, METHOD_TOKEN_REJECT,
                  json_pack("{s:s, s:s}", "server", WORLD_SERVER, "token_id",
                            json_get_string(token.result, "token_id")),
                  &reject);
        assert_true(json_get_bool(reject.result, "rejected", false));
        world_get(w, NULL, ret);
        world_run(w);
        assert_int_equal(w->n_fetches, 1);
}

/* A login whose grant is of another client than the one before: the issuer has forgotten that.
 * @at_old (may be NULL) waits at the old one meanwhile. */
static void store_another_grant(struct world *w, struct answer *waits, struct answer *at_old) {
        AUTO_FREE char *first = login_again(w, waits);
        AUTO_FREE char *url = NULL;

        world_redirect(w, first, "code2");
        world_answer(w, w->n_fetches - 1, 401, "{\"error\":\"invalid_client\"}");
        world_serve(w);
        assert_int_equal(waits->n_told, 1);
        assert_string_equal(json_get_string(waits->result, "state"), "waiting");
        url = strdup(json_get_string(waits->result, "url"));
        answer_done(waits);
        if (at_old)
                wait_for_refresh(w, at_old);
        world_redirect(w, url, "code3");
        w->disk_held = true;
        world_answer(w, w->n_fetches - 1, 200,
                     "{\"access_token\":\"at2\",\"token_type\":\"Bearer\",\"expires_in\":3600,"
                     "\"refresh_token\":\"rt2\"}");
        world_run_loop(w);
}

/* A152 */
static void a_removal_takes_the_grant_along_that_a_login_is_just_storing(void **state) {
        struct world *w = *state;
        struct answer waits;
        struct answer removal;
        unsigned n_revoked = 0;

        store_another_grant(w, &waits, NULL);
        remove_server(w, WORLD_SERVER, &removal);
        w->disk_held = false;
        world_run(w);
        for (; w->n_fetches > 0; n_revoked++) {
                assert_non_null(strstr(world_fetch(w)->request.url, "/revoke"));
                world_answer(w, 0, 200, "");
                world_run(w);
        }
        assert_int_equal(n_revoked, 4); /* both tokens of both grants */
        assert_good(&removal);
        assert_int_equal(n_servers(w), 0);
        assert_int_equal(count(w, "grants"), 0);
        assert_int_equal(operations(w), 0);
}

/* S6 */
static void who_waits_at_a_grant_that_a_login_replaces_gets_the_token_of_the_new_one(void **state) {
        struct world *w = *state;
        struct answer waits;
        struct answer a;

        store_another_grant(w, &waits, &a);
        assert_int_equal(a.n_told, 0);
        w->disk_held = false;
        world_run(w);
        assert_int_equal(a.n_told, 1);
        assert_non_null(a.result);
        assert_string_equal(json_get_string(a.result, "token"), "at2");
        answer_done(&a);
}

static void an_unlock_without_a_process_to_derive_the_key_says_try_again(void **state) {
        struct world *w = calloc(1, sizeof(*w));
        struct answer a;

        assert_non_null(w);
        w->passphrase = true;
        world_init(w);
        *state = w;
        for (unsigned i = 0; i < 2; i++) {
                world_ask(w, METHOD_BROKER_UNLOCK, json_pack("{s:s}", "passphrase", "secret"), &a);
                world_run(w);
                assert_error(&a, MCPB_RETRY);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                        a_lock_during_the_second_look_at_a_peer_refuses_the_token, setup_by_program,
                        teardown),
                cmocka_unit_test_setup_teardown(a_lock_gives_up_a_removal_that_does_not_end, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        a_server_that_is_removed_while_a_login_stores_its_grant_is_removed, setup,
                        teardown),
                cmocka_unit_test_setup_teardown(a_login_does_not_expire_once_the_code_is_here,
                                                setup_empty, teardown),
                cmocka_unit_test_setup_teardown(a_lock_gives_up_a_code_whose_answer_does_not_come,
                                                setup_empty, teardown),
                cmocka_unit_test_setup_teardown(
                        a_server_that_is_removed_while_it_is_added_gets_no_login, setup_empty,
                        teardown),
                cmocka_unit_test_setup_teardown(
                        a_server_that_cannot_be_saved_takes_the_login_of_another_with_it,
                        setup_empty, teardown),
                cmocka_unit_test_setup_teardown(who_adds_a_server_that_goes_meanwhile_is_told,
                                                setup_empty, teardown),
                cmocka_unit_test_setup_teardown(
                        a_server_that_shares_a_grant_takes_only_its_own_requests_with_it, setup,
                        teardown),
                cmocka_unit_test_setup_teardown(
                        a_login_that_expired_while_nobody_was_there_leaves_no_record, setup_empty,
                        teardown),
                cmocka_unit_test_setup_teardown(
                        a_login_is_cancelled_only_when_nobody_else_waits_and_in_time, setup_empty,
                        teardown),
                cmocka_unit_test_setup_teardown(an_unlock_that_fails_half_way_can_be_repeated,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(locking_and_unlocking_do_not_overtake_each_other,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(a_challenge_begins_nothing_for_whom_policy_refuses,
                                                setup_no_refresh, teardown),
                cmocka_unit_test_setup_teardown(an_end_at_any_step_of_a_start_or_a_login_is_clean,
                                                setup_empty, teardown),
                cmocka_unit_test_setup_teardown(
                        a_server_that_the_disk_does_not_let_go_is_there_and_can_be_removed_again,
                        setup_empty, teardown),
                cmocka_unit_test_setup_teardown(
                        removing_all_does_not_stop_at_one_that_is_being_removed, setup_empty,
                        teardown),
                cmocka_unit_test_setup_teardown(only_who_was_told_the_address_may_complete_a_login,
                                                setup_empty, teardown),
                cmocka_unit_test_setup_teardown(
                        a_removal_takes_the_grant_along_that_a_login_is_just_storing, setup,
                        teardown),
                cmocka_unit_test_setup_teardown(
                        who_waits_at_a_grant_that_a_login_replaces_gets_the_token_of_the_new_one,
                        setup, teardown),
                cmocka_unit_test_teardown(
                        an_unlock_without_a_process_to_derive_the_key_says_try_again, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
