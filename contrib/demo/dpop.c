/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs are judged as RFC 9449 4.3 lists it. A proof is for one request: its jti is good once.
 */
#include "dpop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "as.h"
#include "assertion.h"
#include "jwt.h"
#include "metadata.h"

#define AGE_MAX_SEC 300.0

/* What a proof has to be for. */
struct request_facts {
        const char *origin;
        const char *nonce; /* NULL: none is asked for */
        const char *token; /* NULL: no access token goes with it */
};

const char *dpop_token(const struct request *r) {
        const char *header = request_header(r, "Authorization");

        return header && strncasecmp(header, "DPoP ", 5) == 0 ? header + 5 : NULL;
}

/* "" if there are several, which is no proof either. */
static char *proof_text(const struct request *r) {
        json_t *headers = request_headers_json(r);
        const char *value = json_string_value(json_object_get(headers, "dpop"));
        char *text = value && strchr(value, '\n') ? mem_string("") : mem_string(value);

        json_decref(headers);
        return text;
}

static bool same(const char *a, const char *b) {
        return a && b && strcmp(a, b) == 0;
}

static const char *claims_fault(const struct exchange *x, const struct jwt *j,
                                const struct request_facts *facts) {
        const json_t *iat = json_object_get(j->claims, "iat");
        char *url = mem_printf("%s%s", facts->origin, x->request->path);
        char *hash = facts->token ? sha256_base64url(facts->token) : NULL;
        const char *why = NULL;

        if (strcmp(jwt_type(j), "dpop+jwt") != 0)
                why = "its typ is not dpop+jwt";
        else if (!same(jwt_claim(j, "htm"), x->request->method))
                why = "htm is not the method";
        else if (!same(jwt_claim(j, "htu"), url))
                why = "htu is not the URL without its query";
        else if (!json_is_number(iat) ||
                 fabs(json_number_value(iat) - (double)clock_epoch()) > AGE_MAX_SEC)
                why = "iat is not now";
        else if (hash && !same(jwt_claim(j, "ath"), hash))
                why = "ath is not the hash of the token";
        free(url);
        free(hash);
        return why;
}

/* The error code of what is wrong with it, or NULL and the thumbprint of its key. */
static const char *judge(struct exchange *x, const struct jwt *j, const struct request_facts *facts,
                         char **ret_jkt, const char **ret_why) {
        const json_t *jwk = json_object_get(j->header, "jwk");
        char *jkt = jwk_thumbprint(jwk);

        *ret_why = claims_fault(x, j, facts);
        if (!*ret_why && !jkt)
                *ret_why = "jwk is not a public key, or more than that";
        else if (!*ret_why && !jwt_verify(j, jwk))
                *ret_why = "its key did not make its signature";
        if (!*ret_why && facts->nonce && !same(jwt_claim(j, "nonce"), facts->nonce)) {
                *ret_why = "a nonce of this server is needed";
                free(jkt);
                return "use_dpop_nonce";
        }
        if (!*ret_why && !assertion_first_time(x, j, jkt))
                *ret_why = "its jti is missing, or was used before";
        if (!*ret_why) {
                *ret_jkt = jkt;
                return NULL;
        }
        free(jkt);
        return "invalid_dpop_proof";
}

static const char *take_proof(struct exchange *x, const struct request_facts *facts, char **ret_jkt,
                              const char **ret_why) {
        char *text = proof_text(x->request);
        const char *error = "invalid_dpop_proof";
        struct jwt j;

        *ret_jkt = NULL;
        *ret_why = text ? "the proof is not one JWT" : "there is no proof";
        if (text && jwt_parse(&j, text)) {
                error = judge(x, &j, facts, ret_jkt, ret_why);
                jwt_done(&j);
        }
        free(text);
        journal_count(x->demo->journal, error ? COUNT_DPOP_REFUSED : COUNT_DPOP_PROOFS);
        return error;
}

bool dpop_judge(struct exchange *x, bool needed) {
        const struct options *o = &x->demo->options;
        struct request_facts facts = { .origin = x->at->origin };
        const char *why;
        const char *error;

        if (o->dpop == DPOP_OFF)
                return true;
        if (o->dpop_nonce) {
                facts.nonce = x->at->nonce;
                reply_header(x->request, "DPoP-Nonce", "%s", x->at->nonce);
        }
        if (!request_header(x->request, "DPoP") && !needed)
                return true;
        error = take_proof(x, &facts, &x->jkt, &why);
        if (error)
                as_error(x, 400, error, why);
        return !error;
}

const char *dpop_guard(struct exchange *x, const struct access_token *token, const char *text,
                       const char **ret_description) {
        struct demo *d = x->demo;
        bool with_proof = dpop_token(x->request) != NULL;
        struct request_facts facts = { .origin = d->mcp_origin, .token = text };
        const char *error;

        if (d->options.dpop_nonce) {
                facts.nonce = d->nonce;
                reply_header(x->request, "DPoP-Nonce", "%s", d->nonce);
        }
        *ret_description = "this token needs a proof of its key";
        if (!with_proof && token->jkt)
                return "invalid_token";
        *ret_description = "this token is bound to no key";
        if (!token->jkt)
                return with_proof || d->options.dpop == DPOP_REQUIRED ? "invalid_token" : NULL;
        error = take_proof(x, &facts, &x->jkt, ret_description);
        if (error || strcmp(x->jkt, token->jkt) == 0)
                return error;
        *ret_description = "the token is bound to another key";
        return "invalid_token";
}

void dpop_metadata(const struct demo *d, json_t *doc, bool of_resource) {
        if (d->options.dpop == DPOP_OFF)
                return;
        metadata_words(doc, "dpop_signing_alg_values_supported", JWT_ALGORITHMS);
        if (of_resource && d->options.dpop == DPOP_REQUIRED)
                json_object_set_new(doc, "dpop_bound_access_tokens_required", json_true());
}
