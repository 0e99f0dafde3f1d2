/* SPDX-License-Identifier: Apache-2.0 */
#include "jose/cert.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/limits.h"
#include "jose/init.h"
#include "jose/internal.h"

static void cleanup_x509(X509 **x) {
        X509_free(*x);
}
#define AUTO_X509 __attribute__((cleanup(cleanup_x509), unused))

/* One certificate at *@p, which is moved behind it. */
static int take_one(const unsigned char **p, const unsigned char *end, X509 **ret) {
        const unsigned char *begin = *p;
        AUTO_X509 X509 *x = d2i_X509(NULL, p, end - begin);

        if (!x)
                return jose_failed(-EBADMSG);
        *ret = TAKE(x);
        return 0;
}

static int leaf(const void *der, size_t len, X509 **ret, size_t *ret_len) {
        const unsigned char *p = der;
        int r = jose_init();

        if (r == 0 && (len == 0 || len > LIMIT_CERT_CHAIN_BYTES))
                r = -EBADMSG;
        if (r == 0)
                r = take_one(&p, p + len, ret);
        if (r == 0 && ret_len)
                *ret_len = (size_t)(p - (const unsigned char *)der);
        return r;
}

/* A block is one certificate and no byte more. */
static int append_block(struct buf *der, const struct pem_block *b) {
        AUTO_X509 X509 *x = NULL;
        const unsigned char *p = b->der;
        int r = take_one(&p, p + b->len, &x);

        if (r == 0 && p != b->der + b->len)
                r = -EBADMSG;
        return r < 0 ? r : buf_append(der, b->der, b->len);
}

int cert_chain_from_pem(const void *text, size_t len, struct buf *der) {
        AUTO_PEM_BLOCK struct pem_block block = PEM_BLOCK_INIT;
        AUTO_BIO BIO *bio = NULL;
        size_t before = der->len;
        unsigned n = 0;
        int r = jose_init();

        if (r == 0 && len > LIMIT_CERT_CHAIN_BYTES)
                r = -EBADMSG;
        if (r < 0)
                return r;
        bio = BIO_new_mem_buf(text, (int)len);
        if (!bio)
                return jose_failed(-ENOMEM);
        for (;;) {
                r = pem_next(bio, &block);
                if (r <= 0)
                        break;
                if (!streq(block.label, "CERTIFICATE"))
                        continue;
                r = n++ < LIMIT_CERTS ? append_block(der, &block) : -EBADMSG;
                if (r < 0)
                        break;
        }
        if (r == 0 && n == 0)
                r = -ENODATA;
        if (r < 0)
                buf_truncate(der, before);
        return r;
}

int cert_chain_to_pem(const void *der, size_t len, struct buf *pem) {
        const unsigned char *p = der;
        size_t before = pem->len;
        size_t rest = len;
        unsigned n = 0;
        int r = jose_init();

        if (r == 0 && (len == 0 || len > LIMIT_CERT_CHAIN_BYTES))
                r = -EBADMSG;
        while (r == 0 && rest > 0) {
                AUTO_X509 X509 *x = NULL;
                const unsigned char *begin = p;

                r = n++ < LIMIT_CERTS ? take_one(&p, begin + rest, &x) : -EBADMSG;
                if (r == 0)
                        r = pem_append(pem, "CERTIFICATE", begin, (size_t)(p - begin));
                rest -= (size_t)(p - begin);
        }
        if (r < 0)
                buf_truncate(pem, before);
        return r;
}

int cert_thumbprint(const void *der, size_t len, struct buf *out) {
        AUTO_X509 X509 *x = NULL;
        size_t leaf_len = 0;
        int r = leaf(der, len, &x, &leaf_len);

        return r < 0 ? r : jose_sha256_text(der, leaf_len, out);
}

/* Printable, without blanks: it goes into logs and requests. */
static int uri_text(const ASN1_IA5STRING *uri, char **ret) {
        const char *data = (const char *)ASN1_STRING_get0_data(uri);
        int len = ASN1_STRING_length(uri);
        char *copy;

        for (int i = 0; i < len; i++)
                if (data[i] <= 0x20 || data[i] >= 0x7f)
                        return -EBADMSG;
        copy = strndup(data, (size_t)len);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

/* The one URI of @names: 0, -ENOENT, -EBADMSG. */
static int one_uri(const GENERAL_NAMES *names, const ASN1_IA5STRING **ret) {
        int r = -ENOENT;

        for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
                const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

                if (name->type != GEN_URI)
                        continue;
                if (r == 0)
                        return -EBADMSG;
                *ret = name->d.uniformResourceIdentifier;
                r = 0;
        }
        return r;
}

int cert_uri(const void *der, size_t len, char **ret) {
        AUTO_X509 X509 *x = NULL;
        const ASN1_IA5STRING *uri = NULL;
        GENERAL_NAMES *names;
        int found = 0;
        int r = leaf(der, len, &x, NULL);

        if (r < 0)
                return r;
        names = X509_get_ext_d2i(x, NID_subject_alt_name, &found, NULL);
        if (!names) /* -1: there is none; else it cannot be read, or stands there twice */
                return jose_failed(found == -1 ? -ENOENT : -EBADMSG);
        r = one_uri(names, &uri);
        if (r == 0)
                r = uri_text(uri, ret);
        GENERAL_NAMES_free(names);
        return r;
}

int cert_not_after(const void *der, size_t len, uint64_t *ret_sec) {
        AUTO_X509 X509 *x = NULL;
        struct tm tm = { 0 };
        time_t sec;
        int r = leaf(der, len, &x, NULL);

        if (r < 0)
                return r;
        if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) != 1)
                return jose_failed(-EBADMSG);
        sec = timegm(&tm);
        if (sec < 0)
                return -EBADMSG;
        *ret_sec = (uint64_t)sec;
        return 0;
}

int cert_is_for(const void *der, size_t len, const struct jose_key *k) {
        AUTO_X509 X509 *x = NULL;
        int r = leaf(der, len, &x, NULL);

        if (r < 0)
                return r;
        return X509_check_private_key(x, k->pkey) == 1 ? 0 : jose_failed(-EKEYREJECTED);
}
