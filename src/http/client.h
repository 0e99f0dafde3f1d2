/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a struct fetch_request to a truthful struct fetch_answer, by libcurl's multi interface on
 * sd-event. It knows no OAuth. Here an answer comes whole; http/stream.h reads it as it comes.
 *
 * What it promises: certificates are always verified; redirects are never followed; every address
 * is judged before a packet goes to it, and again before the request is written (S8); nothing is
 * taken from the environment; no request is ever written twice, nor, without keep_alive, two on one
 * connection; a request with trust, a certificate or a destination of its own never shares its
 * connection, its session of TLS or a cookie; bodies, headers and time are bounded (S9). NOT_SENT
 * is said only where not one
 * byte of the request was written.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/error.h"
#include "wire/fetch.h"

struct http;

struct http_options {
        const char *ca_file;   /* certificates trusted besides the system's; NULL: none */
        const char *proxy;     /* for everything but loopback (A228); NULL: none */
        const char *no_proxy;  /* hosts and domains reached without it, by commas; NULL: none */
        unsigned connect_msec; /* to be connected, TLS included; 0: LIMIT_FETCH_CONNECT_MSEC */
        /*
         * Connections are used again while they are fresh, sessions of TLS are resumed, and cookies
         * go back to where they came from. A request on a connection that ends before an answer
         * comes is in doubt (FETCH_FAILURE_CUT), as it would be on a new one.
         */
        bool keep_alive;
        /* With keep_alive: HTTP/2 where the server offers it. libcurl before 8.10 loses answers
         * that come before the request has been read whole, and may spin then: see
         * http_has_sound_http2(). */
        bool http2;
        /*
         * All requests go to this socket, by HTTP/2 with prior knowledge: what gRPC speaks. Their
         * URL is http://localhost/..., whose classes of address do not matter; "TE: trailers" may
         * be said, and the trailers stand behind the headers of the answer. NULL: to the network.
         * Not together with keep_alive.
         */
        const char *unix_socket;
};

/* @a is borrowed, but its members may be taken (buf_move, TAKE). May start and cancel other
 * fetches; not http_free(). */
typedef void (*http_done_fn)(struct fetch_answer *a, void *userdata);

/* Gives libcurl wiping allocators. Once, first thing in main, before any other use of libcurl. */
int http_init(void) MUST_CHECK;
bool http_has_sound_http2(void);

/* Reads the certificates now, so that the caller may close itself in afterwards. */
int http_new(sd_event *event, const struct http_options *options, struct http **ret,
             struct error *err) MUST_CHECK;
/* Ends what is under way without telling. */
struct http *http_free(struct http *h);
/* An answer is likely within microseconds: see http/haste.h. For loop_run(). */
bool http_is_eager(struct http *h);

/*
 * Starts a request. 0: it was moved away from @f, and @done is called exactly once, later, unless
 * it is cancelled. -EBUSY: LIMIT_FETCHES are under way; -EEXIST: one of that id is; -ENOMEM; then
 * @f is untouched and nothing was sent.
 */
int http_fetch(struct http *h, struct fetch_request *f, http_done_fn done, void *userdata)
        MUST_CHECK;
/* Ends the fetch @id; its @done is not called. -ENOENT: there is none. What was sent has been
 * sent. */
int http_cancel(struct http *h, uint64_t id);
