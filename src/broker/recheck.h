/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server refused a token with a challenge: its metadata may have changed (A22). The broker asks
 * the server itself, without a credential, and looks whether the issuer is still the one that gave
 * the grant. What a peer says is only the reason to look.
 */
#pragma once

#include <stdbool.h>

struct broker_call;
struct challenge;
struct server;

/* At most one look a server at a time, and not more often than every half minute. */
void recheck_start(struct server *s, const struct challenge *challenge);
/* True: a look is under way, and @c goes on by token_looked() when it is over. */
bool recheck_wait(struct server *s, struct broker_call *c);
void recheck_cancel(struct server *s); /* the server goes */
