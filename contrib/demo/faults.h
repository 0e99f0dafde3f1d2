/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this server does wrong on purpose. A fault is written NAME[:STEP[@WHAT]][=ARG][!TIMES]: STEP
 * says at which of the steps below it applies, WHAT to which of its requests (an HTTP method, a
 * JSON-RPC method, or a path), TIMES after how many uses it is over.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum step {
        STEP_MCP,
        STEP_PRM,
        STEP_ASMETA,
        STEP_REGISTER,
        STEP_AUTHORIZE,
        STEP_CONSENT, /* the person's answer to the consent page; the page for device codes */
        STEP_PAR,
        STEP_DEVICE, /* a program asks for a device code */
        STEP_TOKEN,  /* every grant but ... */
        STEP_REFRESH,
        STEP_REVOKE,
        STEP_IDP, /* all of the identity provider */
        STEP_OTHER,
        STEP_COUNT,
        STEP_ANY = STEP_COUNT,
};

enum fault_kind {
        /* of the transport: need a step */
        FAULT_SLOW,
        FAULT_SLOW_AFTER,
        FAULT_HANG,
        FAULT_HANG_AFTER,
        FAULT_STATUS,
        FAULT_STATUS_AFTER,
        FAULT_STATUS503,
        FAULT_HTML,
        FAULT_GARBAGE,
        FAULT_TRUNCATED,
        FAULT_OVERSIZE,
        FAULT_REDIRECT,
        FAULT_DROP_BEFORE,
        FAULT_DROP_AFTER,
        FAULT_DROP_UNREAD,
        FAULT_DROP_REUSED,
        FAULT_STALL,
        FAULT_CUT,
        FAULT_HEADER,
        /* of what is said; the step is optional where there is a choice */
        FAULT_DEEP_JSON,
        FAULT_SET,
        FAULT_UNSET,
        FAULT_PRETTY,
        FAULT_WRONG_ID,
        FAULT_BIG,
        FAULT_PLAIN_404,
        FAULT_CHALLENGE,
        FAULT_NO_CHALLENGE,
        FAULT_LINK_LOCAL_PRM,
        FAULT_REJECT_TOKEN,
        FAULT_REFUSE_EARLY,
        FAULT_MISMATCHED_RESOURCE,
        FAULT_EMPTY_AS_LIST,
        FAULT_BEARER_METHODS_QUERY,
        FAULT_WRONG_ISSUER,
        FAULT_NO_PKCE,
        FAULT_PKCE_PLAIN_ONLY,
        FAULT_NO_REGISTRATION,
        FAULT_NO_TOKEN_ENDPOINT,
        FAULT_NO_AUTHORIZATION_ENDPOINT,
        FAULT_HTTP_ENDPOINT,
        FAULT_FILE_AUTHORIZE,
        FAULT_REGISTRATION_METHOD,
        FAULT_SECRET_EXPIRES,
        FAULT_WRONG_ISS,
        FAULT_NO_ISS,
        FAULT_WRONG_STATE,
        FAULT_DUPLICATE_CODE,
        FAULT_EXPIRED_AT_ONCE,
        FAULT_EXPIRES_IN_STRING,
        FAULT_REVOKE_FAMILY,
        FAULT_INVALID_GRANT,
        FAULT_INVALID_CLIENT,
        FAULT_INVALID_SCOPE,
        FAULT_INVALID_TARGET,
        FAULT_SMALLER_SCOPE,
        FAULT_ANSI_TEXT,
        FAULT_COUNT,
};

/* Which request it is that something may go wrong with. */
struct fault_site {
        enum step step;
        const char *verb;   /* of HTTP */
        const char *method; /* of JSON-RPC; NULL: none, or not known yet */
        const char *path;
};

struct faults;

struct faults *faults_new(void);
struct faults *faults_free(struct faults *f);
/* On failure false, and ret_error says in words what is wrong; it is the caller's to free. */
bool faults_add(struct faults *f, const char *text, char **ret_error);
/* By the text it was added with, or by NAME or NAME:STEP, which removes all of them. */
bool faults_remove(struct faults *f, const char *text);
void faults_clear(struct faults *f);
json_t *faults_json(const struct faults *f);
/* The names and what they take, for --help; static text, NULL-terminated. */
const char *const *faults_usage(void);

/*
 * Whether the fault applies now; if so one use of it is spent. ret_arg may be NULL; what it gets is
 * "" without an argument, and stays valid until the next faults_add, _remove or _clear.
 */
bool faults_take(struct faults *f, enum fault_kind kind, const struct fault_site *at,
                 const char **ret_arg);
/* The same for faults that may apply several at once: *cursor begins at 0. */
bool faults_next(struct faults *f, enum fault_kind kind, const struct fault_site *at,
                 size_t *cursor, const char **ret_arg);
bool faults_take_number(struct faults *f, enum fault_kind kind, const struct fault_site *at,
                        uint64_t fallback, uint64_t *ret);

const char *step_name(enum step step);
bool step_parse(const char *name, size_t n, enum step *ret);
