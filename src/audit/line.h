/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of the log, and the keys behind it; for the files of this folder only.
 *
 *     line = JSON {...,"seq":n,"prev":"<hash of line n-1>"} TAB hex(mac) LF
 *     hash = BLAKE2b-256(line with its mac, without its LF)
 *     mac  = BLAKE2b-128(key_n, JSON bytes), key_{n+1} = BLAKE2b-256(key_n, "mcp-audit evolve")
 *
 * Hashes go over the bytes as written. The seq and the prev are read from the end of the JSON,
 * never searched for.
 */
#pragma once

#include "audit/audit.h"
#include "crypto/secret.h"

struct audit_line {
        size_t n_json;
        uint64_t seq;
        uint8_t prev[HASH_BYTES];
        uint8_t mac[HASH_SHORT_BYTES];
};

/* @line without its LF. -EBADMSG: no line of ours. */
int audit_line_parse(const char *line, size_t len, struct audit_line *ret) MUST_CHECK;
/* Appends ',"seq":n,"prev":"..."}' TAB mac LF to the begun object in @b. */
int audit_line_finish(struct buf *b, uint64_t seq, const uint8_t prev[static HASH_BYTES],
                      const uint8_t key[static HASH_KEY_BYTES]) MUST_CHECK;
bool audit_line_mac_ok(const char *line, const struct audit_line *l,
                       const uint8_t key[static HASH_KEY_BYTES]);
void audit_key_evolve(uint8_t key[static HASH_KEY_BYTES]);
int audit_hex_decode(const char *text, size_t n_bytes, uint8_t *ret) MUST_CHECK;

/* --- chain.c: one line after the other ------------------------------------ */

/* Forged numbers must not keep us evolving for hours: so many steps beyond one a line, in all. */
#define AUDIT_EVOLVE_MAX 4000000

enum chain_fault {
        CHAIN_FORMAT = 1,
        CHAIN_BROKEN = 2, /* does not follow on the line before */
        CHAIN_JUMP = 4,   /* follows on, but leaves numbers out */
        CHAIN_MAC = 8,
};

struct chain {
        bool keyed;
        uint8_t key[HASH_KEY_BYTES]; /* of line @key_seq; wiped by chain_done() */
        uint64_t key_seq;
        uint64_t budget;
        uint64_t next; /* the number that the next line should have */
        uint8_t prev[HASH_BYTES];
        uint64_t macs_checked;
};

void chain_init(struct chain *c, const uint8_t *key, uint64_t key_seq);
void chain_done(struct chain *c);
/*
 * Judges a line (NULL: one that was too long) and goes on behind it, whatever it is. *ret_seq: its
 * number, or the one expected. A mask of enum chain_fault.
 */
unsigned chain_step(struct chain *c, const char *line, size_t len, uint64_t *ret_seq);
/* Brings the key forward to line @seq; false if it is further ahead than is believed. */
bool chain_evolve_to(struct chain *c, uint64_t seq);

/* Cuts a stream into lines; copies only those that come in pieces. */
struct splitter {
        struct buf partial;
        bool skipping; /* within a line that is too long */
};
typedef void (*splitter_fn)(const char *line, size_t len, void *userdata); /* NULL: too long */

int splitter_feed(struct splitter *s, const char *data, size_t len, splitter_fn fn, void *userdata)
        MUST_CHECK;
/* Is there the beginning of a line that has not ended? */
bool splitter_pending(const struct splitter *s);
void splitter_done(struct splitter *s);

/* --- record.c, keys.c ----------------------------------------------------- */

/* Begins the object of a record: everything but seq and prev. @c: only for audit.checkpoint. */
int audit_record_format(struct buf *b, const struct audit_record *r,
                        const struct audit_checkpoint *c) MUST_CHECK;

struct audit_keys {
        struct secret *mac;         /* of line @seq */
        struct secret *sign;        /* Ed25519, see crypto/sign.h */
        struct secret *fingerprint; /* never changes */
        uint64_t seq;               /* the next line's */
        uint8_t prev[HASH_BYTES];   /* what it follows on */
        uint64_t offset;            /* where it begins in the log */
        bool fresh;                 /* no log has been taken over with them yet */
};

/* Fills in the signature. 0 or -ENOMEM. */
int audit_checkpoint_sign(struct audit_checkpoint *c, const struct audit_keys *k) MUST_CHECK;
