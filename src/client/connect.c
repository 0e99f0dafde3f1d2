/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

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
        c->link = LINK_NONE;
        c->manage = false;
        c->scanned = 0;
        c->writing = NULL;
        c->written = 0;
        c->n_given_up = 0;
        c->broken = c->reset = c->leaving = false;
        buf_done(&c->in);
        buf_done(&c->rest);
}

int client_write(mcpb_client *c, const struct buf *line) {
        while (c->written < line->len) {
                ssize_t n = send(c->fd, line->data + c->written, line->len - c->written,
                                 MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n > 0)
                        c->written += (size_t)n;
                if (n >= 0 || errno == EINTR)
                        continue;
                if (errno == EAGAIN)
                        return 0;
                return errno == ECONNRESET ? -ECONNRESET : -EPIPE;
        }
        c->written = 0;
        return 1;
}

int client_fill(mcpb_client *c, mcpb_error *err) {
        ssize_t n;

        if (buf_reserve(&c->in, CLIENT_FILL_BYTES) < 0)
                return client_oom(err);
        do
                n = recv(c->fd, c->in.data + c->in.len, CLIENT_FILL_BYTES, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN ? 0 : -ECONNRESET;
        if (n == 0)
                return -EPIPE;
        c->in.len += (size_t)n;
        c->in.data[c->in.len] = '\0';
        return (int)n;
}

int client_next(mcpb_client *c, json_t **ret, mcpb_error *err) {
        AUTO_BUF struct buf line = { .max = CLIENT_LINE_BYTES };
        const char *why = NULL;
        int r = line_take(&c->in, &c->scanned, CLIENT_LINE_BYTES, &line);

        if (r == 0)
                return 0;
        if (r == -ENOMEM)
                return client_oom(err);
        if (r < 0)
                return client_error(err, MCPB_UNSUPPORTED, EPROTO, NULL,
                                    "The daemon's answer is too long");
        r = json_parse(line.data, line.len, CLIENT_JSON_DEPTH, ret, &why);
        if (r == -ENOMEM)
                return client_oom(err);
        if (r == 0 && json_is_object(*ret))
                return 1;
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

static int check_hello(const json_t *m, mcpb_error *err) {
        const json_t *params = json_object_get(m, "params");
        const char *method = json_get_string(m, "method");

        if (json_object_get(m, "error"))
                return refused(json_object_get(m, "error"), err);
        if (!method || !streq(method, "hello") || !json_get_string(params, "nonce"))
                return client_error(err, MCPB_UNSUPPORTED, EPROTO,
                                    "Is this the socket of mcp-brokerd?",
                                    "The other side of the socket did not say hello");
        if (json_get_int(params, "protocol", 0) != PROTOCOL)
                return client_error(err, MCPB_UNSUPPORTED, EPROTO,
                                    "Install the client and the daemon of the same release.",
                                    "The daemon speaks protocol %lld, this program speaks %d",
                                    (long long)json_get_int(params, "protocol", 0), PROTOCOL);
        return 0;
}

/* Was greeted: asks for the session. */
static int on_hello(mcpb_client *c, const json_t *m, mcpb_error *err) {
        AUTO_JSON json_t *request = NULL;
        int r = check_hello(m, err);

        if (r < 0)
                return r;
        request = json_pack("{s:s,s:i,s:s,s:{s:s,s:s*}}", "jsonrpc", "2.0", "id", 0, "method",
                            "session.open", "params", "nonce",
                            json_get_string(json_object_get(m, "params"), "nonce"), "client",
                            c->client_name);
        if (!request || json_write(&c->rest, request) < 0 || buf_append_str(&c->rest, "\n") < 0)
                return client_oom(err);
        c->link = LINK_OPENING;
        return 1;
}

static int on_opened(mcpb_client *c, const json_t *m, mcpb_error *err) {
        const json_t *result = json_object_get(m, "result");

        if (json_object_get(m, "error"))
                return refused(json_object_get(m, "error"), err);
        if (!json_is_object(result))
                return client_error(err, MCPB_UNSUPPORTED, EPROTO, NULL,
                                    "The daemon did not open a session");
        c->manage = json_get_bool(result, "manage", false);
        c->n_greetings = 0;
        c->link = LINK_OPEN;
        return 1;
}

/* 1: went on. 0: nothing goes at present. */
static int greet(mcpb_client *c, mcpb_error *err) {
        AUTO_JSON json_t *m = NULL;
        int r;

        if (c->rest.len > 0) {
                r = client_write(c, &c->rest);
                if (r <= 0)
                        return r;
                buf_done(&c->rest);
        }
        r = client_next(c, &m, err);
        if (r == 0) {
                r = client_fill(c, err);
                return r > 0 ? 1 : r;
        }
        if (r < 0)
                return r;
        return c->link == LINK_GREETING ? on_hello(c, m, err) : on_opened(c, m, err);
}

/* One attempt at the socket: 1. -ENOENT and -ECONNREFUSED: nobody is there. */
static int reach(mcpb_client *c, const char *path, mcpb_error *err) {
        struct error e = ERROR_INIT;
        int r;

        client_disconnect(c);
        r = sock_connect_unix(path, &c->fd, &e);
        if (r == 0)
                r = fd_set_nonblock(c->fd);
        if (r == 0) {
                c->link = LINK_GREETING;
                return 1;
        }
        client_disconnect(c);
        (void)error_fallback(&e, r, "connecting to the daemon");
        return client_error_from(err, &e, r);
}

static bool nobody_there(int r) {
        return r == -ENOENT || r == -ECONNREFUSED;
}

/* @ret is to be freed. */
static int find_socket(const mcpb_client *c, char **ret, mcpb_error *err) {
        *ret = c->socket_path ? strdup(c->socket_path) : path_socket();
        if (*ret)
                return 0;
        if (c->socket_path)
                return client_oom(err);
        return client_error(err, MCPB_NO_DAEMON, ECONNREFUSED,
                            "Set MCP_BROKER_SOCK to the path of the socket.",
                            "It cannot be told where the socket of mcp-brokerd is");
}

static int reach_or_start(mcpb_client *c, mcpb_error *err) {
        AUTO_FREE char *path = NULL;
        const char *named = getenv("MCP_BROKER_SOCK");
        int r = find_socket(c, &path, err);

        if (r < 0)
                return r;
        r = reach(c, path, err);
        /* A path that somebody named is somebody's own daemon. */
        if (!nobody_there(r) || !c->autostart || c->socket_path || (named && *named))
                return nobody_there(r) ? -ECONNREFUSED : r;
        r = client_start_daemon(c, err);
        if (r < 0)
                return r;
        c->link = LINK_STARTING;
        c->retry_usec = clock_boot_usec();
        c->starting_until_usec = c->retry_usec + STARTING_USEC;
        return 1;
}

/* A daemon that was just started needs a moment before it listens. */
static int reach_started(mcpb_client *c, mcpb_error *err) {
        AUTO_FREE char *path = NULL;
        uint64_t now = clock_boot_usec();
        int r;

        if (now < c->retry_usec)
                return 0;
        r = find_socket(c, &path, err);
        if (r == 0)
                r = reach(c, path, err);
        if (!nobody_there(r))
                return r;
        if (now >= c->starting_until_usec)
                return -ECONNREFUSED;
        c->link = LINK_STARTING;
        c->retry_usec = now + STARTING_STEP_USEC;
        return 0;
}

static int advance(mcpb_client *c, mcpb_error *err) {
        switch (c->link) {
        case LINK_NONE:
                return reach_or_start(c, err);
        case LINK_STARTING:
                return reach_started(c, err);
        case LINK_GREETING:
        case LINK_OPENING:
                return greet(c, err);
        case LINK_OPEN:
                break;
        }
        return 1;
}

int client_link(mcpb_client *c, mcpb_error *err) {
        while (c->link != LINK_OPEN) {
                int r = advance(c, err);

                if (r > 0)
                        continue;
                if (r == 0)
                        return 0;
                client_disconnect(c);
                /*
                 * Twice: a daemon that is just stopping closes in the middle of the greeting, and
                 * the next one takes over.
                 */
                if ((r == -EPIPE || r == -ECONNRESET) && ++c->n_greetings < 2)
                        continue;
                c->n_greetings = 0;
                if (r == -EPIPE || r == -ECONNRESET)
                        return client_error(err, MCPB_NO_DAEMON, ECONNREFUSED, "Try again.",
                                            "The daemon closed the connection");
                return r;
        }
        if (err)
                mcpb_error_done(err); /* of attempts that were not the last */
        return 1;
}

int client_connect(mcpb_client *c, mcpb_error *err) {
        int r;

        while ((r = client_link(c, err)) == 0) {
                r = client_wait(c, c->fd, client_events(c), client_wakeup(c), err);
                if (r < 0 && r != -EAGAIN)
                        break;
        }
        if (r > 0)
                return 0;
        client_disconnect(c);
        return r;
}
