/* SPDX-License-Identifier: Apache-2.0 */
#include "http/stream.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "http/internal.h"

/*
 * What libcurl reads is put down here and told when libcurl is done, for libcurl allows nearly
 * nothing to be done from within its callbacks. So much of it at most, then libcurl is paused.
 */
#define PENDING_BYTES_MAX ((size_t)64 * 1024)

struct http_stream {
        struct list link; /* http.streams */
        struct list due;  /* http.due */
        struct http *http;
        struct transfer *transfer;
        const struct http_stream_ops *ops;
        void *userdata;
        struct buf pending; /* of the body */
        uint64_t n_body;    /* all that came */
        bool head_due;
        bool paused;     /* by its reader */
        bool held;       /* libcurl is paused */
        bool ended;      /* libcurl has it no more */
        CURLcode code;   /* and this is why */
        bool in_deliver; /* a callback may be running: not to be freed now */
        bool closed;
};

static void make_due(struct http_stream *s) {
        if (list_empty(&s->due))
                list_append(&s->http->due, &s->due);
}

static void stream_free(struct http_stream *s) {
        (void)transfer_free(s->transfer);
        buf_done(&s->pending);
        mem_wipe(s, sizeof(*s));
        free(s);
}

/* ---- from libcurl ---- */

void stream_take_head(struct http_stream *s) {
        s->head_due = true;
        make_due(s);
}

int stream_take_body(struct http_stream *s, const char *data, size_t n) {
        size_t max = s->transfer->request.body_max;
        int r;

        if (s->paused || n > PENDING_BYTES_MAX - s->pending.len) {
                s->held = true;
                return 1;
        }
        if (max > 0 && n > max - s->n_body)
                return -EMSGSIZE;
        r = buf_append(&s->pending, data, n);
        if (r < 0)
                return r;
        s->n_body += n;
        make_due(s);
        return 0;
}

void stream_ended(struct http_stream *s, CURLcode code) {
        s->ended = true;
        s->code = code;
        make_due(s);
}

/* ---- to the reader ---- */

static void give_up(struct http_stream *s, CURLcode code) {
        if (!s->ended)
                http_stop(s->http, s->transfer);
        stream_ended(s, code);
}

static void tell_body(struct http_stream *s) {
        int r = s->ops->on_body(s, s->pending.data, s->pending.len, s->userdata);

        buf_clear(&s->pending);
        if (r >= 0 || s->closed)
                return;
        transfer_blame(s->transfer, FETCH_FAILURE_WORKER, "the reader of the answer gave up");
        give_up(s, CURLE_WRITE_ERROR);
}

/* libcurl goes on, and may bring at once what it had to keep. */
static void let_go(struct http_stream *s) {
        CURLcode code;

        s->held = false;
        code = curl_easy_pause(s->transfer->easy, CURLPAUSE_CONT);
        if (code != CURLE_OK)
                give_up(s, code);
}

static void tell_end(struct http_stream *s) {
        transfer_finish(s->transfer, s->code);
        list_remove(&s->link);
        list_remove(&s->due);
        s->http->n_streams--;
        s->closed = true;
        s->ops->on_end(s, &s->transfer->answer, s->userdata);
}

/* The next thing that there is to do. False: nothing now. */
static bool step(struct http_stream *s) {
        if (s->head_due) {
                s->head_due = false;
                if (s->ops->on_head)
                        s->ops->on_head(s, &s->transfer->answer, s->userdata);
        } else if (s->pending.len > 0 && !s->paused) {
                tell_body(s);
        } else if (s->held && !s->paused && !s->ended) {
                let_go(s);
        } else if (s->ended && s->pending.len == 0) {
                tell_end(s);
        } else {
                return false;
        }
        return true;
}

void streams_deliver(struct http *h) {
        struct http_stream *s;

        while ((s = LIST_FIRST(&h->due, struct http_stream, due))) {
                list_remove(&s->due);
                s->in_deliver = true;
                while (!s->closed && step(s))
                        ;
                s->in_deliver = false;
                if (s->closed)
                        stream_free(s);
        }
}

/* ---- the caller's side ---- */

int http_stream_open(struct http *h, struct fetch_request *f, const struct http_stream_ops *ops,
                     void *userdata, struct http_stream **ret) {
        struct http_stream *s;
        int r;

        if (h->n_streams >= LIMIT_STREAMS)
                return -EBUSY;
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->http = h;
        s->ops = ops;
        s->userdata = userdata;
        list_init(&s->link);
        list_init(&s->due);
        r = transfer_new(&h->defaults, f, s, &s->transfer);
        if (r < 0) {
                stream_free(s);
                return r;
        }
        list_append(&h->streams, &s->link);
        h->n_streams++;
        http_start(h, s->transfer, r > 0);
        http_advance(h);
        *ret = s;
        return 0;
}

void http_stream_pause(struct http_stream *s, bool paused) {
        if (s->closed || s->paused == paused)
                return;
        s->paused = paused;
        if (paused || s->in_deliver)
                return;
        make_due(s);
        http_wake(s->http);
}

struct http_stream *http_stream_close(struct http_stream *s) {
        if (!s || s->closed)
                return NULL;
        if (!s->ended)
                http_stop(s->http, s->transfer);
        list_remove(&s->link);
        list_remove(&s->due);
        s->http->n_streams--;
        s->closed = true;
        if (!s->in_deliver)
                stream_free(s);
        return NULL;
}

void streams_close(struct http *h) {
        struct http_stream *s;

        while ((s = LIST_FIRST(&h->streams, struct http_stream, link)))
                (void)http_stream_close(s);
}
