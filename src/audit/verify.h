/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a log and says what was done to it. Fed piece by piece; holds one line. Chain, MAC and tail
 * are judged separately: without a key the chain alone is checked, without a checkpoint a cut tail
 * cannot be seen.
 */
#pragma once

#include "audit/audit.h"

enum audit_fault {
        AUDIT_FAULT_FORMAT,     /* no line of ours */
        AUDIT_FAULT_CHAIN,      /* "chain broken": does not follow on the line before it */
        AUDIT_FAULT_SEQ,        /* chains, but numbers are missing: see the audit.gap there */
        AUDIT_FAULT_MAC,        /* "MAC wrong": edited */
        AUDIT_FAULT_TORN,       /* the last line has no end */
        AUDIT_FAULT_CUT,        /* ends before the checkpoint: the tail was cut */
        AUDIT_FAULT_CHECKPOINT, /* the line that the checkpoint names is another one */
        AUDIT_FAULT_COUNT,
};

struct audit_finding {
        enum audit_fault fault;
        uint64_t line; /* from 1 */
        uint64_t seq;  /* of that line as far as it has one; else the one expected */
};

typedef void (*audit_finding_fn)(const struct audit_finding *finding, void *userdata);

struct audit_verify {
        const uint8_t *key; /* 32 bytes, of line @key_seq; NULL: MACs are not checked */
        uint64_t key_seq;   /* lines before it are checked for their chain only */
        /* NULL: the tail is not checked. Its signature is the caller's to judge. */
        const struct audit_checkpoint *checkpoint;
        audit_finding_fn fn;
        void *userdata;
};

struct audit_verified {
        uint64_t lines;
        uint64_t faults;
        uint64_t macs_checked;
        bool tail_checked; /* the checkpoint's line was there and was the same */
        uint64_t last_seq;
        uint8_t last_hash[HASH_BYTES];
};

struct audit_verifier;

int audit_verifier_new(struct audit_verifier **ret, const struct audit_verify *params) MUST_CHECK;
int audit_verifier_feed(struct audit_verifier *v, const void *data, size_t len) MUST_CHECK;
void audit_verifier_finish(struct audit_verifier *v, struct audit_verified *ret);
struct audit_verifier *audit_verifier_free(struct audit_verifier *v);

/* All of it from the descriptor's current position: 0, or -errno of the reading. */
int audit_verify_stream(int fd, const struct audit_verify *params, struct audit_verified *ret)
        MUST_CHECK;

const char *audit_fault_text(enum audit_fault fault);
