/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes from the kernel's generator, and the same as text. Cannot run dry; a kernel that
 * refuses ends the process.
 */
#pragma once

#include "base/buf.h"

void random_bytes(void *p, size_t len);

#define RANDOM_TEXT_BYTES_MAX 64
/*
 * Appends @n_bytes (at most RANDOM_TEXT_BYTES_MAX) random bytes as base64url. 0, -EINVAL, -ENOMEM,
 * -EMSGSIZE.
 */
int random_text(struct buf *b, size_t n_bytes) MUST_CHECK;
