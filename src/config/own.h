/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a server is logged in to without a person: what its declaration, or whoever added it, says of
 * that, as it was given. Each is NULL where nothing is said. What both may say is judged here.
 */
#pragma once

#include "base/conf.h"
#include "base/json.h"

/* The member, the key of a file, the parameter of server.add. */
#define OWN_SETTINGS_TABLE(X)                                                                \
        X(present, "Present", "present")          /* a name of base/present.h */             \
        X(identity, "Identity", "identity")       /* a provider, with its options */         \
        X(audience, "Audience", "audience")       /* issuer, token-endpoint, literal:TEXT */ \
        X(profile, "Profile", "profile")          /* of an issuer that wants other words */  \
        X(key_id, "ClientKeyId", "client_key_id") /* of the client's key */                  \
        X(signing_alg, "SigningAlgorithm", "signing_alg")                                    \
        X(idp_token_endpoint, "IdpTokenEndpoint", "idp_token_endpoint") /* id-jag */         \
        X(idp_client_id, "IdpClientId", "idp_client_id")                                     \
        X(extra, "Extra", "extra") /* Extra.NAME=: all of them, as JSON; sent along */

struct own_settings {
#define X(member, key, param) char *member;
        OWN_SETTINGS_TABLE(X)
#undef X
};

enum own_setting {
#define X(member, key, param) OWN_##member,
        OWN_SETTINGS_TABLE(X)
#undef X
                OWN_SETTINGS_COUNT,
};

/* In whose words a fault is told: "ClientKeyId=" of a file (BAD_CONFIG), or "--client-key-id" of
 * mcp-add (BAD_PARAMS). */
enum own_words { OWN_WORDS_FILE, OWN_WORDS_OPTION };

void own_settings_done(struct own_settings *o);
int own_settings_copy(struct own_settings *dst, const struct own_settings *src) MUST_CHECK;
bool own_settings_any(const struct own_settings *o);
char **own_settings_at(struct own_settings *o, enum own_setting which);
const char *own_settings_param(enum own_setting which);
/* Which one the key @key= is; OWN_SETTINGS_COUNT: none of them, nor is "Extra" alone. */
enum own_setting own_settings_find(const char *key);

/* One value, judged by itself. */
int own_settings_check(enum own_setting which, const char *value, enum own_words words,
                       struct error *err) MUST_CHECK;
/* Adds to *@extra what is sent along as @name; each stands there once. */
int own_settings_add_extra(char **extra, const char *name, const char *value, enum own_words words,
                           struct error *err) MUST_CHECK;

/* What is known of the client beside the settings. */
struct own_client {
        bool id;
        bool secret;
        bool key;
};
/* What one says of another, and whether all is there; an identity alone is to be presented. */
int own_settings_judge(struct own_settings *o, const struct own_client *client,
                       enum own_words words, struct error *err) MUST_CHECK;

/* By the names of the parameters; extra is an object. Into @value, and from it: what is not there,
 * or is none of ours, leaves NULL. */
int own_settings_to_json(const struct own_settings *o, json_t *value) MUST_CHECK;
int own_settings_from_json(struct own_settings *o, const json_t *value) MUST_CHECK;
