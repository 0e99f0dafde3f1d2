/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device authorization (RFC 8628): a person reads a code here and types it into a browser anywhere,
 * and we ask at the token endpoint until they have done so. Who wants to be sure that it is no
 * stranger's login compares the code; so it is shown even where a link carries it.
 */
#pragma once

#include "oauth/token.h"

struct device_login {
        char *device_code; /* wiped */
        char *user_code;
        char *verification_uri;
        char *verification_uri_complete; /* NULL: none */
        char *issuer;
        char *client_id;
        char *resource; /* NULL: left out */
        struct scope_set scopes;
        bool dpop;             /* the polls carry a proof */
        unsigned interval_sec; /* between two polls */
        uint64_t next_wall;    /* usec: no poll before */
        uint64_t started_wall; /* usec */
        uint64_t expires_wall; /* usec */
};

#define DEVICE_LOGIN_INIT ((struct device_login){ 0 })
#define AUTO_DEVICE_LOGIN __attribute__((cleanup(device_login_done), unused))

void device_login_done(struct device_login *d);
int device_login_to_json(const struct device_login *d, json_t **ret)
        MUST_CHECK; /* holds a secret: sealed only */
int device_login_from_json(struct device_login *d, const json_t *value) MUST_CHECK; /* -EBADMSG */

struct device_params {
        const struct as_metadata *as;
        const struct registration *registration;
        const char *resource;           /* NULL: left out */
        const struct scope_set *scopes; /* NULL, or empty: no scope parameter */
        bool dpop;
        uint64_t now_wall; /* usec */
};
/* UNSUPPORTED: the issuer has no such endpoint. */
int device_request(struct fetch_request *f, const struct device_params *p, struct error *err)
        MUST_CHECK;
/* 0: @d is filled, and the person can be told. @fault may be NULL. */
int device_answer(struct device_login *d, const struct device_params *p,
                  const struct fetch_answer *answer, struct token_fault *fault, struct error *err)
        MUST_CHECK;

/* Not before d->next_wall. INTERNAL: of another issuer or client. TIMEOUT: nobody came. */
int device_poll_request(struct fetch_request *f, const struct device_login *d,
                        const struct registration *reg, const struct as_metadata *as,
                        uint64_t now_wall, struct error *err) MUST_CHECK;

enum device_next {
        DEVICE_WAIT,    /* poll again at d->next_wall */
        DEVICE_GRANTED, /* @reply is filled */
        DEVICE_REFUSED, /* the person, or the issuer, said no */
        DEVICE_EXPIRED, /* nobody came in time */
        DEVICE_FAILED,
        DEVICE_NEXT_COUNT,
};
/* @err says why it is over. */
enum device_next device_poll_answer(struct device_login *d, const struct as_metadata *as,
                                    const struct fetch_answer *answer, uint64_t now_wall,
                                    struct token_reply *reply, struct error *err) MUST_CHECK;
