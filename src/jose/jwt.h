/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the tokens that infrastructure gives us. Not verified: the keys are not ours to know, and
 * whoever the token is shown to will verify it. What is read here is good for choosing and for
 * refusing early, never for granting anything.
 */
#pragma once

#include "base/json.h"

/*
 * The header and claims of a signed JWT in compact serialization; each ret may be NULL. -EBADMSG:
 * it is none: more than LIMIT_JWT_BYTES, any character but base64url and two dots (a line feed at
 * the end is one), no objects, duplicate keys, nested too deeply, no "alg", no signature. -ENOMEM.
 */
int jwt_read(const char *token, size_t len, json_t **ret_header, json_t **ret_claims) MUST_CHECK;

/*
 * The NumericDate @name ("exp", "iat", "nbf") in whole seconds; a fraction is cut off. -ENOENT: it
 * is not there; -EBADMSG: no number, or not between 1970 and the year 9999.
 */
int jwt_date(const json_t *claims, const char *name, uint64_t *ret_sec) MUST_CHECK;
