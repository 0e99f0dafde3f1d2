/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handful of macros that every file uses: cleanup attributes, hand-over, small tests.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef NDEBUG
#error "assertions guard the state machines: do not build with NDEBUG"
#endif

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define USEC_PER_SEC ((uint64_t)1000000)
#define USEC_PER_MSEC ((uint64_t)1000)

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

static inline bool streq_null(const char *a, const char *b) {
        return a == b || (a && b && streq(a, b));
}

/* Hands a pointer or descriptor over: the variable no longer owns it. */
#define TAKE(p)                                 \
        ({                                      \
                __auto_type _take_p = &(p);     \
                __auto_type _take_v = *_take_p; \
                *_take_p = NULL;                \
                _take_v;                        \
        })

static inline int take_fd(int *fd) {
        int r = *fd;

        *fd = -1;
        return r;
}
#define TAKE_FD(fd) take_fd(&(fd))

static inline void cleanup_free(void *p) {
        free(*(void **)p);
}

static inline void cleanup_close(int *fd) {
        if (*fd >= 0)
                (void)close(*fd);
}

#define AUTO_FREE __attribute__((cleanup(cleanup_free), unused))
#define AUTO_CLOSE __attribute__((cleanup(cleanup_close), unused))

/* Defines cleanup_<name>() for a destructor x_free(type *) that takes NULL. */
#define DEFINE_CLEANUP(type, name, fn)               \
        static inline void cleanup_##name(type *p) { \
                if (*p)                              \
                        fn(*p);                      \
        }
