/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures that others can check without our secrets: Ed25519 (RFC 8032), for statements about
 * our own records. What the JOSE standards ask for is elsewhere.
 */
#pragma once

#include "crypto/secret.h"

#define SIGN_SEED_BYTES 32
#define SIGN_PUBLIC_BYTES 32
#define SIGNATURE_BYTES 64

/* A key made of its seed. NULL: the slab is full. */
struct secret *sign_key_new(const uint8_t seed[static SIGN_SEED_BYTES]) MUST_CHECK;
/* The seed, borrowed from the key: secret. */
const uint8_t *sign_key_seed(const struct secret *key);
void sign_key_public(const struct secret *key, uint8_t out[static SIGN_PUBLIC_BYTES]);

void sign(uint8_t signature[static SIGNATURE_BYTES], const struct secret *key, const void *data,
          size_t len);
bool sign_verify(const uint8_t signature[static SIGNATURE_BYTES],
                 const uint8_t public_key[static SIGN_PUBLIC_BYTES], const void *data, size_t len);
