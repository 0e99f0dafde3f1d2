/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages a person sees in the browser: plain HTML, no script, nothing loaded.
 */
#pragma once

#include "http.h"

struct consent {
        const char *client_name;
        const char *redirect_uri; /* NULL: of a device, nobody is sent back */
        const char *scope;
        const char *resource;
        const char *ticket; /* or the code that was typed */
        const char *issuer;
};

void pages_consent(struct request *r, const struct consent *c);
void pages_code(struct request *r, const char *issuer); /* asks for the code of a device */
void pages_done(struct request *r);
void pages_error(struct request *r, const char *text);
