/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a server's URL to what a login needs: its challenge, its metadata, and its issuer's. A pure
 * machine: it says which request comes next, and is fed the answer. Redirects are never followed;
 * nothing is guessed, but for servers of 2025-03-26, which are their own issuers (A46 to A53); the
 * first thing that is there but wrong ends it.
 */
#pragma once

#include "oauth/asmeta.h"
#include "oauth/challenge.h"
#include "oauth/prm.h"
#include "wire/fetch.h"

struct discover_params {
        const char *server_url;
        const struct challenge *challenge; /* what the server said; NULL: nothing is known */
        /* The challenge was handed in by a peer: its link counts only if it is of the server's
         * own origin or equal to @recorded_prm_url; else our own unauthenticated request asks
         * the server (DESIGN 6). */
        bool challenge_is_hint;
        const char *recorded_prm_url; /* of an earlier discovery, or NULL */
        /* begin with an unauthenticated MCP request (explicit mcp-add); not done if a challenge
         * is given */
        bool probe;
        const char *const *known_issuers; /* those with stored credentials */
        size_t n_known;
        const char *configured_issuer; /* by the user or a pre-registration; NULL: any */
        const struct as_metadata
                *cached_as; /* used without a request if it is of the issuer (A65); NULL: none */
        enum as_use use;
        unsigned
                server_allow; /* address classes of the server itself; 0: any (it is being added) */
        unsigned
                /* of what its metadata names; 0: public, and the class that the server was
                 * reached at */
                metadata_allow;
};

struct discover_result {
        bool open; /* the server answered without authorization; nothing else is set */
        char *resource;
        char *prm_url;
        char *issuer;
        struct as_metadata as;
        bool as_from_cache;
        struct scope_set prm_scopes;
        bool has_prm_scopes;
        struct challenge challenge; /* the one given, or what the probe got */
        bool dpop_required;         /* only tokens that are bound to a key do (A35) */
        bool mtls_required;         /* also set when this is why it failed */
        unsigned
                reached; /* address class that the server answered from; 0: no request went there */
        char *warning;   /* for the log, cleaned; NULL: none */
};

struct discover;

/* Everything in @params is copied. BAD_PARAMS (server URL), UNSUPPORTED. */
int discover_new(const struct discover_params *params, struct discover **ret, struct error *err)
        MUST_CHECK;
struct discover *discover_free(struct discover *d);

/* 1: @req is filled (caller: fetch_request_done()), its answer goes to discover_feed(); 0:
 * finished, see discover_result(). -ENOMEM. */
int discover_next(struct discover *d, struct fetch_request *req) MUST_CHECK;
/* 0: go on with discover_next(). Else it has failed and @err says why; only discover_free() is
 * allowed then. */
int discover_feed(struct discover *d, const struct fetch_answer *answer, struct error *err)
        MUST_CHECK;
const struct discover_result *discover_result(const struct discover *d);
void discover_result_done(struct discover_result *r);
/* Moves the result out; the machine is of no more use. */
void discover_take_result(struct discover *d, struct discover_result *ret);
DEFINE_CLEANUP(struct discover *, discover, discover_free)
#define AUTO_DISCOVER __attribute__((cleanup(cleanup_discover), unused))
