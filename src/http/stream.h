/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP request whose answer is read as it comes: of any length, of any duration, as fast as its
 * reader takes it. What http/client.h promises holds here too, but for the bounds on time and
 * body, which are the caller's.
 *
 * Callbacks are called from the event loop, never from within a function of this header, and never
 * from within libcurl. Each may open and close any streams, its own included, and start and cancel
 * fetches; not http_free().
 */
#pragma once

#include "http/client.h"

struct http_stream;

struct http_stream_ops {
        /* At most once, first: status and headers of the final answer are there. @a is borrowed;
         * its outcome is not known yet. NULL: no need to be told. */
        void (*on_head)(struct http_stream *s, const struct fetch_answer *a, void *userdata);
        /* Some of the body, @len > 0; borrowed. < 0: the stream ends (FETCH_FAILURE_WORKER). */
        int (*on_body)(struct http_stream *s, const char *data, size_t len, void *userdata);
        /* Once, last; @s is freed after it. What became of the request is told as for a fetch, but
         * the body is empty: on_body had all that came, also before a failure. @a is borrowed, its
         * members may be taken. */
        void (*on_end)(struct http_stream *s, struct fetch_answer *a, void *userdata);
};

/*
 * Starts a request: GET, POST or DELETE. 0: it was moved away from @f, and on_end is called exactly
 * once, later, unless the stream is closed before. timeout_msec 0: no limit on the whole; body_max
 * 0: no limit. -EBUSY: LIMIT_STREAMS are open; -ENOMEM; then @f is untouched and nothing was sent.
 * @ops must live as long as the stream.
 */
int http_stream_open(struct http *h, struct fetch_request *f, const struct http_stream_ops *ops,
                     void *userdata, struct http_stream **ret) MUST_CHECK;

/*
 * While it is paused on_body is not called, and libcurl stops reading the answer; nor is on_end,
 * while there is a part of the body that on_body has not had. Over HTTP/2 libcurl may be unable to
 * read on for the other streams of the connection, so pause those of one server together.
 */
void http_stream_pause(struct http_stream *s, bool paused);

/* Ends it; on_end is not called. What was sent has been sent. Takes NULL; returns NULL. */
struct http_stream *http_stream_close(struct http_stream *s);
