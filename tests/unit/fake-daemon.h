/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon that says what a test wants it to say: a child process that runs a script of the test's
 * over the socket. What the script checks with require() ends the child; fake_end() tells.
 */
#pragma once

#include "base/json.h"
#include "mcpbroker.h"
#include "test.h"

struct fake {
        char dir[64];
        char path[96];
        int listener;
        pid_t pid; /* of the child; 0: none */
};

typedef void (*fake_script)(struct fake *f);

void fake_init(struct fake *f); /* folder and listening socket */
void fake_run(struct fake *f, fake_script script);
int fake_end(struct fake *f); /* waits for the child; 0 if the script ran to its end */
void fake_done(struct fake *f);

/* --- the client's side: all of it speaks with this one --- */
extern struct fake fake;
int fake_setup(void **state);
int fake_teardown(void **state);
mcpb_options fake_options(void);
mcpb_client *fake_client(void);
/* Begins with a daemon that runs @script, and ends when that has run to its end. */
mcpb_client *fake_talk(fake_script script);
void fake_over(mcpb_client *c);
/* A call's result and what it gave; frees the text. */
void check_text(int r, char **text, const char *want);

/* --- in the script --- */
#define require(cond)                                                                   \
        do {                                                                            \
                if (!(cond)) {                                                          \
                        fprintf(stderr, "fake daemon: line %d: %s\n", __LINE__, #cond); \
                        _exit(1);                                                       \
                }                                                                       \
        } while (0)

int fake_accept(struct fake *f);
void fake_say(int fd, const char *text);
/* The next line as JSON, or NULL at the end. */
json_t *fake_read(int fd);
int fake_accept_open(struct fake *f); /* accept, hello, session.open */
/*
 * Reads a request of @method; answers with @answer (the text of a result) unless NULL. Returns its
 * params.
 */
json_t *fake_serve(int fd, const char *method, const char *answer);
void fake_expect_end(int fd);
