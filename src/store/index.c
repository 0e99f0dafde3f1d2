/* SPDX-License-Identifier: Apache-2.0 */
#include "store/index.h"

#include "base/limits.h"

#define BUCKETS_MIN 64
/* Records, those that were removed while this process runs, and those that are only asked for. */
#define ENTRIES_MAX (2 * (size_t)LIMIT_RECORDS)

/*
 * Names are keyed hashes: any part of them is as good as random, and nobody outside can choose it.
 */
static struct list *bucket_of(struct list *buckets, size_t n_buckets, const char *name) {
        size_t h = 0;

        for (size_t i = 0; i < 8; i++)
                h = h * 16 + (size_t)(name[i] <= '9' ? name[i] - '0' : name[i] - 'a' + 10);
        return &buckets[h & (n_buckets - 1)];
}

static struct list *new_buckets(size_t n) {
        struct list *buckets = calloc(n, sizeof(*buckets));

        for (size_t i = 0; buckets && i < n; i++)
                list_init(&buckets[i]);
        return buckets;
}

int index_init(struct index *x) {
        struct list *buckets = new_buckets(BUCKETS_MIN);

        if (!buckets)
                return -ENOMEM;
        *x = (struct index){ .buckets = buckets, .n_buckets = BUCKETS_MIN };
        return 0;
}

void index_done(struct index *x) {
        for (size_t i = 0; i < x->n_buckets; i++) {
                struct entry *e;

                LIST_FOREACH(e, &x->buckets[i], struct entry, in_bucket)
                        free(e);
        }
        free(x->buckets);
        *x = (struct index){ 0 };
}

struct entry *index_find(const struct index *x, const char *name) {
        struct entry *e;

        LIST_FOREACH(e, bucket_of(x->buckets, x->n_buckets, name), struct entry, in_bucket) {
                if (streq(e->name, name))
                        return e;
        }
        return NULL;
}

/* Without memory the buckets only get longer. */
static void grow(struct index *x) {
        size_t n = x->n_buckets * 2;
        struct list *buckets = new_buckets(n);

        if (!buckets)
                return;
        for (size_t i = 0; i < x->n_buckets; i++) {
                struct entry *e;

                LIST_FOREACH(e, &x->buckets[i], struct entry, in_bucket) {
                        list_remove(&e->in_bucket);
                        list_append(bucket_of(buckets, n, e->name), &e->in_bucket);
                }
        }
        free(x->buckets);
        x->buckets = buckets;
        x->n_buckets = n;
}

/*
 * The memory of removed records is what can be spared: without it, a copy of a removed file that
 * somebody puts back would be taken for a record again.
 */
static void forget_removed(struct index *x) {
        for (size_t i = 0; i < x->n_buckets; i++) {
                struct entry *e;

                LIST_FOREACH(e, &x->buckets[i], struct entry, in_bucket) {
                        if (!e->known || e->present)
                                continue;
                        e->used_max = 0;
                        index_drop_idle(x, e);
                }
        }
}

int index_get(struct index *x, const char *name, struct entry **ret) {
        struct entry *e = index_find(x, name);

        if (!e) {
                if (x->n_entries >= ENTRIES_MAX)
                        forget_removed(x);
                if (x->n_entries >= ENTRIES_MAX)
                        return -E2BIG;
                e = calloc(1, sizeof(*e));
                if (!e)
                        return -ENOMEM;
                memcpy(e->name, name, sizeof(e->name));
                e->accept_min = 1;
                list_init(&e->queue);
                if (x->n_entries >= x->n_buckets)
                        grow(x);
                list_append(bucket_of(x->buckets, x->n_buckets, name), &e->in_bucket);
                x->n_entries++;
        }
        *ret = e;
        return 0;
}

void index_drop_idle(struct index *x, struct entry *e) {
        if (e->active || !list_empty(&e->queue) || e->used_max > 0)
                return;
        list_remove(&e->in_bucket);
        free(e);
        x->n_entries--;
}
