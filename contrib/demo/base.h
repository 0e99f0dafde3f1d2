/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small things that every module here needs: memory, growing text, numbers, time, random tokens.
 * This is a test peer: when memory runs out it says so and ends, so nothing here returns NULL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
        char *p; /* always ends in NUL once something was added */
        size_t n;
        size_t cap;
};

void *mem_new(size_t size) __attribute__((warn_unused_result));                  /* zeroed */
char *mem_copy(const void *bytes, size_t n) __attribute__((warn_unused_result)); /* adds a NUL */
char *mem_string(const char *s) __attribute__((warn_unused_result)); /* NULL stays NULL */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2), warn_unused_result));

void text_add(struct text *t, const void *bytes, size_t n);
void text_puts(struct text *t, const char *s);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *text_take(struct text *t) __attribute__((warn_unused_result));
void text_done(struct text *t);

/* Decimal digits only, no sign, no blanks, at most max. */
bool number_parse(const char *s, uint64_t max, uint64_t *ret);
uint64_t clock_msec(void); /* monotonic */
int64_t clock_epoch(void);

char *random_token(const char *prefix) __attribute__((warn_unused_result)); /* 256 bits */
char *sha256_base64url(const char *s) __attribute__((warn_unused_result));
char *sha256_base64(const char *s) __attribute__((warn_unused_result));
bool string_equal(const char *a, const char *b); /* NULL equals nothing; time does not tell */

/* A blank-separated list, as OAuth scopes are. */
bool words_contain(const char *list, const char *word, size_t n_word);
bool words_subset(const char *some, const char *all);
bool words_valid(const char *list); /* RFC 6749 3.3 */

/* Bytes of a peer, made fit for a terminal: printable ASCII only, at most cap - 1 of them. */
void printable(char *out, size_t cap, const char *in);
