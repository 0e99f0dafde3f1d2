/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command line programs share: how they reach the daemon, and how they say what went
 * wrong.
 */
#pragma once

#include <getopt.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/util.h"
#include "mcpbroker.h"

#define EXIT_USAGE 2

/* The options that all of them have; for the tables of getopt_long. */
enum common_option { OPTION_SOCKET = 256, OPTION_NO_AUTOSTART, OPTION_OWN };
#define COMMON_OPTIONS                                                      \
        { "socket", required_argument, NULL, OPTION_SOCKET },               \
                { "no-autostart", no_argument, NULL, OPTION_NO_AUTOSTART }, \
                { "help", no_argument, NULL, 'h' }, {                       \
                "version", no_argument, NULL, 'V'                           \
        }
#define COMMON_HELP                                                                                \
        "      --socket=PATH     the daemon's socket (default: $MCP_BROKER_SOCK, or the user's)\n" \
        "      --no-autostart    do not start a daemon where none runs\n"                          \
        "  -h, --help            this text\n"                                                      \
        "  -V, --version         the version\n"

struct program {
        const char *name;
        const char *help;
        mcpb_options options;
};

void program_init(struct program *p, const char *name, const char *help);
/* Deals with a common option. -1: go on; else the exit status. */
int program_option(struct program *p, int c, const char *arg);
int program_usage(const struct program *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Says an error on stderr in up to two lines, frees what it holds, and returns the exit status. */
int program_fail(const struct program *p, mcpb_error *err);
int program_connect(const struct program *p, mcpb_client **ret, mcpb_error *err) MUST_CHECK;

/* Joins repeated --scope options with blanks; out of memory shows as NULL. */
char *scopes_join(char *joined, const char *scope) MUST_CHECK;

/* Reads one line without echo from the terminal; NULL with a message. str_wipe_free() it. */
char *read_passphrase(const struct program *p, const char *prompt) MUST_CHECK;
/* The first line of a file ("-": standard input); NULL with a message. str_wipe_free() it. */
char *read_secret_file(const struct program *p, const char *path) MUST_CHECK;
/* The same of a private key: all of the file. */
char *read_key_file(const struct program *p, const char *path) MUST_CHECK;

/* Locks, or unlocks: without a passphrase first, then with the one that is asked for. Returns the
 * exit status. */
int program_lock(const struct program *p, bool lock, const char *passphrase_file);

/* "4m 10s"; as short as it can be said. */
void duration_format(char *text, size_t size, long sec);
