/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One access token of a grant, for one scope set, shared by all who ask for the same. Rests under
 * the broker's shield; the text is opened only into a reply.
 */
#pragma once

#include "base/json.h"
#include "base/list.h"
#include "crypto/shield.h"
#include "oauth/scope.h"

struct grant;
struct token_reply;

#define LEASE_ID_MAX 32
#define LEASE_HELPERS 16

struct lease_helper {
        int pid;
        uint64_t start_ticks;
        uint64_t first_boot;
};

struct lease {
        struct list link;        /* in grant->leases */
        struct scope_set scopes; /* what it is good for */
        struct scope_set asked;  /* what was asked for: by this it is found again */
        struct shielded token;
        char *token_type;            /* "Bearer" */
        char token_id[LEASE_ID_MAX]; /* names it without showing it */
        uint64_t obtained_boot;
        uint64_t obtained_wall; /* 0: a record of before tells nothing of it */
        bool expires_known;
        uint64_t expires_boot;
        uint64_t expires_wall;
        uint64_t used_boot; /* when it was last handed out; 0: never */
        struct lease_helper
                helpers[LEASE_HELPERS]; /* who got it by mcp-token --header, oldest out */
        unsigned next_helper;
        bool full; /* all scopes of the grant: stored with it */
        bool dead; /* refused by the server, or revoked */
};

/* From the issuer's answer; @requested are its scopes where the answer names none (A134). */
int lease_new(struct grant *g, const struct token_reply *reply, const struct scope_set *requested,
              bool full, struct lease **ret) MUST_CHECK;
struct lease *lease_free(struct lease *l);

/* The lease as the grant's record keeps it; the token is in clear, so the value goes nowhere but
 * the store. */
json_t *lease_to_json(struct grant *g, const struct lease *l) MUST_CHECK;
/* The same of the issuer's answer to a login, before there is a grant. */
json_t *lease_first_json(const struct token_reply *reply, const struct scope_set *requested)
        MUST_CHECK;
int lease_from_json(struct grant *g, const json_t *value, struct lease **ret) MUST_CHECK;

/* A helper of this process asks. True: it had this very lease before, and that may mean that a
 * server refused it. */
bool lease_note_helper(struct lease *l, int pid, uint64_t start_ticks, uint64_t now_boot);

/* Time left in microseconds; UINT64_MAX where the issuer gave no lifetime (A133); 0 when it is over
 * or dead. */
uint64_t lease_left(const struct lease *l);
/* Late enough in its life that a new one should be fetched ahead of need (A149). */
/* Good enough for somebody who wants it to last @min_ttl_usec, or half its life if that is less. */
bool lease_serves(const struct lease *l, uint64_t min_ttl_usec);
bool lease_is_old(const struct lease *l, uint64_t margin_usec);
