/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit trail: one line a record, chained by hash and sealed by a key that is thrown away after
 * each line, so that who breaks in later can forge what comes, never what was. A record is written
 * before what it tells of is done; what cannot be written is not done (S4). The format stands in
 * audit/line.h.
 *
 * A record has typed fields only. Tokens, codes, verifiers, assertions and query strings have no
 * field; foreign text is cleaned, bounded, and freed of what looks like a token.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

/* constant, name */
#define AUDIT_EVENT_TABLE(X)                                \
        X(BROKER_START, "broker.start")                     \
        X(BROKER_STOP, "broker.stop")                       \
        X(POLICY_LOAD, "policy.load")                       \
        X(AGENT_ATTEST, "agent.attest")                     \
        X(TOKEN_REQUEST, "token.request")                   \
        X(TOKEN_ISSUE, "token.issue")                       \
        X(TOKEN_DENY, "token.deny")                         \
        X(TOKEN_RELEASE, "token.release")                   \
        X(TOKEN_REVOKE, "token.revoke")                     \
        X(DPOP_SIGN, "dpop.sign")                           \
        X(REFRESH_ROTATE, "refresh.rotate")                 \
        X(REFRESH_REUSE_DETECTED, "refresh.reuse_detected") \
        X(AUTH_FLOW_START, "auth.flow.start")               \
        X(AUTH_FLOW_FINISH, "auth.flow.finish")             \
        X(METADATA_CHANGE, "metadata.change")               \
        X(TOOL_CALL, "tool.call")                           \
        X(AUDIT_GAP, "audit.gap")                           \
        X(AUDIT_CHECKPOINT, "audit.checkpoint")

enum audit_event {
#define X(constant, name) AUDIT_##constant,
        AUDIT_EVENT_TABLE(X)
#undef X
                AUDIT_EVENT_COUNT,
};

enum audit_outcome {
        AUDIT_NO_OUTCOME, /* left out */
        AUDIT_ALLOW,
        AUDIT_DENY,
        AUDIT_SUCCESS,
        AUDIT_FAILURE,
        AUDIT_OUTCOME_COUNT,
};

enum audit_ttl_enforced { AUDIT_TTL_NOT_SAID, AUDIT_TTL_ISSUER, AUDIT_TTL_PROXY };

struct audit_agent {
        int pid;              /* 0: not known */
        uint64_t start_ticks; /* 0: not known */
        int64_t uid;          /* -1: not known */
        const char *exe;      /* NULL: not known; so for all */
        const char *unit;
        const char *label;        /* launched: */
        const char *client;       /* what it says of itself */
        const char *on_behalf_of; /* for whom it says to ask */
        const char *evidence_class;
};

struct audit_fact {
        const char *name;
        const char *evidence_class; /* NULL: unknown fact */
        const char *const *values;
        size_t n_values;
};

struct audit_strings {
        const char *const *items;
        size_t n;
};

#define AUDIT_TOKEN_BYTES 48
/* A token's fingerprint; only audit_fingerprint() makes one. */
struct audit_token {
        char text[AUDIT_TOKEN_BYTES]; /* "hmac:<32 hex digits>"; "" = none */
};

/* A tool call, as the peer that made it tells of it. */
struct audit_call {
        const char *tool;
        const char *end; /* one word */
        uint64_t duration_msec;
        uint64_t bytes;               /* of the answer */
        struct audit_token arguments; /* of a hash of them; "" = none */
};

/* What is to be recorded; all borrowed. Zero, NULL and {} are left out, but for the event. */
struct audit_record {
        enum audit_event event;
        enum audit_outcome outcome;
        const char *request; /* joins all events of one request */
        const struct audit_agent *agent;
        const char *server; /* URLs lose query and fragment */
        const char *issuer;
        const char *client_id;
        const char *account;
        struct audit_strings scopes;
        struct audit_strings granted;
        const uint64_t *ttl_sec;
        enum audit_ttl_enforced ttl_enforced;
        const struct audit_token *token;
        struct audit_strings rules; /* "file:line name" of each layer */
        const char *policy_id;
        const struct audit_fact *facts;
        size_t n_facts;
        enum error_code code;     /* why it was denied or failed, as a stable word */
        struct audit_strings why; /* the same for people; foreign text is welcome */
        const struct audit_call *call;
        struct audit_strings files; /* policy.load; metadata.change: what changed */
};

/* --- Keys ----------------------------------------------------------------- */

/*
 * The current MAC key and what it follows on, the signing key, the fingerprint key. In the slab of
 * secrets.
 */
struct audit_keys;
struct audit_keys *audit_keys_free(struct audit_keys *k);
/* All new; -ENOBUFS: the slab is full; -ENOMEM. */
int audit_keys_new(struct audit_keys **ret) MUST_CHECK;
/*
 * The record for the store (STORE_AUDIT_KEYS): it is secret. To be stored after audit_keys_new(),
 * after audit_open() and after each checkpoint; from it the key is brought forward over the lines
 * written since. Members we do not know are not kept here.
 */
int audit_keys_to_json(const struct audit_keys *k, json_t **ret) MUST_CHECK;
int audit_keys_from_json(struct audit_keys **ret, const json_t *value) MUST_CHECK; /* -EBADMSG */
/* The current MAC key, for `mcp-audit init --escrow` before the first record, and for tests. */
const uint8_t *audit_keys_mac(const struct audit_keys *k, uint64_t *ret_seq);
void audit_keys_public(const struct audit_keys *k, uint8_t out[static SIGN_PUBLIC_BYTES]);

/* Keyed: a token that was found can be looked up, the log cannot be searched by guessing. */
void audit_fingerprint(const struct audit_keys *k, const char *token, size_t len,
                       struct audit_token *ret);

/* --- The log -------------------------------------------------------------- */

struct audit;

/* The system calls, so that a test can make each fail. NULL members: the real ones. */
struct audit_io {
        ssize_t (*write)(int fd, const void *data, size_t len);
        int (*truncate)(int fd, off_t len);
        int (*sync)(int fd);
};

/* What was amiss at start; a bit mask, written into the audit.gap record. */
enum audit_gap {
        AUDIT_GAP_TORN = 1,      /* the last line was cut: truncated to the last line feed */
        AUDIT_GAP_CUT = 2,       /* lines that the keys know of are missing at the end */
        AUDIT_GAP_FORKED = 4,    /* the log does not contain the line that the keys follow on */
        AUDIT_GAP_EDITED = 8,    /* a line after that one has a wrong MAC or does not chain */
        AUDIT_GAP_NEW_KEYS = 16, /* the log is older than the keys */
        AUDIT_GAP_DROPPED = 32,  /* records were refused while the log could not be written */
};

/*
 * Takes the log over: reads its tail, brings the key forward, cuts off a torn last line and writes
 * audit.gap where something was amiss (0 otherwise in *ret_gaps, which may be NULL). @fd was opened
 * O_APPEND|O_RDWR and stays the caller's; @keys stay the caller's too and are moved on with each
 * record. @io may be NULL. Not for a folder on the network: it blocks.
 */
int audit_open(struct audit **ret, int fd, struct audit_keys *keys, const struct audit_io *io,
               unsigned *ret_gaps, struct error *err) MUST_CHECK;
struct audit *audit_free(struct audit *a);

/*
 * Writes one record: one write of one line. AUDIT_UNAVAILABLE (-EIO, -ENOSPC, ...) if it could not
 * be written whole: then what it tells of must not be done. A line that was chained is kept and
 * written first when writing works again, and a token.release among them is followed by a
 * token.deny; further records are refused meanwhile and counted.
 */
int audit_append(struct audit *a, const struct audit_record *record, struct error *err) MUST_CHECK;
/*
 * fdatasync of all that was appended. After a failure it fails for ever: the kernel reports such an
 * error only once.
 */
int audit_sync(struct audit *a, struct error *err) MUST_CHECK;

/* Tries to write what is kept back; 0 if nothing is. */
int audit_flush(struct audit *a, struct error *err) MUST_CHECK;
bool audit_is_available(const struct audit *a);
uint64_t audit_next_seq(const struct audit *a);
uint64_t audit_dropped(const struct audit *a);

#define AUDIT_CHECKPOINT_RECORDS 256
#define AUDIT_CHECKPOINT_SEC 300

/* A statement about the log's end, to be kept by somebody else. */
struct audit_checkpoint {
        uint64_t seq; /* of the last line */
        uint8_t hash[HASH_BYTES];
        char time[CLOCK_TEXT_MAX];
        uint8_t signature[SIGNATURE_BYTES];
};

/* Is it time: so many records, or so long, since the last one (and any record since)? */
bool audit_checkpoint_due(const struct audit *a);
/*
 * States where the log ends, signs it, and records that (audit.checkpoint). Then store
 * audit_keys_to_json(). -ENOENT: the log is empty.
 */
int audit_checkpoint(struct audit *a, struct audit_checkpoint *ret, struct error *err) MUST_CHECK;
/* {"seq":n,"hash":"hex","time":"...","signature":"hex"}: appended to @out; and back (-EBADMSG). */
int audit_checkpoint_format(const struct audit_checkpoint *c, struct buf *out) MUST_CHECK;
int audit_checkpoint_parse(struct audit_checkpoint *ret, const char *text, size_t len) MUST_CHECK;
bool audit_checkpoint_verify(const struct audit_checkpoint *c,
                             const uint8_t public_key[static SIGN_PUBLIC_BYTES]);

const char *audit_event_name(enum audit_event e);

DEFINE_CLEANUP(struct audit *, audit, audit_free)
DEFINE_CLEANUP(struct audit_keys *, audit_keys, audit_keys_free)
#define AUTO_AUDIT __attribute__((cleanup(cleanup_audit), unused))
#define AUTO_AUDIT_KEYS __attribute__((cleanup(cleanup_audit_keys), unused))
