/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "crypto/init.h"
#include "crypto/sign.h"
#include "test.h"

static void bytes(const char *hex, uint8_t *ret, size_t len) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(hex_decode(&b, hex, strlen(hex)), 0);
        assert_int_equal(b.len, len);
        memcpy(ret, b.data, len);
}

/* RFC 8032 7.1, TEST 3 */
static void a_signature_is_that_of_the_standard_and_of_every_bit(void **state) {
        uint8_t seed[SIGN_SEED_BYTES];
        uint8_t wanted_public[SIGN_PUBLIC_BYTES];
        uint8_t wanted[SIGNATURE_BYTES];
        uint8_t public_key[SIGN_PUBLIC_BYTES];
        uint8_t signature[SIGNATURE_BYTES];
        uint8_t message[2] = { 0xaf, 0x82 };
        AUTO_SECRET struct secret *key = NULL;

        bytes("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", seed,
              sizeof(seed));
        bytes("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", wanted_public,
              sizeof(wanted_public));
        bytes("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
              "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
              wanted, sizeof(wanted));
        key = sign_key_new(seed);
        assert_non_null(key);
        assert_memory_equal(sign_key_seed(key), seed, sizeof(seed));
        sign_key_public(key, public_key);
        assert_memory_equal(public_key, wanted_public, sizeof(public_key));
        sign(signature, key, message, sizeof(message));
        assert_memory_equal(signature, wanted, sizeof(signature));
        assert_true(sign_verify(signature, public_key, message, sizeof(message)));
        for (size_t bit = 0; bit < 8 * sizeof(message); bit++) {
                message[bit / 8] ^= (uint8_t)(1 << bit % 8);
                assert_false(sign_verify(signature, public_key, message, sizeof(message)));
                message[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        signature[0] ^= 1;
        assert_false(sign_verify(signature, public_key, message, sizeof(message)));
}

static int setup(void **state) {
        return crypto_init(NULL);
}

static int teardown(void **state) {
        crypto_done();
        return 0;
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_signature_is_that_of_the_standard_and_of_every_bit),
        };

        return cmocka_run_group_tests_name("sign", tests, setup, teardown);
}
