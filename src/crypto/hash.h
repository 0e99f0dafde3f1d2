/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes: BLAKE2b for what is ours (plain and keyed), SHA-256 for what a standard asks for, and the
 * one comparison that does not tell by its time where two values differ.
 */
#pragma once

#include "base/util.h"

#define HASH_BYTES 32
#define HASH_SHORT_BYTES 16
#define HASH_KEY_BYTES 32

/* BLAKE2b-256. @data may be NULL if @len is 0. @out may be the key itself (a key that evolves). */
void hash_keyed(uint8_t out[static HASH_BYTES], const uint8_t key[static HASH_KEY_BYTES],
                const void *data, size_t len);
/* BLAKE2b-128 under a key: not the beginning of the above, a function of its own. */
void hash_keyed_short(uint8_t out[static HASH_SHORT_BYTES],
                      const uint8_t key[static HASH_KEY_BYTES], const void *data, size_t len);
void hash_plain(uint8_t out[static HASH_BYTES], const void *data, size_t len);

#define SHA256_BYTES 32
void sha256(uint8_t out[static SHA256_BYTES], const void *data, size_t len);

/* Constant time in the contents. */
bool secret_equal(const void *a, const void *b, size_t len);
