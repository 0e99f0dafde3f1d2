/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which scopes are asked for (A141, A155 to A163). Nothing is built in; the challenge decides, and
 * no relation between it and any scopes_supported is assumed.
 */
#pragma once

#include "oauth/challenge.h"

/*
 * First login: the user's own choice if there is one (@user not NULL and not empty), else those of
 * the challenge, else all that the server's metadata lists, else none. offline_access is added if
 * the issuer lists it and any scope is sent. Each argument may be NULL. @ret must be empty.
 */
struct scope_sources {
        const struct challenge *challenge;
        const struct scope_set *prm;  /* the server's scopes_supported */
        const struct scope_set *user; /* exactly these */
        const struct scope_set *as;   /* the issuer's scopes_supported */
};
int scope_select_login(struct scope_set *ret, const struct scope_sources *from) MUST_CHECK;

/* Step-up: what was requested before, what was granted, and what is wanted now, together. @as may
 * be NULL. @ret must be empty. */
struct scope_step_up {
        const struct scope_set *requested;
        const struct scope_set *granted;
        const struct scope_set *more;
        const struct scope_set *as; /* the issuer's scopes_supported */
};
int scope_select_step_up(struct scope_set *ret, const struct scope_step_up *from) MUST_CHECK;
/* A162: does the challenge ask for anything that the last login did not? */
bool scope_challenge_asks_more(const struct scope_set *requested_before,
                               const struct challenge *challenge);

/* A163: a refused elevation, remembered for a while. Time is boot-time usec. */
struct scope_refusal {
        struct scope_set scopes;
        uint64_t until_boot;
};
#define LIMIT_REFUSAL_SEC 600
int scope_refusal_note(struct scope_refusal *r, const struct scope_set *asked, uint64_t now_boot)
        MUST_CHECK;
/* True if all that was refused is asked for again, alone or with more, and the refusal is not
 * long ago. */
bool scope_refusal_holds(const struct scope_refusal *r, const struct scope_set *asked,
                         uint64_t now_boot);
void scope_refusal_done(struct scope_refusal *r);

/*
 * A161: elevations that were begun for one resource, by what they asked for. Who is sent to the
 * browser again and again for the same thing, or for ever another one, is not sent any more. Time
 * is boot-time usec.
 */
#define LIMIT_STEP_UPS 3     /* for the same scopes, within */
#define LIMIT_STEP_UP_SETS 8 /* for others; also the number that is remembered */
#define LIMIT_STEP_UP_SEC 3600
struct scope_attempts {
        struct {
                struct scope_set scopes;
                unsigned n;
                uint64_t until_boot;
        } items[LIMIT_STEP_UP_SETS];
};
/* Counts one more. -EAGAIN: it is one too many; -ENOMEM. */
int scope_attempts_note(struct scope_attempts *a, const struct scope_set *asked, uint64_t now_boot)
        MUST_CHECK;
void scope_attempts_done(struct scope_attempts *a);
