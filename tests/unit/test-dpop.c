/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include "base/limits.h"
#include "jose/jwt.h"
#include "keys.h"
#include "oauth/dpop.h"
#include "oom.h"

#define NOW ((uint64_t)1800000000 * USEC_PER_SEC + 999999)
#define URL "https://as.example.com/token"

static struct jose_key *key_make(const char *text) {
        struct jose_key *k = NULL;

        assert_int_equal(jose_key_read(text, strlen(text), &k, NULL), 0);
        return k;
}

static void proof_read(const struct dpop_proof *p, json_t **ret_header, json_t **ret_claims) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(dpop_proof_make(p, &b), 0);
        assert_int_equal(jwt_read(b.data, b.len, ret_header, ret_claims), 0);
}

/* RFC 9449 4.2; the jti is looked at by itself. */
static void a_proof_says_what_it_is_for_and_no_more(void **state) {
        static const struct {
                const char *text;
                const char *alg;
                const char *public_key;
        } keys[] = {
                { KEY_P256_JWK, "ES256", KEY_P256_PUBLIC },
                { KEY_ED25519_JWK, "EdDSA", KEY_ED25519_PUBLIC },
        };

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                AUTO_JOSE_KEY struct jose_key *k = key_make(keys[i].text);
                const struct dpop_proof p = {
                        .key = k, .htm = "POST", .htu = URL, .now_wall = NOW
                };
                AUTO_JSON json_t *header = NULL;
                AUTO_JSON json_t *claims = NULL;
                AUTO_JSON json_t *wanted_header = NULL;
                AUTO_JSON json_t *wanted = json_pack("{s:s, s:s, s:I}", "htm", "POST", "htu", URL,
                                                     "iat", (json_int_t)1800000000);
                json_t *jwk = NULL;

                proof_read(&p, &header, &claims);
                assert_int_equal(
                        json_parse(keys[i].public_key, strlen(keys[i].public_key), 2, &jwk, NULL),
                        0);
                wanted_header = json_pack("{s:s, s:s, s:o}", "typ", "dpop+jwt", "alg", keys[i].alg,
                                          "jwk", jwk);
                assert_true(json_equal(header, wanted_header));
                assert_int_equal(json_object_del(claims, "jti"), 0);
                assert_true(json_equal(claims, wanted));
        }
}

static void no_two_proofs_are_alike(void **state) {
        AUTO_JOSE_KEY struct jose_key *k = key_make(KEY_ED25519_JWK);
        const struct dpop_proof p = { .key = k, .htm = "GET", .htu = URL, .now_wall = NOW };
        AUTO_JSON json_t *first = NULL;
        AUTO_JSON json_t *second = NULL;

        proof_read(&p, NULL, &first);
        proof_read(&p, NULL, &second);
        assert_int_equal(strlen(json_get_string(first, "jti")), 22); /* 128 bits */
        assert_string_not_equal(json_get_string(first, "jti"), json_get_string(second, "jti"));
}

/* RFC 9449 7.1, its example of "ath" */
static void a_proof_names_token_and_nonce(void **state) {
        AUTO_JOSE_KEY struct jose_key *k = key_make(KEY_P256_JWK);
        const struct dpop_proof p = { .key = k,
                                      .htm = "GET",
                                      .htu = URL,
                                      .access_token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU",
                                      .nonce = "eyJ7S_zG.eyJH0-Z.HX4w-7v",
                                      .now_wall = NOW };
        AUTO_JSON json_t *claims = NULL;

        proof_read(&p, NULL, &claims);
        assert_string_equal(json_get_string(claims, "ath"),
                            "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
        assert_string_equal(json_get_string(claims, "nonce"), "eyJ7S_zG.eyJH0-Z.HX4w-7v");
}

static void query_and_fragment_stay_out(void **state) {
        static const struct {
                const char *url;
                const char *htu;
        } cases[] = {
                { "https://a.example/mcp", "https://a.example/mcp" },
                { "https://a.example/mcp?session=secret", "https://a.example/mcp" },
                { "https://a.example/mcp#part", "https://a.example/mcp" },
                { "https://a.example/mcp?a=b#c", "https://a.example/mcp" },
                { "https://a.example/mcp#c?d", "https://a.example/mcp" },
                { "https://a.example/mcp?", "https://a.example/mcp" },
                { "HTTPS://A.example:443/%7Emcp/", "HTTPS://A.example:443/%7Emcp/" },
        };
        AUTO_JOSE_KEY struct jose_key *k = key_make(KEY_ED25519_JWK);

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct dpop_proof p = { .key = k, .htm = "GET", .htu = cases[i].url };
                AUTO_JSON json_t *claims = NULL;

                proof_read(&p, NULL, &claims);
                assert_string_equal(json_get_string(claims, "htu"), cases[i].htu);
        }
}

static void what_cannot_stand_in_a_proof_is_refused(void **state) {
        AUTO_JOSE_KEY struct jose_key *k = key_make(KEY_ED25519_JWK);
        const struct dpop_proof cases[] = {
                { .key = k, .htu = URL },
                { .key = k, .htm = "", .htu = URL },
                { .key = k, .htm = "GET ", .htu = URL },
                { .key = k, .htm = "GET" },
                { .key = k, .htm = "GET", .htu = "" },
                { .key = k, .htm = "GET", .htu = URL "\r\nX: y" },
                { .key = k, .htm = "GET", .htu = "https://a.example/\xff" },
                { .key = k, .htm = "GET", .htu = URL, .nonce = "" },
                { .key = k, .htm = "GET", .htu = URL, .nonce = "a b" },
                { .key = k, .htm = "GET", .htu = URL, .nonce = "a\"b" },
        };
        AUTO_BUF struct buf b = BUF_INIT;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                assert_int_equal(dpop_proof_make(&cases[i], &b), -EINVAL);
        assert_int_equal(b.len, 0);
}

static void the_algorithm_is_one_that_both_know(void **state) {
        static const struct {
                const char *json;
                bool wanted;
                enum jose_alg alg;
        } cases[] = {
                { "[]", false, JOSE_ALG_COUNT },
                { "[\"RS256\",\"PS256\",\"ES384\",\"es256\"]", false, JOSE_ALG_COUNT },
                { "[\"EdDSA\",\"RS256\",\"ES256\"]", true, JOSE_ES256 },
                { "[\"RS256\",\"EdDSA\"]", true, JOSE_EDDSA },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct as_metadata as = AS_METADATA_INIT;
                AUTO_JSON json_t *list = NULL;
                enum jose_alg alg = JOSE_ALG_COUNT;

                assert_int_equal(json_parse(cases[i].json, strlen(cases[i].json), 2, &list, NULL),
                                 0);
                assert_int_equal(text_list_from_json(&as.dpop_algs, &as.n_dpop_algs, list), 0);
                assert_int_equal(dpop_alg_wanted(&as, &alg), cases[i].wanted);
                assert_int_equal(alg, cases[i].alg);
                as_metadata_done(&as);
        }
}

static void a_nonce_is_taken_from_any_answer(void **state) {
        static const unsigned statuses[] = { 200, 400, 401, 500 };

        for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
                AUTO_ANSWER struct fetch_answer a;

                answer_make(&a, statuses[i], NULL);
                assert_null(dpop_answer_nonce(&a));
                assert_int_equal(fetch_answer_add_header(&a, "dpop-nonce", "n-1"), 0);
                assert_string_equal(dpop_answer_nonce(&a), "n-1");
                a.outcome = FETCH_NO_ANSWER;
                assert_null(dpop_answer_nonce(&a));
        }
}

/* S9 */
static void what_is_no_nonce_is_none(void **state) {
        static const char *const wrong[] = {
                "", "a b", "a\"b", "a\\b", "a\tb", "\xc3\xa4", "a\x7f"
        };
        static char longest[LIMIT_DPOP_NONCE_BYTES + 2];

        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                AUTO_ANSWER struct fetch_answer a;

                answer_make(&a, 401, NULL);
                assert_int_equal(fetch_answer_add_header(&a, "dpop-nonce", "n"), 0);
                free(a.headers[0].value); /* as it came, and not cleaned */
                a.headers[0].value = strdup(wrong[i]);
                assert_null(dpop_answer_nonce(&a));
                assert_false(dpop_nonce_is_sound(wrong[i]));
        }
        assert_true(dpop_nonce_is_sound("!#[]~,"));
        memset(longest, '!', LIMIT_DPOP_NONCE_BYTES + 1);
        for (size_t over = 0; over < 2; over++) {
                AUTO_ANSWER struct fetch_answer a;

                answer_make(&a, 401, NULL);
                assert_int_equal(fetch_answer_add_header(&a, "dpop-nonce", longest + 1 - over), 0);
                assert_int_equal(dpop_answer_nonce(&a) != NULL, over == 0);
        }
}

#define USE_NONCE "{\"error\":\"use_dpop_nonce\"}"

static void another_attempt_is_asked_for_in_these_words_only(void **state) {
        static const struct {
                unsigned status;
                const char *body;
                const char *challenge;
                const char *nonce;
                bool wants;
        } cases[] = {
                { 400, USE_NONCE, NULL, "n", true },
                { 401, USE_NONCE, NULL, "n", true },
                { 401, NULL, "DPoP error=\"use_dpop_nonce\", error_description=\"x\"", "n", true },
                { 401, "no JSON", "Bearer, DPoP error=\"use_dpop_nonce\"", "n", true },
                { 401, "{}", "dpop algs=\"ES256\", error=use_dpop_nonce", "n", true },
                { 401, NULL, "Bearer error=\"invalid_token\", DPoP error=\"use_dpop_nonce\"", "n",
                  true },
                /* there is nothing to try again with */
                { 400, USE_NONCE, NULL, NULL, false },
                { 400, USE_NONCE, NULL, "a b", false },
                { 401, NULL, "DPoP error=\"use_dpop_nonce\"", NULL, false },
                /* a new nonce for the next time, and a refusal for another reason */
                { 400, "{\"error\":\"invalid_grant\"}", NULL, "n", false },
                { 400, "{\"error\":\"invalid_dpop_proof\"}", NULL, "n", false },
                { 401, NULL, "DPoP error=\"invalid_token\"", "n", false },
                { 401, NULL, NULL, "n", false },
                { 200, USE_NONCE, NULL, "n", false },
                { 403, USE_NONCE, "DPoP error=\"use_dpop_nonce\"", "n", false },
                { 500, USE_NONCE, NULL, "n", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                AUTO_ANSWER struct fetch_answer a;

                answer_make(&a, cases[i].status, cases[i].body);
                if (cases[i].challenge)
                        assert_int_equal(
                                fetch_answer_add_header(&a, "www-authenticate", cases[i].challenge),
                                0);
                if (cases[i].nonce)
                        assert_int_equal(fetch_answer_add_header(&a, "dpop-nonce", cases[i].nonce),
                                         0);
                assert_int_equal(dpop_answer_wants_nonce(&a), cases[i].wants);
                a.outcome = FETCH_NO_ANSWER;
                assert_false(dpop_answer_wants_nonce(&a));
        }
}

static int make_and_drop(void *userdata) {
        AUTO_BUF struct buf b = BUF_INIT;

        return dpop_proof_make(userdata, &b);
}

static int ask_and_drop(void *userdata) {
        return dpop_answer_wants_nonce(userdata) ? 0 : -ENOMEM;
}

static void no_allocation_that_fails_does_harm(void **state) {
        AUTO_JOSE_KEY struct jose_key *k = key_make(KEY_P256_JWK);
        struct dpop_proof p = {
                .key = k, .htm = "GET", .htu = URL, .access_token = "t", .nonce = "n"
        };
        AUTO_ANSWER struct fetch_answer a;

        assert_true(oom_sweep(make_and_drop, &p) > 10);
        /* Without a body: jansson's parser cannot take a failure everywhere. */
        answer_make(&a, 401, NULL);
        assert_int_equal(fetch_answer_add_header(&a, "dpop-nonce", "n"), 0);
        assert_int_equal(
                fetch_answer_add_header(&a, "www-authenticate", "DPoP error=\"use_dpop_nonce\""),
                0);
        assert_true(oom_sweep(ask_and_drop, &a) > 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_proof_says_what_it_is_for_and_no_more),
                cmocka_unit_test(no_two_proofs_are_alike),
                cmocka_unit_test(a_proof_names_token_and_nonce),
                cmocka_unit_test(query_and_fragment_stay_out),
                cmocka_unit_test(what_cannot_stand_in_a_proof_is_refused),
                cmocka_unit_test(the_algorithm_is_one_that_both_know),
                cmocka_unit_test(a_nonce_is_taken_from_any_answer),
                cmocka_unit_test(what_is_no_nonce_is_none),
                cmocka_unit_test(another_attempt_is_asked_for_in_these_words_only),
                cmocka_unit_test(no_allocation_that_fails_does_harm),
        };

        return cmocka_run_group_tests_name("dpop", tests, NULL, NULL);
}
