/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which executables are our own installed programs, which are shells, and which adopt orphans: by
 * device and inode of the file, never by name. Every file is held open (O_PATH), so that its number
 * cannot pass to another file while we live: what ran before an upgrade is still known after it.
 */
#pragma once

#include "base/error.h"

enum peer_kind {
        PEER_KIND_OURS = 1,   /* a program of ours: says nothing about who uses it */
        PEER_KIND_DAEMON = 2, /* one of our daemon's own processes */
        PEER_KIND_SHELL = 4,  /* listed in /etc/shells */
        PEER_KIND_REAPER = 8, /* inherits orphans: a child of it may be anybody's */
};

struct peer_ours;

/* Where to look. NULL members: the installed folders and the folder of the running program (with
 * libtool's .libs, for the build tree); /etc/shells. Lists end with NULL. */
struct peer_places {
        const char *const *folders;
        const char *const *reapers; /* files */
        const char *shells;
};

int peer_ours_new(const struct peer_places *places, struct peer_ours **ret, struct error *err)
        MUST_CHECK;
struct peer_ours *peer_ours_free(struct peer_ours *o);

/* Looks again if a folder or the list of shells has changed since: an upgrade brings new files.
 * Cheap when nothing has. */
int peer_ours_refresh(struct peer_ours *o, struct error *err) MUST_CHECK;

unsigned peer_ours_kind(const struct peer_ours *o, uint64_t dev, uint64_t ino); /* mask; 0: other */
