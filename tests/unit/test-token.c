/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include "base/codec.h"
#include "base/limits.h"
#include "oauth/token.h"
#include "oom.h"

#define RESOURCE "https://mcp.example.com/mcp"
#define REDIRECT "http://127.0.0.1:4711/callback/x"
#define VERIFIER "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"

static void login_make(struct authorization *a) {
        *a = (struct authorization){ .state = strdup("s"),
                                     .verifier = strdup(VERIFIER),
                                     .redirect_uri = strdup(REDIRECT),
                                     .issuer = strdup(ISSUER),
                                     .resource = strdup(RESOURCE),
                                     .client_id = strdup("client") };
}

static void registration_make(struct registration *reg, enum client_auth auth, const char *secret) {
        *reg = (struct registration){ .issuer = strdup(ISSUER),
                                      .client_id = strdup("client"),
                                      .client_secret = secret ? strdup(secret) : NULL,
                                      .auth = auth,
                                      .how = REGISTRATION_DYNAMIC };
}

/* A95 A96 A106 A125 A126 A131 */
static void a_code_is_redeemed_with_all_that_belongs_to_it(void **state) {
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REGISTRATION struct registration reg;
        AUTO_AUTHORIZATION struct authorization a;
        AUTO_REQUEST struct fetch_request f = { 0 };

        as_make(&as);
        login_make(&a);
        registration_make(&reg, CLIENT_AUTH_NONE, "never sent");
        assert_int_equal(token_request_code(&f, &a, &reg, &as, "c+d", NULL), 0);
        assert_string_equal(f.method, "POST");
        assert_string_equal(f.url, ISSUER "/token");
        assert_string_equal(request_header(&f, "Content-Type"),
                            "application/x-www-form-urlencoded");
        assert_string_equal(request_header(&f, "Accept"), "application/json");
        assert_null(request_header(&f, "Authorization"));
        assert_string_equal(f.body.data,
                            "grant_type=authorization_code&code=c%2Bd&redirect_uri="
                            "http%3A%2F%2F127.0.0.1%3A4711%2Fcallback%2Fx&code_verifier=" VERIFIER
                            "&resource=https%3A%2F%2Fmcp.example.com%2Fmcp&client_id=client");
}

/* A53 */
static void the_resource_is_left_out_where_a_person_says_so(void **state) {
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REGISTRATION struct registration reg;
        AUTO_AUTHORIZATION struct authorization a;
        AUTO_REQUEST struct fetch_request code = { 0 };
        AUTO_REQUEST struct fetch_request f = { 0 };
        struct token_refresh refresh = { .refresh_token = "r" };

        as_make(&as);
        login_make(&a);
        registration_make(&reg, CLIENT_AUTH_NONE, NULL);
        a.no_resource = true;
        assert_int_equal(token_request_code(&code, &a, &reg, &as, "c", NULL), 0);
        assert_string_equal(code.body.data,
                            "grant_type=authorization_code&code=c&redirect_uri="
                            "http%3A%2F%2F127.0.0.1%3A4711%2Fcallback%2Fx&code_verifier=" VERIFIER
                            "&client_id=client");
        assert_int_equal(token_request_refresh(&f, &refresh, &reg, &as, NULL), 0);
        assert_string_equal(f.body.data,
                            "grant_type=refresh_token&refresh_token=r&client_id=client");
}

/* A64 A130 */
static void the_endpoints_query_is_kept_and_nothing_added_to_it(void **state) {
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REGISTRATION struct registration reg;
        AUTO_AUTHORIZATION struct authorization a;
        AUTO_REQUEST struct fetch_request f = { 0 };

        as_make(&as);
        login_make(&a);
        registration_make(&reg, CLIENT_AUTH_POST, "hush");
        free(as.token_endpoint);
        as.token_endpoint = strdup(ISSUER "/token?tenant=1");
        assert_int_equal(token_request_code(&f, &a, &reg, &as, "c", NULL), 0);
        assert_string_equal(f.url, ISSUER "/token?tenant=1");
}

/* A127 A128 A129 A130 A131 */
static void a_client_proves_itself_by_one_method_only(void **state) {
        static const unsigned every = CLIENT_AUTH_BIT(CLIENT_AUTH_NONE) |
                                      CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC) |
                                      CLIENT_AUTH_BIT(CLIENT_AUTH_POST);
        static const struct {
                enum client_auth registered;
                const char *secret;
                unsigned listed;
                enum client_auth used;
        } table[] = {
                { CLIENT_AUTH_NONE, "s", every, CLIENT_AUTH_NONE },
                { CLIENT_AUTH_BASIC, "s", every, CLIENT_AUTH_BASIC },
                { CLIENT_AUTH_POST, "s", every, CLIENT_AUTH_POST },
                { CLIENT_AUTH_POST, "s", 1u << CLIENT_AUTH_BASIC, CLIENT_AUTH_POST },
                { CLIENT_AUTH_ANY, "s", every, CLIENT_AUTH_BASIC },
                { CLIENT_AUTH_ANY, "s", every & ~(1u << CLIENT_AUTH_BASIC), CLIENT_AUTH_POST },
                { CLIENT_AUTH_ANY, "s", 1u << CLIENT_AUTH_NONE, CLIENT_AUTH_NONE },
                { CLIENT_AUTH_ANY, NULL, every, CLIENT_AUTH_NONE },
                { CLIENT_AUTH_ANY, NULL, 1u << CLIENT_AUTH_BASIC, CLIENT_AUTH_NONE },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg;
                AUTO_AUTHORIZATION struct authorization a;
                AUTO_REQUEST struct fetch_request f = { 0 };
                bool basic = table[i].used == CLIENT_AUTH_BASIC;

                as_make(&as);
                login_make(&a);
                as.token_auth_methods = table[i].listed;
                registration_make(&reg, table[i].registered, table[i].secret);
                assert_int_equal(token_request_code(&f, &a, &reg, &as, "c", NULL), 0);
                assert_int_equal(request_header(&f, "Authorization") != NULL, basic);
                assert_int_equal(strstr(f.body.data, "client_secret=s") != NULL,
                                 table[i].used == CLIENT_AUTH_POST);
                assert_int_equal(strstr(f.body.data, "client_id=client") != NULL, !basic);
                assert_null(strchr(f.url, '?'));
        }
}

/* A129 */
static void basic_encodes_id_and_secret_each(void **state) {
        static const char joined[] = "my+client%3A1:p%3Aa%25b%2Bc+d%C3%A4";
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REGISTRATION struct registration reg;
        AUTO_REQUEST struct fetch_request f = { 0 };
        AUTO_BUF struct buf want = BUF_INIT;
        struct token_refresh refresh = { .refresh_token = "r", .resource = RESOURCE };

        as_make(&as);
        registration_make(&reg, CLIENT_AUTH_BASIC, "p:a%b+c d\xc3\xa4");
        free(reg.client_id);
        reg.client_id = strdup("my client:1");
        assert_int_equal(token_request_refresh(&f, &refresh, &reg, &as, NULL), 0);
        assert_int_equal(buf_append_str(&want, "Basic "), 0);
        assert_int_equal(base64_append(&want, joined, strlen(joined)), 0);
        assert_string_equal(request_header(&f, "Authorization"), want.data);
}

/* A128 */
static void a_method_that_is_not_served_is_named(void **state) {
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REGISTRATION struct registration reg;
        AUTO_AUTHORIZATION struct authorization a;
        struct fetch_request f = { 0 };
        struct error err = ERROR_INIT;

        as_make(&as);
        login_make(&a);
        as.token_auth_methods = CLIENT_AUTH_BIT(CLIENT_AUTH_TLS);
        registration_make(&reg, CLIENT_AUTH_ANY, "s");
        assert_true(token_request_code(&f, &a, &reg, &as, "c", &err) < 0);
        assert_int_equal(err.code, MCPB_UNSUPPORTED);
        assert_non_null(strstr(err.message, "tls_client_auth"));
        reg.auth = CLIENT_AUTH_SECRET_JWT;
        assert_true(token_request_code(&f, &a, &reg, &as, "c", &err) < 0);
        assert_int_equal(err.code, MCPB_UNSUPPORTED);
        reg.auth = CLIENT_AUTH_PRIVATE_KEY_JWT;
        assert_true(token_request_code(&f, &a, &reg, &as, "c", &err) < 0);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
        assert_non_null(strstr(err.message, "has no key"));
        reg.auth = CLIENT_AUTH_BASIC;
        reg.client_secret = str_wipe_free(reg.client_secret);
        assert_true(token_request_code(&f, &a, &reg, &as, "c", &err) < 0);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
}

/* A69 A120 A139 A240 S5 */
static void nothing_of_one_issuer_is_sent_to_another(void **state) {
        static const char other[] = "https://other.example";

        for (int wrong = 0; wrong < 4; wrong++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg;
                AUTO_AUTHORIZATION struct authorization a;
                struct token_refresh refresh = { .refresh_token = "r", .resource = RESOURCE };
                struct fetch_request f = { 0 };
                struct error err = ERROR_INIT;
                char **slot[] = { &as.issuer, &reg.issuer, &a.issuer, &a.client_id };

                as_make(&as);
                login_make(&a);
                registration_make(&reg, CLIENT_AUTH_NONE, NULL);
                free(*slot[wrong]);
                *slot[wrong] = strdup(other);
                assert_true(token_request_code(&f, &a, &reg, &as, "c", &err) < 0);
                assert_int_equal(err.code, MCPB_INTERNAL);
                assert_null(f.url);
                if (wrong > 1)
                        continue;
                assert_true(token_request_refresh(&f, &refresh, &reg, &as, &err) < 0);
                assert_null(f.url);
        }
}

/* A95 A142 A143 A144 A150 */
static void a_refresh_narrows_and_never_widens(void **state) {
        static const struct {
                const char *granted; /* NULL: not known */
                const char *narrow;  /* NULL: all */
                const char *scope;   /* in the body; NULL: none; "!": refused */
        } table[] = {
                { "a b", NULL, NULL }, { "a b", "a", "&scope=a&" }, { "a b", "b a", "&scope=a+b&" },
                { "a b", "a c", "!" }, { NULL, "a", "!" },          { NULL, NULL, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg;
                AUTO_SCOPES struct scope_set granted = SCOPE_SET_INIT;
                AUTO_SCOPES struct scope_set narrow = SCOPE_SET_INIT;
                AUTO_REQUEST struct fetch_request f = { 0 };
                struct token_refresh refresh = { .refresh_token = "r&t",
                                                 .resource = RESOURCE,
                                                 .granted = table[i].granted ? &granted : NULL,
                                                 .narrow = table[i].narrow ? &narrow : NULL };
                struct error err = ERROR_INIT;
                int r;

                as_make(&as);
                registration_make(&reg, CLIENT_AUTH_NONE, NULL);
                scopes_make(&granted, table[i].granted ? table[i].granted : "");
                scopes_make(&narrow, table[i].narrow ? table[i].narrow : "");
                r = token_request_refresh(&f, &refresh, &reg, &as, &err);
                if (table[i].scope && streq(table[i].scope, "!")) {
                        assert_true(r < 0);
                        assert_int_equal(err.code, MCPB_BAD_REQUEST);
                        assert_null(f.url);
                        continue;
                }
                assert_int_equal(r, 0);
                assert_non_null(
                        strstr(f.body.data, "grant_type=refresh_token&refresh_token=r%26t"));
                assert_non_null(
                        strstr(f.body.data, "&resource=https%3A%2F%2Fmcp.example.com%2Fmcp&"));
                assert_non_null(strstr(f.body.data, "&client_id=client"));
                if (table[i].scope)
                        assert_non_null(strstr(f.body.data, table[i].scope));
                else
                        assert_null(strstr(f.body.data, "scope="));
        }
}

static int reply_from(struct token_reply *reply, unsigned status, const char *body,
                      struct token_fault *fault, struct error *err) {
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_ANSWER struct fetch_answer a;

        as_make(&as);
        answer_make(&a, status, body);
        return token_answer(reply, &as, &a, fault, err);
}

/* A132 A134 A136 A140 */
static void a_good_answer_gives_what_it_says(void **state) {
        static const struct {
                const char *body;
                const char *refresh;
                const char *scopes; /* NULL: as requested */
        } table[] = {
                { "{\"access_token\":\"t\",\"token_type\":\"Bearer\"}", "", NULL },
                { "{\"access_token\":\"t\",\"token_type\":\"bEARER\",\"scope\":\"b a\"}", "",
                  "a b" },
                { "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"refresh_token\":\"r\","
                  "\"x\":{},\"id_token\":\"a.b.c\",\"scope\":\"\"}",
                  "r", NULL },
                { "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"refresh_token\":null,"
                  "\"scope\":7}",
                  "", NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                struct token_fault fault = { .what = TOKEN_OTHER };

                assert_int_equal(reply_from(&reply, 200, table[i].body, &fault, NULL), 0);
                assert_int_equal(fault.what, TOKEN_OK);
                assert_string_equal(reply.access_token.data, "t");
                assert_string_equal(reply.token_type, "Bearer");
                assert_string_equal(reply.refresh_token.data ? reply.refresh_token.data : "",
                                    table[i].refresh);
                assert_int_equal(reply.has_scope, table[i].scopes != NULL);
                assert_scopes(&reply.scopes, table[i].scopes ? table[i].scopes : "");
        }
}

static int proven_reply_from(struct token_reply *reply, unsigned status, const char *body,
                             struct token_fault *fault, struct error *err) {
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_ANSWER struct fetch_answer a;

        as_make(&as);
        answer_make(&a, status, body);
        return token_answer_dpop(reply, &as, &a, fault, err);
}

/* A132 */
static void a_bound_token_is_taken_where_there_was_a_proof(void **state) {
        static const struct {
                const char *type;
                const char *read; /* NULL: refused */
        } table[] = { { "DPoP", "DPoP" },
                      { "dpop", "DPoP" },
                      { "Bearer", "Bearer" },
                      { "N_A", NULL },
                      { "mac", NULL } };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                char body[256];

                (void)snprintf(body, sizeof(body), "{\"access_token\":\"t\",\"token_type\":\"%s\"}",
                               table[i].type);
                assert_int_equal(proven_reply_from(&reply, 200, body, NULL, NULL) == 0,
                                 table[i].read != NULL);
                if (table[i].read)
                        assert_string_equal(reply.token_type, table[i].read);
        }
}

static void a_refused_proof_is_told_from_none_at_all(void **state) {
        static const struct {
                const char *error;
                bool proven;
                enum token_error what;
                enum error_code code;
                const char *hint;
        } table[] = {
                { "use_dpop_nonce", false, TOKEN_USE_DPOP_NONCE, MCPB_UNSUPPORTED, "had none" },
                { "use_dpop_nonce", true, TOKEN_USE_DPOP_NONCE, MCPB_ISSUER_ERROR, "nonce" },
                { "invalid_dpop_proof", false, TOKEN_USE_DPOP_NONCE, MCPB_UNSUPPORTED, "had none" },
                { "invalid_dpop_proof", true, TOKEN_OTHER, MCPB_ISSUER_ERROR, "clock" },
                { "invalid_grant", true, TOKEN_INVALID_GRANT, MCPB_GRANT_REVOKED, "log in" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                struct token_fault fault = { .what = TOKEN_OK };
                struct error err = ERROR_INIT;
                char body[128];

                (void)snprintf(body, sizeof(body), "{\"error\":\"%s\"}", table[i].error);
                assert_true((table[i].proven ? proven_reply_from : reply_from)(&reply, 400, body,
                                                                               &fault, &err) < 0);
                assert_int_equal(fault.what, table[i].what);
                assert_int_equal(err.code, table[i].code);
                assert_non_null(strstr(err.hint, table[i].hint));
        }
}

static void what_kind_of_token_was_issued_is_kept(void **state) {
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;

        assert_int_equal(reply_from(&reply, 200,
                                    "{\"access_token\":\"t\",\"token_type\":\"Bearer\","
                                    "\"issued_token_type\":\"urn:x:id-jag\"}",
                                    NULL, NULL),
                         0);
        assert_string_equal(reply.issued_token_type, "urn:x:id-jag");
        assert_int_equal(reply_from(&reply, 200,
                                    "{\"access_token\":\"t\",\"token_type\":\"Bearer\"}", NULL,
                                    NULL),
                         0);
        assert_null(reply.issued_token_type);
}

/* A136 */
static void a_jwt_and_a_random_string_are_treated_alike(void **state) {
        static const char *const tokens[] = { "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.", "abc/+=_~.-" };

        for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                char body[256];

                (void)snprintf(body, sizeof(body),
                               "{\"access_token\":\"%s\",\"token_type\":\"Bearer\"}", tokens[i]);
                assert_int_equal(reply_from(&reply, 200, body, NULL, NULL), 0);
                assert_string_equal(reply.access_token.data, tokens[i]);
                assert_false(reply.expires_known);
        }
}

/* A133 */
static void the_lifetime_may_be_a_number_a_string_or_missing(void **state) {
        static const struct {
                const char *member;
                bool known;
                uint64_t sec;
        } table[] = {
                { "", false, 0 },
                { ",\"expires_in\":3600", true, 3600 },
                { ",\"expires_in\":\"3600\"", true, 3600 },
                { ",\"expires_in\":3600.5", true, 3600 },
                { ",\"expires_in\":0", true, 0 },
                { ",\"expires_in\":-1", false, 0 },
                { ",\"expires_in\":\"soon\"", false, 0 },
                { ",\"expires_in\":null", false, 0 },
                { ",\"expires_in\":9223372036854775807", true, UINT32_MAX },
                { ",\"expires_in\":1e300", true, UINT32_MAX },
                { ",\"expires_in\":\"99999999999999999999999\"", true, UINT32_MAX },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                char body[256];

                (void)snprintf(body, sizeof(body),
                               "{\"access_token\":\"t\",\"token_type\":\"Bearer\"%s}",
                               table[i].member);
                assert_int_equal(reply_from(&reply, 200, body, NULL, NULL), 0);
                assert_int_equal(reply.expires_known, table[i].known);
                assert_int_equal(reply.expires_in, table[i].sec);
        }
}

/* A132 A138 A148 */
static void an_unusable_answer_is_an_error_that_shows_no_token(void **state) {
        static const struct {
                const char *body;
                enum error_code code;
        } table[] = {
                { "", MCPB_ISSUER_ERROR },
                { "<html>tOkEn</html>", MCPB_ISSUER_ERROR },
                { "[]", MCPB_ISSUER_ERROR },
                { "{\"token_type\":\"Bearer\"}", MCPB_ISSUER_ERROR },
                { "{\"access_token\":7,\"token_type\":\"Bearer\"}", MCPB_ISSUER_ERROR },
                { "{\"access_token\":\"\",\"token_type\":\"Bearer\"}", MCPB_ISSUER_ERROR },
                { "{\"access_token\":\"tOkEn\"}", MCPB_ISSUER_ERROR },
                { "{\"access_token\":\"tOkEn\",\"token_type\":\"mac\"}", MCPB_ISSUER_ERROR },
                { "{\"access_token\":\"tOkEn\",\"token_type\":\"N_A\"}", MCPB_ISSUER_ERROR },
                { "{\"access_token\":\"tOkEn\",\"token_type\":\"DPoP\"}", MCPB_UNSUPPORTED },
                { "{\"access_token\":\"tOkEn\\r\\nX: y\",\"token_type\":\"Bearer\"}",
                  MCPB_ISSUER_ERROR },
                { "{\"access_token\":\"tOkEn x\",\"token_type\":\"Bearer\"}", MCPB_ISSUER_ERROR },
                { "{\"access_token\":\"tOkEn\",\"token_type\":\"Bearer\",\"refresh_token\":"
                  "\"\\n\"}",
                  MCPB_ISSUER_ERROR },
                { "{\"access_token\":\"tOkEn\",\"access_token\":\"u\",\"token_type\":\"Bearer\"}",
                  MCPB_ISSUER_ERROR },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                struct token_fault fault = { .what = TOKEN_OK };
                struct error err = ERROR_INIT;

                assert_true(reply_from(&reply, 200, table[i].body, &fault, &err) < 0);
                assert_int_equal(fault.what, TOKEN_IN_DOUBT); /* something was issued */
                assert_int_equal(err.code, table[i].code);
                assert_null(strstr(err.message, "tOkEn"));
                assert_null(reply.access_token.data);
        }
}

/* A39 A132 */
static void an_answer_cut_at_any_byte_gives_no_token(void **state) {
        static const char whole[] =
                "{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":1}";

        for (size_t n = 0; n < strlen(whole); n++) {
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                AUTO_FREE char *part = strndup(whole, n);

                assert_true(reply_from(&reply, 200, part, NULL, NULL) < 0);
        }
}

/* A98 A135 A137 A147 A165 A209 */
static void each_error_drives_what_comes_next(void **state) {
        static const struct {
                unsigned status;
                const char *body;
                enum token_error what;
                enum error_code code;
        } table[] = {
                { 400, "{\"error\":\"invalid_grant\"}", TOKEN_INVALID_GRANT, MCPB_GRANT_REVOKED },
                { 401, "{\"error\":\"invalid_client\"}", TOKEN_INVALID_CLIENT,
                  MCPB_REGISTRATION_REQUIRED },
                { 400, "{\"error\":\"invalid_scope\"}", TOKEN_INVALID_SCOPE, MCPB_ISSUER_ERROR },
                { 400, "{\"error\":\"invalid_target\"}", TOKEN_INVALID_TARGET, MCPB_ISSUER_ERROR },
                { 400, "{\"error\":\"unauthorized_client\"}", TOKEN_UNAUTHORIZED_CLIENT,
                  MCPB_REGISTRATION_REQUIRED },
                { 400, "{\"error\":\"use_dpop_nonce\"}", TOKEN_USE_DPOP_NONCE, MCPB_UNSUPPORTED },
                { 400, "{\"error\":\"invalid_request\"}", TOKEN_OTHER, MCPB_ISSUER_ERROR },
                { 400, "{\"error\":\"brand_new\"}", TOKEN_OTHER, MCPB_ISSUER_ERROR },
                { 200, "{\"error\":\"invalid_grant\"}", TOKEN_INVALID_GRANT, MCPB_GRANT_REVOKED },
                { 400, "{\"error\":\"temporarily_unavailable\"}", TOKEN_TRANSIENT,
                  MCPB_ISSUER_ERROR },
                { 503, "{\"error\":\"invalid_grant\"}", TOKEN_TRANSIENT, MCPB_ISSUER_ERROR },
                { 500, "", TOKEN_TRANSIENT, MCPB_ISSUER_ERROR },
                { 429, "", TOKEN_TRANSIENT, MCPB_ISSUER_ERROR },
                { 404, "<html>", TOKEN_OTHER, MCPB_ISSUER_ERROR },
                { 400, "", TOKEN_OTHER, MCPB_ISSUER_ERROR },
                { 204, "", TOKEN_OTHER, MCPB_ISSUER_ERROR },
                { 201, "{\"access_token\":\"t\",\"token_type\":\"Bearer\"}", TOKEN_OTHER,
                  MCPB_ISSUER_ERROR },
                { 307, "{\"error\":\"invalid_grant\"}", TOKEN_OTHER, MCPB_ISSUER_ERROR },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                struct token_fault fault = { .what = TOKEN_OK };
                struct error err = ERROR_INIT;

                assert_true(reply_from(&reply, table[i].status, table[i].body, &fault, &err) < 0);
                if (fault.what != table[i].what || err.code != table[i].code)
                        fail_msg("row %zu: %s, %s", i, token_error_name(fault.what), err.message);
                assert_non_null(strstr(err.message, ISSUER));
                assert_true(err.hint[0]);
        }
}

/* A23 A138 A229 */
static void what_an_issuer_says_is_cleaned_and_secrets_in_it_do_not_show(void **state) {
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        struct error err = ERROR_INIT;

        assert_true(reply_from(&reply, 400,
                               "{\"error\":\"invalid_grant\",\"error_description\":\"token "
                               "Xq3vZ8-kLmN0pQrStUv_W is \\u001b[2Jdead, "
                               "see eyJhbGciOiJFUzI1NiJ9xx.eyJzdWIiOiIxMjM0NTY3ODkwIn0\"}",
                               NULL, &err) < 0);
        assert_non_null(
                strstr(err.message, "invalid_grant: token [...] is ?[2Jdead, see [...].[...]"));
        assert_true(reply_from(&reply, 400,
                               "{\"error\":\"invalid_grant\",\"error_description\":\"the "
                               "authorization grant was internationalized\"}",
                               NULL, &err) < 0);
        assert_non_null(strstr(err.message, "the authorization grant was internationalized"));
}

/* A122 A137 A148 */
static void what_may_be_repeated_is_told_from_what_is_in_doubt(void **state) {
        static const struct {
                enum fetch_outcome outcome;
                enum token_error what;
                bool code;  /* a code may be sent again */
                bool other; /* another grant may */
        } table[] = {
                { FETCH_NOT_SENT, TOKEN_NOT_SENT, true, true },
                { FETCH_NO_ANSWER, TOKEN_IN_DOUBT, false, false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_ANSWER struct fetch_answer a;
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                struct token_fault fault = { .what = TOKEN_OK };
                struct error err = ERROR_INIT;

                as_make(&as);
                answer_none(&a, table[i].outcome, FETCH_FAILURE_CONNECT);
                assert_true(token_answer(&reply, &as, &a, &fault, &err) < 0);
                assert_int_equal(fault.what, table[i].what);
                assert_int_equal(err.code, MCPB_ISSUER_UNREACHABLE);
                assert_int_equal(token_error_repeatable(fault.what, true), table[i].code);
                assert_int_equal(token_error_repeatable(fault.what, false), table[i].other);
        }
        assert_false(token_error_repeatable(TOKEN_TRANSIENT, true));
        assert_true(token_error_repeatable(TOKEN_TRANSIENT, false));
        assert_false(token_error_repeatable(TOKEN_INVALID_GRANT, false));
        assert_false(token_error_repeatable(TOKEN_INVALID_TARGET, false));
}

/* A137 */
static void a_pause_that_is_asked_for_is_told(void **state) {
        static const struct {
                const char *retry;
                const char *date;
                uint64_t sec;
        } table[] = {
                { NULL, NULL, 0 },
                { "7", NULL, 7 },
                { "999999999999999999999999", NULL, 3600 },
                { "-1", NULL, 0 },
                { "soon", NULL, 0 },
                { "Sun, 06 Nov 1994 08:49:47 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", 10 },
                { "Sun, 06 Nov 1994 08:49:27 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
                { "Mon, 06 Nov 1995 08:49:27 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", 3600 },
                { "Sun, 06 Nov 1994 08:49:47 GMT", NULL, 0 },
                { "Sun, 06 Nxv 1994 08:49:47 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
                { "Sun, 06 Nov 1994 08:4x:47 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_ANSWER struct fetch_answer a;
                AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
                struct token_fault fault = { .what = TOKEN_OK };

                as_make(&as);
                answer_make(&a, 503, "");
                if (table[i].retry)
                        assert_int_equal(fetch_answer_add_header(&a, "retry-after", table[i].retry),
                                         0);
                if (table[i].date)
                        assert_int_equal(fetch_answer_add_header(&a, "date", table[i].date), 0);
                assert_true(token_answer(&reply, &as, &a, &fault, NULL) < 0);
                assert_int_equal(fault.what, TOKEN_TRANSIENT);
                assert_int_equal(fault.retry_after_sec, table[i].sec);
        }
}

/* A88 A147 */
static void a_refusal_costs_a_registration_only_in_a_login_and_once(void **state) {
        struct registration reg = { .how = REGISTRATION_DYNAMIC };

        assert_true(token_error_ends_registration(TOKEN_INVALID_CLIENT, &reg, true, 0));
        assert_false(token_error_ends_registration(TOKEN_INVALID_CLIENT, &reg, true, 1));
        assert_false(token_error_ends_registration(TOKEN_INVALID_CLIENT, &reg, false, 0));
        assert_false(token_error_ends_registration(TOKEN_INVALID_GRANT, &reg, true, 0));
        assert_false(token_error_ends_registration(TOKEN_UNAUTHORIZED_CLIENT, &reg, true, 0));
        reg.how = REGISTRATION_PREREGISTERED;
        assert_false(token_error_ends_registration(TOKEN_INVALID_CLIENT, &reg, true, 0));
        reg.how = REGISTRATION_METADATA_DOCUMENT;
        assert_false(token_error_ends_registration(TOKEN_INVALID_CLIENT, &reg, true, 0));
}

struct case_ {
        struct as_metadata as;
        struct fetch_answer answer;
};

static int answer_once(void *userdata) {
        struct case_ *c = userdata;
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;

        return token_answer(&reply, &c->as, &c->answer, NULL, NULL);
}

static int request_once(void *userdata) {
        struct case_ *c = userdata;
        AUTO_REQUEST struct fetch_request f = { 0 };
        const struct registration reg = { .issuer = (char[]){ ISSUER },
                                          .client_id = (char[]){ "c" },
                                          .client_secret = (char[]){ "s" },
                                          .auth = CLIENT_AUTH_BASIC };
        struct token_refresh refresh = { .refresh_token = "r", .resource = RESOURCE };

        return token_request_refresh(&f, &refresh, &reg, &c->as, NULL);
}

static void running_out_of_memory_is_said(void **state) {
        struct case_ c = { 0 };

        as_make(&c.as);
        answer_make(&c.answer, 200,
                    "{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"refresh_token\":\"r\","
                    "\"scope\":\"a b\",\"expires_in\":\"5\",\"issued_token_type\":\"u\"}");
        /* jansson does not always say that it was the memory. */
        assert_true(oom_sweep_any(answer_once, &c) > 5);
        assert_true(oom_sweep(request_once, &c) > 5);
        fetch_answer_done(&c.answer);
        as_metadata_done(&c.as);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_code_is_redeemed_with_all_that_belongs_to_it),
                cmocka_unit_test(the_resource_is_left_out_where_a_person_says_so),
                cmocka_unit_test(the_endpoints_query_is_kept_and_nothing_added_to_it),
                cmocka_unit_test(a_client_proves_itself_by_one_method_only),
                cmocka_unit_test(basic_encodes_id_and_secret_each),
                cmocka_unit_test(a_method_that_is_not_served_is_named),
                cmocka_unit_test(nothing_of_one_issuer_is_sent_to_another),
                cmocka_unit_test(a_refresh_narrows_and_never_widens),
                cmocka_unit_test(a_good_answer_gives_what_it_says),
                cmocka_unit_test(a_bound_token_is_taken_where_there_was_a_proof),
                cmocka_unit_test(a_refused_proof_is_told_from_none_at_all),
                cmocka_unit_test(what_kind_of_token_was_issued_is_kept),
                cmocka_unit_test(a_jwt_and_a_random_string_are_treated_alike),
                cmocka_unit_test(the_lifetime_may_be_a_number_a_string_or_missing),
                cmocka_unit_test(an_unusable_answer_is_an_error_that_shows_no_token),
                cmocka_unit_test(an_answer_cut_at_any_byte_gives_no_token),
                cmocka_unit_test(each_error_drives_what_comes_next),
                cmocka_unit_test(what_an_issuer_says_is_cleaned_and_secrets_in_it_do_not_show),
                cmocka_unit_test(what_may_be_repeated_is_told_from_what_is_in_doubt),
                cmocka_unit_test(a_pause_that_is_asked_for_is_told),
                cmocka_unit_test(a_refusal_costs_a_registration_only_in_a_login_and_once),
                cmocka_unit_test(running_out_of_memory_is_said),
        };

        return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
