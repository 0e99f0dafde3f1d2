/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pushed authorization requests (RFC 9126): the client says beforehand, authenticated, what it will
 * ask for, and the browser carries a reference only.
 */
#pragma once

#include "exchange.h"

void par_handle(struct exchange *x);
/*
 * The request that was pushed under the reference in @query, for form_done(), and the key it was
 * bound to (for free(), or NULL). A reference is good once, and for its client. False: it is not.
 */
bool par_take(struct exchange *x, const struct form *query, struct form *ret, char **ret_jkt);
void par_free(void *pushed); /* of authority.pushed */
