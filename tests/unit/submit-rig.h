/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of submitted calls share: functions that write down what they are told, the loop
 * of a program that has one, and more for the script of a fake daemon.
 */
#pragma once

#include "fake-daemon.h"

#define TOKEN                                                                                  \
        "\"result\":{\"token\":\"t\",\"token_type\":\"Bearer\",\"token_id\":\"i\",\"server\":" \
        "\"s\",\"scopes\":[]}"

/* One a call; @order says when it was told. */
struct told {
        unsigned order; /* 0: not yet */
        int r;
        char code[32];
        char text[128];
};
extern unsigned n_told;

int submit_setup(void **state);
int submit_teardown(void **state);

void on_answer(int r, const char *result, const mcpb_error *err, void *userdata);
void on_token(int r, mcpb_token *token, const mcpb_error *err, void *userdata);
void on_never(int r, const char *result, const mcpb_error *err, void *userdata);
void submit(mcpb_client *c, const char *method, struct told *t);
void submit_token(mcpb_client *c, struct told *t);
void turn(mcpb_client *c); /* one of a program's loop */
void until_told(mcpb_client *c, unsigned n);
void submit_end(mcpb_client *c); /* frees the client; the script has come to its end */
void say_go(void);               /* from the test to the script: go on */

/* --- in the script --- */
void await_go(void);
int take_request(int fd, const char *method); /* reads one; its id */
void say_answer(int fd, int id, const char *answer);
void serve(int fd, const char *method, const char *answer);
/* Until something can be read: it is with us, and not read. */
void let_arrive(int fd);
