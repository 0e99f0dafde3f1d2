/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include "oauth/registration.h"

#define REDIRECT "http://127.0.0.1:4711/callback/x"
#define GRANT "urn:ietf:params:oauth:grant-type:device_code"
#define DOCUMENT "https://client.example.com/mcp-broker.json"

static const struct registration_ask plain_ask = { .redirect_uri = REDIRECT,
                                                   .client_name = "mcp-broker" };

static int answer_from(struct registration *reg, const struct as_metadata *as, unsigned status,
                       const char *body, enum registration_failure *failure, struct error *err) {
        AUTO_ANSWER struct fetch_answer a;

        answer_make(&a, status, body);
        return registration_answer(reg, as, &plain_ask, &a, failure, err);
}

/* A66 A67 A68 A72 */
static void the_client_id_comes_from_the_first_source_there_is(void **state) {
        const struct registration pre = { .issuer = (char[]){ ISSUER },
                                          .client_id = (char[]){ "pre" } };
        const struct registration stored = { .issuer = (char[]){ ISSUER },
                                             .client_id = (char[]){ "stored" },
                                             .how = REGISTRATION_DYNAMIC };
        static const struct {
                bool pre, document, cimd, stored, endpoint;
                int choice; /* -1: error */
                const char *id;
        } table[] = {
                { true, true, true, true, true, REGISTRATION_USE, "pre" },
                { false, true, true, true, true, REGISTRATION_USE, DOCUMENT },
                { false, true, false, true, true, REGISTRATION_USE, "stored" },
                { false, false, true, true, true, REGISTRATION_USE, "stored" },
                { false, true, false, false, true, REGISTRATION_ASK, NULL },
                { false, false, true, false, true, REGISTRATION_ASK, NULL },
                { false, false, false, true, false, REGISTRATION_USE, "stored" },
                { false, true, false, false, false, -1, NULL },
                { false, false, false, false, false, -1, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg = REGISTRATION_INIT;
                enum registration_choice choice = REGISTRATION_CHOICE_COUNT;
                struct error err = ERROR_INIT;
                const struct registration_options options = {
                        .preregistered = table[i].pre ? &pre : NULL,
                        .stored = table[i].stored ? &stored : NULL,
                        .client_metadata_url = table[i].document ? DOCUMENT : NULL,
                };
                int r;

                as_make(&as);
                as.cimd_supported = table[i].cimd;
                if (!table[i].endpoint) {
                        free(as.registration_endpoint);
                        as.registration_endpoint = NULL;
                }
                r = registration_choose(&options, &as, &choice, &reg, &err);
                if (table[i].choice < 0) {
                        assert_true(r < 0);
                        assert_int_equal(err.code, MCPB_REGISTRATION_REQUIRED);
                        assert_non_null(strstr(err.hint, "client"));
                        continue;
                }
                assert_int_equal(r, 0);
                assert_int_equal(choice, table[i].choice);
                if (table[i].id) {
                        assert_string_equal(reg.client_id, table[i].id);
                        assert_string_equal(reg.issuer, ISSUER);
                }
        }
}

/* A69 A70 A77 A83 */
static void a_stored_registration_of_another_issuer_or_expired_is_not_used(void **state) {
        struct registration stored = { .issuer = (char[]){ "https://old.example" },
                                       .client_id = (char[]){ "stored" },
                                       .client_secret = (char[]){ "s" },
                                       .how = REGISTRATION_DYNAMIC };
        struct registration_options options = { .stored = &stored, .now_sec = 1000 };
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REGISTRATION struct registration reg = REGISTRATION_INIT;
        enum registration_choice choice = REGISTRATION_USE;

        as_make(&as);
        assert_int_equal(registration_choose(&options, &as, &choice, &reg, NULL), 0);
        assert_int_equal(choice, REGISTRATION_ASK);
        assert_null(reg.client_id);
        stored.issuer = (char[]){ ISSUER };
        stored.secret_expires_at = 1001;
        assert_int_equal(registration_choose(&options, &as, &choice, &reg, NULL), 0);
        assert_int_equal(choice, REGISTRATION_ASK);
        stored.secret_expires_at = 0;
        assert_int_equal(registration_choose(&options, &as, &choice, &reg, NULL), 0);
        assert_int_equal(choice, REGISTRATION_USE);
        /* A document is nobody's: the same id at whichever issuer takes it. */
        options.client_metadata_url = DOCUMENT;
        as.cimd_supported = true;
        assert_int_equal(registration_choose(&options, &as, &choice, &reg, NULL), 0);
        assert_string_equal(reg.client_id, DOCUMENT);
        assert_int_equal(reg.auth, CLIENT_AUTH_NONE);
}

/* A83 */
static void a_secret_expires_a_little_before_its_time(void **state) {
        struct registration reg = { .secret_expires_at = 0 };

        assert_false(registration_expired(&reg, UINT64_MAX / 2));
        reg.secret_expires_at = 1000;
        assert_false(registration_expired(&reg, 900));
        assert_true(registration_expired(&reg, 950));
        assert_true(registration_expired(&reg, 2000));
}

/* A71 A69 */
static void entered_credentials_stay_with_their_issuer(void **state) {
        const struct registration pre = { .issuer = (char[]){ "https://a.example" },
                                          .client_id = (char[]){ "id" },
                                          .client_secret = (char[]){ "hush" } };
        const struct registration any = { .client_id = (char[]){ "id" } };
        struct registration_options options = { .preregistered = &pre };
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REGISTRATION struct registration reg = REGISTRATION_INIT;
        enum registration_choice choice;
        struct error err = ERROR_INIT;

        as_make(&as);
        assert_true(registration_choose(&options, &as, &choice, &reg, &err) < 0);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
        assert_non_null(strstr(err.message, "https://a.example"));
        assert_non_null(strstr(err.message, ISSUER));
        assert_null(strstr(err.message, "hush"));
        options.preregistered = &any;
        assert_int_equal(registration_choose(&options, &as, &choice, &reg, &err), 0);
        assert_string_equal(reg.issuer, ISSUER);
        assert_int_equal(reg.how, REGISTRATION_PREREGISTERED);
}

/* A73 */
static void a_document_url_is_judged_and_kept_byte_for_byte(void **state) {
        static const struct {
                const char *url;
                bool good;
        } table[] = {
                { DOCUMENT, true },
                { "https://Client.example.com:8443/A/b.json?x=1", true },
                { "https://client.example.com/a/", true },
                { "http://client.example.com/a.json", false },
                { "http://127.0.0.1/a.json", false },
                { "https://client.example.com", false },
                { "https://client.example.com/", false },
                { "https://client.example.com/../a.json", false },
                { "https://client.example.com/a/./b", false },
                { "https://client.example.com/a/..", false },
                { "https://client.example.com/a#b", false },
                { "https://u:p@client.example.com/a", false },
                { "a.json", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                const struct registration_options options = { .client_metadata_url = table[i].url };
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg = REGISTRATION_INIT;
                enum registration_choice choice;
                struct error err = ERROR_INIT;

                as_make(&as);
                as.cimd_supported = true;
                assert_int_equal(registration_choose(&options, &as, &choice, &reg, &err) == 0,
                                 table[i].good);
                if (table[i].good) {
                        assert_string_equal(reg.client_id, table[i].url);
                } else {
                        assert_int_equal(err.code, MCPB_BAD_CONFIG);
                        assert_null(reg.client_id);
                }
        }
}

/* A78 A79 A80 A86 A90 */
static void the_request_says_what_we_are(void **state) {
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_SCOPES struct scope_set scopes = SCOPE_SET_INIT;
        struct registration_ask ask = { .redirect_uri = REDIRECT,
                                        .client_name = "mcp-broker on \"host\"",
                                        .scopes = &scopes,
                                        .initial_access_token = "initial" };
        AUTO_REQUEST struct fetch_request f = { 0 };
        AUTO_REQUEST struct fetch_request bare = { 0 };
        AUTO_JSON json_t *body = NULL;
        AUTO_JSON json_t *want = NULL;

        as_make(&as);
        scopes_make(&scopes, "b a");
        assert_int_equal(registration_request(&f, &as, &ask, NULL), 0);
        assert_string_equal(f.method, "POST");
        assert_string_equal(f.url, ISSUER "/register");
        assert_string_equal(request_header(&f, "Content-Type"), "application/json");
        assert_string_equal(request_header(&f, "Authorization"), "Bearer initial");
        assert_int_equal(json_parse(f.body.data, f.body.len, 8, &body, NULL), 0);
        want = json_pack("{s:[s],s:s,s:s,s:[s,s],s:[s],s:s,s:s}", "redirect_uris", REDIRECT,
                         "client_name", "mcp-broker on \"host\"", "application_type", "native",
                         "grant_types", "authorization_code", "refresh_token", "response_types",
                         "code", "token_endpoint_auth_method", "none", "scope", "a b");
        assert_true(json_equal(body, want));
        assert_int_equal(registration_request(&bare, &as, &plain_ask, NULL), 0);
        assert_null(request_header(&bare, "Authorization"));
        assert_null(strstr(bare.body.data, "scope"));
}

/* A client of its own for logins by device code: no redirect, and the one grant. */
static void a_client_for_device_codes_asks_for_no_redirect(void **state) {
        static const struct {
                const char *body;
                bool good;
        } answers[] = {
                { "{\"client_id\":\"c\"}", true },
                { "{\"client_id\":\"c\",\"redirect_uris\":[],\"response_types\":[]}", true },
                { "{\"client_id\":\"c\",\"grant_types\":[\"refresh_token\",\"" GRANT "\"]}", true },
                { "{\"client_id\":\"c\",\"grant_types\":[\"authorization_code\"]}", false },
        };
        const struct registration_ask ask = { .device = true, .client_name = "x" };
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REQUEST struct fetch_request f = { 0 };
        AUTO_JSON json_t *body = NULL;
        AUTO_JSON json_t *want = NULL;

        as_make(&as);
        assert_int_equal(registration_request(&f, &as, &ask, NULL), 0);
        assert_int_equal(json_parse(f.body.data, f.body.len, 8, &body, NULL), 0);
        want = json_pack("{s:s,s:s,s:[s,s],s:[],s:s}", "client_name", "x", "application_type",
                         "native", "grant_types", GRANT, "refresh_token", "response_types",
                         "token_endpoint_auth_method", "none");
        assert_true(json_equal(body, want));
        for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
                AUTO_REGISTRATION struct registration reg = REGISTRATION_INIT;
                AUTO_ANSWER struct fetch_answer a;
                struct error err = ERROR_INIT;
                int r;

                answer_make(&a, 201, answers[i].body);
                r = registration_answer(&reg, &as, &ask, &a, NULL, &err);
                assert_int_equal(r == 0, answers[i].good);
                assert_null(reg.redirect_uri_registered);
        }
}

/* A61 A80 A128 */
static void the_method_asked_for_is_one_that_the_issuer_lists(void **state) {
        static const struct {
                unsigned methods;
                const char *asked; /* NULL: none is served */
        } table[] = {
                { CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC), "client_secret_basic" },
                { CLIENT_AUTH_BIT(CLIENT_AUTH_POST), "client_secret_post" },
                { CLIENT_AUTH_BIT(CLIENT_AUTH_NONE) | CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC), "none" },
                { CLIENT_AUTH_BIT(CLIENT_AUTH_PRIVATE_KEY_JWT) | CLIENT_AUTH_BIT(CLIENT_AUTH_POST),
                  "client_secret_post" },
                { CLIENT_AUTH_BIT(CLIENT_AUTH_PRIVATE_KEY_JWT), NULL },
                { CLIENT_AUTH_BIT(CLIENT_AUTH_TLS), NULL },
                { 0, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REQUEST struct fetch_request f = { 0 };
                AUTO_JSON json_t *body = NULL;
                struct error err = ERROR_INIT;

                as_make(&as);
                as.token_auth_methods = table[i].methods;
                if (!table[i].asked) {
                        assert_true(registration_request(&f, &as, &plain_ask, &err) < 0);
                        assert_int_equal(err.code, MCPB_UNSUPPORTED);
                        continue;
                }
                assert_int_equal(registration_request(&f, &as, &plain_ask, &err), 0);
                assert_int_equal(json_parse(f.body.data, f.body.len, 8, &body, NULL), 0);
                assert_string_equal(json_get_string(body, "token_endpoint_auth_method"),
                                    table[i].asked);
        }
}

/* A78 A81 A82 */
static void what_the_answer_says_counts(void **state) {
        static const struct {
                unsigned status;
                unsigned methods; /* the issuer's; 0: all */
                const char *body;
                enum client_auth auth;
                const char *secret;
        } table[] = {
                { 201, 0, "{\"client_id\":\"c\"}", CLIENT_AUTH_NONE, NULL },
                { 200, 0, "{\"client_id\":\"c\",\"x\":1}", CLIENT_AUTH_NONE, NULL },
                /* A secret alone does not change the method asked for. */
                { 201, 0, "{\"client_id\":\"c\",\"client_secret\":\"s\"}", CLIENT_AUTH_NONE, "s" },
                { 201, 0,
                  "{\"client_id\":\"c\",\"client_secret\":\"s\",\"token_endpoint_auth_method\":"
                  "\"client_secret_post\"}",
                  CLIENT_AUTH_POST, "s" },
                { 201, CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC),
                  "{\"client_id\":\"c\",\"client_secret\":\"s\"}", CLIENT_AUTH_BASIC, "s" },
                { 201, CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC), "{\"client_id\":\"c\"}",
                  CLIENT_AUTH_NONE, NULL },
                { 201, 0,
                  "{\"client_id\":\"c\",\"redirect_uris\":[\"http://127.0.0.1:1/callback/x\"],"
                  "\"grant_types\":[\"authorization_code\"],\"response_types\":[\"code\"]}",
                  CLIENT_AUTH_NONE, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg = REGISTRATION_INIT;
                enum registration_failure failure = REGISTRATION_FAILED;

                as_make(&as);
                if (table[i].methods)
                        as.token_auth_methods = table[i].methods;
                assert_int_equal(
                        answer_from(&reg, &as, table[i].status, table[i].body, &failure, NULL), 0);
                assert_int_equal(failure, REGISTRATION_OK);
                assert_string_equal(reg.client_id, "c");
                assert_string_equal(reg.issuer, ISSUER);
                assert_string_equal(reg.redirect_uri_registered, REDIRECT);
                assert_int_equal(reg.how, REGISTRATION_DYNAMIC);
                assert_int_equal(reg.auth, table[i].auth);
                assert_true(streq_null(reg.client_secret, table[i].secret));
        }
}

/* A81 */
static void an_unusable_answer_is_an_error(void **state) {
        static const struct {
                const char *body;
                const char *says;
        } table[] = {
                { "", "empty" },
                { "<html>", "JSON" },
                { "[]", "JSON" },
                { "{}", "client_id" },
                { "{\"client_id\":7}", "client_id" },
                { "{\"client_id\":\"a\\u0007b\"}", "client_id" },
                { "{\"client_id\":\"c\",\"token_endpoint_auth_method\":\"private_key_jwt\"}",
                  "not served" },
                { "{\"client_id\":\"c\",\"token_endpoint_auth_method\":\"client_secret_basic\"}",
                  "gives none" },
                { "{\"client_id\":\"c\",\"redirect_uris\":[\"http://127.0.0.1:4711/other\"]}",
                  "redirect" },
                { "{\"client_id\":\"c\",\"redirect_uris\":[]}", "redirect" },
                { "{\"client_id\":\"c\",\"grant_types\":[\"implicit\"]}", "grant_types" },
                { "{\"client_id\":\"c\",\"response_types\":[\"token\"]}", "response_types" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg = REGISTRATION_INIT;
                struct error err = ERROR_INIT;

                as_make(&as);
                assert_true(answer_from(&reg, &as, 201, table[i].body, NULL, &err) < 0);
                assert_int_equal(err.code, MCPB_ISSUER_ERROR);
                assert_non_null(strstr(err.message, table[i].says));
                assert_null(reg.client_id);
        }
}

/* A83 A87 */
static void expiry_and_management_are_kept(void **state) {
        static const struct {
                const char *value;
                uint64_t sec;
        } table[] = { { "0", 0 },  { "1234", 1234 }, { "\"1234\"", 1234 }, { "1234.0", 1234 },
                      { "-5", 0 }, { "\"x\"", 0 },   { "null", 0 } };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg = REGISTRATION_INIT;
                AUTO_REGISTRATION struct registration back = REGISTRATION_INIT;
                AUTO_JSON json_t *json = NULL;
                AUTO_JSON json_t *again = NULL;
                char body[512];

                as_make(&as);
                (void)snprintf(body, sizeof(body),
                               "{\"client_id\":\"c\",\"client_secret\":\"s\","
                               "\"client_secret_expires_at\":%s,\"registration_access_token\":"
                               "\"rat\",\"registration_client_uri\":\"" ISSUER "/c/1\"}",
                               table[i].value);
                assert_int_equal(answer_from(&reg, &as, 201, body, NULL, NULL), 0);
                assert_int_equal(reg.secret_expires_at, table[i].sec);
                assert_string_equal(reg.access_token, "rat");
                assert_string_equal(reg.uri, ISSUER "/c/1");
                assert_int_equal(registration_to_json(&reg, &json), 0);
                assert_int_equal(registration_from_json(&back, json), 0);
                assert_int_equal(registration_to_json(&back, &again), 0);
                assert_true(json_equal(json, again));
                assert_int_equal(back.auth, reg.auth);
                assert_int_equal(json_object_del(json, "issuer"), 0);
                assert_int_equal(registration_from_json(&back, json), -EBADMSG);
        }
}

/* What signs for the client is a person's to give: an answer never brings it. */
static void a_key_is_kept_and_never_taken_from_an_answer(void **state) {
        const struct registration given = { .issuer = (char[]){ ISSUER },
                                            .client_id = (char[]){ "c" },
                                            .client_key = (char[]){ "{\"kty\":\"EC\"}" },
                                            .key_id = (char[]){ "k1" },
                                            .signing_alg = (char[]){ "ES256" },
                                            .assertion_audience = (char[]){ ISSUER "/token" },
                                            .plain_typ = true,
                                            .auth = CLIENT_AUTH_PRIVATE_KEY_JWT };
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REGISTRATION struct registration copy = REGISTRATION_INIT;
        AUTO_REGISTRATION struct registration back = REGISTRATION_INIT;
        AUTO_JSON json_t *json = NULL;
        AUTO_JSON json_t *again = NULL;

        as_make(&as);
        assert_int_equal(registration_copy(&copy, &given), 0);
        assert_int_equal(registration_to_json(&copy, &json), 0);
        assert_int_equal(registration_from_json(&back, json), 0);
        assert_int_equal(registration_to_json(&back, &again), 0);
        assert_true(json_equal(json, again));
        assert_string_equal(back.client_key, given.client_key);
        assert_string_equal(back.key_id, "k1");
        assert_string_equal(back.signing_alg, "ES256");
        assert_string_equal(back.assertion_audience, ISSUER "/token");
        assert_true(back.plain_typ);
        assert_int_equal(back.auth, CLIENT_AUTH_PRIVATE_KEY_JWT);
        assert_int_equal(answer_from(&back, &as, 201,
                                     "{\"client_id\":\"c\",\"client_key\":\"x\",\"key_id\":\"x\","
                                     "\"signing_alg\":\"none\",\"assertion_audience\":\"x\","
                                     "\"plain_typ\":true}",
                                     NULL, NULL),
                         0);
        assert_null(back.client_key);
        assert_null(back.key_id);
        assert_null(back.signing_alg);
        assert_null(back.assertion_audience);
        assert_false(back.plain_typ);
}

/* A87 */
static void a_management_uri_on_plain_http_is_dropped_with_its_token(void **state) {
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REGISTRATION struct registration reg = REGISTRATION_INIT;

        as_make(&as);
        assert_int_equal(answer_from(&reg, &as, 201,
                                     "{\"client_id\":\"c\",\"registration_access_token\":\"rat\","
                                     "\"registration_client_uri\":\"http://as.example.com/c\"}",
                                     NULL, NULL),
                         0);
        assert_null(reg.uri);
        assert_null(reg.access_token);
}

/* A84 A138 */
static void a_refusal_reaches_the_user_with_its_code(void **state) {
        static const struct {
                unsigned status;
                const char *body;
                enum registration_failure failure;
                enum error_code code;
                const char *says;
        } table[] = {
                { 400,
                  "{\"error\":\"invalid_redirect_uri\",\"error_description\":\"no \\u001b[31mIP\"}",
                  REGISTRATION_BAD_REDIRECT, MCPB_ISSUER_ERROR,
                  "invalid_redirect_uri: no ?[31mIP" },
                { 400, "{\"error\":\"invalid_client_metadata\"}", REGISTRATION_FAILED,
                  MCPB_ISSUER_ERROR, "invalid_client_metadata" },
                { 400,
                  "{\"error\":\"x\",\"error_description\":\"bad token aB3dEfGhIjKlMnOpQrStUvWx!\"}",
                  REGISTRATION_FAILED, MCPB_ISSUER_ERROR, "bad token [...]!" },
                { 401, "{\"error\":\"invalid_token\"}", REGISTRATION_CLOSED,
                  MCPB_REGISTRATION_REQUIRED, "invalid_token" },
                { 403, "<html>secret page", REGISTRATION_CLOSED, MCPB_REGISTRATION_REQUIRED,
                  "403" },
                { 500, "{\"error\":\"x\"}", REGISTRATION_TRANSIENT, MCPB_ISSUER_ERROR, "500" },
                { 429, "", REGISTRATION_TRANSIENT, MCPB_ISSUER_ERROR, "429" },
                { 307, "", REGISTRATION_FAILED, MCPB_ISSUER_ERROR, "redirect" },
                { 404, "secret page", REGISTRATION_FAILED, MCPB_ISSUER_ERROR, "404" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg = REGISTRATION_INIT;
                enum registration_failure failure = REGISTRATION_OK;
                struct error err = ERROR_INIT;

                as_make(&as);
                assert_true(answer_from(&reg, &as, table[i].status, table[i].body, &failure, &err) <
                            0);
                assert_int_equal(failure, table[i].failure);
                assert_int_equal(err.code, table[i].code);
                if (!strstr(err.message, table[i].says))
                        fail_msg("%s", err.message);
                assert_null(strstr(err.message, "secret page"));
                assert_true(err.hint[0]);
        }
}

static void no_answer_is_the_issuers_silence(void **state) {
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REGISTRATION struct registration reg = REGISTRATION_INIT;
        AUTO_ANSWER struct fetch_answer a;
        enum registration_failure failure;
        struct error err = ERROR_INIT;

        as_make(&as);
        answer_none(&a, FETCH_NOT_SENT, FETCH_FAILURE_CONNECT);
        assert_true(registration_answer(&reg, &as, &plain_ask, &a, &failure, &err) < 0);
        assert_int_equal(failure, REGISTRATION_TRANSIENT);
        assert_int_equal(err.code, MCPB_ISSUER_UNREACHABLE);
        answer_none(&a, FETCH_NO_ANSWER, FETCH_FAILURE_CUT);
        assert_true(registration_answer(&reg, &as, &plain_ask, &a, &failure, &err) < 0);
        assert_int_equal(failure, REGISTRATION_FAILED);
}

/* A85 */
static void the_other_loopback_form_is_offered_once(void **state) {
        AUTO_FREE char *other = NULL;
        AUTO_FREE char *none = NULL;

        assert_int_equal(registration_other_redirect(REDIRECT, &other), 0);
        assert_string_equal(other, "http://localhost:4711/callback/x");
        assert_int_equal(registration_other_redirect(other, &none), 0);
        assert_null(none);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_client_id_comes_from_the_first_source_there_is),
                cmocka_unit_test(a_stored_registration_of_another_issuer_or_expired_is_not_used),
                cmocka_unit_test(a_secret_expires_a_little_before_its_time),
                cmocka_unit_test(entered_credentials_stay_with_their_issuer),
                cmocka_unit_test(a_document_url_is_judged_and_kept_byte_for_byte),
                cmocka_unit_test(the_request_says_what_we_are),
                cmocka_unit_test(a_client_for_device_codes_asks_for_no_redirect),
                cmocka_unit_test(the_method_asked_for_is_one_that_the_issuer_lists),
                cmocka_unit_test(what_the_answer_says_counts),
                cmocka_unit_test(an_unusable_answer_is_an_error),
                cmocka_unit_test(expiry_and_management_are_kept),
                cmocka_unit_test(a_key_is_kept_and_never_taken_from_an_answer),
                cmocka_unit_test(a_management_uri_on_plain_http_is_dropped_with_its_token),
                cmocka_unit_test(a_refusal_reaches_the_user_with_its_code),
                cmocka_unit_test(no_answer_is_the_issuers_silence),
                cmocka_unit_test(the_other_loopback_form_is_offered_once),
        };

        return cmocka_run_group_tests_name("registration", tests, NULL, NULL);
}
