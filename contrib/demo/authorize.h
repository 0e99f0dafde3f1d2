/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authorization endpoint: the request, the person's answer, and the way back to the client.
 */
#pragma once

#include "exchange.h"

void authorize_handle(struct exchange *x);
void authorize_consent(struct exchange *x);
/* What is wrong with a request whose client and redirect URI are good: an error code, or NULL. */
const char *authorize_fault(struct exchange *x, const struct form *q, const char **ret_description);
void authorize_ticket_free(void *ticket); /* of demo.tickets */
