/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one strict reader of "[Section]" and "Key=Value" files: policy, configuration and test cases.
 * It knows no key; it gives (file, line, section, key, value) and refuses what two readers could
 * understand differently, with file and line.
 *
 * Refused: a line over CONF_LINE_MAX bytes, NUL, control characters (tabs and carriage returns are
 * some), a byte-order mark, invalid UTF-8, text behind "]", an empty or odd key (':' instead of
 * '='), a line that starts with a blank (there are no continuation lines), a key before the first
 * section. Comments ('#' or ';') stand only at the start of a line. Blanks around '=' and at the
 * end of a line do not count.
 */
#pragma once

#include "base/error.h"

#define CONF_LINE_MAX 4096
#define CONF_FILE_MAX ((size_t)1024 * 1024)

struct conf_item {
        const char *file; /* as given to conf_parse() */
        unsigned line;
        const char *section; /* the text between the brackets */
        const char *key;     /* NULL: the section begins here */
        const char *value;   /* NULL with a NULL key; may be "" */
};

/*
 * The strings live until it returns. Not 0 ends the reading; a negative value comes back from
 * conf_parse().
 */
typedef int (*conf_item_fn)(const struct conf_item *item, void *userdata, struct error *err);

/*
 * 0, -EINVAL with BAD_CONFIG "file:line: what is wrong", -EFBIG with the same, -ENOMEM, or what @fn
 * returned.
 */
int conf_parse(const char *file, const char *data, size_t len, conf_item_fn fn, void *userdata,
               struct error *err) MUST_CHECK;

/*
 * For the one who judges an item: fills BAD_CONFIG "file:line: text" and returns -EINVAL. @hint may
 * be NULL.
 */
int conf_error(const struct conf_item *item, struct error *err, const char *hint, const char *fmt,
               ...) PRINTF_LIKE(4, 5);

/*
 * The next word of @p (words are parted by blanks): *ret_len bytes at the returned place, NULL at
 * the end.
 */
const char *conf_word(const char *p, size_t *ret_len);
/* "yes", "no", "true", "false", "1", "0". -EINVAL. */
int conf_bool(const char *value, bool *ret) MUST_CHECK;
