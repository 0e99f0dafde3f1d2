/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can fail here is memory or entropy: then the program ends, as in base.c.
 */
#include "signer.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "jwt.h"

struct signer {
        EVP_PKEY *key;
        json_t *jwk;
};

static char *encode(const void *bytes, size_t n) {
        size_t n_text = sodium_base64_encoded_len(n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
        char *text = mem_new(n_text);

        (void)sodium_bin2base64(text, n_text, bytes, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
        return text;
}

static json_t *coordinate(const EVP_PKEY *key, const char *name) {
        unsigned char bytes[32];
        BIGNUM *n = NULL;
        json_t *value = NULL;
        char *text;

        if (EVP_PKEY_get_bn_param(key, name, &n) == 1 &&
            BN_bn2binpad(n, bytes, sizeof(bytes)) == (int)sizeof(bytes)) {
                text = encode(bytes, sizeof(bytes));
                value = json_string(text);
                free(text);
        }
        BN_free(n);
        return value;
}

struct signer *signer_new(void) {
        struct signer *s = mem_new(sizeof(*s));
        json_t *x = NULL;
        json_t *y = NULL;
        char *kid;

        s->key = EVP_EC_gen("P-256");
        if (s->key) {
                x = coordinate(s->key, OSSL_PKEY_PARAM_EC_PUB_X);
                y = coordinate(s->key, OSSL_PKEY_PARAM_EC_PUB_Y);
        }
        if (!x || !y)
                abort();
        s->jwk = json_pack("{s:s, s:s, s:o, s:o}", "kty", "EC", "crv", "P-256", "x", x, "y", y);
        kid = jwk_thumbprint(s->jwk);
        json_object_set_new(s->jwk, "kid", json_string(kid));
        json_object_set_new(s->jwk, "alg", json_string("ES256"));
        json_object_set_new(s->jwk, "use", json_string("sig"));
        free(kid);
        return s;
}

struct signer *signer_free(struct signer *s) {
        if (s) {
                EVP_PKEY_free(s->key);
                json_decref(s->jwk);
        }
        free(s);
        return NULL;
}

json_t *signer_jwks(const struct signer *s) {
        return json_pack("{s:[O]}", "keys", s->jwk);
}

static void add_json(struct text *t, json_t *value) {
        char *plain = json_dumps(value, JSON_COMPACT);
        char *encoded = encode(plain, strlen(plain));

        text_puts(t, encoded);
        free(encoded);
        free(plain);
        json_decref(value);
}

static void sign(const struct signer *s, struct text *t) {
        unsigned char der[128];
        unsigned char raw[64] = { 0 };
        size_t n_der = sizeof(der);
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        const unsigned char *p = der;
        ECDSA_SIG *pair = NULL;
        char *encoded;

        if (context &&
            EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, s->key, NULL) == 1 &&
            EVP_DigestSign(context, der, &n_der, (const unsigned char *)t->p, t->n) == 1)
                pair = d2i_ECDSA_SIG(NULL, &p, (long)n_der);
        if (!pair || BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32) != 32 ||
            BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32) != 32)
                abort();
        encoded = encode(raw, sizeof(raw));
        text_puts(t, ".");
        text_puts(t, encoded);
        free(encoded);
        ECDSA_SIG_free(pair);
        EVP_MD_CTX_free(context);
}

char *signer_make(const struct signer *s, const char *type, json_t *claims) {
        struct text t = { 0 };

        add_json(&t, json_pack("{s:s, s:s, s:O}", "typ", type, "alg", "ES256", "kid",
                               json_object_get(s->jwk, "kid")));
        text_puts(&t, ".");
        add_json(&t, claims);
        sign(s, &t);
        return text_take(&t);
}
