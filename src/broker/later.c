/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/later.h"

#include "base/log.h"
#include "broker/internal.h"
#include "loop/loop.h"

struct later {
        struct list link; /* in broker->laters */
        sd_event_source *source;
        store_done_fn fn;
        void *userdata;
};

struct error later_error(int r, const struct error *from) {
        struct error err = from ? *from : ERROR_INIT;

        if (err.code == MCPB_NO_ERROR)
                (void)store_error(&err, r);
        return err;
}

static void tell(struct later *l, int r) {
        store_done_fn fn = l->fn;
        void *userdata = l->userdata;
        struct error err = later_error(r, NULL);

        list_remove(&l->link);
        l->source = loop_source_free(l->source);
        free(l);
        fn(r, NULL, &err, userdata);
}

static int on_later(sd_event_source *s, void *userdata) {
        tell(userdata, -ENOENT);
        return 0;
}

/* @r is what the store returned. */
static int absent_later(struct broker *b, int r, store_done_fn fn, void *userdata) {
        struct later *l;

        if (r != -ENOENT)
                return r;
        if (b->ended)
                return -ECANCELED;
        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->fn = fn;
        l->userdata = userdata;
        list_init(&l->link);
        r = loop_defer(b->event, on_later, l, "record is not there", &l->source);
        if (r < 0) {
                free(l);
                return r;
        }
        list_append(&b->laters, &l->link);
        return 0;
}

int later_get(struct broker *b, enum store_kind kind, const char *key, store_done_fn fn,
              void *userdata) {
        return absent_later(b, store_get(b->store, kind, key, fn, userdata), fn, userdata);
}

int later_remove(struct broker *b, enum store_kind kind, const char *key, store_done_fn fn,
                 void *userdata) {
        return absent_later(b, store_remove(b->store, kind, key, fn, userdata), fn, userdata);
}

/* --- Over what is damaged -------------------------------------------------------------------- */

/* A put of a record that was not there, or not readable: what is to be written, until it is. */
struct over {
        struct broker *broker;
        enum store_kind kind;
        char *key;
        json_t *value;
        store_done_fn fn;
        void *userdata;
};

static void over_free(struct over *o) {
        free(o->key);
        json_decref(o->value);
        free(o);
}

static void over_end(struct over *o, int r, const struct store_item *item,
                     const struct error *err) {
        store_done_fn fn = o->fn;
        void *userdata = o->userdata;

        over_free(o);
        fn(r, item, err, userdata);
}

static int over_put(struct over *o, store_done_fn fn) {
        return store_put(o->broker->store,
                         &(struct store_put){ .kind = o->kind, .key = o->key, .value = o->value },
                         fn, o);
}

static void on_written_over(int r, const struct store_item *item, const struct error *err,
                            void *userdata) {
        over_end(userdata, r, item, err);
}

static void on_cleared(int r, const struct store_item *item, const struct error *err,
                       void *userdata) {
        struct over *o = userdata;
        struct error problem;

        if (r < 0 && r != -ENOENT) {
                over_end(o, r, NULL, err);
                return;
        }
        r = over_put(o, on_written_over);
        if (r == 0)
                return;
        problem = later_error(r, NULL);
        over_end(o, r, NULL, &problem);
}

static void on_tried(int r, const struct store_item *item, const struct error *err,
                     void *userdata) {
        struct over *o = userdata;

        if (r != -EBADMSG) {
                over_end(o, r, item, err);
                return;
        }
        log_warning("%s. It is replaced by a new one", err->message);
        if (later_remove(o->broker, o->kind, o->key, on_cleared, o) < 0)
                over_end(o, r, NULL, err);
}

int later_put_over(struct broker *b, const struct store_put *put, store_done_fn fn,
                   void *userdata) {
        struct over *o;
        int r;

        if (put->expect != 0)
                return store_put(b->store, put, fn, userdata);
        o = calloc(1, sizeof(*o));
        if (!o)
                return -ENOMEM;
        *o = (struct over){ .broker = b, .kind = put->kind, .fn = fn, .userdata = userdata };
        o->key = strdup(put->key);
        o->value = json_incref((json_t *)(uintptr_t)put->value);
        r = o->key && o->value ? over_put(o, on_tried) : -ENOMEM;
        if (r < 0)
                over_free(o);
        return r;
}

void later_cancel(struct broker *b) {
        while (!list_empty(&b->laters))
                tell(LIST_FIRST(&b->laters, struct later, link), -ECANCELED);
}
