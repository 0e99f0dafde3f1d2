/* SPDX-License-Identifier: Apache-2.0 */
#include "jose/jws.h"

#include <assert.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "base/codec.h"
#include "jose/internal.h"

#define ECDSA_NUMBER_MAX 48

static const char *digest_name(enum jose_alg a) {
        if (a == JOSE_EDDSA || a == JOSE_ED25519)
                return NULL; /* hashes by itself */
        return a == JOSE_ES384 ? "SHA384" : "SHA256";
}

static int set_padding(EVP_PKEY_CTX *ctx, enum jose_alg a) {
        if (a != JOSE_PS256)
                return 1;
        if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) != 1)
                return 0;
        return EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST);
}

/* As OpenSSL gives it. @signature must be empty. */
static int sign(const struct jose_key *k, enum jose_alg a, const void *data, size_t len,
                struct buf *signature) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *pctx = NULL;
        size_t size = 0;
        int r = 0;

        if (!ctx)
                return jose_failed(-ENOMEM);
        if (EVP_DigestSignInit_ex(ctx, &pctx, digest_name(a), NULL, NULL, k->pkey, NULL) != 1 ||
            set_padding(pctx, a) != 1 || EVP_DigestSign(ctx, NULL, &size, data, len) != 1)
                r = jose_failed(-EIO);
        if (r == 0)
                r = buf_reserve(signature, size);
        if (r == 0 && EVP_DigestSign(ctx, (unsigned char *)signature->data, &size, data, len) != 1)
                r = jose_failed(-EIO);
        if (r == 0)
                signature->len = size;
        EVP_MD_CTX_free(ctx);
        return r;
}

/*
 * A private half that is not that of the public one would be refused by every server, and nobody
 * could see why. OpenSSL's own check of an RSA key looks for primes, which takes too long.
 */
int jose_check_halves(const struct jose_key *k) {
        static const char text[] = "do the halves of this key belong together?";
        AUTO_BUF struct buf signature = BUF_INIT;
        int r = sign(k, k->alg, text, sizeof(text), &signature);
        EVP_MD_CTX *ctx;

        if (r < 0)
                return r == -ENOMEM ? r : -EKEYREJECTED;
        ctx = EVP_MD_CTX_new();
        if (!ctx)
                return jose_failed(-ENOMEM);
        if (EVP_DigestVerifyInit_ex(ctx, NULL, digest_name(k->alg), NULL, NULL, k->pkey, NULL) !=
                    1 ||
            EVP_DigestVerify(ctx, (const unsigned char *)signature.data, signature.len,
                             (const unsigned char *)text, sizeof(text)) != 1)
                r = jose_failed(-EKEYREJECTED);
        EVP_MD_CTX_free(ctx);
        return r;
}

/* RFC 7518 3.4: each number with the bytes of its field, where OpenSSL gives DER. */
static int append_ecdsa(struct buf *out, const struct buf *der, int number_bytes) {
        const unsigned char *p = (const unsigned char *)der->data;
        unsigned char numbers[2 * ECDSA_NUMBER_MAX];
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)der->len);
        int r = 0;

        assert(number_bytes <= ECDSA_NUMBER_MAX);
        if (!sig || BN_bn2binpad(ECDSA_SIG_get0_r(sig), numbers, number_bytes) < 0 ||
            BN_bn2binpad(ECDSA_SIG_get0_s(sig), numbers + number_bytes, number_bytes) < 0)
                r = jose_failed(-EIO);
        ECDSA_SIG_free(sig);
        return r < 0 ? r : base64url_append(out, numbers, 2 * (size_t)number_bytes);
}

static int append_signature(const struct jose_key *k, enum jose_alg a, const void *data, size_t len,
                            struct buf *out) {
        AUTO_BUF struct buf raw = BUF_INIT;
        int r = sign(k, a, data, len, &raw);

        if (r < 0)
                return r;
        if (a == JOSE_ES256 || a == JOSE_ES384)
                return append_ecdsa(out, &raw, a == JOSE_ES256 ? 32 : ECDSA_NUMBER_MAX);
        return base64url_append(out, raw.data, raw.len);
}

static int append_json(struct buf *out, const json_t *value) {
        AUTO_BUF struct buf text = BUF_INIT;
        int r = json_write(&text, value);

        return r < 0 ? r : base64url_append(out, text.data, text.len);
}

static int append_header(struct buf *out, enum jose_alg a, const json_t *header) {
        AUTO_JSON json_t *full = json_pack("{s:s}", "alg", jose_alg_name(a));

        /* The values are shared, not changed: jansson wants to count them. (Its ways to copy an
         * object, and to add only what is missing, do not tell when memory ran out.) */
        if (!full || (header && json_object_update(full, (json_t *)(uintptr_t)header) < 0) ||
            json_object_set_new(full, "alg", json_string(jose_alg_name(a))) < 0)
                return -ENOMEM;
        return append_json(out, full);
}

int jws_sign(const struct jose_key *k, enum jose_alg a, const json_t *header, const json_t *claims,
             struct buf *out) {
        size_t before = out->len;
        int r;

        if (!jose_key_can(k, a))
                return -EINVAL;
        r = append_header(out, a, header);
        if (r == 0)
                r = buf_append(out, ".", 1);
        if (r == 0)
                r = append_json(out, claims);
        if (r == 0)
                r = buf_append(out, ".", 1);
        if (r == 0)
                r = append_signature(k, a, out->data + before, out->len - 1 - before, out);
        if (r < 0)
                buf_truncate(out, before);
        return r;
}
