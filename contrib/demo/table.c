/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded map: hash chains for look-up, a second list in order of age for forgetting.
 */
#include "table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

#define N_BUCKETS 8192U

struct entry {
        struct entry *chain;
        struct entry *older;
        struct entry *newer;
        void *value;
        char *key;
};

struct table {
        struct entry *buckets[N_BUCKETS];
        struct entry *oldest;
        struct entry *newest;
        table_free_fn free_value;
        size_t n;
        size_t n_max;
        bool forgets;
};

static size_t bucket_of(const char *key) {
        uint32_t h = 2166136261U; /* FNV-1a: keys are random or few, nobody floods a test peer */

        for (; *key; key++)
                h = (h ^ (unsigned char)*key) * 16777619U;
        return h % N_BUCKETS;
}

struct table *table_new(size_t n_max, bool forgets, table_free_fn free_value) {
        struct table *t = mem_new(sizeof(*t));

        t->n_max = n_max;
        t->forgets = forgets;
        t->free_value = free_value;
        return t;
}

static void entry_unlink(struct table *t, struct entry *e) {
        struct entry **link = &t->buckets[bucket_of(e->key)];

        while (*link != e)
                link = &(*link)->chain;
        *link = e->chain;
        if (e->older)
                e->older->newer = e->newer;
        else
                t->oldest = e->newer;
        if (e->newer)
                e->newer->older = e->older;
        else
                t->newest = e->older;
        t->n--;
        if (t->free_value)
                t->free_value(e->value);
        free(e->key);
        free(e);
}

struct table *table_free(struct table *t) {
        if (t)
                table_clear(t);
        free(t);
        return NULL;
}

void table_clear(struct table *t) {
        while (t->oldest)
                entry_unlink(t, t->oldest);
}

bool table_add(struct table *t, const char *key, void *value) {
        struct entry **bucket = &t->buckets[bucket_of(key)];
        struct entry *e;

        if (t->n >= t->n_max && t->forgets)
                entry_unlink(t, t->oldest);
        if (t->n >= t->n_max) {
                if (t->free_value)
                        t->free_value(value);
                return false;
        }
        e = mem_new(sizeof(*e));
        e->key = mem_string(key);
        e->value = value;
        e->chain = *bucket;
        *bucket = e;
        e->older = t->newest;
        if (t->newest)
                t->newest->newer = e;
        else
                t->oldest = e;
        t->newest = e;
        t->n++;
        return true;
}

static struct entry *entry_find(const struct table *t, const char *key) {
        struct entry *e;

        if (!key)
                return NULL;
        for (e = t->buckets[bucket_of(key)]; e; e = e->chain)
                if (strcmp(e->key, key) == 0)
                        return e;
        return NULL;
}

void *table_get(const struct table *t, const char *key) {
        struct entry *e = entry_find(t, key);

        return e ? e->value : NULL;
}

bool table_remove(struct table *t, const char *key) {
        struct entry *e = entry_find(t, key);

        if (!e)
                return false;
        entry_unlink(t, e);
        return true;
}

size_t table_count(const struct table *t) {
        return t->n;
}

void table_each(const struct table *t, table_each_fn fn, void *userdata) {
        for (struct entry *e = t->oldest; e; e = e->newer)
                fn(e->value, userdata);
}
