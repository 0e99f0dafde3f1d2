/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a server is logged in to without a person: what its declaration says of that, as it was
 * written. Each is NULL where nothing is said.
 */
#pragma once

#include "base/conf.h"
#include "base/json.h"

#define OWN_SETTINGS_TABLE(X)                                                           \
        X(present, "Present")    /* a name of base/present.h */                         \
        X(identity, "Identity")  /* a provider, with its options */                     \
        X(audience, "Audience")  /* issuer, token-endpoint, literal:TEXT */             \
        X(profile, "Profile")    /* of an issuer that wants it in other words */        \
        X(key_id, "ClientKeyId") /* of ClientKeyFile= */                                \
        X(signing_alg, "SigningAlgorithm")                                              \
        X(idp_token_endpoint, "IdpTokenEndpoint") /* id-jag: the identity provider's */ \
        X(idp_client_id, "IdpClientId")

struct own_settings {
#define X(member, key) char *member;
        OWN_SETTINGS_TABLE(X)
#undef X
};

void own_settings_done(struct own_settings *o);
int own_settings_copy(struct own_settings *dst, const struct own_settings *src) MUST_CHECK;
bool own_settings_any(const struct own_settings *o);
/* Where the key @key= is kept; NULL: it is none of these. */
char **own_settings_member(struct own_settings *o, const char *key);
/* One value, judged by itself. BAD_CONFIG with file and line. */
int own_settings_check(const struct conf_item *item, struct error *err) MUST_CHECK;
