/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fetches (client.c) and streams (stream.c) of one client share. Private to this folder.
 */
#pragma once

#include "http/haste.h"
#include "http/transfer.h"

struct http {
        sd_event *event;
        sd_event_source *timer;
        sd_event_source *defer; /* for what must be told later */
        bool asked;             /* libcurl wants to be called, as soon as it can be */
        CURLM *multi;
        struct transfer_defaults defaults;
        struct list running; /* transfers that libcurl has */
        struct list refused; /* those that ended before they began */
        struct list streams; /* all that are open */
        struct list due;     /* those of them that have something to tell */
        struct haste haste;
        size_t n_fetches;
        size_t n_streams;
};

/* Hands @t to libcurl, or lines it up to be told as refused (@refused). */
void http_start(struct http *h, struct transfer *t, bool refused);
/* Takes @t away from libcurl and from the line; nothing is told. */
void http_stop(struct http *h, struct transfer *t);
/* What has been started is sent now, as far as that goes, not at the loop's next turn. Not from
 * within libcurl. */
void http_advance(struct http *h);
/* What is due is told soon, from the event loop. */
void http_wake(struct http *h);

/* The transfer of @s has come to its end; libcurl has it no more. */
void stream_ended(struct http_stream *s, CURLcode code);
/* Calls the callbacks of all streams that are due. Not from within libcurl. */
void streams_deliver(struct http *h);
/* Closes them all. */
void streams_close(struct http *h);
/* libcurl has read the head of the answer. */
void stream_take_head(struct http_stream *s);
/* libcurl has read some of the body. 1: it must be brought again, later; -ENOMEM, -EMSGSIZE. */
int stream_take_body(struct http_stream *s, const char *data, size_t n) MUST_CHECK;
