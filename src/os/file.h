/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders that nobody else may look into, and the lock that keeps a second daemon out of them.
 */
#pragma once

#include "base/error.h"

/*
 * Opens the folder @path (absolute), making what is missing of it with mode 0700. It must be a
 * folder of our own uid that neither group nor others can enter, and it must not itself be a
 * symbolic link; folders above it must belong to us or to root, and those that others may write to
 * must be sticky (/tmp). Otherwise -EPERM, -ELOOP, -ENOTDIR with @err saying which folder and what
 * to do.
 */
int dir_open_private(const char *path, int *ret_fd, struct error *err) MUST_CHECK;

/*
 * The same for a folder that must be there already: nothing is made. -ENOENT leaves @err alone.
 */
int dir_open_existing(const char *path, int *ret_fd, struct error *err) MUST_CHECK;

/* Takes the lock file @name (made with 0600) below @dirfd; it is held until the descriptor is
 * closed. -EEXIST with @err (EXISTS) if another process has it. */
int file_lock(int dirfd, const char *name, int *ret_fd, struct error *err) MUST_CHECK;
