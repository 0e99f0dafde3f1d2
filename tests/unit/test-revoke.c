/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include "oauth/revoke.h"

static const struct registration client = { .issuer = (char[]){ ISSUER },
                                            .client_id = (char[]){ "client" },
                                            .client_secret = (char[]){ "s" },
                                            .auth = CLIENT_AUTH_POST };

/* A152 A153 */
static void the_request_names_the_token_and_the_client(void **state) {
        static const struct {
                enum revoke_kind kind;
                const char *body;
        } table[] = {
                { REVOKE_REFRESH_TOKEN,
                  "token=t%2Bu&token_type_hint=refresh_token&client_id=client&client_secret=s" },
                { REVOKE_ACCESS_TOKEN,
                  "token=t%2Bu&token_type_hint=access_token&client_id=client&client_secret=s" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REQUEST struct fetch_request f = { 0 };

                as_make(&as);
                assert_int_equal(revoke_request(&f, &client, &as, table[i].kind, "t+u", NULL), 0);
                assert_string_equal(f.method, "POST");
                assert_string_equal(f.url, ISSUER "/revoke");
                assert_string_equal(request_header(&f, "Content-Type"),
                                    "application/x-www-form-urlencoded");
                assert_string_equal(f.body.data, table[i].body);
        }
}

/* A69 A152 */
static void no_endpoint_or_another_issuer_is_no_request(void **state) {
        AUTO_AS_METADATA struct as_metadata as;
        struct fetch_request f = { 0 };
        struct error err = ERROR_INIT;

        as_make(&as);
        free(as.issuer);
        as.issuer = strdup("https://other.example");
        assert_true(revoke_request(&f, &client, &as, REVOKE_REFRESH_TOKEN, "t", &err) < 0);
        assert_int_equal(err.code, MCPB_INTERNAL);
        assert_null(f.url);
        free(as.revocation_endpoint);
        as.revocation_endpoint = NULL;
        assert_int_equal(revoke_request(&f, &client, &as, REVOKE_REFRESH_TOKEN, "t", &err),
                         -EOPNOTSUPP);
        assert_int_equal(err.code, MCPB_UNSUPPORTED);
}

/* A154 */
static void the_answer_says_done_later_or_the_other_token(void **state) {
        static const struct {
                unsigned status; /* 0: not sent */
                const char *body;
                const char *retry;
                enum revoke_outcome outcome;
                uint64_t sec;
        } table[] = {
                { 200, "", NULL, REVOKE_DONE, 0 },
                { 200, "<html>", NULL, REVOKE_DONE, 0 },
                { 503, "", "30", REVOKE_LATER, 30 },
                { 503, "", NULL, REVOKE_LATER, 0 },
                { 429, "", "5", REVOKE_LATER, 5 },
                { 0, "", NULL, REVOKE_LATER, 0 },
                { 400, "{\"error\":\"unsupported_token_type\"}", NULL, REVOKE_OTHER, 0 },
                { 400, "{\"error\":\"invalid_request\"}", NULL, REVOKE_FAILED, 0 },
                { 401, "{\"error\":\"invalid_client\"}", NULL, REVOKE_FAILED, 0 },
                { 404, "", NULL, REVOKE_FAILED, 0 },
                { 302, "", NULL, REVOKE_FAILED, 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_ANSWER struct fetch_answer a;
                struct error err = ERROR_INIT;
                uint64_t sec = 99;

                as_make(&as);
                if (table[i].status)
                        answer_make(&a, table[i].status, table[i].body);
                else
                        answer_none(&a, FETCH_NOT_SENT, FETCH_FAILURE_CONNECT);
                if (table[i].retry)
                        assert_int_equal(fetch_answer_add_header(&a, "Retry-After", table[i].retry),
                                         0);
                assert_int_equal(revoke_answer(&as, &a, &sec, &err), table[i].outcome);
                assert_int_equal(sec, table[i].sec);
                assert_int_equal(err.code == MCPB_NO_ERROR, table[i].outcome == REVOKE_DONE);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_request_names_the_token_and_the_client),
                cmocka_unit_test(no_endpoint_or_another_issuer_is_no_request),
                cmocka_unit_test(the_answer_says_done_later_or_the_other_token),
        };

        return cmocka_run_group_tests_name("revoke", tests, NULL, NULL);
}
