/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/limits.h"
#include "client/client.h"
#include "os/io.h"
#include "os/paths.h"
#include "os/sock.h"
#include "wire/line.h"

#define PROTOCOL 1
#define STARTING_STEP_USEC (20 * USEC_PER_MSEC)
#define STARTING_USEC (5 * USEC_PER_SEC)

void client_disconnect(mcpb_client *c) {
        if (c->fd >= 0)
                (void)close(c->fd);
        c->fd = -1;
        c->scanned = 0;
        buf_done(&c->in);
}

int client_send(mcpb_client *c, const struct buf *line, mcpb_error *err) {
        size_t sent = 0;

        while (sent < line->len) {
                ssize_t n = send(c->fd, line->data + sent, line->len - sent,
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
                int r;

                if (n > 0)
                        sent += (size_t)n;
                if (n >= 0 || errno == EINTR)
                        continue;
                if (errno != EAGAIN)
                        return -EPIPE;
                r = client_wait(c, c->fd, POLLOUT, UINT64_MAX, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* One recv() into the buffer. */
static int fill(mcpb_client *c, mcpb_error *err) {
        ssize_t n;
        int r;

        r = client_wait(c, c->fd, POLLIN, UINT64_MAX, err);
        if (r < 0)
                return r;
        r = buf_reserve(&c->in, 16 * 1024);
        if (r < 0)
                return client_oom(err);
        n = recv(c->fd, c->in.data + c->in.len, 16 * 1024, MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return 0;
        if (n < 0)
                return -ECONNRESET;
        if (n == 0)
                return -EPIPE;
        c->in.len += (size_t)n;
        c->in.data[c->in.len] = '\0';
        return 0;
}

int client_receive(mcpb_client *c, json_t **ret, mcpb_error *err) {
        AUTO_BUF struct buf line = { .max = CLIENT_LINE_BYTES };
        const char *why = NULL;
        int r;

        for (;;) {
                r = line_take(&c->in, &c->scanned, CLIENT_LINE_BYTES, &line);
                if (r == -ENOMEM)
                        return client_oom(err);
                if (r < 0)
                        return client_error(err, MCPB_UNSUPPORTED, EPROTO, NULL,
                                            "The daemon's answer is too long");
                if (r > 0)
                        break;
                r = fill(c, err);
                if (r < 0)
                        return r;
        }
        r = json_parse(line.data, line.len, CLIENT_JSON_DEPTH, ret, &why);
        if (r == -ENOMEM)
                return client_oom(err);
        if (r == 0 && json_is_object(*ret))
                return 0;
        if (r == 0)
                json_decref(TAKE(*ret));
        return client_error(err, MCPB_UNSUPPORTED, EPROTO, "Is this the socket of mcp-brokerd?",
                            "What was received is not a message of mcp-broker");
}

static int refused(const json_t *object, mcpb_error *err) {
        const char *code = json_get_string(json_object_get(object, "data"), "code");

        (void)client_error_remote(err, object);
        return code && streq(code, error_name(MCPB_NOT_PERMITTED)) ? -EPERM : -EREMOTEIO;
}

static int read_hello(mcpb_client *c, json_t **ret, mcpb_error *err) {
        AUTO_JSON json_t *m = NULL;
        const json_t *params;
        const char *method;
        int r;

        r = client_receive(c, &m, err);
        if (r < 0)
                return r;
        if (json_object_get(m, "error"))
                return refused(json_object_get(m, "error"), err);
        method = json_get_string(m, "method");
        params = json_object_get(m, "params");
        if (!method || !streq(method, "hello") || !json_get_string(params, "nonce"))
                return client_error(err, MCPB_UNSUPPORTED, EPROTO,
                                    "Is this the socket of mcp-brokerd?",
                                    "The other side of the socket did not say hello");
        if (json_get_int(params, "protocol", 0) != PROTOCOL)
                return client_error(err, MCPB_UNSUPPORTED, EPROTO,
                                    "Install the client and the daemon of the same release.",
                                    "The daemon speaks protocol %lld, this program speaks %d",
                                    (long long)json_get_int(params, "protocol", 0), PROTOCOL);
        *ret = TAKE(m);
        return 0;
}

static int open_session(mcpb_client *c, mcpb_error *err) {
        AUTO_JSON json_t *hello = NULL;
        AUTO_JSON json_t *request = NULL;
        AUTO_JSON json_t *answer = NULL;
        AUTO_BUF struct buf line = BUF_INIT;
        const char *nonce;
        int r;

        r = read_hello(c, &hello, err);
        if (r < 0)
                return r;
        nonce = json_get_string(json_object_get(hello, "params"), "nonce");
        request = json_pack("{s:s,s:i,s:s,s:{s:s,s:s*}}", "jsonrpc", "2.0", "id", 0, "method",
                            "session.open", "params", "nonce", nonce, "client", c->client_name);
        if (!request || json_write(&line, request) < 0 || buf_append_str(&line, "\n") < 0)
                return client_oom(err);
        r = client_send(c, &line, err);
        if (r == 0)
                r = client_receive(c, &answer, err);
        if (r < 0)
                return r;
        if (json_object_get(answer, "error"))
                return refused(json_object_get(answer, "error"), err);
        if (!json_is_object(json_object_get(answer, "result")))
                return client_error(err, MCPB_UNSUPPORTED, EPROTO, NULL,
                                    "The daemon did not open a session");
        c->manage = json_get_bool(json_object_get(answer, "result"), "manage", false);
        return 0;
}

/* One attempt at the socket. -ENOENT and -ECONNREFUSED: nobody is there. */
static int reach(mcpb_client *c, const char *path, mcpb_error *err) {
        struct error e = ERROR_INIT;
        int r;

        client_disconnect(c);
        r = sock_connect_unix(path, &c->fd, &e);
        if (r == 0)
                r = fd_set_nonblock(c->fd);
        if (r == 0) {
                c->owner = getpid();
                return 0;
        }
        client_disconnect(c);
        (void)error_fallback(&e, r, "connecting to the daemon");
        return client_error_from(err, &e, r);
}

static bool nobody_there(int r) {
        return r == -ENOENT || r == -ECONNREFUSED;
}

/* A daemon that was just started needs a moment before it listens. */
static int reach_soon(mcpb_client *c, const char *path, mcpb_error *err) {
        uint64_t end = clock_boot_usec() + STARTING_USEC;
        int r;

        for (;;) {
                uint64_t now = clock_boot_usec();

                r = reach(c, path, err);
                if (!nobody_there(r) || now >= end)
                        return r;
                r = client_wait(c, -1, 0, now + STARTING_STEP_USEC, err);
                if (r != -EAGAIN)
                        return r;
        }
}

static int reach_or_start(mcpb_client *c, mcpb_error *err) {
        AUTO_FREE char *found = c->socket_path ? NULL : path_socket();
        const char *path = c->socket_path ? c->socket_path : found;
        const char *named = getenv("MCP_BROKER_SOCK");
        int r;

        if (!path)
                return client_error(err, MCPB_NO_DAEMON, ECONNREFUSED,
                                    "Set MCP_BROKER_SOCK to the path of the socket.",
                                    "It cannot be told where the socket of mcp-brokerd is");
        r = reach(c, path, err);
        /* A path that somebody named is somebody's own daemon. */
        if (!nobody_there(r) || !c->autostart || c->socket_path || (named && *named))
                return nobody_there(r) ? -ECONNREFUSED : r;
        r = client_start_daemon(c, err);
        if (r < 0)
                return r;
        r = reach_soon(c, path, err);
        return nobody_there(r) ? -ECONNREFUSED : r;
}

/*
 * The connection of an earlier call may be over by now, or belong to the process that we were
 * forked from.
 */
static bool is_stale(const mcpb_client *c) {
        struct pollfd p = { .fd = c->fd, .events = POLLIN };

        return c->owner != getpid() || poll(&p, 1, 0) < 0 ||
               (p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

int client_connect(mcpb_client *c, mcpb_error *err) {
        int r = -EPIPE;

        if (c->fd >= 0 && !is_stale(c))
                return 0;
        /*
         * Twice: a daemon that is just stopping closes in the middle of the greeting, and the next
         * one takes over.
         */
        for (int i = 0; i < 2 && (r == -EPIPE || r == -ECONNRESET); i++) {
                r = reach_or_start(c, err);
                if (r == 0)
                        r = open_session(c, err);
        }
        if (r == 0)
                return 0;
        client_disconnect(c);
        if (r == -EPIPE || r == -ECONNRESET)
                return client_error(err, MCPB_NO_DAEMON, ECONNREFUSED, "Try again.",
                                    "The daemon closed the connection");
        return r;
}
