/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device authorization grant (RFC 8628): a program without a browser gets a code that its
 * person types in elsewhere, and asks until that was done.
 */
#pragma once

#include "exchange.h"

#define GRANT_DEVICE "urn:ietf:params:oauth:grant-type:device_code"

void device_handle(struct exchange *x); /* the endpoint for programs */
void device_page(struct exchange *x);   /* the page for persons */
void device_grant(struct exchange *x, const struct client *client);
/* What the person says of one login, or of all that wait: "allow", "deny", "expire". How many. */
unsigned device_decide(struct authority *a, const char *user_code, const char *decision);
void device_free(void *login); /* of authority.devices */
