/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of scope tokens (RFC 6749 3.3): sorted, each once, names compared with case. Order never
 * matters (A17). A token that is none is never in a set, so that a set can go on the wire as it is.
 */
#pragma once

#include "base/json.h"

struct scope_set {
        char **items;
        size_t n;
};

#define SCOPE_SET_INIT ((struct scope_set){ 0 })
#define AUTO_SCOPES __attribute__((cleanup(scope_set_done), unused))

void scope_set_done(struct scope_set *s);

/* Adds the tokens of a blank-separated list. What is no scope token, or beyond LIMIT_SCOPES and
 * LIMIT_SCOPE_BYTES, is left out and counted in *@ret_dropped (may be NULL). 0, -ENOMEM. */
int scope_set_parse(struct scope_set *s, const char *text, size_t *ret_dropped) MUST_CHECK;
/* 0 also if it is there already; -EINVAL: no scope token; -E2BIG: over the limits; -ENOMEM. */
int scope_set_add(struct scope_set *s, const char *token) MUST_CHECK;
/* @dst becomes @dst and @src together; on failure it may hold a part of @src. -E2BIG, -ENOMEM. */
int scope_set_union(struct scope_set *dst, const struct scope_set *src) MUST_CHECK;
/* @dst is replaced; unchanged on failure. */
int scope_set_copy(struct scope_set *dst, const struct scope_set *src) MUST_CHECK;

bool scope_token_valid(const char *token, size_t len);
bool scope_set_has(const struct scope_set *s, const char *token);
bool scope_set_contains(const struct scope_set *s, const struct scope_set *subset);
bool scope_set_equal(const struct scope_set *a, const struct scope_set *b);

/* Appends "a b c"; nothing for an empty set. */
int scope_set_to_text(const struct scope_set *s, struct buf *b) MUST_CHECK;
int scope_set_to_json(const struct scope_set *s, json_t **ret) MUST_CHECK; /* an array */
/* Adds the strings of an array; other members and bad tokens are dropped and counted. A value
 * that is no array adds nothing. */
int scope_set_from_json(struct scope_set *s, const json_t *array, size_t *ret_dropped) MUST_CHECK;
