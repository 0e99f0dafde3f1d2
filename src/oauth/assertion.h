/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client signs with a key of its own to prove itself: the assertion of private_key_jwt (RFC
 * 7523 2.2), and the proof that goes with an attestation. Each is made for one request at one
 * issuer, is good for a minute, and is never kept.
 */
#pragma once

#include "oauth/registration.h"

#define ASSERTION_SEC 60

/* @reg has a client_key. The audience is one alone, the issuer unless the registration names
 * another: with two, who gets it could use it at the other (A176 to A179). BAD_CONFIG: the key or
 * its algorithm; UNSUPPORTED: the issuer takes no algorithm of this key. */
int assertion_make(const struct registration *reg, const struct as_metadata *as, uint64_t now_wall,
                   struct buf *out, struct error *err) MUST_CHECK;
/* By the key that an attestation names. @challenge may be NULL. */
int assertion_attest(const struct registration *reg, const struct as_metadata *as,
                     const char *challenge, uint64_t now_wall, struct buf *out, struct error *err)
        MUST_CHECK;
