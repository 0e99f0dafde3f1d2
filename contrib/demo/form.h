/* SPDX-License-Identifier: Apache-2.0 */
/*
 * application/x-www-form-urlencoded, read and written, and the little that is needed of URLs.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base.h"

#define FORM_PARAMS_MAX 64U

struct form_param {
        char *name;
        char *value;
};

struct form {
        struct form_param params[FORM_PARAMS_MAX];
        size_t n;
        bool bad; /* a broken escape, a NUL, or too many parameters */
};

struct url {
        char scheme[16];
        char host[256];   /* with the brackets of an IPv6 literal */
        char port[8];     /* may be empty */
        const char *rest; /* path, query and fragment, inside the string that was split */
};

void form_parse(struct form *f, const char *bytes, size_t n);
void form_done(struct form *f);
const char *form_get(const struct form *f, const char *name); /* the first, or NULL */
const char *form_repeated(const struct form *f);              /* a name that stands twice */
json_t *form_json(const struct form *f);                      /* [[name, value], ...] */
char *form_decode(const char *bytes, size_t n) __attribute__((warn_unused_result)); /* or NULL */
void form_encode(struct text *t, const char *s);

bool url_split(const char *s, struct url *ret);
bool url_loopback(const struct url *u);
/* Same string, or both http on the same loopback host and nothing but the port differs. */
bool url_same_redirect(const char *registered, const char *asked);
