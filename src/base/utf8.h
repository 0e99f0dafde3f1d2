/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that came from outside: is it UTF-8, and can it be shown on a terminal without harm?
 */
#pragma once

#include "base/util.h"

/* True if @len bytes are valid UTF-8 (no surrogates, no overlong forms). NUL bytes are allowed. */
bool utf8_valid(const char *data, size_t len);

/* Bytes of the character at @p, of which @len > 0 are there, 0 if it is not valid UTF-8. *ret_cp is
 * its code point. */
size_t utf8_char(const char *p, size_t len, uint32_t *ret_cp);

/* Makes a string safe to show: control characters (C0, DEL, C1) and invalid bytes become '?', a
 * character cut at the end is dropped. In place; never longer. */
void utf8_clean(char *s);

/* A cleaned copy of at most @max bytes (plus NUL); NULL when out of memory. */
char *utf8_clean_dup(const char *data, size_t len, size_t max) MUST_CHECK;
