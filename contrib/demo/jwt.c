/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compact JWS. OpenSSL's keys come from the members of a JWK; ECDSA signatures are two numbers side
 * by side in a JWS and a DER sequence in OpenSSL.
 */
#include "jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

#define TEXT_MAX 16384U
#define COORDINATE_MAX 48U
#define RSA_BITS_MIN 2048
#define RSA_BYTES_MAX 1024U
#define JSON_FLAGS (JSON_REJECT_DUPLICATES)

enum shape { SHAPE_EC, SHAPE_RSA, SHAPE_PSS, SHAPE_ED25519 };

struct algorithm {
        const char *name;
        const char *kty;
        const char *crv;   /* of the JWK; NULL: none */
        const char *group; /* OpenSSL's name of it */
        const char *hash;
        size_t n_coordinate;
        enum shape shape;
};

static const struct algorithm algorithms[] = {
        { "ES256", "EC", "P-256", "P-256", "SHA256", 32, SHAPE_EC },
        { "ES384", "EC", "P-384", "P-384", "SHA384", 48, SHAPE_EC },
        { "RS256", "RSA", NULL, NULL, "SHA256", 0, SHAPE_RSA },
        { "PS256", "RSA", NULL, NULL, "SHA256", 0, SHAPE_PSS },
        { "EdDSA", "OKP", "Ed25519", NULL, NULL, 32, SHAPE_ED25519 },
        { "Ed25519", "OKP", "Ed25519", NULL, NULL, 32, SHAPE_ED25519 },
};

static const struct algorithm *algorithm_find(const char *name) {
        for (size_t i = 0; name && i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
                if (strcmp(algorithms[i].name, name) == 0)
                        return &algorithms[i];
        return NULL;
}

static bool same(const char *a, const char *b) {
        return a && b && strcmp(a, b) == 0;
}

/* Strict base64url, without padding; NULL if it is none. */
static unsigned char *decode(const char *text, size_t n_text, size_t *ret_n) {
        unsigned char *bytes = mem_new(n_text + 1);

        if (sodium_base642bin(bytes, n_text + 1, text, n_text, NULL, ret_n, NULL,
                              sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0)
                return bytes;
        free(bytes);
        return NULL;
}

static json_t *decode_object(const char *text, size_t n_text) {
        size_t n = 0;
        unsigned char *bytes = decode(text, n_text, &n);
        json_t *value = bytes ? json_loadb((const char *)bytes, n, JSON_FLAGS, NULL) : NULL;

        free(bytes);
        if (json_is_object(value))
                return value;
        json_decref(value);
        return NULL;
}

bool jwt_parse(struct jwt *j, const char *text) {
        const char *first = text ? strchr(text, '.') : NULL;
        const char *second = first ? strchr(first + 1, '.') : NULL;

        *j = (struct jwt){ 0 };
        if (!second || strlen(text) > TEXT_MAX)
                return false;
        j->text = mem_string(text);
        j->n_signed = (size_t)(second - text);
        j->header = decode_object(text, (size_t)(first - text));
        j->claims = decode_object(first + 1, (size_t)(second - first - 1));
        j->signature = decode(second + 1, strlen(second + 1), &j->n_signature);
        if (j->header && j->claims && j->signature && !json_object_get(j->header, "crit") &&
            algorithm_find(json_string_value(json_object_get(j->header, "alg"))))
                return true;
        jwt_done(j);
        return false;
}

void jwt_done(struct jwt *j) {
        free(j->text);
        free(j->signature);
        json_decref(j->header);
        json_decref(j->claims);
        *j = (struct jwt){ 0 };
}

const char *jwt_type(const struct jwt *j) {
        const char *type = json_string_value(json_object_get(j->header, "typ"));

        return type ? type : "";
}

const char *jwt_claim(const struct jwt *j, const char *name) {
        return json_string_value(json_object_get(j->claims, name));
}

bool jwt_for(const struct jwt *j, const char *audience) {
        const json_t *aud = json_object_get(j->claims, "aud");

        for (size_t i = 0; i < json_array_size(aud); i++)
                if (same(json_string_value(json_array_get(aud, i)), audience))
                        return true;
        return same(json_string_value(aud), audience);
}

bool jwt_for_alone(const struct jwt *j, const char *audience) {
        const json_t *aud = json_object_get(j->claims, "aud");

        return jwt_for(j, audience) && (json_is_string(aud) || json_array_size(aud) == 1);
}

static bool time_claim(const struct jwt *j, const char *name, double *ret) {
        const json_t *value = json_object_get(j->claims, name);

        *ret = json_number_value(value);
        return json_is_number(value);
}

const char *jwt_time_fault(const struct jwt *j, int64_t now) {
        double t;

        if (!time_claim(j, "exp", &t))
                return "exp is missing";
        if (t <= (double)now)
                return "it has expired";
        if (time_claim(j, "nbf", &t) && t > (double)(now + JWT_SKEW_SEC))
                return "it is not valid yet";
        if (time_claim(j, "iat", &t) && t > (double)(now + JWT_SKEW_SEC))
                return "it was made in the future";
        return NULL;
}

/* --- keys ------------------------------------------------------------ */

/* The bytes of a member; NULL if it is none. */
static unsigned char *member(const json_t *jwk, const char *name, size_t *ret_n) {
        const char *text = json_string_value(json_object_get(jwk, name));

        return text ? decode(text, strlen(text), ret_n) : NULL;
}

static EVP_PKEY *key_of_params(const char *type, OSSL_PARAM_BLD *build) {
        OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
        EVP_PKEY *key = NULL;

        if (!params || !context || EVP_PKEY_fromdata_init(context) != 1 ||
            EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
                key = NULL;
        EVP_PKEY_CTX_free(context);
        OSSL_PARAM_free(params);
        return key;
}

static EVP_PKEY *key_ec(const struct algorithm *a, const json_t *jwk) {
        unsigned char point[1 + 2 * COORDINATE_MAX] = { 4 };
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        size_t n_x = 0;
        size_t n_y = 0;
        unsigned char *x = member(jwk, "x", &n_x);
        unsigned char *y = member(jwk, "y", &n_y);
        EVP_PKEY *key = NULL;

        if (build && x && y && n_x == a->n_coordinate && n_y == a->n_coordinate) {
                memcpy(point + 1, x, n_x);
                memcpy(point + 1 + n_x, y, n_y);
                if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, a->group,
                                                    0) == 1 &&
                    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point,
                                                     1 + n_x + n_y) == 1)
                        key = key_of_params("EC", build);
        }
        OSSL_PARAM_BLD_free(build);
        free(x);
        free(y);
        return key;
}

static EVP_PKEY *key_rsa(const json_t *jwk) {
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        size_t n_n = 0;
        size_t n_e = 0;
        unsigned char *n = member(jwk, "n", &n_n);
        unsigned char *e = member(jwk, "e", &n_e);
        BIGNUM *big_n = NULL;
        BIGNUM *big_e = NULL;
        EVP_PKEY *key = NULL;

        if (build && n && e && n_n <= RSA_BYTES_MAX && n_e <= 8) {
                big_n = BN_bin2bn(n, (int)n_n, NULL);
                big_e = BN_bin2bn(e, (int)n_e, NULL);
                if (big_n && big_e && BN_num_bits(big_n) >= RSA_BITS_MIN &&
                    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, big_n) == 1 &&
                    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, big_e) == 1)
                        key = key_of_params("RSA", build);
        }
        BN_free(big_n);
        BN_free(big_e);
        OSSL_PARAM_BLD_free(build);
        free(n);
        free(e);
        return key;
}

static EVP_PKEY *key_ed25519(const json_t *jwk) {
        size_t n = 0;
        unsigned char *x = member(jwk, "x", &n);
        EVP_PKEY *key = x ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, n) : NULL;

        free(x);
        return key;
}

/* NULL: the key is not one for this algorithm. */
static EVP_PKEY *key_public(const struct algorithm *a, const json_t *jwk) {
        const char *use = json_string_value(json_object_get(jwk, "use"));
        const char *alg = json_string_value(json_object_get(jwk, "alg"));

        if (!same(json_string_value(json_object_get(jwk, "kty")), a->kty) ||
            (a->crv && !same(json_string_value(json_object_get(jwk, "crv")), a->crv)) ||
            (use && strcmp(use, "sig") != 0) || (alg && strcmp(alg, a->name) != 0))
                return NULL;
        if (a->shape == SHAPE_EC)
                return key_ec(a, jwk);
        return a->shape == SHAPE_ED25519 ? key_ed25519(jwk) : key_rsa(jwk);
}

/* --- signatures ------------------------------------------------------------ */

static unsigned char *ecdsa_to_der(const struct jwt *j, size_t n_half, size_t *ret_n) {
        ECDSA_SIG *pair = ECDSA_SIG_new();
        BIGNUM *r = BN_bin2bn(j->signature, (int)n_half, NULL);
        BIGNUM *s = BN_bin2bn(j->signature + n_half, (int)n_half, NULL);
        unsigned char *der = NULL;
        int n;

        if (!pair || !r || !s || ECDSA_SIG_set0(pair, r, s) != 1)
                abort(); /* out of memory: nothing else can fail here */
        n = i2d_ECDSA_SIG(pair, &der);
        ECDSA_SIG_free(pair);
        *ret_n = n > 0 ? (size_t)n : 0;
        return der;
}

static bool digest_verify(const struct algorithm *a, EVP_PKEY *key, const struct jwt *j,
                          const unsigned char *signature, size_t n_signature) {
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        EVP_PKEY_CTX *how = NULL;
        bool good = context &&
                    EVP_DigestVerifyInit_ex(context, &how, a->hash, NULL, NULL, key, NULL) == 1;

        if (good && a->shape == SHAPE_PSS)
                good = EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
                       EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1;
        good = good && EVP_DigestVerify(context, signature, n_signature,
                                        (const unsigned char *)j->text, j->n_signed) == 1;
        EVP_MD_CTX_free(context);
        return good;
}

bool jwt_verify(const struct jwt *j, const json_t *jwk) {
        const struct algorithm *a =
                algorithm_find(json_string_value(json_object_get(j->header, "alg")));
        EVP_PKEY *key = a ? key_public(a, jwk) : NULL;
        unsigned char *der = NULL;
        size_t n_der = 0;
        bool good = false;

        if (key && a->shape == SHAPE_EC && j->n_signature == 2 * a->n_coordinate) {
                der = ecdsa_to_der(j, a->n_coordinate, &n_der);
                good = der && digest_verify(a, key, j, der, n_der);
        } else if (key && a->shape != SHAPE_EC) {
                good = digest_verify(a, key, j, j->signature, j->n_signature);
        }
        OPENSSL_free(der);
        EVP_PKEY_free(key);
        return good;
}

bool jwt_verify_set(const struct jwt *j, const json_t *jwks) {
        const json_t *keys = json_object_get(jwks, "keys");
        const char *kid = json_string_value(json_object_get(j->header, "kid"));

        for (size_t i = 0; i < json_array_size(keys); i++) {
                const json_t *jwk = json_array_get(keys, i);

                if (kid && !same(json_string_value(json_object_get(jwk, "kid")), kid))
                        continue;
                if (jwt_verify(j, jwk))
                        return true;
        }
        return false;
}

json_t *jwks_read(const char *path) {
        json_t *value = json_load_file(path, JSON_FLAGS, NULL);

        if (json_is_string(json_object_get(value, "kty")))
                return json_pack("{s:[o]}", "keys", value);
        if (json_array_size(json_object_get(value, "keys")) > 0)
                return value;
        json_decref(value);
        return NULL;
}

/* Required members only, in the order of their names, without blanks. */
char *jwk_thumbprint(const json_t *jwk) {
        static const char *const required[][5] = {
                { "EC", "crv", "kty", "x", "y" },
                { "RSA", "e", "kty", "n" },
                { "OKP", "crv", "kty", "x" },
        };
        static const char *const private[] = { "d", "p", "q", "dp", "dq", "qi", "oth", "k" };
        const char *kty = json_string_value(json_object_get(jwk, "kty"));
        char *thumbprint = NULL;
        struct text t = { 0 };

        for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++)
                if (json_object_get(jwk, private[i]))
                        return NULL;
        for (size_t i = 0; i < 3 && !thumbprint; i++) {
                if (!same(kty, required[i][0]))
                        continue;
                for (size_t m = 1; m < 5 && required[i][m]; m++) {
                        const char *value = json_string_value(json_object_get(jwk, required[i][m]));

                        if (!value || strpbrk(value, "\"\\")) {
                                text_done(&t);
                                return NULL;
                        }
                        text_printf(&t, "%s\"%s\":\"%s\"", m == 1 ? "{" : ",", required[i][m],
                                    value);
                }
                text_puts(&t, "}");
                thumbprint = sha256_base64url(t.p);
        }
        text_done(&t);
        return thumbprint;
}
