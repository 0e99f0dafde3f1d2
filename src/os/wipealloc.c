/* SPDX-License-Identifier: Apache-2.0 */
/*
 * free() and realloc() for the whole process, libraries included: the C library's own heap, wiped
 * on the way back. The rest of the family stays as it is, because its blocks come from the same
 * heap; so what malloc_usable_size() says is true, and aligned blocks need no care.
 *
 * Sizes are asked of the heap rather than kept in a header in front: nothing here is known to the
 * compiler about the block that is wiped, so _FORTIFY_SOURCE has no opinion on it.
 */
#include "os/alloc.h"

#if defined(__GLIBC__) && !defined(MCPB_SANITIZED)

#include <malloc.h>

/* The C library's functions under the names that nobody interposes. */
extern void *__libc_malloc(size_t size);
extern void __libc_free(void *p);

#define EXPORTED __attribute__((visibility("default")))

EXPORTED void free(void *p) {
        if (!p)
                return;
        explicit_bzero(p, malloc_usable_size(p));
        __libc_free(p);
}

/* Never by the C library's: it moves a block and leaves the old one as it was. */
/* lint: allow realloc: the definition of one that wipes */
EXPORTED void *realloc(void *p, size_t size) {
        size_t old;
        void *moved;

        if (!p)
                return __libc_malloc(size);
        if (size == 0) {
                free(p);
                return NULL;
        }
        old = malloc_usable_size(p);
        if (size <= old && size >= old / 2) {
                explicit_bzero((char *)p + size, old - size);
                return p;
        }
        moved = __libc_malloc(size);
        if (!moved)
                return NULL;
        memcpy(moved, p, size < old ? size : old);
        free(p);
        return moved;
}

/* lint: allow reallocarray: the definition of one that wipes */
EXPORTED void *reallocarray(void *p, size_t n, size_t size) {
        size_t total;

        if (__builtin_mul_overflow(n, size, &total)) {
                errno = ENOMEM;
                return NULL;
        }
        return realloc(p, total); /* lint: allow realloc: ours, it wipes */
}

bool alloc_is_wiping(void) {
        return true;
}

#else

bool alloc_is_wiping(void) {
        return false;
}

#endif
