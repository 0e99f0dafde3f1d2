/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <assert.h>

#include "base/codec.h"
#include "base/limits.h"
#include "store/header.h"
#include "store/slot.h"
#include "store/state.h"

#define SUBKEY_CONTEXT "mcpstore"
enum subkey {
        SUBKEY_MAC = 1,
        SUBKEY_NAMES = 2,
        SUBKEY_RECORDS = 3,
};

struct store *store_new(const struct store_backend_ops *ops, void *backend) {
        struct store *s = calloc(1, sizeof(*s));

        if (!s || index_init(&s->index) < 0) {
                free(s);
                return NULL;
        }
        s->ops = ops;
        s->backend = backend;
        list_init(&s->operations);
        list_init(&s->walks);
        return s;
}

static void header_call_free(struct header_call *c) {
        json_decref(c->header);
        c->master = secret_free(c->master);
        free(c);
}

struct store *store_free(struct store *s) {
        struct header_call *c;

        if (!s)
                return NULL;
        assert(s->n_telling == 0);
        store_lock(s);
        operations_cancel(s);
        c = TAKE(s->header_call);
        if (c) {
                struct error err = ERROR_INIT;

                /* The backend still has it: freed when that answers. */
                c->store = NULL;
                c->master = secret_free(c->master);
                (void)store_error(&err, -ECANCELED);
                store_tell_ready(s, c->fn, -ECANCELED, &err, c->userdata);
        }
        index_done(&s->index);
        json_decref(s->header);
        free(s);
        return NULL;
}

size_t store_pending(const struct store *s) {
        return s->n_pending + (s->header_call ? 1 : 0);
}

void store_tell_ready(struct store *s, store_ready_fn fn, int r, const struct error *err,
                      void *userdata) {
        s->n_telling++;
        fn(r, r < 0 ? err : NULL, userdata);
        s->n_telling--;
}

int store_error(struct error *err, int r) {
        static const struct {
                int errnum;
                enum error_code code;
                const char *message;
                const char *hint;
        } table[] = {
                { ENOENT, MCPB_NOT_FOUND, "There is no such record in the store", NULL },
                { ESTALE, MCPB_CONFLICT, "The record was changed meanwhile", "Try again" },
                { EBADMSG, MCPB_STORE_CORRUPT, "The record is damaged or was replaced",
                  "Restore it from a backup, or forget it and log in again" },
                { ENOKEY, MCPB_LOCKED, "The store is locked", "Unlock it: mcp-brokerctl unlock" },
                { EINVAL, MCPB_INTERNAL, "Not a record that the store can hold", NULL },
                { EMSGSIZE, MCPB_STORE_UNAVAILABLE, "The record is too large", NULL },
                { EBUSY, MCPB_BUSY, "The store has too much to do", "Try again" },
                { ECANCELED, MCPB_STOPPING, "The store is being closed", NULL },
                { ENOSPC, MCPB_STORE_UNAVAILABLE, "The disk of the store is full",
                  "Free some space" },
                { EDQUOT, MCPB_STORE_UNAVAILABLE, "The quota of the store is used up",
                  "Free some space" },
                { EPIPE, MCPB_STORE_UNAVAILABLE, "The writer of the store has ended",
                  "Look into the journal for the reason" },
                { ETIMEDOUT, MCPB_STORE_UNAVAILABLE, "The writer of the store does not start",
                  "Look into the journal for the reason, and try again" },
                { E2BIG, MCPB_STORE_UNAVAILABLE, "There are too many records in the store", NULL },
                { ENOBUFS, MCPB_INTERNAL, "There is no locked memory left for keys", NULL },
        };

        if (r == -ENOMEM)
                return error_oom(err);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                if (table[i].errnum == -r)
                        return error_set(err, table[i].code, -r, table[i].hint, "%s",
                                         table[i].message);
        }
        return error_set(err, MCPB_STORE_UNAVAILABLE, -r, "Look at the disk of the store",
                         "The store cannot be read or written: %s", strerror(-r));
}

/* --- keys --- */

bool store_is_unlocked(const struct store *s) {
        return s->master != NULL;
}

void store_lock(struct store *s) {
        s->era++;
        s->record_key = secret_free(s->record_key);
        s->name_key = secret_free(s->name_key);
        s->mac_key = secret_free(s->mac_key);
        s->master = secret_free(s->master);
        s->keys = (struct record_keys){ 0 };
        operations_lock(s);
}

/* Takes over @master if it returns 0. */
static int keys_set(struct store *s, const json_t *header, struct secret *master) {
        AUTO_SECRET struct secret *mac = subkey_new(master, SUBKEY_MAC, SUBKEY_CONTEXT);
        AUTO_SECRET struct secret *names = subkey_new(master, SUBKEY_NAMES, SUBKEY_CONTEXT);
        AUTO_SECRET struct secret *records = subkey_new(master, SUBKEY_RECORDS, SUBKEY_CONTEXT);
        AUTO_BUF struct buf id = BUF_INIT;
        const char *text = header_store_id(header);
        int r;

        if (!mac || !names || !records)
                return -ENOBUFS;
        r = hex_decode(&id, text, strlen(text));
        if (r < 0)
                return r;
        assert(id.len == STORE_ID_BYTES);
        memcpy(s->keys.store_id, id.data, STORE_ID_BYTES);
        s->master = master;
        s->mac_key = TAKE(mac);
        s->keys.names = s->name_key = TAKE(names);
        s->keys.records = s->record_key = TAKE(records);
        return 0;
}

static int check_mac(const json_t *header, const struct secret *master) {
        AUTO_SECRET struct secret *mac = subkey_new(master, SUBKEY_MAC, SUBKEY_CONTEXT);

        return mac ? header_verify(header, mac) : -ENOBUFS;
}

int store_unlock(struct store *s, const char *slot_id, const struct secret *wrapping_key,
                 struct error *err) {
        AUTO_SECRET struct secret *master = NULL;
        const json_t *slot;
        int r;

        if (s->header_state != HEADER_LOADED)
                return error_set(err, MCPB_STORE_UNAVAILABLE, ENODATA, NULL,
                                 "There is no store to unlock");
        if (store_is_unlocked(s))
                return error_set(err, MCPB_EXISTS, EALREADY, NULL, "The store is unlocked");
        slot = header_slot(s->header, slot_id);
        if (!slot)
                return error_set(err, MCPB_NOT_FOUND, ENOENT, NULL,
                                 "The store has no key slot of that number");
        r = slot_unwrap(header_store_id(s->header), wrapping_key, slot, &master);
        if (r == -EKEYREJECTED && streq(json_get_string(slot, "type"), SLOT_PASSPHRASE))
                return error_set(err, MCPB_WRONG_PASSPHRASE, EKEYREJECTED,
                                 "Try again: nothing has changed", "The passphrase is wrong");
        if (r == -EKEYREJECTED)
                return error_set(err, MCPB_WRONG_PASSPHRASE, EKEYREJECTED,
                                 "Restore the key that belongs to this store from a backup",
                                 "The key does not open the store");
        if (r == 0)
                r = check_mac(s->header, master);
        if (r == -EBADMSG)
                return error_set(err, MCPB_STORE_CORRUPT, EBADMSG,
                                 "Restore the file \"" STORE_HEADER_NAME "\" from a backup",
                                 "The header of the store was changed by somebody else");
        if (r == 0)
                r = keys_set(s, s->header, master);
        if (r < 0)
                return store_error(err, r);
        (void)TAKE(master); /* now the store's */
        return 0;
}

/* --- the header --- */

const char *store_id(const struct store *s) {
        return s->header ? header_store_id(s->header) : NULL;
}

size_t store_n_slots(const struct store *s) {
        return json_array_size(header_slots(s->header));
}

static bool slot_tell(const json_t *slot, struct store_slot *ret) {
        if (!slot)
                return false;
        *ret = (struct store_slot){ .id = json_get_string(slot, "id"),
                                    .type = json_get_string(slot, "type"),
                                    .params = json_object_get(slot, "params") };
        return true;
}

bool store_slot_at(const struct store *s, size_t i, struct store_slot *ret) {
        return slot_tell(json_array_get(header_slots(s->header), i), ret);
}

bool store_slot_find(const struct store *s, const char *id, struct store_slot *ret) {
        return slot_tell(header_slot(s->header, id), ret);
}

static int header_call_new(struct store *s, enum header_verb verb, store_ready_fn fn,
                           void *userdata, struct header_call **ret) {
        struct header_call *c;

        if (s->header_call)
                return -EBUSY;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        *c = (struct header_call){
                .store = s, .verb = verb, .era = s->era, .fn = fn, .userdata = userdata
        };
        *ret = c;
        return 0;
}

/* The only way out of a header call. */
static void header_call_complete(struct header_call *c, int r, struct error *err) {
        struct store *s = c->store;

        s->header_call = NULL;
        if (r < 0 && err->code == MCPB_NO_ERROR)
                (void)store_error(err, r);
        store_tell_ready(s, c->fn, r, err, c->userdata);
        header_call_free(c);
}

static void on_header_read(int r, struct buf *data, void *userdata) {
        struct header_call *c = userdata;
        struct store *s = c->store;
        struct error err = ERROR_INIT;
        json_t *header = NULL;

        if (!s) {
                header_call_free(c);
                return;
        }
        assert(!s->asking);
        if (r == 0)
                r = header_parse(data->data ? data->data : "", data->len, &header, &err);
        if (r == 0) {
                json_decref(s->header);
                s->header = header;
                s->header_state = HEADER_LOADED;
        } else if (r == -ENOENT) {
                s->header_state = HEADER_ABSENT;
                (void)error_set(&err, MCPB_NOT_FOUND, ENOENT, NULL, "There is no store yet");
        }
        header_call_complete(c, r, &err);
}

int store_load(struct store *s, store_ready_fn fn, void *userdata) {
        struct header_call *c = NULL;
        int r;

        if (store_is_unlocked(s))
                return -EALREADY;
        r = header_call_new(s, HEADER_LOAD, fn, userdata, &c);
        if (r < 0)
                return r;
        s->asking = true;
        r = s->ops->read(s->backend, STORE_HEADER_NAME, LIMIT_STORE_HEADER_BYTES, on_header_read,
                         c);
        s->asking = false;
        if (r < 0) {
                header_call_free(c);
                return r;
        }
        s->header_call = c;
        return 0;
}

static void on_header_written(int r, void *userdata) {
        struct header_call *c = userdata;
        struct store *s = c->store;
        struct error err = ERROR_INIT;

        if (!s) {
                header_call_free(c);
                return;
        }
        assert(!s->asking);
        if (r == 0) {
                json_decref(s->header);
                s->header = TAKE(c->header);
                s->header_state = HEADER_LOADED;
                if (c->verb == HEADER_CREATE) {
                        /* Locked meanwhile: the new store stays, its key does not. */
                        r = c->era != s->era ? -ENOKEY : keys_set(s, s->header, c->master);
                        if (r == 0)
                                c->master = NULL; /* now the store's */
                }
        } else if (c->verb == HEADER_CREATE) {
                s->header_state = HEADER_UNKNOWN; /* perhaps it is there: load again */
        }
        header_call_complete(c, r, &err);
}

/* Takes over @c in any case. */
static int header_send(struct store *s, struct header_call *c, const struct secret *mac_key) {
        AUTO_BUF struct buf text = BUF_INIT;
        int r = header_write(c->header, mac_key, &text);

        if (r == 0) {
                s->asking = true;
                r = s->ops->write(s->backend, STORE_HEADER_NAME, &text, on_header_written, c);
                s->asking = false;
        }
        if (r < 0) {
                header_call_free(c);
                return r;
        }
        s->header_call = c;
        return 0;
}

static int slot_make(json_t *header, const struct store_slot_new *slot,
                     const struct secret *master) {
        json_t *made = NULL;
        int r;

        if (!slot->wrapping_key || secret_size(slot->wrapping_key) != SECRET_KEY_BYTES)
                return -EINVAL;
        r = header_slot_add(header, slot->type, slot->params, &made);
        return r < 0 ? r : slot_wrap(header_store_id(header), slot->wrapping_key, master, made);
}

/* A new header with these slots, in @c. */
static int header_make(struct header_call *c, const struct store_slot_new *slots, size_t n_slots) {
        int r;

        c->master = secret_new_random(SECRET_KEY_BYTES);
        if (!c->master)
                return -ENOBUFS;
        r = header_new(&c->header);
        for (size_t i = 0; r == 0 && i < n_slots; i++)
                r = slot_make(c->header, &slots[i], c->master);
        return r;
}

int store_create(struct store *s, const struct store_slot_new *slots, size_t n_slots,
                 store_ready_fn fn, void *userdata) {
        AUTO_SECRET struct secret *mac = NULL;
        struct header_call *c = NULL;
        int r;

        if (s->header_state == HEADER_LOADED)
                return -EEXIST;
        if (s->header_state != HEADER_ABSENT || n_slots == 0)
                return -EINVAL;
        r = header_call_new(s, HEADER_CREATE, fn, userdata, &c);
        if (r < 0)
                return r;
        r = header_make(c, slots, n_slots);
        if (r == 0) {
                mac = subkey_new(c->master, SUBKEY_MAC, SUBKEY_CONTEXT);
                r = mac ? 0 : -ENOBUFS;
        }
        if (r < 0) {
                header_call_free(c);
                return r;
        }
        return header_send(s, c, mac);
}

/* A change to a copy of the header: what is in memory stays until the new one is durable. */
static int change_begin(struct store *s, store_ready_fn fn, void *userdata,
                        struct header_call **ret) {
        struct header_call *c = NULL;
        int r;

        if (!store_is_unlocked(s))
                return -ENOKEY;
        r = header_call_new(s, HEADER_CHANGE, fn, userdata, &c);
        if (r < 0)
                return r;
        c->header = json_deep_copy(s->header);
        if (!c->header) {
                header_call_free(c);
                return -ENOMEM;
        }
        *ret = c;
        return 0;
}

int store_slot_add(struct store *s, const struct store_slot_new *slot, store_ready_fn fn,
                   void *userdata) {
        struct header_call *c = NULL;
        int r = change_begin(s, fn, userdata, &c);

        if (r < 0)
                return r;
        r = slot_make(c->header, slot, s->master);
        if (r < 0) {
                header_call_free(c);
                return r;
        }
        return header_send(s, c, s->mac_key);
}

int store_slot_remove(struct store *s, const char *slot_id, store_ready_fn fn, void *userdata) {
        struct header_call *c = NULL;
        int r = change_begin(s, fn, userdata, &c);

        if (r < 0)
                return r;
        r = header_slot_remove(c->header, slot_id);
        if (r < 0) {
                header_call_free(c);
                return r;
        }
        return header_send(s, c, s->mac_key);
}
