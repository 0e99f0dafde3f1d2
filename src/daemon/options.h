/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of mcp-brokerd.
 */
#pragma once

#include "base/error.h"

enum shell_style { SHELL_AUTO, SHELL_SH, SHELL_CSH };

struct options {
        bool foreground;
        enum shell_style shell;
        const char *socket;    /* NULL: the usual place */
        const char *state_dir; /* NULL: the usual place */
        const char *libexec_dir;
        const char *vendor_dir;
        const char *config_dir; /* NULL: the user's */
        bool passphrase;        /* a new store opens with a passphrase */
        char **command;         /* NULL: none */
};

/* -1: go on; else the exit status, all is said. */
int options_parse(struct options *o, int argc, char **argv);
