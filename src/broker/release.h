/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way out for a token: policy decides, the record is written, and then the reply leaves.
 * Every other end of a token request is here too, so that each has its record.
 */
#pragma once

#include "audit/audit.h"
#include "broker/call.h"
#include "policy/policy.h"

struct grant;
struct lease;

/* What policy says to @c about @scopes, given what was granted (both may be NULL). */
int release_decide(struct broker_call *c, const struct scope_set *scopes,
                   const struct scope_set *granted, struct decision *ret) MUST_CHECK;

/* Who asks, as the records name it: borrows from @c. */
struct audit_agent release_agent(const struct broker_call *c);

/* Each of these ends the call, now or (where the peer must be looked at again) later. */
void release_token(struct broker_call *c, struct grant *g, struct lease *l);
void release_refused(struct broker_call *c, const struct error *err);
/* Starts a login if the call asked for that, else says that one is needed. @why (may be NULL): what
 * became of the last one. */
void release_needs_login(struct broker_call *c, const struct error *why);
void release_denied(struct broker_call *c, const struct decision *d);

/* A record of something that happened to a server or grant; @c may be NULL. A failure is logged: it
 * is no release. */
struct release_event {
        enum audit_event event;
        enum audit_outcome outcome;
        const struct server *server;
        const struct grant *grant;
        const struct broker_call *call;
        const struct error *why;
        const struct scope_set *scopes;
};
void release_note(struct broker *b, const struct release_event *e);
