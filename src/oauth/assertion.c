/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/assertion.h"

#include "crypto/rand.h"
#include "jose/jws.h"
#include "oauth/fields.h"

#define JTI_BYTES 16 /* 128 random bits */

/* What the drafts call it; the numbers of both move. */
#define TYP_ASSERTION "client-authentication+jwt" /* draft-ietf-oauth-rfc7523bis */
#define TYP_PROOF "oauth-client-attestation-pop+jwt"

static int no_algorithm(const struct as_metadata *as, const char *wanted, struct error *err) {
        AUTO_BUF struct buf b = BUF_INIT;
        int r = 0;

        for (size_t i = 0; i < as->n_token_auth_algs && r == 0; i++)
                r = buf_printf(&b, "%s%.32s", i > 0 ? ", " : "", as->token_auth_algs[i]);
        return error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP,
                         "Register a key of another kind there, and name it with ClientKeyFile=",
                         "The authorization server %s takes assertions signed with %s, not %s",
                         as->issuer, b.len > 0 ? b.data : "nothing", wanted);
}

static bool takes(const struct as_metadata *as, enum jose_alg a) {
        for (size_t i = 0; i < as->n_token_auth_algs; i++)
                if (streq(as->token_auth_algs[i], jose_alg_name(a)))
                        return true;
        return as->n_token_auth_algs == 0;
}

/* A178: the configured one, and one that the issuer lists. @as NULL: whatever it lists. */
static int choose_alg(const struct jose_key *key, const struct registration *reg,
                      const struct as_metadata *as, enum jose_alg *ret, struct error *err) {
        enum jose_alg first = jose_key_default_alg(key);

        if (reg->signing_alg) {
                if (jose_alg_from_name(reg->signing_alg, &first) < 0 || !jose_key_can(key, first))
                        return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                         "Leave SigningAlgorithm= out, or name one that fits the "
                                         "key",
                                         "The key of the client at %s cannot sign with '%.32s'",
                                         reg->issuer, reg->signing_alg);
                *ret = first;
                return !as || takes(as, first) ? 0 : no_algorithm(as, jose_alg_name(first), err);
        }
        *ret = first;
        if (!as || takes(as, first))
                return 0;
        for (int a = 0; a < JOSE_ALG_COUNT; a++) {
                *ret = (enum jose_alg)a;
                if (jose_key_can(key, *ret) && takes(as, *ret))
                        return 0;
        }
        return no_algorithm(as, jose_alg_name(first), err);
}

static int read_key(const struct registration *reg, struct jose_key **ret, struct error *err) {
        if (!reg->client_key || !reg->client_id)
                return error_set(err, MCPB_BAD_CONFIG, ENOKEY, "Name its key with ClientKeyFile=",
                                 "The client at %s has no key to prove itself with", reg->issuer);
        return jose_key_read(reg->client_key, strlen(reg->client_key), ret, err);
}

static json_t *make_header(const struct registration *reg, const char *typ) {
        AUTO_JSON json_t *header = json_object();
        int r = header ? 0 : -ENOMEM;

        if (r == 0 && reg->key_id)
                r = json_put(header, "kid", json_string(reg->key_id));
        if (r == 0 && typ)
                r = json_put(header, "typ", json_string(typ));
        return r == 0 ? TAKE(header) : NULL;
}

/* What both say. */
static json_t *make_claims(const struct registration *reg, const char *audience,
                           uint64_t now_wall) {
        AUTO_JSON json_t *claims = json_object();
        AUTO_BUF struct buf jti = BUF_INIT;
        int r = claims ? random_text(&jti, JTI_BYTES) : -ENOMEM;

        if (r == 0)
                r = json_put(claims, "iss", json_string(reg->client_id));
        if (r == 0)
                r = json_put(claims, "aud", json_string(audience));
        if (r == 0)
                r = json_put(claims, "iat", json_integer((json_int_t)(now_wall / USEC_PER_SEC)));
        if (r == 0)
                r = json_put(claims, "jti", json_string(jti.data));
        return r == 0 ? TAKE(claims) : NULL;
}

static int sign(const struct jose_key *key, enum jose_alg alg, const json_t *header,
                const json_t *claims, struct buf *out, struct error *err) {
        int r = jws_sign(key, alg, header, claims, out);

        if (r == -ENOMEM)
                return error_oom(err);
        return r < 0 ? error_set(err, MCPB_INTERNAL, -r, NULL, "Cannot sign with the client's key")
                     : 0;
}

int assertion_make(const struct registration *reg, const struct as_metadata *as, uint64_t now_wall,
                   struct buf *out, struct error *err) {
        AUTO_JOSE_KEY struct jose_key *key = NULL;
        AUTO_JSON json_t *header = NULL;
        AUTO_JSON json_t *claims = NULL;
        enum jose_alg alg = JOSE_ES256;
        uint64_t end = now_wall / USEC_PER_SEC + ASSERTION_SEC;
        int r = read_key(reg, &key, err);

        if (r == 0)
                r = choose_alg(key, reg, as, &alg, err);
        if (r < 0)
                return r;
        header = make_header(reg, reg->plain_typ ? NULL : TYP_ASSERTION);
        claims = make_claims(reg, reg->assertion_audience ? reg->assertion_audience : as->issuer,
                             now_wall);
        if (!header || !claims || json_put(claims, "sub", json_string(reg->client_id)) < 0 ||
            json_put(claims, "exp", json_integer((json_int_t)end)) < 0)
                return error_oom(err);
        return sign(key, alg, header, claims, out, err);
}

int assertion_attest(const struct registration *reg, const struct as_metadata *as,
                     const char *challenge, uint64_t now_wall, struct buf *out, struct error *err) {
        AUTO_JOSE_KEY struct jose_key *key = NULL;
        AUTO_JSON json_t *header = NULL;
        AUTO_JSON json_t *claims = NULL;
        enum jose_alg alg = JOSE_ES256;
        int r = read_key(reg, &key, err);

        /* Which algorithms it takes here, it says elsewhere. */
        if (r == 0)
                r = choose_alg(key, reg, NULL, &alg, err);
        if (r < 0)
                return r;
        header = make_header(reg, TYP_PROOF);
        claims = make_claims(reg, as->issuer, now_wall);
        if (!header || !claims ||
            (challenge && json_put(claims, "challenge", json_string(challenge)) < 0))
                return error_oom(err);
        return sign(key, alg, header, claims, out, err);
}
