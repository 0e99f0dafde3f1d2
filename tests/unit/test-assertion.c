/* SPDX-License-Identifier: Apache-2.0 */
/* Who a key says that we are. That its signatures are good is for others to say: jose.py. */
#include "oauth.h"

#include "base/clock.h"
#include "base/codec.h"
#include "jose/jwt.h"
#include "jose/key.h"
#include "keys.h"
#include "oauth/assertion.h"
#include "oauth/par.h"
#include "oauth/revoke.h"
#include "oom.h"

#define NOW_SEC 1700000000
#define NOW ((uint64_t)NOW_SEC * USEC_PER_SEC + 999999)

static void registration_make(struct registration *reg, const char *key) {
        *reg = (struct registration){ .issuer = strdup(ISSUER),
                                      .client_id = strdup("cl&ent"),
                                      .client_key = strdup(key),
                                      .auth = CLIENT_AUTH_PRIVATE_KEY_JWT };
}

static void algs_make(struct as_metadata *as, const char *names) {
        AUTO_JSON json_t *list = json_loads(names, 0, NULL);

        assert_int_equal(text_list_from_json(&as->token_auth_algs, &as->n_token_auth_algs, list),
                         0);
}

static void read_made(const struct registration *reg, const struct as_metadata *as, json_t **header,
                      json_t **claims) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(assertion_make(reg, as, NOW, &b, NULL), 0);
        assert_int_equal(jwt_read(b.data, b.len, header, claims), 0);
}

/* A176 A177 A179 */
static void it_says_who_we_are_to_one_issuer_for_a_minute(void **state) {
        static const struct {
                const char *audience; /* of the registration */
                const char *kid;
                bool plain;
                const char *aud;
        } table[] = {
                { NULL, NULL, false, ISSUER },
                { NULL, "k1", true, ISSUER },
                { ISSUER "/token", "k1", false, ISSUER "/token" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg;
                AUTO_JSON json_t *header = NULL;
                AUTO_JSON json_t *claims = NULL;
                AUTO_JSON json_t *wanted = json_pack("{s:s}", "alg", "ES256");
                AUTO_BUF struct buf jti = BUF_INIT;
                const char *id;

                as_make(&as);
                registration_make(&reg, KEY_P256_PKCS8);
                reg.assertion_audience = table[i].audience ? strdup(table[i].audience) : NULL;
                reg.key_id = table[i].kid ? strdup(table[i].kid) : NULL;
                reg.plain_typ = table[i].plain;
                read_made(&reg, &as, &header, &claims);
                if (table[i].kid)
                        assert_int_equal(json_put(wanted, "kid", json_string(table[i].kid)), 0);
                if (!table[i].plain)
                        assert_int_equal(
                                json_put(wanted, "typ", json_string("client-authentication+jwt")),
                                0);
                assert_true(json_equal(header, wanted));
                assert_string_equal(json_get_string(claims, "iss"), "cl&ent");
                assert_string_equal(json_get_string(claims, "sub"), "cl&ent");
                assert_string_equal(json_get_string(claims, "aud"), table[i].aud);
                assert_int_equal(json_get_int(claims, "iat", 0), NOW_SEC);
                assert_int_equal(json_get_int(claims, "exp", 0), NOW_SEC + 60);
                id = json_get_string(claims, "jti");
                assert_int_equal(base64url_decode(&jti, id, strlen(id)), 0);
                assert_int_equal(jti.len, 16);
                assert_int_equal(json_object_size(claims), 6); /* no nbf: clocks differ */
        }
}

/* A176 */
static void each_is_made_anew(void **state) {
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REGISTRATION struct registration reg;
        AUTO_JSON json_t *one = NULL;
        AUTO_JSON json_t *two = NULL;

        as_make(&as);
        registration_make(&reg, KEY_P256_JWK);
        read_made(&reg, &as, NULL, &one);
        read_made(&reg, &as, NULL, &two);
        assert_string_not_equal(json_get_string(one, "jti"), json_get_string(two, "jti"));
}

/* A178 */
static void the_algorithm_is_ours_and_one_that_the_issuer_takes(void **state) {
        static const struct {
                const char *key;
                const char *wanted; /* SigningAlgorithm= */
                const char *listed; /* NULL: not said */
                const char *alg;    /* NULL: refused */
                enum error_code code;
        } table[] = {
                { KEY_P256_PKCS8, NULL, NULL, "ES256", MCPB_NO_ERROR },
                { KEY_P384_PKCS8, NULL, NULL, "ES384", MCPB_NO_ERROR },
                { KEY_ED25519_PKCS8, NULL, NULL, "EdDSA", MCPB_NO_ERROR },
                { KEY_ED25519_PKCS8, NULL, "[\"Ed25519\"]", "Ed25519", MCPB_NO_ERROR },
                { KEY_ED25519_PKCS8, NULL, "[\"Ed25519\",\"EdDSA\"]", "EdDSA", MCPB_NO_ERROR },
                { KEY_ED25519_PKCS8, "Ed25519", NULL, "Ed25519", MCPB_NO_ERROR },
                { KEY_P256_PKCS8, "Ed25519", NULL, NULL, MCPB_BAD_CONFIG },
                { KEY_RSA_PKCS8, NULL, NULL, "RS256", MCPB_NO_ERROR },
                { KEY_RSA_PKCS8, NULL, "[\"PS256\",\"ES256\"]", "PS256", MCPB_NO_ERROR },
                { KEY_RSA_PKCS8, NULL, "[\"PS256\",\"RS256\"]", "RS256", MCPB_NO_ERROR },
                { KEY_RSA_PKCS8, "PS256", NULL, "PS256", MCPB_NO_ERROR },
                { KEY_RSA_PKCS8, "PS256", "[\"RS256\"]", NULL, MCPB_UNSUPPORTED },
                { KEY_P256_PKCS8, NULL, "[\"RS256\"]", NULL, MCPB_UNSUPPORTED },
                { KEY_P256_PKCS8, NULL, "[\"none\"]", NULL, MCPB_UNSUPPORTED },
                { KEY_P256_PKCS8, "RS256", NULL, NULL, MCPB_BAD_CONFIG },
                { KEY_P256_PKCS8, "none", NULL, NULL, MCPB_BAD_CONFIG },
                { KEY_P256_ENCRYPTED, NULL, NULL, NULL, MCPB_BAD_CONFIG },
                { "not a key", NULL, NULL, NULL, MCPB_BAD_CONFIG },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg;
                AUTO_JSON json_t *header = NULL;
                AUTO_BUF struct buf b = BUF_INIT;
                struct error err = ERROR_INIT;
                int r;

                as_make(&as);
                registration_make(&reg, table[i].key);
                reg.signing_alg = table[i].wanted ? strdup(table[i].wanted) : NULL;
                if (table[i].listed)
                        algs_make(&as, table[i].listed);
                r = assertion_make(&reg, &as, NOW, &b, &err);
                assert_int_equal(r == 0, table[i].alg != NULL);
                assert_int_equal(err.code, table[i].code);
                if (r < 0) {
                        assert_int_equal(b.len, 0);
                        if (table[i].code == MCPB_UNSUPPORTED && !table[i].wanted)
                                assert_non_null(strstr(err.message, "not ES256"));
                        continue;
                }
                assert_int_equal(jwt_read(b.data, b.len, &header, NULL), 0);
                assert_string_equal(json_get_string(header, "alg"), table[i].alg);
        }
}

static void a_proof_of_an_attested_key_answers_the_challenge(void **state) {
        static const char *const challenges[] = { NULL, "c1" };

        for (size_t i = 0; i < ARRAY_SIZE(challenges); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg;
                AUTO_BUF struct buf b = BUF_INIT;
                AUTO_JSON json_t *header = NULL;
                AUTO_JSON json_t *claims = NULL;
                const char *said;

                as_make(&as);
                registration_make(&reg, KEY_ED25519_JWK);
                reg.assertion_audience = strdup("of another thing");
                algs_make(&as, "[\"RS256\"]"); /* of another thing, too */
                assert_int_equal(assertion_attest(&reg, &as, challenges[i], NOW, &b, NULL), 0);
                assert_int_equal(jwt_read(b.data, b.len, &header, &claims), 0);
                assert_string_equal(json_get_string(header, "typ"),
                                    "oauth-client-attestation-pop+jwt");
                assert_string_equal(json_get_string(header, "alg"), "EdDSA");
                assert_string_equal(json_get_string(claims, "iss"), "cl&ent");
                assert_string_equal(json_get_string(claims, "aud"), ISSUER);
                assert_int_equal(json_get_int(claims, "iat", 0), NOW_SEC);
                said = json_get_string(claims, "challenge");
                assert_true(streq_null(said, challenges[i]));
                assert_int_equal(json_object_size(claims), challenges[i] ? 5 : 4);
        }
}

/* The assertion of a form, read; and that there is one proof only. */
static void read_form(const struct fetch_request *f, json_t **claims) {
        struct form form = FORM_INIT;
        const char *assertion;

        assert_null(request_header(f, "Authorization"));
        assert_int_equal(form_parse(&form, f->body.data, f->body.len), 0);
        assert_string_equal(form_get(&form, "client_assertion_type", NULL),
                            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        assert_string_equal(form_get(&form, "client_id", NULL), "cl&ent");
        assert_null(form_get(&form, "client_secret", NULL));
        assertion = form_get(&form, "client_assertion", NULL);
        assert_non_null(assertion);
        assert_int_equal(jwt_read(assertion, strlen(assertion), NULL, claims), 0);
        form_done(&form);
}

/* A127 A128 A175 */
static void refresh_revocation_and_pushed_request_prove_the_client_too(void **state) {
        struct token_refresh refresh = { .refresh_token = "r" };
        uint64_t before = clock_wall_usec() / USEC_PER_SEC;

        for (int which = 0; which < 3; which++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg;
                AUTO_REQUEST struct fetch_request f = { 0 };
                AUTO_AUTHORIZATION struct authorization login = AUTHORIZATION_INIT;
                AUTO_JSON json_t *claims = NULL;
                struct authorization_params params = { .as = &as,
                                                       .registration = &reg,
                                                       .redirect_uri = "http://127.0.0.1:1/c",
                                                       .resource = "https://h/mcp",
                                                       .now_wall = NOW };

                as_make(&as);
                as.par_endpoint = strdup(ISSUER "/par");
                registration_make(&reg, KEY_P256_PKCS8);
                reg.client_secret = strdup("never sent");
                assert_int_equal(authorization_begin(&login, &params, NULL), 0);
                if (which == 0)
                        assert_int_equal(token_request_refresh(&f, &refresh, &reg, &as, NULL), 0);
                else if (which == 1)
                        assert_int_equal(
                                revoke_request(&f, &reg, &as, REVOKE_REFRESH_TOKEN, "r", NULL), 0);
                else
                        assert_int_equal(par_request(&f, &login, &reg, &as, NULL), 0);
                read_form(&f, &claims);
                assert_string_equal(json_get_string(claims, "aud"), ISSUER);
                assert_true((uint64_t)json_get_int(claims, "iat", 0) >= before);
        }
}

/* A128 */
static void a_key_comes_first_where_the_issuer_takes_it(void **state) {
        static const struct {
                unsigned listed;
                bool secret;
                enum client_auth used;
        } table[] = {
                { CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC) | CLIENT_AUTH_BIT(CLIENT_AUTH_PRIVATE_KEY_JWT),
                  true, CLIENT_AUTH_PRIVATE_KEY_JWT },
                { CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC), true, CLIENT_AUTH_BASIC },
                { CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC), false, CLIENT_AUTH_COUNT },
                { CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC) | CLIENT_AUTH_BIT(CLIENT_AUTH_NONE), false,
                  CLIENT_AUTH_NONE },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as;
                AUTO_REGISTRATION struct registration reg;
                enum client_auth used = CLIENT_AUTH_COUNT;
                struct error err = ERROR_INIT;
                int r;

                as_make(&as);
                as.token_auth_methods = table[i].listed;
                registration_make(&reg, KEY_P256_PKCS8);
                reg.auth = CLIENT_AUTH_ANY;
                reg.client_secret = table[i].secret ? strdup("s") : NULL;
                r = client_auth_resolve(&reg, &as, &used, &err);
                assert_int_equal(used, table[i].used);
                assert_int_equal(r < 0, table[i].used == CLIENT_AUTH_COUNT);
                if (r < 0) {
                        assert_int_equal(err.code, MCPB_UNSUPPORTED);
                        assert_non_null(strstr(err.message, "client_secret_basic"));
                }
        }
}

/* A69 S1 S5 */
static void nothing_is_signed_for_another_issuer_and_no_error_shows_the_key(void **state) {
        AUTO_AS_METADATA struct as_metadata as;
        AUTO_REGISTRATION struct registration reg;
        AUTO_BUF struct buf b = BUF_INIT;
        struct fetch_request f = { 0 };
        struct token_refresh refresh = { .refresh_token = "r" };
        struct error err = ERROR_INIT;

        as_make(&as);
        registration_make(&reg, KEY_P256_PKCS8);
        free(reg.issuer);
        reg.issuer = strdup("https://other.example");
        assert_true(token_request_refresh(&f, &refresh, &reg, &as, &err) < 0);
        assert_int_equal(err.code, MCPB_INTERNAL);
        assert_null(f.url);
        reg.client_key[60] = '!';
        assert_true(assertion_make(&reg, &as, NOW, &b, &err) < 0);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
        reg.client_key[50] = '\0';
        assert_null(strstr(err.message, reg.client_key + 40));
        reg.client_key = str_wipe_free(reg.client_key);
        assert_true(assertion_make(&reg, &as, NOW, &b, &err) < 0);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
        assert_non_null(strstr(err.message, "no key"));
}

struct case_ {
        struct as_metadata as;
        struct registration reg;
};

static int make_once(void *userdata) {
        struct case_ *c = userdata;
        AUTO_BUF struct buf b = BUF_INIT;

        return assertion_make(&c->reg, &c->as, NOW, &b, NULL);
}

static int attest_once(void *userdata) {
        struct case_ *c = userdata;
        AUTO_BUF struct buf b = BUF_INIT;

        return assertion_attest(&c->reg, &c->as, "c", NOW, &b, NULL);
}

static void running_out_of_memory_is_said(void **state) {
        struct case_ c = { 0 };

        as_make(&c.as);
        registration_make(&c.reg, KEY_P256_PKCS8);
        c.reg.key_id = strdup("k");
        assert_true(oom_sweep(make_once, &c) > 5);
        assert_true(oom_sweep(attest_once, &c) > 5);
        as_metadata_done(&c.as);
        registration_done(&c.reg);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_says_who_we_are_to_one_issuer_for_a_minute),
                cmocka_unit_test(each_is_made_anew),
                cmocka_unit_test(the_algorithm_is_ours_and_one_that_the_issuer_takes),
                cmocka_unit_test(a_proof_of_an_attested_key_answers_the_challenge),
                cmocka_unit_test(refresh_revocation_and_pushed_request_prove_the_client_too),
                cmocka_unit_test(a_key_comes_first_where_the_issuer_takes_it),
                cmocka_unit_test(nothing_is_signed_for_another_issuer_and_no_error_shows_the_key),
                cmocka_unit_test(running_out_of_memory_is_said),
        };

        return cmocka_run_group_tests_name("assertion", tests, NULL, NULL);
}
