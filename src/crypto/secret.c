/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/secret.h"

#include <assert.h>
#include <sodium.h>

#include "base/buf.h"
#include "crypto/rand.h"
#include "crypto/slab.h"

struct secret {
        uint8_t bytes[SECRET_BYTES_MAX];
};

/*
 * The one mutable global below the programs: the limit on locked memory belongs to the process, and
 * so does what is kept within it. The sizes stand outside, so that the slab holds nothing but keys.
 */
static struct {
        struct secret *slots; /* guarded and locked */
        bool locked;
        size_t n_used;
        size_t next;                 /* where to look first */
        uint8_t sizes[SECRET_SLOTS]; /* 0: free */
} slab; /* lint: allow global: locked memory is the process's, and so is this */

int slab_open(void) {
        if (slab.slots)
                return 0;
        slab.slots = sodium_allocarray(SECRET_SLOTS, sizeof(*slab.slots));
        if (!slab.slots)
                return -ENOMEM;
        /* sodium_malloc() does not say whether its own mlock() failed: ask again. */
        slab.locked = sodium_mlock(slab.slots, SECRET_SLOTS * sizeof(*slab.slots)) == 0;
        mem_wipe(slab.slots, SECRET_SLOTS * sizeof(*slab.slots));
        return 0;
}

void slab_close(void) {
        if (!slab.slots)
                return;
        sodium_free(slab.slots); /* wipes */
        slab.slots = NULL;
        slab.locked = false;
        slab.n_used = slab.next = 0;
        mem_wipe(slab.sizes, sizeof(slab.sizes));
}

struct secret *secret_new(size_t size) {
        if (!slab.slots || size == 0 || size > SECRET_BYTES_MAX || slab.n_used == SECRET_SLOTS)
                return NULL;
        while (slab.sizes[slab.next] != 0)
                slab.next = (slab.next + 1) % SECRET_SLOTS;
        slab.sizes[slab.next] = (uint8_t)size;
        slab.n_used++;
        return &slab.slots[slab.next];
}

struct secret *secret_new_random(size_t size) {
        struct secret *s = secret_new(size);

        if (s)
                random_bytes(s->bytes, size);
        return s;
}

struct secret *secret_new_from(const void *data, size_t size) {
        struct secret *s = secret_new(size);

        if (s)
                memcpy(s->bytes, data, size);
        return s;
}

/* A secret that outlived the slab, or was never in it, is our own bug. */
static size_t slot_of(const struct secret *s) {
        size_t i = (size_t)(s - slab.slots);

        assert(slab.slots && i < SECRET_SLOTS && slab.sizes[i] != 0);
        return i;
}

struct secret *secret_free(struct secret *s) {
        if (s) {
                size_t i = slot_of(s);

                mem_wipe(s, sizeof(*s));
                slab.sizes[i] = 0;
                slab.n_used--;
        }
        return NULL;
}

uint8_t *secret_data(struct secret *s) {
        (void)slot_of(s);
        return s->bytes;
}

const uint8_t *secret_peek(const struct secret *s) {
        (void)slot_of(s);
        return s->bytes;
}

size_t secret_size(const struct secret *s) {
        return slab.sizes[slot_of(s)];
}

bool secret_slab_locked(void) {
        return slab.locked;
}

size_t secret_slab_used(void) {
        return slab.n_used;
}
