/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/kept.h"

#include "base/log.h"
#include "broker/internal.h"
#include "broker/later.h"

struct kept_waiter {
        struct list link;
        kept_done_fn fn;
        void *userdata;
};

/* The store's callback may come after the record is gone: it holds this instead. */
struct kept_job {
        struct kept *record;
};

void kept_init(struct kept *r, struct broker *b, enum store_kind kind, const char *key,
               json_t *(*build)(const void *owner), const void *owner) {
        *r = (struct kept){ .broker = b, .kind = kind, .key = key, .build = build, .owner = owner };
        list_init(&r->waiting);
        list_init(&r->next);
}

static int start_put(struct kept *r);

static void tell_waiters(struct list *l, int r, const struct error *err) {
        struct list told = LIST_INIT(told);
        struct kept_waiter *w;

        list_splice(&told, l);
        LIST_FOREACH(w, &told, struct kept_waiter, link) {
                list_remove(&w->link);
                w->fn(r, err, w->userdata);
                free(w);
        }
}

void kept_done(struct kept *r) {
        struct list told = LIST_INIT(told);
        struct error err = ERROR_INIT;

        if (!r->broker)
                return;
        if (r->job)
                r->job->record = NULL;
        list_splice(&told, &r->waiting);
        list_splice(&told, &r->next);
        (void)error_set(&err, MCPB_NOT_FOUND, ECANCELED, "Add it again with mcp-add",
                        "The %s was removed before it was saved", store_kind_name(r->kind));
        tell_waiters(&told, -ECANCELED, &err);
}

static void on_put(int r, const struct store_item *item, const struct error *err, void *userdata) {
        struct kept_job *job = userdata;
        struct kept *rec = job->record;
        struct list told = LIST_INIT(told);

        free(job);
        if (!rec)
                return;
        rec->job = NULL;
        rec->busy = false;
        rec->unsure = r < 0;
        if (r == 0 && item)
                rec->generation = item->generation;
        list_splice(&told, &rec->waiting);
        if (rec->again) {
                int s;

                rec->again = false;
                list_splice(&rec->waiting, &rec->next);
                s = start_put(rec);
                if (s < 0)
                        list_splice(&told, &rec->waiting);
        }
        /* Last: a waiter may free the record's owner. */
        tell_waiters(&told, r, err);
}

static int put(struct kept *r, struct kept_job *job) {
        AUTO_JSON json_t *value = r->build(r->owner);

        if (!value)
                return -ENOMEM;
        return later_put_over(
                r->broker,
                &(struct store_put){
                        .kind = r->kind, .key = r->key, .expect = r->generation, .value = value },
                on_put, job);
}

/* What the failed write has left. */
static void on_look(int r, const struct store_item *item, const struct error *err, void *userdata) {
        struct kept_job *job = userdata;
        struct kept *rec = job->record;
        struct error problem;

        if (rec && (r == 0 || r == -ENOENT || r == -EBADMSG)) {
                rec->generation = r == 0 ? item->generation : 0;
                r = put(rec, job);
                if (r == 0)
                        return;
                err = NULL;
        }
        problem = later_error(r, err);
        on_put(r, NULL, &problem, job);
}

static int start_put(struct kept *r) {
        AUTO_FREE struct kept_job *job = calloc(1, sizeof(*job));
        int s;

        if (!job)
                return -ENOMEM;
        job->record = r;
        s = r->unsure ? later_get(r->broker, r->kind, r->key, on_look, job) : put(r, job);
        if (s < 0)
                return s;
        r->job = TAKE(job);
        r->busy = true;
        return 0;
}

int kept_save(struct kept *r, kept_done_fn fn, void *userdata) {
        struct kept_waiter *w = NULL;
        int s = 0;

        if (fn) {
                w = calloc(1, sizeof(*w));
                if (!w)
                        return -ENOMEM;
                w->fn = fn;
                w->userdata = userdata;
                list_append(r->busy ? &r->next : &r->waiting, &w->link);
        }
        if (r->busy)
                r->again = true;
        else
                s = start_put(r);
        if (s < 0 && w) {
                list_remove(&w->link);
                free(w);
        }
        return s;
}

static void on_saved_soon(int r, const struct error *err, void *userdata) {
        if (r < 0 && r != -ECANCELED && err)
                log_failure(LOG_WARNING, err, "keeping a record");
}

void kept_save_soon(struct kept *r) {
        int s = kept_save(r, on_saved_soon, NULL);

        if (s < 0)
                log_warning("A %s is not saved: %s", store_kind_name(r->kind), strerror(-s));
}
