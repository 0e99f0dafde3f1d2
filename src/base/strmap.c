/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strmap.h"

#include <sys/random.h>

struct entry {
        struct entry *next;
        void *value;
        char key[];
};

struct strmap {
        struct entry **buckets;
        size_t n_buckets; /* a power of two */
        size_t n_entries;
        uint64_t seed;
};

struct strmap *strmap_new(void) {
        struct strmap *m = calloc(1, sizeof(*m));

        if (!m)
                return NULL;
        m->n_buckets = 16;
        m->buckets = calloc(m->n_buckets, sizeof(*m->buckets));
        if (!m->buckets)
                return strmap_free(m);
        /* Keys come from outside: nobody shall be able to choose those that collide. Without
         * entropy it is still a map. */
        if (getrandom(&m->seed, sizeof(m->seed), GRND_NONBLOCK) < 0)
                m->seed = (uintptr_t)m;
        return m;
}

struct strmap *strmap_free(struct strmap *m) {
        if (!m)
                return NULL;
        for (size_t i = 0; m->buckets && i < m->n_buckets; i++) {
                struct entry *e = m->buckets[i];

                while (e) {
                        struct entry *next = e->next;

                        free(e);
                        e = next;
                }
        }
        free(m->buckets);
        free(m);
        return NULL;
}

static uint64_t hash_of(const struct strmap *m, const char *key) {
        uint64_t h = m->seed ^ 0xcbf29ce484222325u;

        for (; *key; key++) {
                h = (h ^ (unsigned char)*key) * 0x100000001b3u;
                h ^= h >> 29;
        }
        return h;
}

static struct entry **place_of(const struct strmap *m, const char *key) {
        struct entry **p = &m->buckets[hash_of(m, key) & (m->n_buckets - 1)];

        while (*p && !streq((*p)->key, key))
                p = &(*p)->next;
        return p;
}

/* A map that cannot grow is a slow map, not a broken one. */
static void grow(struct strmap *m) {
        size_t n = m->n_buckets * 2;
        struct entry **buckets = calloc(n, sizeof(*buckets));

        if (!buckets)
                return;
        for (size_t i = 0; i < m->n_buckets; i++) {
                struct entry *e = m->buckets[i];

                while (e) {
                        struct entry *next = e->next;
                        struct entry **p = &buckets[hash_of(m, e->key) & (n - 1)];

                        e->next = *p;
                        *p = e;
                        e = next;
                }
        }
        free(m->buckets);
        m->buckets = buckets;
        m->n_buckets = n;
}

int strmap_put(struct strmap *m, const char *key, void *value) {
        struct entry **p = place_of(m, key);
        size_t len = strlen(key);
        struct entry *e;

        if (*p) {
                (*p)->value = value;
                return 0;
        }
        e = calloc(1, sizeof(*e) + len + 1);
        if (!e)
                return -ENOMEM;
        memcpy(e->key, key, len);
        e->value = value;
        *p = e;
        if (++m->n_entries > m->n_buckets)
                grow(m);
        return 0;
}

void *strmap_get(const struct strmap *m, const char *key) {
        struct entry *e = *place_of(m, key);

        return e ? e->value : NULL;
}

void *strmap_remove(struct strmap *m, const char *key) {
        struct entry **p = place_of(m, key);
        struct entry *e = *p;
        void *value;

        if (!e)
                return NULL;
        value = e->value;
        *p = e->next;
        free(e);
        m->n_entries--;
        return value;
}

size_t strmap_count(const struct strmap *m) {
        return m->n_entries;
}
