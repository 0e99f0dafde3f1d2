/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened: counters, the last requests word for word, and every secret that was ever issued
 * or received, so that a test can look for them where they must not be.
 */
#pragma once

#include <jansson.h>

#include "faults.h"
#include "http.h"

enum counter {
        COUNT_CHALLENGES,
        COUNT_TOOL_CALLS,
        COUNT_REGISTRATIONS,
        COUNT_AUTHORIZATIONS, /* valid authorization requests */
        COUNT_PUSHED,         /* authorization requests */
        COUNT_DEVICE_LOGINS,
        COUNT_DEVICE_POLLS,
        COUNT_SLOW_DOWNS, /* of those that came too early */
        COUNT_CONSENTS,
        COUNT_DENIALS,
        COUNT_CODES_ISSUED,
        COUNT_CODE_REPLAYS,
        COUNT_FAMILIES,
        COUNT_ACCESS_TOKENS_ISSUED,
        COUNT_REFRESH_TOKENS_ISSUED,
        COUNT_REFRESHES,
        COUNT_REUSE_DETECTED,
        COUNT_FAMILIES_REVOKED,
        COUNT_REVOCATIONS,
        COUNT_DPOP_PROOFS,  /* that were good */
        COUNT_DPOP_REFUSED, /* or missing, also for want of a nonce */
        COUNT_CLIENTS_LEFT, /* while their request was held */
        COUNT_SESSIONS_OPENED,
        COUNT_SESSIONS_DELETED,
        COUNT_STREAMS_OPENED,
        COUNT_STREAMS_LEFT, /* by the client, before they were at their end */
        COUNT_STREAMS_RESUMED,
        COUNTER_COUNT,
};

enum secret_kind {
        SECRET_ACCESS_TOKEN,
        SECRET_REFRESH_TOKEN,
        SECRET_CODE,
        SECRET_VERIFIER,
        SECRET_CLIENT_SECRET,
        SECRET_ASSERTION, /* also subject and actor tokens */
        SECRET_COUNT,
};

struct journal;

struct journal *journal_new(void);
struct journal *journal_free(struct journal *j);
void journal_count(struct journal *j, enum counter counter);
/* What was asked of the MCP server: a JSON-RPC method, "response", "batch", or the HTTP method. */
void journal_method(struct journal *j, const char *method);
uint64_t journal_n_method(const struct journal *j, const char *method);
json_int_t journal_msec(const struct journal *j); /* since the start, as in the log */
void journal_secret(struct journal *j, enum secret_kind kind, const char *value);
/* A new entry for the request, the caller's reference; status and note are filled in later. */
json_t *journal_request(struct journal *j, const struct request *r, enum step step)
        __attribute__((warn_unused_result));
uint64_t journal_n_requests(const struct journal *j, enum step step);
uint64_t journal_counter(const struct journal *j, enum counter counter);
bool counter_parse(const char *name, enum counter *ret);
/* What GET /stats tells of it; the log holds the newest n_log entries. */
json_t *journal_json(const struct journal *j, size_t n_log);
json_t *journal_secrets_json(const struct journal *j);
