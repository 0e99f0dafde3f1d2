/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token endpoints that want the same things in other words: relatives of the standard grants at
 * well-known services, by the name that Profile= gives them.
 */
#pragma once

#include "base/present.h"

#define PRESENT_PROFILE_WANTED 4

struct present_profile {
        const char *name;
        enum present how;        /* Present= says this, or auto */
        bool json;               /* the body is JSON, not a form */
        const char *token_param; /* where the identity's JWT stands */
        const char *audience;    /* of that JWT, where Audience= says nothing; NULL: the issuer */
        bool resource;           /* the parameter is known there */
        bool client;             /* a client id is needed there */
        bool requested_type;     /* token exchange: the request says what it wants */
        bool says_issued_type;   /* token exchange: the answer says what it gives */
        const char *wanted[PRESENT_PROFILE_WANTED]; /* Extra.NAME= that there must be; then NULL */
};

/* NULL: no such name. */
const struct present_profile *present_profile_find(const char *name);
/* The @index-th, for listing them; NULL: there are no more. */
const struct present_profile *present_profile_at(size_t index);
