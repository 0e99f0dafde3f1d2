/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing (RFC 7515): a header and claims become one JWS in compact serialization.
 */
#pragma once

#include "jose/key.h"

/*
 * Appends the JWS. "alg" is set in a copy of @header (which may be NULL); whatever stood there does
 * not count. -EINVAL: this key cannot do that. -ENOMEM, -EMSGSIZE, -EIO; then nothing is appended.
 */
int jws_sign(const struct jose_key *k, enum jose_alg a, const json_t *header, const json_t *claims,
             struct buf *out) MUST_CHECK;
