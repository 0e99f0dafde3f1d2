/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a parser of a stream makes of its input must not depend on how that arrives: whole, or in
 * pieces of a length that the first byte gives.
 */
#pragma once

#include <assert.h>

#include "base/buf.h"

/* Parses @size bytes of @data, @piece at a time; in @all what came of them, and how it ended. */
typedef int (*pieces_fn)(const uint8_t *data, size_t size, size_t piece, struct buf *all);

static inline void pieces_make_no_difference(const uint8_t *data, size_t size, pieces_fn parse) {
        AUTO_BUF struct buf whole = BUF_INIT;
        AUTO_BUF struct buf pieces = BUF_INIT;
        int r_whole;
        int r_pieces;

        if (size < 1 || size > 4096)
                return;
        r_whole = parse(data + 1, size - 1, size, &whole);
        r_pieces = parse(data + 1, size - 1, (size_t)data[0] % 17 + 1, &pieces);
        assert(r_whole == r_pieces);
        assert(whole.len == pieces.len);
        assert(whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0);
}
