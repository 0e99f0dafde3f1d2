/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON text looked at in place, so that bytes can be relayed untouched: numbers keep their digits,
 * objects their order, strings their escapes. jsonspan_check() judges foreign bytes, once; all
 * other functions take spans of text that it let pass. A span borrows: it lives as long as the text
 * does. Nothing here recurses, whatever the text.
 */
#pragma once

#include "base/buf.h"

struct span {
        const char *p;
        size_t len; /* 0: there is none */
};

#define SPAN_NONE ((struct span){ 0 })
#define JSONSPAN_DEPTH_MAX 1024

enum jsonspan_type {
        JSONSPAN_NONE, /* an empty span */
        JSONSPAN_NULL,
        JSONSPAN_BOOL,
        JSONSPAN_NUMBER,
        JSONSPAN_STRING,
        JSONSPAN_ARRAY,
        JSONSPAN_OBJECT,
};

/*
 * Exactly one JSON value, with blanks around it? -EBADMSG if not, or if it is nested deeper than
 * @depth_max (JSONSPAN_DEPTH_MAX at most); @why (may be NULL) gets a short reason. Duplicate keys,
 * numbers of any size, an escaped NUL and half a surrogate pair are all JSON, and pass.
 */
int jsonspan_check(const char *data, size_t len, unsigned depth_max, const char **why) MUST_CHECK;

/* The value without the blanks around it. */
struct span jsonspan_trim(const char *data, size_t len);
enum jsonspan_type jsonspan_type(struct span value);

/* Walks along: *@pos is 0 at first. False at the end, and for what is no object or no array. */
bool jsonspan_next_member(struct span object, size_t *pos, struct span *ret_key,
                          struct span *ret_value);
bool jsonspan_next_item(struct span array, size_t *pos, struct span *ret_value);

/* The value of @key, compared as what it means ("\u0061" is "a"); of duplicates the last, as most
 * parsers have it. -ENOENT if there is none, or no object. */
int jsonspan_member(struct span object, const char *key, struct span *ret) MUST_CHECK;

/* Is the value a string that means @text? */
bool jsonspan_string_is(struct span value, const char *text);
/* Two strings that mean the same, or two numbers of the same value, however they are written. */
bool jsonspan_same(struct span a, struct span b);

/* What a string means, in UTF-8. -EBADMSG: no string, or half a surrogate pair in it, or (the first
 * form) a NUL. The caller frees *@ret; the second form appends, and may say -EMSGSIZE. */
int jsonspan_string(struct span value, char **ret) MUST_CHECK;
int jsonspan_decode(struct buf *b, struct span value) MUST_CHECK;

/* Appends an integer in plain decimal digits ("1e2" is 100, "-0" is 0). -ERANGE: no integer, or one
 * of more than 64 digits. */
int jsonspan_integer(struct buf *b, struct span value) MUST_CHECK;

/* Appends the value without the blanks that mean nothing. 0, -ENOMEM, -EMSGSIZE. */
int jsonspan_compact(struct buf *b, struct span value) MUST_CHECK;
/* Appends text as a JSON string; what is not UTF-8 in it becomes U+FFFD. */
int jsonspan_quote(struct buf *b, const char *text, size_t len) MUST_CHECK;
