/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting and ending the cryptography of a process: libsodium and the one locked slab (secret.h).
 * Called once in each process that needs it, after the last fork: neither locked memory nor the
 * state of a random generator may be shared.
 */
#pragma once

#include "base/error.h"

/*
 * 0, or -errno with @err. That memory could not be locked is no error: ask secret_slab_locked() and
 * say so to the person. Harmless when called again.
 */
int crypto_init(struct error *err) MUST_CHECK;

/* Wipes every secret there is and gives the slab back. All `struct secret` are gone afterwards. */
void crypto_done(void);
