/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How our processes close themselves in (S2): no new privileges, Landlock, then a seccomp filter
 * that lets through a list of system calls and answers EPERM (for opening: EACCES) to all others.
 * What a kernel cannot do is left out, and the report says so. Descriptors that are open stay
 * usable: open what is needed first. There is no way back.
 *
 * keeper  no socket, connect, bind, listen, exec, fork, open, and no new executable memory. May
 *         accept on a listening socket that it has, pass descriptors, make pipes and socket pairs,
 *         write and sync the files that it has open.
 * writer  as keeper, without accept; files below the state folder, and nowhere else.
 * net     TCP and UDP sockets, threads, reading /etc, libraries and certificates. No AF_UNIX
 *         socket, no exec, no fork, no writing of any file.
 * kdf     computes: reads and writes descriptors that it has.
 */
#pragma once

#include <sys/types.h>

#include "base/json.h"

enum sandbox_role {
        SANDBOX_KEEPER,
        SANDBOX_WRITER,
        SANDBOX_NET,
        SANDBOX_KDF,
        SANDBOX_ROLE_COUNT,
};

struct sandbox_profile {
        enum sandbox_role role;
        int state_dirfd; /* writer: the folder that stays writable; -1 otherwise */
};

struct sandbox_profile sandbox_keeper(void);
struct sandbox_profile sandbox_writer(int state_dirfd);
struct sandbox_profile sandbox_net(void);
struct sandbox_profile sandbox_kdf(void);

#define SANDBOX_MISSING_MAX 8

/* What the kernel granted. */
struct sandbox_report {
        const char *role;
        bool no_new_privs;
        bool seccomp;
        unsigned landlock_abi; /* 0: none */
        /* "landlock", "landlock-tcp", ...: for people, and in status */
        const char *missing[SANDBOX_MISSING_MAX];
        size_t n_missing;
};

/*
 * Closes this process in; it must have one thread only. 0 also when the kernel grants less: look at
 * the report and log it. An error (nothing or not all in force: do not go on) only if a filter
 * cannot be made or the process has threads.
 */
int sandbox_enter(const struct sandbox_profile *p, struct sandbox_report *ret, struct error *err)
        MUST_CHECK;

/* {"role":"keeper","no_new_privs":true,"seccomp":true,"landlock_abi":7,"missing":[]} */
int sandbox_status_json(const struct sandbox_report *report, json_t **ret) MUST_CHECK;
