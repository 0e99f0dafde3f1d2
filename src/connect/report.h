/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tool calls for the broker's audit trail: which tool, how it went, how long, how large; never what
 * was said. A report is noted at once, and the rest of the work done while nobody waits for it.
 */
#pragma once

#include "connect/access.h"
#include "connect/exchange.h"

struct reports;

/* @server and @account are borrowed. */
int reports_new(sd_event *event, struct access *access, const char *server, const char *account,
                struct reports **ret) MUST_CHECK;
struct reports *reports_free(struct reports *r);

/* The response to a call has come. All take NULL: nothing is reported. */
void report_response(struct reports *r, const struct exchange *x, const struct message *m);
/* It has not, and never will. */
void report_failure(struct reports *r, const struct exchange *x);
/* It is the server's turn: there is time for what was noted. */
void reports_proceed(struct reports *r);
/* All of them go to the broker now. */
void reports_send(struct reports *r);
/* The broker takes no more for a while: some will be left out. */
void reports_hold(struct reports *r);
