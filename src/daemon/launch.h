/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker is started with: its arguments, from the configuration, and its environment.
 */
#pragma once

#include "config/config.h"
#include "daemon/workers.h"

#define LAUNCH_ARGV_MAX 8

/* A new array of borrowed strings, or NULL. */
char **launch_environment(char **all) MUST_CHECK;

/* @path is borrowed as the first; launch_argv_done() for the others, also after a failure. */
int launch_argv(const struct config_files *files, enum worker_kind kind, char *path,
                char *argv[static LAUNCH_ARGV_MAX], struct error *err) MUST_CHECK;
void launch_argv_done(char *argv[static LAUNCH_ARGV_MAX]);

/* Can a worker be started with it? -EINVAL, or the reason why a file cannot be read, with
 * BAD_CONFIG. */
int launch_check(const struct config_files *files, struct error *err) MUST_CHECK;

/* Does a network worker that was started with @old have to make room for one that is started with
 * @new? */
int launch_differs(const struct config_files *old, const struct config_files *new, bool *ret,
                   struct error *err) MUST_CHECK;
