/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"

#include <stdio.h>

#include "base/utf8.h"

static const char alphabet_url[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char alphabet_std[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int append_base64(struct buf *b, const void *data, size_t len, const char *alphabet,
                         bool pad) {
        const unsigned char *p = data;
        int r = buf_reserve(b, (len + 2) / 3 * 4);

        if (r < 0)
                return r;
        for (size_t i = 0; i < len; i += 3) {
                size_t n = len - i < 3 ? len - i : 3;
                uint32_t v = (uint32_t)p[i] << 16;

                v |= n > 1 ? (uint32_t)p[i + 1] << 8 : 0;
                v |= n > 2 ? (uint32_t)p[i + 2] : 0;
                for (size_t k = 0; k < 4; k++) {
                        if (k <= n)
                                b->data[b->len++] = alphabet[(v >> (18 - 6 * k)) & 63];
                        else if (pad)
                                b->data[b->len++] = '=';
                }
        }
        b->data[b->len] = '\0';
        return 0;
}

int base64url_append(struct buf *b, const void *data, size_t len) {
        return append_base64(b, data, len, alphabet_url, false);
}

int base64_append(struct buf *b, const void *data, size_t len) {
        return append_base64(b, data, len, alphabet_std, true);
}

static int base64url_value(char c) {
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        if (c == '-')
                return 62;
        return c == '_' ? 63 : -1;
}

int base64url_decode(struct buf *b, const char *text, size_t len) {
        uint32_t v = 0;
        unsigned bits = 0;
        int r;

        if (len % 4 == 1)
                return -EBADMSG;
        r = buf_reserve(b, len / 4 * 3 + 2);
        if (r < 0)
                return r;
        for (size_t i = 0; i < len; i++) {
                int d = base64url_value(text[i]);
                unsigned char byte;

                if (d < 0)
                        return -EBADMSG;
                v = (v << 6 | (uint32_t)d) & 0xffffff;
                bits += 6;
                if (bits < 8)
                        continue;
                bits -= 8;
                byte = (unsigned char)(v >> bits & 0xff);
                r = buf_append(b, &byte, 1);
                if (r < 0)
                        return r;
        }
        /* Left-over bits must be zero: one value has one text. */
        return bits > 0 && (v & ((1u << bits) - 1)) ? -EBADMSG : 0;
}

void hex_format(char *text, const void *data, size_t len) {
        static const char digits[] = "0123456789abcdef";
        const unsigned char *p = data;

        for (size_t i = 0; i < len; i++) {
                text[2 * i] = digits[p[i] >> 4];
                text[2 * i + 1] = digits[p[i] & 15];
        }
        text[2 * len] = '\0';
}

int hex_append(struct buf *b, const void *data, size_t len) {
        int r = buf_reserve(b, 2 * len);

        if (r < 0)
                return r;
        hex_format(b->data + b->len, data, len);
        b->len += 2 * len;
        return 0;
}

static bool is_unreserved(unsigned char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_' || c == '~';
}

static int append_octet(struct buf *b, unsigned char c, bool plain) {
        return plain ? buf_append(b, &c, 1) : buf_printf(b, "%%%02X", c);
}

int percent_append(struct buf *b, const char *value, const char *kept) {
        int r = 0;

        for (const unsigned char *p = (const unsigned char *)value; *p && r == 0; p++)
                r = append_octet(b, *p, is_unreserved(*p) || strchr(kept, *p));
        return r;
}

int form_append(struct buf *b, const char *value) {
        int r = 0;

        for (const unsigned char *p = (const unsigned char *)value; *p && r == 0; p++)
                r = *p == ' ' ? buf_append(b, "+", 1) : append_octet(b, *p, is_unreserved(*p));
        return r;
}

int form_append_pair(struct buf *b, const char *name, const char *value) {
        int r = 0;

        if (b->len > 0 && b->data[b->len - 1] != '?' && b->data[b->len - 1] != '&')
                r = buf_append(b, "&", 1);
        if (r == 0)
                r = form_append(b, name);
        if (r == 0)
                r = buf_append(b, "=", 1);
        if (r == 0)
                r = form_append(b, value);
        return r;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

int hex_decode(struct buf *b, const char *text, size_t len) {
        int r;

        if (len % 2 != 0)
                return -EBADMSG;
        for (size_t i = 0; i < len; i++) {
                if (hex_digit(text[i]) < 0 || (text[i] >= 'A' && text[i] <= 'F'))
                        return -EBADMSG;
        }
        r = buf_reserve(b, len / 2);
        if (r < 0)
                return r;
        for (size_t i = 0; i < len; i += 2)
                b->data[b->len++] = (char)(hex_digit(text[i]) * 16 + hex_digit(text[i + 1]));
        b->data[b->len] = '\0';
        return 0;
}

int form_decode(struct buf *b, const char *text, size_t len) {
        for (size_t i = 0; i < len; i++) {
                char c = text[i];
                int r;

                if (c == '%') {
                        int hi = i + 2 < len ? hex_digit(text[i + 1]) : -1;
                        int lo = i + 2 < len ? hex_digit(text[i + 2]) : -1;

                        if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
                                return -EBADMSG;
                        c = (char)(hi << 4 | lo);
                        i += 2;
                } else if (c == '+') {
                        c = ' ';
                } else if (c == '\0') {
                        return -EBADMSG;
                }
                r = buf_append(b, &c, 1);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int decode_string(const char *text, size_t len, char **ret) {
        AUTO_BUF struct buf b = BUF_INIT;
        int r = form_decode(&b, text, len);

        if (r < 0)
                return r;
        if (b.len > 0 && !utf8_valid(b.data, b.len))
                return -EBADMSG;
        *ret = buf_steal(&b);
        return *ret ? 0 : -ENOMEM;
}

static int form_add(struct form *form, const char *text, size_t len) {
        const char *equals = memchr(text, '=', len);
        size_t n_name = equals ? (size_t)(equals - text) : len;
        struct form_pair *pair = &form->pairs[form->n_pairs];
        int r = decode_string(text, n_name, &pair->name);

        if (r < 0)
                return r;
        form->n_pairs++;
        return equals ? decode_string(equals + 1, len - n_name - 1, &pair->value)
                      : decode_string("", 0, &pair->value);
}

int form_parse(struct form *form, const char *text, size_t len) {
        struct form parsed = { .pairs = calloc(FORM_PAIRS_MAX, sizeof(struct form_pair)) };
        int r = parsed.pairs ? 0 : -ENOMEM;

        while (r == 0 && len > 0) {
                const char *end = memchr(text, '&', len);
                size_t n = end ? (size_t)(end - text) : len;

                if (n > 0)
                        r = parsed.n_pairs == FORM_PAIRS_MAX ? -E2BIG : form_add(&parsed, text, n);
                n += end ? 1 : 0;
                text += n;
                len -= n;
        }
        if (r < 0) {
                form_done(&parsed);
                return r;
        }
        *form = parsed;
        return 0;
}

void form_done(struct form *form) {
        for (size_t i = 0; i < form->n_pairs; i++) {
                (void)str_wipe_free(form->pairs[i].name);
                (void)str_wipe_free(form->pairs[i].value);
        }
        free(form->pairs);
        *form = FORM_INIT;
}

const char *form_get(const struct form *form, const char *name, bool *ret_twice) {
        const char *value = NULL;

        for (size_t i = 0; i < form->n_pairs; i++) {
                if (!streq(form->pairs[i].name, name))
                        continue;
                if (value) {
                        if (ret_twice)
                                *ret_twice = true;
                        return NULL;
                }
                value = form->pairs[i].value;
        }
        return value;
}

int number_parse(const char *text, uint64_t max, uint64_t *ret) {
        uint64_t v = 0;

        if (!*text)
                return -EINVAL;
        for (; *text; text++) {
                uint64_t digit = (uint64_t)(*text - '0');

                if (*text < '0' || *text > '9')
                        return -EINVAL;
                if (v > (UINT64_MAX - digit) / 10)
                        return -ERANGE;
                v = v * 10 + digit;
        }
        if (v > max)
                return -ERANGE;
        *ret = v;
        return 0;
}

int duration_parse(const char *text, uint64_t *ret_sec) {
        static const struct {
                char suffix;
                uint64_t factor;
        } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
        size_t len = strlen(text);
        uint64_t factor = 1;
        char digits[24] = { 0 };
        uint64_t n;
        int r;

        for (size_t i = 0; len > 0 && i < ARRAY_SIZE(units); i++) {
                if (text[len - 1] == units[i].suffix) {
                        factor = units[i].factor;
                        len--;
                        break;
                }
        }
        if (len == 0 || len >= sizeof(digits))
                return -EINVAL;
        memcpy(digits, text, len);
        r = number_parse(digits, UINT64_MAX / factor, &n);
        if (r < 0)
                return r;
        *ret_sec = n * factor;
        return 0;
}
