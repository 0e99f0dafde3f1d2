/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How whoever has no person shows at an authorization server who it is: the words of Present= and
 * of policy. What each of them sends is in oauth/present.h.
 */
#pragma once

#include "base/util.h"

#define PRESENT_TABLE(X)                                                                          \
        X(BROWSER, "browser")                       /* a person logs in */                        \
        X(AUTO, "auto")                             /* by what the authorization server offers */ \
        X(CLIENT_CREDENTIALS, "client-credentials") /* RFC 6749 4.4, with a secret */             \
        X(PRIVATE_KEY_JWT, "private-key-jwt")       /* the same, RFC 7523 2.2, with our key */    \
        X(CLIENT_ASSERTION, "client-assertion")     /* the same, with an identity's JWT */        \
        X(JWT_SPIFFE, "jwt-spiffe")                 /* the same, with a JWT-SVID */               \
        X(JWT_BEARER, "jwt-bearer")                 /* RFC 7523 2.1 */                            \
        X(TOKEN_EXCHANGE, "token-exchange")         /* RFC 8693 */                                \
        X(ID_JAG, "id-jag")                         /* SEP-990: by way of an identity provider */ \
        X(MTLS, "mtls")                             /* RFC 8705 */                                \
        X(ATTESTATION, "attestation")

enum present {
#define X(constant, name) PRESENT_##constant,
        PRESENT_TABLE(X)
#undef X
                PRESENT_COUNT,
};

const char *present_name(enum present p);
int present_from_name(const char *name, enum present *ret) MUST_CHECK; /* -ENOENT */
