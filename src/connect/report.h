/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tool calls for the broker's audit trail: which tool, how it went, how long, how large; never what
 * was said.
 */
#pragma once

#include "connect/bridge-state.h"

/* The response to a call has come. */
void report_response(struct bridge *b, const struct exchange *x, const struct message *m);
/* It has not, and never will. */
void report_failure(struct bridge *b, const struct exchange *x);
