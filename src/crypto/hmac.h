/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HMAC-SHA256 (RFC 2104) under a key of any length, because standards of others ask for it. What
 * is ours is hashed under a key by hash.h.
 */
#pragma once

#include "base/util.h"

#define HMAC_BYTES 32

/* @out may be the key itself (a key that is derived in steps). @key and @data may be NULL where
 * their length is 0. */
void hmac_sha256(uint8_t out[static HMAC_BYTES], const void *key, size_t n_key, const void *data,
                 size_t len);
