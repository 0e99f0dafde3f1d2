/* SPDX-License-Identifier: Apache-2.0 */
#include "presenting.h"

#include "base/codec.h"
#include "jose/jwt.h"
#include "oom.h"

#define GRANT(name) "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3A" name
#define TYPE(name) "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A" name
#define SENT_RESOURCE "&resource=https%3A%2F%2Fmcp.example.com%2Fmcp"
#define ASSERTION_IS(name) \
        "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3A" name

/* {"alg":"ES256"} and {"exp":N}, signed by nobody: they are only read here. */
#define JWT_UNTIL_2286 "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjk5OTk5OTk5OTl9.AAAA"
#define JWT_UNTIL_NOW "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjE3MDAwMDAwMDB9.AAAA"

static void no_client(struct fixture *f) {
        registration_done(&f->reg);
}

/* --- Which one ------------------------------------------------------------------------------- */

#define BIT(a) CLIENT_AUTH_BIT(CLIENT_AUTH_##a)

/* A174 A182 A195 */
static void auto_takes_the_first_that_both_have(void **state) {
        static const struct {
                struct present_have have;
                unsigned methods;
                unsigned grants;
                bool mtls;
                bool id_jag;
                enum present chosen; /* PRESENT_COUNT: none */
        } table[] = {
                { { .jwt = true },
                  BIT(PRIVATE_KEY_JWT),
                  AS_GRANT_JWT_BEARER,
                  false,
                  false,
                  PRESENT_JWT_BEARER },
                { { .jwt = true, .x509 = true, .key = true, .secret = true, .spiffe = true },
                  BIT(TLS) | BIT(SPIFFE_JWT) | BIT(PRIVATE_KEY_JWT) | BIT(BASIC),
                  AS_GRANT_JWT_BEARER,
                  true,
                  false,
                  PRESENT_JWT_BEARER },
                { { .jwt = true, .x509 = true, .key = true, .secret = true, .spiffe = true },
                  BIT(TLS) | BIT(SPIFFE_JWT) | BIT(PRIVATE_KEY_JWT) | BIT(BASIC),
                  AS_GRANT_CODE,
                  true,
                  false,
                  PRESENT_MTLS },
                { { .x509 = true }, BIT(SPIFFE_X509), 0, true, false, PRESENT_MTLS },
                { { .x509 = true }, BIT(TLS), 0, false, false, PRESENT_COUNT },
                { { .jwt = true, .key = true, .secret = true, .spiffe = true },
                  BIT(SPIFFE_JWT) | BIT(PRIVATE_KEY_JWT) | BIT(BASIC),
                  0,
                  false,
                  false,
                  PRESENT_JWT_SPIFFE },
                { { .jwt = true, .spiffe = true },
                  BIT(PRIVATE_KEY_JWT),
                  0,
                  false,
                  false,
                  PRESENT_CLIENT_ASSERTION },
                { { .jwt = true }, BIT(SPIFFE_JWT), 0, false, false, PRESENT_COUNT },
                { { .jwt = true, .key = true },
                  BIT(PRIVATE_KEY_JWT),
                  0,
                  false,
                  false,
                  PRESENT_PRIVATE_KEY_JWT },
                { { .secret = true, .key = true },
                  BIT(PRIVATE_KEY_JWT) | BIT(BASIC),
                  0,
                  false,
                  false,
                  PRESENT_PRIVATE_KEY_JWT },
                { { .secret = true }, BIT(BASIC), 0, false, false, PRESENT_CLIENT_CREDENTIALS },
                { { .secret = true }, BIT(POST), 0, false, false, PRESENT_CLIENT_CREDENTIALS },
                { { .secret = true }, BIT(NONE), AS_GRANT_CODE, false, false, PRESENT_COUNT },
                { { .key = true }, BIT(BASIC), 0, false, false, PRESENT_COUNT },
                { { .jwt = true, .idp = true },
                  0,
                  AS_GRANT_JWT_BEARER,
                  false,
                  false,
                  PRESENT_ID_JAG },
                { { .jwt = true, .idp = true }, 0, 0, false, true, PRESENT_ID_JAG },
                /* What is for the identity provider is never shown here in its place. */
                { { .jwt = true, .idp = true },
                  BIT(PRIVATE_KEY_JWT),
                  0,
                  false,
                  false,
                  PRESENT_COUNT },
                { { .secret = false },
                  BIT(NONE) | BIT(BASIC),
                  AS_GRANT_JWT_BEARER,
                  true,
                  true,
                  PRESENT_COUNT },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                enum present chosen = PRESENT_COUNT;
                struct error err = ERROR_INIT;
                int r;

                as_make(&as);
                as.token_auth_methods = table[i].methods;
                as.grant_types = table[i].grants;
                as.mtls_token_endpoint = table[i].mtls ? strdup("https://h/t") : NULL;
                as.id_jag = table[i].id_jag;
                r = present_choose(PRESENT_AUTO, &table[i].have, &as, &chosen, &err);
                assert_int_equal(chosen, table[i].chosen);
                assert_int_equal(r == 0, chosen != PRESENT_COUNT);
                assert_int_equal(err.code,
                                 chosen == PRESENT_COUNT ? MCPB_UNSUPPORTED : MCPB_NO_ERROR);
        }
}

static void where_nothing_fits_the_error_names_what_is_offered(void **state) {
        static const struct present_have have = { .jwt = true };
        AUTO_AS_METADATA struct as_metadata as;
        enum present chosen = PRESENT_COUNT;
        struct error err = ERROR_INIT;

        as_make(&as);
        as.token_auth_methods = BIT(BASIC) | BIT(TLS);
        as.grant_types = AS_GRANT_CODE | AS_GRANT_CLIENT_CREDENTIALS;
        assert_true(present_choose(PRESENT_AUTO, &have, &as, &chosen, &err) < 0);
        assert_non_null(strstr(err.message, ISSUER));
        assert_non_null(strstr(err.message, "client_credentials authorization_code,"));
        assert_non_null(strstr(err.message, "client_secret_basic tls_client_auth"));
}

static void what_is_named_is_taken_whatever_is_offered(void **state) {
        static const struct {
                enum present wanted;
                struct present_have enough;
                struct present_have too_little;
                const char *says;
        } table[] = {
                { PRESENT_CLIENT_CREDENTIALS, { .secret = true }, { .key = true }, "secret" },
                { PRESENT_PRIVATE_KEY_JWT, { .key = true }, { .secret = true }, "key" },
                { PRESENT_CLIENT_ASSERTION, { .jwt = true }, { .x509 = true }, "JWT" },
                { PRESENT_JWT_SPIFFE, { .jwt = true, .spiffe = true }, { .jwt = true }, "SVID" },
                { PRESENT_JWT_BEARER, { .jwt = true }, { .key = true }, "JWT" },
                { PRESENT_TOKEN_EXCHANGE, { .jwt = true }, { .key = true }, "JWT" },
                { PRESENT_ID_JAG, { .jwt = true, .idp = true }, { .jwt = true }, "provider" },
                { PRESENT_MTLS, { .x509 = true }, { .jwt = true }, "certificate" },
                { PRESENT_ATTESTATION, { .jwt = true, .key = true }, { .jwt = true }, "key" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                enum present chosen = PRESENT_COUNT;
                struct error err = ERROR_INIT;

                as_make(&as);
                as.token_auth_methods = 0;
                as.grant_types = 0;
                assert_int_equal(
                        present_choose(table[i].wanted, &table[i].enough, &as, &chosen, NULL), 0);
                assert_int_equal(chosen, table[i].wanted);
                assert_true(present_choose(table[i].wanted, &table[i].too_little, &as, &chosen,
                                           &err) < 0);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                assert_non_null(strstr(err.message, table[i].says));
                assert_non_null(strstr(err.message, present_name(table[i].wanted)));
        }
}

static void a_person_needs_nothing(void **state) {
        static const struct present_have have = { .jwt = false };
        AUTO_AS_METADATA struct as_metadata as;
        enum present chosen = PRESENT_COUNT;

        as_make(&as);
        assert_int_equal(present_choose(PRESENT_BROWSER, &have, &as, &chosen, NULL), 0);
        assert_int_equal(chosen, PRESENT_BROWSER);
}

/* --- For whom -------------------------------------------------------------------------------- */

/* A177 */
static void the_audience_is_one_and_as_it_is_written(void **state) {
        static const struct {
                const char *setting;
                const char *text; /* NULL: not taken */
        } table[] = {
                { NULL, ISSUER },
                { "issuer", ISSUER },
                { "token-endpoint", ISSUER "/token" },
                { "literal:api://AzureADTokenExchange", "api://AzureADTokenExchange" },
                { "literal:a b", "a b" },
                { "literal:", NULL },
                { "literal:a\nb", NULL },
                { "literal:\xff", NULL },
                { "Issuer", NULL },
                { "https://as.example.com", NULL },
                { "", NULL },
        };
        AUTO_AS_METADATA struct as_metadata as;

        as_make(&as);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FREE char *text = NULL;
                struct error err = ERROR_INIT;
                int r = present_audience_check(table[i].setting, &err);

                assert_int_equal(r == 0, table[i].text != NULL);
                if (r < 0) {
                        assert_int_equal(err.code, MCPB_BAD_CONFIG);
                        continue;
                }
                assert_int_equal(present_audience(table[i].setting, &as, &text), 0);
                assert_string_equal(text, table[i].text);
        }
}

static void an_audience_that_is_not_there_is_none(void **state) {
        AUTO_AS_METADATA struct as_metadata as;
        char *text = NULL;

        as_make(&as);
        free(as.token_endpoint);
        as.token_endpoint = NULL;
        assert_int_equal(present_audience("token-endpoint", &as, &text), -ENOENT);
        assert_int_equal(present_audience("nonsense", &as, &text), -EINVAL);
        assert_null(text);
}

/* --- The request ----------------------------------------------------------------------------- */

/* A174 A175 A181 A188 A195 A218 */
static void each_presentation_has_its_body(void **state) {
        static const struct {
                enum present how;
                bool client;
                const char *body;
        } table[] = {
                { PRESENT_CLIENT_CREDENTIALS, true,
                  "grant_type=client_credentials&scope=a+b" SENT_RESOURCE },
                { PRESENT_CLIENT_ASSERTION, true,
                  "grant_type=client_credentials" ASSERTION_IS(
                          "jwt-bearer") "&client_assertion="
                                        "a.b%2Bc&scope=a+b" SENT_RESOURCE "&client_id=cl%26ent" },
                { PRESENT_CLIENT_ASSERTION, false,
                  "grant_type=client_credentials" ASSERTION_IS(
                          "jwt-bearer") "&client_assertion="
                                        "a.b%2Bc&scope=a+b" SENT_RESOURCE },
                { PRESENT_JWT_SPIFFE, false,
                  "grant_type=client_credentials" ASSERTION_IS(
                          "jwt-spiffe") "&client_assertion=" SVID "&scope=a+b" SENT_RESOURCE },
                { PRESENT_JWT_BEARER, false,
                  GRANT("jwt-bearer") "&assertion=a.b%2Bc&scope=a+b" SENT_RESOURCE },
                { PRESENT_TOKEN_EXCHANGE, false,
                  GRANT("token-exchange") "&subject_token=a.b%2Bc&subject_token_type=" TYPE(
                          "jwt") "&requested_token_type=" TYPE("access_token") "&scope=a+"
                                                                               "b" SENT_RESOURCE },
                { PRESENT_MTLS, true,
                  "grant_type=client_credentials&scope=a+b" SENT_RESOURCE "&client_id=cl%26ent" },
                { PRESENT_ATTESTATION, true,
                  "grant_type=client_credentials&scope=a+b" SENT_RESOURCE "&client_id=cl%26ent" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                AUTO_REQUEST struct fetch_request r = { 0 };
                struct error err = ERROR_INIT;

                fixture_init(&f, table[i].how);
                if (!table[i].client)
                        no_client(&f);
                assert_int_equal(present_request(&r, &f.p, &err), 0);
                assert_string_equal(r.method, "POST");
                assert_string_equal(r.url, table[i].how == PRESENT_MTLS
                                                   ? "https://mtls.example/token"
                                                   : ISSUER "/token");
                assert_string_equal(r.body.data, table[i].body);
                assert_string_equal(request_header(&r, "Content-Type"),
                                    "application/x-www-form-urlencoded");
                assert_int_equal(request_header(&r, "Authorization") != NULL,
                                 table[i].how == PRESENT_CLIENT_CREDENTIALS);
                assert_int_equal(r.cert_pem.len > 0, table[i].how == PRESENT_MTLS);
                assert_int_equal(r.key_pem.len > 0, table[i].how == PRESENT_MTLS);
                assert_false(r.link_local);
        }
}

/* A127: the client's own proof where it has one, and one only. */
static void an_assertion_as_a_grant_goes_with_the_clients_proof(void **state) {
        static const enum present ways[] = { PRESENT_JWT_BEARER, PRESENT_TOKEN_EXCHANGE,
                                             PRESENT_ID_JAG };

        for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
                AUTO_FIXTURE struct fixture f;
                AUTO_REQUEST struct fetch_request r = { 0 };

                fixture_init(&f, ways[i]);
                f.reg.auth = CLIENT_AUTH_POST;
                assert_int_equal(present_request(&r, &f.p, NULL), 0);
                assert_non_null(strstr(r.body.data, "a.b%2Bc"));
                assert_non_null(strstr(r.body.data, "&client_id=cl%26ent&client_secret=hush"));
                assert_null(strstr(r.body.data, "client_assertion"));
                assert_null(request_header(&r, "Authorization"));
        }
}

/* A127 A175 A177 A182 */
static void what_was_chosen_is_the_only_proof(void **state) {
        static const struct {
                enum present how;
                enum client_auth registered;
                const char *audience; /* of the parameters */
                const char *aud;      /* NULL: no assertion */
        } table[] = {
                { PRESENT_PRIVATE_KEY_JWT, CLIENT_AUTH_PRIVATE_KEY_JWT, NULL, ISSUER },
                { PRESENT_PRIVATE_KEY_JWT, CLIENT_AUTH_ANY, ISSUER "/token", ISSUER "/token" },
                { PRESENT_PRIVATE_KEY_JWT, CLIENT_AUTH_BASIC, NULL, ISSUER },
                { PRESENT_CLIENT_CREDENTIALS, CLIENT_AUTH_PRIVATE_KEY_JWT, NULL, NULL },
                { PRESENT_CLIENT_CREDENTIALS, CLIENT_AUTH_NONE, NULL, NULL },
                { PRESENT_CLIENT_CREDENTIALS, CLIENT_AUTH_ANY, NULL, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                AUTO_REQUEST struct fetch_request r = { 0 };
                AUTO_JSON json_t *claims = NULL;
                struct form form = FORM_INIT;
                const char *assertion;

                fixture_init(&f, table[i].how);
                f.reg.auth = table[i].registered;
                f.as.token_auth_methods = BIT(PRIVATE_KEY_JWT) | BIT(BASIC);
                f.p.audience = table[i].audience;
                assert_int_equal(present_request(&r, &f.p, NULL), 0);
                assert_int_equal(form_parse(&form, r.body.data, r.body.len), 0);
                assertion = form_get(&form, "client_assertion", NULL);
                assert_int_equal(assertion != NULL, table[i].aud != NULL);
                assert_int_equal(request_header(&r, "Authorization") != NULL, assertion == NULL);
                assert_null(form_get(&form, "client_secret", NULL));
                assert_string_equal(form_get(&form, "grant_type", NULL), "client_credentials");
                if (assertion) {
                        assert_int_equal(jwt_read(assertion, strlen(assertion), NULL, &claims), 0);
                        assert_string_equal(json_get_string(claims, "aud"), table[i].aud);
                        assert_int_equal(json_get_int(claims, "iat", 0), NOW_SEC);
                }
                form_done(&form);
        }
}

static void an_attested_client_proves_its_key(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_REQUEST struct fetch_request r = { 0 };
        AUTO_JSON json_t *claims = NULL;
        const char *proof;

        fixture_init(&f, PRESENT_ATTESTATION);
        f.p.attestation_challenge = "c1";
        assert_int_equal(present_request(&r, &f.p, NULL), 0);
        assert_string_equal(request_header(&r, "OAuth-Client-Attestation"), "at.te.st");
        proof = request_header(&r, "OAuth-Client-Attestation-PoP");
        assert_int_equal(jwt_read(proof, strlen(proof), NULL, &claims), 0);
        assert_string_equal(json_get_string(claims, "challenge"), "c1");
        assert_string_equal(json_get_string(claims, "aud"), ISSUER);
        assert_int_equal(json_get_int(claims, "iat", 0), NOW_SEC);
}

/* A200: who acts for whom. */
static void a_delegation_names_both(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_REQUEST struct fetch_request r = { 0 };

        fixture_init(&f, PRESENT_TOKEN_EXCHANGE);
        no_client(&f);
        f.p.scopes = NULL;
        f.p.resource = NULL;
        f.p.assertion_token_type = "urn:ietf:params:oauth:token-type:access_token";
        f.p.actor_token = "act";
        assert_int_equal(present_request(&r, &f.p, NULL), 0);
        assert_string_equal(
                r.body.data,
                GRANT("token-exchange") "&subject_token=a.b%2Bc&subject_token_type=" TYPE(
                        "access_token") "&requested_token_type=" TYPE("access_token") "&actor_"
                                                                                      "token=act&"
                                                                                      "actor_token_"
                                                                                      "type=" TYPE(
                                                                                              "jw"
                                                                                              "t"));
}

/* A219 */
static void a_certificate_goes_to_the_alias_or_else_to_the_endpoint(void **state) {
        AUTO_FIXTURE struct fixture f;
        AUTO_REQUEST struct fetch_request r = { 0 };

        fixture_init(&f, PRESENT_MTLS);
        f.as.mtls_token_endpoint = str_wipe_free(f.as.mtls_token_endpoint);
        assert_int_equal(present_request(&r, &f.p, NULL), 0);
        assert_string_equal(r.url, ISSUER "/token");
        assert_string_equal(r.cert_pem.data, "cert");
        assert_string_equal(r.key_pem.data, "key");
}

/* A69 A240 S5 */
static void nothing_of_one_issuer_is_shown_to_another(void **state) {
        for (int how = PRESENT_CLIENT_CREDENTIALS; how < PRESENT_COUNT; how++) {
                AUTO_FIXTURE struct fixture f;
                struct fetch_request r = { 0 };
                struct error err = ERROR_INIT;

                fixture_init(&f, (enum present)how);
                free(f.reg.issuer);
                f.reg.issuer = strdup("https://other.example");
                assert_true(present_request(&r, &f.p, &err) < 0);
                assert_int_equal(err.code, MCPB_INTERNAL);
                assert_null(r.url);
                assert_null(r.body.data);
        }
}

static void what_is_missing_is_named_before_anything_is_made(void **state) {
        static const struct {
                enum present how;
                bool client;
                bool identity;
                enum error_code code;
                const char *says;
        } table[] = {
                { PRESENT_BROWSER, true, true, MCPB_INTERNAL, "chosen" },
                { PRESENT_AUTO, true, true, MCPB_INTERNAL, "chosen" },
                { PRESENT_COUNT, true, true, MCPB_INTERNAL, "chosen" },
                { PRESENT_CLIENT_CREDENTIALS, false, true, MCPB_BAD_CONFIG, "client id" },
                { PRESENT_PRIVATE_KEY_JWT, false, true, MCPB_BAD_CONFIG, "client id" },
                { PRESENT_ID_JAG, false, true, MCPB_BAD_CONFIG, "client id" },
                { PRESENT_MTLS, false, true, MCPB_BAD_CONFIG, "client id" },
                { PRESENT_ATTESTATION, false, true, MCPB_BAD_CONFIG, "client id" },
                { PRESENT_JWT_BEARER, true, false, MCPB_INTERNAL, "identity" },
                { PRESENT_JWT_SPIFFE, true, false, MCPB_INTERNAL, "identity" },
                { PRESENT_MTLS, true, false, MCPB_INTERNAL, "identity" },
                { PRESENT_ATTESTATION, true, false, MCPB_INTERNAL, "identity" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                struct fetch_request r = { 0 };
                struct error err = ERROR_INIT;

                fixture_init(&f, table[i].how);
                if (!table[i].client)
                        no_client(&f);
                if (!table[i].identity) {
                        f.p.assertion = NULL;
                        f.p.attestation = NULL;
                        f.p.key_pem = NULL;
                }
                assert_true(present_request(&r, &f.p, &err) < 0);
                assert_int_equal(err.code, table[i].code);
                assert_non_null(strstr(err.message, table[i].says));
                assert_null(r.url);
        }
}

static void what_is_no_svid_is_not_called_one(void **state) {
        static const char *const table[] = {
                "a.b+c",
                /* no "sub"; a number; a name; the scheme alone in another case */
                "eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
                "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOjF9.AAAA",
                "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6YTpiIn0.AAAA",
                "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJTUElGRkU6Ly9kL2EifQ.AAAA",
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                struct fetch_request r = { 0 };
                struct error err = ERROR_INIT;

                fixture_init(&f, PRESENT_JWT_SPIFFE);
                f.p.assertion = table[i];
                assert_true(present_request(&r, &f.p, &err) < 0);
                assert_int_equal(err.code, MCPB_IDENTITY_FAILED);
                assert_non_null(strstr(err.message, "SPIFFE"));
                assert_null(r.url);
        }
}

static void a_proof_that_is_not_there_is_no_other_one(void **state) {
        static const enum present ways[] = { PRESENT_CLIENT_CREDENTIALS, PRESENT_PRIVATE_KEY_JWT,
                                             PRESENT_ATTESTATION };

        for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
                AUTO_FIXTURE struct fixture f;
                struct fetch_request r = { 0 };
                struct error err = ERROR_INIT;

                fixture_init(&f, ways[i]);
                if (ways[i] == PRESENT_CLIENT_CREDENTIALS)
                        f.reg.client_secret = str_wipe_free(f.reg.client_secret);
                else
                        f.reg.client_key = str_wipe_free(f.reg.client_key);
                assert_true(present_request(&r, &f.p, &err) < 0);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                assert_null(r.url);
        }
}

/* A196 */
static void an_identity_that_has_expired_is_not_shown(void **state) {
        static const struct {
                const char *text;
                bool shown;
        } table[] = { { JWT_UNTIL_2286, true }, { JWT_UNTIL_NOW, false }, { "opaque", true } };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                for (int attested = 0; attested < 2; attested++) {
                        AUTO_FIXTURE struct fixture f;
                        AUTO_REQUEST struct fetch_request r = { 0 };
                        struct error err = ERROR_INIT;

                        fixture_init(&f, attested ? PRESENT_ATTESTATION : PRESENT_JWT_BEARER);
                        f.p.assertion = attested ? NULL : table[i].text;
                        f.p.attestation = attested ? table[i].text : NULL;
                        assert_int_equal(present_request(&r, &f.p, &err) == 0, table[i].shown);
                        assert_int_equal(err.code,
                                         table[i].shown ? MCPB_NO_ERROR : MCPB_IDENTITY_FAILED);
                }
        }
}

static void an_attestation_is_one_line(void **state) {
        AUTO_FIXTURE struct fixture f;
        struct fetch_request r = { 0 };
        struct error err = ERROR_INIT;

        fixture_init(&f, PRESENT_ATTESTATION);
        f.p.attestation = "a\r\nX: y";
        assert_true(present_request(&r, &f.p, &err) < 0);
        assert_int_equal(err.code, MCPB_IDENTITY_FAILED);
        assert_null(r.url);
}

/* --- Relatives ------------------------------------------------------------------------------- */

static void each_relative_gets_its_own_words(void **state) {
        static const struct {
                const char *profile;
                const char *extra;
                bool client;
                const char *type;
                const char *body;
        } table[] = {
                { "anthropic",
                  "{\"federation_rule_id\":\"fdrl_1\",\"organization_id\":\"o\","
                  "\"service_account_id\":\"svac_1\",\"workspace_id\":\"default\"}",
                  false, "application/json",
                  "{\"grant_type\":\"urn:ietf:params:oauth:grant-type:jwt-bearer\","
                  "\"assertion\":\"a.b+c\",\"federation_rule_id\":\"fdrl_1\","
                  "\"organization_id\":\"o\",\"service_account_id\":\"svac_1\","
                  "\"workspace_id\":\"default\"}" },
                { "openai", "{\"identity_provider_id\":\"idp_1\",\"service_account_id\":\"s\"}",
                  false, "application/json",
                  "{\"grant_type\":\"urn:ietf:params:oauth:grant-type:token-exchange\","
                  "\"subject_token\":\"a.b+c\","
                  "\"subject_token_type\":\"urn:ietf:params:oauth:token-type:jwt\","
                  "\"identity_provider_id\":\"idp_1\",\"service_account_id\":\"s\"}" },
                { "openrouter", "{\"federation_policy_id\":\"p\"}", false,
                  "application/x-www-form-urlencoded",
                  GRANT("token-exchange") "&subject_token=a.b%2Bc&subject_token_type=" TYPE(
                          "jwt") "&federation_policy_id=p" },
                { "google-sts", "{\"audience\":\"//iam/p\"}", false,
                  "application/x-www-form-urlencoded",
                  GRANT("token-exchange") "&subject_token=a.b%2Bc&subject_token_type=" TYPE(
                          "jwt") "&requested_token_type=" TYPE("access_token") "&audience=%2F%"
                                                                               "2Fiam%2Fp" },
                { "hydra", NULL, true, "application/x-www-form-urlencoded",
                  GRANT("jwt-bearer") "&assertion=a.b%2Bc&client_id=cl%26ent&client_secret=hush" },
                { "entra", NULL, true, "application/x-www-form-urlencoded",
                  "grant_type=client_credentials" ASSERTION_IS(
                          "jwt-bearer") "&client_assertion="
                                        "a.b%2Bc&client_id=cl%26ent" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FIXTURE struct fixture f;
                AUTO_REQUEST struct fetch_request r = { 0 };
                AUTO_JSON json_t *extra =
                        table[i].extra ? json_loads(table[i].extra, 0, NULL) : NULL;
                const struct present_profile *profile = present_profile_find(table[i].profile);
                struct error err = ERROR_INIT;

                assert_ptr_equal(profile, present_profile_at(i));
                fixture_init(&f, profile->how);
                if (!table[i].client)
                        no_client(&f);
                f.reg.auth = CLIENT_AUTH_POST;
                f.p.profile = profile;
                f.p.extra = extra;
                f.p.scopes = NULL;
                assert_int_equal(present_request(&r, &f.p, &err), 0);
                assert_string_equal(request_header(&r, "Content-Type"), table[i].type);
                assert_string_equal(r.body.data, table[i].body);
                assert_int_equal(present_audience_check(profile->audience, NULL), 0);
        }
        assert_null(present_profile_at(ARRAY_SIZE(table)));
        assert_null(present_profile_find("nobody"));
}

static void a_relative_says_what_it_needs(void **state) {
        for (size_t i = 0; present_profile_at(i); i++) {
                const struct present_profile *profile = present_profile_at(i);
                AUTO_FIXTURE struct fixture f;
                struct fetch_request r = { 0 };
                struct error err = ERROR_INIT;

                fixture_init(&f, profile->how);
                no_client(&f);
                f.p.profile = profile;
                assert_true(present_request(&r, &f.p, &err) < 0);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                assert_non_null(
                        strstr(err.message, profile->client ? "client id" : profile->wanted[0]));
                f.p.how = profile->how == PRESENT_JWT_BEARER ? PRESENT_TOKEN_EXCHANGE
                                                             : PRESENT_JWT_BEARER;
                assert_true(present_request(&r, &f.p, &err) < 0);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                assert_non_null(strstr(err.message, profile->name));
                assert_null(r.url);
        }
}

static void what_is_sent_along_overrules_nothing(void **state) {
        static const char *const bad[] = {
                "{\"grant_type\":\"x\"}",
                "{\"scope\":\"x\"}",
                "{\"resource\":\"x\"}",
                "{\"assertion\":\"x\"}",
                "{\"client_id\":\"x\"}",
                "{\"client_secret\":\"x\"}",
                "{\"a\":7}",
                "{\"a\":null}",
                "{\"a\":[\"x\"]}",
                "{\"refresh_token\":\"\"}",
                "{\"actor_token\":\"x\"}",
        };
        AUTO_FIXTURE struct fixture f;

        fixture_init(&f, PRESENT_JWT_BEARER);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                AUTO_JSON json_t *extra = json_loads(bad[i], 0, NULL);
                struct fetch_request r = { 0 };
                struct error err = ERROR_INIT;

                f.p.extra = extra;
                assert_true(present_request(&r, &f.p, &err) < 0);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                assert_null(r.url);
        }
}

/* --- Memory ---------------------------------------------------------------------------------- */

static int request_once(void *userdata) {
        struct fixture *f = userdata;
        AUTO_REQUEST struct fetch_request r = { 0 };

        return present_request(&r, &f->p, NULL);
}

static void running_out_of_memory_is_said(void **state) {
        AUTO_JSON json_t *extra =
                json_pack("{s:s, s:s}", "identity_provider_id", "i", "service_account_id", "s");

        for (int how = PRESENT_CLIENT_CREDENTIALS; how < PRESENT_COUNT; how++) {
                AUTO_FIXTURE struct fixture f;

                fixture_init(&f, (enum present)how);
                if (how ==
                    PRESENT_JWT_SPIFFE) { /* jansson's failed allocations look like bad tokens */
                        assert_true(oom_sweep_any(request_once, &f) > 5);
                        continue;
                }
                assert_true(oom_sweep(request_once, &f) > 5);
                if (how != PRESENT_TOKEN_EXCHANGE)
                        continue;
                f.p.profile = present_profile_find("openai");
                f.p.extra = extra;
                assert_true(oom_sweep(request_once, &f) > 5);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(auto_takes_the_first_that_both_have),
                cmocka_unit_test(where_nothing_fits_the_error_names_what_is_offered),
                cmocka_unit_test(what_is_named_is_taken_whatever_is_offered),
                cmocka_unit_test(a_person_needs_nothing),
                cmocka_unit_test(the_audience_is_one_and_as_it_is_written),
                cmocka_unit_test(an_audience_that_is_not_there_is_none),
                cmocka_unit_test(each_presentation_has_its_body),
                cmocka_unit_test(an_assertion_as_a_grant_goes_with_the_clients_proof),
                cmocka_unit_test(what_was_chosen_is_the_only_proof),
                cmocka_unit_test(an_attested_client_proves_its_key),
                cmocka_unit_test(a_delegation_names_both),
                cmocka_unit_test(a_certificate_goes_to_the_alias_or_else_to_the_endpoint),
                cmocka_unit_test(nothing_of_one_issuer_is_shown_to_another),
                cmocka_unit_test(what_is_missing_is_named_before_anything_is_made),
                cmocka_unit_test(what_is_no_svid_is_not_called_one),
                cmocka_unit_test(a_proof_that_is_not_there_is_no_other_one),
                cmocka_unit_test(an_identity_that_has_expired_is_not_shown),
                cmocka_unit_test(an_attestation_is_one_line),
                cmocka_unit_test(each_relative_gets_its_own_words),
                cmocka_unit_test(a_relative_says_what_it_needs),
                cmocka_unit_test(what_is_sent_along_overrules_nothing),
                cmocka_unit_test(running_out_of_memory_is_said),
        };

        return cmocka_run_group_tests_name("present", tests, NULL, NULL);
}
