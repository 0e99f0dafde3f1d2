/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A doubly linked list whose links stand in the objects themselves: no allocation, O(1) removal.
 * The list owns nothing.
 */
#pragma once

#include "base/util.h"

struct list {
        struct list *next;
        struct list *prev;
};

#define LIST_INIT(l) ((struct list){ &(l), &(l) })

static inline void list_init(struct list *l) {
        l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l) {
        return l->next == l;
}

static inline void list_append(struct list *l, struct list *item) {
        item->prev = l->prev;
        item->next = l;
        l->prev->next = item;
        l->prev = item;
}

static inline void list_prepend(struct list *l, struct list *item) {
        list_append(l->next, item);
}

/* Takes an item out of its list; harmless for an item that is in none, if it was initialised. */
static inline void list_remove(struct list *item) {
        item->prev->next = item->next;
        item->next->prev = item->prev;
        list_init(item);
}

/* Moves all items of @from to the end of @to. */
static inline void list_splice(struct list *to, struct list *from) {
        if (list_empty(from))
                return;
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
}

#define LIST_ENTRY(item, type, member) container_of(item, type, member)
#ifndef __clang_analyzer__
#define LIST_FIRST(l, type, member) (list_empty(l) ? NULL : LIST_ENTRY((l)->next, type, member))
#else
/* The analyzer does not see a freed item leave its list: to it each first is a new one. */
void *list_first_anew(const struct list *l);
#define LIST_FIRST(l, type, member) ((type *)list_first_anew(l))
#endif

/* Safe against removal of the current item. */
#define LIST_FOREACH(var, l, type, member)                                          \
        for (struct list *_i_##var = (l)->next, *_n_##var = _i_##var->next;         \
             _i_##var != (l) && ((var) = LIST_ENTRY(_i_##var, type, member), true); \
             _i_##var = _n_##var, _n_##var = _i_##var->next)
