/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every unit test includes: cmocka in the order it wants its headers.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef MCPB_COVERAGE
void __gcov_dump(void);
#endif

/* Ends a child that a test forked: nothing that the parent has yet to write is written twice, and
 * coverage is kept. */
static inline __attribute__((noreturn)) void child_exit(int status) {
#ifdef MCPB_COVERAGE
        __gcov_dump();
#endif
        _exit(status);
}
