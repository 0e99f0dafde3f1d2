/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "presenting.h"

#include "oom.h"

static int answer_with(struct fixture *f, struct token_reply *reply, unsigned status,
                       const char *body, struct token_fault *fault, struct error *err) {
        AUTO_ANSWER struct fetch_answer a;
        bool dropped = false;
        int r;

        answer_make(&a, status, body);
        r = present_answer(reply, &f->p, &a, &dropped, fault, err);
        assert_int_equal(dropped, r == 0 && strstr(body, "refresh_token"));
        return r;
}

#define ANSWER(more) "{\"access_token\":\"t\",\"token_type\":\"Bearer\"" more "}"
#define ISSUED(name) ",\"issued_token_type\":\"urn:ietf:params:oauth:token-type:" name "\""

/* A151 */
static void a_refresh_token_is_dropped_and_that_is_told(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        struct token_fault fault = { .what = TOKEN_OTHER };

        fixture_init(&f, PRESENT_JWT_BEARER);
        assert_int_equal(answer_with(&f, &reply, 200,
                                     ANSWER(",\"refresh_token\":\"r\",\"expires_in\":60"), &fault,
                                     NULL),
                         0);
        assert_int_equal(fault.what, TOKEN_OK);
        assert_string_equal(reply.access_token.data, "t");
        assert_int_equal(reply.expires_in, 60);
        assert_int_equal(reply.refresh_token.len, 0);
        assert_int_equal(answer_with(&f, &reply, 200, ANSWER(""), NULL, NULL), 0);
}

/* A187 A200 */
static void what_is_no_access_token_never_passes_for_one(void **state) {
        static const struct {
                enum present how;
                const char *profile;
                const char *body;
                bool taken;
        } table[] = {
                { PRESENT_TOKEN_EXCHANGE, NULL, ANSWER(ISSUED("access_token")), true },
                { PRESENT_TOKEN_EXCHANGE, NULL, ANSWER(""), false },
                { PRESENT_TOKEN_EXCHANGE, NULL, ANSWER(ISSUED("id-jag")), false },
                { PRESENT_TOKEN_EXCHANGE, NULL, ANSWER(ISSUED("refresh_token")), false },
                { PRESENT_TOKEN_EXCHANGE, NULL, ANSWER(ISSUED("Access_Token")), false },
                { PRESENT_TOKEN_EXCHANGE, "openai", ANSWER(""), true },
                { PRESENT_TOKEN_EXCHANGE, "openai", ANSWER(ISSUED("id-jag")), false },
                { PRESENT_TOKEN_EXCHANGE, "google-sts", ANSWER(""), false },
                { PRESENT_JWT_BEARER, NULL, ANSWER(""), true },
                { PRESENT_JWT_BEARER, NULL, ANSWER(ISSUED("id-jag")), false },
                { PRESENT_ID_JAG, NULL, ANSWER(ISSUED("id-jag")), false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                struct token_fault fault = { .what = TOKEN_OTHER };
                struct error err = ERROR_INIT;
                int r;

                fixture_init(&f, table[i].how);
                f.p.profile = table[i].profile ? present_profile_find(table[i].profile) : NULL;
                r = answer_with(&f, &reply, 200, table[i].body, &fault, &err);
                assert_int_equal(r == 0, table[i].taken);
                assert_int_equal(fault.what, table[i].taken ? TOKEN_OK : TOKEN_OTHER);
                assert_int_equal(reply.access_token.len > 0, table[i].taken);
                assert_int_equal(err.code, table[i].taken ? MCPB_NO_ERROR : MCPB_ISSUER_ERROR);
        }
}

/* RFC 8705 3.1: the key stays here, and what cannot be read is not ours to judge. */
static void a_token_that_is_bound_to_the_certificate_is_refused(void **state) {
        static const struct {
                const char *claims;
                bool taken;
        } table[] = {
                { "{\"sub\":\"a\",\"cnf\":{\"x5t#S256\":\"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-"
                  "dg2\"}}",
                  false },
                { "{\"sub\":\"a\",\"cnf\":{\"kid\":\"k\"}}", true },
                { "{\"sub\":\"a\",\"cnf\":\"x5t#S256\"}", true },
                { "{\"sub\":\"a\"}", true },
                { NULL, true },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                AUTO_BUF struct buf token = BUF_INIT;
                AUTO_BUF struct buf body = BUF_INIT;
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                struct token_fault fault = { .what = TOKEN_OK };
                struct error err = ERROR_INIT;
                const char *claims = table[i].claims;
                int r;

                fixture_init(&f, PRESENT_MTLS);
                assert_int_equal(buf_append_str(&token, "eyJhbGciOiJFUzI1NiJ9."), 0);
                assert_int_equal(claims ? base64url_append(&token, claims, strlen(claims)) : 0, 0);
                assert_int_equal(buf_append_str(&token, claims ? ".c2ln" : "opaque"), 0);
                assert_int_equal(buf_printf(&body,
                                            "{\"access_token\":\"%s\",\"token_type\":\"Bearer\"}",
                                            token.data),
                                 0);
                r = answer_with(&f, &reply, 200, body.data, &fault, &err);
                assert_int_equal(r == 0, table[i].taken);
                assert_int_equal(reply.access_token.len > 0, table[i].taken);
                assert_int_equal(fault.what, table[i].taken ? TOKEN_OK : TOKEN_OTHER);
                assert_int_equal(err.code, table[i].taken ? MCPB_NO_ERROR : MCPB_UNSUPPORTED);
                if (!table[i].taken)
                        assert_non_null(strstr(err.message, "bound to the certificate"));
        }
}

static void a_bound_token_is_taken_where_there_was_a_proof(void **state) {
        static const char body[] = "{\"access_token\":\"t\",\"token_type\":\"DPoP\"}";
        AUTO_FIXTURE struct fixture f;
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        struct error err = ERROR_INIT;

        fixture_init(&f, PRESENT_JWT_BEARER);
        assert_true(answer_with(&f, &reply, 200, body, NULL, &err) < 0);
        assert_int_equal(err.code, MCPB_UNSUPPORTED);
        f.p.dpop = true;
        assert_int_equal(answer_with(&f, &reply, 200, body, NULL, NULL), 0);
        assert_string_equal(reply.token_type, "DPoP");
}

/* A183 A198 A199: nobody is sent to a browser, and what comes next is a person's to change. */
static void a_refusal_says_what_to_do_where_nobody_logs_in(void **state) {
        static const struct {
                unsigned status;
                const char *body;
                enum token_error what;
                enum error_code code;
                const char *hint;
        } table[] = {
                { 400, "{\"error\":\"invalid_grant\"}", TOKEN_INVALID_GRANT, MCPB_ISSUER_ERROR,
                  "Audience=" },
                { 401, "{\"error\":\"invalid_client\"}", TOKEN_INVALID_CLIENT,
                  MCPB_REGISTRATION_REQUIRED, "ClientId=" },
                { 400, "{\"error\":\"unauthorized_client\"}", TOKEN_UNAUTHORIZED_CLIENT,
                  MCPB_REGISTRATION_REQUIRED, "Present=" },
                { 400, "{\"error\":\"unsupported_grant_type\"}", TOKEN_OTHER, MCPB_UNSUPPORTED,
                  "Present=" },
                { 400, "{\"error\":\"invalid_scope\"}", TOKEN_INVALID_SCOPE, MCPB_ISSUER_ERROR,
                  "scopes" },
                { 400, "{\"error\":\"use_attestation_challenge\"}", TOKEN_OTHER, MCPB_ISSUER_ERROR,
                  "challenge" },
                { 400, "{\"error\":\"use_fresh_attestation\"}", TOKEN_OTHER, MCPB_IDENTITY_FAILED,
                  "renews" },
                { 400, "{\"error\":\"invalid_client_attestation\"}", TOKEN_OTHER,
                  MCPB_IDENTITY_FAILED, "attester" },
                { 200, "{\"error\":\"invalid_grant\"}", TOKEN_INVALID_GRANT, MCPB_ISSUER_ERROR,
                  "Audience=" },
                { 503, "{\"error\":\"invalid_grant\"}", TOKEN_TRANSIENT, MCPB_ISSUER_ERROR,
                  "later" },
                { 302, "{\"error\":\"invalid_grant\"}", TOKEN_OTHER, MCPB_ISSUER_ERROR,
                  "Redirects" },
                { 400, "", TOKEN_OTHER, MCPB_ISSUER_ERROR, "Report" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                struct token_fault fault = { .what = TOKEN_OK };
                struct error err = ERROR_INIT;

                fixture_init(&f, PRESENT_JWT_BEARER);
                assert_true(answer_with(&f, &reply, table[i].status, table[i].body, &fault, &err) <
                            0);
                assert_int_equal(fault.what, table[i].what);
                assert_int_equal(err.code, table[i].code);
                assert_non_null(strstr(err.hint, table[i].hint));
                assert_null(strstr(err.hint, "og in again"));
                assert_non_null(strstr(err.message, ISSUER));
        }
}

static void no_answer_is_told_as_it_is(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        AUTO_ANSWER struct fetch_answer a;
        struct token_fault fault = { .what = TOKEN_OK };
        struct error err = ERROR_INIT;

        fixture_init(&f, PRESENT_JWT_BEARER);
        answer_none(&a, FETCH_NOT_SENT, FETCH_FAILURE_CONNECT);
        assert_true(present_answer(&reply, &f.p, &a, NULL, &fault, &err) < 0);
        assert_int_equal(fault.what, TOKEN_NOT_SENT);
        assert_int_equal(err.code, MCPB_ISSUER_UNREACHABLE);
}

static void a_challenge_is_asked_for_once_and_is_one_word(void **state) {
        static const struct {
                unsigned status;
                const char *field; /* NULL: none */
                const char *body;
                bool challenge;
                bool wanted;
        } table[] = {
                { 400, "c1", "{\"error\":\"use_attestation_challenge\"}", true, true },
                { 401, "c1", "{\"error\":\"use_attestation_challenge\"}", true, true },
                { 200, "c2", ANSWER(""), true, false },
                { 400, "c1", "{\"error\":\"invalid_grant\"}", true, false },
                { 400, NULL, "{\"error\":\"use_attestation_challenge\"}", false, false },
                { 400, "a b", "{\"error\":\"use_attestation_challenge\"}", false, false },
                { 400, "", "{\"error\":\"use_attestation_challenge\"}", false, false },
                { 500, "c1", "{\"error\":\"use_attestation_challenge\"}", true, false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_ANSWER struct fetch_answer a;
                const char *challenge;

                answer_make(&a, table[i].status, table[i].body);
                if (table[i].field)
                        assert_int_equal(
                                fetch_answer_add_header(&a, "oauth-client-attestation-challenge",
                                                        table[i].field),
                                0);
                challenge = present_answer_challenge(&a);
                assert_int_equal(challenge != NULL, table[i].challenge);
                if (challenge)
                        assert_string_equal(challenge, table[i].field);
                assert_int_equal(present_answer_wants_challenge(&a), table[i].wanted);
        }
}

static void a_challenge_is_got_where_the_metadata_says(void **state) {
        static const struct {
                unsigned status;
                const char *body;
                bool good;
        } table[] = {
                { 200, "{\"attestation_challenge\":\"c1\"}", true },
                { 201, "{\"attestation_challenge\":\"c1\"}", true },
                { 200, "{\"attestation_challenge\":\"c 1\"}", false },
                { 200, "{}", false },
                { 200, "", false },
                { 404, "{\"attestation_challenge\":\"c1\"}", false },
        };
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REQUEST struct fetch_request r = { 0 };
        struct error err = ERROR_INIT;

        as_make(&as);
        assert_int_equal(present_challenge_request(&r, &as, &err), -EOPNOTSUPP);
        assert_int_equal(err.code, MCPB_UNSUPPORTED);
        as.challenge_endpoint = strdup(ISSUER "/challenge");
        assert_int_equal(present_challenge_request(&r, &as, NULL), 0);
        assert_string_equal(r.method, "POST");
        assert_string_equal(r.url, ISSUER "/challenge");
        assert_int_equal(r.body.len, 0);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_ANSWER struct fetch_answer a;
                AUTO_FREE char *text = NULL;

                answer_make(&a, table[i].status, table[i].body);
                assert_int_equal(present_challenge_answer(&text, &as, &a, NULL) == 0,
                                 table[i].good);
                assert_int_equal(text != NULL, table[i].good);
        }
}

static int answer_once(void *userdata) {
        struct fixture *f = userdata;
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        struct fetch_answer a;
        int r;

        oom_pause(true);
        answer_make(&a, 200, ANSWER(",\"refresh_token\":\"r\"" ISSUED("access_token")));
        oom_pause(false);
        r = present_answer(&reply, &f->p, &a, NULL, NULL, NULL);
        fetch_answer_done(&a);
        return r;
}

static int refusal_once(void *userdata) {
        struct fixture *f = userdata;
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        struct fetch_answer a;
        int r;

        oom_pause(true);
        answer_make(&a, 400, "{\"error\":\"invalid_grant\"}");
        oom_pause(false);
        r = present_answer(&reply, &f->p, &a, NULL, NULL, NULL);
        fetch_answer_done(&a);
        return r == -EPROTO ? 0 : r;
}

static void running_out_of_memory_is_said(void **state) {
        AUTO_FIXTURE struct fixture f;

        fixture_init(&f, PRESENT_TOKEN_EXCHANGE);
        /* jansson does not always say that it was the memory. */
        assert_true(oom_sweep_any(answer_once, &f) > 5);
        assert_true(oom_sweep_any(refusal_once, &f) > 1);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_refresh_token_is_dropped_and_that_is_told),
                cmocka_unit_test(what_is_no_access_token_never_passes_for_one),
                cmocka_unit_test(a_token_that_is_bound_to_the_certificate_is_refused),
                cmocka_unit_test(a_bound_token_is_taken_where_there_was_a_proof),
                cmocka_unit_test(a_refusal_says_what_to_do_where_nobody_logs_in),
                cmocka_unit_test(no_answer_is_told_as_it_is),
                cmocka_unit_test(a_challenge_is_asked_for_once_and_is_one_word),
                cmocka_unit_test(a_challenge_is_got_where_the_metadata_says),
                cmocka_unit_test(running_out_of_memory_is_said),
        };

        return cmocka_run_group_tests_name("present-answer", tests, NULL, NULL);
}
