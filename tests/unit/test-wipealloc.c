/* SPDX-License-Identifier: Apache-2.0 */
#include "os/alloc.h"

#include <jansson.h>
#include <malloc.h>

#include "test.h"

/* Between our free() and the C library's: what is given back there must be empty. */
void __real___libc_free(void *p);
void __wrap___libc_free(void *p);

/* Volatile: the compiler takes it that free() looks at no variable of ours. */
static volatile struct {
        bool on;
        unsigned n_blocks;
        unsigned n_dirty;
} seen;

void __wrap___libc_free(void *p) {
        const unsigned char *bytes = p;

        if (seen.on) {
                size_t size = malloc_usable_size(p);

                seen.n_blocks++;
                for (size_t i = 0; i < size; i++) {
                        if (bytes[i] != 0) {
                                seen.n_dirty++;
                                break;
                        }
                }
        }
        __real___libc_free(p);
}

/* Valgrind puts its own functions in place of ours. */
static int setup(void **state) {
        const char *preload = getenv("LD_PRELOAD");

        if (!alloc_is_wiping() || (preload && strstr(preload, "valgrind")))
                skip();
        seen.n_blocks = 0;
        seen.n_dirty = 0;
        return 0;
}

/* The compiler must not see that it is about to be freed, or it leaves the writing out. */
static void fill(void *p, size_t size) {
        volatile unsigned char *bytes = p;

        for (size_t i = 0; i < size; i++)
                bytes[i] = 0xa5;
}

static bool filled(const void *p, size_t size) {
        const volatile unsigned char *bytes = p;

        for (size_t i = 0; i < size; i++)
                if (bytes[i] != 0xa5)
                        return false;
        return true;
}

static void a_freed_block_is_wiped_to_its_last_byte(void **state) {
        static const size_t sizes[] = { 1, 7, 8, 16, 24, 25, 1000, 4096, 100000, 1 << 20 };

        (void)setup(state);
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                void *p = malloc(sizes[i]);

                assert_non_null(p);
                fill(p, malloc_usable_size(p));
                seen.on = true;
                free(p);
                seen.on = false;
        }
        free(NULL);
        assert_int_equal(seen.n_blocks, ARRAY_SIZE(sizes));
        assert_int_equal(seen.n_dirty, 0);
}

static void aligned_blocks_are_wiped_too(void **state) {
        (void)setup(state);
        for (size_t align = 16; align <= 65536; align *= 4) {
                void *a = NULL;
                void *b = aligned_alloc(align, align);

                assert_int_equal(posix_memalign(&a, align, 100), 0);
                assert_non_null(b);
                assert_int_equal((uintptr_t)a % align, 0);
                assert_int_equal((uintptr_t)b % align, 0);
                fill(a, malloc_usable_size(a));
                fill(b, malloc_usable_size(b));
                seen.on = true;
                free(a);
                free(b);
                seen.on = false;
        }
        assert_true(seen.n_blocks >= 14);
        assert_int_equal(seen.n_dirty, 0);
}

static void a_block_that_moves_leaves_nothing_behind(void **state) {
        static const size_t from[] = { 10, 100, 4000, 200000, 1 << 20 };
        static const size_t to[] = { 1, 9, 50, 99, 1000, 300000, 4 << 20 };

        (void)setup(state);
        for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
                for (size_t k = 0; k < ARRAY_SIZE(to); k++) {
                        size_t kept = from[i] < to[k] ? from[i] : to[k];
                        void *p = malloc(from[i]);
                        uintptr_t at = (uintptr_t)p;
                        char *q;

                        assert_non_null(p);
                        fill(p, malloc_usable_size(p));
                        seen.on = true;
                        q = realloc(p, to[k]); /* lint: allow realloc: it is what is tested */
                        seen.on = false;
                        assert_non_null(q);
                        assert_true(filled(q, kept));
                        /* What was cut off is gone where the block stayed; a new one may hold the
                         * heap's own links. */
                        if ((uintptr_t)q == at)
                                for (size_t n = to[k]; n < malloc_usable_size(q); n++)
                                        assert_int_equal(((volatile char *)q)[n], 0);
                        free(q);
                }
        }
        assert_true(seen.n_blocks > 0);
        assert_int_equal(seen.n_dirty, 0);
}

static void the_odd_calls_behave_as_the_manual_says(void **state) {
        volatile size_t huge = SIZE_MAX / 2;
        char *volatile p = NULL; /* after a failed call the compiler thinks it gone */

        (void)setup(state);
        p = realloc(NULL, 10); /* lint: allow realloc: it is what is tested */
        assert_non_null(p);
        fill(p, 10);
        assert_null(reallocarray(p, huge, 3)); /* lint: allow realloc: it is what is tested */
        assert_int_equal(errno, ENOMEM);
        assert_null(realloc(p, huge)); /* lint: allow realloc: it is what is tested */
        assert_true(filled(p, 10));    /* still there */
        p = reallocarray(p, 100, 10);  /* lint: allow realloc: it is what is tested */
        assert_non_null(p);
        assert_true(filled(p, 10));
        seen.on = true;
        assert_null(realloc(p, 0)); /* lint: allow realloc: it is what is tested */
        seen.on = false;
        assert_int_equal(seen.n_blocks, 1);
        assert_int_equal(seen.n_dirty, 0);
}

/* S1 */
static void what_libraries_free_is_wiped(void **state) {
        json_t *value;
        char *line = NULL;
        size_t size = 0;
        FILE *f;

        (void)setup(state);
        value = json_pack("{ss s[ss]}", "access_token", "0123456789abcdef", "list", "a", "b");
        assert_non_null(value);
        seen.on = true;
        json_decref(value);
        seen.on = false;
        assert_true(seen.n_blocks >= 5);
        f = fopen("/proc/self/maps", "re");
        assert_non_null(f);
        assert_true(getline(&line, &size, f) > 0);
        seen.on = true;
        free(line);
        assert_int_equal(fclose(f), 0);
        seen.on = false;
        assert_true(seen.n_blocks >= 7);
        assert_int_equal(seen.n_dirty, 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_freed_block_is_wiped_to_its_last_byte),
                cmocka_unit_test(aligned_blocks_are_wiped_too),
                cmocka_unit_test(a_block_that_moves_leaves_nothing_behind),
                cmocka_unit_test(the_odd_calls_behave_as_the_manual_says),
                cmocka_unit_test(what_libraries_free_is_wiped),
        };

        return cmocka_run_group_tests_name("wipealloc", tests, NULL, NULL);
}
