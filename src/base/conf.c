/* SPDX-License-Identifier: Apache-2.0 */
#include "base/conf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

static PRINTF_LIKE(5, 0) int fail(const char *file, unsigned line, struct error *err,
                                  const char *hint, const char *fmt, va_list ap) {
        char text[384];

        (void)vsnprintf(text, sizeof(text), fmt, ap);
        return error_set(err, MCPB_BAD_CONFIG, EINVAL, hint, "%s:%u: %s", file, line, text);
}

int conf_error(const struct conf_item *item, struct error *err, const char *hint, const char *fmt,
               ...) {
        va_list ap;
        int r;

        va_start(ap, fmt);
        r = fail(item->file, item->line, err, hint, fmt, ap);
        va_end(ap);
        return r;
}

/* What makes a line unreadable whatever it says; NULL if nothing does. */
static const char *line_fault(const char *line, size_t len, unsigned number) {
        if (len > CONF_LINE_MAX)
                return "the line is longer than 4096 bytes";
        if (number == 1 && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
                return "the file begins with a byte-order mark";
        if (!utf8_valid(line, len))
                return "the line is not UTF-8";
        for (size_t i = 0; i < len; i++) {
                unsigned char c = (unsigned char)line[i];

                if (c == '\r')
                        return "the line ends in a carriage return";
                if (c == '\0')
                        return "the line holds a NUL byte";
                /* C1 controls are two bytes in UTF-8: c2 80 to c2 9f. */
                if (c < 0x20 || c == 0x7f ||
                    (c == 0xc2 && i + 1 < len && (unsigned char)line[i + 1] < 0xa0))
                        return "the line holds a control character";
        }
        return NULL;
}

static size_t trimmed(const char *p, size_t len) {
        while (len > 0 && p[len - 1] == ' ')
                len--;
        return len;
}

static bool key_char(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
}

/* "[Section]" in place: *ret_section points into @line. NULL, or what is wrong. */
static const char *parse_section(char *line, size_t len, char **ret_section) {
        char *close = memchr(line, ']', len);

        if (!close)
                return "']' is missing";
        if (close != line + len - 1)
                return "there is text behind ']'";
        if (len == 2)
                return "the section has no name";
        if (memchr(line + 1, '[', len - 1))
                return "'[' within a section's name";
        if (line[1] == ' ' || close[-1] == ' ')
                return "the section's name begins or ends with a blank";
        *close = '\0';
        *ret_section = line + 1;
        return NULL;
}

/* "Key=Value" in place. NULL, or what is wrong. */
static const char *parse_pair(char *line, size_t len, char **ret_key, char **ret_value) {
        char *equals = memchr(line, '=', len);
        size_t n_key = equals ? trimmed(line, (size_t)(equals - line)) : 0;

        if (!equals)
                return "not of the form Key=Value";
        if (n_key == 0)
                return "there is no key before '='";
        for (size_t i = 0; i < n_key; i++)
                if (!key_char(line[i]))
                        return "the key holds a character that no key has (the form is Key=Value)";
        line[n_key] = '\0';
        equals++;
        while (*equals == ' ')
                equals++;
        *ret_key = line;
        *ret_value = equals;
        return NULL;
}

struct reader {
        struct conf_item item;
        char section[CONF_LINE_MAX + 1];
        char line[CONF_LINE_MAX + 1];
        conf_item_fn fn;
        void *userdata;
};

static int read_line(struct reader *rd, size_t len, struct error *err) {
        const char *wrong;
        char *section = NULL;
        char *key = NULL;
        char *value = NULL;

        len = trimmed(rd->line, len);
        rd->line[len] = '\0';
        if (rd->line[0] == '[') {
                wrong = parse_section(rd->line, len, &section);
                if (wrong)
                        return conf_error(&rd->item, err, NULL, "%s", wrong);
                memcpy(rd->section, section, strlen(section) + 1);
                rd->item.section = rd->section;
        } else {
                wrong = parse_pair(rd->line, len, &key, &value);
                if (wrong)
                        return conf_error(&rd->item, err, NULL, "%s", wrong);
                if (!rd->item.section)
                        return conf_error(&rd->item, err, "Begin with a line such as [Policy]",
                                          "%s= stands before the first section", key);
        }
        rd->item.key = key;
        rd->item.value = value;
        return rd->fn(&rd->item, rd->userdata, err);
}

int conf_parse(const char *file, const char *data, size_t len, conf_item_fn fn, void *userdata,
               struct error *err) {
        AUTO_FREE struct reader *rd = calloc(1, sizeof(*rd));
        int r = 0;

        if (!rd)
                return error_oom(err);
        *rd = (struct reader){ .item = { .file = file }, .fn = fn, .userdata = userdata };
        if (len > CONF_FILE_MAX) {
                (void)error_set(err, MCPB_BAD_CONFIG, EFBIG, NULL,
                                "%s:1: the file is larger than %zu bytes", file, CONF_FILE_MAX);
                return -EFBIG;
        }
        while (r == 0 && len > 0) {
                const char *end = memchr(data, '\n', len);
                size_t n = end ? (size_t)(end - data) : len;
                const char *wrong;

                rd->item.line++;
                wrong = line_fault(data, n, rd->item.line);
                if (!wrong && n > 0 && data[0] == ' ')
                        wrong = "the line begins with a blank (a line is not continued)";
                if (wrong)
                        return conf_error(&rd->item, err, NULL, "%s", wrong);
                if (n > 0 && data[0] != '#' && data[0] != ';') {
                        memcpy(rd->line, data, n);
                        r = read_line(rd, n, err);
                }
                n += end ? 1 : 0;
                data += n;
                len -= n;
        }
        return r < 0 ? r : 0;
}

const char *conf_word(const char *p, size_t *ret_len) {
        while (*p == ' ')
                p++;
        if (!*p)
                return NULL;
        *ret_len = strcspn(p, " ");
        return p;
}

int conf_bool(const char *value, bool *ret) {
        static const char *const yes[] = { "yes", "true", "1" };
        static const char *const no[] = { "no", "false", "0" };

        for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
                if (streq(value, yes[i]) || streq(value, no[i])) {
                        *ret = streq(value, yes[i]);
                        return 0;
                }
        }
        return -EINVAL;
}
