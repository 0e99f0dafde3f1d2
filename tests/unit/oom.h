/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every way to run out of memory, one after the other. In the .am fragment of a layer:
 *
 *     tests_unit_test_x_SOURCES = tests/unit/test-x.c $(OOM_FILES)
 *     tests_unit_test_x_LDFLAGS = $(AM_LDFLAGS) $(OOM_WRAP)
 *
 * and in the test:
 *
 *     static int make_and_drop(void *userdata) {
 *             struct x *x = NULL;
 *             int r = x_new(&x);
 *
 *             (void)x_free(x);
 *             return r;
 *     }
 *     assert_true(oom_sweep(make_and_drop, NULL) > 0);
 *
 * Calls made by our own code (malloc, calloc, realloc, strdup, strndup) and by jansson count; those
 * inside other libraries do not. Run the program under ASan or valgrind to see that nothing leaks
 * on the way out.
 */
#pragma once

#include <stdbool.h>

/*
 * Calls fn(userdata) with its first allocation failing, then its second, and so on, until it meets
 * no failure. Each run that met one must return -ENOMEM (a cmocka assertion), the last one 0.
 * Returns how many allocations there are.
 */
unsigned oom_sweep(int (*fn)(void *userdata), void *userdata);

/* The same for functions that say something else when out of memory, or get by: only the last run
 * must return 0. */
unsigned oom_sweep_any(int (*fn)(void *userdata), void *userdata);

/* Between oom_pause(true) and oom_pause(false) nothing fails or is counted: for the test's own. */
void oom_pause(bool on);
