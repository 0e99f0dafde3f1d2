/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request on its libcurl handle: what it may do is set up here and judged here, and what became
 * of it is told here. Private to this folder; client.h is the way in.
 */
#pragma once

#include <curl/curl.h>

#include "base/list.h"
#include "http/address.h"
#include "http/client.h"
#include "http/idle.h"

struct http_stream;

/* What all transfers of one client share; the strings belong to the client. */
struct transfer_defaults {
        char *proxy;       /* NULL: none */
        char *no_proxy;    /* NULL: none */
        char *unix_socket; /* NULL: the network */
        struct buf ca_pem; /* empty: the system's certificates only */
        long connect_msec;
        bool keep_alive;
        bool http2;
        CURLSH *share;    /* with keep_alive: sessions of TLS */
        struct idle idle; /* the same */
};

struct transfer {
        struct list link;
        CURL *easy;
        struct curl_slist *headers;
        struct fetch_request request;
        struct fetch_answer answer;
        http_done_fn done;          /* of a fetch */
        void *userdata;             /* the same */
        struct http_stream *stream; /* NULL: a fetch, whose body is collected in the answer */
        bool running;               /* libcurl has it */
        bool apart;                 /* nobody else's connection, session or cookie */
        bool local;                 /* to a UNIX socket, and to nothing else */
        char *origin;               /* with keep_alive */

        unsigned allow;            /* classes that a socket of this request may lead to */
        enum address_class target; /* through a proxy: what the host is taken for; else 0 */
        bool written;              /* from now on a byte of the request may have left */
        bool settled;              /* the answer says what became of it */
        bool headers_done;
        bool in_headers; /* the status line of this block has been seen */
        size_t header_bytes;
        unsigned n_opened;                /* sockets that the guard let through */
        char refused[ADDRESS_TEXT_MAX];   /* last address that it did not; "" = none */
        enum address_class refused_class; /* and what that was */
        enum fetch_failure own_failure;   /* we ended it, and this is why */
        char detail[CURL_ERROR_SIZE];     /* libcurl's own words */
};

/*
 * Takes over the request, which is judged first. @stream: who takes the answer as it comes, NULL
 * for a fetch. 0: ready for curl_multi_add_handle(); 1: it must not be sent, the answer says why;
 * -ENOMEM: @f is untouched.
 */
int transfer_new(const struct transfer_defaults *defaults, struct fetch_request *f,
                 struct http_stream *stream, struct transfer **ret) MUST_CHECK;
struct transfer *transfer_free(struct transfer *t);

/* It is ended by us, and this is why; the first reason counts. */
void transfer_blame(struct transfer *t, enum fetch_failure failure, const char *why);
/* Turns what libcurl says at the end into the answer, unless there is one already. */
void transfer_finish(struct transfer *t, CURLcode code);
