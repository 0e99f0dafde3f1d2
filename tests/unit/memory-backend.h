/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend of the store for tests: files in memory, and a queue of requests that the test answers
 * when, in which order and how it likes.
 */
#pragma once

#include "store/store.h"

#define MEMORY_FILES_MAX 4096

enum memory_verb {
        MEMORY_READ,
        MEMORY_WRITE,
        MEMORY_REMOVE,
        MEMORY_LIST,
};

struct memory_file {
        char name[65];
        struct buf data;
};

struct memory_request {
        enum memory_verb verb;
        char name[65];
        size_t max;
        struct buf data;
        store_backend_read_fn read_fn;
        store_backend_done_fn done_fn;
        store_backend_list_fn list_fn;
        void *userdata;
};

struct memory {
        struct memory_file *files[MEMORY_FILES_MAX];
        size_t n_files;
        struct memory_request *requests[MEMORY_FILES_MAX];
        size_t n_requests;
        unsigned n_asked[MEMORY_LIST + 1];
        int refuse; /* what each new request answers at once; 0: takes it */
        void (*quiet)(
                bool on); /* around the backend's own allocations, which never fail; or NULL */
};

extern const struct store_backend_ops memory_ops;

struct memory *memory_new(void);
void memory_free(struct memory *m); /* answers what waits with -ECANCELED */

/*
 * Answers request number @i (0: the oldest) as a disk would, or with @r < 0; @apply: a failed write
 * or removal has happened all the same.
 */
void memory_answer(struct memory *m, size_t i);
void memory_fail(struct memory *m, size_t i, int r, bool apply);
/* Answers until nothing waits. */
void memory_run(struct memory *m);

/* NULL: no such file. */
struct buf *memory_file(struct memory *m, const char *name);
void memory_put_file(struct memory *m, const char *name, const void *data, size_t len);
void memory_remove_file(struct memory *m, const char *name);
/* NULL beyond the last. */
const char *memory_name_at(struct memory *m, size_t i);
