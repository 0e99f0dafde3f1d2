/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of the domain fails in turn: whoever asks is answered, and no grant is lost. */
#include "base/clock.h"
#include "broker-world.h"
#include "oom.h"

/* The test's own allocations do not fail; calls nest. */
static void hush(bool on) {
        static unsigned depth;

        depth += on ? 1 : -1;
        oom_pause(depth > 0);
}

/* jansson's parser writes past its buffer where that cannot grow: nothing here can mend it. */
json_t *__real_json_loadb(const char *data, size_t len, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *data, size_t len, size_t flags, json_error_t *error);

json_t *__wrap_json_loadb(const char *data, size_t len, size_t flags, json_error_t *error) {
        json_t *value;

        hush(true);
        value = __real_json_loadb(data, len, flags, error);
        hush(false);
        return value;
}

/* A refresh token is good once, and a used one ends them all. */
struct issuer {
        struct world world;
        unsigned good; /* rtN */
        bool revoked;
};

static void issue(struct issuer *i) {
        struct world *w = &i->world;
        char *token;
        char *code;
        char expected[16];
        char at[16];
        char rt[16];
        bool good;

        hush(true);
        token = world_form(w, "refresh_token");
        code = world_form(w, "code");
        (void)snprintf(expected, sizeof(expected), "rt%u", i->good);
        good = !i->revoked && (code || (token && streq(token, expected)));
        i->revoked = i->revoked || !good;
        i->good += good;
        (void)snprintf(at, sizeof(at), "at%u", i->good);
        (void)snprintf(rt, sizeof(rt), "rt%u", i->good);
        free(token);
        free(code);
        hush(false);
        if (good)
                world_tokens(w, at, rt, 3600, NULL);
        else
                world_answer(w, 0, 400, "{\"error\":\"invalid_grant\"}");
}

/* Until nothing is left to do; in between the disk, the issuer and the server answer. */
static void run(struct issuer *i) {
        struct world *w = &i->world;

        for (;;) {
                world_run(w);
                if (w->n_fetches > 0 && strstr(w->fetches[0].request.url, "/token"))
                        issue(i);
                else if (w->n_fetches > 0 && strstr(w->fetches[0].request.url, "/revoke"))
                        world_answer(w, 0, 200, "");
                else if (!world_serve_step(w))
                        return;
        }
}

/* Time goes by. */
static void recover(struct issuer *i, unsigned sec) {
        for (; sec > 0; sec--) {
                world_advance(&i->world, USEC_PER_SEC);
                run(i);
        }
        run(i);
}

/* A run begins with memory enough, */
static void begin(struct issuer *i, bool login) {
        hush(true);
        *i = (struct issuer){ .good = login };
        i->world.quiet = hush;
        world_init(&i->world);
        if (login)
                world_login(&i->world, NULL);
}

/* and ends with it. */
static int end(struct issuer *i, bool good) {
        world_done(&i->world);
        hush(false);
        return good ? 0 : -ENOMEM;
}

/* Within a minute there is a token, and the issuer has seen no token twice. */
static void assert_recovers(struct issuer *i) {
        struct world *w = &i->world;
        struct answer a;
        bool good = false;

        for (unsigned n = 0; !good; n++) {
                world_get(w, NULL, &a);
                run(i);
                world_advance(w, USEC_PER_SEC);
                run(i);
                assert_int_equal(a.n_told, 1);
                assert_false(i->revoked);
                good = a.result != NULL;
                if (!good && n == 60)
                        fail_msg("%s: %s", error_name(a.err.code), a.err.message);
                answer_done(&a);
        }
}

static int get_cached(void *userdata) {
        struct issuer i;
        struct answer a;
        bool good;

        begin(&i, true);
        hush(false);
        world_get(&i.world, NULL, &a);
        run(&i);
        hush(true);
        assert_int_equal(a.n_told, 1);
        good = a.result != NULL;
        assert_true(good || a.err.code != MCPB_NO_ERROR);
        answer_done(&a);
        assert_recovers(&i);
        return end(&i, good);
}

static int refresh(void *userdata) {
        const char *scopes = userdata;
        struct issuer i;
        struct answer a;
        bool good;

        begin(&i, true);
        world_expire(&i.world);
        hush(false);
        world_get(&i.world, scopes, &a);
        run(&i);
        hush(true);
        recover(&i, 5);
        assert_int_equal(a.n_told, 1);
        good = a.result != NULL;
        answer_done(&a);
        assert_recovers(&i);
        /* And what the disk has is what counts. */
        world_crash(&i.world);
        world_expire(&i.world);
        assert_recovers(&i);
        return end(&i, good);
}

static int refuse(void *userdata) {
        struct issuer i;
        struct answer a;

        begin(&i, true);
        world_expire(&i.world);
        i.revoked = true;
        hush(false);
        world_get(&i.world, NULL, &a);
        run(&i);
        hush(true);
        recover(&i, 5);
        assert_int_equal(a.n_told, 1);
        assert_null(a.result);
        answer_done(&a);
        return end(&i, true);
}

static int remove_server(void *userdata) {
        struct issuer i;
        struct answer waits;
        struct answer removal;
        bool good;

        begin(&i, true);
        world_expire(&i.world);
        world_send(&i.world, NULL, &waits);
        hush(false);
        world_ask(&i.world, METHOD_SERVER_REMOVE, json_incref((json_t *)userdata), &removal);
        run(&i);
        hush(true);
        recover(&i, 60);
        assert_int_equal(waits.n_told, 1);
        assert_int_equal(removal.n_told, 1);
        good = removal.result != NULL;
        answer_done(&waits);
        answer_done(&removal);
        return end(&i, good);
}

static void get_or_log_in(struct issuer *i, struct answer *a) {
        json_t *params;

        hush(true);
        params = json_pack("{s:s, s:s}", "server", WORLD_SERVER, "login", "start");
        hush(false);
        world_ask(&i->world, METHOD_TOKEN_GET, params, a);
        run(i);
}

/* The second half of a login, from its URL on. */
static bool come_back(struct issuer *i, const struct answer *login) {
        const char *url = json_get_string(login->data, "url");
        struct answer waits;
        bool good;

        if (!url)
                return false;
        world_ask(&i->world, METHOD_LOGIN_WAIT,
                  json_pack("{s:s}", "login", json_get_string(login->data, "login")), &waits);
        hush(false);
        world_redirect(&i->world, url, "code1");
        run(i);
        hush(true);
        recover(i, 5);
        if (waits.n_told == 0)
                recover(i, 600);
        assert_int_equal(waits.n_told, 1);
        good = waits.result && streq(json_get_string(waits.result, "state"), "done");
        answer_done(&waits);
        assert_true(i->world.n_token <= 1);
        return good;
}

static int log_in(void *userdata) {
        struct issuer i;
        struct answer a;
        bool good;

        begin(&i, false);
        world_ask(&i.world, METHOD_SERVER_ADD, json_pack("{s:s}", "url", WORLD_SERVER), &a);
        run(&i);
        answer_done(&a);
        hush(false);
        get_or_log_in(&i, &a);
        hush(true);
        recover(&i, 5);
        if (a.n_told == 0)
                recover(&i, 600);
        assert_int_equal(a.n_told, 1);
        good = come_back(&i, &a);
        answer_done(&a);
        /* One that came to nothing leaves the way free for the next. */
        if (!good) {
                recover(&i, 601);
                get_or_log_in(&i, &a);
                assert_int_equal(a.n_told, 1);
                assert_non_null(a.result ? a.result : a.data);
                answer_done(&a);
        }
        return end(&i, good);
}

static void a_request_for_a_cached_token_is_answered_whatever_fails(void **state) {
        assert_true(oom_sweep(get_cached, NULL) > 20);
}

/* A145 S7 */
static void no_failed_allocation_loses_a_refresh_token(void **state) {
        assert_true(oom_sweep_any(refresh, NULL) > 100);
}

/* A144 A145 S7 */
static void nor_in_a_refresh_for_fewer_scopes(void **state) {
        char scopes[] = "read";

        assert_true(oom_sweep_any(refresh, scopes) > 100);
}

/* A147 */
static void a_refusal_is_told_whatever_fails(void **state) {
        assert_true(oom_sweep_any(refuse, NULL) > 50);
}

static void a_removal_ends_whatever_fails(void **state) {
        json_t *params = json_pack("{s:s}", "server", WORLD_SERVER);

        assert_true(oom_sweep_any(remove_server, params) > 50);
        json_decref(params);
}

/* A122 */
static void a_login_ends_whatever_fails_and_another_can_begin(void **state) {
        assert_true(oom_sweep_any(log_in, NULL) > 200);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_request_for_a_cached_token_is_answered_whatever_fails),
                cmocka_unit_test(no_failed_allocation_loses_a_refresh_token),
                cmocka_unit_test(nor_in_a_refresh_for_fewer_scopes),
                cmocka_unit_test(a_refusal_is_told_whatever_fails),
                cmocka_unit_test(a_removal_ends_whatever_fails),
                cmocka_unit_test(a_login_ends_whatever_fails_and_another_can_begin),
        };

        return cmocka_run_group_tests_name("broker-oom", tests, NULL, NULL);
}
