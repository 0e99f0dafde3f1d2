/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include "base/codec.h"
#include "base/limits.h"
#include "oauth/par.h"
#include "oom.h"

#define NOW ((uint64_t)1000000000)
#define REFERENCE "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"

struct fixture {
        struct as_metadata as;
        struct registration reg;
        struct scope_set scopes;
        struct authorization login;
};

static void fixture_init(struct fixture *f, enum client_auth auth) {
        struct authorization_params params = { .as = &f->as,
                                               .registration = &f->reg,
                                               .redirect_uri = "http://127.0.0.1:4711/callback/x",
                                               .resource = "https://mcp.example.com/mcp",
                                               .scopes = &f->scopes,
                                               .now_wall = NOW };

        *f = (struct fixture){ .reg = { .issuer = strdup(ISSUER),
                                        .client_id = strdup("cl&ent"),
                                        .client_secret = strdup("hush"),
                                        .auth = auth } };
        as_make(&f->as);
        f->as.par_endpoint = strdup(ISSUER "/par");
        scopes_make(&f->scopes, "b a");
        assert_int_equal(authorization_begin(&f->login, &params, NULL), 0);
}

static void fixture_done(struct fixture *f) {
        as_metadata_done(&f->as);
        registration_done(&f->reg);
        scope_set_done(&f->scopes);
        authorization_done(&f->login);
}
#define AUTO_FIXTURE __attribute__((cleanup(fixture_done), unused))

static int answer_with(struct fixture *f, unsigned status, const char *body,
                       struct token_fault *fault, struct error *err) {
        AUTO_ANSWER struct fetch_answer a;

        answer_make(&a, status, body);
        return par_answer(&f->login, &f->as, &a, NOW, fault, err);
}

static void assert_once(const struct form *form, const char *name, const char *value) {
        bool twice = false;
        const char *got = form_get(form, name, &twice);

        assert_false(twice);
        assert_string_equal(got ? got : "(none)", value ? value : "(none)");
}

/* A108 A127 */
static void what_the_browser_would_carry_is_pushed_with_the_clients_proof(void **state) {
        static const struct {
                enum client_auth auth;
                const char *secret; /* in the body */
                bool header;
        } table[] = { { CLIENT_AUTH_NONE, NULL, false },
                      { CLIENT_AUTH_POST, "hush", false },
                      { CLIENT_AUTH_BASIC, NULL, true } };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                AUTO_REQUEST struct fetch_request r = { 0 };
                struct form form = FORM_INIT;

                fixture_init(&f, table[i].auth);
                assert_int_equal(par_request(&r, &f.login, &f.reg, &f.as, NULL), 0);
                assert_string_equal(r.method, "POST");
                assert_string_equal(r.url, ISSUER "/par");
                assert_int_equal(request_header(&r, "Authorization") != NULL, table[i].header);
                assert_int_equal(form_parse(&form, r.body.data, r.body.len), 0);
                assert_once(&form, "client_id", "cl&ent");
                assert_once(&form, "client_secret", table[i].secret);
                assert_once(&form, "response_type", "code");
                assert_once(&form, "redirect_uri", "http://127.0.0.1:4711/callback/x");
                assert_once(&form, "scope", "a b");
                assert_once(&form, "state", f.login.state);
                assert_once(&form, "resource", "https://mcp.example.com/mcp");
                assert_once(&form, "code_challenge_method", "S256");
                assert_once(&form, "request_uri", NULL);
                assert_null(strstr(r.body.data, f.login.verifier));
                form_done(&form);
        }
}

/* A108 */
static void the_browser_brings_the_client_and_the_reference_only(void **state) {
        static const char want[] = ISSUER "/authorize?client_id=cl%26ent&request_uri=urn%3Aietf%3A"
                                          "params%3Aoauth%3Arequest_uri%3A6esc_11ACC5bwc014ltc14eY"
                                          "22c";
        AUTO_FIXTURE struct fixture f;
        AUTO_BUF struct buf url = BUF_INIT;
        struct token_fault fault = { .what = TOKEN_OTHER };
        struct error err = ERROR_INIT;

        fixture_init(&f, CLIENT_AUTH_NONE);
        f.as.par_required = true;
        assert_true(authorization_url(&url, &f.login, &f.as, &err) < 0);
        assert_int_equal(err.code, MCPB_UNSUPPORTED);
        assert_non_null(strstr(err.message, "pushed"));
        assert_int_equal(answer_with(&f, 201,
                                     "{\"request_uri\":\"" REFERENCE "\",\"expires_in\":60}",
                                     &fault, NULL),
                         0);
        assert_int_equal(fault.what, TOKEN_OK);
        assert_int_equal(f.login.request_expires_wall, NOW + 60 * USEC_PER_SEC);
        assert_int_equal(authorization_url(&url, &f.login, &f.as, NULL), 0);
        assert_string_equal(url.data, want);
}

/* A94 */
static void the_reference_is_in_the_record(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_AUTHORIZATION struct authorization back = AUTHORIZATION_INIT;
        AUTO_JSON json_t *json = NULL;

        fixture_init(&f, CLIENT_AUTH_NONE);
        assert_int_equal(answer_with(&f, 201,
                                     "{\"request_uri\":\"" REFERENCE "\",\"expires_in\":60}", NULL,
                                     NULL),
                         0);
        assert_int_equal(authorization_to_json(&f.login, &json), 0);
        assert_int_equal(authorization_from_json(&back, json), 0);
        assert_string_equal(back.request_uri, REFERENCE);
        assert_int_equal(back.request_expires_wall, f.login.request_expires_wall);
        assert_int_equal(json_object_set_new(json, "request_expires_wall", json_integer(-1)), 0);
        assert_int_equal(authorization_from_json(&back, json), -EBADMSG);
}

static void it_is_used_where_it_is_offered(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_REQUEST struct fetch_request r = { 0 };
        struct error err = ERROR_INIT;

        fixture_init(&f, CLIENT_AUTH_NONE);
        assert_true(par_wanted(&f.as));
        free(f.as.par_endpoint);
        f.as.par_endpoint = NULL;
        assert_false(par_wanted(&f.as));
        assert_int_equal(par_request(&r, &f.login, &f.reg, &f.as, &err), -EOPNOTSUPP);
        assert_null(r.url);
        f.as.par_required = true;
        assert_true(par_wanted(&f.as));
}

static void the_reference_lives_no_longer_than_the_login(void **state) {
        static const struct {
                const char *expires;
                uint64_t sec;
        } table[] = { { ",\"expires_in\":60", 60 },
                      { ",\"expires_in\":\"61\"", 61 },
                      { ",\"expires_in\":99999999", LIMIT_LOGIN_SEC },
                      { "", LIMIT_LOGIN_SEC } };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                char body[128];

                fixture_init(&f, CLIENT_AUTH_NONE);
                (void)snprintf(body, sizeof(body), "{\"request_uri\":\"r\"%s}", table[i].expires);
                assert_int_equal(answer_with(&f, 200, body, NULL, NULL), 0);
                assert_int_equal(f.login.request_expires_wall, NOW + table[i].sec * USEC_PER_SEC);
        }
}

/* A69 A135 A240 S5 */
static void a_refusal_is_final_and_leaves_the_login_without_a_reference(void **state) {
        static const struct {
                unsigned status;
                const char *body;
                enum token_error what;
                enum error_code code;
        } table[] = {
                { 400, "{\"error\":\"invalid_scope\"}", TOKEN_INVALID_SCOPE, MCPB_ISSUER_ERROR },
                { 401, "{\"error\":\"invalid_client\"}", TOKEN_INVALID_CLIENT,
                  MCPB_REGISTRATION_REQUIRED },
                { 400, "{\"error\":\"invalid_request\"}", TOKEN_OTHER, MCPB_ISSUER_ERROR },
                { 503, "", TOKEN_TRANSIENT, MCPB_ISSUER_ERROR },
                { 302, "", TOKEN_OTHER, MCPB_ISSUER_ERROR },
                { 404, "<html>", TOKEN_OTHER, MCPB_ISSUER_ERROR },
                { 201, "", TOKEN_IN_DOUBT, MCPB_ISSUER_ERROR },
                { 201, "[]", TOKEN_IN_DOUBT, MCPB_ISSUER_ERROR },
                { 201, "{\"expires_in\":60}", TOKEN_IN_DOUBT, MCPB_ISSUER_ERROR },
                { 201, "{\"request_uri\":\"\"}", TOKEN_IN_DOUBT, MCPB_ISSUER_ERROR },
                { 201, "{\"request_uri\":\"a b\"}", TOKEN_IN_DOUBT, MCPB_ISSUER_ERROR },
                { 201, "{\"request_uri\":\"a\\r\\nb\"}", TOKEN_IN_DOUBT, MCPB_ISSUER_ERROR },
                { 201, "{\"request_uri\":7}", TOKEN_IN_DOUBT, MCPB_ISSUER_ERROR },
                { 201, "{\"request_uri\":\"a\",\"expires_in\":0}", TOKEN_IN_DOUBT,
                  MCPB_ISSUER_ERROR },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                struct token_fault fault = { .what = TOKEN_OK };
                struct error err = ERROR_INIT;

                fixture_init(&f, CLIENT_AUTH_NONE);
                assert_true(answer_with(&f, table[i].status, table[i].body, &fault, &err) < 0);
                assert_int_equal(fault.what, table[i].what);
                assert_int_equal(err.code, table[i].code);
                assert_null(f.login.request_uri);
        }
}

static void a_reference_has_a_bound(void **state) {
        AUTO_FIXTURE struct fixture f;
        char body[2100];
        int n;

        fixture_init(&f, CLIENT_AUTH_NONE);
        n = snprintf(body, sizeof(body), "{\"request_uri\":\"%01025d\"}", 0);
        assert_true(n > 0 && answer_with(&f, 201, body, NULL, NULL) < 0);
        (void)snprintf(body, sizeof(body), "{\"request_uri\":\"%01024d\"}", 0);
        assert_int_equal(answer_with(&f, 201, body, NULL, NULL), 0);
}

/* A69 A240 S5 */
static void a_login_is_pushed_to_its_own_issuer_only(void **state) {
        for (int wrong = 0; wrong < 4; wrong++) {
                AUTO_FIXTURE struct fixture f;
                AUTO_REQUEST struct fetch_request r = { 0 };
                struct error err = ERROR_INIT;
                char **slot[] = { &f.as.issuer, &f.reg.issuer, &f.login.issuer,
                                  &f.login.client_id };

                fixture_init(&f, CLIENT_AUTH_NONE);
                free(*slot[wrong]);
                *slot[wrong] = strdup("https://other.example");
                assert_true(par_request(&r, &f.login, &f.reg, &f.as, &err) < 0);
                assert_int_equal(err.code, MCPB_INTERNAL);
                assert_null(r.url);
        }
}

static int request_once(void *userdata) {
        struct fixture *f = userdata;
        AUTO_REQUEST struct fetch_request r = { 0 };

        return par_request(&r, &f->login, &f->reg, &f->as, NULL);
}

static int answer_once(void *userdata) {
        struct fixture *f = userdata;
        struct fetch_answer a;
        int r;

        oom_pause(true);
        answer_make(&a, 201, "{\"request_uri\":\"" REFERENCE "\",\"expires_in\":60}");
        oom_pause(false);
        r = par_answer(&f->login, &f->as, &a, NOW, NULL, NULL);
        fetch_answer_done(&a);
        return r;
}

static void running_out_of_memory_is_said(void **state) {
        AUTO_FIXTURE struct fixture f;

        fixture_init(&f, CLIENT_AUTH_BASIC);
        assert_true(oom_sweep(request_once, &f) > 5);
        /* jansson does not always say that it was the memory. */
        assert_true(oom_sweep_any(answer_once, &f) > 2);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_the_browser_would_carry_is_pushed_with_the_clients_proof),
                cmocka_unit_test(the_browser_brings_the_client_and_the_reference_only),
                cmocka_unit_test(the_reference_is_in_the_record),
                cmocka_unit_test(it_is_used_where_it_is_offered),
                cmocka_unit_test(the_reference_lives_no_longer_than_the_login),
                cmocka_unit_test(a_refusal_is_final_and_leaves_the_login_without_a_reference),
                cmocka_unit_test(a_reference_has_a_bound),
                cmocka_unit_test(a_login_is_pushed_to_its_own_issuer_only),
                cmocka_unit_test(running_out_of_memory_is_said),
        };

        return cmocka_run_group_tests_name("par", tests, NULL, NULL);
}
