/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of libmcpbroker. A client owns at most one connection, and the calls that are under
 * way on it or wait for their turn (traffic.c). There is one way for all of them: client_step()
 * connects, writes and reads what goes without waiting. A call that blocks is stepped until its
 * answer is there; what was submitted, whenever mcpb_dispatch() is called.
 *
 * A call that is given up (deadline, cancelled, withdrawn) ends its connection unless others need
 * it: so the daemon learns of it. Ids are never used twice, so no late answer can be taken for
 * another's.
 */
#pragma once

#include "base/json.h"
#include "base/list.h"
#include "mcpbroker.h"

/* How far the connection is. */
enum client_link {
        LINK_NONE,
        LINK_STARTING, /* a daemon was started and does not listen yet */
        LINK_GREETING, /* its hello is awaited */
        LINK_OPENING,  /* the answer to session.open is awaited */
        LINK_OPEN,
};

struct mcpb_client {
        char *socket_path; /* NULL: looked up at each connect */
        char *client_name;
        char *daemon_path;
        int timeout_msec;
        bool autostart;
        int user_cancel_fd; /* the caller's; never read */
        int cancel_fd;      /* eventfd of mcpb_cancel() */

        pid_t owner; /* the process that all below belongs to: the daemon serves no other */
        uint64_t deadline_usec; /* of the function that waits; UINT64_MAX: none */

        /* the connection */
        enum client_link link;
        int fd;
        bool manage;
        uint64_t retry_usec; /* LINK_STARTING: when it is tried again, and how long */
        uint64_t starting_until_usec;
        unsigned n_greetings; /* that ended in the middle, one after the other */
        unsigned n_futile;    /* connections that ended without an answer, one after the other */
        struct buf in;
        size_t scanned;
        struct buf rest;       /* what is written before any call: session.open; half a line */
        struct call *writing;  /* whose line is being written; first of the queue */
        size_t written;        /* bytes of that, or of the rest */
        uint64_t last_written; /* id of the last whole line */
        unsigned n_given_up;   /* lines written whose answer nobody waits for */
        bool broken;           /* nothing can be written any more */
        bool reset;            /* as ECONNRESET says: the daemon left bytes unread */
        bool leaving;          /* the daemon said that it goes: nothing new is sent to it */

        /* the calls */
        uint64_t last_id;
        struct list queue; /* in order */
        struct list sent;  /* in the order they were written in */
        struct list done;  /* submitted ones that mcpb_dispatch() has to tell */
        unsigned n_sent;
        unsigned n_submitted; /* in all three */
        size_t n_bytes;       /* of their lines */
        bool telling;         /* a function of the program runs */
        bool freed;           /* by that function: the rest goes when it is back */
};

enum call_state {
        CALL_QUEUED,
        CALL_SENT,
        CALL_DONE,
};

struct call {
        struct list link;
        enum call_state state;
        uint64_t id;
        struct buf line; /* until it is answered: it may have to be sent again */
        bool repeatable; /* asked twice, it gives the same answer */
        bool begun;      /* some of it was written */
        unsigned n_lost; /* connections that ended under it */
        uint64_t deadline_usec;

        /* CALL_DONE */
        int r;
        json_t *result;
        mcpb_error err;

        /* of a submitted one: whom it is told */
        bool submitted;
        mcpb_answer_fn on_answer;
        mcpb_token_fn on_token;
        void *userdata;
};

/* How long a call may take that says nothing else. */
#define CLIENT_TIMEOUT_MSEC 120000
/* An answer is as long as the daemon may buffer for one client. */
#define CLIENT_LINE_BYTES (4 * 1024 * 1024 + 4096)
#define CLIENT_JSON_DEPTH 64
/* So much is read at once. */
#define CLIENT_FILL_BYTES (16 * 1024)

/* error.c: both return -errnum. */
int client_error(mcpb_error *err, enum error_code code, int errnum, const char *hint,
                 const char *fmt, ...) PRINTF_LIKE(5, 6);
int client_oom(mcpb_error *err);
int client_error_from(mcpb_error *err, const struct error *from, int r);
/* The error object of an answer. Always -EREMOTEIO. */
int client_error_remote(mcpb_error *err, const json_t *object);
void client_error_copy(mcpb_error *to, const mcpb_error *from); /* @from may be NULL: empty */
/* The same without a copy; @to may be NULL. @from is empty afterwards. */
void client_error_move(mcpb_error *to, mcpb_error *from);

/* wait.c */
/*
 * Until @fd (may be -1) is ready. 0, -ETIMEDOUT, -ECANCELED; @err is filled. @until_usec may cut it
 * short: -EAGAIN, nothing filled.
 */
int client_wait(mcpb_client *c, int fd, short events, uint64_t until_usec, mcpb_error *err)
        MUST_CHECK;
void client_set_deadline(mcpb_client *c, int timeout_msec);
/* For poll(): -1 for UINT64_MAX; rounded up, so that no wait spins through its last millisecond. */
int client_msec_until(uint64_t usec);

/* connect.c */
/*
 * Brings the connection forward as far as it goes without waiting, except for the start of a daemon
 * where none runs. 1: the session is open. 0: not yet. -errno: there is none; @err is filled.
 */
int client_link(mcpb_client *c, mcpb_error *err) MUST_CHECK;
/* The same, to its end. */
int client_connect(mcpb_client *c, mcpb_error *err) MUST_CHECK;
void client_disconnect(mcpb_client *c);
/*
 * Writes what goes of @line, from c->written on. 1: all of it is with the daemon. 0: not yet.
 * -EPIPE, -ECONNRESET: the daemon went away before, so that it was not acted upon.
 */
int client_write(mcpb_client *c, const struct buf *line) MUST_CHECK;
/*
 * One recv(): how many bytes. 0: none at present. -EPIPE: the end of the stream. -ECONNRESET: the
 * same, and the daemon left bytes unread: the kernel says so, and as they are the last that were
 * sent, the last request was not acted upon. Both leave @err alone. -ENOMEM: @err is filled.
 */
int client_fill(mcpb_client *c, mcpb_error *err) MUST_CHECK;
/* The next line of what was read, as an object. 1. 0: none yet. -EPROTO, -ENOMEM: see @err. */
int client_next(mcpb_client *c, json_t **ret, mcpb_error *err) MUST_CHECK;

/* traffic.c */
/*
 * Connects, writes and reads for the calls what goes without waiting (but see client_link()), and
 * ends those whose deadline has passed. What ends a call is in that call. -ETIMEDOUT, -ECANCELED:
 * the start of a daemon was broken off; the calls wait on; @err is filled.
 */
int client_step(mcpb_client *c, mcpb_error *err) MUST_CHECK;
void client_expire(mcpb_client *c);
short client_events(const mcpb_client *c);    /* what to wait for before the next step */
uint64_t client_wakeup(const mcpb_client *c); /* and until when; UINT64_MAX: no end */
/* A call whose line is built begins to wait for its turn. */
void client_enqueue(mcpb_client *c, struct call *call);
/* A call that is not done leaves, and belongs to the caller alone. */
void client_give_up(mcpb_client *c, struct call *call);

/* submit.c */
/*
 * What is under way in another process than the one that submitted it is that one's: the functions
 * are not called here. First thing in every function that speaks.
 */
void client_adopt(mcpb_client *c);
void client_forget_calls(mcpb_client *c);
/* @call: whom it is told; @params may be NULL (out of memory) and is used up. */
int client_submit(mcpb_client *c, const char *method, json_t *params, const struct call *call,
                  unsigned long long *ret_ticket, mcpb_error *err) MUST_CHECK;

/* start.c */
/* Starts a daemon. 0: one is, or may soon be, there. */
int client_start_daemon(mcpb_client *c, mcpb_error *err) MUST_CHECK;

/* token.c */
int client_read_token(json_t *result, mcpb_token **ret, mcpb_error *err) MUST_CHECK;

/* call.c */
/* The line of a call. -EINVAL, -ENOMEM: @err is filled. */
int call_build(mcpb_client *c, struct call *call, const char *method, json_t *params,
               mcpb_error *err) MUST_CHECK;
void call_done(struct call *call);
/* Parameters as a program gives them: NULL is none. */
int client_parse_params(const char *params, json_t **ret, mcpb_error *err) MUST_CHECK;
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
/* An object of "NAME=VALUE"; none: left out. -EINVAL: not of that form, or a name stands twice. */
int params_pairs(json_t **params, const char *key, const char *const *pairs, size_t n) MUST_CHECK;
void params_number(json_t **params, const char *key, long value);        /* 0: left out */
void params_true(json_t **params, const char *key, bool value);          /* false: left out */
void params_challenge(json_t **params, const mcpb_challenge *challenge); /* NULL: left out */
/* A copy of a string member, NULL if there is none. -ENOMEM. */
int client_take_string(char **to, const json_t *object, const char *key) MUST_CHECK;
/* Overwrites a string of ours inside a JSON value before it is freed. */
void json_wipe_string(json_t *object, const char *key);
