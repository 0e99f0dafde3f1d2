/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP request and what became of it: the words between the keeper, which knows OAuth and has
 * no network, and mcp-broker-net, which has a network and knows no OAuth. As frames: the head is
 * JSON, the body is the HTTP body.
 */
#pragma once

#include "base/json.h"

/* Which of the two network workers: the one that never sees a credential, or the one that does
 * (DESIGN 3). */
enum fetch_via {
        FETCH_EXPLORE, /* servers and metadata */
        FETCH_DEAL,    /* token, revocation, registration endpoints; redirect listeners */
        FETCH_VIA_COUNT,
};

/* Address classes that a request may connect to (S8, A226). A bit mask. */
enum address_class {
        ADDRESS_PUBLIC = 1,
        ADDRESS_PRIVATE = 2,  /* RFC 1918, unique-local */
        ADDRESS_LOOPBACK = 4, /* 127.0.0.0/8, ::1 */
        /* Where a cloud tells a machine who it is: 169.254.0.0/16 and the like. Only for a request
         * that says link_local; what a server or its metadata names never leads there. */
        ADDRESS_LINK_LOCAL = 8,
        /* multicast, unspecified, the rest and their disguises have no bit: never */
};

enum fetch_outcome {
        FETCH_NOT_SENT,  /* not one byte of the request left: may be retried */
        FETCH_NO_ANSWER, /* sent, perhaps acted upon, no (whole) answer: in doubt */
        FETCH_ANSWERED,  /* a whole HTTP answer is here, whatever its status */
        FETCH_OUTCOME_COUNT,
};

/* Why there is no answer: what a person can act on. */
enum fetch_failure {
        FETCH_FAILURE_NONE,
        FETCH_FAILURE_RESOLVE, /* host name not found */
        FETCH_FAILURE_CONNECT, /* refused, unreachable */
        FETCH_FAILURE_ADDRESS, /* the address guard said no */
        FETCH_FAILURE_TLS,     /* certificate, handshake */
        FETCH_FAILURE_TIMEOUT,
        FETCH_FAILURE_TOO_LARGE, /* over body_max or the header limit */
        FETCH_FAILURE_CUT,       /* connection ended in mid-answer */
        FETCH_FAILURE_PROTOCOL,  /* not HTTP, bad URL, unsupported scheme */
        FETCH_FAILURE_WORKER,    /* the worker died or could not take the request */
        FETCH_FAILURE_COUNT,
};

struct fetch_header {
        char *name;
        char *value;
};

struct fetch_request {
        uint64_t id;
        char *method; /* "GET", "POST" */
        char *url;
        struct fetch_header *headers;
        size_t n_headers;
        struct buf body;       /* wiped */
        unsigned allow;        /* mask of enum address_class */
        unsigned timeout_msec; /* whole request */
        size_t body_max;
        /* Each of these at most LIMIT_PEM_BYTES; empty: none. */
        struct buf ca_pem;   /* these certificates are trusted, and no others */
        struct buf cert_pem; /* who we are: the client's certificate, leaf first */
        struct buf key_pem;  /* and its key; wiped. Neither comes without the other */
        bool direct;         /* never by a proxy */
        /* To a metadata service: link-local addresses are allowed, also by plain http, and PUT; it
         * is direct. Set where an identity of ours is fetched, and nowhere else (S8). */
        bool link_local;
};

struct fetch_answer {
        uint64_t id;
        enum fetch_outcome outcome;
        enum fetch_failure failure;
        char *reason; /* cleaned text for people when there is no answer: "connection refused" */
        unsigned status;
        struct fetch_header
                *headers; /* names in lower case; repeated fields stand repeated, in order */
        size_t n_headers;
        struct buf body;
        enum address_class reached; /* class of the address connected to; 0 if none */
};

void fetch_request_init(struct fetch_request *f);
void fetch_request_done(struct fetch_request *f); /* wipes URL, headers, body and key */
int fetch_request_set(struct fetch_request *f, const char *method, const char *url) MUST_CHECK;
int fetch_request_add_header(struct fetch_request *f, const char *name, const char *value)
        MUST_CHECK;

void fetch_answer_init(struct fetch_answer *a);
void fetch_answer_done(struct fetch_answer *a);
int fetch_answer_add_header(struct fetch_answer *a, const char *name, const char *value) MUST_CHECK;
/* First value of the field @name (any case), or NULL. */
const char *fetch_answer_header(const struct fetch_answer *a, const char *name);

/* To and from frame heads ({"op":"fetch",...} and {"op":"answer",...}); bodies travel beside.
 * -EBADMSG for a head that is not ours, -ENOMEM. The body is moved, not copied. */
int fetch_request_to_head(const struct fetch_request *f, json_t **ret) MUST_CHECK;
int fetch_request_from_head(struct fetch_request *f, const json_t *head, struct buf *body)
        MUST_CHECK;
int fetch_answer_to_head(const struct fetch_answer *a, json_t **ret) MUST_CHECK;
int fetch_answer_from_head(struct fetch_answer *a, const json_t *head, struct buf *body) MUST_CHECK;

const char *fetch_failure_name(enum fetch_failure f);
const char *fetch_outcome_name(enum fetch_outcome o);
