/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a string to a pointer, in constant time. The map owns copies of its keys and nothing else.
 */
#pragma once

#include "base/util.h"

struct strmap;

struct strmap *strmap_new(void) MUST_CHECK; /* NULL: out of memory */
struct strmap *strmap_free(struct strmap *m);
int strmap_put(struct strmap *m, const char *key, void *value) MUST_CHECK; /* replaces; -ENOMEM */
void *strmap_get(const struct strmap *m, const char *key);                 /* NULL if absent */
void *strmap_remove(struct strmap *m, const char *key); /* what was there, or NULL */
size_t strmap_count(const struct strmap *m);
