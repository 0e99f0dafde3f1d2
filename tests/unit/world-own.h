/* SPDX-License-Identifier: Apache-2.0 */
/* A server that needs no person, up to what it is about to show. */
#pragma once

#include "broker-world.h"

#define FILE_A "/etc/servers.d/work.conf"

int own_set_up(void **state, const char *const *servers); /* a fixture */

/* What the server and the issuer say to discovery; the next request is for a token. */
void serve_up_to_token(struct world *w);
void come_up(struct world *w, const char *token); /* and that is given */

/* A token of an identity, for this audience: to be freed. */
char *token_for(const char *audience);
/* Up to where the identity is read from /run/id/token. */
void serve_up_to_order(struct world *w);
