/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request of one peer, from its way in to its answer. A call stands in at most one list of
 * waiters; it is answered once, and gone with that.
 */
#pragma once

#include "base/list.h"
#include "broker/caller.h"
#include "oauth/challenge.h"
#include "oauth/scope.h"

struct grant;
struct login;
struct server;

struct broker_call {
        struct broker *broker;
        struct list link;     /* in the waiters of a grant, a login or the whole broker */
        struct list all_link; /* in broker->calls */
        struct caller who;
        struct evidence evidence; /* who.evidence points here */
        enum method method;
        json_t *params;
        char request_id[24]; /* joins the audit records of this request */
        broker_reply_fn fn;
        void *userdata;
        bool *gone; /* set when the call is freed: whoever runs a handler looks */

        /* token.get */
        struct grant *grant; /* while it waits there */
        struct server *server;
        struct scope_set wanted; /* empty: all that the grant has */
        bool has_wanted;
        uint64_t min_ttl_usec;
        bool start_login;
        bool helper; /* mcp-token --header: a second call may mean that the first token was refused
                      */
        bool optional; /* it can be tried without a token */
        bool has_challenge;
        struct challenge challenge;
        unsigned challenge_status;
        const char *token_id;     /* of the token that the challenge is about; NULL: not said */
        const char *on_behalf_of; /* for whom it says to ask; NULL: not said */
        bool widened;             /* @wanted is more than it asked for: the challenge says why */
        bool looking;             /* waits until the server's metadata were looked at again */
        unsigned rounds;          /* operations it has waited for: bounded */
        bool reattesting;         /* session looks at the peer again */
        bool reattested;
        bool abandoned;
        struct scope_set
                step_up; /* what a login for this request would ask for, if not the usual */

        /* login.start, login.wait */
        struct login *login; /* while it waits there */
        bool opener;         /* it opens the browser */
};

struct broker_call *call_free(struct broker_call *c);

/* The three ways out. Each frees the call. */
void call_reply(struct broker_call *c, json_t *result /* taken */);
void call_fail(struct broker_call *c, const struct error *err);
void call_fail_data(struct broker_call *c, const struct error *err, json_t *data /* taken */);

/* Takes a parameter out of the request: what a wrong type or a missing member gets is a BAD_PARAMS
 * that names it. */
int call_string(struct broker_call *c, const char *name, bool required, const char **ret,
                struct error *err) MUST_CHECK;
int call_uint(struct broker_call *c, const char *name, uint64_t max, uint64_t fallback,
              uint64_t *ret, struct error *err) MUST_CHECK;
int call_bool(struct broker_call *c, const char *name, bool fallback, bool *ret, struct error *err)
        MUST_CHECK;
int call_scopes(struct broker_call *c, struct scope_set *ret, bool *ret_given, struct error *err)
        MUST_CHECK;
/* Sets c->server to what the members server and account name, if the store is open. */
int call_find_server(struct broker_call *c, struct error *err) MUST_CHECK;
