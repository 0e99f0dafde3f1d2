/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of struct store, for store.c (header, keys) and operation.c (records).
 */
#pragma once

#include "store/index.h"
#include "store/store.h"

enum header_state {
        HEADER_UNKNOWN, /* not read, or it is not known what became of a write */
        HEADER_ABSENT,  /* the backend said so: a store may be created */
        HEADER_LOADED,
        HEADER_STATE_COUNT,
};

enum header_verb {
        HEADER_LOAD,
        HEADER_CREATE,
        HEADER_CHANGE,
        HEADER_VERB_COUNT,
};

/* A read or write of the header under way; one at a time. */
struct header_call {
        struct store *store; /* NULL: the store is gone, nobody waits */
        enum header_verb verb;
        uint64_t era;
        json_t *header;        /* as it will be */
        struct secret *master; /* of a store that is being created */
        store_ready_fn fn;
        void *userdata;
};

struct store {
        const struct store_backend_ops *ops;
        void *backend;

        enum header_state header_state;
        json_t *header;
        struct header_call *header_call;

        /* All NULL while locked. Several need the same: see keys_set(). */
        struct secret *master;
        struct secret *mac_key;
        struct secret *name_key;
        struct secret *record_key;
        struct record_keys keys;
        uint64_t era; /* goes up with each lock: what was begun before is answered -ENOKEY */

        struct index index;
        struct list operations;
        struct list walks;
        size_t n_pending;
        unsigned n_telling; /* callbacks on the stack */
        bool asking;        /* the backend is being asked: it must not answer now */
};

/*
 * Every way to a callback goes through here, so that store_free() can tell that it is called from
 * one.
 */
void store_tell_ready(struct store *s, store_ready_fn fn, int r, const struct error *err,
                      void *userdata);

/* store_free() and store_lock(), the part that concerns records. */
void operations_cancel(struct store *s);
void operations_lock(struct store *s);
