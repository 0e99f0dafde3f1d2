/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authorization request and its response: what is recorded together before a browser is started
 * (A94), the URL for it, and what comes back on the redirect, judged before the code goes anywhere
 * (A113 to A121).
 */
#pragma once

#include "oauth/challenge.h"
#include "oauth/registration.h"

struct authorization {
        char *state;    /* wiped */
        char *verifier; /* wiped */
        char *redirect_uri;
        char *issuer;
        char *resource;
        char *client_id;
        struct scope_set scopes;
        bool no_resource; /* the parameter is left out (A53), here and where the code is redeemed */
        bool iss_supported;
        bool prompt_consent;
        char *acr_values;              /* RFC 9470; NULL: none */
        char *max_age;                 /* RFC 9470; NULL: none */
        char *request_uri;             /* of par_answer(); NULL: not pushed */
        uint64_t request_expires_wall; /* usec: so long may the browser bring it there */
        uint64_t started_wall;         /* usec */
        uint64_t expires_wall;         /* usec */
};

#define AUTHORIZATION_INIT ((struct authorization){ 0 })
#define AUTO_AUTHORIZATION __attribute__((cleanup(authorization_done), unused))

struct authorization_params {
        const struct as_metadata *as;
        const struct registration *registration;
        const char *redirect_uri;
        const char *resource;
        bool no_resource; /* a person wants it left out of the requests */
        const struct scope_set *
                /* of scope_select_login() or _step_up(); empty: no scope parameter (A107) */
                scopes;
        const struct challenge *challenge; /* for acr_values and max_age; NULL: none */
        uint64_t now_wall;                 /* usec */
        uint64_t lifetime_sec;             /* 0, or more than it: LIMIT_LOGIN_SEC */
};

int authorization_begin(struct authorization *a, const struct authorization_params *params,
                        struct error *err) MUST_CHECK;
void authorization_done(struct authorization *a);
int authorization_to_json(const struct authorization *a, json_t **ret)
        MUST_CHECK; /* holds secrets: sealed only */
int authorization_from_json(struct authorization *a, const json_t *value) MUST_CHECK; /* -EBADMSG */

/* What the request says, in form encoding: for the browser's URL, or to be pushed. @client_id is
 * NULL where the client's own proof brings it. */
int authorization_append(struct buf *b, const struct authorization *a, const char *client_id)
        MUST_CHECK;
/* Appends the URL for the browser: the endpoint's own query is kept (A64); https or loopback
 * only (A100). Of a request that was pushed it has the reference only. */
int authorization_url(struct buf *b, const struct authorization *a, const struct as_metadata *as,
                      struct error *err) MUST_CHECK;

enum authorization_result {
        /* not of this login (no or another state): answer it with an error, go on waiting */
        AUTHORIZATION_IGNORED,
        AUTHORIZATION_FAILED, /* the login is over; err says why */
        /* the same, and it was the person or the issuer who said no (access_denied; A163) */
        AUTHORIZATION_REFUSED,
        /* *@ret_code is the code: to this issuer's token endpoint, once (A120, A122) */
        AUTHORIZATION_CODE,
        AUTHORIZATION_RESULT_COUNT,
};
/* @query is what stands behind '?' in the redirect. @ret_code: str_wipe_free(). */
enum authorization_result authorization_response(const struct authorization *a, const char *query,
                                                 uint64_t now_wall, char **ret_code,
                                                 struct error *err) MUST_CHECK;

/* Does a request at the listener belong to this login (A105, A112)? @target is the request
 * target without its query. */
bool authorization_takes(const struct authorization *a, const char *method, const char *target,
                         const char *host);

/* A105: the path of the redirect URI: its own for each issuer ("/callback/<hash>") where we
 * register it ourselves; that of the registered URI, or "/callback", where the list is fixed
 * (client metadata document, pre-registration). @reg may be NULL: dynamic. */
int authorize_redirect_path(const char *issuer, const struct registration *reg, struct buf *b)
        MUST_CHECK;
