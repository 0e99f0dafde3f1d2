/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/later.h"

#include "broker/internal.h"
#include "loop/loop.h"

struct later {
        struct list link; /* in broker->laters */
        sd_event_source *source;
        store_done_fn fn;
        void *userdata;
};

static void tell(struct later *l, int r) {
        store_done_fn fn = l->fn;
        void *userdata = l->userdata;
        struct error err = ERROR_INIT;

        list_remove(&l->link);
        l->source = loop_source_free(l->source);
        free(l);
        (void)store_error(&err, r);
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

void later_cancel(struct broker *b) {
        while (!list_empty(&b->laters))
                tell(LIST_FIRST(&b->laters, struct later, link), -ECANCELED);
}
