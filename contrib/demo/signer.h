/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signing key of our own, made at the start and never written down: ES256.
 */
#pragma once

#include <jansson.h>

struct signer;

struct signer *signer_new(void);
struct signer *signer_free(struct signer *s);
json_t *signer_jwks(const struct signer *s) __attribute__((warn_unused_result));
/* A JWT; takes the claims. */
char *signer_make(const struct signer *s, const char *type, json_t *claims)
        __attribute__((warn_unused_result));
