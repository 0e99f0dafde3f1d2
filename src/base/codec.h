/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text codings of OAuth and HTTP: base64url without padding (RFC 7515 2), form encoding (RFC
 * 6749 B), hexadecimal, and numbers read strictly.
 */
#pragma once

#include "base/buf.h"

/* Appends base64url without padding, or plain base64 with padding. 0, -ENOMEM, -EMSGSIZE. */
int base64url_append(struct buf *b, const void *data, size_t len) MUST_CHECK;
int base64_append(struct buf *b, const void *data, size_t len) MUST_CHECK;
/* Decodes base64url (no padding allowed) and appends. -EBADMSG on any other character or length. */
int base64url_decode(struct buf *b, const char *text, size_t len) MUST_CHECK;

int hex_append(struct buf *b, const void *data, size_t len) MUST_CHECK;
void hex_format(char *text, const void *data, size_t len); /* @text holds 2 * len + 1 */
/* Decodes lower-case hexadecimal (one text for each value) and appends. -EBADMSG on anything else.
 */
int hex_decode(struct buf *b, const char *text, size_t len) MUST_CHECK;

/* Percent-encoding (RFC 3986 2.1), in upper-case hexadecimal: of all but letters, digits, "-._~"
 * and what is in @kept. */
int percent_append(struct buf *b, const char *value, const char *kept) MUST_CHECK;

/* application/x-www-form-urlencoded. The pair form adds '&' in front where needed. */
int form_append(struct buf *b, const char *value) MUST_CHECK;
int form_append_pair(struct buf *b, const char *name, const char *value) MUST_CHECK;
/* Decodes one encoded component ('+' is a blank). -EBADMSG on a broken escape or an encoded NUL. */
int form_decode(struct buf *b, const char *text, size_t len) MUST_CHECK;

struct form_pair {
        char *name;
        char *value;
};
struct form {
        struct form_pair *pairs;
        size_t n_pairs;
};
#define FORM_INIT ((struct form){ 0 })
#define FORM_PAIRS_MAX 64
/* Parses "a=b&c=d". -EBADMSG broken escape or invalid UTF-8, -E2BIG more than FORM_PAIRS_MAX pairs,
 * -ENOMEM. */
int form_parse(struct form *form, const char *text, size_t len) MUST_CHECK;
void form_done(struct form *form); /* wipes: values may be codes */
/* The value of @name if it stands there exactly once; NULL if absent; *@ret_twice is set if it is
 * repeated. */
const char *form_get(const struct form *form, const char *name, bool *ret_twice);

/* Decimal digits only, no sign, no blanks; -EINVAL, or -ERANGE above @max. */
int number_parse(const char *text, uint64_t max, uint64_t *ret) MUST_CHECK;
/* "90", "15m", "8h", "2d": seconds without suffix; result in seconds. */
int duration_parse(const char *text, uint64_t *ret_sec) MUST_CHECK;
