/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealed records of the broker: registrations, grants, logins under way, audit keys.
 * Asynchronous, one record at a time, each change compared against the generation that it is based
 * on. Knows the format (doc/STORE.md) and the keys; knows no disk and no loop: bytes go through a
 * backend (the writer's folder; later others).
 *
 * The rule for every function here that takes a callback:
 *   - a negative return is the whole answer: nothing was begun and the callback is NEVER called
 *     (userdata stays the caller's);
 *   - 0: the callback is called EXACTLY ONCE, later, from within a completion of the backend (or
 *     from store_free(), with -ECANCELED) and never before the function has returned.
 * What can be known at once (locked, bad key, stale generation with nothing under way) is told by
 * the return; the same code can come through the callback where another operation on that record
 * was before it. Treat both alike.
 *
 * A callback may call any function here but store_free(). Everything passed to a callback is
 * borrowed for that call; json_incref() an item's value to keep it (nobody else holds it, it may be
 * changed).
 *
 * Answers (return or callback):
 *   -ENOENT    no such record (store_load: no store has been created yet)
 *   -ESTALE    the generation moved on, or the record exists although it must not: read again,
 *              decide again
 *   -EBADMSG   damaged, swapped, moved, or older than what this process has already seen; nothing
 *              of it is used
 *   -ENOKEY    locked (also: locked while the operation waited)
 *   -EINVAL    bad kind, key or value;  -EMSGSIZE  larger than LIMIT_RECORD_BYTES
 *   -EBUSY     LIMIT_STORE_OPS under way, or another change of the header under way
 *   -ENOMEM; -ECANCELED: store_free(); and what the backend says: -ENOSPC, -EIO, -EPIPE (writer
 *   gone), -ETIMEDOUT (it is not started again in time), ...
 * After a failed write it is not known whether the old or the new record is on the disk (one of
 * them is, whole): the store reads it again before the next operation on it, so the next put may
 * answer -ESTALE.
 */
#pragma once

#include "base/json.h"
#include "crypto/secret.h"

struct store;

enum store_kind {
        STORE_SERVER,
        STORE_REGISTRATION,
        STORE_GRANT,
        STORE_LOGIN,
        STORE_AUDIT_KEYS,
        STORE_KIND_COUNT, /* in store_each(): every kind */
};
const char *store_kind_name(enum store_kind kind); /* "grant" */

struct store_item {
        enum store_kind kind;
        const char *key;     /* as the caller gave it: 1 to LIMIT_STORE_KEY_BYTES of UTF-8 */
        uint64_t generation; /* 1 and up; only ever compared and handed back */
        const json_t *value; /* an object; members that the caller does not know are to be kept */
};

/*
 * @r 0 or as above. @item: get: the record; put: what has been made durable, with its new
 * generation; NULL on failure and after a removal. @err NULL on success, else filled.
 */
typedef void (*store_done_fn)(int r, const struct store_item *item, const struct error *err,
                              void *userdata);
typedef void (*store_ready_fn)(int r, const struct error *err, void *userdata);
/*
 * Once a record. @r 0 with @item, or -EBADMSG and the like with @err; @file is the record's file
 * name in both cases.
 */
typedef void (*store_each_fn)(int r, const struct store_item *item, const char *file,
                              const struct error *err, void *userdata);

/*
 * What a backend does. Each operation returns < 0 (not begun, callback never called) or 0 and then
 * calls back exactly once, never before it returned. The store never has two operations on one name
 * under way, so a backend need not keep an order. Names are 1 to 64 characters of [a-z0-9-].
 */
typedef void (*store_backend_read_fn)(int r, struct buf *data, void *userdata); /* may take @data */
typedef void (*store_backend_done_fn)(int r, void *userdata);
typedef void (*store_backend_list_fn)(int r, const char *const *names, size_t n_names,
                                      void *userdata);
struct store_backend_ops {
        /* The whole file; -ENOENT; -EMSGSIZE above @max. */
        int (*read)(void *backend, const char *name, size_t max, store_backend_read_fn fn,
                    void *userdata);
        /*
         * Replaces the whole file; acknowledged only when it is durable (written, fsync, rename,
         * fsync of the folder). Takes over the contents of @data if it returns 0.
         */
        int (*write)(void *backend, const char *name, struct buf *data, store_backend_done_fn fn,
                     void *userdata);
        /* Acknowledged when durable; -ENOENT if there was none. */
        int (*remove)(void *backend, const char *name, store_backend_done_fn fn, void *userdata);
        /* All names, in any order, also those that are no records ("store", "key"). */
        int (*list)(void *backend, store_backend_list_fn fn, void *userdata);
};

/*
 * Borrows @ops and @backend, which must outlive the store. NULL: out of memory. Starts without a
 * header, locked.
 */
struct store *store_new(const struct store_backend_ops *ops, void *backend) MUST_CHECK;
/*
 * Wipes the keys and ends all operations under way with -ECANCELED, calling their callbacks from
 * here. What the backend has begun it still has to complete (into the void): free the store before
 * the backend, and let the backend complete what it holds with -ECANCELED when it is freed.
 */
struct store *store_free(struct store *s);

/* --- the header: which store this is, and the slots that open it --- */

#define STORE_HEADER_NAME "store" /* file of the header */
#define STORE_KEY_NAME "key"      /* file of the wrapping key of a `file` slot */

/* A slot as the header tells it, readable while locked. Borrowed, until the header changes. */
struct store_slot {
        const char *id;       /* "1": unique in this store, never used again */
        const char *type;     /* "passphrase", "file", ... (slot.h) */
        const json_t *params; /* object; slot.h reads it */
};

/* A slot to be made. */
struct store_slot_new {
        const char *type;
        const json_t *params;              /* object, or NULL for an empty one; copied */
        const struct secret *wrapping_key; /* SECRET_KEY_BYTES; borrowed for the call */
};

/*
 * Reads the header. -ENOENT: there is none, store_create() may be called. -EBADMSG: it is none of
 * ours.
 */
int store_load(struct store *s, store_ready_fn fn, void *userdata) MUST_CHECK;
/*
 * A new store with a new random master key; unlocked when @fn gets 0. -EEXIST if a header is
 * loaded; -EINVAL unless store_load() said -ENOENT before.
 */
int store_create(struct store *s, const struct store_slot_new *slots, size_t n_slots,
                 store_ready_fn fn, void *userdata) MUST_CHECK;

const char *store_id(const struct store *s); /* 32 hex digits; NULL without a header */
size_t store_n_slots(const struct store *s);
bool store_slot_at(const struct store *s, size_t i, struct store_slot *ret);
bool store_slot_find(const struct store *s, const char *id, struct store_slot *ret);

/*
 * At once, no callback. -ENOENT no such slot; -EKEYREJECTED the wrapping key is not the one
 * (WRONG_PASSPHRASE); -EBADMSG the key is right but the header was changed by somebody else
 * (STORE_CORRUPT); -EALREADY is unlocked; -ENODATA no header.
 */
int store_unlock(struct store *s, const char *slot_id, const struct secret *wrapping_key,
                 struct error *err) MUST_CHECK;
/*
 * Wipes the keys, at once. Writes that the backend has already begun complete as usual (they are
 * sealed); all else under way answers -ENOKEY. Drain first (store_pending()) where nothing may be
 * lost.
 */
void store_lock(struct store *s);
bool store_is_unlocked(const struct store *s);

/*
 * Change the slots of an unlocked store; the header is durable before @fn. -EBUSY while another
 * change is under way; -EPERM for the last slot. The master key stays as it is: doc/STORE.md says
 * what the removal of a slot does not do.
 */
int store_slot_add(struct store *s, const struct store_slot_new *slot, store_ready_fn fn,
                   void *userdata) MUST_CHECK;
int store_slot_remove(struct store *s, const char *slot_id, store_ready_fn fn, void *userdata)
        MUST_CHECK;

/* --- records --- */

int store_get(struct store *s, enum store_kind kind, const char *key, store_done_fn fn,
              void *userdata) MUST_CHECK;

/*
 * Makes @value (an object; copied as text before this returns, so the caller may change it at once)
 * the record, if its generation is still @expect; 0: if there is no such record. Several operations
 * on one record are queued and done in the order of the calls. Two puts with the same @expect: the
 * second answers -ESTALE.
 */
struct store_put {
        enum store_kind kind;
        const char *key;
        uint64_t expect;
        const json_t *value;
};
int store_put(struct store *s, const struct store_put *put, store_done_fn fn, void *userdata)
        MUST_CHECK;

/* Whatever its generation is, also a damaged record. */
int store_remove(struct store *s, enum store_kind kind, const char *key, store_done_fn fn,
                 void *userdata) MUST_CHECK;

/*
 * Reads all records of @kind (STORE_KIND_COUNT: all), each told once to @each_fn in no order, then
 * @fn once. A damaged record is told and the walk goes on: @fn then still gets 0. Damaged records
 * have no known kind and are told in every walk. Records that are put or removed meanwhile may be
 * told or not.
 */
int store_each(struct store *s, enum store_kind kind, store_each_fn each_fn, store_ready_fn fn,
               void *userdata) MUST_CHECK;

/*
 * Fills @err with what an answer of this store means to a person; for negative returns. Returns @r.
 */
int store_error(struct error *err, int r);

/* How many operations are under way or queued. 0: all that was asked for is durable and told. */
size_t store_pending(const struct store *s);
