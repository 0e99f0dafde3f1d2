/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "net/listener.h"

#include <assert.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "loop/loop.h"
#include "net/redirect.h"

#define CONNECTIONS_MAX 16u
#define REQUESTS_MAX 64u /* in the whole life of a listener */
#define WAITING_MAX 4u   /* redirects handed up and not answered yet */
#define CONNECTION_MEMORY ((size_t)48 * 1024)
#define CONNECTION_IDLE_SEC 10u
#define ANSWER_SEC 90 /* the owner must answer a redirect in this time */
#define FETCH_PAGE_SEC 10
#define LIFE_SEC (LIMIT_LOGIN_SEC + 60)
#define NAME_BYTES 16
#define NAME_TEXT (2 * NAME_BYTES + 1)
#define HOST_MAX 32
#define NEVER UINT64_MAX

/* A page that waits to be fetched, once. */
struct page {
        struct list link;
        char name[NAME_TEXT];
        unsigned status;
        struct buf html;
};

/* One request, from its first line until libmicrohttpd is done with it. */
struct visit {
        struct list link;
        struct listener *listener;
        struct MHD_Connection *connection;
        uint64_t number;
        uint64_t deadline_usec; /* while it waits */
        char *target;           /* holds the code: wiped */
        bool waiting;           /* suspended, until there is a page or the end */
        char location[sizeof(REDIRECT_DONE) + NAME_TEXT]; /* where its page is; "" = not yet */
};

enum listener_state {
        LISTENER_OPEN,
        LISTENER_FINISHING, /* serves what was promised, takes nothing more */
        LISTENER_ENDED,     /* on_end() is due, or was called */
        LISTENER_STATE_COUNT,
};

struct listener {
        sd_event *event;
        sd_event_source *io;
        sd_event_source *work_timer; /* libmicrohttpd wants to go on */
        sd_event_source *end_timer;  /* life, and then the time to fetch the page */
        sd_event_source *wait_timer; /* a redirect that nobody answers */
        sd_event_source *end;        /* tells the owner from the loop */
        struct MHD_Daemon *daemon;
        const struct sockowner *owner;
        const struct listener_ops *ops;
        void *userdata;
        enum listener_state state;
        struct sockaddr_storage address;
        socklen_t n_address;
        uint16_t port;
        char host[HOST_MAX];
        char *path;
        struct list visits;
        struct list pages;
        unsigned n_requests;
        unsigned n_waiting;
        uint64_t last_number;
        bool woken; /* run() must not put off what wake() asked for while it ran */
};

/* ---- states ---- */

#define TO(s) (1u << (s))

static void set_state(struct listener *l, enum listener_state to) {
        static const unsigned allowed[LISTENER_STATE_COUNT] = {
                [LISTENER_OPEN] = TO(LISTENER_FINISHING) | TO(LISTENER_ENDED),
                [LISTENER_FINISHING] = TO(LISTENER_ENDED),
        };

        assert(allowed[l->state] & TO(to));
        l->state = to;
}

/* A timer that cannot be set must not keep a listener from going on: its life has another bound,
 * the keeper's. */
static void arm(sd_event_source *timer, uint64_t usec) {
        int r = usec == NEVER ? loop_timer_stop(timer) : loop_timer_set(timer, usec);

        if (r < 0)
                log_debug("redirect listener: cannot set a timer: %s", strerror(-r));
}

static void end(struct listener *l) {
        if (l->state == LISTENER_ENDED)
                return;
        set_state(l, LISTENER_ENDED);
        arm(l->end_timer, NEVER);
        arm(l->wait_timer, NEVER);
        (void)sd_event_source_set_enabled(l->end, SD_EVENT_ONESHOT);
}

static void end_if_done(struct listener *l) {
        if (l->state == LISTENER_FINISHING && list_empty(&l->pages) && list_empty(&l->visits))
                end(l);
}

static uint64_t in_seconds(uint64_t sec) {
        return clock_boot_usec() + sec * USEC_PER_SEC;
}

/* ---- libmicrohttpd on sd-event ---- */

/* It has its own epoll descriptor, but keeps some of what is ready to itself: hence the timer
 * after every run. */
static void run(struct listener *l) {
        MHD_UNSIGNED_LONG_LONG msec = 0;

        l->woken = false;
        (void)MHD_run(l->daemon);
        arm(l->work_timer, l->woken || MHD_get_timeout(l->daemon, &msec) == MHD_YES
                                   ? clock_boot_usec() + msec * USEC_PER_MSEC
                                   : NEVER);
        end_if_done(l);
}

static int on_daemon_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        run(userdata);
        return 0;
}

static int on_work_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        run(userdata);
        return 0;
}

/* Goes on from the loop: whoever calls may be libmicrohttpd itself. */
static void wake(struct listener *l) {
        l->woken = true;
        arm(l->work_timer, clock_boot_usec());
}

static void stop_waiting(struct visit *v) {
        if (!v->waiting)
                return;
        v->waiting = false;
        v->listener->n_waiting--;
        MHD_resume_connection(v->connection);
}

static void stop_all_waiting(struct listener *l, uint64_t until_usec) {
        struct visit *v;

        LIST_FOREACH(v, &l->visits, struct visit, link)
                if (v->deadline_usec <= until_usec)
                        stop_waiting(v);
}

static void arm_wait_timer(struct listener *l) {
        uint64_t first = NEVER;
        struct visit *v;

        LIST_FOREACH(v, &l->visits, struct visit, link)
                if (v->waiting && v->deadline_usec < first)
                        first = v->deadline_usec;
        arm(l->wait_timer, first);
}

static int on_wait_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        struct listener *l = userdata;

        stop_all_waiting(l, clock_boot_usec());
        arm_wait_timer(l);
        run(l);
        return 0;
}

static int on_end_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        end(userdata);
        return 0;
}

static int on_end(sd_event_source *s, void *userdata) {
        struct listener *l = userdata;

        l->ops->on_end(l, l->userdata); /* l may be gone */
        return 0;
}

void listener_finish(struct listener *l) {
        if (l->state != LISTENER_OPEN)
                return;
        set_state(l, LISTENER_FINISHING);
        arm(l->end_timer, in_seconds(FETCH_PAGE_SEC));
        stop_all_waiting(l, NEVER);
        arm_wait_timer(l);
        wake(l);
}

/* ---- answers to the browser ---- */

static const struct {
        const char *name;
        const char *value;
} always[] = {
        { MHD_HTTP_HEADER_CONTENT_TYPE, "text/html; charset=utf-8" },
        { MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
        { "Referrer-Policy", "no-referrer" },
        { "X-Content-Type-Options", "nosniff" },
        { "X-Frame-Options", "DENY" },
        { "Content-Security-Policy",
          "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
          "form-action 'none'; frame-ancestors 'none'" },
        { "Cross-Origin-Opener-Policy", "same-origin" },
        { "Cross-Origin-Resource-Policy", "same-origin" },
        { MHD_HTTP_HEADER_CONNECTION, "close" },
};

struct answer {
        unsigned status;
        const char *header; /* one more field; NULL: none */
        const char *value;
        char *html; /* "": no text */
        size_t n_html;
};

static enum MHD_Result reply(struct MHD_Connection *connection, const struct answer *a) {
        struct MHD_Response *response =
                MHD_create_response_from_buffer(a->n_html, a->html, MHD_RESPMEM_MUST_COPY);
        enum MHD_Result r = response ? MHD_YES : MHD_NO;

        for (size_t i = 0; r == MHD_YES && i < ARRAY_SIZE(always); i++)
                r = MHD_add_response_header(response, always[i].name, always[i].value);
        if (r == MHD_YES && a->header)
                r = MHD_add_response_header(response, a->header, a->value);
        if (r == MHD_YES)
                r = MHD_queue_response(connection, a->status, response);
        if (response)
                MHD_destroy_response(response);
        return r; /* MHD_NO closes the connection */
}

static enum MHD_Result reply_plain(struct MHD_Connection *connection, unsigned status) {
        struct answer a = { .status = status };
        char text[96];

        (void)snprintf(
                text, sizeof(text), "<!doctype html><title>%u</title><p>mcp-broker: %s\n", status,
                status == MHD_HTTP_SERVICE_UNAVAILABLE ? "this login is over or takes too long"
                                                       : "there is nothing here");
        a.html = text;
        a.n_html = strlen(text);
        if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
                a.header = MHD_HTTP_HEADER_ALLOW;
                a.value = MHD_HTTP_METHOD_GET;
        }
        return reply(connection, &a);
}

static enum MHD_Result reply_see_other(struct visit *v) {
        struct answer a = { .status = MHD_HTTP_SEE_OTHER,
                            .header = MHD_HTTP_HEADER_LOCATION,
                            .value = v->location,
                            .html = (char[]){ "" } };

        return reply(v->connection, &a);
}

static void page_free(struct page *p) {
        list_remove(&p->link);
        buf_done(&p->html);
        free(p);
}

/* Once: whoever asks a second time finds nothing. */
static enum MHD_Result reply_page(struct visit *v, const char *name) {
        struct page *p;

        LIST_FOREACH(p, &v->listener->pages, struct page, link) {
                struct answer a = { .status = p->status,
                                    .html = p->html.data,
                                    .n_html = p->html.len };
                enum MHD_Result r;

                if (!streq(p->name, name))
                        continue;
                r = reply(v->connection, &a);
                page_free(p);
                return r;
        }
        return reply_plain(v->connection, MHD_HTTP_NOT_FOUND);
}

/* ---- requests ---- */

static enum MHD_Result take_redirect(struct visit *v, const char *query) {
        struct listener *l = v->listener;
        AUTO_BUF struct buf raw = BUF_INIT;

        if (l->state != LISTENER_OPEN)
                return reply_plain(v->connection, MHD_HTTP_NOT_FOUND);
        if (l->n_waiting >= WAITING_MAX || buf_append_str(&raw, query) < 0)
                return reply_plain(v->connection, MHD_HTTP_SERVICE_UNAVAILABLE);
        v->number = ++l->last_number;
        v->waiting = true;
        v->deadline_usec = in_seconds(ANSWER_SEC);
        l->n_waiting++;
        MHD_suspend_connection(v->connection);
        arm_wait_timer(l);
        l->ops->on_redirect(l, v->number, &raw, l->userdata);
        return MHD_YES;
}

struct hosts {
        const char *value;
        unsigned n;
};

static enum MHD_Result on_header(void *userdata, enum MHD_ValueKind kind, const char *name,
                                 const char *value) {
        struct hosts *h = userdata;

        if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0) {
                h->value = value;
                h->n++;
        }
        return MHD_YES;
}

static enum MHD_Result judge_visit(struct visit *v, const char *method) {
        static const unsigned status[REDIRECT_VERDICT_COUNT] = {
                [REDIRECT_BAD] = MHD_HTTP_BAD_REQUEST,
                [REDIRECT_NOT_FOUND] = MHD_HTTP_NOT_FOUND,
                [REDIRECT_METHOD] = MHD_HTTP_METHOD_NOT_ALLOWED,
        };
        struct listener *l = v->listener;
        struct redirect_request request = { .method = method, .target = v->target };
        struct hosts hosts = { 0 };
        enum redirect_verdict verdict;
        const char *rest = NULL;

        if (++l->n_requests > REQUESTS_MAX)
                return reply_plain(v->connection, MHD_HTTP_SERVICE_UNAVAILABLE);
        (void)MHD_get_connection_values(v->connection, MHD_HEADER_KIND, on_header, &hosts);
        request.host = hosts.n == 1 ? hosts.value : NULL;
        verdict = redirect_judge(&request, l->path, l->host, &rest);
        if (verdict == REDIRECT_TAKE)
                return take_redirect(v, rest);
        if (verdict == REDIRECT_PAGE)
                return reply_page(v, rest);
        return reply_plain(v->connection, status[verdict]);
}

/* Called when the head is here, and again after a wait. A body is never looked at. */
static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection,
                                  const char *url, const char *method, const char *version,
                                  const char *body, size_t *n_body, void **visit) {
        struct visit *v = *visit;

        if (!v)
                return MHD_NO; /* out of memory in on_uri() */
        if (v->number == 0)
                return judge_visit(v, method);
        return v->location[0] ? reply_see_other(v)
                              : reply_plain(connection, MHD_HTTP_SERVICE_UNAVAILABLE);
}

/* The request line as it came: libmicrohttpd decodes what it gives to on_request(). */
static void *on_uri(void *userdata, const char *uri, struct MHD_Connection *connection) {
        struct listener *l = userdata;
        struct visit *v = calloc(1, sizeof(*v));

        if (!v)
                return NULL;
        v->target = strdup(uri);
        if (!v->target) {
                free(v);
                return NULL;
        }
        v->listener = l;
        v->connection = connection;
        list_append(&l->visits, &v->link);
        return v;
}

static void on_completed(void *userdata, struct MHD_Connection *connection, void **visit,
                         enum MHD_RequestTerminationCode how) {
        struct visit *v = *visit;

        if (!v)
                return;
        *visit = NULL;
        if (v->waiting)
                v->listener->n_waiting--;
        list_remove(&v->link);
        (void)str_wipe_free(v->target);
        free(v);
}

/* Before anything is read from it: is the process at the other end ours? */
static enum MHD_Result on_connection(void *userdata, const struct sockaddr *peer,
                                     socklen_t n_peer) {
        struct listener *l = userdata;
        uid_t uid = 0;

        if (n_peer > sizeof(l->address) || peer->sa_family != l->address.ss_family ||
            sockowner_find(l->owner, peer, (struct sockaddr *)&l->address, &uid) < 0)
                return MHD_NO;
        return uid == getuid() ? MHD_YES : MHD_NO;
}

static int new_page(struct listener *l, struct page **ret) {
        struct page *p = calloc(1, sizeof(*p));
        uint8_t random[NAME_BYTES];

        if (!p)
                return -ENOMEM;
        if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
                free(p);
                return -EIO;
        }
        hex_format(p->name, random, sizeof(random));
        list_append(&l->pages, &p->link);
        *ret = p;
        return 0;
}

static struct visit *find_waiting(struct listener *l, uint64_t number) {
        struct visit *v;

        LIST_FOREACH(v, &l->visits, struct visit, link)
                if (v->waiting && v->number == number)
                        return v;
        return NULL;
}

int listener_page(struct listener *l, uint64_t request, unsigned status, struct buf *html) {
        struct visit *v;
        struct page *p = NULL;
        int r;

        if (status != MHD_HTTP_OK && status != MHD_HTTP_BAD_REQUEST)
                return -EINVAL;
        v = find_waiting(l, request);
        if (!v)
                return -ENOENT;
        r = new_page(l, &p);
        if (r < 0)
                return r;
        p->status = status;
        buf_move(&p->html, html);
        (void)snprintf(v->location, sizeof(v->location), REDIRECT_DONE "%s", p->name);
        stop_waiting(v);
        arm_wait_timer(l);
        if (status == MHD_HTTP_OK)
                listener_finish(l); /* one valid response, and no more (A104) */
        else
                wake(l);
        return 0;
}

/* ---- life ---- */

static int make_address(struct listener *l, const struct listener_options *o) {
        struct sockaddr_in v4 = { .sin_family = AF_INET,
                                  .sin_port = htons(o->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                                   .sin6_port = htons(o->port),
                                   .sin6_addr = IN6ADDR_LOOPBACK_INIT };

        l->n_address = o->ipv6 ? sizeof(v6) : sizeof(v4);
        memcpy(&l->address, o->ipv6 ? (void *)&v6 : (void *)&v4, l->n_address);
        l->path = strdup(o->path);
        return l->path ? 0 : -ENOMEM;
}

/* Binds, and learns which port it is. SO_REUSEADDR: after a restart the same port is wanted
 * again, and connections of before may linger. It lets nobody share a port that is listened on. */
static int open_socket(struct listener *l, bool ipv6, int *ret_fd) {
        AUTO_CLOSE int fd =
                socket(l->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int one = 1;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
            bind(fd, (struct sockaddr *)&l->address, l->n_address) < 0 ||
            listen(fd, CONNECTIONS_MAX) < 0 ||
            getsockname(fd, (struct sockaddr *)&l->address, &l->n_address) < 0)
                return -errno;
        l->port = ntohs(ipv6 ? ((struct sockaddr_in6 *)&l->address)->sin6_port
                             : ((struct sockaddr_in *)&l->address)->sin_port);
        (void)snprintf(l->host, sizeof(l->host), ipv6 ? "[::1]:%u" : "127.0.0.1:%u", l->port);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* libmicrohttpd closes the socket in most of its failures, but not in all. */
static void close_if_same(int fd, const struct stat *was) {
        struct stat now;

        if (fstat(fd, &now) == 0 && now.st_dev == was->st_dev && now.st_ino == was->st_ino)
                (void)close(fd);
}

static int start_daemon(struct listener *l, int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0) {
                (void)close(fd);
                return -EIO;
        }
        l->daemon = MHD_start_daemon(
                MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, on_connection, l, on_request, l,
                MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
                MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
                MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_IDLE_SEC, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                MHD_OPTION_URI_LOG_CALLBACK, on_uri, l, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
                l, MHD_OPTION_END);
        if (l->daemon)
                return 0;
        close_if_same(fd, &st);
        return -ENOMEM;
}

static int watch_daemon(struct listener *l) {
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        int r;

        if (!info)
                return -EIO;
        r = sd_event_add_io(l->event, &l->io, info->epoll_fd, EPOLLIN, on_daemon_io, l);
        if (r < 0)
                return r;
        (void)sd_event_source_set_description(l->io, "redirect-listener");
        r = loop_timer(l->event, NEVER, on_work_timer, l, "redirect-work", &l->work_timer);
        if (r == 0)
                r = loop_timer(l->event, NEVER, on_wait_timer, l, "redirect-wait", &l->wait_timer);
        if (r == 0)
                r = loop_timer(l->event, in_seconds(LIFE_SEC), on_end_timer, l, "redirect-end",
                               &l->end_timer);
        if (r == 0)
                r = loop_defer(l->event, on_end, l, "redirect-ended", &l->end);
        if (r == 0)
                r = sd_event_source_set_enabled(l->end, SD_EVENT_OFF);
        return r < 0 ? r : 0;
}

int listener_new(sd_event *event, const struct sockowner *owner,
                 const struct listener_options *options, const struct listener_ops *ops,
                 void *userdata, struct listener **ret, struct error *err) {
        struct listener *l = calloc(1, sizeof(*l));
        int fd = -1;
        int r;

        if (!l)
                return error_oom(err);
        l->event = sd_event_ref(event);
        l->owner = owner;
        l->ops = ops;
        l->userdata = userdata;
        list_init(&l->visits);
        list_init(&l->pages);
        r = make_address(l, options);
        if (r == 0) {
                r = open_socket(l, options->ipv6, &fd);
                if (r < 0)
                        (void)error_set(err, r == -EADDRINUSE ? MCPB_EXISTS : MCPB_INTERNAL, -r,
                                        "Free the port, or let the system choose one",
                                        "Cannot listen on port %u: %s", options->port,
                                        strerror(-r));
        }
        if (r == 0)
                r = start_daemon(l, fd);
        if (r == 0)
                r = watch_daemon(l);
        if (r < 0) {
                (void)listener_free(l);
                return error_fallback(err, r, "Starting the redirect listener");
        }
        *ret = l;
        return 0;
}

struct listener *listener_free(struct listener *l) {
        struct page *p;

        if (!l)
                return NULL;
        if (l->state != LISTENER_ENDED)
                set_state(l, LISTENER_ENDED);
        stop_all_waiting(l, NEVER);
        if (l->daemon)
                (void)MHD_run(l->daemon); /* tells those who waited */
        l->io = loop_source_free(l->io);
        if (l->daemon)
                MHD_stop_daemon(l->daemon); /* completes every visit */
        assert(list_empty(&l->visits));
        while ((p = LIST_FIRST(&l->pages, struct page, link)))
                page_free(p);
        (void)loop_source_free(l->work_timer);
        (void)loop_source_free(l->wait_timer);
        (void)loop_source_free(l->end_timer);
        (void)loop_source_free(l->end);
        (void)sd_event_unref(l->event);
        free(l->path);
        free(l);
        return NULL;
}

uint16_t listener_port(const struct listener *l) {
        return l->port;
}
