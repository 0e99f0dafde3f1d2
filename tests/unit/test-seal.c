/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/codec.h"
#include "crypto/init.h"
#include "crypto/seal.h"
#include "crypto/shield.h"
#include "test.h"

static const char token[] = "mcp_at_3Jk9f-2hQ";

static int start(void **state) {
        *state = NULL;
        if (crypto_init(NULL) < 0)
                return -1;
        *state = secret_new_random(SECRET_KEY_BYTES);
        return *state ? 0 : -1;
}

static int stop(void **state) {
        *state = secret_free(*state);
        assert_int_equal(secret_slab_used(), 0); /* no test left a key behind */
        crypto_done();
        return 0;
}

/* draft-irtf-cfrg-xchacha-03, A.3.1 */
static void opens_the_vector_of_the_standard(void **state) {
        static const char sealed_hex[] =
                "404142434445464748494a4b4c4d4e4f5051525354555657"
                "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
                "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
                "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
                "21f9664c97637da9768812f615c68b13b52e"
                "c0875924c1c7987947deafd8780acf49";
        static const char text[] =
                "Ladies and Gentlemen of the class of '99: If I could offer you only "
                "one tip for the future, sunscreen would be it.";
        AUTO_BUF struct buf sealed = BUF_INIT;
        AUTO_BUF struct buf ad = BUF_INIT;
        AUTO_BUF struct buf plain = BUF_INIT;
        AUTO_SECRET struct secret *key = secret_new(SECRET_KEY_BYTES);

        for (size_t i = 0; i < SECRET_KEY_BYTES; i++)
                secret_data(key)[i] = (uint8_t)(0x80 + i);
        assert_int_equal(hex_decode(&sealed, sealed_hex, strlen(sealed_hex)), 0);
        assert_int_equal(hex_decode(&ad, "50515253c0c1c2c3c4c5c6c7", 24), 0);
        assert_int_equal(unseal(&plain, key, ad.data, ad.len, sealed.data, sealed.len), 0);
        assert_string_equal(plain.data, text);
}

static void what_was_sealed_opens_at_every_length(void **state) {
        char text[300];

        for (size_t n = 0; n < sizeof(text); n++) {
                AUTO_BUF struct buf sealed = BUF_INIT;
                AUTO_BUF struct buf plain = BUF_INIT;

                text[n] = (char)n;
                assert_int_equal(seal(&sealed, *state, "ad", 2, text, n), 0);
                assert_int_equal(sealed.len, n + SEAL_OVERHEAD);
                assert_int_equal(buf_append(&plain, "kept", 4), 0);
                assert_int_equal(unseal(&plain, *state, "ad", 2, sealed.data, sealed.len), 0);
                assert_int_equal(plain.len, n + 4);
                assert_memory_equal(plain.data, "kept", 4);
                assert_memory_equal(plain.data + 4, text, n);
        }
}

static void one_changed_bit_anywhere_is_refused(void **state) {
        AUTO_BUF struct buf sealed = BUF_INIT;
        AUTO_BUF struct buf plain = BUF_INIT;

        assert_int_equal(seal(&sealed, *state, "ad", 2, token, sizeof(token)), 0);
        for (size_t i = 0; i < 8 * sealed.len; i++) {
                sealed.data[i / 8] = (char)(sealed.data[i / 8] ^ (1 << (i % 8)));
                assert_int_equal(unseal(&plain, *state, "ad", 2, sealed.data, sealed.len),
                                 -EBADMSG);
                assert_int_equal(plain.len, 0);
                sealed.data[i / 8] = (char)(sealed.data[i / 8] ^ (1 << (i % 8)));
        }
        assert_int_equal(unseal(&plain, *state, "ad", 2, sealed.data, sealed.len), 0);
}

static void a_text_cut_anywhere_is_refused(void **state) {
        AUTO_BUF struct buf sealed = BUF_INIT;
        AUTO_BUF struct buf plain = BUF_INIT;

        assert_int_equal(seal(&sealed, *state, NULL, 0, token, sizeof(token)), 0);
        for (size_t n = 0; n < sealed.len; n++)
                assert_int_equal(unseal(&plain, *state, NULL, 0, sealed.data, n), -EBADMSG);
        assert_int_equal(plain.len, 0);
}

static void other_associated_data_or_another_key_is_refused(void **state) {
        static const char *const other[] = { "", "a", "ae", "ad ", "AD" };
        AUTO_SECRET struct secret *key = secret_new_random(SECRET_KEY_BYTES);
        AUTO_BUF struct buf sealed = BUF_INIT;
        AUTO_BUF struct buf plain = BUF_INIT;

        assert_int_equal(seal(&sealed, *state, "ad", 2, token, sizeof(token)), 0);
        for (size_t i = 0; i < ARRAY_SIZE(other); i++)
                assert_int_equal(
                        unseal(&plain, *state, other[i], strlen(other[i]), sealed.data, sealed.len),
                        -EBADMSG);
        assert_int_equal(unseal(&plain, key, "ad", 2, sealed.data, sealed.len), -EBADMSG);
}

static void the_same_text_never_seals_to_the_same_bytes(void **state) {
        AUTO_BUF struct buf a = BUF_INIT;
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(seal(&a, *state, NULL, 0, token, sizeof(token)), 0);
        assert_int_equal(seal(&b, *state, NULL, 0, token, sizeof(token)), 0);
        assert_memory_not_equal(a.data, b.data, SEAL_NONCE_BYTES);
        assert_memory_not_equal(a.data + SEAL_NONCE_BYTES, b.data + SEAL_NONCE_BYTES, 16);
}

static void a_full_buffer_is_left_as_it_was(void **state) {
        AUTO_BUF struct buf out = BUF_INIT;

        buf_init(&out, 32);
        assert_int_equal(buf_append(&out, "x", 1), 0);
        assert_int_equal(seal(&out, *state, NULL, 0, token, sizeof(token)), -EMSGSIZE);
        assert_string_equal(out.data, "x");
}

/* S1 */
static void a_shielded_token_does_not_stand_in_memory(void **state) {
        struct shield *shield = shield_new();
        struct shielded t = SHIELDED_INIT;
        AUTO_BUF struct buf out = BUF_INIT;

        assert_non_null(shield);
        assert_false(shielded_is_set(&t));
        assert_int_equal(shield_open(shield, &t, &out), -ENOENT);
        assert_int_equal(shield_put(shield, token, strlen(token), &t), 0);
        assert_true(shielded_is_set(&t));
        assert_null(memmem(t.data, t.size, token, 8));
        assert_int_equal(shield_open(shield, &t, &out), 0);
        assert_string_equal(out.data, token);
        shielded_done(&t);
        assert_false(shielded_is_set(&t));
        shield = shield_free(shield);
}

static void a_token_put_again_replaces_the_old_one(void **state) {
        struct shield *shield = shield_new();
        struct shielded t = SHIELDED_INIT;
        AUTO_BUF struct buf out = BUF_INIT;

        assert_int_equal(shield_put(shield, "old", 3, &t), 0);
        assert_int_equal(shield_put(shield, "newer", 5, &t), 0);
        assert_int_equal(shield_open(shield, &t, &out), 0);
        assert_string_equal(out.data, "newer");
        shielded_done(&t);
        shield = shield_free(shield);
}

static void without_its_shield_a_token_is_lost(void **state) {
        struct shield *shield = shield_new();
        struct shielded t = SHIELDED_INIT;
        AUTO_BUF struct buf out = BUF_INIT;

        assert_int_equal(shield_put(shield, token, strlen(token), &t), 0);
        shield = shield_free(shield);
        shield = shield_new();
        assert_int_equal(shield_open(shield, &t, &out), -EBADMSG);
        assert_int_equal(out.len, 0);
        shielded_done(&t);
        shield = shield_free(shield);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(opens_the_vector_of_the_standard),
                cmocka_unit_test(what_was_sealed_opens_at_every_length),
                cmocka_unit_test(one_changed_bit_anywhere_is_refused),
                cmocka_unit_test(a_text_cut_anywhere_is_refused),
                cmocka_unit_test(other_associated_data_or_another_key_is_refused),
                cmocka_unit_test(the_same_text_never_seals_to_the_same_bytes),
                cmocka_unit_test(a_full_buffer_is_left_as_it_was),
                cmocka_unit_test(a_shielded_token_does_not_stand_in_memory),
                cmocka_unit_test(a_token_put_again_replaces_the_old_one),
                cmocka_unit_test(without_its_shield_a_token_is_lost),
        };

        return cmocka_run_group_tests_name("seal", tests, start, stop);
}
