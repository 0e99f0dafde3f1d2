/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key at rest in memory: one slot of a single locked, guarded slab that never reaches swap or a
 * core dump. The slab is the one process-wide object of this folder, because the limit on locked
 * memory is per process; a slab that is full is an error, never a reason to use ordinary memory.
 * For keys only: tokens are shielded (shield.h), bytes in flight are a struct buf.
 */
#pragma once

#include "base/util.h"

#define SECRET_KEY_BYTES 32
#define SECRET_BYTES_MAX 64
/*
 * 48 KiB: with the guard it still fits the smallest limit on locked memory that is met in practice,
 * 64 KiB.
 */
#define SECRET_SLOTS 768

struct secret;

/*
 * @size: 1 to SECRET_BYTES_MAX zeroed bytes. NULL: the slab is full, or crypto_init() was not
 * called.
 */
struct secret *secret_new(size_t size) MUST_CHECK;
struct secret *secret_new_random(size_t size) MUST_CHECK;
struct secret *secret_new_from(const void *data, size_t size)
        MUST_CHECK;                           /* copies; the caller wipes its own */
struct secret *secret_free(struct secret *s); /* wipes; takes NULL; returns NULL */

uint8_t *secret_data(struct secret *s);
const uint8_t *secret_peek(const struct secret *s);
size_t secret_size(const struct secret *s);

/* Did the kernel lock the slab? False also before crypto_init(). */
bool secret_slab_locked(void);
size_t secret_slab_used(void); /* slots in use */

DEFINE_CLEANUP(struct secret *, secret, secret_free)
#define AUTO_SECRET __attribute__((cleanup(cleanup_secret), unused))
