/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP on 127.0.0.1: a service is one listening port, a request is one that was received whole.
 * One thread, one loop, all services. The handler decides what happens to a request: send the reply
 * it filled in, wait (suspended, without a thread, until http_resume), or close the connection.
 * After a wait the handler is called again with the same request.
 */
#pragma once

#include <jansson.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base.h"
#include "form.h"
#include "pipe.h"

#define HTTP_BODY_MAX (1024U * 1024U)
#define HTTP_REPLY_HEADERS_MAX 12U

struct service;
struct connection;
struct request;

enum http_verdict {
        HTTP_SEND,
        HTTP_WAIT,
        HTTP_DROP,
};

enum reply_shape {
        REPLY_WHOLE,
        REPLY_TRUNCATED, /* promises more bytes than come */
        REPLY_OVERSIZE,  /* n_filler bytes, 0 = without end */
        REPLY_PIPE,      /* what is written into the pipe */
};

struct reply_header {
        char *name;
        char *value;
};

struct reply {
        struct reply_header headers[HTTP_REPLY_HEADERS_MAX];
        char *body;
        struct pipe *pipe;
        size_t n_headers;
        size_t n_body;
        uint64_t n_filler;
        unsigned status; /* 0 until there is one */
        enum reply_shape shape;
};

struct request {
        struct service *service;
        struct MHD_Connection *connection;
        struct connection *line; /* what it came by */
        struct request *next_waiting;
        char *method;
        char *target; /* as it came */
        char *path;   /* without the query, not decoded */
        struct form query;
        struct form form; /* of a form body */
        struct text body;
        struct reply reply;
        void *state; /* of the handler */
        void (*state_free)(void *state);
        uint64_t deadline_msec; /* of a wait; 0 = until somebody resumes it */
        bool waiting;
        bool too_large;
};

typedef enum http_verdict (*http_handler_fn)(struct request *r, void *userdata);
typedef void (*http_each_fn)(struct request *r, void *userdata);
/* The head is there, the body perhaps not; false closes the connection. */
typedef bool (*http_head_fn)(struct request *r, void *userdata);

/* Port 0: the system picks. On failure NULL, with errno set. */
struct service *http_service_new(uint16_t port, http_handler_fn handler, void *userdata);
struct service *http_service_free(struct service *s);
void http_service_on_head(struct service *s, http_head_fn fn);
/* Told of a request that waits, when its client has closed; it goes on waiting all the same. */
void http_service_on_left(struct service *s, http_each_fn fn);
void http_service_body_max(struct service *s, size_t body_max);
uint16_t http_service_port(const struct service *s);
int http_service_fd(const struct service *s);
void http_service_run(struct service *s);
/* Milliseconds until the service must run again, -1 = nothing is due. */
int http_service_timeout(const struct service *s, uint64_t now_msec);
void http_each_waiting(struct service *s, http_each_fn fn, void *userdata);
void http_each_stalled(struct service *s, http_each_fn fn, void *userdata);
void http_resume(struct request *r);
/* Closes the connections on which no request is under way. How many that were. */
unsigned http_service_close_idle(struct service *s);
/* From now on every request, also a waiting one, is dropped: for the end of the program. */
void http_service_stop(struct service *s);

uint64_t request_connection(const struct request *r); /* its number, from 1 */
uint64_t request_nth(const struct request *r);        /* of that connection, from 1 */
const char *request_header(const struct request *r, const char *name);
json_t *request_headers_json(const struct request *r);
bool request_is_form(const struct request *r);

/* Takes the body. Headers given before stay. */
void reply_take(struct request *r, unsigned status, const char *type, char *body, size_t n);
void reply_text(struct request *r, unsigned status, const char *type, const char *body);
void reply_json(struct request *r, unsigned status, json_t *value); /* takes value */
void reply_header(struct request *r, const char *name, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* Takes the place of one of the same name; an empty value only removes that. */
void reply_header_set(struct request *r, const char *name, const char *value);
void reply_clear(struct request *r);
/* An answer that comes piece by piece. The status is sent with the first of them. */
struct pipe *reply_pipe(struct request *r, unsigned status, const char *type, uint64_t size);
