/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "certs.h"
#include "jose/cert.h"
#include "keys.h"
#include "oom.h"
#include "test.h"

static void chain_make(struct buf *der, const char *pem) {
        assert_int_equal(cert_chain_from_pem(pem, strlen(pem), der), 0);
}

static void a_chain_comes_back_as_it_was(void **state) {
        AUTO_BUF struct buf der = BUF_INIT;
        AUTO_BUF struct buf again = BUF_INIT;
        AUTO_BUF struct buf pem = BUF_INIT;

        chain_make(&der, "a remark\n" CERT_LEAF "between\n" KEY_P256_SEC1 CERT_CA "behind");
        assert_int_equal(cert_chain_to_pem(der.data, der.len, &pem), 0);
        assert_string_equal(pem.data, CERT_LEAF CERT_CA);
        chain_make(&again, pem.data);
        assert_int_equal(again.len, der.len);
        assert_memory_equal(again.data, der.data, der.len);
}

/* RFC 8705 3.1 */
static void the_thumbprint_is_of_the_leaf_alone(void **state) {
        AUTO_BUF struct buf alone = BUF_INIT;
        AUTO_BUF struct buf chain = BUF_INIT;
        AUTO_BUF struct buf print = BUF_INIT;
        AUTO_BUF struct buf print_chain = BUF_INIT;

        chain_make(&alone, CERT_LEAF);
        chain_make(&chain, CERT_LEAF CERT_CA);
        assert_int_equal(cert_thumbprint(alone.data, alone.len, &print), 0);
        assert_int_equal(cert_thumbprint(chain.data, chain.len, &print_chain), 0);
        assert_string_equal(print.data, CERT_LEAF_THUMBPRINT);
        assert_string_equal(print_chain.data, CERT_LEAF_THUMBPRINT);
}

static void the_one_uri_is_found(void **state) {
        static const struct {
                const char *pem;
                int r;
                const char *uri;
        } cases[] = {
                { CERT_LEAF, 0, "spiffe://example.org/ns/agents/sa/bot" },
                { CERT_LEAF CERT_CA, 0, "spiffe://example.org/ns/agents/sa/bot" },
                { CERT_CA, 0, "spiffe://example.org" },
                { CERT_NO_URI, -ENOENT, NULL },
                { CERT_NO_NAMES, -ENOENT, NULL },
                { CERT_TWO_URIS, -EBADMSG, NULL },
                { CERT_URI_NUL, -EBADMSG, NULL },
                { CERT_URI_LINE, -EBADMSG, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                AUTO_BUF struct buf der = BUF_INIT;
                AUTO_FREE char *uri = NULL;

                chain_make(&der, cases[i].pem);
                assert_int_equal(cert_uri(der.data, der.len, &uri), cases[i].r);
                if (cases[i].uri)
                        assert_string_equal(uri, cases[i].uri);
                else
                        assert_null(uri);
        }
}

static void its_end_is_known(void **state) {
        AUTO_BUF struct buf leaf = BUF_INIT;
        AUTO_BUF struct buf last = BUF_INIT;
        uint64_t sec = 0;

        chain_make(&leaf, CERT_LEAF CERT_CA);
        assert_int_equal(cert_not_after(leaf.data, leaf.len, &sec), 0);
        assert_int_equal(sec, CERT_LEAF_NOT_AFTER);
        chain_make(&last, CERT_NO_URI);
        assert_int_equal(cert_not_after(last.data, last.len, &sec), 0);
        assert_int_equal(sec, 253402300799);
}

static void it_is_for_its_own_key_alone(void **state) {
        static const struct {
                const char *key;
                int r;
        } cases[] = {
                { KEY_P256_PKCS8, 0 },
                { KEY_P256_JWK, 0 },
                { KEY_P384_PKCS8, -EKEYREJECTED },
                { KEY_RSA_PKCS8, -EKEYREJECTED },
                { KEY_ED25519_PKCS8, -EKEYREJECTED },
        };
        AUTO_BUF struct buf der = BUF_INIT;
        AUTO_BUF struct buf ca = BUF_INIT;

        chain_make(&der, CERT_LEAF CERT_CA);
        chain_make(&ca, CERT_CA CERT_LEAF);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                AUTO_JOSE_KEY struct jose_key *k = NULL;

                assert_int_equal(jose_key_read(cases[i].key, strlen(cases[i].key), &k, NULL), 0);
                assert_int_equal(cert_is_for(der.data, der.len, k), cases[i].r);
                assert_int_equal(cert_is_for(ca.data, ca.len, k), -EKEYREJECTED);
        }
}

/* All that looks at the leaf, and all that looks at the whole chain. */
static void assert_none(const void *der, size_t len) {
        AUTO_BUF struct buf out = BUF_INIT;
        char *uri = NULL;
        uint64_t sec = 7;

        assert_int_equal(buf_append(&out, "x", 1), 0);
        assert_int_equal(cert_thumbprint(der, len, &out), -EBADMSG);
        assert_int_equal(cert_chain_to_pem(der, len, &out), -EBADMSG);
        assert_string_equal(out.data, "x");
        assert_int_equal(cert_uri(der, len, &uri), -EBADMSG);
        assert_null(uri);
        assert_int_equal(cert_not_after(der, len, &sec), -EBADMSG);
        assert_int_equal(sec, 7);
}

static void a_chain_cut_anywhere_is_none(void **state) {
        AUTO_BUF struct buf leaf = BUF_INIT;
        AUTO_BUF struct buf chain = BUF_INIT;
        AUTO_BUF struct buf out = BUF_INIT;

        chain_make(&leaf, CERT_LEAF);
        chain_make(&chain, CERT_LEAF CERT_CA);
        for (size_t len = 0; len < leaf.len; len++)
                assert_none(chain.data, len);
        assert_int_equal(buf_append(&out, "x", 1), 0);
        for (size_t len = leaf.len + 1; len < chain.len; len++) {
                assert_int_equal(cert_chain_to_pem(chain.data, len, &out), -EBADMSG);
                assert_string_equal(out.data, "x");
        }
        assert_int_equal(cert_chain_to_pem(chain.data, leaf.len, &out), 0);
}

static void what_is_no_chain_in_pem_is_told_apart(void **state) {
        static const struct {
                const char *pem;
                int r;
        } cases[] = {
                { "", -ENODATA },
                { "text", -ENODATA },
                { KEY_P256_PKCS8, -ENODATA },
                { CERT_LEAF "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
                  -EBADMSG },
                { CERT_LEAF "-----BEGIN CERTIFICATE-----\nM*A=\n-----END CERTIFICATE-----\n",
                  -EBADMSG },
                { CERT_LEAF "-----BEGIN CERTIFICATE-----\nMAA=\n", -EBADMSG },
        };
        AUTO_BUF struct buf der = BUF_INIT;

        assert_int_equal(buf_append(&der, "x", 1), 0);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                assert_int_equal(cert_chain_from_pem(cases[i].pem, strlen(cases[i].pem), &der),
                                 cases[i].r);
                assert_int_equal(der.len, 1);
        }
}

/* Two certificates in one block would be read as one by the next. */
static void a_block_is_one_certificate(void **state) {
        AUTO_BUF struct buf pem = BUF_INIT;
        AUTO_BUF struct buf out = BUF_INIT;
        const char *cut = strstr(CERT_LEAF, "-----END");

        assert_int_equal(buf_append(&pem, CERT_LEAF, (size_t)(cut - CERT_LEAF)), 0);
        /* The last line of base64 is not full: one octet more fits where the padding was. */
        while (pem.data[pem.len - 1] == '\n' || pem.data[pem.len - 1] == '=')
                buf_truncate(&pem, pem.len - 1);
        while ((pem.len - (size_t)(strrchr(pem.data, '\n') + 1 - pem.data)) % 4 != 0)
                assert_int_equal(buf_append(&pem, "A", 1), 0);
        assert_int_equal(buf_append_str(&pem, "AAAA\n-----END CERTIFICATE-----\n"), 0);
        assert_int_equal(cert_chain_from_pem(pem.data, pem.len, &out), -EBADMSG);
}

/* S9 */
static void a_chain_has_bounds(void **state) {
        AUTO_BUF struct buf pem = BUF_INIT;
        AUTO_BUF struct buf der = BUF_INIT;
        AUTO_BUF struct buf out = BUF_INIT;

        for (int i = 0; i < LIMIT_CERTS; i++)
                assert_int_equal(buf_append_str(&pem, CERT_CA), 0);
        assert_int_equal(cert_chain_from_pem(pem.data, pem.len, &der), 0);
        assert_int_equal(cert_chain_to_pem(der.data, der.len, &out), 0);
        assert_int_equal(out.len, pem.len);
        assert_int_equal(buf_append_str(&pem, CERT_CA), 0);
        assert_int_equal(cert_chain_from_pem(pem.data, pem.len, &out), -EBADMSG);
        assert_int_equal(buf_append(&der, der.data, der.len / LIMIT_CERTS), 0);
        assert_int_equal(cert_chain_to_pem(der.data, der.len, &out), -EBADMSG);
        while (der.len <= LIMIT_CERT_CHAIN_BYTES)
                assert_int_equal(buf_append(&der, "", 1), 0);
        assert_none(der.data, der.len);
        while (pem.len <= LIMIT_CERT_CHAIN_BYTES)
                assert_int_equal(buf_append(&pem, "\n", 1), 0);
        assert_int_equal(cert_chain_from_pem(pem.data, pem.len, &out), -EBADMSG);
}

static int use_and_drop(void *userdata) {
        AUTO_BUF struct buf der = BUF_INIT;
        AUTO_BUF struct buf out = BUF_INIT;
        AUTO_FREE char *uri = NULL;
        int r = cert_chain_from_pem(userdata, strlen(userdata), &der);

        if (r == 0)
                r = cert_thumbprint(der.data, der.len, &out);
        if (r == 0)
                r = cert_chain_to_pem(der.data, der.len, &out);
        return r < 0 ? r : cert_uri(der.data, der.len, &uri);
}

static void no_allocation_that_fails_does_harm(void **state) {
        char pem[] = CERT_LEAF CERT_CA;

        assert_true(oom_sweep(use_and_drop, pem) > 3);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_chain_comes_back_as_it_was),
                cmocka_unit_test(the_thumbprint_is_of_the_leaf_alone),
                cmocka_unit_test(the_one_uri_is_found),
                cmocka_unit_test(its_end_is_known),
                cmocka_unit_test(it_is_for_its_own_key_alone),
                cmocka_unit_test(a_chain_cut_anywhere_is_none),
                cmocka_unit_test(what_is_no_chain_in_pem_is_told_apart),
                cmocka_unit_test(a_block_is_one_certificate),
                cmocka_unit_test(a_chain_has_bounds),
                cmocka_unit_test(no_allocation_that_fails_does_harm),
        };

        return cmocka_run_group_tests_name("cert", tests, NULL, NULL);
}
