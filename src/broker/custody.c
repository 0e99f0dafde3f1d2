/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/custody.h"

#include <stdio.h>

#include "audit/audit.h"
#include "base/log.h"
#include "broker/declare.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/later.h"
#include "broker/login-steps.h"
#include "broker/release.h"
#include "broker/server.h"
#include "crypto/kdf.h"
#include "crypto/shield.h"
#include "store/record.h"
#include "store/slot.h"
#include "store/store.h"

#define AUDIT_KEYS_KEY "audit"

/* A login's record waits here until its server is loaded. */
struct pending_login {
        struct list link;
        char *key;
        uint64_t generation;
        json_t *value;
};

struct custody {
        struct broker *broker;
        const struct store_backend_ops *ops;
        void *backend;
        bool want_passphrase; /* what a new store gets */
        bool exists;          /* there is a store */
        char *slot_type;      /* that opened it */
        unsigned n_damaged;
        struct list logins;
        struct secret *new_file_key; /* of a store that is being made */
        /* Whoever waits for it to be open: the start, or one unlock. */
        broker_ready_fn ready;
        void *ready_userdata;
        struct list unlocking; /* the call of broker.unlock */
        bool busy;
        struct kdf_params kdf;
        json_t *new_params;
        char *slot_id;
};

int custody_new(struct broker *b, const struct broker_options *o, struct custody **ret) {
        struct custody *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->broker = b;
        c->ops = o->backend_ops;
        c->backend = o->backend;
        c->want_passphrase = o->passphrase;
        list_init(&c->logins);
        list_init(&c->unlocking);
        *ret = c;
        return 0;
}

static void drop_logins(struct custody *c) {
        struct pending_login *p;

        LIST_FOREACH(p, &c->logins, struct pending_login, link) {
                list_remove(&p->link);
                free(p->key);
                json_decref(p->value);
                free(p);
        }
}

struct custody *custody_free(struct custody *c) {
        if (!c)
                return NULL;
        drop_logins(c);
        (void)secret_free(c->new_file_key);
        json_decref(c->new_params);
        free(c->slot_type);
        free(c->slot_id);
        free(c);
        return NULL;
}

static void close_store(struct custody *c) {
        struct broker *b = c->broker;

        drop_logins(c);
        broker_unload(b);
        b->shield = shield_free(b->shield);
        store_lock(b->store);
        b->locked = true;
}

/* The one end of opening: tells the start, or the call that unlocks. */
static void opened(struct custody *c, int r, const struct error *err) {
        struct broker *b = c->broker;
        broker_ready_fn ready = c->ready;
        struct broker_call *call = LIST_FIRST(&c->unlocking, struct broker_call, link);

        c->busy = false;
        c->ready = NULL;
        if (b->ended)
                return;
        /* Half open is locked: the next unlock begins anew. */
        if (r < 0 && store_is_unlocked(b->store))
                close_store(c);
        if (r == 0 && store_is_unlocked(b->store))
                b->locked = false;
        if (ready)
                ready(r, err, c->ready_userdata);
        if (!call)
                return;
        list_remove(&call->link);
        if (r < 0)
                call_fail(call, err);
        else
                call_reply(call, json_pack("{s:b, s:i}", "locked", b->locked, "servers",
                                           (int)strmap_count(b->servers)));
}

static void failed(struct custody *c, int r, const struct error *err, const char *doing) {
        struct error problem = err ? *err : ERROR_INIT;

        (void)error_fallback(&problem, r, doing);
        opened(c, r, &problem);
}

/* --- What is in it --------------------------------------------------------------------------- */

static void keep_login(struct custody *c, const struct store_item *item) {
        struct pending_login *p = calloc(1, sizeof(*p));

        if (!p)
                return;
        p->key = strdup(item->key);
        p->generation = item->generation;
        p->value = json_incref((json_t *)(uintptr_t)item->value);
        list_append(&c->logins, &p->link);
}

static void load_item(struct custody *c, const struct store_item *item, struct error *err) {
        struct server *s = NULL;
        struct grant *g = NULL;
        int r = 0;

        if (item->kind == STORE_SERVER) {
                r = server_from_json(c->broker, item->value, &s, err);
                if (r == 0)
                        s->record.generation = item->generation;
        } else if (item->kind == STORE_GRANT) {
                r = grant_from_json(c->broker, item->key, item->generation, item->value, &g);
        } else if (item->kind == STORE_LOGIN) {
                keep_login(c, item);
        }
        if (r < 0) {
                c->n_damaged++;
                log_error("The record of a %s cannot be used: %s", store_kind_name(item->kind),
                          err->code != MCPB_NO_ERROR ? err->message : strerror(-r));
        }
}

static void on_each(int r, const struct store_item *item, const char *file, const struct error *err,
                    void *userdata) {
        struct custody *c = userdata;
        struct error problem = ERROR_INIT;

        if (r == 0) {
                load_item(c, item, &problem);
                return;
        }
        c->n_damaged++;
        log_error("The record %s is left out: %s. %s", file, err->message, err->hint);
}

static void link_grants(struct broker *b) {
        struct server *s;

        LIST_FOREACH(s, &b->all_servers, struct server, list_link) {
                struct grant *g = s->grant_key ? strmap_get(b->grants, s->grant_key) : NULL;

                if (!g)
                        continue;
                s->grant = g;
                g->allow = s->allow;
                list_append(&g->servers, &s->grant_link);
        }
}

static void on_leftover_removed(int r, const struct store_item *item, const struct error *err,
                                void *userdata) {
        if (r < 0 && r != -ENOENT)
                log_failure(LOG_WARNING, err, "removing a login that is over");
}

static int compare_servers(const void *a, const void *b) {
        const struct server *x = *(struct server *const *)a;
        const struct server *y = *(struct server *const *)b;

        if (x->added_wall != y->added_wall)
                return x->added_wall < y->added_wall ? -1 : 1;
        return strcmp(x->name, y->name);
}

/* The store tells its records in no order; people see the servers in the order in which they added
 * them. */
static void sort_servers(struct broker *b) {
        size_t n = strmap_count(b->servers);
        AUTO_FREE struct server **all = calloc(n + 1, sizeof(struct server *));
        struct server *s;
        size_t i = 0;

        if (!all)
                return; /* in another order, then */
        LIST_FOREACH(s, &b->all_servers, struct server, list_link)
                all[i++] = s;
        qsort(all, i, sizeof(struct server *), compare_servers);
        for (size_t k = 0; k < i; k++) {
                list_remove(&all[k]->list_link);
                list_append(&b->all_servers, &all[k]->list_link);
        }
}

static void restore_logins(struct custody *c) {
        struct pending_login *p;

        LIST_FOREACH(p, &c->logins, struct pending_login, link) {
                struct store_item item = { STORE_LOGIN, p->key, p->generation, p->value };
                struct error err = ERROR_INIT;
                int r = p->key ? login_restore(c->broker, &item, &err) : -ENOMEM;

                if (r < 0)
                        log_notice("A login that was under way is given up: %s",
                                   r == -ESTALE ? "too old" : strerror(-r));
                if ((r == -ESTALE || r == -EBADMSG) &&
                    later_remove(c->broker, STORE_LOGIN, p->key, on_leftover_removed, NULL) < 0)
                        log_warning("Its record stays in the store until the next start");
        }
        drop_logins(c);
}

static void on_all_read(int r, const struct error *err, void *userdata) {
        struct custody *c = userdata;
        struct broker *b = c->broker;

        if (r < 0) {
                failed(c, r, err, "reading the store");
                return;
        }
        sort_servers(b);
        link_grants(b);
        b->loaded = true;
        b->locked = false;
        declare_apply(b);
        restore_logins(c);
        log_info("%zu servers, %zu grants", strmap_count(b->servers), strmap_count(b->grants));
        opened(c, 0, NULL);
}

static void load_all(struct custody *c) {
        struct broker *b = c->broker;
        int r;

        c->n_damaged = 0;
        b->shield = b->shield ? b->shield : shield_new();
        if (!b->shield) {
                failed(c, -ENOMEM, NULL, "protecting memory");
                return;
        }
        r = store_each(b->store, STORE_KIND_COUNT, on_each, on_all_read, c);
        if (r < 0)
                failed(c, r, NULL, "reading the store");
}

/* --- The audit's keys ------------------------------------------------------------------------ */

static void audit_ready(struct custody *c) {
        struct broker *b = c->broker;
        struct error err = ERROR_INIT;
        unsigned gaps = 0;
        int r = 0;

        if (!b->audit) {
                r = audit_open(&b->audit, b->audit_fd, b->audit_keys, NULL, &gaps, &err);
                if (r == 0)
                        release_note(b, &(struct release_event){ .event = AUDIT_BROKER_START,
                                                                 .outcome = AUDIT_SUCCESS });
        }
        if (gaps)
                log_warning("The audit log has a gap (%u): see the record", gaps);
        if (r < 0)
                failed(c, r, &err, "opening the audit log");
        else
                load_all(c);
}

static void on_audit_keys_saved(int r, const struct store_item *item, const struct error *err,
                                void *userdata) {
        struct custody *c = userdata;

        if (r < 0) {
                failed(c, r, err, "keeping the audit keys");
                return;
        }
        c->broker->audit_keys_generation = item->generation;
        audit_ready(c);
}

static void new_audit_keys(struct custody *c) {
        struct broker *b = c->broker;
        AUTO_JSON json_t *value = NULL;
        int r = audit_keys_new(&b->audit_keys);

        if (r == 0)
                r = audit_keys_to_json(b->audit_keys, &value);
        if (r == 0)
                r = store_put(b->store,
                              &(struct store_put){ .kind = STORE_AUDIT_KEYS,
                                                   .key = AUDIT_KEYS_KEY,
                                                   .value = value },
                              on_audit_keys_saved, c);
        if (r < 0)
                failed(c, r, NULL, "making the audit keys");
}

static void on_audit_keys(int r, const struct store_item *item, const struct error *err,
                          void *userdata) {
        struct custody *c = userdata;
        struct broker *b = c->broker;

        if (r == -ENOENT) {
                new_audit_keys(c);
                return;
        }
        b->audit_keys = audit_keys_free(b->audit_keys);
        if (r == 0)
                r = audit_keys_from_json(&b->audit_keys, item->value);
        if (r < 0) {
                struct error problem = err ? *err : ERROR_INIT;

                /* Nothing is handed out unrecorded (S4), so this one record holds up the others. */
                if (problem.code == MCPB_STORE_CORRUPT)
                        (void)snprintf(problem.hint, sizeof(problem.hint),
                                       "Restore it from a backup, or remove that file: a new "
                                       "chain begins then, and the audit log shows the gap");
                failed(c, r, &problem, "reading the audit keys");
                return;
        }
        b->audit_keys_generation = item->generation;
        audit_ready(c);
}

static void load(struct custody *c) {
        int r;

        c->exists = true;
        if (c->broker->audit) {
                load_all(c); /* the keys stay in memory while locked: refusals are recorded too */
                return;
        }
        r = later_get(c->broker, STORE_AUDIT_KEYS, AUDIT_KEYS_KEY, on_audit_keys, c);
        if (r < 0)
                failed(c, r, NULL, "reading the audit keys");
}

static void on_keys_stored(int r, const struct store_item *item, const struct error *err,
                           void *userdata) {
        struct broker *b = userdata;

        b->audit_keys_saving = false;
        if (r == 0)
                b->audit_keys_generation = item->generation;
        else
                log_failure(LOG_WARNING, err, "keeping the audit keys");
}

void broker_audit_written(struct broker *b) {
        struct audit_checkpoint checkpoint;
        AUTO_JSON json_t *value = NULL;
        struct error err = ERROR_INIT;

        if (b->audit_keys_saving || b->locked || !audit_checkpoint_due(b->audit) ||
            !audit_is_available(b->audit))
                return;
        if (audit_checkpoint(b->audit, &checkpoint, &err) < 0) {
                log_failure(LOG_WARNING, &err, "audit checkpoint");
                return;
        }
        if (audit_keys_to_json(b->audit_keys, &value) == 0 &&
            store_put(b->store,
                      &(struct store_put){ .kind = STORE_AUDIT_KEYS,
                                           .key = AUDIT_KEYS_KEY,
                                           .expect = b->audit_keys_generation,
                                           .value = value },
                      on_keys_stored, b) == 0)
                b->audit_keys_saving = true;
}

/* --- Slots ----------------------------------------------------------------------------------- */

static void set_slot_type(struct custody *c, const char *type) {
        free(c->slot_type);
        c->slot_type = strdup(type);
}

static void unlock_with(struct custody *c, const char *slot_id, const char *type,
                        struct secret *key) {
        struct error err = ERROR_INIT;
        int r = store_unlock(c->broker->store, slot_id, key, &err);

        (void)secret_free(key);
        if (r < 0) {
                failed(c, r, &err, "unlocking the store");
                return;
        }
        set_slot_type(c, type);
        load(c);
}

static bool find_slot(struct custody *c, const char *type, struct store_slot *ret) {
        for (size_t i = 0; i < store_n_slots(c->broker->store); i++)
                if (store_slot_at(c->broker->store, i, ret) && streq(ret->type, type))
                        return true;
        return false;
}

static void key_file_unusable(struct custody *c, int r) {
        struct error err = ERROR_INIT;

        (void)error_set(&err,
                        r == -ENOENT || r == -EBADMSG ? MCPB_STORE_CORRUPT : MCPB_STORE_UNAVAILABLE,
                        -r, "Restore the file \"key\" in the state folder from a backup",
                        "The key file of the store cannot be used: %s",
                        r == -EBADMSG ? "it is damaged" : strerror(-r));
        failed(c, r, &err, "reading the key file");
}

static void on_key_file(int r, struct buf *data, void *userdata) {
        struct custody *c = userdata;
        struct store_slot slot;
        struct secret *key = NULL;

        if (r == 0)
                r = slot_file_key(data->data, data->len, &key);
        if (r < 0) {
                key_file_unusable(c, r);
                return;
        }
        if (find_slot(c, SLOT_FILE, &slot)) {
                unlock_with(c, slot.id, SLOT_FILE, key);
                return;
        }
        (void)secret_free(key);
        failed(c, -ENOENT, NULL, "finding the file slot");
}

static void on_created(int r, const struct error *err, void *userdata) {
        struct custody *c = userdata;

        c->new_file_key = secret_free(c->new_file_key);
        json_decref(c->new_params);
        c->new_params = NULL;
        if (r < 0) {
                failed(c, r, err, "making the store");
                return;
        }
        log_notice("A new store was made; it opens with the slot \"%s\"", c->slot_type);
        load(c);
}

static void create_with(struct custody *c, const char *type, const struct secret *key) {
        struct store_slot_new slot = { .type = type, .params = c->new_params, .wrapping_key = key };
        int r;

        set_slot_type(c, type);
        r = store_create(c->broker->store, &slot, 1, on_created, c);
        if (r < 0)
                failed(c, r, NULL, "making the store");
}

static void on_key_file_written(int r, void *userdata) {
        struct custody *c = userdata;
        struct error err = ERROR_INIT;

        if (r < 0) {
                (void)error_set(
                        &err, MCPB_STORE_UNAVAILABLE, -r, "Look at the state folder and the disk",
                        "The key file of the new store cannot be written: %s", strerror(-r));
                failed(c, r, &err, "making the store");
                return;
        }
        create_with(c, SLOT_FILE, c->new_file_key);
}

static void write_key_file(struct custody *c) {
        AUTO_BUF struct buf contents = BUF_INIT;
        int r = slot_file_new(&c->new_file_key, &contents);

        if (r == 0)
                r = c->ops->write(c->backend, STORE_KEY_NAME, &contents, on_key_file_written, c);
        if (r < 0)
                failed(c, r, NULL, "making the store");
}

/* A key that is there is kept: it may open a store that is only out of the way. */
static void on_key_of_old(int r, struct buf *data, void *userdata) {
        struct custody *c = userdata;

        if (r == -ENOENT) {
                write_key_file(c);
                return;
        }
        if (r == 0)
                r = slot_file_key(data->data, data->len, &c->new_file_key);
        if (r < 0)
                key_file_unusable(c, r);
        else
                create_with(c, SLOT_FILE, c->new_file_key);
}

static int open_with_file(struct custody *c) {
        return c->ops->read(c->backend, STORE_KEY_NAME, 4096, on_key_file, c);
}

static void stay_locked(struct custody *c) {
        c->broker->locked = true;
        log_notice(c->exists ? "The store is locked: mcp-brokerctl unlock"
                             : "There is no store yet: mcp-brokerctl unlock makes one with your "
                               "passphrase");
        opened(c, 0, NULL);
}

/* There is no header. With records there was one: a new store in their place would end them. */
static void on_names(int r, const char *const *names, size_t n_names, void *userdata) {
        struct custody *c = userdata;
        struct error err = ERROR_INIT;

        for (size_t i = 0; r == 0 && i < n_names; i++)
                if (record_name_valid(names[i]))
                        r = error_set(&err, MCPB_STORE_CORRUPT, EBADMSG,
                                      "Restore the file \"store\" from a backup, or move the "
                                      "folder away and log in again",
                                      "There are records in the store, and its header is gone");
        if (r == 0 && c->want_passphrase) {
                stay_locked(c);
                return;
        }
        if (r == 0)
                r = c->ops->read(c->backend, STORE_KEY_NAME, 4096, on_key_of_old, c);
        if (r < 0)
                failed(c, r, &err, "making the store");
}

static void on_header(int r, const struct error *err, void *userdata) {
        struct custody *c = userdata;
        struct store_slot slot;

        if (r < 0 && r != -ENOENT) {
                failed(c, r, err, "reading the store");
                return;
        }
        c->exists = r == 0;
        if (!c->exists) {
                r = c->ops->list(c->backend, on_names, c);
                if (r < 0)
                        failed(c, r, NULL, "looking into the store");
        } else if (find_slot(c, SLOT_FILE, &slot)) {
                r = open_with_file(c);
                if (r < 0)
                        failed(c, r, NULL, "reading the key file");
        } else {
                stay_locked(c);
        }
}

int custody_start(struct custody *c, broker_ready_fn ready, void *userdata) {
        int r;

        c->ready = ready;
        c->ready_userdata = userdata;
        c->busy = true;
        c->broker->locked = true;
        r = store_load(c->broker->store, on_header, c);
        if (r < 0)
                c->ready = NULL;
        return r;
}

/* --- broker.unlock --------------------------------------------------------------------------- */

static void on_derived(int r, struct secret *key, void *userdata) {
        struct custody *c = userdata;
        struct error err = ERROR_INIT;

        if (r < 0) {
                (void)error_set(&err, MCPB_RETRY, -r, "Try again",
                                "The key could not be derived from the passphrase");
                failed(c, r, &err, "unlocking");
        } else if (c->exists) {
                unlock_with(c, c->slot_id, SLOT_PASSPHRASE, key);
        } else {
                create_with(c, SLOT_PASSPHRASE, key);
                (void)secret_free(key);
        }
}

static int derive(struct custody *c, const char *passphrase, struct error *err) {
        AUTO_BUF struct buf bytes = BUF_INIT;
        struct store_slot slot;
        int r;

        if (c->exists) {
                if (!find_slot(c, SLOT_PASSPHRASE, &slot))
                        return error_set(err, MCPB_BAD_REQUEST, ENOENT,
                                         "Unlock without a passphrase",
                                         "The store has no passphrase slot");
                free(c->slot_id);
                c->slot_id = strdup(slot.id);
                r = c->slot_id ? slot_passphrase_params(slot.params, &c->kdf) : -ENOMEM;
        } else {
                json_decref(TAKE(c->new_params)); /* of an attempt that failed */
                r = slot_passphrase_new(&c->kdf, &c->new_params);
        }
        if (r == 0)
                r = buf_append_str(&bytes, passphrase);
        if (r == 0)
                r = c->broker->workers->derive(c->broker->wud, &c->kdf, &bytes, on_derived, c);
        if (r == -EAGAIN)
                return error_set(err, MCPB_RETRY, EAGAIN, "Try again in a moment",
                                 "The process that derives keys is being started again");
        return error_fallback(err, r, "deriving the key");
}

static int begin_unlock(struct custody *c, const char *passphrase, struct error *err) {
        struct store_slot slot;
        bool by_file = c->exists && find_slot(c, SLOT_FILE, &slot);

        if (c->busy || c->broker->locking)
                return error_set(err, MCPB_BUSY, EBUSY, "Wait a moment", "The store is being %s",
                                 c->busy ? "opened" : "locked");
        if (!c->broker->locked)
                return -EALREADY;
        if (by_file && !passphrase)
                return open_with_file(c);
        if (!passphrase || !passphrase[0])
                return error_set(err, MCPB_BAD_PARAMS, EINVAL, "Give the passphrase",
                                 "The store opens with a passphrase");
        if (strlen(passphrase) > 1024)
                return error_set(err, MCPB_BAD_PARAMS, E2BIG, "Use at most 1024 bytes",
                                 "The passphrase is too long");
        return derive(c, passphrase, err);
}

void handle_broker_unlock(struct broker_call *call) {
        struct custody *c = call->broker->custody;
        const char *passphrase = NULL;
        struct error err = ERROR_INIT;
        int r = call_string(call, "passphrase", false, &passphrase, &err);

        if (r == 0)
                r = begin_unlock(c, passphrase, &err);
        if (r == -EALREADY) {
                call_reply(call, json_pack("{s:b, s:i}", "locked", 0, "servers",
                                           (int)strmap_count(call->broker->servers)));
                return;
        }
        if (r < 0) {
                (void)error_fallback(&err, r, "unlocking");
                call_fail(call, &err);
                return;
        }
        c->busy = true;
        list_append(&c->unlocking, &call->link);
}

/* --- broker.lock ----------------------------------------------------------------------------- */

void custody_lock(struct custody *c) {
        struct broker *b = c->broker;

        if (b->locked)
                return;
        close_store(c);
        log_notice("Locked");
}

bool custody_is_busy(const struct custody *c) {
        return c->busy;
}

json_t *custody_status(const struct custody *c) {
        struct store_slot slot;
        AUTO_JSON json_t *slots = json_array();
        const struct slot_type *type = c->slot_type ? slot_type_find(c->slot_type) : NULL;

        for (size_t i = 0; slots && i < store_n_slots(c->broker->store); i++) {
                if (!store_slot_at(c->broker->store, i, &slot))
                        continue;
                if (json_array_append_new(
                            slots, json_pack("{s:s, s:s}", "id", slot.id, "type", slot.type)) < 0)
                        return NULL;
        }
        return json_pack("{s:b, s:b, s:s?, s:s?, s:O, s:b, s:i}", "exists", c->exists, "unlocked",
                         store_is_unlocked(c->broker->store), "id", store_id(c->broker->store),
                         "opened_by", c->slot_type, "slots", slots, "key_beside_store",
                         type && type->plain, "damaged", (int)c->n_damaged);
}
