/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file is, whatever it is called: device and inode, asked without waiting for a server that
 * may hang.
 */
#pragma once

#include "base/util.h"

struct inode {
        uint64_t dev;
        uint64_t ino;
        bool regular;
        int64_t changed_sec; /* mtime */
        uint32_t changed_nsec;
};

/* @path "": the descriptor itself. 0 or -errno. */
int inode_at(int dirfd, const char *path, struct inode *ret) MUST_CHECK;

static inline bool inode_same(const struct inode *a, const struct inode *b) {
        return a->dev == b->dev && a->ino == b->ino;
}
