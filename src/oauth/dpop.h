/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs of possession (RFC 9449): a token is bound to a key of ours, and each request with it, or
 * for it, brings a proof that is good for that one request. Making one costs a signature; the key
 * stays where it is. An authorization server or a resource may want a nonce of its own in the
 * proof, and says so once, in an answer: that is the only reason for a second attempt.
 */
#pragma once

#include "base/buf.h"
#include "jose/key.h"

struct as_metadata;
struct fetch_answer;

struct dpop_proof {
        const struct jose_key *key;
        const char *htm;          /* the method, as sent */
        const char *htu;          /* the URL; query and fragment are cut off here */
        const char *access_token; /* that goes along ("ath"); NULL: none, as at the issuer */
        const char *nonce;        /* that the other side gave out; NULL: none */
        uint64_t now_wall;        /* usec */
};
/* Appends the value of the field "DPoP": each one of its own, never to be used twice. -EINVAL:
 * no method or URL, or a nonce that cannot be one; -ENOMEM, -EMSGSIZE, -EIO. */
int dpop_proof_make(const struct dpop_proof *p, struct buf *out) MUST_CHECK;

/* Does the authorization server say that it takes proofs, and of which of our algorithms? ES256
 * first, else EdDSA. */
bool dpop_alg_wanted(const struct as_metadata *as, enum jose_alg *ret);

/* Can this be a nonce (RFC 9449 8.1), and is it no longer than LIMIT_DPOP_NONCE_BYTES? */
bool dpop_nonce_is_sound(const char *nonce);
/* The nonce that an answer, any answer, gives out for the next proof; borrowed. NULL: none, or one
 * that cannot be one. */
const char *dpop_answer_nonce(const struct fetch_answer *a);
/* The answer refuses for want of a nonce, and brings one: the same request may be sent once more,
 * with a new proof. */
bool dpop_answer_wants_nonce(const struct fetch_answer *a);
