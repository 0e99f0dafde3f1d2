/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "base/limits.h"
#include "crypto/init.h"
#include "crypto/kdf.h"
#include "test.h"

#define SALT_HEX "736f6d6573616c743031323334353637" /* "somesalt01234567" */
#define LINE "{\"salt\":\"" SALT_HEX "\",\"opslimit\":2,\"memlimit\":65536,\"len\":13}"

static int start(void **state) {
        return crypto_init(NULL);
}

static int stop(void **state) {
        assert_int_equal(secret_slab_used(), 0);
        crypto_done();
        return 0;
}

/* The expected key is that of the reference program: argon2 -id -t 2 -k 64 -p 1. */
static void derives_what_the_reference_derives(void **state) {
        struct kdf_params p = { .salt = "somesalt0123456", .opslimit = 2, .memlimit = 65536 };
        AUTO_SECRET struct secret *key = NULL;
        char hex[2 * SECRET_KEY_BYTES + 1];

        p.salt[15] = '7';
        assert_int_equal(kdf_derive(&p, "correct horse", 13, &key), 0);
        hex_format(hex, secret_peek(key), SECRET_KEY_BYTES);
        assert_string_equal(hex,
                            "bdefb5cf7894de268ba2e06a319e705bf495944ea0546a3a92d870c7393b9f3f");
}

static void derivation_refuses_what_is_out_of_bounds(void **state) {
        static const char passphrase[LIMIT_PASSPHRASE_BYTES + 1] = "x";
        static const struct kdf_params good = { .opslimit = 1, .memlimit = KDF_MEMLIMIT_MIN };
        const struct kdf_params bad[] = {
                { .opslimit = 0, .memlimit = KDF_MEMLIMIT_MIN },
                { .opslimit = KDF_OPSLIMIT_MAX + 1, .memlimit = KDF_MEMLIMIT_MIN },
                { .opslimit = 1, .memlimit = KDF_MEMLIMIT_MIN - 1 },
                { .opslimit = 1, .memlimit = KDF_MEMLIMIT_MAX + 1 },
        };
        AUTO_SECRET struct secret *key = NULL;
        AUTO_BUF struct buf request = BUF_INIT;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                assert_int_equal(kdf_derive(&bad[i], "x", 1, &key), -EINVAL);
                assert_int_equal(kdf_request_append(&request, &bad[i], "x", 1), -EINVAL);
        }
        assert_int_equal(kdf_derive(&good, passphrase, 0, &key), -EINVAL);
        assert_int_equal(kdf_derive(&good, passphrase, sizeof(passphrase), &key), -EINVAL);
        assert_int_equal(kdf_request_append(&request, &good, passphrase, 0), -EINVAL);
        assert_int_equal(request.len, 0);
        assert_int_equal(kdf_derive(&good, passphrase, sizeof(passphrase) - 1, &key), 0);
}

static void new_parameters_have_a_salt_of_their_own(void **state) {
        struct kdf_params a;
        struct kdf_params b;

        kdf_params_new(&a);
        kdf_params_new(&b);
        assert_memory_not_equal(a.salt, b.salt, sizeof(a.salt));
        assert_true(a.memlimit >= (uint64_t)64 * 1024 * 1024);
        assert_true(a.memlimit <= KDF_MEMLIMIT_MAX && a.opslimit <= KDF_OPSLIMIT_MAX);
}

static void a_request_says_the_same_at_both_ends(void **state) {
        struct kdf_params p = { .salt = "somesalt0123456", .opslimit = 2, .memlimit = 65536 };
        struct kdf_params back;
        AUTO_BUF struct buf request = BUF_INIT;
        size_t n = 0;

        p.salt[15] = '7';
        assert_int_equal(kdf_request_append(&request, &p, "correct horse", 13), 0);
        assert_string_equal(request.data, LINE "\ncorrect horse");
        assert_int_equal(kdf_request_parse(request.data, strlen(LINE), &back, &n), 0);
        assert_memory_equal(&back, &p, sizeof(p));
        assert_int_equal(n, 13);
}

static void a_request_cut_anywhere_is_refused(void **state) {
        struct kdf_params p;
        size_t n = 0;

        for (size_t len = 0; len < strlen(LINE); len++)
                assert_int_equal(kdf_request_parse(LINE, len, &p, &n), -EBADMSG);
        assert_int_equal(kdf_request_parse(LINE, strlen(LINE), &p, &n), 0);
}

static void a_bad_request_is_refused(void **state) {
        static const char *const bad[] = {
                "[]",
                "{}",
                "\"salt\"",
                "{\"salt\":\"" SALT_HEX "\",\"opslimit\":2,\"memlimit\":65536,\"len\":0}",
                "{\"salt\":\"" SALT_HEX "\",\"opslimit\":2,\"memlimit\":65536,\"len\":-1}",
                "{\"salt\":\"" SALT_HEX "\",\"opslimit\":2,\"memlimit\":65536,\"len\":1025}",
                "{\"salt\":\"" SALT_HEX "\",\"opslimit\":2,\"memlimit\":65536,\"len\":\"1\"}",
                "{\"salt\":\"" SALT_HEX "\",\"opslimit\":2,\"memlimit\":65536}",
                "{\"salt\":\"" SALT_HEX "00\",\"opslimit\":2,\"memlimit\":65536,\"len\":1}",
                "{\"salt\":\"736F6d6573616c743031323334353637\",\"opslimit\":2,\"memlimit\":65536,"
                "\"len\":1}",
                "{\"salt\":5,\"opslimit\":2,\"memlimit\":65536,\"len\":1}",
                "{\"salt\":\"" SALT_HEX "\",\"opslimit\":0,\"memlimit\":65536,\"len\":1}",
                "{\"salt\":\"" SALT_HEX "\",\"opslimit\":17,\"memlimit\":65536,\"len\":1}",
                "{\"salt\":\"" SALT_HEX "\",\"opslimit\":2.5,\"memlimit\":65536,\"len\":1}",
                "{\"salt\":\"" SALT_HEX "\",\"opslimit\":2,\"memlimit\":8191,\"len\":1}",
                "{\"salt\":\"" SALT_HEX "\",\"opslimit\":2,\"memlimit\":1073741825,\"len\":1}",
                "{\"salt\":\"" SALT_HEX "\",\"opslimit\":2,\"memlimit\":65536,\"len\":1,\"len\":2}",
                "{\"salt\":\"" SALT_HEX "\",\"opslimit\":2,\"memlimit\":65536,\"len\":1,\"x\":{}}",
        };
        struct kdf_params p;
        size_t n = 77;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(kdf_request_parse(bad[i], strlen(bad[i]), &p, &n), -EBADMSG);
        assert_int_equal(n, 77);
}

/* The expected key is BLAKE2b with salt and personalisation as another implementation has it. */
static void subkeys_differ_by_id_and_context(void **state) {
        AUTO_SECRET struct secret *master = secret_new(SECRET_KEY_BYTES);
        AUTO_SECRET struct secret *a = NULL;
        AUTO_SECRET struct secret *b = NULL;
        AUTO_SECRET struct secret *c = NULL;
        char hex[2 * SECRET_KEY_BYTES + 1];

        for (size_t i = 0; i < SECRET_KEY_BYTES; i++)
                secret_data(master)[i] = (uint8_t)i;
        a = subkey_new(master, 7, "mcpbtest");
        b = subkey_new(master, 8, "mcpbtest");
        c = subkey_new(master, 7, "mcpbTEST");
        hex_format(hex, secret_peek(a), SECRET_KEY_BYTES);
        assert_string_equal(hex,
                            "c6075ed4603d3baf9d35b7890e7963f02784f61d35e02fe6c6345ee4689e1b39");
        assert_memory_not_equal(secret_peek(a), secret_peek(b), SECRET_KEY_BYTES);
        assert_memory_not_equal(secret_peek(a), secret_peek(c), SECRET_KEY_BYTES);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(derives_what_the_reference_derives),
                cmocka_unit_test(derivation_refuses_what_is_out_of_bounds),
                cmocka_unit_test(new_parameters_have_a_salt_of_their_own),
                cmocka_unit_test(a_request_says_the_same_at_both_ends),
                cmocka_unit_test(a_request_cut_anywhere_is_refused),
                cmocka_unit_test(a_bad_request_is_refused),
                cmocka_unit_test(subkeys_differ_by_id_and_context),
        };

        return cmocka_run_group_tests_name("kdf", tests, start, stop);
}
