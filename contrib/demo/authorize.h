/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authorization endpoint: the request, the person's answer, and the way back to the client.
 */
#pragma once

#include "exchange.h"

void authorize_handle(struct exchange *x);
void authorize_consent(struct exchange *x);
void authorize_ticket_free(void *ticket); /* of demo.tickets */
