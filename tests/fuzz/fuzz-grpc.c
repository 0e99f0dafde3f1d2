/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of frames with messages in them. Nothing lies outside of what came; a message of byte
 * fields alone that is written again is the same. */
#include <assert.h>

#include "identity/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 1: of byte fields alone, each written as short as it can be; 0: not; -1: broken. */
static int walk(const uint8_t *data, size_t size, struct buf *again) {
        struct proto_reader reader = proto_reader_of(data, size);
        struct proto_field f = { 0 };
        int plain = 1;
        int r;

        while ((r = proto_next(&reader, &f)) > 0) {
                assert(f.number > 0);
                assert(f.len <= size);
                assert(!f.data || (f.data >= data && f.data + f.len <= data + size));
                plain &= f.is_bytes;
                if (f.is_bytes)
                        assert(proto_append_bytes(again, f.number, f.data, f.len) == 0);
        }
        assert(r == 0 || r == -EBADMSG);
        assert(r < 0 || reader.p == reader.end);
        return r < 0 ? -1 : plain;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const uint8_t *message = NULL;
        size_t len = 0;
        size_t used = 0;
        int r;

        while ((r = grpc_first_frame(data, size, &message, &len, &used)) == 0) {
                AUTO_BUF struct buf again = BUF_INIT;
                AUTO_BUF struct buf twice = BUF_INIT;

                assert(used <= size && message == data + GRPC_FRAME_HEAD_BYTES);
                assert(used == len + GRPC_FRAME_HEAD_BYTES && len <= GRPC_MESSAGE_MAX);
                if (walk(message, len, &again) == 1) {
                        assert(again.len <= len);
                        assert(walk((const uint8_t *)again.data, again.len, &twice) == 1);
                        assert(twice.len == again.len);
                        assert(again.len == 0 || memcmp(twice.data, again.data, again.len) == 0);
                }
                data += used;
                size -= used;
        }
        assert(r == -EAGAIN || r == -EBADMSG);
        return 0;
}
