/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table that fits the terminal: the widest columns give way first, and what is cut ends in "…".
 * All text is made safe to show.
 */
#pragma once

#include <stdio.h>

#include "base/util.h"

#define TABLE_COLUMNS_MAX 8

struct table;

struct table *table_new(const char *const *headings, size_t n_columns)
        MUST_CHECK; /* NULL: out of memory */
struct table *table_free(struct table *t);
int table_add(struct table *t, const char *const *cells) MUST_CHECK; /* -ENOMEM */
/* @width 0: no limit. */
void table_print(const struct table *t, FILE *to, size_t width);
/* The width of the terminal behind @to; 0 if it is none. $COLUMNS is not asked: it is often stale.
 */
size_t table_width(FILE *to);
