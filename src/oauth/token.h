/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token endpoint: the two requests that we make there, and its answer. Tokens are opaque
 * (A136), and no text from there reaches a person uncleaned or with something in it that looks like
 * a secret (A138).
 */
#pragma once

#include "oauth/authorize.h"
#include "oauth/remote.h"

/* A126: redeems a code; once. @reg and @as must be of the authorization's issuer (INTERNAL). */
int token_request_code(struct fetch_request *f, const struct authorization *a,
                       const struct registration *reg, const struct as_metadata *as,
                       const char *code, struct error *err) MUST_CHECK;

struct token_refresh {
        const char *refresh_token;
        const char *resource;            /* NULL: left out (A53) */
        const struct scope_set *granted; /* NULL: not known, then nothing can be narrowed */
        const struct scope_set *narrow;  /* NULL: no scope parameter, all that was granted */
};
/* A142, A143: BAD_REQUEST if @narrow is not within @granted. */
int token_request_refresh(struct fetch_request *f, const struct token_refresh *refresh,
                          const struct registration *reg, const struct as_metadata *as,
                          struct error *err) MUST_CHECK;

struct token_reply {
        struct buf access_token;
        char *token_type;        /* "Bearer"; of token_answer_dpop() perhaps "DPoP" */
        char *issued_token_type; /* RFC 8693; NULL: not said */
        bool expires_known;
        uint64_t expires_in;      /* seconds */
        struct buf refresh_token; /* empty: none */
        bool has_scope;           /* false: as requested (A134) */
        struct scope_set scopes;
};
#define TOKEN_REPLY_INIT ((struct token_reply){ 0 })
#define AUTO_TOKEN_REPLY __attribute__((cleanup(token_reply_done), unused))
void token_reply_done(struct token_reply *r);

enum token_error {
        TOKEN_OK,
        TOKEN_INVALID_GRANT,
        TOKEN_INVALID_CLIENT,
        TOKEN_INVALID_SCOPE,
        TOKEN_INVALID_TARGET,
        TOKEN_UNAUTHORIZED_CLIENT,
        TOKEN_TRANSIENT,      /* 408, 429, 5xx, temporarily_unavailable: it may work later */
        TOKEN_USE_DPOP_NONCE, /* a proof is wanted, or one with the nonce that came along */
        TOKEN_NOT_SENT,       /* nothing left us: may be repeated, a code too */
        TOKEN_IN_DOUBT, /* sent; no answer, or a 200 that cannot be read: perhaps acted upon */
        TOKEN_OTHER,
        TOKEN_ERROR_COUNT,
};
struct token_fault {
        enum token_error what;
        uint64_t retry_after_sec; /* 0: not said */
};
/* 0 and @reply filled; else -errno, @err for people, @fault (may be NULL) for what comes next. */
int token_answer(struct token_reply *reply, const struct as_metadata *as,
                 const struct fetch_answer *answer, struct token_fault *fault, struct error *err)
        MUST_CHECK;
/* The same where the request carried a DPoP proof (RFC 9449): a token that is bound to its key is
 * taken too. Whether one that is not will do, is for the caller to say. */
int token_answer_dpop(struct token_reply *reply, const struct as_metadata *as,
                      const struct fetch_answer *answer, struct token_fault *fault,
                      struct error *err) MUST_CHECK;

/* The first half of it, for every endpoint where a client proves itself: what is no success is
 * judged, and what is one was read. The rest are the words of the errors. */
struct token_asked {
        struct remote from;
        const char *who;  /* "authorization server" */
        const char *name; /* its issuer, or URL */
        const char *what; /* "token": then it is a token request, and a token answer */
        bool dpop;        /* the request carried a proof */
        bool created;     /* 201 is a success too */
};
int token_answer_read(const struct token_asked *asked, const struct fetch_answer *answer,
                      json_t **ret, struct token_fault *fault, struct error *err) MUST_CHECK;
/* Returns -errno: what was read lacks something, or says it wrongly. */
int token_answer_unusable(const struct token_asked *asked, const char *what, struct error *err);
/* A133: expires_in in seconds, bounded; false: not said, or in a way that says nothing. */
bool token_answer_expiry(const json_t *json, uint64_t *ret_sec);
/* Fit for a header field; nothing more is asked of a token (A136). */
bool token_is_sound(const char *token);

const char *token_error_name(enum token_error e);

/* A137: may a request of this grant be repeated after this error? Never a code that was sent. */
bool token_error_repeatable(enum token_error e, bool is_code);
/* A88: does this error, met in a login, cost the registration? Only a dynamic one, and only once
 * a login. */
bool token_error_ends_registration(enum token_error e, const struct registration *reg,
                                   bool in_login, unsigned n_registered_anew);
