/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "jose/key.h"
#include "keys.h"
#include "oom.h"
#include "test.h"

static const struct {
        const char *text;
        const char *thumbprint;
        const char *public_key; /* sorted */
        enum jose_alg alg;
        unsigned algs;
} good[] = {
        { KEY_P256_PKCS8, KEY_P256_THUMBPRINT, KEY_P256_PUBLIC, JOSE_ES256, 1u << JOSE_ES256 },
        { KEY_P256_SEC1, KEY_P256_THUMBPRINT, KEY_P256_PUBLIC, JOSE_ES256, 1u << JOSE_ES256 },
        { KEY_P256_JWK, KEY_P256_THUMBPRINT, KEY_P256_PUBLIC, JOSE_ES256, 1u << JOSE_ES256 },
        { KEY_P384_PKCS8, KEY_P384_THUMBPRINT, KEY_P384_PUBLIC, JOSE_ES384, 1u << JOSE_ES384 },
        { KEY_P384_JWK, KEY_P384_THUMBPRINT, KEY_P384_PUBLIC, JOSE_ES384, 1u << JOSE_ES384 },
        { KEY_RSA_PKCS8, KEY_RSA_THUMBPRINT, KEY_RSA_PUBLIC, JOSE_RS256,
          1u << JOSE_RS256 | 1u << JOSE_PS256 },
        { KEY_RSA_PKCS1, KEY_RSA_THUMBPRINT, KEY_RSA_PUBLIC, JOSE_RS256,
          1u << JOSE_RS256 | 1u << JOSE_PS256 },
        { KEY_RSA_JWK, KEY_RSA_THUMBPRINT, KEY_RSA_PUBLIC, JOSE_RS256,
          1u << JOSE_RS256 | 1u << JOSE_PS256 },
        { KEY_ED25519_PKCS8, KEY_ED25519_THUMBPRINT, KEY_ED25519_PUBLIC, JOSE_EDDSA,
          1u << JOSE_EDDSA | 1u << JOSE_ED25519 },
        { KEY_ED25519_JWK, KEY_ED25519_THUMBPRINT, KEY_ED25519_PUBLIC, JOSE_EDDSA,
          1u << JOSE_EDDSA | 1u << JOSE_ED25519 },
};

static struct jose_key *key_make(const char *text) {
        struct error err = ERROR_INIT;
        struct jose_key *k = NULL;

        if (jose_key_read(text, strlen(text), &k, &err) < 0)
                fail_msg("%s", err.message);
        return k;
}

static void assert_thumbprint(const struct jose_key *k, const char *wanted) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(jose_key_thumbprint(k, &b), 0);
        assert_string_equal(b.data, wanted);
}

static void algorithms_have_the_names_of_the_registry(void **state) {
        static const char *const names[] = {
                "ES256", "ES384", "RS256", "PS256", "EdDSA", "Ed25519"
        };
        enum jose_alg a = JOSE_PS256;

        for (int i = 0; i < JOSE_ALG_COUNT; i++) {
                assert_string_equal(jose_alg_name((enum jose_alg)i), names[i]);
                assert_int_equal(jose_alg_from_name(names[i], &a), 0);
                assert_int_equal(a, i);
        }
        a = JOSE_PS256;
        assert_int_equal(jose_alg_from_name("none", &a), -ENOENT);
        assert_int_equal(jose_alg_from_name("HS256", &a), -ENOENT);
        assert_int_equal(jose_alg_from_name("es256", &a), -ENOENT);
        assert_int_equal(jose_alg_from_name("", &a), -ENOENT);
        assert_int_equal(a, JOSE_PS256);
}

/* RFC 7638 3.1, RFC 8037 A.3: the thumbprints are not computed by our code. */
static void a_key_is_the_same_in_whatever_form_it_comes(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                AUTO_JOSE_KEY struct jose_key *k = key_make(good[i].text);
                AUTO_JSON json_t *jwk = NULL;
                AUTO_BUF struct buf text = BUF_INIT;

                assert_thumbprint(k, good[i].thumbprint);
                assert_int_equal(jose_key_public(k, &jwk), 0);
                assert_int_equal(json_write_canonical(&text, jwk), 0);
                assert_string_equal(text.data, good[i].public_key);
                assert_int_equal(jose_key_default_alg(k), good[i].alg);
                for (unsigned a = 0; a <= JOSE_ALG_COUNT; a++)
                        assert_int_equal(jose_key_can(k, (enum jose_alg)a),
                                         (good[i].algs & 1u << a) != 0);
        }
}

static void a_key_comes_back_from_its_record_and_from_pem(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                AUTO_JOSE_KEY struct jose_key *k = key_make(good[i].text);
                AUTO_JOSE_KEY struct jose_key *from_der = NULL;
                AUTO_JOSE_KEY struct jose_key *from_pem = NULL;
                AUTO_BUF struct buf der = BUF_INIT;
                AUTO_BUF struct buf pem = BUF_INIT;

                assert_int_equal(jose_key_to_der(k, &der), 0);
                assert_int_equal(jose_key_from_der(der.data, der.len, &from_der), 0);
                assert_thumbprint(from_der, good[i].thumbprint);
                assert_int_equal(jose_key_to_pem(k, &pem), 0);
                from_pem = key_make(pem.data);
                assert_thumbprint(from_pem, good[i].thumbprint);
                /* Others wrote the first of each kind in the same form. */
                if (strstr(good[i].text, "BEGIN PRIVATE KEY"))
                        assert_string_equal(pem.data, good[i].text);
        }
}

static void a_key_stands_among_other_things(void **state) {
        static const char text[] = "Bag Attributes\n  friendlyName: x\n" KEY_P256_PUBLIC_PEM
                                   "\n" KEY_ED25519_PKCS8 KEY_RSA_PKCS1 "rest";
        AUTO_JOSE_KEY struct jose_key *k = key_make(text);
        AUTO_JOSE_KEY struct jose_key *blanks = key_make(" \r\n\t" KEY_P256_JWK "\n");

        assert_thumbprint(k, KEY_ED25519_THUMBPRINT);
        assert_thumbprint(blanks, KEY_P256_THUMBPRINT);
}

static void a_jwk_may_say_what_it_is_for(void **state) {
        static const char ps256[] = "{\"alg\":\"PS256\",\"use\":\"sig\",\"kid\":\"1\",";
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_JOSE_KEY struct jose_key *k = NULL;

        assert_int_equal(buf_append_str(&b, ps256), 0);
        assert_int_equal(buf_append_str(&b, &KEY_RSA_JWK[1]), 0);
        k = key_make(b.data);
        assert_int_equal(jose_key_default_alg(k), JOSE_PS256);
        assert_true(jose_key_can(k, JOSE_RS256));
}

static void assert_refused(const char *text, size_t len, const char *why) {
        struct jose_key *k = NULL;
        struct error err = ERROR_INIT;

        assert_int_equal(jose_key_read(text, len, &k, &err), -EBADMSG);
        assert_null(k);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
        assert_true(err.hint[0] != '\0');
        if (!strstr(err.message, why))
                fail_msg("\"%s\" does not say \"%s\"", err.message, why);
}

static void what_cannot_be_used_is_refused_with_the_reason(void **state) {
        static const struct {
                const char *text;
                const char *why;
        } cases[] = {
                { "", "there is none" },
                { "\n\n", "there is none" },
                { "ssh-ed25519 AAAA", "there is none" },
                { KEY_P256_PUBLIC_PEM, "there is none" },
                { KEY_P256_ENCRYPTED, "encrypted" },
                { KEY_P256_ENCRYPTED_OLD, "encrypted" },
                { KEY_P521, "of a kind that is not served" },
                { KEY_SECP256K1, "of a kind that is not served" },
                { KEY_RSA_SHORT, "of a kind that is not served" },
                { KEY_X25519, "of a kind that is not served" },
                { KEY_PSS, "of a kind that is not served" },
                { "-----BEGIN DSA PRIVATE KEY-----\nMAA=\n-----END DSA PRIVATE KEY-----\n",
                  "of a kind that is not served" },
                { "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", "damaged" },
                { "-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n",
                  "damaged" },
                { "-----BEGIN PRIVATE KEY-----\nM*A=\n-----END PRIVATE KEY-----\n", "damaged" },
                { "{", "not JSON" },
                { "{\"kty\":\"EC\",\"kty\":\"EC\"}", "not JSON" },
                { "{}", "of a kind that is not served" },
                { "{\"kty\":\"oct\",\"k\":\"AAAA\",\"d\":\"AA\"}", "of a kind that is not served" },
                { "{\"keys\":[]}", "JWK set" },
                { KEY_P256_PUBLIC, "no private half" },
                { KEY_RSA_PUBLIC, "no private half" },
                { KEY_ED25519_PUBLIC, "no private half" },
                { "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"d\":\"AA\",\"x\":\"AA\"}",
                  "of a kind that is not served" },
                { "{\"kty\":\"EC\",\"crv\":\"P-521\",\"d\":\"AA\",\"x\":\"AA\",\"y\":\"AA\"}",
                  "of a kind that is not served" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                assert_refused(cases[i].text, strlen(cases[i].text), cases[i].why);
        assert_refused("\0" KEY_P256_JWK, sizeof(KEY_P256_JWK), "there is none");
}

/* A JWK with one member replaced (NULL: left out). */
static void assert_member_refused(const char *jwk, const char *name, const char *value,
                                  const char *why) {
        AUTO_JSON json_t *json = NULL;
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(json_parse(jwk, strlen(jwk), 4, &json, NULL), 0);
        if (value)
                assert_int_equal(json_object_set_new(json, name, json_string(value)), 0);
        else
                assert_int_equal(json_object_del(json, name), 0);
        assert_int_equal(json_write(&b, json), 0);
        assert_refused(b.data, b.len, why);
}

static void each_member_of_a_jwk_is_needed_and_looked_at(void **state) {
        static const char *const ec[] = { "x", "y", "d" };
        static const char *const rsa[] = { "n", "e", "d", "p", "q", "dp", "dq", "qi" };
        static const char *const okp[] = { "x", "d" };

        for (size_t i = 0; i < ARRAY_SIZE(ec); i++) {
                assert_member_refused(KEY_P256_JWK, ec[i], NULL, i == 2 ? "no private" : "member");
                assert_member_refused(KEY_P256_JWK, ec[i], "AAAA", "member");
                assert_member_refused(KEY_P256_JWK, ec[i], "not base64url!", "member");
        }
        for (size_t i = 0; i < ARRAY_SIZE(rsa); i++) {
                assert_member_refused(KEY_RSA_JWK, rsa[i], NULL, i == 2 ? "no private" : "member");
                assert_member_refused(KEY_RSA_JWK, rsa[i], "", "member");
        }
        for (size_t i = 0; i < ARRAY_SIZE(okp); i++) {
                assert_member_refused(KEY_ED25519_JWK, okp[i], NULL,
                                      i == 1 ? "no private" : "member");
                assert_member_refused(KEY_ED25519_JWK, okp[i], "AAAA", "member");
        }
        assert_member_refused(KEY_RSA_JWK, "oth", "x", "of a kind that is not served");
        assert_member_refused(KEY_P256_JWK, "use", "enc", "not one for signing");
        assert_member_refused(KEY_P256_JWK, "alg", "ES384", "\"alg\"");
        assert_member_refused(KEY_P256_JWK, "alg", "ECDH-ES", "\"alg\"");
        assert_member_refused(KEY_ED25519_JWK, "alg", "none", "\"alg\"");
}

static void halves_of_two_keys_are_no_key(void **state) {
        AUTO_JOSE_KEY struct jose_key *other = NULL;
        AUTO_JSON json_t *jwk = NULL;
        AUTO_JSON json_t *mixed = NULL;
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(jose_key_generate(JOSE_ES256, &other), 0);
        assert_int_equal(jose_key_public(other, &jwk), 0);
        assert_int_equal(json_parse(KEY_P256_JWK, strlen(KEY_P256_JWK), 4, &mixed, NULL), 0);
        assert_int_equal(json_object_update(mixed, jwk), 0);
        assert_int_equal(json_write(&b, mixed), 0);
        assert_refused(b.data, b.len, "do not belong together");
        assert_member_refused(KEY_ED25519_JWK, "x", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURA",
                              "do not belong together");
        assert_member_refused(KEY_RSA_JWK, "e", "Aw", "do not belong together");
}

static void a_key_cut_anywhere_is_none(void **state) {
        static const char *const texts[] = { KEY_ED25519_PKCS8, KEY_P256_SEC1, KEY_P256_JWK };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                size_t whole = strlen(texts[i]);

                /* The line feed behind the last dash says nothing. */
                whole -= texts[i][whole - 1] == '\n';
                for (size_t len = 0; len < whole; len++)
                        assert_refused(texts[i], len, "The private key cannot be used");
        }
}

static void a_record_cut_anywhere_is_none(void **state) {
        AUTO_JOSE_KEY struct jose_key *k = key_make(KEY_P256_PKCS8);
        AUTO_BUF struct buf der = BUF_INIT;
        struct jose_key *none = NULL;

        assert_int_equal(jose_key_to_der(k, &der), 0);
        for (size_t len = 0; len < der.len; len++)
                assert_int_equal(jose_key_from_der(der.data, len, &none), -EBADMSG);
        assert_int_equal(buf_append(&der, "", 1), 0);
        assert_int_equal(jose_key_from_der(der.data, der.len, &none), -EBADMSG);
        assert_null(none);
}

/* S9 */
static void a_key_has_a_bound(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;
        struct jose_key *k = NULL;

        assert_int_equal(buf_append_str(&b, KEY_P256_PKCS8), 0);
        while (b.len < LIMIT_KEY_BYTES)
                assert_int_equal(buf_append(&b, "\n", 1), 0);
        assert_int_equal(jose_key_read(b.data, b.len, &k, NULL), 0);
        k = jose_key_free(k);
        assert_int_equal(buf_append(&b, "\n", 1), 0);
        assert_refused(b.data, b.len, "too large");
        assert_int_equal(jose_key_from_der(b.data, b.len, &k), -EBADMSG);
}

static void keys_are_made_and_no_two_alike(void **state) {
        static const enum jose_alg algs[] = { JOSE_ES256, JOSE_ES384, JOSE_EDDSA };
        struct jose_key *none = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(algs); i++) {
                AUTO_JOSE_KEY struct jose_key *a = NULL;
                AUTO_JOSE_KEY struct jose_key *b = NULL;
                AUTO_BUF struct buf print_a = BUF_INIT;
                AUTO_BUF struct buf print_b = BUF_INIT;

                assert_int_equal(jose_key_generate(algs[i], &a), 0);
                assert_int_equal(jose_key_generate(algs[i], &b), 0);
                assert_int_equal(jose_key_default_alg(a), algs[i]);
                assert_int_equal(jose_key_thumbprint(a, &print_a), 0);
                assert_int_equal(jose_key_thumbprint(b, &print_b), 0);
                assert_int_equal(print_a.len, 43);
                assert_string_not_equal(print_a.data, print_b.data);
        }
        assert_int_equal(jose_key_generate(JOSE_RS256, &none), -EOPNOTSUPP);
        assert_int_equal(jose_key_generate(JOSE_PS256, &none), -EOPNOTSUPP);
        assert_int_equal(jose_key_generate(JOSE_ALG_COUNT, &none), -EOPNOTSUPP);
        assert_null(none);
        assert_null(jose_key_free(NULL));
}

static int read_and_drop(void *userdata) {
        const char *text = userdata;
        AUTO_JOSE_KEY struct jose_key *k = NULL;
        struct error err = ERROR_INIT;
        int r = jose_key_read(text, strlen(text), &k, &err);

        assert_true((r < 0) == (err.code != MCPB_NO_ERROR));
        return r;
}

static int write_and_drop(void *userdata) {
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_BUF struct buf record = BUF_INIT;
        AUTO_JOSE_KEY struct jose_key *again = NULL;
        int r = jose_key_thumbprint(userdata, &b);

        if (r == 0)
                r = jose_key_to_pem(userdata, &b);
        if (r == 0)
                r = jose_key_to_der(userdata, &record);
        return r < 0 ? r : jose_key_from_der(record.data, record.len, &again);
}

static void no_allocation_that_fails_does_harm(void **state) {
        AUTO_JOSE_KEY struct jose_key *ec = key_make(KEY_P256_PKCS8);
        AUTO_JOSE_KEY struct jose_key *rsa = key_make(KEY_RSA_PKCS8);
        char pem[] = KEY_P256_PKCS8;
        char ec_jwk[] = KEY_P256_JWK;
        char rsa_jwk[] = KEY_RSA_JWK;
        char ed_jwk[] = KEY_ED25519_JWK;

        assert_true(oom_sweep(read_and_drop, pem) > 0);
        /* jansson takes some of its failures for bad input, see json_parse(). */
        assert_true(oom_sweep_any(read_and_drop, ec_jwk) > 0);
        assert_true(oom_sweep_any(read_and_drop, rsa_jwk) > 0);
        assert_true(oom_sweep_any(read_and_drop, ed_jwk) > 0);
        assert_true(oom_sweep(write_and_drop, ec) > 0);
        assert_true(oom_sweep(write_and_drop, rsa) > 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(algorithms_have_the_names_of_the_registry),
                cmocka_unit_test(a_key_is_the_same_in_whatever_form_it_comes),
                cmocka_unit_test(a_key_comes_back_from_its_record_and_from_pem),
                cmocka_unit_test(a_key_stands_among_other_things),
                cmocka_unit_test(a_jwk_may_say_what_it_is_for),
                cmocka_unit_test(what_cannot_be_used_is_refused_with_the_reason),
                cmocka_unit_test(each_member_of_a_jwk_is_needed_and_looked_at),
                cmocka_unit_test(halves_of_two_keys_are_no_key),
                cmocka_unit_test(a_key_cut_anywhere_is_none),
                cmocka_unit_test(a_record_cut_anywhere_is_none),
                cmocka_unit_test(a_key_has_a_bound),
                cmocka_unit_test(keys_are_made_and_no_two_alike),
                cmocka_unit_test(no_allocation_that_fails_does_harm),
        };

        return cmocka_run_group_tests_name("jose-key", tests, NULL, NULL);
}
