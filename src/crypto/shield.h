/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens at rest in memory: ten thousand do not fit into locked memory, so they stand in ordinary
 * memory encrypted under one key that does. Opened only for the moment of use. Freeing the shield
 * makes all that was put under it unreadable at once, wherever copies may lie.
 */
#pragma once

#include "base/buf.h"

struct shield;

/* A token under a shield. Embedded in its owner; moving the struct is fine, copying it is not. */
struct shielded {
        uint8_t *data; /* NULL: nothing here */
        size_t size;
};
#define SHIELDED_INIT ((struct shielded){ 0 })

struct shield *shield_new(void)
        MUST_CHECK; /* NULL: out of memory, or the slab of secrets is full */
struct shield *shield_free(struct shield *s);

/*
 * Replaces what *@ret held. @data is borrowed: the caller wipes its own. -ENOMEM, -EMSGSIZE; *@ret
 * is then unchanged.
 */
int shield_put(struct shield *s, const void *data, size_t len, struct shielded *ret) MUST_CHECK;
/*
 * Appends the token to @out. -ENOENT: nothing there; -EBADMSG: not of this shield; -ENOMEM,
 * -EMSGSIZE.
 */
int shield_open(struct shield *s, const struct shielded *t, struct buf *out) MUST_CHECK;
void shielded_done(struct shielded *t);

static inline bool shielded_is_set(const struct shielded *t) {
        return t->data != NULL;
}
