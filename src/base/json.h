/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jansson with our bounds: foreign bytes are parsed with a depth limit, duplicate keys are refused,
 * and the getters never take a wrong type for a value.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"

static inline void cleanup_json(json_t **j) {
        json_decref(*j);
}
#define AUTO_JSON __attribute__((cleanup(cleanup_json), unused))

/*
 * Parses exactly one JSON value. Refused with -EBADMSG: more nesting than @depth_max, duplicate
 * keys, invalid UTF-8, text behind the value, NUL in a string. On success *@ret is a new reference.
 * @why (may be NULL) gets a short reason. Out of memory is -ENOMEM where jansson lets it be told
 * from bad input, else -EBADMSG.
 */
int json_parse(const char *data, size_t len, unsigned depth_max, json_t **ret, const char **why)
        MUST_CHECK;

/* Appends the compact form. 0, -ENOMEM or -EMSGSIZE. */
int json_write(struct buf *b, const json_t *value) MUST_CHECK;
/* The same with sorted keys: one value, one text. */
int json_write_canonical(struct buf *b, const json_t *value) MUST_CHECK;

/* NULL, or @fallback, if absent or of another type. Borrowed from the object. */
const char *json_get_string(const json_t *object, const char *key);
bool json_get_bool(const json_t *object, const char *key, bool fallback);
json_int_t json_get_int(const json_t *object, const char *key, json_int_t fallback);

/* True if the array @key holds the string @value. */
bool json_has_string(const json_t *object, const char *key, const char *value);

/* Takes over jansson's allocation: every block is wiped before it is freed. Once, first thing in
 * main. */
void json_use_wiping_allocator(void);
