/* SPDX-License-Identifier: Apache-2.0 */
/* However a stream is cut, its lines are the same. */
#include "pieces.h"
#include "wire/line.h"

#define LINE_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The lines one after the other, each behind its length; returns how it ended. */
static int split(const uint8_t *data, size_t size, size_t piece, struct buf *all) {
        AUTO_BUF struct buf in = BUF_INIT;
        AUTO_BUF struct buf line = BUF_INIT;
        size_t scanned = 0;
        int r = 0;

        while (size > 0 && r == 0) {
                size_t n = size < piece ? size : piece;

                assert(buf_append(&in, data, n) == 0);
                data += n;
                size -= n;
                while ((r = line_take(&in, &scanned, LINE_MAX, &line)) == 1) {
                        assert(line.len <= LINE_MAX);
                        assert(!memchr(line.data, '\n', line.len));
                        assert(buf_printf(all, "%zu:", line.len) == 0);
                        assert(buf_append(all, line.data, line.len) == 0);
                }
                assert(r == 0 || r == -EMSGSIZE);
        }
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        pieces_make_no_difference(data, size, split);
        return 0;
}
