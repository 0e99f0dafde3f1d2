/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPoP (RFC 9449): tokens that are good only together with a proof that their key is at hand.
 */
#pragma once

#include "exchange.h"

/* The scheme of Authorization is DPoP: the token that follows it, else NULL. */
const char *dpop_token(const struct request *r);
/*
 * Judges the proof that a request to the authorization server carries: exchange.jkt is its key, or
 * NULL where there is no proof and none is needed. False once an error was answered.
 */
bool dpop_judge(struct exchange *x, bool needed);
/* Why the request may not use this token, as an error code; NULL: it may. */
const char *dpop_guard(struct exchange *x, const struct access_token *token, const char *text,
                       const char **ret_description);
/* What metadata says of it, of the server and of the resource. */
void dpop_metadata(const struct demo *d, json_t *doc, bool of_resource);
