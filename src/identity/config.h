/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which identity, as a person configures it: "k8s", "env:MCP_ID_TOKEN", or
 * "file:path=/run/id/token,format=json,field=/id". The name of a provider, then its options. A
 * first option without a name is the one that the provider is mostly given; a comma in a value is
 * written "\,", a backslash "\\". Policy and configuration name the provider: nothing here looks
 * for one.
 */
#pragma once

#include "base/error.h"

struct identity_option {
        char *name;
        char *value;
};

struct identity_config {
        char *provider; /* as the table of providers has it: "k8s", "k8s:request" */
        struct identity_option *options; /* in the order given; a name may be repeated ("arg") */
        size_t n_options;
};

#define IDENTITY_CONFIG_INIT ((struct identity_config){ 0 })
#define AUTO_IDENTITY_CONFIG __attribute__((cleanup(identity_config_done), unused))

#define IDENTITY_CONFIG_TEXT_MAX 2048
#define IDENTITY_OPTIONS_MAX 64

/* @ret must be empty, and stays so on failure: -EINVAL with BAD_CONFIG, which part is wrong and
 * what would be right; -ENOMEM. */
int identity_config_parse(const char *text, struct identity_config *ret, struct error *err)
        MUST_CHECK;
void identity_config_done(struct identity_config *c);
int identity_config_copy(struct identity_config *dst, const struct identity_config *src) MUST_CHECK;

/* The value of the first option of that name, or NULL. */
const char *identity_config_get(const struct identity_config *c, const char *name);
