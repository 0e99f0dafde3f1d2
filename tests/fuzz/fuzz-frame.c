/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes into a chan, in pieces of a size that the first byte gives. What comes out goes through
 * another one unchanged. */
#include <assert.h>
#include <sys/socket.h>

#include "wire/chan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_on(struct frame *f) {
        AUTO_BUF struct buf body = BUF_INIT;
        struct frame back = FRAME_INIT;
        struct chan *out;
        struct chan *in;
        int fds[2];
        int r;

        assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
        out = chan_new(fds[0]);
        in = chan_new(fds[1]);
        assert(out && in);
        assert(buf_append(&body, f->body.data, f->body.len) == 0);
        r = chan_send(out, f->head, &body, NULL, 0);
        /* Escapes may make it longer than it was. */
        if (r == 0) {
                assert(chan_read(in) == 0);
                assert(chan_next(in, &back) == 1);
                assert(json_equal(back.head, f->head));
                assert(back.body.len == f->body.len);
                assert(memcmp(back.body.data, f->body.data, f->body.len) == 0);
                frame_done(&back);
        } else {
                assert(r == -EMSGSIZE);
        }
        (void)chan_free(out);
        (void)chan_free(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct frame f = FRAME_INIT;
        struct chan *c;
        size_t piece;
        int fds[2];
        int r = 0;

        if (size < 1 || size > 8192)
                return 0;
        piece = (size_t)data[0] * 8 + 1;
        data++;
        size--;
        assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
        c = chan_new(fds[0]);
        assert(c);
        while (size > 0 && r == 0) {
                size_t n = size < piece ? size : piece;

                assert(send(fds[1], data, n, MSG_NOSIGNAL) == (ssize_t)n);
                data += n;
                size -= n;
                assert(chan_read(c) == 0);
                while ((r = chan_next(c, &f)) == 1) {
                        assert(json_is_object(f.head));
                        assert(f.n_fds == 0);
                        send_on(&f);
                        frame_done(&f);
                }
                assert(r == 0 || r == -EBADMSG);
        }
        (void)chan_free(c);
        (void)close(fds[1]);
        return 0;
}
