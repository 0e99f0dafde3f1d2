/* SPDX-License-Identifier: Apache-2.0 */
/* However a stream is cut, its events are the same, and so is the end. */
#include "http/sse.h"
#include "pieces.h"

#define EVENT_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_event(const struct sse_event *e, void *userdata) {
        struct buf *all = userdata;

        assert(e->len <= EVENT_MAX);
        assert(e->data[e->len] == '\0');
        assert(e->has_data == (e->len > 0));
        assert(*e->type);
        assert(e->id || !e->id_seen);
        assert(e->retry_msec >= -1);
        assert(buf_printf(all, "%s %zu:", e->type, e->len) == 0);
        assert(buf_append(all, e->data, e->len) == 0);
        assert(buf_printf(all, " %s %d %ld\n", e->id ? e->id : "-", e->id_seen, e->retry_msec) ==
               0);
        return 0;
}

static int parse(const uint8_t *data, size_t size, size_t piece, struct buf *all) {
        struct sse s;
        int r = 0;

        sse_init(&s, EVENT_MAX);
        while (size > 0 && r == 0) {
                size_t n = size < piece ? size : piece;

                r = sse_feed(&s, (const char *)data, n, on_event, all);
                data += n;
                size -= n;
        }
        assert(r == 0 || r == -EMSGSIZE);
        sse_done(&s);
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        pieces_make_no_difference(data, size, parse);
        return 0;
}
