/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bridge itself: which of the host's messages goes out when, and what of the server's goes
 * back. It relays bytes; it reads of a message only what it must know to route it. Every request of
 * the host's is answered once, whatever the server does.
 */
#pragma once

#include "connect/call.h"

struct bridge;

/* Streamable HTTP, or the HTTP+SSE of 2024-11-05. */
enum transport {
        TRANSPORT_AUTO,      /* the first, and the second where the server has only that */
        TRANSPORT_HTTP,      /* the first alone */
        TRANSPORT_SSE,       /* the second alone */
        TRANSPORT_SSE_FIRST, /* the second, and the first where the server has only that */
};

struct bridge_options {
        sd_event *event;
        struct http *http;  /* borrowed */
        int in_fd, out_fd;  /* the host's */
        const char *url;    /* of the server; NULL: the broker knows it by its name */
        size_t message_max; /* bytes of one message */
        struct access_options access;
        struct fetch_header *headers; /* taken over */
        size_t n_headers;
        const char *const *ignored_tools; /* globs */
        size_t n_ignored_tools;
        uint64_t request_usec; /* 0: a request may take as long as it likes */
        enum transport transport;
        bool modern_first; /* also a legacy host's server is asked first whether it is modern */
        bool report;       /* tool calls to the audit trail */
};

int bridge_new(struct bridge_options *o, struct bridge **ret) MUST_CHECK;
struct bridge *bridge_free(struct bridge *b);
/* Ends as soon as may be: the loop is left when the server has been told. */
void bridge_stop(struct bridge *b);
