/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting another program with exactly the descriptors, environment and signals it is meant to
 * have.
 */
#pragma once

#include <sys/types.h>

#include "base/error.h"

#define SPAWN_FDS_MAX 16

struct spawn_fd {
        int fd;     /* ours; stays open here */
        int target; /* its number in the child, 0 up to 63 */
};

struct spawn {
        const char *path;           /* executed as it is: no search in $PATH */
        char *const *argv;          /* ends with NULL */
        char *const *envp;          /* ends with NULL; NULL: our own environment */
        const struct spawn_fd *fds; /* 0, 1 and 2 are /dev/null unless named here */
        size_t n_fds;
        bool search;      /* look for @path in our $PATH (for commands that a person gave) */
        bool keep_stdio;  /* 0, 1 and 2 as ours unless named in @fds */
        bool new_session; /* setsid() */
        bool die_with_us; /* SIGKILL when the thread that called this ends (PR_SET_PDEATHSIG) */
        const char *cwd;  /* NULL: ours */
};

/*
 * Starts the program: all other descriptors are closed, signal handlers and the mask are reset.
 * Failure of exec is reported here (@err filled: NOT_FOUND if there is no such program, INTERNAL
 * otherwise), not by a child that ends. @ret_pidfd may be NULL. The caller waits for the child
 * (waitid).
 */
int spawn(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd, struct error *err) MUST_CHECK;
