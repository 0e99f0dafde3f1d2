/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages a person sees in the browser: plain HTML, no script, nothing loaded.
 */
#pragma once

#include "http.h"

struct consent {
        const char *client_name;
        const char *redirect_uri;
        const char *scope;
        const char *resource;
        const char *ticket;
        const char *issuer;
};

void pages_consent(struct request *r, const struct consent *c);
void pages_error(struct request *r, const char *text);
