/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an identity is shown at a token endpoint: one identity, one presentation, one attempt. After
 * a refusal nothing else is tried, for each try would make a good assertion for somebody, and turn
 * a plain no into an oracle. What is made or shown here is for one issuer, and no agent sees it.
 */
#pragma once

#include "base/present.h"
#include "oauth/idjag.h"
#include "oauth/profile.h"
#include "oauth/token.h"

/* What the configuration gives. */
struct present_have {
        bool secret; /* of the client */
        bool key;    /* of the client */
        bool jwt;    /* the identity is a JWT */
        bool spiffe; /* and of SPIFFE */
        bool x509;   /* the identity is a certificate with its key */
        bool idp;    /* an identity provider makes of the JWT what the issuer takes (SEP-990) */
};
/* What is named is taken, whatever the metadata says; PRESENT_AUTO: the first that both have.
 * BAD_CONFIG: what is named lacks something; UNSUPPORTED: nothing fits, and what is offered. */
int present_choose(enum present wanted, const struct present_have *have,
                   const struct as_metadata *as, enum present *ret, struct error *err) MUST_CHECK;

/* Audience=: "issuer", "token-endpoint" or "literal:TEXT"; NULL is the first. BAD_CONFIG. */
int present_audience_check(const char *setting, struct error *err) MUST_CHECK;
/* The one audience of whatever is made for this issuer. A new string; -ENOMEM, -ENOENT: the
 * metadata has no token endpoint, -EINVAL: such a setting was not checked. */
int present_audience(const char *setting, const struct as_metadata *as, char **ret) MUST_CHECK;

/* What is sent along: nothing that the standard has, and all that the profile wants. Both may be
 * NULL. BAD_CONFIG. */
int present_extra_check(const struct present_profile *profile, const json_t *extra,
                        struct error *err) MUST_CHECK;

struct present_params {
        enum present how; /* chosen: neither browser nor auto */
        const struct as_metadata *as;
        /* Its client_id may be NULL where no client is known there. NULL: the same. */
        const struct registration *registration;
        const char *assertion; /* the identity's JWT; of id-jag, what the identity provider gave */
        const char *assertion_token_type; /* token exchange; NULL: ...:jwt */
        const char *actor_token;      /* token exchange: who acts for the subject; NULL: nobody */
        const char *actor_token_type; /* NULL: ...:jwt */
        const char *audience; /* of present_audience(), for what our own key signs; NULL: as the
                                    registration says */
        const char *resource; /* NULL: left out */
        const struct scope_set *scopes;        /* NULL, or empty: no scope parameter */
        const struct present_profile *profile; /* NULL: none */
        const json_t *extra;                   /* names and texts, sent along; NULL: none */
        const char *attestation;
        const char *attestation_challenge; /* NULL: none was given */
        const struct buf *cert_pem;        /* mtls: the identity's chain, leaf first, and its key */
        const struct buf *key_pem;
        bool dpop;         /* the caller adds a proof: a token that is bound to its key is taken */
        uint64_t now_wall; /* usec */
};
/* BAD_CONFIG: the configuration lacks something, or contradicts itself; IDENTITY_FAILED: the
 * identity has expired. On any failure nothing of the request is left. */
int present_request(struct fetch_request *f, const struct present_params *p, struct error *err)
        MUST_CHECK;
/* As token_answer(); the errors say what to do where nobody logs in. What is no access token is
 * refused, and a refresh token dropped, which *@ret_dropped tells: we can always ask again (A151).
 * @ret_dropped and @fault may be NULL. */
int present_answer(struct token_reply *reply, const struct present_params *p,
                   const struct fetch_answer *answer, bool *ret_dropped, struct token_fault *fault,
                   struct error *err) MUST_CHECK;

/* Attestation-based client authentication: the challenge that came with an answer, if it is one,
 * or NULL; and whether the answer asks for the one other attempt that there may be. */
const char *present_answer_challenge(const struct fetch_answer *answer);
bool present_answer_wants_challenge(const struct fetch_answer *answer);
/* Where the metadata has an endpoint for it, a challenge is got there beforehand. A new string. */
int present_challenge_request(struct fetch_request *f, const struct as_metadata *as,
                              struct error *err) MUST_CHECK;
int present_challenge_answer(char **ret, const struct as_metadata *as,
                             const struct fetch_answer *answer, struct error *err) MUST_CHECK;
