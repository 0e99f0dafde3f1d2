/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/dpop.h"

#include <strings.h>

#include "base/codec.h"
#include "base/limits.h"
#include "crypto/hash.h"
#include "crypto/rand.h"
#include "jose/jws.h"
#include "oauth/asmeta.h"
#include "oauth/challenge.h"
#include "oauth/fields.h"
#include "oauth/remote.h"

#define JTI_BYTES 16

static bool is_printable(const char *text) {
        if (!text || !*text)
                return false;
        for (; *text; text++)
                if (*text < 0x21 || *text > 0x7e)
                        return false;
        return true;
}

/* RFC 9449 8.1: 1*NQCHAR. */
bool dpop_nonce_is_sound(const char *nonce) {
        return is_printable(nonce) && !strpbrk(nonce, "\"\\") &&
               strlen(nonce) <= LIMIT_DPOP_NONCE_BYTES;
}

/* RFC 9449 4.2: without query and fragment. */
static int put_url(json_t *claims, const char *url) {
        return json_put(claims, "htu", json_stringn(url, strcspn(url, "?#")));
}

static int put_hash(json_t *claims, const char *access_token) {
        AUTO_BUF struct buf text = BUF_INIT;
        uint8_t digest[SHA256_BYTES];
        int r;

        sha256(digest, access_token, strlen(access_token));
        r = base64url_append(&text, digest, sizeof(digest));
        return r < 0 ? r : json_put(claims, "ath", json_stringn(text.data, text.len));
}

static int make_claims(const struct dpop_proof *p, json_t **ret) {
        AUTO_BUF struct buf jti = BUF_INIT;
        AUTO_JSON json_t *claims = json_object();
        int r = random_text(&jti, JTI_BYTES);

        if (r == 0)
                r = json_put(claims, "jti", json_stringn(jti.data, jti.len));
        if (r == 0)
                r = json_put(claims, "htm", json_string(p->htm));
        if (r == 0)
                r = put_url(claims, p->htu);
        if (r == 0)
                r = json_put(claims, "iat", json_integer((json_int_t)(p->now_wall / USEC_PER_SEC)));
        if (r == 0 && p->access_token)
                r = put_hash(claims, p->access_token);
        if (r == 0 && p->nonce)
                r = json_put(claims, "nonce", json_string(p->nonce));
        if (r == 0)
                *ret = TAKE(claims);
        return r;
}

int dpop_proof_make(const struct dpop_proof *p, struct buf *out) {
        AUTO_JSON json_t *header = json_object();
        AUTO_JSON json_t *claims = NULL;
        json_t *jwk = NULL;
        int r;

        if (!is_printable(p->htm) || !is_printable(p->htu) ||
            (p->nonce && !dpop_nonce_is_sound(p->nonce)))
                return -EINVAL;
        r = json_put(header, "typ", json_string("dpop+jwt"));
        if (r == 0)
                r = jose_key_public(p->key, &jwk);
        if (r == 0)
                r = json_put(header, "jwk", jwk);
        if (r == 0)
                r = make_claims(p, &claims);
        return r < 0 ? r : jws_sign(p->key, jose_key_default_alg(p->key), header, claims, out);
}

bool dpop_alg_wanted(const struct as_metadata *as, enum jose_alg *ret) {
        static const enum jose_alg ours[] = { JOSE_ES256, JOSE_EDDSA };

        for (size_t k = 0; k < ARRAY_SIZE(ours); k++) {
                for (size_t i = 0; i < as->n_dpop_algs; i++) {
                        if (streq(as->dpop_algs[i], jose_alg_name(ours[k]))) {
                                *ret = ours[k];
                                return true;
                        }
                }
        }
        return false;
}

const char *dpop_answer_nonce(const struct fetch_answer *a) {
        const char *nonce =
                a->outcome == FETCH_ANSWERED ? fetch_answer_header(a, "dpop-nonce") : NULL;

        return nonce && dpop_nonce_is_sound(nonce) ? nonce : NULL;
}

/* RFC 9449 9: a resource says it in its challenge. */
static bool challenge_wants_nonce(const struct fetch_answer *a) {
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        AUTO_FREE const char **values = calloc(a->n_headers + 1, sizeof(*values));
        size_t n = 0;

        for (size_t i = 0; values && i < a->n_headers; i++)
                if (strcasecmp(a->headers[i].name, "www-authenticate") == 0)
                        values[n++] = a->headers[i].value;
        return n > 0 && challenge_parse(&c, values, n) == 0 &&
               challenge_judge(&c, a->status) == CHALLENGE_NONCE;
}

/* RFC 9449 8: an authorization server says it in its error. */
static bool error_wants_nonce(const struct fetch_answer *a) {
        AUTO_REMOTE_ERROR struct remote_error said = REMOTE_ERROR_INIT;

        return remote_error_read(&said, &a->body) == 0 && said.code &&
               streq(said.code, "use_dpop_nonce");
}

bool dpop_answer_wants_nonce(const struct fetch_answer *a) {
        /* Without a nonce another attempt would be this one again. */
        if (!dpop_answer_nonce(a) || (a->status != 400 && a->status != 401))
                return false;
        return error_wants_nonce(a) || challenge_wants_nonce(a);
}
