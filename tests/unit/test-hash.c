/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/pkce.h"
#include "crypto/rand.h"
#include "test.h"

static void assert_hex(const void *data, size_t len, const char *expected) {
        char text[2 * 64 + 1];

        assert_true(len <= 64);
        hex_format(text, data, len);
        assert_string_equal(text, expected);
}

/* The key of the vectors: 00 01 02 ... 1f. */
static void counting_key(uint8_t key[static HASH_KEY_BYTES]) {
        for (size_t i = 0; i < HASH_KEY_BYTES; i++)
                key[i] = (uint8_t)i;
}

static void hashes_agree_with_another_implementation(void **state) {
        uint8_t key[HASH_KEY_BYTES];
        uint8_t out[HASH_BYTES];

        counting_key(key);
        hash_plain(out, "abc", 3);
        assert_hex(out, 32, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
        hash_plain(out, NULL, 0);
        assert_hex(out, 32, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
        hash_keyed(out, key, "abc", 3);
        assert_hex(out, 32, "d63a32d3e44738d7907f964316c241adaba0abfeabc32349677578a15a203f7f");
        hash_keyed_short(out, key, "abc", 3);
        assert_hex(out, 16, "1a64be47e4729d951c302ee543f97cf3");
        sha256(out, "abc", 3);
        assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void a_key_can_evolve_in_place(void **state) {
        uint8_t key[HASH_KEY_BYTES];
        uint8_t next[HASH_BYTES];

        counting_key(key);
        hash_keyed(next, key, "evolve", 6);
        hash_keyed(key, key, "evolve", 6);
        assert_memory_equal(key, next, sizeof(key));
}

static void equality_is_of_every_byte(void **state) {
        uint8_t a[16] = { 0 };
        uint8_t b[16] = { 0 };

        assert_true(secret_equal(a, b, sizeof(a)));
        for (size_t i = 0; i < sizeof(a); i++) {
                b[i] = 1;
                assert_false(secret_equal(a, b, sizeof(a)));
                b[i] = 0;
        }
        assert_true(secret_equal(a, b, 0));
}

static void random_text_has_the_asked_entropy_and_never_repeats(void **state) {
        AUTO_BUF struct buf a = BUF_INIT;
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(random_text(&a, 32), 0);
        assert_int_equal(random_text(&b, 32), 0);
        assert_int_equal(a.len, 43);
        assert_string_not_equal(a.data, b.data);
        assert_int_equal(random_text(&a, 0), -EINVAL);
        assert_int_equal(random_text(&a, RANDOM_TEXT_BYTES_MAX + 1), -EINVAL);
}

/* RFC 7636 appendix B. */
static void challenge_is_that_of_the_standard(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(pkce_challenge(&b, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), 0);
        assert_string_equal(b.data, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

static void verifier_is_one_that_the_standard_allows(void **state) {
        AUTO_BUF struct buf verifier = BUF_INIT;
        AUTO_BUF struct buf challenge = BUF_INIT;

        assert_int_equal(pkce_verifier(&verifier), 0);
        assert_int_equal(verifier.len, 43);
        assert_int_equal(pkce_challenge(&challenge, verifier.data), 0);
        assert_int_equal(challenge.len, 43);
}

static void challenge_refuses_what_is_no_verifier(void **state) {
        char text[130];
        AUTO_BUF struct buf b = BUF_INIT;

        for (size_t len = 0; len < sizeof(text); len++) {
                for (size_t i = 0; i < len; i++)
                        text[i] = 'a';
                text[len] = '\0';
                assert_int_equal(pkce_challenge(&b, text), len >= 43 && len <= 128 ? 0 : -EINVAL);
        }
        assert_int_equal(pkce_challenge(&b, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjX="),
                         -EINVAL);
}

static int start(void **state) {
        return crypto_init(NULL);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(hashes_agree_with_another_implementation),
                cmocka_unit_test(a_key_can_evolve_in_place),
                cmocka_unit_test(equality_is_of_every_byte),
                cmocka_unit_test(random_text_has_the_asked_entropy_and_never_repeats),
                cmocka_unit_test(challenge_is_that_of_the_standard),
                cmocka_unit_test(verifier_is_one_that_the_standard_allows),
                cmocka_unit_test(challenge_refuses_what_is_no_verifier),
        };

        return cmocka_run_group_tests_name("hash", tests, start, NULL);
}
