/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, in a form a person and a program can both use. Functions return 0 or -errno;
 * what a person must know goes into a struct error: a stable code, what happened, and what to do
 * next. Whoever knows the cause sets it, once; callers pass it on unchanged; the edge logs it,
 * once.
 */
#pragma once

#include "base/util.h"

/*
 * The one table of error codes: constant, name on the wire, JSON-RPC number, exit status of
 * programs. Names and numbers are part of the protocol (doc/PROTOCOL.md): append, never change.
 */
#define ERROR_TABLE(X)                                             \
        X(INTERNAL, "internal", -32603, 1)                         \
        X(PARSE_ERROR, "parse_error", -32700, 1)                   \
        X(BAD_REQUEST, "bad_request", -32600, 2)                   \
        X(UNKNOWN_METHOD, "unknown_method", -32601, 1)             \
        X(BAD_PARAMS, "bad_params", -32602, 2)                     \
        X(NO_DAEMON, "no_daemon", 1001, 3)                         \
        X(NOT_PERMITTED, "not_permitted", 1002, 5)                 \
        X(DENIED, "denied", 1003, 5)                               \
        X(LOGIN_REQUIRED, "login_required", 1004, 4)               \
        X(LOGIN_FAILED, "login_failed", 1005, 4)                   \
        X(LOGIN_CANCELLED, "login_cancelled", 1006, 4)             \
        X(INSUFFICIENT_SCOPE, "insufficient_scope", 1007, 4)       \
        X(GRANT_REVOKED, "grant_revoked", 1008, 4)                 \
        X(LOCKED, "locked", 1009, 8)                               \
        X(WRONG_PASSPHRASE, "wrong_passphrase", 1010, 8)           \
        X(NOT_FOUND, "not_found", 1011, 9)                         \
        X(EXISTS, "exists", 1012, 9)                               \
        X(AMBIGUOUS, "ambiguous", 1013, 9)                         \
        X(ADDRESS_REFUSED, "address_refused", 1014, 6)             \
        X(SERVER_UNREACHABLE, "server_unreachable", 1015, 6)       \
        X(ISSUER_UNREACHABLE, "issuer_unreachable", 1016, 6)       \
        X(SERVER_ERROR, "server_error", 1017, 7)                   \
        X(ISSUER_ERROR, "issuer_error", 1018, 7)                   \
        X(UNSUPPORTED, "unsupported", 1019, 7)                     \
        X(REGISTRATION_REQUIRED, "registration_required", 1020, 7) \
        X(AUDIT_UNAVAILABLE, "audit_unavailable", 1021, 10)        \
        X(STORE_UNAVAILABLE, "store_unavailable", 1022, 10)        \
        X(STORE_CORRUPT, "store_corrupt", 1023, 10)                \
        X(BUSY, "busy", 1024, 11)                                  \
        X(TIMEOUT, "timeout", 1025, 11)                            \
        X(RETRY, "retry", 1026, 11)                                \
        X(STOPPING, "stopping", 1027, 11)                          \
        X(BAD_CONFIG, "bad_config", 1028, 12)                      \
        X(CONFLICT, "conflict", 1029, 11)                          \
        X(CANCELLED, "cancelled", 1030, 130)                       \
        X(IDENTITY_FAILED, "identity_failed", 1031, 7)

enum error_code {
        MCPB_NO_ERROR = 0,
#define X(constant, name, number, status) MCPB_##constant,
        ERROR_TABLE(X)
#undef X
                MCPB_ERROR_COUNT,
};

struct error {
        enum error_code code;
        char message[512]; /* what happened; UTF-8, no control characters */
        char hint[512];    /* what to do next; may be empty */
};

#define ERROR_INIT ((struct error){ .code = MCPB_NO_ERROR })

/* Fills @err (may be NULL) and returns -errnum, so that `return error_set(...)` reads well. @hint
 * may be NULL. The text is cleaned: control characters and invalid UTF-8 never get through. */
int error_set(struct error *err, enum error_code code, int errnum, const char *hint,
              const char *fmt, ...) PRINTF_LIKE(5, 6);

/* As error_set(), for the many places where only -ENOMEM can be said. */
int error_oom(struct error *err);

/* Sets INTERNAL from @r (-errno) if nothing has been set yet; returns @r. */
int error_fallback(struct error *err, int r, const char *doing);

const char *error_name(enum error_code code);      /* "login_required" */
int error_number(enum error_code code);            /* JSON-RPC number */
int error_exit_status(enum error_code code);       /* of our programs */
enum error_code error_from_name(const char *name); /* MCPB_INTERNAL if unknown */
