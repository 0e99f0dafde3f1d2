/* SPDX-License-Identifier: Apache-2.0 */
/* The form of what is signed. That the signatures are good is for others to say: jose.py. */
#include "base/codec.h"
#include "jose/jws.h"
#include "jose/jwt.h"
#include "keys.h"
#include "oom.h"
#include "test.h"

static const struct {
        const char *text;
        enum jose_alg alg;
        size_t signature_bytes;
} signers[] = {
        { KEY_P256_PKCS8, JOSE_ES256, 64 },    { KEY_P384_PKCS8, JOSE_ES384, 96 },
        { KEY_RSA_PKCS8, JOSE_RS256, 256 },    { KEY_RSA_PKCS8, JOSE_PS256, 256 },
        { KEY_ED25519_PKCS8, JOSE_EDDSA, 64 }, { KEY_ED25519_PKCS8, JOSE_ED25519, 64 },
};

static struct jose_key *key_make(const char *text) {
        struct jose_key *k = NULL;

        assert_int_equal(jose_key_read(text, strlen(text), &k, NULL), 0);
        return k;
}

static void signature_of(const struct buf *jws, struct buf *b) {
        const char *dot = strrchr(jws->data, '.');

        assert_int_equal(base64url_decode(b, dot + 1, strlen(dot + 1)), 0);
}

static size_t signature_bytes(const struct buf *jws) {
        AUTO_BUF struct buf b = BUF_INIT;

        signature_of(jws, &b);
        return b.len;
}

static bool signature_begins_with_zero(const struct buf *jws) {
        AUTO_BUF struct buf b = BUF_INIT;

        signature_of(jws, &b);
        return b.data[0] == 0;
}

static void header_and_claims_are_in_it_and_nothing_else(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(signers); i++) {
                AUTO_JOSE_KEY struct jose_key *k = key_make(signers[i].text);
                AUTO_JSON json_t *header = json_pack("{s:s, s:s}", "typ", "x", "kid", "k");
                AUTO_JSON json_t *claims = json_pack("{s:s, s:i}", "sub", "me", "exp", 9);
                AUTO_JSON json_t *wanted = json_pack("{s:s, s:s, s:s}", "typ", "x", "kid", "k",
                                                     "alg", jose_alg_name(signers[i].alg));
                AUTO_JSON json_t *got_header = NULL;
                AUTO_JSON json_t *got_claims = NULL;
                AUTO_BUF struct buf b = BUF_INIT;

                assert_int_equal(jws_sign(k, signers[i].alg, header, claims, &b), 0);
                assert_int_equal(jwt_read(b.data, b.len, &got_header, &got_claims), 0);
                assert_true(json_equal(got_header, wanted));
                assert_true(json_equal(got_claims, claims));
                assert_int_equal(signature_bytes(&b), signers[i].signature_bytes);
                assert_null(json_object_get(header, "alg"));
        }
}

static void the_algorithm_is_ours_to_say(void **state) {
        AUTO_JOSE_KEY struct jose_key *k = key_make(KEY_RSA_PKCS8);
        AUTO_JSON json_t *header = json_pack("{s:s}", "alg", "none");
        AUTO_JSON json_t *claims = json_object();
        AUTO_JSON json_t *got = NULL;
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(jws_sign(k, JOSE_PS256, header, claims, &b), 0);
        assert_int_equal(jwt_read(b.data, b.len, &got, NULL), 0);
        assert_string_equal(json_get_string(got, "alg"), "PS256");
        assert_string_equal(json_get_string(header, "alg"), "none");
        buf_clear(&b);
        assert_int_equal(jws_sign(k, JOSE_PS256, NULL, claims, &b), 0);
        assert_memory_equal(b.data, "eyJhbGciOiJQUzI1NiJ9.e30.", 25);
}

static void a_key_signs_only_what_it_can(void **state) {
        AUTO_JSON json_t *claims = json_object();
        AUTO_BUF struct buf b = BUF_INIT;

        for (size_t i = 0; i < ARRAY_SIZE(signers); i++) {
                AUTO_JOSE_KEY struct jose_key *k = key_make(signers[i].text);

                for (int a = 0; a < JOSE_ALG_COUNT; a++) {
                        if (jose_key_can(k, (enum jose_alg)a))
                                continue;
                        assert_int_equal(jws_sign(k, (enum jose_alg)a, NULL, claims, &b), -EINVAL);
                        assert_int_equal(b.len, 0);
                }
        }
}

/* RFC 7518 3.4: leading zeros are kept. One number in 256 has one, so some of these do. */
static void numbers_of_ecdsa_have_their_full_width(void **state) {
        AUTO_JOSE_KEY struct jose_key *k = key_make(KEY_P256_PKCS8);
        AUTO_JSON json_t *claims = json_object();
        unsigned n_short = 0;

        for (unsigned i = 0; i < 20000 && n_short < 4; i++) {
                AUTO_BUF struct buf b = BUF_INIT;

                assert_int_equal(jws_sign(k, JOSE_ES256, NULL, claims, &b), 0);
                assert_int_equal(signature_bytes(&b), 64);
                n_short += signature_begins_with_zero(&b);
        }
        assert_int_equal(n_short, 4);
}

static void it_is_appended_whole_or_not_at_all(void **state) {
        AUTO_JOSE_KEY struct jose_key *k = key_make(KEY_ED25519_PKCS8);
        AUTO_JSON json_t *claims = json_pack("{s:s}", "sub", "me");
        AUTO_BUF struct buf whole = BUF_INIT;

        assert_int_equal(jws_sign(k, JOSE_EDDSA, NULL, claims, &whole), 0);
        /* Room is asked for by groups of four characters. */
        for (size_t max = 1; max <= whole.len + 4; max++) {
                AUTO_BUF struct buf b = BUF_INIT;
                int r;

                buf_init(&b, max);
                assert_int_equal(buf_append(&b, "x", 1), 0);
                r = jws_sign(k, JOSE_EDDSA, NULL, claims, &b);
                if (max <= whole.len)
                        assert_int_equal(r, -EMSGSIZE);
                if (max == whole.len + 4)
                        assert_int_equal(r, 0);
                /* Ed25519 says the same each time. */
                assert_string_equal(b.data + 1, r < 0 ? "" : whole.data);
        }
}

struct job {
        const struct jose_key *k;
        enum jose_alg alg;
        const json_t *header;
};

static int sign_and_drop(void *userdata) {
        const struct job *job = userdata;
        AUTO_BUF struct buf b = BUF_INIT;
        int r = jws_sign(job->k, job->alg, job->header, job->header, &b);

        assert_true(r == 0 || b.len == 0);
        return r;
}

static void no_allocation_that_fails_does_harm(void **state) {
        AUTO_JSON json_t *header = json_pack("{s:s}", "typ", "x");

        for (size_t i = 0; i < ARRAY_SIZE(signers); i++) {
                AUTO_JOSE_KEY struct jose_key *k = key_make(signers[i].text);
                struct job job = { k, signers[i].alg, header };

                assert_true(oom_sweep(sign_and_drop, &job) > 4);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(header_and_claims_are_in_it_and_nothing_else),
                cmocka_unit_test(the_algorithm_is_ours_to_say),
                cmocka_unit_test(a_key_signs_only_what_it_can),
                cmocka_unit_test(numbers_of_ecdsa_have_their_full_width),
                cmocka_unit_test(it_is_appended_whole_or_not_at_all),
                cmocka_unit_test(no_allocation_that_fails_does_harm),
        };

        return cmocka_run_group_tests_name("jws", tests, NULL, NULL);
}
