/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pushed authorization requests (RFC 9126): what the browser would carry goes to the issuer
 * directly, with the client's own proof; the browser brings a reference to it, good for once and
 * not for long. Used where it is offered. Where it is only offered and fails, nothing is lost with
 * the other way: what the browser carries is checked all the same (state, PKCE, iss).
 */
#pragma once

#include "oauth/token.h"

bool par_wanted(const struct as_metadata *as); /* required (A108), or offered */

/* Between authorization_begin() and authorization_url(). INTERNAL: of another issuer. */
int par_request(struct fetch_request *f, const struct authorization *a,
                const struct registration *reg, const struct as_metadata *as, struct error *err)
        MUST_CHECK;
/* 0: @a has its request_uri, and authorization_url() says that. Else -errno, @err for people,
 * @fault (may be NULL) for what comes next: it may be pushed again if it was not sent, or the
 * failure is transient, for nothing depends on a request that no browser brought. */
int par_answer(struct authorization *a, const struct as_metadata *as,
               const struct fetch_answer *answer, uint64_t now_wall, struct token_fault *fault,
               struct error *err) MUST_CHECK;
