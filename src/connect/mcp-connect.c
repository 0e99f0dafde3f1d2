/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-connect: the bridge between an MCP client on stdio and an MCP server on HTTP. See
 * mcp-connect(1).
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/log.h"
#include "connect/bridge.h"
#include "connect/clientconfig.h"
#include "connect/options.h"
#include "loop/loop.h"
#include "os/process.h"

static int on_stop(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        bridge_stop(userdata);
        return 0;
}

/* Browsers that have ended. */
static int on_child(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
        return 0;
}

static int block_signals(sigset_t *ret_stops) {
        sigset_t child;

        (void)sigemptyset(ret_stops);
        (void)sigaddset(ret_stops, SIGTERM);
        (void)sigaddset(ret_stops, SIGINT);
        (void)sigaddset(ret_stops, SIGHUP);
        (void)sigemptyset(&child);
        (void)sigaddset(&child, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, ret_stops, NULL) < 0 || sigprocmask(SIG_BLOCK, &child, NULL) < 0)
                return -errno;
        return 0;
}

static int watch_signals(sd_event *event, struct bridge *b) {
        static const int stops[] = { SIGTERM, SIGINT, SIGHUP };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(stops); i++)
                r = sd_event_add_signal(event, NULL, stops[i], on_stop, b);
        return r < 0 ? r : sd_event_add_signal(event, NULL, SIGCHLD, on_child, NULL);
}

/* Appended to, and for its owner alone: it may be sent to somebody who helps. */
static int open_log(const struct program *p, const struct options *o) {
        int fd = -1;

        if (o->log_file) {
                fd = open(o->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
                if (fd < 0)
                        return program_usage(p, "cannot write %s: %s", o->log_file,
                                             strerror(errno));
        }
        log_open_plain("mcp-connect", o->debug ? LOG_DEBUG : LOG_NOTICE, fd);
        return -1;
}

static bool is_eager(void *userdata) {
        return http_is_eager(userdata);
}

static int make_headers(struct options *o, struct bridge_options *bo) {
        if (o->n_headers == 0)
                return 0;
        bo->headers = calloc(o->n_headers, sizeof(*bo->headers));
        if (!bo->headers)
                return -ENOMEM;
        memcpy(bo->headers, o->headers, o->n_headers * sizeof(*bo->headers));
        bo->n_headers = o->n_headers;
        o->n_headers = 0;
        return 0;
}

static int make_bridge(sd_event *event, struct http *http, const struct program *p,
                       struct options *o, struct bridge **ret) {
        struct bridge_options bo = {
                .event = event,
                .http = http,
                .in_fd = STDIN_FILENO,
                .out_fd = STDOUT_FILENO,
                .url = strstr(o->server, "://") ? o->server : NULL,
                .message_max = o->message_max,
                .access = { .client = p->options,
                            .host_fd = STDIN_FILENO,
                            .server = o->server,
                            .account = o->account,
                            .scopes = o->joined_scopes,
                            .browser = o->browser,
                            .no_browser = o->no_browser,
                            .hold_usec = o->hold_sec * USEC_PER_SEC },
                .ignored_tools = o->ignored_tools,
                .n_ignored_tools = o->n_ignored_tools,
                .request_usec = o->request_sec * USEC_PER_SEC,
                .transport = o->transport,
                .modern_first = o->modern_first,
                .report = o->report,
        };
        int r = make_headers(o, &bo);

        return r < 0 ? r : bridge_new(&bo, ret);
}

static int run(struct program *p, struct options *o) {
        struct http_options ho = { .ca_file = o->ca_file,
                                   .proxy = o->proxy,
                                   .no_proxy = o->no_proxy,
                                   .connect_msec = (unsigned)(o->connect_sec * 1000),
                                   .keep_alive = true,
                                   .http2 = http_has_sound_http2() };
        struct error err = ERROR_INIT;
        AUTO_LOOP sd_event *event = NULL;
        AUTO_CLOSE int stop_fd = -1;
        struct bridge *bridge = NULL;
        struct http *http = NULL;
        sigset_t stops;
        int r = block_signals(&stops);

        if (r == 0)
                r = loop_new(&event);
        /* Also ends the wait for a daemon that is just being started; the loop reads the signal. */
        stop_fd = signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
        p->options.cancel_fd = stop_fd;
        if (r == 0)
                r = http_new(event, &ho, &http, &err);
        if (r == 0)
                r = make_bridge(event, http, p, o, &bridge);
        if (r == 0)
                r = watch_signals(event, bridge);
        if (r >= 0)
                r = loop_run(event, is_eager, http);
        if (r < 0) {
                (void)error_fallback(&err, r, "setting up");
                log_failure(LOG_ERR, &err, "mcp-connect");
        }
        (void)bridge_free(bridge);
        (void)http_free(http);
        return r < 0 ? 1 : r;
}

/* --- a client's configuration ---------------------------------------------------------------- */

/* A client that connects itself needs the address of what the person calls by name. -1: go on. */
static int ask_url(const struct program *p, const char *server, char **ret) {
        AUTO_JSON json_t *value = NULL;
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;
        char *text = NULL;
        const char *url = NULL;
        int r = program_connect(p, &c, &err);

        if (r == 0)
                r = mcpb_server_show(c, server, &text, &err);
        (void)mcpb_client_free(c);
        if (r < 0)
                return program_fail(p, &err);
        if (text && json_parse(text, strlen(text), 16, &value, NULL) == 0)
                url = json_get_string(json_object_get(value, "server"), "url");
        *ret = url ? strdup(url) : NULL;
        (void)mcpb_text_free(text);
        if (!*ret)
                (void)fprintf(stderr, "%s: the daemon does not say where '%s' is\n", p->name,
                              server);
        return *ret ? -1 : 1;
}

static int configure(const struct program *p, const struct options *o) {
        struct clientconfig_request request = {
                .client = o->print_config ? o->print_config : o->write_config,
                .server = o->server,
                .entry = o->entry,
                .helper = o->helper,
        };
        struct error err = ERROR_INIT;
        AUTO_FREE char *url = NULL;
        int r;

        if (o->helper && o->server && !strstr(o->server, "://")) {
                int status = ask_url(p, o->server, &url);

                if (status >= 0)
                        return status;
                request.url = url;
        }
        r = o->print_config ? clientconfig_print(&request, stdout, &err)
                            : clientconfig_write(&request, &err);
        if (r == 0)
                return 0;
        (void)fprintf(stderr, "%s: %s\n", p->name, err.message);
        if (err.hint[0])
                (void)fprintf(stderr, "%s: %s\n", p->name, err.hint);
        return error_exit_status(err.code);
}

int main(int argc, char **argv) {
        struct program p;
        struct options o;
        int status;

        json_use_wiping_allocator();
        if (process_prepare(NULL) < 0 || process_ignore_sigpipe() < 0)
                return 1;
        program_init(&p, "mcp-connect", options_help);
        status = options_parse(&o, &p, argc, argv);
        if (status < 0 && (o.print_config || o.write_config))
                status = configure(&p, &o);
        if (status < 0)
                status = open_log(&p, &o);
        if (status < 0 && http_init() < 0)
                status = 1;
        if (status < 0)
                status = run(&p, &o);
        options_done(&o);
        return status;
}
