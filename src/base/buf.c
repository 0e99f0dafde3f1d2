/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdio.h>

void mem_wipe(void *p, size_t len) {
        if (p && len > 0)
                explicit_bzero(p, len);
}

char *str_wipe_free(char *s) {
        if (s) {
                mem_wipe(s, strlen(s));
                free(s);
        }
        return NULL;
}

void buf_init(struct buf *b, size_t max) {
        *b = (struct buf){ .max = max };
}

void buf_done(struct buf *b) {
        mem_wipe(b->data, b->cap);
        free(b->data);
        *b = (struct buf){ .max = b->max };
}

void buf_clear(struct buf *b) {
        buf_truncate(b, 0);
}

int buf_reserve(struct buf *b, size_t more) {
        size_t max = b->max ? b->max : BUF_MAX_DEFAULT;
        size_t cap = b->cap ? b->cap : 64;
        char *data;

        if (more > max || b->len > max - more)
                return -EMSGSIZE;
        if (b->cap > b->len + more)
                return 0;
        while (cap <= b->len + more)
                cap *= 2;
        data = calloc(1, cap);
        if (!data)
                return -ENOMEM;
        if (b->data) {
                memcpy(data, b->data, b->len);
                mem_wipe(b->data, b->cap);
                free(b->data);
        }
        b->data = data;
        b->cap = cap;
        return 0;
}

int buf_append(struct buf *b, const void *data, size_t len) {
        int r = buf_reserve(b, len);

        if (r < 0)
                return r;
        if (len > 0)
                memcpy(b->data + b->len, data, len);
        b->len += len;
        b->data[b->len] = '\0';
        return 0;
}

int buf_append_str(struct buf *b, const char *s) {
        return buf_append(b, s, strlen(s));
}

int buf_vprintf(struct buf *b, const char *fmt, va_list ap) {
        va_list again;
        int n;
        int r;

        va_copy(again, ap);
        n = vsnprintf(NULL, 0, fmt, again);
        va_end(again);
        if (n < 0)
                return -EINVAL;
        r = buf_reserve(b, (size_t)n);
        if (r < 0)
                return r;
        (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
        b->len += (size_t)n;
        return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...) {
        va_list ap;
        int r;

        va_start(ap, fmt);
        r = buf_vprintf(b, fmt, ap);
        va_end(ap);
        return r;
}

void buf_consume(struct buf *b, size_t n) {
        size_t rest;

        if (n > b->len)
                n = b->len;
        if (n == 0)
                return;
        rest = b->len - n;
        memmove(b->data, b->data + n, rest);
        mem_wipe(b->data + rest, n);
        b->len = rest;
}

void buf_truncate(struct buf *b, size_t n) {
        if (n >= b->len)
                return;
        mem_wipe(b->data + n, b->len - n);
        b->len = n;
}

void buf_move(struct buf *to, struct buf *from) {
        buf_done(to);
        *to = *from;
        *from = (struct buf){ .max = from->max };
}

char *buf_steal(struct buf *b) {
        char *s;

        if (buf_reserve(b, 0) < 0)
                return NULL;
        s = TAKE(b->data);
        s[b->len] = '\0';
        b->len = b->cap = 0;
        return s;
}
