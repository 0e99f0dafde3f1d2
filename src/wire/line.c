/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/line.h"

int line_take(struct buf *in, size_t *scanned, size_t max, struct buf *line) {
        size_t from = *scanned < in->len ? *scanned : in->len;
        const char *end = in->len > from ? memchr(in->data + from, '\n', in->len - from) : NULL;
        size_t len;
        int r;

        if (!end) {
                *scanned = in->len;
                /* A CR that ends what is here may belong to the line's end. */
                len = in->len > 0 && in->data[in->len - 1] == '\r' ? in->len - 1 : in->len;
                return len > max ? -EMSGSIZE : 0;
        }
        len = (size_t)(end - in->data);
        if (len > 0 && in->data[len - 1] == '\r')
                len--;
        if (len > max)
                return -EMSGSIZE;
        buf_clear(line);
        r = buf_append(line, in->data, len);
        if (r < 0)
                return r;
        buf_consume(in, (size_t)(end - in->data) + 1);
        *scanned = 0;
        return 1;
}
