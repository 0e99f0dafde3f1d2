/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP services on libmicrohttpd, driven from outside through their epoll descriptors.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4096U
#define CONNECTION_MEMORY (64U * 1024U)
#define IDLE_SEC 60U
#define HEADERS_LOGGED_MAX 48U
#define TRUNCATED_BY 1024U
#define BLOCK_BYTES 32768U
#define EVENTS_AT_ONCE 64

struct service {
        struct MHD_Daemon *daemon;
        struct request *waiting;
        struct connection *lines;
        http_handler_fn handler;
        http_head_fn head_fn;
        http_each_fn left_fn;
        void *userdata;
        uint64_t n_lines; /* ever */
        size_t body_max;
        int epoll_fd; /* over MHD's own, and over the connections, whose ends MHD does not see
                         while they are suspended */
        uint16_t port;
        bool stopping;
        bool moved; /* bytes went into a pipe or out of it since MHD last ran */
};

struct connection {
        struct service *service;
        struct connection *next;
        struct connection *prev;
        struct request *request; /* the one under way */
        uint64_t number;
        uint64_t n_requests;
        int fd;
        bool left; /* the client has closed its side */
};

/* What a reply that is not simply a buffer sends; lives as long as the MHD response. */
struct stream {
        char *body;
        size_t n_body;
        uint64_t n_total; /* 0 = without end */
        bool broken;      /* end by closing the connection */
};

static void line_open(struct service *s, int fd, void **ret) {
        struct connection *c = mem_new(sizeof(*c));
        struct epoll_event event = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = c };

        c->service = s;
        c->fd = fd;
        c->number = ++s->n_lines;
        c->next = s->lines;
        if (c->next)
                c->next->prev = c;
        s->lines = c;
        (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event);
        *ret = c;
}

static void line_close(struct connection *c) {
        (void)epoll_ctl(c->service->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
        if (c->prev)
                c->prev->next = c->next;
        else
                c->service->lines = c->next;
        if (c->next)
                c->next->prev = c->prev;
        free(c);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code) {
        const union MHD_ConnectionInfo *info;

        if (code == MHD_CONNECTION_NOTIFY_STARTED) {
                info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
                line_open(cls, info->connect_fd, context);
        } else if (*context) {
                line_close(*context);
                *context = NULL;
        }
}

static void on_line_end(struct connection *c) {
        struct request *r = c->request;

        c->left = true;
        if (r && r->reply.pipe)
                pipe_break(r->reply.pipe);
        else if (r && r->waiting && c->service->left_fn)
                c->service->left_fn(r, c->service->userdata);
}

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *connection) {
        struct request *r = mem_new(sizeof(*r));
        size_t n_path = strcspn(uri, "?");

        r->service = cls;
        r->connection = connection;
        r->line = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
                          ->socket_context;
        r->line->request = r;
        r->line->n_requests++;
        r->target = mem_string(uri);
        r->path = mem_copy(uri, n_path);
        if (uri[n_path] == '?')
                form_parse(&r->query, uri + n_path + 1, strlen(uri + n_path + 1));
        return r;
}

void reply_clear(struct request *r) {
        for (size_t i = 0; i < r->reply.n_headers; i++) {
                free(r->reply.headers[i].name);
                free(r->reply.headers[i].value);
        }
        free(r->reply.body);
        r->reply.pipe = pipe_detach(r->reply.pipe);
        r->reply = (struct reply){ 0 };
}

static void waiting_remove(struct request *r) {
        struct request **link = &r->service->waiting;

        while (*link && *link != r)
                link = &(*link)->next_waiting;
        if (*link)
                *link = r->next_waiting;
        r->next_waiting = NULL;
        r->waiting = false;
}

static void waiting_add(struct request *r) {
        struct request **link = &r->service->waiting;

        while (*link)
                link = &(*link)->next_waiting;
        *link = r;
        r->waiting = true;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode code) {
        struct request *r = *con_cls;

        if (!r)
                return;
        if (r->waiting)
                waiting_remove(r);
        r->line->request = NULL;
        r->reply.pipe = pipe_detach(r->reply.pipe); /* its writer still finds what r has */
        if (r->state_free)
                r->state_free(r->state);
        reply_clear(r);
        form_done(&r->query);
        form_done(&r->form);
        text_done(&r->body);
        free(r->method);
        free(r->target);
        free(r->path);
        free(r);
        *con_cls = NULL;
}

static ssize_t on_stream_read(void *cls, uint64_t pos, char *buf, size_t max) {
        const struct stream *s = cls;
        size_t n = 0;

        if (s->n_total > 0 && pos >= s->n_total)
                return s->broken ? MHD_CONTENT_READER_END_WITH_ERROR
                                 : MHD_CONTENT_READER_END_OF_STREAM;
        if (s->n_total > 0 && s->n_total - pos < max)
                max = (size_t)(s->n_total - pos);
        for (; n < max && pos + n < s->n_body; n++)
                buf[n] = s->body[pos + n];
        for (; n < max; n++)
                buf[n] = 'a';
        return (ssize_t)n;
}

static void on_stream_free(void *cls) {
        struct stream *s = cls;

        free(s->body);
        free(s);
}

static struct MHD_Response *response_stream(struct reply *reply) {
        struct stream *s = mem_new(sizeof(*s));
        uint64_t size = MHD_SIZE_UNKNOWN;

        s->body = reply->body;
        s->n_body = reply->n_body;
        reply->body = NULL;
        if (reply->shape == REPLY_TRUNCATED) {
                /* At least one byte, so that MHD sends the head before it learns of the end. */
                s->n_total = s->n_body > 1 ? s->n_body / 2 : 1;
                s->broken = true;
                size = s->n_body + TRUNCATED_BY;
        } else {
                s->n_total = reply->n_filler;
        }
        return MHD_create_response_from_callback(size, BLOCK_BYTES, on_stream_read, s,
                                                 on_stream_free);
}

static enum MHD_Result reply_send(struct request *r) {
        struct MHD_Response *response;
        enum MHD_Result result;

        if (r->reply.shape == REPLY_WHOLE) {
                response = MHD_create_response_from_buffer(r->reply.n_body, r->reply.body,
                                                           MHD_RESPMEM_MUST_FREE);
                if (response)
                        r->reply.body = NULL;
        } else if (r->reply.shape == REPLY_PIPE) {
                response = pipe_response(r->reply.pipe);
        } else {
                response = response_stream(&r->reply);
        }
        if (!response)
                return MHD_NO;
        for (size_t i = 0; i < r->reply.n_headers; i++)
                (void)MHD_add_response_header(response, r->reply.headers[i].name,
                                              r->reply.headers[i].value);
        result = MHD_queue_response(r->connection, r->reply.status, response);
        MHD_destroy_response(response);
        if (r->line->left && r->reply.pipe)
                pipe_break(r->reply.pipe);
        return result;
}

static enum MHD_Result request_handle(struct request *r) {
        enum http_verdict verdict = HTTP_DROP;

        if (!r->service->stopping)
                verdict = r->service->handler(r, r->service->userdata);
        if (verdict == HTTP_SEND)
                return reply_send(r);
        if (verdict == HTTP_DROP)
                return MHD_NO;
        waiting_add(r);
        MHD_suspend_connection(r->connection);
        if (r->line->left && r->service->left_fn)
                r->service->left_fn(r, r->service->userdata);
        return MHD_YES;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload_data,
                                 size_t *upload_data_size, void **con_cls) {
        struct request *r = *con_cls;

        if (!r->method) {
                const struct service *s = r->service;

                r->method = mem_string(method);
                return s->head_fn && !s->head_fn(r, s->userdata) ? MHD_NO : MHD_YES;
        }
        if (*upload_data_size > 0) {
                if (r->body.n + *upload_data_size > r->service->body_max)
                        r->too_large = true; /* read on, keep nothing more, answer 413 */
                else
                        text_add(&r->body, upload_data, *upload_data_size);
                *upload_data_size = 0;
                return MHD_YES;
        }
        if (!r->state && r->form.n == 0 && r->body.n > 0 && request_is_form(r))
                form_parse(&r->form, r->body.p, r->body.n);
        return request_handle(r);
}

static int listen_loopback(uint16_t port, uint16_t *ret_port) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
        socklen_t n = sizeof(address);
        int one = 1;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return -errno;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
            bind(fd, (const struct sockaddr *)&address, n) < 0 || listen(fd, 1024) < 0 ||
            getsockname(fd, (struct sockaddr *)&address, &n) < 0) {
                int r = -errno;

                (void)close(fd);
                return r;
        }
        *ret_port = ntohs(address.sin_port);
        return fd;
}

/* MHD's descriptor inside one of ours; false: the system has no more of them. */
static bool epoll_begin(struct service *s) {
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };

        return info && epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, info->epoll_fd, &event) == 0;
}

struct service *http_service_new(uint16_t port, http_handler_fn handler, void *userdata) {
        struct service *s = mem_new(sizeof(*s));
        int fd = listen_loopback(port, &s->port);

        if (fd < 0) {
                free(s);
                errno = -fd;
                return NULL;
        }
        s->handler = handler;
        s->userdata = userdata;
        s->body_max = HTTP_BODY_MAX;
        s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        s->daemon = MHD_start_daemon(
                MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_access, s,
                MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK, on_uri, s,
                MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
                on_connection, s, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
                MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SEC, MHD_OPTION_END);
        if (s->epoll_fd < 0 || !s->daemon || !epoll_begin(s)) {
                if (s->daemon)
                        MHD_stop_daemon(s->daemon);
                else
                        (void)close(fd);
                if (s->epoll_fd >= 0)
                        (void)close(s->epoll_fd);
                free(s);
                errno = EIO;
                return NULL;
        }
        return s;
}

struct service *http_service_free(struct service *s) {
        if (!s)
                return NULL;
        http_service_stop(s);
        MHD_stop_daemon(s->daemon);
        (void)close(s->epoll_fd);
        free(s);
        return NULL;
}

void http_service_stop(struct service *s) {
        s->stopping = true;
        while (s->waiting)
                http_resume(s->waiting);
        for (struct connection *c = s->lines; c; c = c->next)
                if (c->request && c->request->reply.pipe)
                        pipe_break(c->request->reply.pipe);
        http_service_run(s);
}

void http_service_on_head(struct service *s, http_head_fn fn) {
        s->head_fn = fn;
}

void http_service_on_left(struct service *s, http_each_fn fn) {
        s->left_fn = fn;
}

void http_service_body_max(struct service *s, size_t body_max) {
        s->body_max = body_max;
}

uint16_t http_service_port(const struct service *s) {
        return s->port;
}

int http_service_fd(const struct service *s) {
        return s->epoll_fd;
}

void http_service_run(struct service *s) {
        struct epoll_event events[EVENTS_AT_ONCE];
        int n = epoll_wait(s->epoll_fd, events, EVENTS_AT_ONCE, 0);

        s->moved = false;
        for (int i = 0; i < n; i++)
                if (events[i].data.ptr)
                        on_line_end(events[i].data.ptr);
        (void)MHD_run(s->daemon);
}

unsigned http_service_close_idle(struct service *s) {
        unsigned n = 0;

        for (struct connection *c = s->lines; c; c = c->next)
                if (!c->request && shutdown(c->fd, SHUT_RDWR) == 0)
                        n++;
        return n;
}

int http_service_timeout(const struct service *s, uint64_t now_msec) {
        MHD_UNSIGNED_LONG_LONG due = 0;
        int timeout = -1;

        /* MHD stops after a block of a body and tells nobody that it would go on at once. */
        if (s->moved)
                return 0;
        if (MHD_get_timeout(s->daemon, &due) == MHD_YES)
                timeout = due > 60000 ? 60000 : (int)due;
        for (const struct request *r = s->waiting; r; r = r->next_waiting) {
                uint64_t left;

                if (r->deadline_msec == 0)
                        continue;
                left = r->deadline_msec > now_msec ? r->deadline_msec - now_msec : 0;
                if (timeout < 0 || left < (uint64_t)timeout)
                        timeout = left > 60000 ? 60000 : (int)left;
        }
        return timeout;
}

void http_each_waiting(struct service *s, http_each_fn fn, void *userdata) {
        struct request *next;

        for (struct request *r = s->waiting; r; r = next) {
                next = r->next_waiting; /* fn may resume r */
                fn(r, userdata);
        }
}

void http_each_stalled(struct service *s, http_each_fn fn, void *userdata) {
        for (struct connection *c = s->lines; c; c = c->next)
                if (c->request && c->request->reply.pipe && pipe_stalled(c->request->reply.pipe))
                        fn(c->request, userdata);
}

void http_resume(struct request *r) {
        waiting_remove(r);
        r->deadline_msec = 0;
        MHD_resume_connection(r->connection);
}

uint64_t request_connection(const struct request *r) {
        return r->line->number;
}

uint64_t request_nth(const struct request *r) {
        return r->line->n_requests;
}

const char *request_header(const struct request *r, const char *name) {
        return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

bool request_is_form(const struct request *r) {
        static const char form[] = "application/x-www-form-urlencoded";
        const char *type = request_header(r, "Content-Type");

        return type && strncasecmp(type, form, sizeof(form) - 1) == 0 &&
               strchr("; \t", type[sizeof(form) - 1]);
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                 const char *value) {
        json_t *headers = cls;
        char *name = mem_string(key);

        for (char *p = name; *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p = (char)(*p - 'A' + 'a');
        if (json_object_get(headers, name)) { /* a second line of the same name is kept too */
                char *both = mem_printf("%s\n%s", json_string_value(json_object_get(headers, name)),
                                        value ? value : "");

                (void)json_object_set_new(headers, name, json_string(both));
                free(both);
        } else {
                (void)json_object_set_new(headers, name, json_string(value ? value : ""));
        }
        free(name);
        return json_object_size(headers) < HEADERS_LOGGED_MAX ? MHD_YES : MHD_NO;
}

json_t *request_headers_json(const struct request *r) {
        json_t *headers = json_object();

        (void)MHD_get_connection_values(r->connection, MHD_HEADER_KIND, on_header, headers);
        return headers;
}

void reply_header(struct request *r, const char *name, const char *format, ...) {
        struct reply_header *h;
        va_list ap;
        char *value = NULL;
        int n;

        if (r->reply.n_headers == HTTP_REPLY_HEADERS_MAX)
                return;
        va_start(ap, format);
        n = vasprintf(&value, format, ap);
        va_end(ap);
        if (n < 0)
                abort();
        h = &r->reply.headers[r->reply.n_headers++];
        h->name = mem_string(name);
        h->value = value;
}

void reply_header_set(struct request *r, const char *name, const char *value) {
        struct reply *reply = &r->reply;

        for (size_t i = reply->n_headers; i > 0; i--) {
                struct reply_header *h = &reply->headers[i - 1];

                if (strcasecmp(h->name, name) != 0)
                        continue;
                free(h->name);
                free(h->value);
                *h = reply->headers[--reply->n_headers];
        }
        if (value[0])
                reply_header(r, name, "%s", value);
}

struct pipe *reply_pipe(struct request *r, unsigned status, const char *type, uint64_t size) {
        free(r->reply.body);
        r->reply.body = NULL;
        r->reply.n_body = 0;
        r->reply.status = status;
        r->reply.shape = REPLY_PIPE;
        r->reply.pipe = pipe_detach(r->reply.pipe);
        r->reply.pipe = pipe_new(r->connection, size, &r->service->moved);
        if (type)
                reply_header(r, "Content-Type", "%s", type);
        return r->reply.pipe;
}

void reply_take(struct request *r, unsigned status, const char *type, char *body, size_t n) {
        free(r->reply.body);
        r->reply.status = status;
        r->reply.body = body;
        r->reply.n_body = n;
        if (type)
                reply_header(r, "Content-Type", "%s", type);
}

void reply_text(struct request *r, unsigned status, const char *type, const char *body) {
        reply_take(r, status, type, mem_string(body), strlen(body));
}

void reply_json(struct request *r, unsigned status, json_t *value) {
        char *body = json_dumps(value, JSON_COMPACT);

        json_decref(value);
        if (!body) {
                reply_text(r, 500, "text/plain", "not representable as JSON\n");
                return;
        }
        reply_take(r, status, "application/json", mem_string(body), strlen(body));
        free(body);
}
