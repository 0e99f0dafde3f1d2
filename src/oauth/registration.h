/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's identity at one issuer, and how it comes by one (A66 to A86): entered by the user, a
 * client metadata document, or dynamic registration. Kept by issuer and never shown to another.
 */
#pragma once

#include "oauth/asmeta.h"

enum registration_how {
        REGISTRATION_PREREGISTERED,
        REGISTRATION_METADATA_DOCUMENT,
        REGISTRATION_DYNAMIC,
        REGISTRATION_HOW_COUNT,
};

struct registration {
        char *issuer;
        char *client_id;
        char *client_secret;      /* wiped; NULL: none */
        char *client_key;         /* private, as text: PEM or JWK; wiped; NULL: none */
        char *key_id;             /* what the issuer calls it; NULL: nothing */
        char *signing_alg;        /* NULL: by the key, and by what the issuer takes */
        char *assertion_audience; /* of what the key signs; NULL: the issuer */
        bool plain_typ;           /* what it signs says no type, for issuers that take none */
        enum client_auth auth;
        uint64_t secret_expires_at; /* seconds since the epoch; 0 = never */
        enum registration_how how;
        char *redirect_uri_registered; /* NULL: not known */
        char *access_token;            /* RFC 7592, wiped; NULL: none */
        char *uri;                     /* RFC 7592 */
};

#define REGISTRATION_INIT ((struct registration){ 0 })
#define AUTO_REGISTRATION __attribute__((cleanup(registration_done), unused))

void registration_done(struct registration *r);
int registration_copy(struct registration *dst, const struct registration *src) MUST_CHECK;
int registration_to_json(const struct registration *r, json_t **ret)
        MUST_CHECK; /* holds the secrets */
int registration_from_json(struct registration *r, const json_t *value) MUST_CHECK; /* -EBADMSG */
/* A83: will its secret be dead @now (seconds since the epoch), or within the next minute? */
bool registration_expired(const struct registration *r, uint64_t now_sec);

/* A73: https, with a path, no dot segments, no fragment, no user information. BAD_CONFIG. */
int client_metadata_url_check(const char *url, struct error *err) MUST_CHECK;

struct registration_options {
        const struct registration *
                /* entered by the user; issuer NULL: for whichever issuer comes first */
                preregistered;
        const struct registration
                *stored; /* dynamic, from the store; ignored if of another issuer or expired */
        const char *client_metadata_url; /* NULL: none is configured */
        uint64_t now_sec;
};
enum registration_choice {
        REGISTRATION_USE, /* @reg is filled */
        REGISTRATION_ASK, /* register dynamically: registration_request() */
        REGISTRATION_CHOICE_COUNT,
};
/* A66, A67, A70 to A73. BAD_CONFIG, REGISTRATION_REQUIRED with what to configure. */
int registration_choose(const struct registration_options *options, const struct as_metadata *as,
                        enum registration_choice *ret, struct registration *reg, struct error *err)
        MUST_CHECK;

/* What is asked for; keep it for registration_answer(). */
struct registration_ask {
        const char *redirect_uri; /* NULL with @device */
        bool device;              /* for logins by device code, and those alone */
        const char *client_name;
        const struct scope_set *scopes;   /* NULL: not said */
        const char *initial_access_token; /* A86; NULL: none */
};
int registration_request(struct fetch_request *f, const struct as_metadata *as,
                         const struct registration_ask *ask, struct error *err) MUST_CHECK;

enum registration_failure {
        REGISTRATION_OK,
        /* invalid_redirect_uri: registration_other_redirect() may be worth one try (A85) */
        REGISTRATION_BAD_REDIRECT,
        REGISTRATION_CLOSED, /* 401, 403: an initial access token or a pre-registration is needed */
        REGISTRATION_TRANSIENT, /* not sent, 429, 5xx */
        REGISTRATION_FAILED,
        REGISTRATION_FAILURE_COUNT,
};
/* A81 to A84: what the answer says counts. @ret_failure may be NULL. */
int registration_answer(struct registration *reg, const struct as_metadata *as,
                        const struct registration_ask *ask, const struct fetch_answer *answer,
                        enum registration_failure *ret_failure, struct error *err) MUST_CHECK;
/* The same redirect URI with "localhost" for "127.0.0.1": new string, or NULL if there is no
 * other form. */
int registration_other_redirect(const char *redirect_uri, char **ret) MUST_CHECK;
