/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of mcp-connect, and what it takes from the environment.
 */
#pragma once

#include "connect/bridge.h"
#include "program/program.h"

#define OPTIONS_MANY 64

struct options {
        const char *server; /* name or URL, as given */
        const char *account;
        const char *scopes[OPTIONS_MANY];
        size_t n_scopes;
        char *joined_scopes;
        struct fetch_header headers[OPTIONS_MANY]; /* owned */
        size_t n_headers;
        const char *ignored_tools[OPTIONS_MANY];
        size_t n_ignored_tools;
        const char *browser;
        bool no_browser;
        uint64_t hold_sec;
        uint64_t request_sec;
        uint64_t connect_sec;
        uint64_t message_max;
        const char *proxy;
        const char *no_proxy;
        const char *ca_file;
        const char *log_file;
        bool debug;
        bool report;
        enum transport transport;
        bool modern_first;
        const char *print_config; /* a client; nothing is connected then */
        const char *write_config;
        const char *entry;
        bool helper;
};

/* -1: go on; else the exit status, and everything is said. */
int options_parse(struct options *o, struct program *p, int argc, char **argv);
void options_done(struct options *o);
extern const char options_help[];
