/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the authorization server has given out. A family is one grant: the code that began it, every
 * refresh token in its chain, and all access tokens made from them; it is revoked as a whole.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct tokens;

struct family {
        char *client_id;
        char *subject; /* who it is, where that is not the person who consented; else NULL */
        json_t *act;   /* who acts for the subject (RFC 8693 4.1), or NULL */
        char *scope;
        char *resource;
        char *jkt; /* the key that refresh tokens need; NULL: none */
        bool revoked;
};

struct code {
        char *client_id;
        char *redirect_uri;
        char *scope;
        char *resource;
        char *challenge; /* S256 */
        char *nonce;     /* for the ID token; NULL: none */
        char *jkt;       /* the key its redemption needs; NULL: any or none */
        uint64_t expires_msec;
        struct family *family; /* once it was redeemed */
        bool used;
};

struct refresh_token {
        struct family *family;
        bool used; /* rotated away: seeing it again is theft */
        bool revoked;
};

struct access_token {
        struct family *family;
        char *scope;
        char *jkt; /* the key it is bound to, or NULL */
        uint64_t expires_msec;
        uint64_t serial;
        bool revoked;
};

struct tokens *tokens_new(void);
struct tokens *tokens_free(struct tokens *t);

/* Takes the members of *code. The name of the new code, the caller's; NULL: too many. */
char *tokens_add_code(struct tokens *t, const struct code *code)
        __attribute__((warn_unused_result));
struct family *tokens_add_family(struct tokens *t, const char *client_id, const char *scope,
                                 const char *resource);
char *tokens_add_refresh(struct tokens *t, struct family *family)
        __attribute__((warn_unused_result));
char *tokens_add_access(struct tokens *t, struct family *family, const char *scope, const char *jkt,
                        uint64_t ttl_msec) __attribute__((warn_unused_result));

struct code *tokens_code(struct tokens *t, const char *name);
struct refresh_token *tokens_refresh(struct tokens *t, const char *name);
struct access_token *tokens_access(struct tokens *t, const char *name);

bool access_token_alive(const struct tokens *t, const struct access_token *a);
/* All access tokens issued until now are dead at the resource server. */
void tokens_expire_access(struct tokens *t);
void tokens_expire_refresh(struct tokens *t);
unsigned tokens_revoke_all(struct tokens *t); /* how many families that were */
