/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token and the revocation endpoint. A refresh token is good for one use (unless --no-rotate);
 * whoever shows a used one, or a used code, costs the whole family its life.
 */
#pragma once

#include "exchange.h"

void grant_handle(struct exchange *x);
void grant_revoke(struct exchange *x);
