/* SPDX-License-Identifier: Apache-2.0 */
#include "jose/key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/codec.h"
#include "base/limits.h"
#include "jose/init.h"
#include "jose/internal.h"

#define NUMBER_BYTES_MAX (LIMIT_RSA_BITS / 8)

static const char *const alg_names[JOSE_ALG_COUNT] = {
        [JOSE_ES256] = "ES256", [JOSE_ES384] = "ES384", [JOSE_RS256] = "RS256",
        [JOSE_PS256] = "PS256", [JOSE_EDDSA] = "EdDSA", [JOSE_ED25519] = "Ed25519",
};

static const struct {
        const char *type;  /* OpenSSL's */
        const char *group; /* its name of the curve */
        const char *curve; /* that of JOSE */
        size_t coordinate_bytes;
        enum jose_alg alg; /* the default */
        unsigned algs;     /* bits of all it can do */
} kinds[JOSE_KIND_COUNT] = {
        [JOSE_KIND_P256] = { "EC", "prime256v1", "P-256", 32, JOSE_ES256, 1u << JOSE_ES256 },
        [JOSE_KIND_P384] = { "EC", "secp384r1", "P-384", 48, JOSE_ES384, 1u << JOSE_ES384 },
        [JOSE_KIND_RSA] = { "RSA", NULL, NULL, 0, JOSE_RS256, 1u << JOSE_RS256 | 1u << JOSE_PS256 },
        [JOSE_KIND_ED25519] = { "ED25519", NULL, "Ed25519", 32, JOSE_EDDSA,
                                1u << JOSE_EDDSA | 1u << JOSE_ED25519 },
};

const char *jose_alg_name(enum jose_alg a) {
        return a < JOSE_ALG_COUNT ? alg_names[a] : "";
}

int jose_alg_from_name(const char *name, enum jose_alg *ret) {
        for (int i = 0; i < JOSE_ALG_COUNT; i++) {
                if (streq(alg_names[i], name)) {
                        *ret = (enum jose_alg)i;
                        return 0;
                }
        }
        return -ENOENT;
}

struct jose_key *jose_key_free(struct jose_key *k) {
        if (!k)
                return NULL;
        EVP_PKEY_free(k->pkey);
        free(k);
        return NULL;
}

static int find_kind(const EVP_PKEY *pkey, enum jose_kind *ret) {
        char group[32] = "";
        int bits = EVP_PKEY_get_bits(pkey);
        size_t len = 0;

        if (EVP_PKEY_is_a(pkey, "EC") &&
            EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) != 1)
                return jose_failed(-EOPNOTSUPP); /* a curve without a name */
        for (int i = 0; i < JOSE_KIND_COUNT; i++) {
                if (!EVP_PKEY_is_a(pkey, kinds[i].type) ||
                    (kinds[i].group && !streq(kinds[i].group, group)))
                        continue;
                if (i == JOSE_KIND_RSA && (bits < LIMIT_RSA_BITS_MIN || bits > LIMIT_RSA_BITS))
                        return -EOPNOTSUPP;
                *ret = (enum jose_kind)i;
                return 0;
        }
        return -EOPNOTSUPP;
}

int jose_key_adopt(EVP_PKEY *pkey, struct jose_key **ret) {
        AUTO_JOSE_KEY struct jose_key *k = calloc(1, sizeof(*k));
        int r;

        if (!k) {
                EVP_PKEY_free(pkey);
                return -ENOMEM;
        }
        k->pkey = pkey;
        r = find_kind(pkey, &k->kind);
        if (r < 0)
                return r;
        k->alg = kinds[k->kind].alg;
        r = jose_check_halves(k);
        if (r == 0)
                *ret = TAKE(k);
        return r;
}

int jose_key_generate(enum jose_alg a, struct jose_key **ret) {
        EVP_PKEY *pkey = NULL;
        int r = jose_init();

        if (r < 0)
                return r;
        if (a == JOSE_ES256 || a == JOSE_ES384)
                pkey = EVP_EC_gen(a == JOSE_ES256 ? "P-256" : "P-384");
        else if (a == JOSE_EDDSA)
                pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        else
                return -EOPNOTSUPP;
        return pkey ? jose_key_adopt(pkey, ret) : jose_failed(-EIO);
}

int jose_key_from_der(const void *der, size_t len, struct jose_key **ret) {
        const unsigned char *p = der;
        PKCS8_PRIV_KEY_INFO *info = NULL;
        EVP_PKEY *pkey = NULL;
        int r = jose_init();

        if (r < 0)
                return r;
        if (len == 0 || len > LIMIT_KEY_BYTES)
                return -EBADMSG;
        info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)len);
        if (info && p == (const unsigned char *)der + len)
                pkey = EVP_PKCS82PKEY(info);
        PKCS8_PRIV_KEY_INFO_free(info);
        return pkey ? jose_key_adopt(pkey, ret) : jose_failed(-EBADMSG);
}

int jose_key_to_der(const struct jose_key *k, struct buf *out) {
        PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(k->pkey);
        unsigned char *der = NULL;
        int len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
        int r = len > 0 ? buf_append(out, der, (size_t)len) : jose_failed(-EIO);

        PKCS8_PRIV_KEY_INFO_free(info);
        OPENSSL_clear_free(der, len > 0 ? (size_t)len : 0);
        return r;
}

int jose_key_to_pem(const struct jose_key *k, struct buf *out) {
        AUTO_BUF struct buf der = BUF_INIT;
        int r = jose_key_to_der(k, &der);

        return r < 0 ? r : pem_append(out, "PRIVATE KEY", der.data, der.len);
}

bool jose_key_can(const struct jose_key *k, enum jose_alg a) {
        return a < JOSE_ALG_COUNT && (kinds[k->kind].algs & 1u << a);
}

enum jose_alg jose_key_default_alg(const struct jose_key *k) {
        return k->alg;
}

static int put_bytes(json_t *jwk, const char *name, const unsigned char *bytes, size_t len) {
        AUTO_BUF struct buf text = BUF_INIT;
        int r = base64url_append(&text, bytes, len);

        if (r == 0 && json_object_set_new(jwk, name, json_stringn(text.data, text.len)) < 0)
                r = -ENOMEM;
        return r;
}

/* @len: exactly so many bytes, or 0: as few as it takes (RFC 7518 2, Base64urlUInt). */
static int put_number(json_t *jwk, const char *name, const struct jose_key *k, const char *param,
                      size_t len) {
        unsigned char bytes[NUMBER_BYTES_MAX];
        BIGNUM *n = NULL;
        int r = 0;

        if (EVP_PKEY_get_bn_param(k->pkey, param, &n) != 1)
                return jose_failed(-EIO);
        len = len > 0 ? len : (size_t)BN_num_bytes(n);
        if (len > sizeof(bytes) || BN_bn2binpad(n, bytes, (int)len) < 0)
                r = jose_failed(-EIO);
        BN_free(n);
        return r < 0 ? r : put_bytes(jwk, name, bytes, len);
}

static int put_ed25519(json_t *jwk, const struct jose_key *k) {
        unsigned char bytes[32];
        size_t len = sizeof(bytes);

        if (EVP_PKEY_get_raw_public_key(k->pkey, bytes, &len) != 1)
                return jose_failed(-EIO);
        return put_bytes(jwk, "x", bytes, len);
}

int jose_key_public(const struct jose_key *k, json_t **ret) {
        const size_t size = kinds[k->kind].coordinate_bytes;
        AUTO_JSON json_t *jwk = NULL;
        int r = 0;

        if (k->kind == JOSE_KIND_RSA)
                jwk = json_pack("{s:s}", "kty", "RSA");
        else
                jwk = json_pack("{s:s, s:s}", "kty", k->kind == JOSE_KIND_ED25519 ? "OKP" : "EC",
                                "crv", kinds[k->kind].curve);
        if (!jwk)
                return -ENOMEM;
        if (k->kind == JOSE_KIND_RSA) {
                r = put_number(jwk, "n", k, OSSL_PKEY_PARAM_RSA_N, 0);
                if (r == 0)
                        r = put_number(jwk, "e", k, OSSL_PKEY_PARAM_RSA_E, 0);
        } else if (k->kind == JOSE_KIND_ED25519) {
                r = put_ed25519(jwk, k);
        } else {
                r = put_number(jwk, "x", k, OSSL_PKEY_PARAM_EC_PUB_X, size);
                if (r == 0)
                        r = put_number(jwk, "y", k, OSSL_PKEY_PARAM_EC_PUB_Y, size);
        }
        if (r == 0)
                *ret = TAKE(jwk);
        return r;
}

int jose_sha256_text(const void *data, size_t len, struct buf *out) {
        unsigned char digest[JOSE_SHA256_BYTES];

        if (EVP_Q_digest(NULL, "SHA256", NULL, data, len, digest, NULL) != 1)
                return jose_failed(-EIO);
        return base64url_append(out, digest, sizeof(digest));
}

int jose_key_thumbprint(const struct jose_key *k, struct buf *out) {
        AUTO_BUF struct buf text = BUF_INIT;
        AUTO_JSON json_t *jwk = NULL;
        int r = jose_key_public(k, &jwk);

        /* Sorted, without blanks, nothing to escape: the text of RFC 7638 3. */
        if (r == 0)
                r = json_write_canonical(&text, jwk);
        return r < 0 ? r : jose_sha256_text(text.data, text.len, out);
}
