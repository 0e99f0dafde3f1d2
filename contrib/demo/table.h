/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded map from strings to objects it owns. A full table forgets its oldest entry if it was
 * made to, else it refuses the new one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct table;
typedef void (*table_free_fn)(void *value);
typedef void (*table_each_fn)(void *value, void *userdata);

struct table *table_new(size_t n_max, bool forgets, table_free_fn free_value);
struct table *table_free(struct table *t);
/* Takes value, also when it refuses. The key must not be there yet (keys here are random). */
bool table_add(struct table *t, const char *key, void *value);
void *table_get(const struct table *t, const char *key);
bool table_remove(struct table *t, const char *key);
void table_clear(struct table *t);
size_t table_count(const struct table *t);
void table_each(const struct table *t, table_each_fn fn, void *userdata);
