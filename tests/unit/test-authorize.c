/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include "base/codec.h"
#include "base/limits.h"
#include "crypto/pkce.h"
#include "oauth/authorize.h"
#include "oom.h"

#define RESOURCE "HTTPS://Mcp.example.com/mcp"
#define REDIRECT "http://127.0.0.1:4711/callback/x"
#define NOW ((uint64_t)1000000000)

struct fixture {
        struct as_metadata as;
        struct registration reg;
        struct scope_set scopes;
        struct authorization_params params;
};

static void fixture_init(struct fixture *f, const char *scopes) {
        *f = (struct fixture){ .reg = { .issuer = strdup(ISSUER), .client_id = strdup("cl&ent") } };
        as_make(&f->as);
        scopes_make(&f->scopes, scopes);
        f->params = (struct authorization_params){ .as = &f->as,
                                                   .registration = &f->reg,
                                                   .redirect_uri = REDIRECT,
                                                   .resource = RESOURCE,
                                                   .scopes = &f->scopes,
                                                   .now_wall = NOW };
}

static void fixture_done(struct fixture *f) {
        as_metadata_done(&f->as);
        registration_done(&f->reg);
        scope_set_done(&f->scopes);
}
#define AUTO_FIXTURE __attribute__((cleanup(fixture_done), unused))

/* The query of the URL, parsed. */
static void url_params(const struct authorization *a, const struct as_metadata *as,
                       struct form *form) {
        AUTO_BUF struct buf b = BUF_INIT;
        const char *query;

        assert_int_equal(authorization_url(&b, a, as, NULL), 0);
        assert_memory_equal(b.data, ISSUER "/authorize?", strlen(ISSUER "/authorize?"));
        query = strchr(b.data, '?') + 1;
        assert_null(strchr(query, '?'));
        assert_int_equal(form_parse(form, query, strlen(query)), 0);
}

static void assert_param(const struct form *form, const char *name, const char *value) {
        bool twice = false;
        const char *got = form_get(form, name, &twice);

        assert_false(twice);
        if (!value)
                assert_null(got);
        else
                assert_string_equal(got ? got : "(none)", value);
}

/* A90 A92 A95 A96 A106 A107 */
static void the_url_carries_each_parameter_once(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
        AUTO_BUF struct buf proof = BUF_INIT;
        struct form form = FORM_INIT;

        fixture_init(&f, "b a");
        assert_int_equal(authorization_begin(&a, &f.params, NULL), 0);
        url_params(&a, &f.as, &form);
        assert_int_equal(form.n_pairs, 8);
        assert_param(&form, "response_type", "code");
        assert_param(&form, "client_id", "cl&ent");
        assert_param(&form, "redirect_uri", REDIRECT);
        assert_param(&form, "scope", "a b");
        assert_param(&form, "state", a.state);
        assert_param(&form, "resource", RESOURCE);
        assert_param(&form, "code_challenge_method", "S256");
        assert_int_equal(pkce_challenge(&proof, a.verifier), 0);
        assert_param(&form, "code_challenge", proof.data);
        assert_string_not_equal(proof.data, a.verifier);
        form_done(&form);
}

/* A53: also after a restart, and records of before this was asked for send it. */
static void the_resource_is_left_out_where_a_person_says_so(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
        AUTO_AUTHORIZATION struct authorization back = AUTHORIZATION_INIT;
        AUTO_JSON json_t *json = NULL;

        fixture_init(&f, "a");
        f.params.no_resource = true;
        assert_int_equal(authorization_begin(&a, &f.params, NULL), 0);
        assert_string_equal(a.resource, RESOURCE);
        assert_int_equal(authorization_to_json(&a, &json), 0);
        for (int record = 0; record < 3; record++) {
                struct form form = FORM_INIT;

                if (record == 2)
                        assert_int_equal(json_object_del(json, "no_resource"), 0);
                if (record > 0)
                        assert_int_equal(authorization_from_json(&back, json), 0);
                url_params(record > 0 ? &back : &a, &f.as, &form);
                assert_int_equal(form.n_pairs, record == 2 ? 8 : 7);
                assert_param(&form, "resource", record == 2 ? RESOURCE : NULL);
                form_done(&form);
        }
}

/* A91 A93 A94 */
static void each_login_has_secrets_of_its_own(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
        AUTO_AUTHORIZATION struct authorization b = AUTHORIZATION_INIT;

        fixture_init(&f, "");
        assert_int_equal(authorization_begin(&a, &f.params, NULL), 0);
        assert_int_equal(authorization_begin(&b, &f.params, NULL), 0);
        assert_true(strlen(a.verifier) >= 43 && strlen(a.verifier) <= 128);
        assert_true(strlen(a.state) >= 43);
        assert_string_not_equal(a.verifier, b.verifier);
        assert_string_not_equal(a.state, b.state);
        assert_string_not_equal(a.state, a.verifier);
        assert_string_equal(a.issuer, ISSUER);
        assert_string_equal(a.resource, RESOURCE);
        assert_string_equal(a.redirect_uri, REDIRECT);
        assert_string_equal(a.client_id, "cl&ent");
        assert_int_equal(a.started_wall, NOW);
        assert_int_equal(a.expires_wall, NOW + LIMIT_LOGIN_SEC * USEC_PER_SEC);
}

/* A93 */
static void a_login_lives_ten_minutes_at_most(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;

        fixture_init(&f, "");
        f.params.lifetime_sec = 100000;
        assert_int_equal(authorization_begin(&a, &f.params, NULL), 0);
        assert_true(a.expires_wall - a.started_wall <= 600 * USEC_PER_SEC);
        f.params.lifetime_sec = 30;
        assert_int_equal(authorization_begin(&a, &f.params, NULL), 0);
        assert_int_equal(a.expires_wall - a.started_wall, 30 * USEC_PER_SEC);
}

/* A107 */
static void no_scope_means_no_scope_parameter(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
        struct form form = FORM_INIT;

        fixture_init(&f, "");
        assert_int_equal(authorization_begin(&a, &f.params, NULL), 0);
        url_params(&a, &f.as, &form);
        assert_param(&form, "scope", NULL);
        form_done(&form);
}

/* A110 */
static void consent_is_asked_for_with_offline_access_at_an_openid_provider(void **state) {
        static const struct {
                bool openid;
                const char *scopes;
                const char *prompt;
        } table[] = { { true, "a offline_access", "consent" },
                      { true, "a", NULL },
                      { false, "a offline_access", NULL } };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
                struct form form = FORM_INIT;

                fixture_init(&f, table[i].scopes);
                f.as.openid = table[i].openid;
                assert_int_equal(authorization_begin(&a, &f.params, NULL), 0);
                url_params(&a, &f.as, &form);
                assert_param(&form, "prompt", table[i].prompt);
                form_done(&form);
        }
}

/* A164 */
static void a_challenge_may_ask_for_a_stronger_login(void **state) {
        static const char *const value =
                "Bearer error=\"insufficient_user_authentication\", acr_values=\"a b\", max_age=5";
        AUTO_FIXTURE struct fixture f;
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        struct form form = FORM_INIT;

        fixture_init(&f, "");
        assert_int_equal(challenge_parse(&c, &value, 1), 0);
        f.params.challenge = &c;
        assert_int_equal(authorization_begin(&a, &f.params, NULL), 0);
        url_params(&a, &f.as, &form);
        assert_param(&form, "acr_values", "a b");
        assert_param(&form, "max_age", "5");
        form_done(&form);
}

/* A64 */
static void the_endpoints_own_query_is_kept(void **state) {
        static const struct {
                const char *query;
                const char *begins; /* NULL: refused */
        } table[] = {
                { "?tenant=1", "?tenant=1&response_type=code&" },
                { "?tenant=1&", "?tenant=1&response_type=code&" },
                { "?", "?response_type=code&" },
                { "?client_id=evil", NULL },
                { "?a=1&%73tate=evil", NULL },
                { "?a=%zz", NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
                AUTO_BUF struct buf b = BUF_INIT;
                struct error err = ERROR_INIT;
                char endpoint[128];

                fixture_init(&f, "");
                (void)snprintf(endpoint, sizeof(endpoint), "%s/authorize%s", ISSUER,
                               table[i].query);
                free(f.as.authorization_endpoint);
                f.as.authorization_endpoint = strdup(endpoint);
                assert_int_equal(authorization_begin(&a, &f.params, NULL), 0);
                if (!table[i].begins) {
                        assert_true(authorization_url(&b, &a, &f.as, &err) < 0);
                        assert_int_equal(err.code, MCPB_ISSUER_ERROR);
                        continue;
                }
                assert_int_equal(authorization_url(&b, &a, &f.as, &err), 0);
                assert_memory_equal(strchr(b.data, '?'), table[i].begins, strlen(table[i].begins));
        }
}

/* A100 A101 */
static void a_url_for_the_browser_is_https_or_loopback_and_harmless(void **state) {
        static const struct {
                const char *endpoint;
                bool good;
        } table[] = {
                { "https://as.example.com/a", true },
                { "http://127.0.0.1:1/a", true },
                { "https://as.example.com/$(id)'`x`", true },
                { "http://as.example.com/a", false },
                { "file:///x", false },
                { "javascript://x/%0aalert(1)", false },
                { "data:text/html,x", false },
                { "https://as.example.com/a\"b", false },
                { "https://as.example.com/a b", false },
                { "https://as.example.com/a\nb", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
                AUTO_BUF struct buf b = BUF_INIT;

                fixture_init(&f, "");
                free(f.as.authorization_endpoint);
                f.as.authorization_endpoint = strdup(table[i].endpoint);
                assert_int_equal(authorization_begin(&a, &f.params, NULL), 0);
                assert_int_equal(authorization_url(&b, &a, &f.as, NULL) == 0, table[i].good);
                if (table[i].good)
                        assert_null(strpbrk(b.data, "'\"` \n\\"));
                else
                        assert_int_equal(b.len, 0);
        }
}

/* A69 A94 A240 */
static void nothing_of_one_issuer_goes_to_another(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
        AUTO_BUF struct buf b = BUF_INIT;
        struct error err = ERROR_INIT;

        fixture_init(&f, "");
        assert_int_equal(authorization_begin(&a, &f.params, NULL), 0);
        free(f.as.issuer);
        f.as.issuer = strdup("https://other.example");
        assert_true(authorization_url(&b, &a, &f.as, &err) < 0);
        assert_int_equal(err.code, MCPB_INTERNAL);
        assert_true(authorization_begin(&a, &f.params, &err) < 0);
}

/* A60 A62 A102 */
static void a_login_does_not_begin_without_what_it_needs(void **state) {
        static const char *const redirects[] = {
                "http://example.com:1/callback", "https://127.0.0.1:1/callback",
                "http://127.0.0.1/callback",     "http://127.0.0.1:1/callback#x",
                "http://127.0.0.1:1/c?x=1",      "myapp:/callback",
        };
        static const char *const good[] = { "http://127.0.0.1:1/c", "http://[::1]:1/c",
                                            "http://localhost:1/c" };
        AUTO_FIXTURE struct fixture f;
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;

        fixture_init(&f, "");
        for (size_t i = 0; i < ARRAY_SIZE(redirects); i++) {
                f.params.redirect_uri = redirects[i];
                assert_true(authorization_begin(&a, &f.params, NULL) < 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                f.params.redirect_uri = good[i];
                assert_int_equal(authorization_begin(&a, &f.params, NULL), 0);
        }
        f.as.pkce_s256 = false;
        assert_true(authorization_begin(&a, &f.params, NULL) < 0);
        f.as.pkce_s256 = true;
        f.as.code_flow = false;
        assert_true(authorization_begin(&a, &f.params, NULL) < 0);
}

/* A94 */
static void what_was_recorded_comes_back_from_its_record(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
        AUTO_AUTHORIZATION struct authorization back = AUTHORIZATION_INIT;
        AUTO_JSON json_t *json = NULL;
        AUTO_JSON json_t *again = NULL;
        const char *key;
        json_t *value;

        fixture_init(&f, "b a");
        f.as.iss_supported = true;
        assert_int_equal(authorization_begin(&a, &f.params, NULL), 0);
        assert_int_equal(authorization_to_json(&a, &json), 0);
        assert_int_equal(authorization_from_json(&back, json), 0);
        assert_int_equal(authorization_to_json(&back, &again), 0);
        assert_true(json_equal(json, again));
        assert_true(back.iss_supported);
        /* Nothing that decides on the response may be missing. */
        json_object_foreach(json, key, value) {
                AUTO_JSON json_t *cut = json_copy(json);

                if (streq(key, "prompt_consent") || streq(key, "no_resource"))
                        continue;
                assert_int_equal(json_object_del(cut, key), 0);
                assert_int_equal(authorization_from_json(&back, cut), -EBADMSG);
        }
}

static void login_make(struct authorization *a, bool iss_supported) {
        *a = (struct authorization){ .state = strdup("STATE"),
                                     .verifier = strdup("v"),
                                     .redirect_uri = strdup(REDIRECT),
                                     .issuer = strdup(ISSUER),
                                     .resource = strdup(RESOURCE),
                                     .client_id = strdup("c"),
                                     .iss_supported = iss_supported,
                                     .started_wall = NOW,
                                     .expires_wall = NOW + 10 };
}

#define ISS "iss=https%3A%2F%2Fas.example.com"

/* A93 A112 A113 A114 A115 A116 A117 A118 A119 A120 A121 */
static void a_response_is_judged_before_its_code_goes_anywhere(void **state) {
        static const struct {
                const char *query;
                bool iss_supported;
                enum authorization_result result;
                const char *says; /* in the message */
        } table[] = {
                /* not ours: wait on */
                { "", false, AUTHORIZATION_IGNORED, NULL },
                { "code=c", false, AUTHORIZATION_IGNORED, NULL },
                { "code=c&state=", false, AUTHORIZATION_IGNORED, NULL },
                { "code=c&state=state", false, AUTHORIZATION_IGNORED, NULL },
                { "code=c&state=STAT", false, AUTHORIZATION_IGNORED, NULL },
                { "code=c&state=STATEX", false, AUTHORIZATION_IGNORED, NULL },
                { "code=c&state=STATE&state=STATE", false, AUTHORIZATION_IGNORED, NULL },
                { "error=access_denied", false, AUTHORIZATION_IGNORED, NULL },
                { "code=%zz&state=STATE", false, AUTHORIZATION_IGNORED, NULL },
                /* good */
                { "code=c%2Bd&state=STATE", false, AUTHORIZATION_CODE, "c+d" },
                { "x=1&code=c&state=STATE&session_state=2", false, AUTHORIZATION_CODE, "c" },
                { "code=c&state=STATE&" ISS, true, AUTHORIZATION_CODE, "c" },
                { "code=c&state=STATE&" ISS, false, AUTHORIZATION_CODE, "c" },
                /* the issuer */
                { "code=c&state=STATE", true, AUTHORIZATION_FAILED, "does not say which issuer" },
                { "code=c&state=STATE&iss=", true, AUTHORIZATION_FAILED, "another issuer" },
                { "code=c&state=STATE&iss=https://evil.example", true, AUTHORIZATION_FAILED,
                  "another issuer" },
                { "code=c&state=STATE&iss=https://evil.example", false, AUTHORIZATION_FAILED,
                  "another issuer" },
                { "code=c&state=STATE&" ISS "%2F", true, AUTHORIZATION_FAILED, "another issuer" },
                { "code=c&state=STATE&" ISS "%3A443", true, AUTHORIZATION_FAILED,
                  "another issuer" },
                { "code=c&state=STATE&iss=https://AS.example.com", true, AUTHORIZATION_FAILED,
                  "another issuer" },
                { "code=c&state=STATE&iss=https://as%252eexample.com", true, AUTHORIZATION_FAILED,
                  "another issuer" },
                { "error=evil_error&error_description=evil&state=STATE&iss=https://evil.example",
                  false, AUTHORIZATION_FAILED, "another issuer" },
                { "error=evil_error&error_description=evil&state=STATE", true, AUTHORIZATION_FAILED,
                  "does not say" },
                /* twice */
                { "code=c&code=c&state=STATE", false, AUTHORIZATION_FAILED, "twice" },
                { "code=c&state=STATE&iss=a&" ISS, true, AUTHORIZATION_FAILED, "twice" },
                { "code=c&state=STATE&x=1&x=2", false, AUTHORIZATION_FAILED, "twice" },
                { "error=a&error=b&state=STATE", false, AUTHORIZATION_FAILED, "twice" },
                /* errors of the issuer */
                { "error=access_denied&state=STATE", false, AUTHORIZATION_REFUSED,
                  "access_denied" },
                { "error=access_denied&error_description=no+%1B%5B31m&state=STATE&" ISS, true,
                  AUTHORIZATION_REFUSED, "access_denied: no ?[31m" },
                { "error=invalid_scope&state=STATE", false, AUTHORIZATION_FAILED, "invalid_scope" },
                { "error=server_error&code=c&state=STATE", false, AUTHORIZATION_FAILED,
                  "server_error" },
                { "state=STATE", false, AUTHORIZATION_FAILED, "neither" },
                { "code=&state=STATE", false, AUTHORIZATION_FAILED, "neither" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
                AUTO_WIPE_STR char *code = NULL;
                struct error err = ERROR_INIT;

                login_make(&a, table[i].iss_supported);
                if (authorization_response(&a, table[i].query, NOW, &code, &err) != table[i].result)
                        fail_msg("%s: %s", table[i].query, err.message);
                if (table[i].result == AUTHORIZATION_CODE) {
                        assert_string_equal(code, table[i].says);
                        continue;
                }
                assert_null(code);
                assert_int_equal(err.code == MCPB_NO_ERROR,
                                 table[i].result == AUTHORIZATION_IGNORED);
                if (!table[i].says)
                        continue;
                if (!strstr(err.message, table[i].says))
                        fail_msg("%s: %s", table[i].query, err.message);
                assert_null(strstr(err.message, "evil"));
                assert_true(err.hint[0]);
        }
}

/* A93 A112 */
static void a_response_after_the_time_ends_the_login(void **state) {
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
        AUTO_WIPE_STR char *code = NULL;
        struct error err = ERROR_INIT;

        login_make(&a, false);
        assert_int_equal(authorization_response(&a, "code=c&state=STATE", NOW + 10, &code, &err),
                         AUTHORIZATION_FAILED);
        assert_int_equal(err.code, MCPB_TIMEOUT);
        assert_null(code);
        assert_int_equal(authorization_response(&a, "code=c&state=X", NOW + 10, &code, &err),
                         AUTHORIZATION_IGNORED);
}

/* A98 A121 A165 */
static void each_refusal_says_what_to_do(void **state) {
        static const char *const codes[] = { "access_denied",           "invalid_scope",
                                             "invalid_target",          "unauthorized_client",
                                             "temporarily_unavailable", "something_else" };
        char hints[ARRAY_SIZE(codes)][512];

        for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
                AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
                AUTO_WIPE_STR char *code = NULL;
                struct error err = ERROR_INIT;
                char query[128];

                login_make(&a, false);
                (void)snprintf(query, sizeof(query), "error=%s&state=STATE", codes[i]);
                assert_true(authorization_response(&a, query, NOW, &code, &err) !=
                            AUTHORIZATION_CODE);
                assert_int_equal(err.code, MCPB_LOGIN_FAILED);
                assert_non_null(strstr(err.message, ISSUER));
                memcpy(hints[i], err.hint, sizeof(hints[i]));
                for (size_t k = 0; k < i; k++)
                        assert_string_not_equal(hints[k], hints[i]);
        }
}

/* A105 A112 */
static void the_listener_takes_only_its_own_requests(void **state) {
        static const struct {
                const char *method;
                const char *target;
                const char *host;
                bool takes;
        } table[] = {
                { "GET", "/callback/x", "127.0.0.1:4711", true },
                { "POST", "/callback/x", "127.0.0.1:4711", false },
                { "HEAD", "/callback/x", "127.0.0.1:4711", false },
                { "GET", "/callback/y", "127.0.0.1:4711", false },
                { "GET", "/callback/x/", "127.0.0.1:4711", false },
                { "GET", "/", "127.0.0.1:4711", false },
                { "GET", "/callback/x", "127.0.0.1", false },
                { "GET", "/callback/x", "localhost:4711", false },
                { "GET", "/callback/x", "evil.example:4711", false },
                { "GET", "/callback/x", "127.0.0.1:4712", false },
        };
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;

        login_make(&a, false);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                assert_int_equal(
                        authorization_takes(&a, table[i].method, table[i].target, table[i].host),
                        table[i].takes);
}

/* A75 A105 */
static void each_issuer_has_a_redirect_path_of_its_own_where_we_register_it(void **state) {
        const struct registration document = { .how = REGISTRATION_METADATA_DOCUMENT };
        const struct registration entered = { .how = REGISTRATION_PREREGISTERED,
                                              .redirect_uri_registered =
                                                      (char[]){ "http://127.0.0.1:99/my/path" } };
        AUTO_BUF struct buf a = BUF_INIT;
        AUTO_BUF struct buf again = BUF_INIT;
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_BUF struct buf fixed = BUF_INIT;
        AUTO_BUF struct buf own = BUF_INIT;

        assert_int_equal(authorize_redirect_path(ISSUER, NULL, &a), 0);
        assert_int_equal(authorize_redirect_path(ISSUER, NULL, &again), 0);
        assert_int_equal(authorize_redirect_path(ISSUER "/", NULL, &b), 0);
        assert_string_equal(a.data, again.data);
        assert_string_not_equal(a.data, b.data);
        assert_memory_equal(a.data, "/callback/", 10);
        assert_int_equal(authorize_redirect_path(ISSUER, &document, &fixed), 0);
        assert_string_equal(fixed.data, "/callback");
        assert_int_equal(authorize_redirect_path(ISSUER, &entered, &own), 0);
        assert_string_equal(own.data, "/my/path");
}

static int login_once(void *userdata) {
        struct fixture *f = userdata;
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
        AUTO_AUTHORIZATION struct authorization back = AUTHORIZATION_INIT;
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_JSON json_t *json = NULL;
        int r = authorization_begin(&a, &f->params, NULL);

        if (r == 0)
                r = authorization_url(&b, &a, &f->as, NULL);
        if (r == 0)
                r = authorization_to_json(&a, &json);
        if (r == 0)
                r = authorization_from_json(&back, json);
        return r;
}

static void running_out_of_memory_is_said(void **state) {
        AUTO_FIXTURE struct fixture f;

        fixture_init(&f, "a b");
        assert_true(oom_sweep(login_once, &f) > 30);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_url_carries_each_parameter_once),
                cmocka_unit_test(the_resource_is_left_out_where_a_person_says_so),
                cmocka_unit_test(each_login_has_secrets_of_its_own),
                cmocka_unit_test(a_login_lives_ten_minutes_at_most),
                cmocka_unit_test(no_scope_means_no_scope_parameter),
                cmocka_unit_test(consent_is_asked_for_with_offline_access_at_an_openid_provider),
                cmocka_unit_test(a_challenge_may_ask_for_a_stronger_login),
                cmocka_unit_test(the_endpoints_own_query_is_kept),
                cmocka_unit_test(a_url_for_the_browser_is_https_or_loopback_and_harmless),
                cmocka_unit_test(nothing_of_one_issuer_goes_to_another),
                cmocka_unit_test(a_login_does_not_begin_without_what_it_needs),
                cmocka_unit_test(what_was_recorded_comes_back_from_its_record),
                cmocka_unit_test(a_response_is_judged_before_its_code_goes_anywhere),
                cmocka_unit_test(a_response_after_the_time_ends_the_login),
                cmocka_unit_test(each_refusal_says_what_to_do),
                cmocka_unit_test(the_listener_takes_only_its_own_requests),
                cmocka_unit_test(each_issuer_has_a_redirect_path_of_its_own_where_we_register_it),
                cmocka_unit_test(running_out_of_memory_is_said),
        };

        return cmocka_run_group_tests_name("authorize", tests, NULL, NULL);
}
