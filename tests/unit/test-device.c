/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include "base/limits.h"
#include "oauth/device.h"
#include "oom.h"

#define RESOURCE "https://mcp.example.com/mcp"
#define NOW ((uint64_t)1000000000)
#define SEC USEC_PER_SEC
#define GOOD                                                                    \
        "\"device_code\":\"GmRhmhcxhwAzkoEqiMEg\",\"user_code\":\"WDJB-MJHT\"," \
        "\"verification_uri\":\"https://as.example.com/device\""

struct fixture {
        struct as_metadata as;
        struct registration reg;
        struct scope_set scopes;
        struct device_params params;
        struct device_login login;
};

static void fixture_init(struct fixture *f, enum client_auth auth) {
        *f = (struct fixture){ .reg = { .issuer = strdup(ISSUER),
                                        .client_id = strdup("client"),
                                        .client_secret = strdup("hush"),
                                        .auth = auth } };
        as_make(&f->as);
        f->as.device_authorization_endpoint = strdup(ISSUER "/device_authorization");
        scopes_make(&f->scopes, "b a");
        f->params = (struct device_params){ .as = &f->as,
                                            .registration = &f->reg,
                                            .resource = RESOURCE,
                                            .scopes = &f->scopes,
                                            .now_wall = NOW };
}

static void fixture_done(struct fixture *f) {
        as_metadata_done(&f->as);
        registration_done(&f->reg);
        scope_set_done(&f->scopes);
        device_login_done(&f->login);
}
#define AUTO_FIXTURE __attribute__((cleanup(fixture_done), unused))

static int answer_with(struct fixture *f, unsigned status, const char *body,
                       struct token_fault *fault, struct error *err) {
        AUTO_ANSWER struct fetch_answer a;

        answer_make(&a, status, body);
        return device_answer(&f->login, &f->params, &a, fault, err);
}

static void begin(struct fixture *f, enum client_auth auth) {
        fixture_init(f, auth);
        assert_int_equal(
                answer_with(f, 200, "{" GOOD ",\"expires_in\":900,\"interval\":7}", NULL, NULL), 0);
}

static enum device_next poll_with(struct fixture *f, unsigned status, const char *body,
                                  uint64_t now, struct error *err) {
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        AUTO_ANSWER struct fetch_answer a;
        enum device_next next;

        answer_make(&a, status, body);
        next = device_poll_answer(&f->login, &f->as, &a, now, &reply, err);
        assert_int_equal(next == DEVICE_GRANTED, reply.access_token.len > 0);
        return next;
}

/* A127 A222 */
static void a_code_is_asked_for_with_the_clients_proof(void **state) {
        static const struct {
                enum client_auth auth;
                const char *scopes;
                const char *resource;
                const char *body;
        } table[] = {
                { CLIENT_AUTH_NONE, "b a", RESOURCE,
                  "scope=a+b&resource=https%3A%2F%2Fmcp.example.com%2Fmcp&client_id=client" },
                { CLIENT_AUTH_POST, "", NULL, "client_id=client&client_secret=hush" },
                { CLIENT_AUTH_BASIC, "a", NULL, "scope=a" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                AUTO_REQUEST struct fetch_request r = { 0 };

                fixture_init(&f, table[i].auth);
                scope_set_done(&f.scopes);
                scopes_make(&f.scopes, table[i].scopes);
                f.params.resource = table[i].resource;
                assert_int_equal(device_request(&r, &f.params, NULL), 0);
                assert_string_equal(r.method, "POST");
                assert_string_equal(r.url, ISSUER "/device_authorization");
                assert_string_equal(r.body.data, table[i].body);
                assert_int_equal(request_header(&r, "Authorization") != NULL,
                                 table[i].auth == CLIENT_AUTH_BASIC);
        }
}

/* A60 A69 A240 S5 */
static void without_an_endpoint_or_at_another_issuer_nothing_is_asked(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_REQUEST struct fetch_request r = { 0 };
        struct error err = ERROR_INIT;

        begin(&f, CLIENT_AUTH_NONE);
        free(f.reg.issuer);
        f.reg.issuer = strdup("https://other.example");
        assert_true(device_request(&r, &f.params, &err) < 0);
        assert_int_equal(err.code, MCPB_INTERNAL);
        assert_true(device_poll_request(&r, &f.login, &f.reg, &f.as, NOW, &err) < 0);
        free(f.login.issuer);
        f.login.issuer = strdup("https://other.example");
        assert_true(device_poll_request(&r, &f.login, &f.reg, &f.as, NOW, &err) < 0);
        assert_int_equal(err.code, MCPB_INTERNAL);
        free(f.login.issuer);
        f.login.issuer = strdup(ISSUER);
        free(f.login.client_id);
        f.login.client_id = strdup("other");
        assert_true(device_poll_request(&r, &f.login, &f.reg, &f.as, NOW, &err) < 0);
        assert_int_equal(err.code, MCPB_INTERNAL);
        free(f.as.device_authorization_endpoint);
        f.as.device_authorization_endpoint = NULL;
        assert_int_equal(device_request(&r, &f.params, &err), -EOPNOTSUPP);
        assert_null(r.url);
}

static void what_the_person_needs_is_read(void **state) {
        AUTO_FIXTURE struct fixture f;
        struct token_fault fault = { .what = TOKEN_OTHER };

        fixture_init(&f, CLIENT_AUTH_NONE);
        assert_int_equal(answer_with(&f, 200,
                                     "{" GOOD ",\"verification_uri_complete\":\"https://as.example"
                                     ".com/device?user_code=WDJB-MJHT\",\"expires_in\":900}",
                                     &fault, NULL),
                         0);
        assert_int_equal(fault.what, TOKEN_OK);
        assert_string_equal(f.login.device_code, "GmRhmhcxhwAzkoEqiMEg");
        assert_string_equal(f.login.user_code, "WDJB-MJHT");
        assert_string_equal(f.login.verification_uri, "https://as.example.com/device");
        assert_string_equal(f.login.verification_uri_complete,
                            "https://as.example.com/device?user_code=WDJB-MJHT");
        assert_string_equal(f.login.issuer, ISSUER);
        assert_string_equal(f.login.client_id, "client");
        assert_string_equal(f.login.resource, RESOURCE);
        assert_scopes(&f.login.scopes, "a b");
        assert_int_equal(f.login.interval_sec, 5);
        assert_int_equal(f.login.next_wall, NOW + 5 * SEC);
        assert_int_equal(f.login.expires_wall, NOW + 900 * SEC);
}

static void times_have_bounds(void **state) {
        static const struct {
                const char *members;
                unsigned interval;
                uint64_t sec;
        } table[] = {
                { "", 5, LIMIT_DEVICE_SEC },
                { ",\"expires_in\":\"60\",\"interval\":0", 1, 60 },
                { ",\"expires_in\":1e12,\"interval\":-3", 1, LIMIT_DEVICE_SEC },
                { ",\"expires_in\":5,\"interval\":99999999", LIMIT_DEVICE_SEC, 5 },
                { ",\"interval\":\"soon\"", 5, LIMIT_DEVICE_SEC },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                char body[512];

                fixture_init(&f, CLIENT_AUTH_NONE);
                (void)snprintf(body, sizeof(body), "{" GOOD "%s}", table[i].members);
                assert_int_equal(answer_with(&f, 200, body, NULL, NULL), 0);
                assert_int_equal(f.login.interval_sec, table[i].interval);
                assert_int_equal(f.login.expires_wall, NOW + table[i].sec * SEC);
        }
}

#define WITH(code, user, uri)                                                                  \
        "{\"device_code\":\"" code "\",\"user_code\":\"" user "\",\"verification_uri\":\"" uri \
        "\",\"expires_in\":60}"

/* A4 A100 A101 A226 */
static void what_would_mislead_a_person_is_not_shown(void **state) {
        static const struct {
                const char *body;
                enum error_code code;
        } table[] = {
                { WITH("d", "", "https://h/"), MCPB_ISSUER_ERROR },
                { WITH("d", "A\\u001b[2J", "https://h/"), MCPB_ISSUER_ERROR },
                { WITH("d", "A\\nB", "https://h/"), MCPB_ISSUER_ERROR },
                { WITH("d", "\xd0\x90-1", "https://h/"), MCPB_ISSUER_ERROR },
                { WITH("d", " A", "https://h/"), MCPB_ISSUER_ERROR },
                { WITH("d", "01234567890123456789012345678901234567890123456789012345678901234",
                       "https://h/"),
                  MCPB_ISSUER_ERROR },
                { WITH("", "A", "https://h/"), MCPB_ISSUER_ERROR },
                { WITH("d d", "A", "https://h/"), MCPB_ISSUER_ERROR },
                { WITH("d", "A", "http://h/"), MCPB_ISSUER_ERROR },
                { WITH("d", "A", "javascript:alert(1)"), MCPB_ISSUER_ERROR },
                { WITH("d", "A", "https://u@h/"), MCPB_ISSUER_ERROR },
                { WITH("d", "A", "https://169.254.169.254/"), MCPB_ADDRESS_REFUSED },
                { "{\"device_code\":\"d\",\"user_code\":\"A\"}", MCPB_ISSUER_ERROR },
                { "{" GOOD ",\"expires_in\":0}", MCPB_ISSUER_ERROR },
                { "[]", MCPB_ISSUER_ERROR },
                { "", MCPB_ISSUER_ERROR },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                struct token_fault fault = { .what = TOKEN_OK };
                struct error err = ERROR_INIT;

                fixture_init(&f, CLIENT_AUTH_NONE);
                assert_true(answer_with(&f, 200, table[i].body, &fault, &err) < 0);
                assert_int_equal(err.code, table[i].code);
                assert_int_equal(fault.what, TOKEN_IN_DOUBT);
                assert_null(f.login.device_code);
        }
}

/* A101 */
static void a_link_is_harmless_or_left_out(void **state) {
        AUTO_FIXTURE struct fixture f;

        fixture_init(&f, CLIENT_AUTH_NONE);
        assert_int_equal(answer_with(&f, 200,
                                     "{\"device_code\":\"d\",\"user_code\":\"A\","
                                     "\"verification_uri\":\"https://h/'`\","
                                     "\"verification_uri_complete\":\"http://h/\"}",
                                     NULL, NULL),
                         0);
        assert_string_equal(f.login.verification_uri, "https://h/%27%60");
        assert_null(f.login.verification_uri_complete);
}

/* A135 */
static void a_refusal_drives_what_comes_next(void **state) {
        static const struct {
                unsigned status;
                const char *body;
                enum token_error what;
        } table[] = {
                { 401, "{\"error\":\"invalid_client\"}", TOKEN_INVALID_CLIENT },
                { 400, "{\"error\":\"unauthorized_client\"}", TOKEN_UNAUTHORIZED_CLIENT },
                { 400, "{\"error\":\"invalid_scope\"}", TOKEN_INVALID_SCOPE },
                { 503, "", TOKEN_TRANSIENT },
                { 404, "", TOKEN_OTHER },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                struct token_fault fault = { .what = TOKEN_OK };

                fixture_init(&f, CLIENT_AUTH_NONE);
                assert_true(answer_with(&f, table[i].status, table[i].body, &fault, NULL) < 0);
                assert_int_equal(fault.what, table[i].what);
        }
}

static void a_poll_names_the_code_and_the_client(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_REQUEST struct fetch_request r = { 0 };

        begin(&f, CLIENT_AUTH_POST);
        assert_int_equal(device_poll_request(&r, &f.login, &f.reg, &f.as, NOW, NULL), 0);
        assert_string_equal(r.url, ISSUER "/token");
        assert_string_equal(r.body.data,
                            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&"
                            "device_code=GmRhmhcxhwAzkoEqiMEg&resource=https%3A%2F%2Fmcp.example."
                            "com%2Fmcp&client_id=client&client_secret=hush");
}

/* A224 */
static void each_poll_answer_is_judged_by_its_code(void **state) {
        static const struct {
                unsigned status;
                const char *body;
                enum device_next next;
                enum error_code code;
                unsigned interval; /* it was 7 */
        } table[] = {
                { 400, "{\"error\":\"authorization_pending\"}", DEVICE_WAIT, MCPB_NO_ERROR, 7 },
                { 200, "{\"error\":\"authorization_pending\"}", DEVICE_WAIT, MCPB_NO_ERROR, 7 },
                { 403, "{\"error\":\"authorization_pending\"}", DEVICE_WAIT, MCPB_NO_ERROR, 7 },
                { 400, "{\"error\":\"slow_down\"}", DEVICE_WAIT, MCPB_NO_ERROR, 12 },
                { 503, "", DEVICE_WAIT, MCPB_NO_ERROR, 14 },
                { 429, "", DEVICE_WAIT, MCPB_NO_ERROR, 14 },
                { 400, "{\"error\":\"access_denied\"}", DEVICE_REFUSED, MCPB_LOGIN_FAILED, 7 },
                { 400, "{\"error\":\"expired_token\"}", DEVICE_EXPIRED, MCPB_TIMEOUT, 7 },
                { 400, "{\"error\":\"invalid_grant\"}", DEVICE_FAILED, MCPB_GRANT_REVOKED, 7 },
                { 401, "{\"error\":\"invalid_client\"}", DEVICE_FAILED, MCPB_REGISTRATION_REQUIRED,
                  7 },
                { 302, "", DEVICE_FAILED, MCPB_ISSUER_ERROR, 7 },
                { 200, "<html>", DEVICE_FAILED, MCPB_ISSUER_ERROR, 7 },
                { 200, "{\"access_token\":\"t\",\"token_type\":\"Bearer\"}", DEVICE_GRANTED,
                  MCPB_NO_ERROR, 7 },
                { 200, "{\"access_token\":\"t\",\"token_type\":\"DPoP\"}", DEVICE_FAILED,
                  MCPB_UNSUPPORTED, 7 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                struct error err = ERROR_INIT;

                begin(&f, CLIENT_AUTH_NONE);
                assert_int_equal(poll_with(&f, table[i].status, table[i].body, NOW + SEC, &err),
                                 table[i].next);
                assert_int_equal(err.code, table[i].code);
                assert_int_equal(f.login.interval_sec, table[i].interval);
                if (table[i].next == DEVICE_WAIT)
                        assert_int_equal(f.login.next_wall, NOW + (1 + table[i].interval) * SEC);
        }
}

static void a_bound_token_is_taken_where_the_polls_had_a_proof(void **state) {
        AUTO_FIXTURE struct fixture f;

        fixture_init(&f, CLIENT_AUTH_NONE);
        f.params.dpop = true;
        assert_int_equal(answer_with(&f, 200, "{" GOOD "}", NULL, NULL), 0);
        assert_int_equal(
                poll_with(&f, 200, "{\"access_token\":\"t\",\"token_type\":\"DPoP\"}", NOW, NULL),
                DEVICE_GRANTED);
}

/* A224 */
static void an_issuer_that_does_not_answer_is_asked_less_and_less(void **state) {
        static const unsigned intervals[] = { 14, 28, 56, 60, 60 };
        AUTO_FIXTURE struct fixture f;

        begin(&f, CLIENT_AUTH_NONE);
        for (size_t i = 0; i < ARRAY_SIZE(intervals); i++) {
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                AUTO_ANSWER struct fetch_answer a;

                answer_none(&a, i % 2 ? FETCH_NOT_SENT : FETCH_NO_ANSWER, FETCH_FAILURE_TIMEOUT);
                assert_int_equal(device_poll_answer(&f.login, &f.as, &a, NOW, &reply, NULL),
                                 DEVICE_WAIT);
                assert_int_equal(f.login.interval_sec, intervals[i]);
                assert_int_equal(f.login.next_wall, NOW + intervals[i] * SEC);
        }
        /* What the issuer itself asks for is never undercut. */
        f.login.interval_sec = 300;
        assert_int_equal(poll_with(&f, 500, "", NOW, NULL), DEVICE_WAIT);
        assert_int_equal(f.login.interval_sec, 300);
}

static void a_pause_that_is_asked_for_is_kept(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        AUTO_ANSWER struct fetch_answer a;

        begin(&f, CLIENT_AUTH_NONE);
        answer_make(&a, 429, "");
        assert_int_equal(fetch_answer_add_header(&a, "retry-after", "90"), 0);
        assert_int_equal(device_poll_answer(&f.login, &f.as, &a, NOW, &reply, NULL), DEVICE_WAIT);
        assert_int_equal(f.login.next_wall, NOW + 90 * SEC);
        assert_int_equal(f.login.interval_sec, 14);
}

/* A225 */
static void a_login_ends_when_its_time_is_over(void **state) {
        static const char *const waiting[] = { "{\"error\":\"authorization_pending\"}",
                                               "{\"error\":\"slow_down\"}" };
        AUTO_REQUEST struct fetch_request r = { 0 };

        for (size_t i = 0; i < ARRAY_SIZE(waiting) + 1; i++) {
                AUTO_FIXTURE struct fixture f;
                struct error err = ERROR_INIT;
                unsigned status = i < ARRAY_SIZE(waiting) ? 400 : 503;
                const char *body = i < ARRAY_SIZE(waiting) ? waiting[i] : "";

                begin(&f, CLIENT_AUTH_NONE);
                assert_int_equal(poll_with(&f, status, body, NOW + 900 * SEC - 1, &err),
                                 DEVICE_WAIT);
                assert_int_equal(poll_with(&f, status, body, NOW + 900 * SEC, &err),
                                 DEVICE_EXPIRED);
                assert_int_equal(err.code, MCPB_TIMEOUT);
                assert_true(device_poll_request(&r, &f.login, &f.reg, &f.as, NOW + 900 * SEC,
                                                &err) < 0);
                assert_int_equal(err.code, MCPB_TIMEOUT);
                assert_null(r.url);
                /* A token that comes at the last moment is one. */
                assert_int_equal(poll_with(&f, 200,
                                           "{\"access_token\":\"t\",\"token_type\":\"Bearer\"}",
                                           NOW + 900 * SEC, &err),
                                 DEVICE_GRANTED);
        }
}

/* A94 */
static void what_was_recorded_comes_back_from_its_record(void **state) {
        static const char *const needed[] = { "device_code",  "user_code",    "verification_uri",
                                              "issuer",       "client_id",    "scopes",
                                              "dpop",         "interval_sec", "next_wall",
                                              "started_wall", "expires_wall" };
        AUTO_FIXTURE struct fixture f;
        AUTO_DEVICE_LOGIN struct device_login back = DEVICE_LOGIN_INIT;
        AUTO_JSON json_t *json = NULL;
        AUTO_JSON json_t *again = NULL;

        begin(&f, CLIENT_AUTH_NONE);
        assert_int_equal(device_login_to_json(&f.login, &json), 0);
        assert_int_equal(device_login_from_json(&back, json), 0);
        assert_int_equal(device_login_to_json(&back, &again), 0);
        assert_true(json_equal(json, again));
        assert_int_equal(back.expires_wall, f.login.expires_wall);
        assert_int_equal(back.interval_sec, 7);
        for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
                AUTO_JSON json_t *part = json_deep_copy(json);

                assert_int_equal(json_object_del(part, needed[i]), 0);
                assert_int_equal(device_login_from_json(&back, part), -EBADMSG);
        }
        assert_string_equal(back.device_code, f.login.device_code);
}

struct case_ {
        struct fixture f;
        struct fetch_answer answer;
};

static int request_once(void *userdata) {
        struct case_ *c = userdata;
        AUTO_REQUEST struct fetch_request r = { 0 };

        return device_request(&r, &c->f.params, NULL);
}

static int answer_once(void *userdata) {
        struct case_ *c = userdata;
        AUTO_DEVICE_LOGIN struct device_login d = DEVICE_LOGIN_INIT;

        return device_answer(&d, &c->f.params, &c->answer, NULL, NULL);
}

static int poll_once(void *userdata) {
        struct case_ *c = userdata;
        AUTO_REQUEST struct fetch_request r = { 0 };

        return device_poll_request(&r, &c->f.login, &c->f.reg, &c->f.as, NOW, NULL);
}

static int record_once(void *userdata) {
        struct case_ *c = userdata;
        AUTO_DEVICE_LOGIN struct device_login d = DEVICE_LOGIN_INIT;
        AUTO_JSON json_t *json = NULL;
        int r = device_login_to_json(&c->f.login, &json);

        return r < 0 ? r : device_login_from_json(&d, json);
}

static void running_out_of_memory_is_said(void **state) {
        struct case_ c;

        begin(&c.f, CLIENT_AUTH_BASIC);
        answer_make(&c.answer, 200,
                    "{" GOOD ",\"verification_uri_complete\":\"https://as.example.com/d\"}");
        assert_true(oom_sweep(request_once, &c) > 5);
        /* jansson does not always say that it was the memory. */
        assert_true(oom_sweep_any(answer_once, &c) > 5);
        assert_true(oom_sweep(poll_once, &c) > 5);
        assert_true(oom_sweep(record_once, &c) > 5);
        fetch_answer_done(&c.answer);
        fixture_done(&c.f);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_code_is_asked_for_with_the_clients_proof),
                cmocka_unit_test(without_an_endpoint_or_at_another_issuer_nothing_is_asked),
                cmocka_unit_test(what_the_person_needs_is_read),
                cmocka_unit_test(times_have_bounds),
                cmocka_unit_test(what_would_mislead_a_person_is_not_shown),
                cmocka_unit_test(a_link_is_harmless_or_left_out),
                cmocka_unit_test(a_refusal_drives_what_comes_next),
                cmocka_unit_test(a_poll_names_the_code_and_the_client),
                cmocka_unit_test(each_poll_answer_is_judged_by_its_code),
                cmocka_unit_test(a_bound_token_is_taken_where_the_polls_had_a_proof),
                cmocka_unit_test(an_issuer_that_does_not_answer_is_asked_less_and_less),
                cmocka_unit_test(a_pause_that_is_asked_for_is_kept),
                cmocka_unit_test(a_login_ends_when_its_time_is_over),
                cmocka_unit_test(what_was_recorded_comes_back_from_its_record),
                cmocka_unit_test(running_out_of_memory_is_said),
        };

        return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
