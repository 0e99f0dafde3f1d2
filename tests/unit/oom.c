/* SPDX-License-Identifier: Apache-2.0 */
#include "oom.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "test.h"

#define OOM_SWEEP_MAX 20000

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

/* The seam is process-wide by nature; it falls through unless a sweep is on. */
static struct {
        unsigned fail_at; /* 0: never */
        unsigned count;
        bool paused;
} oom;

static int fails(void) {
        return oom.fail_at > 0 && !oom.paused && ++oom.count == oom.fail_at;
}

void oom_pause(bool on) {
        oom.paused = on;
}

void *__wrap_malloc(size_t size) {
        return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
        return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size) {
        return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s) {
        return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n) {
        return fails() ? NULL : __real_strndup(s, n);
}

static unsigned sweep(int (*fn)(void *userdata), void *userdata, int strict) {
        json_malloc_t old_malloc;
        json_free_t old_free;
        int r = -ENOMEM;
        unsigned n = 0;

        json_get_alloc_funcs(&old_malloc, &old_free);
        json_set_alloc_funcs(__wrap_malloc, free);
        for (n = 1; n < OOM_SWEEP_MAX; n++) {
                oom.count = 0;
                oom.fail_at = n;
                r = fn(userdata);
                oom.fail_at = 0;
                if (oom.count < n)
                        break;
                if (strict)
                        assert_int_equal(r, -ENOMEM);
        }
        json_set_alloc_funcs(old_malloc, old_free);
        assert_true(n < OOM_SWEEP_MAX);
        assert_int_equal(r, 0);
        return n - 1;
}

unsigned oom_sweep(int (*fn)(void *userdata), void *userdata) {
        return sweep(fn, userdata, 1);
}

unsigned oom_sweep_any(int (*fn)(void *userdata), void *userdata) {
        return sweep(fn, userdata, 0);
}
