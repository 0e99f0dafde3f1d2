/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server asks for in WWW-Authenticate (RFC 9110 11.6.1, 6750 3, 9728 5.1), read from all its
 * field lines. Foreign text: garbage never fails, it only yields less. Bearer comes before DPoP,
 * but for a refusal that only another proof can meet (A21); the scheme "MCP" of old servers counts
 * only where neither is there (A40, A42).
 */
#pragma once

#include "oauth/scope.h"

struct challenge {
        bool found; /* a challenge that we can act on is there; all below is empty otherwise */
        bool dpop_offered;
        bool dpop_only;          /* DPoP, and neither Bearer nor MCP */
        char *scheme;            /* "Bearer", "DPoP" or "MCP" */
        char *resource_metadata; /* as sent, not judged yet; NULL: no link */
        struct scope_set scopes;
        bool has_scope;          /* a scope parameter with at least one usable token */
        char *error;             /* cleaned; compare with the RFC's names */
        char *error_description; /* cleaned, LIMIT_FOREIGN_TEXT at most */
        char *acr_values;        /* RFC 9470; cleaned */
        char *max_age;           /* decimal digits only, else NULL */
        size_t n_dropped_scopes; /* for the log */
        size_t n_repeated;       /* parameters that stood twice: the first counts */
        bool cut; /* something malformed or too long: only what stood before it was used */
};

#define CHALLENGE_INIT ((struct challenge){ 0 })
#define AUTO_CHALLENGE __attribute__((cleanup(challenge_done), unused))

/* Fills @c (which must be empty) from the values of all WWW-Authenticate fields of one answer,
 * in order. 0, -ENOMEM. */
int challenge_parse(struct challenge *c, const char *const *field_values, size_t n) MUST_CHECK;
int challenge_copy(struct challenge *dst, const struct challenge *src) MUST_CHECK;
void challenge_done(struct challenge *c);

/* What an HTTP answer of the server means for its client (A8, A9, A18 to A20). */
enum challenge_meaning {
        CHALLENGE_NONE,           /* not about authorization: hand it to the host */
        CHALLENGE_LOGIN,          /* 401: credentials are missing or of no use */
        CHALLENGE_TOKEN_DEAD,     /* 401 invalid_token */
        CHALLENGE_STEP_UP,        /* 403 (or 401) insufficient_scope */
        CHALLENGE_REAUTHENTICATE, /* 401 insufficient_user_authentication (RFC 9470) */
        CHALLENGE_NONCE,          /* 401 use_dpop_nonce: another proof, no login */
        CHALLENGE_OUR_BUG,        /* 400 invalid_request: report it */
        CHALLENGE_MEANING_COUNT,
};
enum challenge_meaning challenge_judge(const struct challenge *c, unsigned status);
