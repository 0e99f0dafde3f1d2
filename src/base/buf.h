/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes in flight: grows up to a maximum by allocate-copy-wipe, and is wiped when freed, so that a
 * token that passed through leaves nothing in the heap. Always NUL-terminated behind the data.
 */
#pragma once

#include <stdarg.h>

#include "base/util.h"

struct buf {
        char *data;
        size_t len;
        size_t cap;
        size_t max; /* 0: BUF_MAX_DEFAULT */
};

#define BUF_MAX_DEFAULT ((size_t)16 * 1024 * 1024)
#define BUF_INIT ((struct buf){ 0 })
#define AUTO_BUF __attribute__((cleanup(buf_done), unused))

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);  /* wipes and frees; leaves an empty buffer with the same maximum */
void buf_clear(struct buf *b); /* wipes the contents, keeps the room */

/* All return 0, -ENOMEM, or -EMSGSIZE when the maximum would be exceeded. */
int buf_reserve(struct buf *b, size_t more)
        MUST_CHECK; /* room for @more bytes (and NUL) behind len */
int buf_append(struct buf *b, const void *data, size_t len) MUST_CHECK;
int buf_append_str(struct buf *b, const char *s) MUST_CHECK;
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
int buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0) MUST_CHECK;

void buf_consume(struct buf *b, size_t n);  /* drops the first n bytes and wipes what moves away */
void buf_truncate(struct buf *b, size_t n); /* keeps the first n bytes, wipes the rest */
void buf_move(struct buf *to, struct buf *from); /* @to is freed first; @from is empty afterwards */

/* The data as a string that the caller frees with str_wipe_free(); the buffer is empty afterwards.
 * NULL: out of memory. */
char *buf_steal(struct buf *b) MUST_CHECK;

/* Wipes memory so that no compiler leaves it out. */
void mem_wipe(void *p, size_t len);

/* Wipes a string and frees it; takes NULL; returns NULL. */
char *str_wipe_free(char *s);

static inline void cleanup_wipe_str(char **s) {
        (void)str_wipe_free(*s);
}
#define AUTO_WIPE_STR __attribute__((cleanup(cleanup_wipe_str), unused))
