/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens that are bound to a key of ours (DPoP, RFC 9449): the key of a grant, which never leaves
 * the broker, and the nonces of those who want one in a proof. Two parties see proofs, and each has
 * nonces of its own: the issuer's token endpoint, and the server.
 */
#pragma once

#include "crypto/shield.h"
#include "oauth/asmeta.h"

struct bound {
        struct shielded key; /* PKCS#8; empty: tokens are not bound */
        char *issuer_nonce;  /* the latest; NULL: none */
        char *server_nonce;
};

void bound_done(struct bound *b);
bool bound_is(const struct bound *b);
/* Another key. */
int bound_new_key(struct bound *b, struct shield *shield) MUST_CHECK;

/* Adds the proof to a request of the token endpoint; nothing if tokens are not bound. */
int bound_add_proof(const struct bound *b, struct shield *shield, struct fetch_request *f)
        MUST_CHECK;
/* What that answer says of nonces is kept. True: the request is to be made once more, with the
 * nonce that came along. */
bool bound_hear_issuer(struct bound *b, const struct fetch_answer *a);
/* A nonce of the server's, as a peer tells it: kept if it is one. */
void bound_hear_server(struct bound *b, const char *nonce);
/* Appends a proof for one request to the server. */
int bound_write_proof(const struct bound *b, struct shield *shield, const char *method,
                      const char *url, const char *token, struct buf *out) MUST_CHECK;

/* The member "dpop_key" of a sealed record: a secret. */
int bound_to_json(const struct bound *b, struct shield *shield, json_t *object) MUST_CHECK;
int bound_from_json(struct bound *b, struct shield *shield, const json_t *object) MUST_CHECK;
