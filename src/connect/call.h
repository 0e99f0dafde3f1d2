/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP request to the server with everything that it takes to be let in: a token from the
 * broker, the answers to 401 and 403, a pause where the server asks for one, another attempt where
 * nothing was sent. What comes out is the answer that counts. It knows HTTP and no MCP.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/jsonspan.h"
#include "connect/access.h"
#include "http/client.h"
#include "http/stream.h"

struct held;

/* What all requests to one server share. */
struct upstream {
        sd_event *event;
        struct http *http;            /* borrowed */
        struct access *access;        /* borrowed */
        char *url;                    /* NULL: not known before the broker names it */
        struct fetch_header *headers; /* --header; owned */
        size_t n_headers;
        bool own_authorization; /* it is among these: the broker is not asked */
        uint64_t last_id;       /* of our HTTP requests */
        char *nonce;            /* the server's latest, for proofs; NULL: none */
        struct held *held;      /* the token that was got a moment ago; NULL: none */
        sd_event_source *held_timer;
};
void upstream_done(struct upstream *u);

enum call_result {
        CALL_ANSWERED, /* the whole answer was there */
        CALL_NO_ACCESS,
        CALL_NOT_SENT,
        CALL_IN_DOUBT, /* sent, but the answer is missing or incomplete */
        CALL_RESULT_COUNT,
};

struct call_end {
        enum call_result result;
        const char *reason;    /* for people; NULL if answered */
        const mcpb_error *err; /* CALL_NO_ACCESS: what the broker says, if it was asked */
        const char *login_url; /* of a login under way */
        const char *login;
        const char *audit_id; /* the broker's name for the request in its audit trail; NULL: none */
};

struct call;
struct call_ops {
        const char *method;
        const char *accept;
        bool json; /* the body is JSON */
        /* More header fields; asked for each attempt. */
        int (*add_headers)(struct fetch_request *f, void *userdata);
        /* The answer that counts begins. */
        void (*on_head)(struct call *c, const struct fetch_answer *a, void *userdata);
        int (*on_body)(struct call *c, const char *data, size_t len, void *userdata);
        /* Once, last; the call is gone behind it. */
        void (*on_end)(const struct call_end *end, void *userdata);
};

/* @body and @url are borrowed until the end; @url: NULL for the server's own. Nothing is called
 * from here. -ENOMEM. */
int call_new(struct upstream *u, const struct call_ops *ops, const char *url, struct span body,
             void *userdata, struct call **ret) MUST_CHECK;
/* Cancels; on_end is not called. Takes NULL; returns NULL. */
struct call *call_free(struct call *c);
void call_pause(struct call *c, bool pause);
/* Was it sent, so that the server may have acted? */
bool call_is_sent(const struct call *c);
/* The broker's name for the request whose token is used; NULL: none. Borrowed. */
const char *call_audit_id(const struct call *c);
