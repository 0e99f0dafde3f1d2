/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of libmcpbroker. A client owns at most one connection; every wait goes through
 * client_wait(), which knows the deadline of the call and the two ways to cancel it. A call that
 * ends without its answer (deadline, cancelled) ends its connection too: so the daemon learns of
 * it, and no late answer can be taken for another's.
 */
#pragma once

#include "base/json.h"
#include "mcpbroker.h"

struct mcpb_client {
        char *socket_path; /* NULL: looked up at each connect */
        char *client_name;
        char *daemon_path;
        int timeout_msec;
        bool autostart;
        int user_cancel_fd; /* the caller's; never read */
        int cancel_fd;      /* eventfd of mcpb_cancel() */

        int fd;
        pid_t owner; /* the process that connected: the daemon serves no other */
        bool manage;
        uint64_t last_id;
        struct buf in;
        size_t scanned;
        uint64_t deadline_usec; /* of the call under way; UINT64_MAX: none */
};

/* How long a call may take that says nothing else. */
#define CLIENT_TIMEOUT_MSEC 120000
/* An answer is as long as the daemon may buffer for one client. */
#define CLIENT_LINE_BYTES (4 * 1024 * 1024 + 4096)
#define CLIENT_JSON_DEPTH 64

/* error.c: both return -errnum. */
int client_error(mcpb_error *err, enum error_code code, int errnum, const char *hint,
                 const char *fmt, ...) PRINTF_LIKE(5, 6);
int client_oom(mcpb_error *err);
int client_error_from(mcpb_error *err, const struct error *from, int r);
/* The error object of an answer. Always -EREMOTEIO. */
int client_error_remote(mcpb_error *err, const json_t *object);

/* wait.c */
/*
 * Until @fd (may be -1) is ready. 0, -ETIMEDOUT, -ECANCELED; @err is filled. @until_usec may cut it
 * short: -EAGAIN, nothing filled.
 */
int client_wait(mcpb_client *c, int fd, short events, uint64_t until_usec, mcpb_error *err)
        MUST_CHECK;
void client_set_deadline(mcpb_client *c, int timeout_msec);

/* connect.c */
/* Makes sure of an open session. */
int client_connect(mcpb_client *c, mcpb_error *err) MUST_CHECK;
void client_disconnect(mcpb_client *c);
/*
 * -EPIPE: the daemon went away before the whole line was with it, so that it was not acted upon;
 * @err is left alone.
 */
int client_send(mcpb_client *c, const struct buf *line, mcpb_error *err) MUST_CHECK;
/*
 * The next line, as an object. -EPIPE: the end of the stream. -ECONNRESET: the same, and the daemon
 * left bytes unread: the kernel says so, and as they are the last that were sent, the last request
 * was not acted upon. Both leave @err alone.
 */
int client_receive(mcpb_client *c, json_t **ret, mcpb_error *err) MUST_CHECK;

/* start.c */
/* Starts a daemon. 0: one is, or may soon be, there. */
int client_start_daemon(mcpb_client *c, mcpb_error *err) MUST_CHECK;

/* call.c */
/*
 * @params may be NULL; it is used up. The deadline is that of the options, or @timeout_msec if they
 * name none.
 */
int client_call(mcpb_client *c, const char *method, json_t *params, int timeout_msec, json_t **ret,
                mcpb_error *err) MUST_CHECK;
/* The same, with the result as text (@ret may be NULL). */
int client_call_text(mcpb_client *c, const char *method, json_t *params, char **ret,
                     mcpb_error *err) MUST_CHECK;

/* params.c: builds an object; NULL-tolerant: the first failure is kept, and told by the call. */
json_t *params_new(void);
void params_string(json_t **params, const char *key, const char *value); /* NULL: left out */
void params_words(json_t **params, const char *key, const char *words);  /* NULL: left out */
void params_number(json_t **params, const char *key, long value);        /* 0: left out */
void params_true(json_t **params, const char *key, bool value);          /* false: left out */
void params_challenge(json_t **params, const mcpb_challenge *challenge); /* NULL: left out */
/* A copy of a string member, NULL if there is none. -ENOMEM. */
int client_take_string(char **to, const json_t *object, const char *key) MUST_CHECK;
/* Overwrites a string of ours inside a JSON value before it is freed. */
void json_wipe_string(json_t *object, const char *key);
