/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "crypto/hmac.h"
#include "test.h"

#define KEY_MAX 131

/* RFC 4231, 4.2 to 4.8 without the one of a cut result; the last is that of an empty key. */
static void the_vectors_of_the_standard_come_out(void **state) {
        static const uint8_t counted[] = { 1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13,
                                           14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25 };
        uint8_t b0[20];
        uint8_t aa[KEY_MAX];
        uint8_t dd[50];
        uint8_t cd[50];
        const struct {
                const void *key;
                size_t n_key;
                const void *data;
                size_t len;
                const char *expected;
        } table[] = {
                { b0, 20, "Hi There", 8,
                  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
                { "Jefe", 4, "what do ya want for nothing?", 28,
                  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
                { aa, 20, dd, 50,
                  "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
                { counted, 25, cd, 50,
                  "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
                { aa, KEY_MAX, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
                  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
                { aa, KEY_MAX,
                  "This is a test using a larger than block-size key and a larger than block-size "
                  "data. The key needs to be hashed before being used by the HMAC algorithm.",
                  152, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
                { NULL, 0, NULL, 0,
                  "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
        };

        for (size_t i = 0; i < sizeof(aa); i++)
                aa[i] = 0xaa;
        for (size_t i = 0; i < sizeof(b0); i++)
                b0[i] = 0x0b;
        for (size_t i = 0; i < sizeof(dd); i++) {
                dd[i] = 0xdd;
                cd[i] = 0xcd;
        }
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                uint8_t out[HMAC_BYTES];
                char text[2 * HMAC_BYTES + 1];

                hmac_sha256(out, table[i].key, table[i].n_key, table[i].data, table[i].len);
                hex_format(text, out, sizeof(out));
                assert_string_equal(text, table[i].expected);
        }
}

static void a_key_can_be_derived_in_place(void **state) {
        uint8_t key[HMAC_BYTES] = { 1, 2, 3 };
        uint8_t next[HMAC_BYTES];

        hmac_sha256(next, key, sizeof(key), "step", 4);
        hmac_sha256(key, key, sizeof(key), "step", 4);
        assert_memory_equal(key, next, sizeof(key));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_vectors_of_the_standard_come_out),
                cmocka_unit_test(a_key_can_be_derived_in_place),
        };

        return cmocka_run_group_tests_name("hmac", tests, NULL, NULL);
}
