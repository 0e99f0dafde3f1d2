/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "base/codec.h"
#include "base/limits.h"
#include "jose/init.h"
#include "jose/internal.h"

#define HINT_KINDS "Use an EC key on P-256 or P-384, an RSA key of 2048 to 8192 bits, or Ed25519"
#define JWK_DEPTH 4
#define PARAMS_MAX 10

static int bad(struct error *err, const char *hint, const char *what) {
        return error_set(err, MCPB_BAD_CONFIG, EBADMSG, hint, "The private key cannot be used: %s",
                         what);
}

/* What jose_key_adopt() said, in words. */
static int refuse(int r, struct error *err) {
        switch (r) {
        case -ENOMEM:
                return error_oom(err);
        case -EOPNOTSUPP:
                return bad(err, HINT_KINDS, "it is of a kind that is not served");
        default:
                return bad(err, "Make the file again from where the key was made",
                           "its private and its public half do not belong together");
        }
}

/* --- JWK (RFC 7518 6, RFC 8037 2) ---------------------------------------------------------- */

/* OpenSSL reads numbers in the machine's own order, out of memory that stays ours to wipe. */
struct params {
        OSSL_PARAM list[PARAMS_MAX + 1];
        struct buf bytes[PARAMS_MAX];
        size_t n;
};

static void params_done(struct params *p) {
        for (size_t i = 0; i < p->n; i++)
                buf_done(&p->bytes[i]);
}
#define AUTO_PARAMS __attribute__((cleanup(params_done), unused))

static void to_machine_order(struct buf *b) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        for (size_t i = 0; i < b->len / 2; i++) {
                char c = b->data[i];

                b->data[i] = b->data[b->len - 1 - i];
                b->data[b->len - 1 - i] = c;
        }
#endif
}

/* The bytes of a member; @len: exactly so many, or 0: some. -EBADMSG. */
static int get_bytes(const json_t *jwk, const char *name, size_t len, struct buf *out) {
        const char *text = json_get_string(jwk, name);
        size_t before = out->len;
        int r;

        if (!text)
                return -EBADMSG;
        r = base64url_decode(out, text, strlen(text));
        if (r == 0 && (len > 0 ? out->len - before != len : out->len == before))
                r = -EBADMSG;
        return r;
}

static int add_number(struct params *p, const char *param, const json_t *jwk, const char *name,
                      size_t len) {
        struct buf *b = &p->bytes[p->n];
        int r;

        assert(p->n < PARAMS_MAX);
        buf_init(b, 0);
        p->n++;
        r = get_bytes(jwk, name, len, b);
        if (r < 0)
                return r;
        to_machine_order(b);
        p->list[p->n - 1] = OSSL_PARAM_construct_BN(param, (unsigned char *)b->data, b->len);
        return 0;
}

static int from_params(const char *type, struct params *p, EVP_PKEY **ret) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
        int r = 0;

        p->list[p->n] = OSSL_PARAM_construct_end();
        if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
            EVP_PKEY_fromdata(ctx, ret, EVP_PKEY_KEYPAIR, p->list) != 1)
                r = jose_failed(-EBADMSG);
        EVP_PKEY_CTX_free(ctx);
        return r;
}

static int ec_from_jwk(const json_t *jwk, EVP_PKEY **ret) {
        AUTO_PARAMS struct params p = { .n = 0 };
        const char *curve = json_get_string(jwk, "crv");
        bool p384 = streq_null(curve, "P-384");
        size_t size = p384 ? 48 : 32;
        char group[8];
        int r;

        if (!p384 && !streq_null(curve, "P-256"))
                return -EOPNOTSUPP;
        r = add_number(&p, OSSL_PKEY_PARAM_PRIV_KEY, jwk, "d", size);
        if (r < 0)
                return r;
        buf_init(&p.bytes[p.n], 0);
        p.n++;
        r = buf_append(&p.bytes[1], "\x04", 1);
        if (r == 0)
                r = get_bytes(jwk, "x", size, &p.bytes[1]);
        if (r == 0)
                r = get_bytes(jwk, "y", size, &p.bytes[1]);
        if (r < 0)
                return r;
        p.list[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, p.bytes[1].data,
                                                      p.bytes[1].len);
        memcpy(group, curve, sizeof("P-256"));
        p.list[p.n++] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
        return from_params("EC", &p, ret);
}

static int rsa_from_jwk(const json_t *jwk, EVP_PKEY **ret) {
        static const struct {
                const char *name;
                const char *param;
        } members[] = {
                { "n", OSSL_PKEY_PARAM_RSA_N },          { "e", OSSL_PKEY_PARAM_RSA_E },
                { "d", OSSL_PKEY_PARAM_RSA_D },          { "p", OSSL_PKEY_PARAM_RSA_FACTOR1 },
                { "q", OSSL_PKEY_PARAM_RSA_FACTOR2 },    { "dp", OSSL_PKEY_PARAM_RSA_EXPONENT1 },
                { "dq", OSSL_PKEY_PARAM_RSA_EXPONENT2 }, { "qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1 },
        };
        AUTO_PARAMS struct params p = { .n = 0 };
        int r = 0;

        if (json_object_get(jwk, "oth"))
                return -EOPNOTSUPP; /* more than two primes */
        for (size_t i = 0; i < ARRAY_SIZE(members) && r == 0; i++)
                r = add_number(&p, members[i].param, jwk, members[i].name, 0);
        return r < 0 ? r : from_params("RSA", &p, ret);
}

static int ed25519_from_jwk(const json_t *jwk, EVP_PKEY **ret) {
        AUTO_BUF struct buf d = BUF_INIT;
        AUTO_BUF struct buf x = BUF_INIT;
        unsigned char own[32];
        size_t len = sizeof(own);
        int r;

        if (!streq_null(json_get_string(jwk, "crv"), "Ed25519"))
                return -EOPNOTSUPP;
        r = get_bytes(jwk, "d", 32, &d);
        if (r == 0)
                r = get_bytes(jwk, "x", 32, &x);
        if (r < 0)
                return r;
        *ret = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, (unsigned char *)d.data, d.len);
        if (!*ret || EVP_PKEY_get_raw_public_key(*ret, own, &len) != 1)
                return jose_failed(-EIO);
        /* OpenSSL makes the public half anew, so this one would go unseen. */
        return memcmp(own, x.data, sizeof(own)) == 0 ? 0 : -EKEYREJECTED;
}

static int pkey_from_jwk(const json_t *jwk, EVP_PKEY **ret) {
        const char *type = json_get_string(jwk, "kty");

        if (streq_null(type, "EC"))
                return ec_from_jwk(jwk, ret);
        if (streq_null(type, "RSA"))
                return rsa_from_jwk(jwk, ret);
        if (streq_null(type, "OKP"))
                return ed25519_from_jwk(jwk, ret);
        return -EOPNOTSUPP;
}

/* What the JWK says of its own use (RFC 7517 4.2, 4.4). */
static int check_use(const json_t *jwk, struct jose_key *k, struct error *err) {
        const char *use = json_get_string(jwk, "use");
        const char *name = json_get_string(jwk, "alg");
        enum jose_alg alg = k->alg;

        if (use && !streq(use, "sig"))
                return bad(err, "Use one whose \"use\" is \"sig\"", "it is not one for signing");
        if (name && (jose_alg_from_name(name, &alg) < 0 || !jose_key_can(k, alg)))
                return bad(err,
                           "ES256, ES384, RS256, PS256, EdDSA and Ed25519 are served, each by its "
                           "kind",
                           "its \"alg\" is not one that such a key can do here");
        k->alg = alg;
        return 0;
}

int jose_key_from_jwk(const json_t *jwk, struct jose_key **ret, struct error *err) {
        AUTO_JOSE_KEY struct jose_key *k = NULL;
        AUTO_PKEY EVP_PKEY *pkey = NULL;
        int r;

        if (json_object_get(jwk, "keys"))
                return bad(err, "Write one of its keys into a file of its own", "it is a JWK set");
        if (json_object_get(jwk, "kty") && !json_object_get(jwk, "d"))
                return bad(err, "Give the private JWK, which has a member \"d\"",
                           "the JWK has no private half");
        r = pkey_from_jwk(jwk, &pkey);
        if (r == -EBADMSG)
                return bad(err,
                           "All members of the key are needed, of the right length and without "
                           "padding",
                           "a member of the JWK is missing or wrong");
        if (r == 0)
                r = jose_key_adopt(TAKE(pkey), &k);
        if (r < 0)
                return refuse(r, err);
        r = check_use(jwk, k, err);
        if (r == 0)
                *ret = TAKE(k);
        return r;
}

/* --- PEM ----------------------------------------------------------------------------------- */

static bool is_private(const char *label) {
        size_t len = strlen(label);
        static const char end[] = "PRIVATE KEY";

        return len >= strlen(end) && streq(label + len - strlen(end), end);
}

static int from_block(const struct pem_block *b, struct jose_key **ret, struct error *err) {
        const unsigned char *p = b->der;
        EVP_PKEY *pkey = NULL;
        int r;

        if (b->encrypted)
                return bad(
                        err,
                        "Decrypt it (openssl pkey -in KEY -out PLAIN) and protect the file by its "
                        "mode, or by a credential of systemd",
                        "it is encrypted");
        if (streq(b->label, "PRIVATE KEY")) {
                r = jose_key_from_der(b->der, b->len, ret);
        } else {
                if (streq(b->label, "EC PRIVATE KEY"))
                        pkey = d2i_PrivateKey(EVP_PKEY_EC, NULL, &p, (long)b->len);
                else if (streq(b->label, "RSA PRIVATE KEY"))
                        pkey = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &p, (long)b->len);
                else
                        return refuse(-EOPNOTSUPP, err);
                r = pkey ? jose_key_adopt(pkey, ret) : jose_failed(-EBADMSG);
        }
        if (r == -EBADMSG)
                return bad(err, "Copy the file again", "it is damaged");
        return r < 0 ? refuse(r, err) : 0;
}

static int from_pem(const void *text, size_t len, struct jose_key **ret, struct error *err) {
        AUTO_PEM_BLOCK struct pem_block block = PEM_BLOCK_INIT;
        AUTO_BIO BIO *bio = BIO_new_mem_buf(text, (int)len);
        int r;

        if (!bio)
                return error_oom(err);
        while ((r = pem_next(bio, &block)) > 0)
                if (is_private(block.label))
                        return from_block(&block, ret, err);
        if (r == -ENOMEM)
                return error_oom(err);
        return bad(err, "Give a PEM file (-----BEGIN PRIVATE KEY-----) or a private JWK",
                   r < 0 ? "its PEM is damaged" : "there is none in it");
}

int jose_key_read(const void *text, size_t len, struct jose_key **ret, struct error *err) {
        AUTO_JSON json_t *jwk = NULL;
        const char *p = text;
        int r = jose_init();

        if (r < 0)
                return error_fallback(err, r, "Starting OpenSSL");
        if (len > LIMIT_KEY_BYTES)
                return bad(err, "Give a file with one key", "it is too large");
        while (p < (const char *)text + len && strchr(" \t\r\n", *p) && *p)
                p++;
        if (p == (const char *)text + len || *p != '{')
                return from_pem(text, len, ret, err);
        r = json_parse(text, len, JWK_DEPTH, &jwk, NULL);
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return bad(err, "Give a private JWK, or a PEM file", "it is not JSON");
        return jose_key_from_jwk(jwk, ret, err);
}
