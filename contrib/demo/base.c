/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory, text, numbers, time and random tokens.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "base.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TOKEN_BYTES 32U
#define BASE64_MAX 48U

static void __attribute__((noreturn)) out_of_memory(void) {
        fputs("mcp-demo-server: out of memory\n", stderr);
        abort();
}

void *mem_new(size_t size) {
        void *p = calloc(1, size ? size : 1);

        if (!p)
                out_of_memory();
        return p;
}

char *mem_copy(const void *bytes, size_t n) {
        char *p = mem_new(n + 1);

        if (n > 0)
                memcpy(p, bytes, n);
        return p;
}

char *mem_string(const char *s) {
        return s ? mem_copy(s, strlen(s)) : NULL;
}

char *mem_printf(const char *format, ...) {
        va_list ap;
        char *p = NULL;
        int n;

        va_start(ap, format);
        n = vasprintf(&p, format, ap);
        va_end(ap);
        if (n < 0)
                out_of_memory();
        return p;
}

void text_add(struct text *t, const void *bytes, size_t n) {
        if (t->cap - t->n < n + 1 || !t->p) {
                size_t cap = t->cap ? t->cap * 2 : 128;
                char *p;

                while (cap - t->n < n + 1)
                        cap *= 2;
                p = mem_new(cap);
                if (t->n > 0)
                        memcpy(p, t->p, t->n);
                free(t->p);
                t->p = p;
                t->cap = cap;
        }
        if (n > 0)
                memcpy(t->p + t->n, bytes, n);
        t->n += n;
        t->p[t->n] = '\0';
}

void text_puts(struct text *t, const char *s) {
        text_add(t, s, strlen(s));
}

void text_printf(struct text *t, const char *format, ...) {
        va_list ap;
        char *p = NULL;
        int n;

        va_start(ap, format);
        n = vasprintf(&p, format, ap);
        va_end(ap);
        if (n < 0)
                out_of_memory();
        text_add(t, p, (size_t)n);
        free(p);
}

char *text_take(struct text *t) {
        char *p = t->p ? t->p : mem_copy("", 0);

        *t = (struct text){ 0 };
        return p;
}

void text_done(struct text *t) {
        free(t->p);
        *t = (struct text){ 0 };
}

bool number_parse(const char *s, uint64_t max, uint64_t *ret) {
        uint64_t value = 0;

        if (!s || !*s)
                return false;
        for (; *s; s++) {
                uint64_t digit = (uint64_t)(unsigned char)*s - '0';

                if (*s < '0' || *s > '9' || digit > max || value > (max - digit) / 10)
                        return false;
                value = value * 10 + digit;
        }
        *ret = value;
        return true;
}

uint64_t clock_msec(void) {
        struct timespec ts = { 0 };

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000U + (uint64_t)ts.tv_nsec / 1000000U;
}

int64_t clock_epoch(void) {
        return (int64_t)time(NULL);
}

char *random_token(const char *prefix) {
        unsigned char bytes[TOKEN_BYTES];
        char encoded[BASE64_MAX];

        randombytes_buf(bytes, sizeof(bytes));
        (void)sodium_bin2base64(encoded, sizeof(encoded), bytes, sizeof(bytes),
                                sodium_base64_VARIANT_URLSAFE_NO_PADDING);
        return mem_printf("%s%s", prefix, encoded);
}

static char *sha256_encoded(const char *s, int variant) {
        unsigned char hash[crypto_hash_sha256_BYTES];
        char encoded[BASE64_MAX];

        (void)crypto_hash_sha256(hash, (const unsigned char *)s, strlen(s));
        (void)sodium_bin2base64(encoded, sizeof(encoded), hash, sizeof(hash), variant);
        return mem_string(encoded);
}

char *sha256_base64url(const char *s) {
        return sha256_encoded(s, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

char *sha256_base64(const char *s) {
        return sha256_encoded(s, sodium_base64_VARIANT_ORIGINAL);
}

bool string_equal(const char *a, const char *b) {
        size_t n;

        if (!a || !b)
                return false;
        n = strlen(a);
        return n == strlen(b) && sodium_memcmp(a, b, n) == 0;
}

bool words_contain(const char *list, const char *word, size_t n_word) {
        while (*list) {
                size_t n = strcspn(list, " ");

                if (n == n_word && strncmp(list, word, n) == 0)
                        return true;
                list += n;
                list += strspn(list, " ");
        }
        return false;
}

bool words_subset(const char *some, const char *all) {
        while (*some) {
                size_t n = strcspn(some, " ");

                if (n > 0 && !words_contain(all, some, n))
                        return false;
                some += n;
                some += strspn(some, " ");
        }
        return true;
}

bool words_valid(const char *list) {
        for (const char *p = list; *p; p++)
                if (*p < 0x20 || *p > 0x7e || *p == '"' || *p == '\\')
                        return false;
        return list[0] && list[0] != ' ' && list[strlen(list) - 1] != ' ' && !strstr(list, "  ");
}

void printable(char *out, size_t cap, const char *in) {
        size_t n = 0;

        for (; in && *in && n + 1 < cap; in++)
                out[n++] = *in >= 0x20 && *in <= 0x7e ? *in : '?';
        out[n] = '\0';
}
