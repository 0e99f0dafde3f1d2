/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <sys/eventfd.h>

#include "client/client.h"

/* Takes as many members as the caller's header knew. */
static int read_options(mcpb_options *ret, const mcpb_options *given, mcpb_error *err) {
        size_t first = offsetof(mcpb_options, socket_path);

        *ret = (mcpb_options)MCPB_OPTIONS_INIT;
        if (!given)
                return 0;
        if (given->size < first)
                return client_error(err, MCPB_BAD_PARAMS, EINVAL, NULL,
                                    "The options must begin with MCPB_OPTIONS_INIT");
        memcpy(ret, given, given->size < sizeof(*ret) ? given->size : sizeof(*ret));
        return 0;
}

static int copy(char **to, const char *from) {
        if (!from)
                return 0;
        *to = strdup(from);
        return *to ? 0 : -ENOMEM;
}

int mcpb_client_new(const mcpb_options *options, mcpb_client **ret, mcpb_error *err) {
        mcpb_client *c;
        mcpb_options o;
        int r;

        if (err)
                mcpb_error_done(err);
        r = read_options(&o, options, err);
        if (r < 0)
                return r;
        c = calloc(1, sizeof(*c));
        if (!c)
                return client_oom(err);
        c->fd = -1;
        c->owner = getpid();
        list_init(&c->queue);
        list_init(&c->sent);
        list_init(&c->done);
        c->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        c->user_cancel_fd = o.cancel_fd;
        c->timeout_msec = o.timeout_msec;
        c->autostart = !o.no_autostart;
        buf_init(&c->in, CLIENT_LINE_BYTES + 64 * 1024);
        client_set_deadline(c, o.timeout_msec ? o.timeout_msec : CLIENT_TIMEOUT_MSEC);
        if (c->cancel_fd < 0)
                r = client_error(err, MCPB_INTERNAL, errno, NULL, "eventfd: %s", strerror(errno));
        else if (copy(&c->socket_path, o.socket_path) < 0 ||
                 copy(&c->client_name, o.client_name) < 0 ||
                 copy(&c->daemon_path, o.daemon_path) < 0)
                r = client_oom(err);
        else
                r = client_connect(c, err);
        if (r < 0) {
                (void)mcpb_client_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

mcpb_client *mcpb_client_free(mcpb_client *c) {
        if (!c)
                return NULL;
        client_forget_calls(c);
        client_disconnect(c);
        if (c->cancel_fd >= 0)
                (void)close(c->cancel_fd);
        free(c->socket_path);
        free(c->client_name);
        free(c->daemon_path);
        if (c->telling)
                c->freed = true;
        else
                free(c);
        return NULL;
}

int mcpb_client_fd(const mcpb_client *c) {
        return c->fd;
}

int mcpb_client_may_manage(const mcpb_client *c) {
        return c->fd >= 0 && c->manage;
}
