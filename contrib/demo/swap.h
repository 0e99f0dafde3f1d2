/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token exchange (RFC 8693): a token for another, of the same subject; with an actor's token beside
 * it the new one says who acts for whom.
 */
#pragma once

#include "exchange.h"

#define GRANT_SWAP "urn:ietf:params:oauth:grant-type:token-exchange"
#define TOKEN_TYPE "urn:ietf:params:oauth:token-type:"

/* @client: NULL if the request names none, which will do for a workload's own token. */
void swap_grant(struct exchange *x, const struct client *client);
