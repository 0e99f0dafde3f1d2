/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include "base/codec.h"
#include "oauth/idjag.h"
#include "oom.h"

#define IDP "https://idp.example/token"
#define TYPE_JAG "urn:ietf:params:oauth:token-type:id-jag"
#define START                                                                                   \
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&requested_token_" \
        "type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid-jag&audience=https%3A%2F%2Fas."     \
        "example.com"
#define TYPE(name) "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A" name

static const struct id_jag_params plain = { .idp_token_endpoint = IDP,
                                            .idp_client_id = "at+idp",
                                            .subject_token = "id.to.ken",
                                            .audience = ISSUER };

/* A JWT with these claims, signed by nobody: it is only read here. */
static void jwt_make(struct buf *b, const char *claims) {
        static const char header[] = "{\"typ\":\"oauth-id-jag+jwt\",\"alg\":\"ES256\"}";

        assert_int_equal(base64url_append(b, header, strlen(header)), 0);
        assert_int_equal(buf_append(b, ".", 1), 0);
        assert_int_equal(base64url_append(b, claims, strlen(claims)), 0);
        assert_int_equal(buf_append_str(b, ".AAAA"), 0);
}

static void answer_of(struct fetch_answer *a, const char *jwt, const char *type,
                      const char *issued) {
        AUTO_JSON json_t *json =
                json_pack("{s:s, s:s?, s:s?, s:i}", "access_token", jwt, "token_type", type,
                          "issued_token_type", issued, "expires_in", 300);
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(json_write(&b, json), 0);
        answer_make(a, 200, b.data);
}

/* A185 A186 A188 */
static void the_identity_provider_is_asked_by_its_own_client(void **state) {
        static const struct {
                const char *secret;
                const char *resource;
                const char *scopes;
                const char *type;
                const char *body;
        } table[] = {
                { NULL, NULL, "", NULL,
                  START "&subject_token=id.to.ken" TYPE("id_token") "&client_id=at%2Bidp" },
                { "hush", "https://h/mcp", "b a", NULL,
                  START "&resource=https%3A%2F%2Fh%2Fmcp&scope=a+b&subject_token=id.to.ken" TYPE(
                          "id_token") },
                { "hush", NULL, "", "urn:ietf:params:oauth:token-type:saml2",
                  START "&subject_token=id.to.ken" TYPE("saml2") },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_SCOPES struct scope_set scopes = SCOPE_SET_INIT;
                AUTO_REQUEST struct fetch_request f = { 0 };
                struct id_jag_params p = plain;

                scopes_make(&scopes, table[i].scopes);
                p.idp_client_secret = table[i].secret;
                p.resource = table[i].resource;
                p.scopes = &scopes;
                p.subject_token_type = table[i].type;
                assert_int_equal(id_jag_request(&f, &p, NULL), 0);
                assert_string_equal(f.method, "POST");
                assert_string_equal(f.url, IDP);
                assert_string_equal(f.body.data, table[i].body);
                assert_int_equal(request_header(&f, "Authorization") != NULL,
                                 table[i].secret != NULL);
        }
}

/* A4 */
static void nothing_goes_where_all_could_read_it(void **state) {
        static const char *const bad[] = { "http://idp.example/token", "idp.example", "file:///t",
                                           "https://u:p@idp.example/", "https://idp.example/#f" };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct fetch_request f = { 0 };
                struct error err = ERROR_INIT;
                struct id_jag_params p = plain;

                p.idp_token_endpoint = bad[i];
                assert_true(id_jag_request(&f, &p, &err) < 0);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                assert_non_null(strstr(err.hint, "IdpTokenEndpoint="));
                assert_null(f.url);
        }
}

/* A187 A194 */
static void only_an_assertion_for_that_one_issuer_is_taken(void **state) {
        static const struct {
                const char *claims; /* NULL: no JWT */
                const char *type;
                const char *issued;
                bool taken;
        } table[] = {
                { "{\"aud\":\"" ISSUER "\"}", "N_A", TYPE_JAG, true },
                { "{\"aud\":[\"" ISSUER "\"]}", "n_a", TYPE_JAG, true },
                { "{\"aud\":[\"" ISSUER "\",\"https://other.example\"]}", "N_A", TYPE_JAG, false },
                { "{\"aud\":\"" ISSUER "/\"}", "N_A", TYPE_JAG, false },
                { "{\"aud\":\"https://other.example\"}", "N_A", TYPE_JAG, false },
                { "{\"aud\":[]}", "N_A", TYPE_JAG, false },
                { "{\"aud\":7}", "N_A", TYPE_JAG, false },
                { "{}", "N_A", TYPE_JAG, false },
                { NULL, "N_A", TYPE_JAG, false },
                { "{\"aud\":\"" ISSUER "\"}", "Bearer", TYPE_JAG, false },
                { "{\"aud\":\"" ISSUER "\"}", NULL, TYPE_JAG, false },
                { "{\"aud\":\"" ISSUER "\"}", "N_A", NULL, false },
                { "{\"aud\":\"" ISSUER "\"}", "N_A",
                  "urn:ietf:params:oauth:token-type:access_token", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_ANSWER struct fetch_answer a;
                AUTO_BUF struct buf jwt = BUF_INIT;
                AUTO_BUF struct buf jag = BUF_INIT;
                struct token_fault fault = { .what = TOKEN_ERROR_COUNT };
                struct error err = ERROR_INIT;
                int r;

                if (table[i].claims)
                        jwt_make(&jwt, table[i].claims);
                else
                        assert_int_equal(buf_append_str(&jwt, "opaque"), 0);
                answer_of(&a, jwt.data, table[i].type, table[i].issued);
                r = id_jag_answer(&jag, &plain, &a, &fault, &err);
                assert_int_equal(r == 0, table[i].taken);
                assert_int_equal(fault.what, table[i].taken ? TOKEN_OK : TOKEN_IN_DOUBT);
                assert_int_equal(err.code, table[i].taken ? MCPB_NO_ERROR : MCPB_ISSUER_ERROR);
                assert_null(strstr(err.message, jwt.data));
                if (r == 0)
                        assert_string_equal(jag.data, jwt.data);
                else
                        assert_int_equal(jag.len, 0);
        }
}

static void a_refusal_names_the_identity_provider_and_its_settings(void **state) {
        static const struct {
                unsigned status;
                const char *body;
                enum token_error what;
                enum error_code code;
                const char *hint;
        } table[] = {
                { 400, "{\"error\":\"invalid_grant\"}", TOKEN_INVALID_GRANT, MCPB_ISSUER_ERROR,
                  "Identity=" },
                { 401, "{\"error\":\"invalid_client\"}", TOKEN_INVALID_CLIENT,
                  MCPB_REGISTRATION_REQUIRED, "IdpClientId=" },
                { 400, "{\"error\":\"unauthorized_client\"}", TOKEN_UNAUTHORIZED_CLIENT,
                  MCPB_REGISTRATION_REQUIRED, "IdpClientId=" },
                { 400, "{\"error\":\"invalid_scope\"}", TOKEN_INVALID_SCOPE, MCPB_ISSUER_ERROR,
                  "scopes" },
                { 503, "", TOKEN_TRANSIENT, MCPB_ISSUER_ERROR, "later" },
                { 307, "", TOKEN_OTHER, MCPB_ISSUER_ERROR, "Redirects" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_ANSWER struct fetch_answer a;
                AUTO_BUF struct buf jag = BUF_INIT;
                struct token_fault fault = { .what = TOKEN_OK };
                struct error err = ERROR_INIT;

                answer_make(&a, table[i].status, table[i].body);
                assert_true(id_jag_answer(&jag, &plain, &a, &fault, &err) < 0);
                assert_int_equal(fault.what, table[i].what);
                assert_int_equal(err.code, table[i].code);
                assert_non_null(strstr(err.hint, table[i].hint));
                assert_non_null(strstr(err.message, "identity provider"));
                assert_non_null(strstr(err.message, IDP));
        }
}

static int request_once(void *userdata) {
        AUTO_REQUEST struct fetch_request f = { 0 };

        return id_jag_request(&f, userdata, NULL);
}

static int answer_once(void *userdata) {
        AUTO_BUF struct buf jag = BUF_INIT;

        return id_jag_answer(&jag, &plain, userdata, NULL, NULL);
}

static void running_out_of_memory_is_said(void **state) {
        AUTO_ANSWER struct fetch_answer a;
        AUTO_BUF struct buf jwt = BUF_INIT;
        struct id_jag_params p = plain;

        p.idp_client_secret = "s";
        p.resource = "https://h/mcp";
        jwt_make(&jwt, "{\"aud\":\"" ISSUER "\"}");
        answer_of(&a, jwt.data, "N_A", TYPE_JAG);
        assert_true(oom_sweep(request_once, &p) > 5);
        /* jansson does not always say that it was the memory. */
        assert_true(oom_sweep_any(answer_once, &a) > 5);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_identity_provider_is_asked_by_its_own_client),
                cmocka_unit_test(nothing_goes_where_all_could_read_it),
                cmocka_unit_test(only_an_assertion_for_that_one_issuer_is_taken),
                cmocka_unit_test(a_refusal_names_the_identity_provider_and_its_settings),
                cmocka_unit_test(running_out_of_memory_is_said),
        };

        return cmocka_run_group_tests_name("idjag", tests, NULL, NULL);
}
