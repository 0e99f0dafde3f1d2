/* SPDX-License-Identifier: Apache-2.0 */
#include <strings.h>
#include <sys/epoll.h>

#include "hands/hands.h"
#include "http/stream.h"
#include "loop/loop.h"

#define GRPC_HEAD 5 /* of a message: is it compressed, and its length */

struct call {
        sd_event *event;
        struct http *http;
        struct http_stream *stream;
        struct order_reply *reply;
        struct buf body;
        size_t body_max;
        bool first_message;
};

static void finish(struct call *c, int r) {
        (void)sd_event_exit(c->event, r);
}

/* Bytes of the first message, once it is whole. 0: not yet. */
static size_t first_message(const struct buf *b) {
        const unsigned char *p = (const unsigned char *)b->data;
        size_t n;

        if (b->len < GRPC_HEAD)
                return 0;
        n = ((size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4]) + GRPC_HEAD;
        return b->len >= n ? n : 0;
}

static void on_head(struct http_stream *s, const struct fetch_answer *a, void *userdata) {
        struct call *c = userdata;
        struct fetch_answer *to = &c->reply->answer;
        int r = 0;

        to->status = a->status;
        for (size_t i = 0; r == 0 && i < a->n_headers; i++)
                r = fetch_answer_add_header(to, a->headers[i].name, a->headers[i].value);
        if (r < 0)
                finish(c, r);
}

/* What is asked for is here, and a stream of messages has no end: so this is it. */
static void end_with_message(struct call *c, size_t n) {
        struct fetch_answer *to = &c->reply->answer;

        to->outcome = FETCH_ANSWERED;
        to->failure = FETCH_FAILURE_NONE;
        buf_truncate(&c->body, n);
        buf_move(&to->body, &c->body);
        c->stream = http_stream_close(c->stream);
        finish(c, 0);
}

static int on_body(struct http_stream *s, const char *data, size_t len, void *userdata) {
        struct call *c = userdata;
        size_t n;
        int r = buf_append(&c->body, data, len);

        if (r < 0)
                return r;
        n = c->first_message ? first_message(&c->body) : 0;
        if (n > 0)
                end_with_message(c, n);
        return 0;
}

static void on_end(struct http_stream *s, struct fetch_answer *a, void *userdata) {
        struct call *c = userdata;
        struct fetch_answer *to = &c->reply->answer;

        c->stream = NULL;
        fetch_answer_done(to);
        *to = *a;
        fetch_answer_init(a);
        /* A part of an answer is none. */
        if (to->outcome == FETCH_ANSWERED)
                buf_move(&to->body, &c->body);
        finish(c, 0);
}

static int on_keeper_gone(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        finish(userdata, -EPIPE);
        return 0;
}

/* The trailers hold the verdict, and some servers send none to who does not say so. */
static int add_te(struct fetch_request *f) {
        for (size_t i = 0; i < f->n_headers; i++)
                if (strcasecmp(f->headers[i].name, "TE") == 0)
                        return 0;
        return fetch_request_add_header(f, "TE", "trailers");
}

static int run(struct call *c, struct order *o, int keeper_fd, struct error *err) {
        static const struct http_stream_ops ops = { .on_head = on_head,
                                                    .on_body = on_body,
                                                    .on_end = on_end };
        const struct http_options options = { .unix_socket = o->path };
        AUTO_LOOP_SOURCE sd_event_source *keeper = NULL;
        int r = loop_new(&c->event);

        if (r == 0)
                r = sd_event_add_io(c->event, &keeper, keeper_fd, EPOLLRDHUP, on_keeper_gone, c);
        if (r >= 0)
                r = http_new(c->event, &options, &c->http, err);
        if (r == 0)
                r = add_te(&o->fetch);
        if (r == 0)
                r = http_stream_open(c->http, &o->fetch, &ops, c, &c->stream);
        return r < 0 ? r : sd_event_loop(c->event);
}

void hands_call(struct order *o, int keeper_fd, struct order_reply *p) {
        struct call c = { .reply = p, .first_message = o->first_message };

        buf_init(&c.body, o->fetch.body_max);
        p->r = run(&c, o, keeper_fd, &p->err);
        if (p->r < 0) {
                (void)error_fallback(&p->err, p->r, "Calling a service on a UNIX socket");
                fetch_answer_done(&p->answer);
        }
        (void)http_free(c.http);
        (void)loop_free(c.event);
        buf_done(&c.body);
}
