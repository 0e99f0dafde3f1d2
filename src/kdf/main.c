/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-broker-kdf: one passphrase in, one key out, and gone. A process of its own because Argon2id
 * is to take long and much memory, which no event loop may. Descriptor 0 is a stream socket to the
 * keeper, on which the request comes (crypto/kdf.h) and the 32 bytes of the answer leave. Says
 * nothing else to anybody: the exit status alone tells a failure (1 ours, 2 the request's). Whoever
 * started it never sees either.
 */
#include "config.h"

#include <poll.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "crypto/init.h"
#include "crypto/kdf.h"
#include "os/process.h"
#include "sandbox/sandbox.h"

enum {
        EXIT_OURS = 1,
        EXIT_REQUEST = 2,
};

#define SOCKET_FD 0
#define REQUEST_MAX (KDF_REQUEST_LINE_MAX + LIMIT_PASSPHRASE_BYTES)
#define LIFE_SEC 120 /* all of it: a parent that says nothing does not keep us */

static bool is_stream_socket(int fd) {
        socklen_t len = sizeof(int);
        int type = 0;

        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

static int wait_for(int fd, short events) {
        struct pollfd p = { .fd = fd, .events = events };

        return poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

/* Appends what comes next. -EPIPE at the end of the stream. */
static int receive(int fd, struct buf *b) {
        ssize_t n;
        int r = buf_reserve(b, REQUEST_MAX + 1 - b->len);

        if (r < 0)
                return r;
        n = recv(fd, b->data + b->len, REQUEST_MAX + 1 - b->len, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return wait_for(fd, POLLIN);
        if (n < 0)
                return -errno;
        b->len += (size_t)n;
        return n == 0 ? -EPIPE : 0;
}

/*
 * Reads the request: @b holds it, and the passphrase are its last @ret_len bytes. -EBADMSG for what
 * is none, or more than one.
 */
static int read_request(int fd, struct buf *b, struct kdf_params *ret, size_t *ret_len) {
        const char *end = NULL;
        size_t n_line = 0;
        int r;

        while (!end) {
                r = receive(fd, b);
                if (r < 0)
                        return r;
                end = memchr(b->data, '\n', b->len);
                if (!end && b->len >= KDF_REQUEST_LINE_MAX)
                        return -EBADMSG;
        }
        n_line = (size_t)(end - b->data);
        r = kdf_request_parse(b->data, n_line, ret, ret_len);
        if (r < 0)
                return r;
        while (b->len < n_line + 1 + *ret_len) {
                r = receive(fd, b);
                if (r < 0)
                        return r;
        }
        return b->len == n_line + 1 + *ret_len ? 0 : -EBADMSG;
}

static int send_key(int fd, const struct secret *key) {
        const uint8_t *p = secret_peek(key);
        size_t left = SECRET_KEY_BYTES;

        while (left > 0) {
                ssize_t n = send(fd, p, left, MSG_NOSIGNAL);

                if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
                        int r = wait_for(fd, POLLOUT);

                        if (r < 0)
                                return r;
                        continue;
                }
                if (n < 0)
                        return -errno;
                p += n;
                left -= (size_t)n;
        }
        return 0;
}

static int run(void) {
        AUTO_BUF struct buf request = BUF_INIT;
        AUTO_SECRET struct secret *key = NULL;
        struct kdf_params params;
        size_t len = 0;

        if (read_request(SOCKET_FD, &request, &params, &len) < 0)
                return EXIT_REQUEST;
        if (kdf_derive(&params, request.data + request.len - len, len, &key) < 0)
                return EXIT_OURS;
        buf_done(&request);
        return send_key(SOCKET_FD, key) < 0 ? EXIT_OURS : 0;
}

/* Before the passphrase is read. What this kernel does not grant, the keeper has said already. */
static int close_in(void) {
        struct sandbox_profile profile = sandbox_kdf();
        struct sandbox_report report;

        return sandbox_enter(&profile, &report, NULL);
}

int main(int argc, char *argv[]) {
        int status;

        if (argc != 1 || !is_stream_socket(SOCKET_FD))
                return EXIT_REQUEST;
        if (process_harden(NULL) < 0)
                return EXIT_OURS;
        json_use_wiping_allocator();
        (void)alarm(LIFE_SEC);
        if (crypto_init(NULL) < 0 || close_in() < 0)
                return EXIT_OURS;
        status = run();
        crypto_done();
        return status;
}
