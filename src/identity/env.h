/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment variables that identity providers look at: those of the daemon itself, taken once
 * when it starts. Never an agent's: an agent's environment could name an endpoint of its own. Some
 * are secrets, so all of them are wiped.
 */
#pragma once

#include "base/json.h"

struct identity_variable {
        char *name;
        char *value;
};

struct identity_env {
        struct identity_variable *items;
        size_t n;
};

#define IDENTITY_ENV_INIT ((struct identity_env){ 0 })
#define AUTO_IDENTITY_ENV __attribute__((cleanup(identity_env_done), unused))
#define IDENTITY_ENV_MAX 96
#define IDENTITY_ENV_BYTES ((size_t)64 * 1024)

/*
 * Takes the variables of the one table, and those whose value is a JSON Web Token, whatever their
 * name ("env:NAME" is for these). What is no clean UTF-8, or beyond the bounds, is left out. @ret
 * must be empty. -ENOMEM.
 */
int identity_env_take(char *const *environment, struct identity_env *ret) MUST_CHECK;
void identity_env_done(struct identity_env *env); /* wipes */

/* NULL: not set, or empty. */
const char *identity_env_get(const struct identity_env *env, const char *name);

/* Is it a JSON Web Token, and of no name of the table? */
bool identity_env_is_token(const struct identity_variable *v);

/* An object of strings. From it: -EBADMSG if it is none. */
int identity_env_to_json(const struct identity_env *env, json_t **ret) MUST_CHECK;
int identity_env_from_json(json_t *json, struct identity_env *ret) MUST_CHECK;

/* Overwrites, in @environment itself, the values that are secrets: for a process that has taken
 * them, and starts no program that would need them. */
void identity_env_scrub(char **environment);
