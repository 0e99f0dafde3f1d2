/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"
#include "hands/hands.h"

#define WORD_MAX 19 /* no token is so short, and few words of a message are longer */

/* What tokens, keys and their encodings are made of. A path is taken for one, too. */
static bool token_char(char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               (c && strchr("+/=_.~-%", c)) || (unsigned char)c >= 0x80;
}

static int append_line(struct buf *out, const char *p) {
        int r = 0;

        while (r == 0 && *p) {
                size_t n = 0;

                while (token_char(p[n]))
                        n++;
                if (n > WORD_MAX)
                        r = buf_append_str(out, "[...]");
                else
                        r = buf_append(out, p, n > 0 ? n : 1);
                p += n > 0 ? n : 1;
        }
        return r < 0 ? r : buf_append(out, "\n", 1);
}

int hands_redact(const char *text, size_t len, struct buf *out) {
        int r = 0;

        while (r == 0 && len > 0) {
                const char *newline = memchr(text, '\n', len);
                size_t n = newline ? (size_t)(newline - text) : len;
                AUTO_WIPE_STR char *line = utf8_clean_dup(text, n, n);

                if (!line)
                        return -ENOMEM;
                if (*line)
                        r = append_line(out, line);
                n += newline != NULL;
                text += n;
                len -= n;
        }
        return r;
}
