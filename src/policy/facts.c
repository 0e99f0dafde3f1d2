/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/facts.h"

#include <stdio.h>

struct entry {
        struct fact fact;
        char *name;
        char **values;
};

/* Sorted by name: looked up far more often than filled. */
struct facts {
        struct entry *items[FACTS_MAX];
        size_t n;
};

struct facts *facts_new(void) {
        return calloc(1, sizeof(struct facts));
}

static void entry_free(struct entry *e) {
        if (!e)
                return;
        for (size_t i = 0; e->values && i < e->fact.n_values; i++)
                free(e->values[i]);
        free(e->values);
        free(e->name);
        free(e);
}
DEFINE_CLEANUP(struct entry *, entry, entry_free)

struct facts *facts_free(struct facts *f) {
        if (f) {
                for (size_t i = 0; i < f->n; i++)
                        entry_free(f->items[i]);
                free(f);
        }
        return NULL;
}

/* Where @name stands or would stand. */
static size_t find(const struct facts *f, const char *name, bool *ret_found) {
        size_t low = 0;
        size_t high = f->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(f->items[middle]->name, name);

                if (order == 0) {
                        *ret_found = true;
                        return middle;
                }
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret_found = false;
        return low;
}

static int entry_new(const char *name, bool known, enum fact_class class, const char *const *values,
                     size_t n_values, struct entry **ret) {
        __attribute__((cleanup(cleanup_entry))) struct entry *e = calloc(1, sizeof(*e));

        if (!e)
                return -ENOMEM;
        e->name = strdup(name);
        e->values = calloc(n_values + 1, sizeof(*e->values));
        if (!e->name || !e->values)
                return -ENOMEM;
        for (size_t i = 0; i < n_values; i++) {
                e->values[i] = strdup(values[i]);
                if (!e->values[i])
                        return -ENOMEM;
                e->fact.n_values = i + 1;
        }
        e->fact.name = e->name;
        e->fact.known = known;
        e->fact.class = class;
        e->fact.values = (const char *const *)e->values;
        *ret = TAKE(e);
        return 0;
}

static int put(struct facts *f, const char *name, bool known, enum fact_class class,
               const char *const *values, size_t n_values) {
        struct entry *e = NULL;
        bool found;
        size_t at;
        int r;

        if (!*name)
                return -EINVAL;
        if (n_values > FACT_VALUES_MAX || strlen(name) > FACT_TEXT_MAX)
                return -E2BIG;
        for (size_t i = 0; i < n_values; i++)
                if (strlen(values[i]) > FACT_TEXT_MAX)
                        return -E2BIG;
        at = find(f, name, &found);
        if (!found && f->n == FACTS_MAX)
                return -E2BIG;
        r = entry_new(name, known, class, values, n_values, &e);
        if (r < 0)
                return r;
        if (found) {
                entry_free(f->items[at]);
        } else {
                memmove(&f->items[at + 1], &f->items[at], (f->n - at) * sizeof(*f->items));
                f->n++;
        }
        f->items[at] = e;
        return 0;
}

int facts_set(struct facts *f, const char *name, enum fact_class class, const char *value) {
        return put(f, name, true, class, &value, 1);
}

int facts_set_list(struct facts *f, const char *name, enum fact_class class,
                   const char *const *values, size_t n_values) {
        return put(f, name, true, class, values, n_values);
}

int facts_set_number(struct facts *f, const char *name, enum fact_class class, uint64_t value) {
        char text[24];

        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
        return facts_set(f, name, class, text);
}

int facts_unknown(struct facts *f, const char *name) {
        return put(f, name, false, FACT_SELF, NULL, 0);
}

const struct fact *facts_get(const struct facts *f, const char *name) {
        bool found;
        size_t at = find(f, name, &found);

        return found ? &f->items[at]->fact : NULL;
}

size_t facts_count(const struct facts *f) {
        return f->n;
}

const struct fact *facts_at(const struct facts *f, size_t i) {
        return i < f->n ? &f->items[i]->fact : NULL;
}

static const char *const class_names[FACT_CLASS_COUNT] = {
        [FACT_SELF] = "self",
        [FACT_ROOT] = "root",
        [FACT_PLATFORM] = "platform",
        [FACT_KERNEL] = "kernel",
};

const char *fact_class_name(enum fact_class class) {
        return (unsigned)class < FACT_CLASS_COUNT ? class_names[class] : "unknown";
}

int fact_class_from_name(const char *name, enum fact_class *ret) {
        for (unsigned i = 0; i < FACT_CLASS_COUNT; i++) {
                if (streq(class_names[i], name)) {
                        *ret = (enum fact_class)i;
                        return 0;
                }
        }
        return -ENOENT;
}
