/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

size_t utf8_char(const char *text, size_t len, uint32_t *ret_cp) {
        const unsigned char *p = (const unsigned char *)text;
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        uint32_t cp;
        size_t n;

        if (p[0] < 0x80) {
                *ret_cp = p[0];
                return 1;
        }
        if ((p[0] & 0xe0) == 0xc0) {
                n = 2;
                cp = p[0] & 0x1f;
        } else if ((p[0] & 0xf0) == 0xe0) {
                n = 3;
                cp = p[0] & 0x0f;
        } else if ((p[0] & 0xf8) == 0xf0) {
                n = 4;
                cp = p[0] & 0x07;
        } else {
                return 0;
        }
        if (n > len)
                return 0;
        for (size_t i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
                cp = (cp << 6) | (p[i] & 0x3f);
        }
        if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
                return 0;
        *ret_cp = cp;
        return n;
}

bool utf8_valid(const char *data, size_t len) {
        uint32_t cp;

        while (len > 0) {
                size_t n = utf8_char(data, len, &cp);

                if (n == 0)
                        return false;
                data += n;
                len -= n;
        }
        return true;
}

static size_t clean_into(char *dst, const char *src, size_t len, size_t max) {
        size_t used = 0;

        while (len > 0) {
                uint32_t cp = 0;
                size_t n = utf8_char(src, len, &cp);

                if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
                        n = n ? n : 1;
                        if (used + 1 > max)
                                break;
                        dst[used++] = '?';
                } else {
                        if (used + n > max)
                                break;
                        memmove(dst + used, src, n);
                        used += n;
                }
                src += n;
                len -= n;
        }
        return used;
}

/* The length without a character of which only the beginning is there. */
static size_t without_cut_char(const char *s, size_t len) {
        for (size_t n = 1; n <= 3 && n <= len; n++) {
                unsigned char c = (unsigned char)s[len - n];
                size_t whole = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

                if ((c & 0xc0) != 0x80)
                        return whole > n ? len - n : len;
        }
        return len;
}

void utf8_clean(char *s) {
        /* A message cut by its buffer may end within a character: that is no sign of foul play. */
        size_t len = without_cut_char(s, strlen(s));
        size_t used = clean_into(s, s, len, len);

        s[used] = '\0';
}

char *utf8_clean_dup(const char *data, size_t len, size_t max) {
        char *copy;

        if (max > len)
                max = len;
        copy = calloc(1, max + 1);
        if (!copy)
                return NULL;
        (void)clean_into(copy, data, len, max);
        return copy;
}
