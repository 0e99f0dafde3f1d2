/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The little of /proc that several need: parent and start time, which together with the pid name a
 * process for good.
 */
#pragma once

#include "base/util.h"

struct proc_stat {
        int ppid;             /* 0: the parent is not visible from here */
        int session;          /* its leader's pid; 0: not visible */
        char state;           /* 'R', 'S', 'Z', ... */
        uint64_t start_ticks; /* since boot, in clock ticks (field 22) */
};

/* Takes /proc/PID/stat apart; the name in it may hold anything, blanks and parentheses too.
 * -EBADMSG. */
int proc_stat_parse(const char *text, size_t len, struct proc_stat *ret) MUST_CHECK;

/* Of the process whose /proc folder is @proc_dirfd, or of @pid. -ESRCH if it is gone. */
int proc_stat_at(int proc_dirfd, struct proc_stat *ret) MUST_CHECK;
int proc_stat_pid(int pid, struct proc_stat *ret) MUST_CHECK;

int proc_start_ticks(int pid, uint64_t *ret) MUST_CHECK;
int proc_ppid(int pid, int *ret) MUST_CHECK;

/* Field 22 on the clock of clock_boot_usec(). Rounded down to a tick (10 ms). */
uint64_t proc_boot_usec_from_ticks(uint64_t ticks);
