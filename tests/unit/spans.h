/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of JSON text, as tests write them.
 */
#pragma once

#include "base/jsonspan.h"
#include "test.h"

static inline struct span span_of(const char *text) {
        return (struct span){ text, strlen(text) };
}

/* @text: NULL if there is none. */
static inline void assert_span(struct span s, const char *text) {
        assert_int_equal(s.len, text ? strlen(text) : 0);
        if (text)
                assert_memory_equal(s.p, text, s.len);
}
