/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An rpc on a real socket in a folder of its own, with a session that attests as it is told, a
 * domain that answers as it is told, and a clock that moves when it is told.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/buf.h"
#include "rpc/rpc.h"
#include "test.h"

enum attest_mode {
        ATTEST_NOW,
        ATTEST_LATER, /* until attest_answer() */
        ATTEST_FAILS, /* the answer is an error */
        ATTEST_DOWN,  /* the question cannot be asked */
};

enum call_mode {
        CALL_ECHO, /* {"method":..., "pid":..., "client":...} at once */
        CALL_PARK, /* until answer_parked() */
        CALL_FILL, /* a result of h->fill bytes at once */
        CALL_FAILS,
};

#define PARKED_MAX 256
struct parked {
        struct harness *h;
        broker_reply_fn fn; /* NULL: answered or abandoned */
        void *userdata;
};

struct harness {
        sd_event *event;
        struct rpc *rpc;
        char dir[64];
        char path[96]; /* the main socket */
        char labelled[96];

        enum attest_mode attest;
        struct evidence
                /* what is answered; the pid is the one asked for unless wrong_pid is set */
                evidence;
        bool wrong_pid;
        unsigned n_attested;
        rpc_attested_fn attest_done; /* ATTEST_LATER */
        void *attest_ctx;
        pid_t attest_pid;

        enum call_mode call;
        size_t fill;
        unsigned n_calls;
        uint64_t callers[4096]; /* conn_id of each call, in order */
        struct caller last;
        struct parked parked[PARKED_MAX];
        unsigned n_parked;
        unsigned n_abandoned;
        unsigned n_drained;
        unsigned n_fds; /* open when the test began */
};

int harness_setup(void **state);
int harness_teardown(void **state);

void harness_advance(unsigned sec); /* moves the clock and lets timers fire */
void harness_spin(
        struct harness *
                /* runs the loop until nothing is left to do; fails the test if that never comes */
                h);
void harness_wait(struct harness *h, const unsigned *counter,
                  unsigned value); /* for other processes */
void harness_attest_answer(struct harness *h, int r);
void harness_answer(struct harness *h, unsigned i, const char *result); /* result: a JSON text */
unsigned harness_count_fds(void);

/* --- a client, by hand --- */
int client_try(const char *
                       /*
                 * -1 on failure: for children, where an assertion would run all other tests again
                 */
                       path);
int client_connect(const char *path);
void client_send(int fd, const char *text);
/*
 * A line without its end, or NULL if none is there (then *ret_eof says whether none will come).
 * Valid until the next call.
 */
const char *client_line(int fd, bool *ret_eof);
void expect_line(int fd, const char *substring);
void expect_silence(int fd);
void expect_end(int fd); /* everything was read, and the connection is closed */
void expect_refusal(int fd, const char *code);        /* an error line without id, then the end */
void client_say_open(int fd);                         /* reads hello, sends session.open */
int client_open(struct harness *h, const char *path); /* all of the handshake */
