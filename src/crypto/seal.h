/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authenticated encryption: XChaCha20-Poly1305 with a random 192-bit nonce, so that no counter has
 * to survive a crash. A sealed text is nonce (24), ciphertext (as long as the plain text), tag
 * (16).
 */
#pragma once

#include "base/buf.h"
#include "crypto/secret.h"

#define SEAL_NONCE_BYTES 24
#define SEAL_TAG_BYTES 16
#define SEAL_OVERHEAD (SEAL_NONCE_BYTES + SEAL_TAG_BYTES)

/*
 * Both append to @out, which is as it was after a failure. @key has SECRET_KEY_BYTES. -ENOMEM,
 * -EMSGSIZE.
 */
int seal(struct buf *out, const struct secret *key, const void *ad, size_t n_ad, const void *plain,
         size_t n) MUST_CHECK;
/* Also -EBADMSG: another key, other associated data, or one bit changed. */
int unseal(struct buf *out, const struct secret *key, const void *ad, size_t n_ad,
           const void *sealed, size_t n) MUST_CHECK;
