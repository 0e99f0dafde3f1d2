/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process knows of each record, by file name: its generation, and the operations that
 * wait for it. In memory only; it is what makes compare-and-set O(1) and what notices a file that
 * was set back to an older state.
 */
#pragma once

#include "base/list.h"
#include "store/record.h"

struct entry {
        struct list in_bucket;
        char name[RECORD_NAME_SIZE];
        bool known;   /* what follows is what the disk holds */
        bool present; /* there is a record */
        enum store_kind kind;
        uint64_t generation; /* of the record that is present */
        uint64_t accept_min; /* an older one in the file is a replay */
        uint64_t used_max;   /* the highest ever seen or tried: the next is one more */
        struct list queue;   /* of struct operation */
        void *active;        /* the operation at the backend, or being told */
};

struct index {
        struct list *buckets;
        size_t n_buckets; /* a power of two */
        size_t n_entries;
};

int index_init(struct index *x) MUST_CHECK;
void index_done(struct index *x); /* frees the entries, not what waits in them */
struct entry *index_find(const struct index *x, const char *name);
/* Finds or makes. -ENOMEM; -E2BIG when there are too many. */
int index_get(struct index *x, const char *name, struct entry **ret) MUST_CHECK;
/* Forgets an entry that holds nothing worth remembering and that nobody waits for. */
void index_drop_idle(struct index *x, struct entry *e);
