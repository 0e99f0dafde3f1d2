/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One record as a file: name, layout, sealing (doc/STORE.md). Pure: bytes in, bytes out.
 */
#pragma once

#include "crypto/secret.h"
#include "store/store.h"

#define STORE_ID_BYTES 16
#define RECORD_NAME_CHARS 64
#define RECORD_NAME_SIZE (RECORD_NAME_CHARS + 1)
#define RECORD_HEAD_BYTES 24
#define RECORD_PAD_BYTES 256

/* What all records of one store have in common. The keys are owned elsewhere. */
struct record_keys {
        uint8_t store_id[STORE_ID_BYTES];
        const struct secret *names;
        const struct secret *records;
};

/* A record that was opened. */
struct record {
        enum store_kind kind;
        uint64_t generation;
        char *key;
        json_t *value;
};
#define RECORD_INIT ((struct record){ 0 })
#define AUTO_RECORD __attribute__((cleanup(record_done), unused))
void record_done(struct record *r);

bool record_key_valid(const char *key);
void record_name(const struct record_keys *k, enum store_kind kind, const char *key,
                 char ret_name[static RECORD_NAME_SIZE]);
bool record_name_valid(const char *name); /* 64 lower-case hexadecimal digits */

/*
 * The text that is sealed: JSON, padded. Verified by reading it back, so that nothing is ever
 * written that could not be
 * read: @ret_value (may be NULL) gets the value as it will be read. -EINVAL for a value that does
 * not survive that (nested too deeply, NUL in a string, no object), -EMSGSIZE.
 */
int record_plain_write(struct buf *ret, enum store_kind kind, const char *key, const json_t *value,
                       json_t **ret_value) MUST_CHECK;
/* -EBADMSG; generation stays 0. */
int record_plain_read(const char *plain, size_t len, struct record *ret) MUST_CHECK;

int record_seal(const struct record_keys *k, const char *name, uint64_t generation,
                const struct buf *plain, struct buf *ret) MUST_CHECK;
/* -EBADMSG for anything but a record of this store under this name; -ENOMEM. */
int record_open(const struct record_keys *k, const char *name, const void *data, size_t len,
                struct record *ret) MUST_CHECK;
