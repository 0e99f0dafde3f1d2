/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What session found out about a peer. The keeper reads uid, pid and pidfd from the kernel itself;
 * everything here is as strong as the signal's own class in doc/ARCHITECTURE.md, "Evidence", and no
 * stronger.
 */
#pragma once

#include "base/json.h"

#define EVIDENCE_TEXT_MAX 512

/* One executable: the running inode, not a name. */
struct evidence_exe {
        bool known;
        char path[EVIDENCE_TEXT_MAX]; /* as readlink gives it; may end in " (deleted)" */
        uint64_t dev;
        uint64_t ino;
};

struct evidence {
        int pid;
        uint64_t start_ticks;    /* /proc/PID/stat field 22; 0 = unknown */
        struct evidence_exe exe; /* the peer itself: policy's peer-exe: */
        bool ours;               /* the peer is one of our installed programs (by dev and inode) */
        bool daemon;             /* the peer is one of our own daemon processes: refused */
        bool anchor_known;
        /* first ancestor that is neither ours nor a shell; the peer itself if it is not ours */
        int anchor_pid;
        uint64_t anchor_start_ticks;
        struct evidence_exe anchor;        /* policy's exe: */
        char cgroup[EVIDENCE_TEXT_MAX];    /* "" = unknown */
        char unit[EVIDENCE_TEXT_MAX];      /* system unit; "" = none or unknown */
        char user_unit[EVIDENCE_TEXT_MAX]; /* user unit */
};

/* To and from the answer {"op":"evidence","id":N,...}. Unknown is absent, never an empty value. */
int evidence_to_json(const struct evidence *e, json_t **ret) MUST_CHECK;
int evidence_from_json(struct evidence *e, const json_t *value) MUST_CHECK; /* -EBADMSG */
/* Same process, same executable, same anchor: nothing changed between two looks. */
bool evidence_same(const struct evidence *a, const struct evidence *b);
