/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proof key for code exchange (RFC 7636), method S256 only.
 */
#pragma once

#include "base/buf.h"

/* Appends a fresh verifier: 256 random bits, 43 characters. */
int pkce_verifier(struct buf *b) MUST_CHECK;
/*
 * Appends BASE64URL(SHA256(verifier)). -EINVAL if @verifier is not 43 to 128 unreserved characters.
 */
int pkce_challenge(struct buf *b, const char *verifier) MUST_CHECK;
