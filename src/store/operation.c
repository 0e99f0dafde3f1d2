/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done with records. Each operation belongs to the entry of one record; an entry has at
 * most one operation `active`, which the backend works on (or whose callback runs), and the others
 * queued behind it. op_end() is the only way out.
 */
#include <assert.h>
#include <stdio.h>

#include "base/limits.h"
#include "store/state.h"

#define WALK_WINDOW 32 /* reads of one walk at the backend at a time */

enum op_type {
        OP_GET,
        OP_PUT,
        OP_REMOVE,
        OP_WALK, /* one read of a walk */
        OP_TYPE_COUNT,
};

struct operation {
        struct list in_store; /* all of them */
        struct list in_queue; /* those that wait for their entry */
        struct store *store;  /* NULL: the store is gone, the backend has yet to answer */
        struct entry *entry;
        enum op_type type;
        uint64_t era;
        enum store_kind kind;
        char *key;           /* NULL for a walk */
        uint64_t expect;     /* of a put */
        uint64_t generation; /* that is being written */
        struct buf plain;    /* of a put, until it is sealed */
        json_t *value;       /* of a put, as it will be read */
        struct walk *walk;
        store_done_fn fn;
        void *userdata;
};

struct walk {
        struct list in_store;
        struct store *store; /* NULL as above */
        enum store_kind kind;
        char (*names)[RECORD_NAME_SIZE];
        size_t n_names;
        size_t next;
        size_t n_active;
        uint64_t era;
        int r;        /* why it ends early */
        bool listing; /* the backend has yet to say what there is */
        store_each_fn each_fn;
        store_ready_fn fn;
        void *userdata;
};

static void walk_step(struct walk *w, int r, const struct record *rec, const char *name,
                      const char *why);

static struct operation *op_free(struct operation *op) {
        if (op) {
                list_remove(&op->in_store);
                list_remove(&op->in_queue);
                op->key = str_wipe_free(op->key);
                buf_done(&op->plain);
                json_decref(op->value);
                free(op);
        }
        return NULL;
}
DEFINE_CLEANUP(struct operation *, op, op_free)
#define AUTO_OP __attribute__((cleanup(cleanup_op), unused))

static int op_new(struct store *s, enum op_type type, struct operation **ret) {
        struct operation *op;

        if (!store_is_unlocked(s))
                return -ENOKEY;
        if (type != OP_WALK && s->n_pending >= LIMIT_STORE_OPS)
                return -EBUSY; /* walks have a window of their own */
        op = calloc(1, sizeof(*op));
        if (!op)
                return -ENOMEM;
        op->store = s;
        op->type = type;
        op->era = s->era;
        list_init(&op->in_store);
        list_init(&op->in_queue);
        *ret = op;
        return 0;
}

static void tell(struct operation *op, int r, const struct store_item *item,
                 const struct error *err) {
        op->store->n_telling++;
        op->fn(r, item, err, op->userdata);
        op->store->n_telling--;
}

static void describe(enum store_kind kind, const char *name, int r, const char *why,
                     struct error *err) {
        if (why)
                (void)error_set(err, MCPB_STORE_CORRUPT, -r,
                                "Restore it from a backup, or forget it and log in again",
                                "The %s in file %s of the store %s", store_kind_name(kind), name,
                                why);
        else
                (void)store_error(err, r);
}

static struct store_item item_of(const struct record *rec) {
        return (struct store_item){ .kind = rec->kind,
                                    .key = rec->key,
                                    .generation = rec->generation,
                                    .value = rec->value };
}

/*
 * Tells what became of an operation and frees it. @rec: what was read or written, for those that
 * tell it. @why: more about an -EBADMSG. The entry stays busy meanwhile, so that what the callback
 * asks for is queued behind what was asked before.
 */
static void op_finish(struct operation *op_done, int r, const struct record *rec, const char *why) {
        AUTO_OP struct operation *op = op_done;
        struct error err = ERROR_INIT;

        op->store->n_pending--;
        list_remove(&op->in_store);
        if (op->type == OP_WALK) {
                walk_step(op->walk, r, rec, op->entry->name, why);
                return;
        }
        if (r < 0) {
                describe(op->kind, op->entry->name, r, why, &err);
                tell(op, r, NULL, &err);
        } else if (rec) {
                struct store_item item = item_of(rec);

                tell(op, 0, &item, NULL);
        } else {
                tell(op, 0, NULL, NULL);
        }
}

static void entry_next(struct store *s, struct entry *e);

/* The only way out of an operation that the backend worked on. */
static void op_end(struct operation *op, int r, const struct record *rec, const char *why) {
        struct store *s = op->store;
        struct entry *e = op->entry;

        op_finish(op, r, rec, why);
        entry_next(s, e);
}

/* --- what the disk holds --- */

/*
 * Judges what was read and remembers it. 0 with @ret filled; -ENOENT; -EBADMSG with *@ret_why;
 * -ENOMEM and other failures of the backend change nothing.
 */
static int entry_learn(struct store *s, struct entry *e, int r, const struct buf *data,
                       struct record *ret, const char **ret_why) {
        if (r == 0)
                r = record_open(&s->keys, e->name, data->data ? data->data : "", data->len, ret);
        if (r == -EBADMSG)
                *ret_why = "is damaged or was replaced";
        if (r == -ENOENT) {
                bool vanished = e->known && e->present;

                e->known = !vanished;
                e->present = false;
                if (vanished) {
                        *ret_why = "has vanished";
                        return -EBADMSG;
                }
        }
        if (r < 0)
                return r;
        if (ret->generation < e->accept_min) {
                record_done(ret);
                *ret_why = "is older than what was there: somebody put an old copy back";
                return -EBADMSG;
        }
        e->known = true;
        e->present = true;
        e->kind = ret->kind;
        e->generation = e->accept_min = ret->generation;
        if (e->used_max < ret->generation)
                e->used_max = ret->generation;
        return 0;
}

static bool put_is_stale(const struct entry *e, uint64_t expect) {
        return expect != (e->present ? e->generation : 0);
}

/* --- the backend --- */

static void on_op_read(int r, struct buf *data, void *userdata);
static void on_op_written(int r, void *userdata);
static void on_op_removed(int r, void *userdata);

static int ask_read(struct operation *op) {
        struct store *s = op->store;
        int r;

        s->asking = true;
        r = s->ops->read(s->backend, op->entry->name, LIMIT_RECORD_BYTES, on_op_read, op);
        s->asking = false;
        return r;
}

static int ask_write(struct operation *op) {
        struct store *s = op->store;
        struct entry *e = op->entry;
        AUTO_BUF struct buf sealed = BUF_INIT;
        int r;

        if (put_is_stale(e, op->expect))
                return -ESTALE;
        if (e->used_max == UINT64_MAX)
                return -EOVERFLOW;
        op->generation = e->used_max + 1;
        r = record_seal(&s->keys, e->name, op->generation, &op->plain, &sealed);
        if (r < 0)
                return r;
        s->asking = true;
        r = s->ops->write(s->backend, e->name, &sealed, on_op_written, op);
        s->asking = false;
        if (r < 0)
                return r;
        e->used_max = op->generation;
        buf_done(&op->plain);
        return 0;
}

static int ask_remove(struct operation *op) {
        struct store *s = op->store;
        int r;

        s->asking = true;
        r = s->ops->remove(s->backend, op->entry->name, on_op_removed, op);
        s->asking = false;
        return r;
}

/* 0: the backend has it. < 0: nothing was begun. */
static int op_start(struct operation *op) {
        struct entry *e = op->entry;

        if (op->era != op->store->era)
                return -ENOKEY;
        switch (op->type) {
        case OP_GET:
                return e->known && !e->present ? -ENOENT : ask_read(op);
        case OP_WALK:
                return ask_read(op);
        case OP_PUT:
                return e->known ? ask_write(op) : ask_read(op);
        case OP_REMOVE:
                /* Read first if it never was: to remember which generations are now history. */
                if (e->known)
                        return e->present ? ask_remove(op) : -ENOENT;
                return ask_read(op);
        case OP_TYPE_COUNT:
                break;
        }
        assert(false);
        return -EINVAL;
}

/* The entry's operation is done: on to the next that does not fail at once. */
static void entry_next(struct store *s, struct entry *e) {
        while (!list_empty(&e->queue)) {
                struct operation *op = LIST_FIRST(&e->queue, struct operation, in_queue);
                int r;

                list_remove(&op->in_queue);
                e->active = op;
                r = op_start(op);
                if (r == 0)
                        return;
                op_finish(op, r, NULL, NULL);
        }
        e->active = NULL;
        index_drop_idle(&s->index, e);
}

/* True if nobody waits for the answer any more. */
static bool op_orphaned(struct operation *op) {
        if (op->store) {
                assert(!op->store->asking); /* a backend never answers before it returned */
                return false;
        }
        (void)op_free(op);
        return true;
}

static void on_op_read(int r, struct buf *data, void *userdata) {
        AUTO_RECORD struct record rec = RECORD_INIT;
        struct operation *op = userdata;
        const char *why = NULL;
        int r2;

        if (op_orphaned(op))
                return;
        if (op->era != op->store->era) {
                op_end(op, -ENOKEY, NULL, NULL);
                return;
        }
        r = entry_learn(op->store, op->entry, r, data, &rec, &why);
        if (op->type == OP_GET || op->type == OP_WALK) {
                op_end(op, r, r == 0 ? &rec : NULL, why);
                return;
        }
        /*
         * A put or a removal that had to look first. What is damaged may be removed, not written
         * over.
         */
        if (op->type == OP_PUT)
                r2 = r == 0 || r == -ENOENT ? ask_write(op) : r;
        else
                r2 = r == 0 || r == -EBADMSG || r == -EMSGSIZE ? ask_remove(op) : r;
        if (r2 < 0)
                op_end(op, r2, NULL, r2 == r ? why : NULL);
}

static void on_op_written(int r, void *userdata) {
        struct operation *op = userdata;
        struct entry *e = op->entry;
        struct record rec;

        if (op_orphaned(op))
                return;
        if (r < 0) {
                e->known = false; /* the old one or the new one: look before the next */
                op_end(op, r, NULL, NULL);
                return;
        }
        e->known = true;
        e->present = true;
        e->kind = op->kind;
        e->generation = e->accept_min = op->generation;
        rec = (struct record){
                .kind = op->kind, .generation = op->generation, .key = op->key, .value = op->value
        };
        op_end(op, 0, &rec, NULL);
}

static void on_op_removed(int r, void *userdata) {
        struct operation *op = userdata;
        struct entry *e = op->entry;

        if (op_orphaned(op))
                return;
        e->known = r == 0 || r == -ENOENT;
        if (e->known) {
                e->present = false;
                e->accept_min = e->used_max + 1;
        }
        op_end(op, r, NULL, NULL);
}

/* --- submission --- */

/* Takes over @op in any case; a negative return: refused, nothing will be called. */
static int op_submit(struct operation *op_taken, const char *name) {
        AUTO_OP struct operation *op = op_taken;
        struct store *s = op->store;
        struct entry *e = NULL;
        int r = index_get(&s->index, name, &e);

        if (r < 0)
                return r;
        op->entry = e;
        if (e->active) {
                list_append(&e->queue, &op->in_queue);
        } else {
                e->active = op;
                r = op_start(op);
                if (r < 0) {
                        e->active = NULL;
                        index_drop_idle(&s->index, e);
                        return r;
                }
        }
        s->n_pending++;
        list_append(&s->operations, &op->in_store);
        (void)TAKE(op); /* now the store's */
        return 0;
}

static int op_new_keyed(struct store *s, enum op_type type, enum store_kind kind, const char *key,
                        struct operation **ret) {
        AUTO_OP struct operation *op = NULL;
        int r;

        if ((unsigned)kind >= STORE_KIND_COUNT || !key || !record_key_valid(key))
                return -EINVAL;
        r = op_new(s, type, &op);
        if (r < 0)
                return r;
        op->kind = kind;
        op->key = strdup(key);
        if (!op->key)
                return -ENOMEM;
        *ret = TAKE(op);
        return 0;
}

static int op_submit_keyed(struct operation *op, store_done_fn fn, void *userdata) {
        char name[RECORD_NAME_SIZE];

        op->fn = fn;
        op->userdata = userdata;
        record_name(&op->store->keys, op->kind, op->key, name);
        return op_submit(op, name);
}

int store_get(struct store *s, enum store_kind kind, const char *key, store_done_fn fn,
              void *userdata) {
        struct operation *op = NULL;
        int r = op_new_keyed(s, OP_GET, kind, key, &op);

        return r < 0 ? r : op_submit_keyed(op, fn, userdata);
}

int store_remove(struct store *s, enum store_kind kind, const char *key, store_done_fn fn,
                 void *userdata) {
        struct operation *op = NULL;
        int r = op_new_keyed(s, OP_REMOVE, kind, key, &op);

        return r < 0 ? r : op_submit_keyed(op, fn, userdata);
}

int store_put(struct store *s, const struct store_put *put, store_done_fn fn, void *userdata) {
        AUTO_OP struct operation *op = NULL;
        int r = op_new_keyed(s, OP_PUT, put->kind, put->key, &op);

        if (r < 0)
                return r;
        op->expect = put->expect;
        r = record_plain_write(&op->plain, put->kind, put->key, put->value, &op->value);
        return r < 0 ? r : op_submit_keyed(TAKE(op), fn, userdata);
}

/* --- walks --- */

static void walk_free(struct walk *w) {
        list_remove(&w->in_store);
        free(w->names);
        free(w);
}

static void walk_end(struct walk *w) {
        struct store *s = w->store;
        struct error err = ERROR_INIT;

        if (w->r < 0)
                (void)store_error(&err, w->r);
        s->n_pending--;
        list_remove(&w->in_store);
        store_tell_ready(s, w->fn, w->r, &err, w->userdata);
        walk_free(w);
}

/* Not the fault of one record: there is no point in trying the others. */
static bool ends_walk(int r) {
        return r == -ENOKEY || r == -ENOMEM || r == -EPIPE || r == -ETIMEDOUT || r == -ECANCELED ||
               r == -EBUSY || r == -E2BIG;
}

static void walk_tell(struct walk *w, int r, const struct record *rec, const char *name,
                      const char *why) {
        struct error err = ERROR_INIT;
        struct store_item item;

        if (r == -ENOENT)
                return; /* removed since it was listed */
        if (ends_walk(r)) {
                w->r = r;
                return;
        }
        if (r == 0 && w->kind != STORE_KIND_COUNT && w->kind != rec->kind)
                return;
        if (r < 0)
                describe(STORE_KIND_COUNT, name, r, why, &err);
        else
                item = item_of(rec);
        w->store->n_telling++;
        w->each_fn(r, r < 0 ? NULL : &item, name, r < 0 ? &err : NULL, w->userdata);
        w->store->n_telling--;
}

/* Is it known without reading that this record is not of interest? */
static bool walk_skips(const struct walk *w, const char *name) {
        const struct entry *e = index_find(&w->store->index, name);

        return w->kind != STORE_KIND_COUNT && e && e->known && e->present && e->kind != w->kind;
}

static int walk_read(struct walk *w, const char *name) {
        struct operation *op = NULL;
        int r = op_new(w->store, OP_WALK, &op);

        if (r < 0)
                return r;
        op->era = w->era;
        op->walk = w;
        return op_submit(op, name);
}

/* Keeps the window full; ends the walk when there is no more. */
static void walk_pump(struct walk *w) {
        while (w->r == 0 && w->n_active < WALK_WINDOW && w->next < w->n_names) {
                const char *name = w->names[w->next++];
                int r;

                if (walk_skips(w, name))
                        continue;
                r = walk_read(w, name);
                if (r < 0)
                        walk_tell(w, r, NULL, name, NULL);
                else
                        w->n_active++;
        }
        if (w->n_active == 0)
                walk_end(w);
}

static void walk_step(struct walk *w, int r, const struct record *rec, const char *name,
                      const char *why) {
        walk_tell(w, r, rec, name, why);
        w->n_active--;
        walk_pump(w);
}

static int walk_take_names(struct walk *w, const char *const *names, size_t n_names) {
        if (n_names > LIMIT_RECORDS)
                return -E2BIG;
        w->names = calloc(n_names + 1, sizeof(*w->names));
        if (!w->names)
                return -ENOMEM;
        for (size_t i = 0; i < n_names; i++) {
                if (record_name_valid(names[i]))
                        memcpy(w->names[w->n_names++], names[i], RECORD_NAME_SIZE);
        }
        return 0;
}

static void on_walk_listed(int r, const char *const *names, size_t n_names, void *userdata) {
        struct walk *w = userdata;

        w->listing = false;
        if (!w->store) {
                walk_free(w);
                return;
        }
        assert(!w->store->asking);
        if (w->era != w->store->era)
                r = -ENOKEY;
        w->r = r < 0 ? r : walk_take_names(w, names, n_names);
        walk_pump(w);
}

int store_each(struct store *s, enum store_kind kind, store_each_fn each_fn, store_ready_fn fn,
               void *userdata) {
        struct walk *w;
        int r;

        if ((unsigned)kind > STORE_KIND_COUNT)
                return -EINVAL;
        if (!store_is_unlocked(s))
                return -ENOKEY;
        if (s->n_pending >= LIMIT_STORE_OPS)
                return -EBUSY;
        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        *w = (struct walk){ .store = s,
                            .kind = kind,
                            .era = s->era,
                            .listing = true,
                            .each_fn = each_fn,
                            .fn = fn,
                            .userdata = userdata };
        list_init(&w->in_store);
        s->asking = true;
        r = s->ops->list(s->backend, on_walk_listed, w);
        s->asking = false;
        if (r < 0) {
                walk_free(w);
                return r;
        }
        s->n_pending++;
        list_append(&s->walks, &w->in_store);
        return 0;
}

/* --- the end of a store, and its lock --- */

void operations_lock(struct store *s) {
        struct operation *op;

        /* What waits answers -ENOKEY when its turn comes; what it would have written goes now. */
        LIST_FOREACH(op, &s->operations, struct operation, in_store) {
                buf_done(&op->plain);
                if (op->generation == 0) {
                        json_decref(op->value);
                        op->value = NULL;
                }
        }
}

void operations_cancel(struct store *s) {
        struct error err = ERROR_INIT;
        struct list walks = LIST_INIT(walks);
        struct list operations = LIST_INIT(operations);
        struct operation *op;
        struct walk *w;

        (void)store_error(&err, -ECANCELED);
        list_splice(&operations, &s->operations);
        list_splice(&walks, &s->walks);
        LIST_FOREACH(op, &operations, struct operation, in_store) {
                bool at_backend = op->entry->active == op;

                if (op->type != OP_WALK)
                        tell(op, -ECANCELED, NULL, &err);
                list_remove(&op->in_store);
                op->store = NULL;
                op->entry = NULL;
                op->walk = NULL;
                if (!at_backend)
                        (void)op_free(op);
        }
        LIST_FOREACH(w, &walks, struct walk, in_store) {
                list_remove(&w->in_store);
                store_tell_ready(s, w->fn, -ECANCELED, &err, w->userdata);
                w->store = NULL;
                if (!w->listing) /* else freed when the list comes */
                        walk_free(w);
        }
}
