/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token revocation (RFC 7009). Local data is deleted whatever comes of it (A152).
 */
#pragma once

#include "oauth/registration.h"

enum revoke_kind {
        REVOKE_REFRESH_TOKEN, /* this one first */
        REVOKE_ACCESS_TOKEN,
        REVOKE_KIND_COUNT,
};
/* -EOPNOTSUPP (UNSUPPORTED) if the issuer has no revocation endpoint. */
int revoke_request(struct fetch_request *f, const struct registration *reg,
                   const struct as_metadata *as, enum revoke_kind kind, const char *token,
                   struct error *err) MUST_CHECK;

enum revoke_outcome {
        REVOKE_DONE, /* 200, also for a token that the issuer does not know */
        /* 503, 429, not sent or no answer: the token may live on; repeat after *@ret_retry_sec */
        REVOKE_LATER,
        REVOKE_OTHER,  /* unsupported_token_type: go on with the other token */
        REVOKE_FAILED, /* will not work */
        REVOKE_OUTCOME_COUNT,
};
/* @err says what a person should know unless DONE. @ret_retry_sec: 0 = not said. */
enum revoke_outcome revoke_answer(const struct as_metadata *as, const struct fetch_answer *answer,
                                  uint64_t *ret_retry_sec, struct error *err) MUST_CHECK;
