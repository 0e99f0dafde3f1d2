/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "badserver.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/codec.h"
#include "base/list.h"
#include "loop/loop.h"
#include "test.h"

struct badserver {
        sd_event *event;
        sd_event_source *source;
        int fd;
        uint16_t port;
        struct badserver_manners manners;
        struct list peers;
        unsigned n_connections;
        unsigned n_requests;
        uint64_t n_sent;
        struct buf received;
};

struct peer {
        struct list link;
        struct badserver *server;
        sd_event_source *source;
        int fd;
        struct buf in;
        bool acting;
        struct buf out;
};

/* The test may let an allocation fail, but not this one: only one fails at a time. */
static void append(struct buf *b, const void *data, size_t len) {
        int r = buf_append(b, data, len);

        assert_int_equal(r == -ENOMEM ? buf_append(b, data, len) : r, 0);
}

static void peer_free(struct peer *p, bool reset) {
        struct linger hard = { .l_onoff = 1, .l_linger = 0 };

        if (reset)
                (void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        list_remove(&p->link);
        (void)sd_event_source_disable_unref(p->source);
        (void)close(p->fd);
        buf_done(&p->in);
        buf_done(&p->out);
        free(p);
}

/* True if a head and the body it announces are here. */
static bool whole_request(const struct buf *in) {
        const char *end = in->len ? strstr(in->data, "\r\n\r\n") : NULL;
        const char *field;
        char digits[12] = { 0 };
        uint64_t n = 0;

        if (!end)
                return false;
        field = strstr(in->data, "Content-Length: ");
        if (field && field < end) {
                field += strlen("Content-Length: ");
                memcpy(digits, field, strspn(field, "0123456789"));
                assert_int_equal(number_parse(digits, 1 << 30, &n), 0);
        }
        return in->len >= (size_t)(end + 4 - in->data) + n;
}

static void queue_answer(struct peer *p) {
        const struct badserver_manners *m = &p->server->manners;

        if (m->answer)
                append(&p->out, m->answer, m->n_answer ? m->n_answer : strlen(m->answer));
}

static void act(struct peer *p) {
        const struct badserver_manners *m = &p->server->manners;

        p->acting = true;
        if (m->prologue)
                append(&p->out, m->prologue, strlen(m->prologue));
        queue_answer(p);
}

/* False: the peer is gone. */
static bool peer_write(struct peer *p) {
        const struct badserver_manners *m = &p->server->manners;
        ssize_t n = 0;

        if (p->out.len > 0)
                n = send(p->fd, p->out.data, p->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN) {
                peer_free(p, false);
                return false;
        }
        if (n > 0) {
                p->server->n_sent += (uint64_t)n;
                buf_consume(&p->out, (size_t)n);
        }
        if (p->out.len == 0 && m->then == BAD_REPEAT)
                queue_answer(p);
        if (p->out.len == 0 && (m->then == BAD_CLOSE || m->then == BAD_RESET)) {
                peer_free(p, m->then == BAD_RESET);
                return false;
        }
        assert_true(sd_event_source_set_io_events(p->source, p->out.len > 0 ? EPOLLIN | EPOLLOUT
                                                                            : EPOLLIN) >= 0);
        return true;
}

static int on_peer(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        struct peer *p = userdata;
        enum badserver_when when = p->server->manners.when;
        char data[16384];
        ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN)) {
                peer_free(p, false);
                return 0;
        }
        if (n > 0) {
                append(&p->in, data, (size_t)n);
                append(&p->server->received, data, (size_t)n);
        }
        if (whole_request(&p->in)) {
                p->server->n_requests++;
                buf_clear(&p->in);
                if (when == BAD_AFTER_REQUEST)
                        act(p);
        }
        if (n > 0 && when == BAD_AFTER_BYTES && !p->acting)
                act(p);
        if (p->acting)
                (void)peer_write(p);
        return 0;
}

static int on_accept(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        struct badserver *server = userdata;
        struct peer *p = calloc(1, sizeof(*p));

        if (!p)
                p = calloc(1, sizeof(*p));
        assert_non_null(p);
        p->server = server;
        p->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        assert_true(p->fd >= 0);
        server->n_connections++;
        list_append(&server->peers, &p->link);
        assert_true(sd_event_add_io(server->event, &p->source, p->fd, EPOLLIN, on_peer, p) >= 0);
        if (server->manners.when == BAD_AT_ONCE) {
                act(p);
                (void)peer_write(p);
        }
        return 0;
}

static int listen_anywhere(uint16_t *ret_port) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof(a);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(listen(fd, 512), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
        *ret_port = ntohs(a.sin_port);
        return fd;
}

struct badserver *badserver_new(sd_event *e, const struct badserver_manners *m) {
        struct badserver *s = calloc(1, sizeof(*s));

        assert_non_null(s);
        s->event = e;
        s->manners = *m;
        list_init(&s->peers);
        s->fd = listen_anywhere(&s->port);
        assert_true(sd_event_add_io(e, &s->source, s->fd, EPOLLIN, on_accept, s) >= 0);
        return s;
}

struct badserver *badserver_free(struct badserver *s) {
        if (!s)
                return NULL;
        badserver_hang_up(s, true);
        (void)sd_event_source_disable_unref(s->source);
        (void)close(s->fd);
        buf_done(&s->received);
        free(s);
        return NULL;
}

void badserver_set(struct badserver *s, const struct badserver_manners *m) {
        s->manners = *m;
}

uint16_t badserver_port(const struct badserver *s) {
        return s->port;
}

unsigned badserver_connections(const struct badserver *s) {
        return s->n_connections;
}

unsigned badserver_requests(const struct badserver *s) {
        return s->n_requests;
}

void badserver_say(struct badserver *s, const char *text) {
        struct peer *p;

        LIST_FOREACH(p, &s->peers, struct peer, link) {
                append(&p->out, text, strlen(text));
                (void)peer_write(p);
        }
}

void badserver_hang_up(struct badserver *s, bool reset) {
        struct peer *p;

        while ((p = LIST_FIRST(&s->peers, struct peer, link)))
                peer_free(p, reset);
}

uint64_t badserver_sent(const struct badserver *s) {
        return s->n_sent;
}

const char *badserver_received(const struct badserver *s) {
        return s->received.data ? s->received.data : "";
}

uint16_t badserver_free_port(void) {
        uint16_t port;

        (void)close(listen_anywhere(&port));
        return port;
}

static const char certificate[] =
        "-----BEGIN CERTIFICATE-----\n"
        "MIIBizCCATGgAwIBAgIUSJqphQH8skukGm2SEfu20nWHK7MwCgYIKoZIzj0EAwIw\n"
        "GjEYMBYGA1UEAwwPbWNwLWJyb2tlciB0ZXN0MCAXDTI2MTEyMzAxNTkxNloYDzIx\n"
        "MjYxMDMwMDE1OTE2WjAaMRgwFgYDVQQDDA9tY3AtYnJva2VyIHRlc3QwWTATBgcq\n"
        "hkjOPQIBBggqhkjOPQMBBwNCAATueCuR97O53Wd5TDXuzJv2PK5fOvl0jbd8Kyp6\n"
        "bTKGXYdjCUQgdZROEIrtNIIgQV/56NdJk4mSwxOsr8EQ8fHCo1MwUTAdBgNVHQ4E\n"
        "FgQUr23ZD+4Oal4gT+8VcDr7lDtICpMwHwYDVR0jBBgwFoAUr23ZD+4Oal4gT+8V\n"
        "cDr7lDtICpMwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAMl5KZ\n"
        "vVa+kFjnILSs29B5tAJ9cpTh1bf0jILnP9alRwIhAIo/lJ+4EBXUeQVuDOr7uBNj\n"
        "FHP7nJsJUAsfCwJMT6LQ\n"
        "-----END CERTIFICATE-----\n";

const char *badserver_ca_file(void) {
        static char path[32];
        int fd;

        if (!path[0]) {
                fd = memfd_create("ca", MFD_CLOEXEC);
                assert_true(fd >= 0);
                assert_int_equal(write(fd, certificate, sizeof(certificate) - 1),
                                 sizeof(certificate) - 1);
                (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        }
        return path;
}

/* --- What the tests of the HTTP client begin with --------------------------------------------- */

int fixture_set_up(void **state, const struct badserver_manners *m) {
        struct http_options options = { .ca_file = badserver_ca_file() };
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(loop_new(&f->event), 0);
        assert_int_equal(http_new(f->event, &options, &f->http, NULL), 0);
        f->server = badserver_new(f->event, m);
        fetch_answer_init(&f->answer);
        *state = f;
        return 0;
}

int fixture_tear_down(void **state) {
        struct fixture *f = *state;

        f->http = http_free(f->http);
        f->server = badserver_free(f->server);
        fetch_answer_done(&f->answer);
        f->event = loop_free(f->event);
        free(f);
        return 0;
}

void fixture_on_done(struct fetch_answer *a, void *userdata) {
        struct fixture *f = userdata;

        fetch_answer_done(&f->answer);
        f->answer = *a;
        fetch_answer_init(a);
        f->n_done++;
}
