/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the audit trail share: a log in memory, its keys, and a clock that stands
 * still.
 */
#pragma once

#include "audit/audit.h"
#include "audit/verify.h"
#include "base/buf.h"

#define TEST_NOW UINT64_C(1795428000000000) /* 2026-11-23T10:00:00Z */
void set_clock(uint64_t usec);

int new_log(void);
size_t log_size(int fd);
void read_log(int fd, struct buf *b);
void set_log(int fd, const void *data, size_t len);
/* Offset of line @n (from 0); of the end for the one behind the last. */
size_t line_at(const struct buf *b, unsigned n);

struct audit *open_log(int fd, struct audit_keys *k, unsigned *ret_gaps);
void append_event(struct audit *a, enum audit_event event);

struct findings {
        char text[1024]; /* "line fault;" */
        unsigned n;
};

void verify_log(const struct buf *log, const uint8_t *key, const struct audit_checkpoint *c,
                struct findings *ret, struct audit_verified *ret_result);
void expect_faults(int fd, const uint8_t *key, const char *faults);

/* Keys, a copy of the first MAC key, and a log with @n records. */
struct world {
        struct audit_keys *keys;
        uint8_t key_0[HASH_KEY_BYTES];
        int fd;
};

void world_init(struct world *w, unsigned n);
void world_done(struct world *w);
struct audit_keys *copy_keys(const struct audit_keys *k);

int crypto_setup(void **state);
int crypto_teardown(void **state);
