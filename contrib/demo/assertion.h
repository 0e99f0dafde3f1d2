/* SPDX-License-Identifier: Apache-2.0 */
/*
 * private_key_jwt (RFC 7523 2.2): a client that signs who it is, for one request.
 */
#pragma once

#include "exchange.h"
#include "jwt.h"

bool assertion_given(const struct exchange *x);
/* The client, or NULL once an error was answered. */
struct client *assertion_client(struct exchange *x);

/* Whether a JWT is for this authorization server, as --assertion-audience says; alone. */
bool assertion_for_us(const struct exchange *x, const struct jwt *j);
/* False: seen before, or it has none. What was seen once is not good again. */
bool assertion_first_time(struct exchange *x, const struct jwt *j, const char *owner);
