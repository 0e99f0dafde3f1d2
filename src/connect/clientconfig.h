/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an MCP client needs in its configuration to reach a server through the broker: printed, or
 * put into the client's own file. Nothing secret is in it: the client gets a command, and the
 * command gets the tokens.
 */
#pragma once

#include <stdio.h>

#include "base/error.h"

struct clientconfig_request {
        const char *client;  /* "help": the list of them */
        const char *server;  /* name or URL, as given; not needed for the list */
        const char *entry;   /* what to call it there; NULL: after the server */
        const char *url;     /* of the server, where it is given by name and known; NULL: unknown */
        const char *command; /* mcp-connect; NULL: where it was installed */
        bool helper; /* the client connects itself, and takes its headers from mcp-token --header */
};

/* What would be put into an empty file. BAD_PARAMS and UNSUPPORTED with what can be done. */
int clientconfig_print(const struct clientconfig_request *r, FILE *out, struct error *err)
        MUST_CHECK;

/*
 * Puts it into the client's file, where all else stays as it is, and says on standard error what
 * was done. A second time changes nothing. BAD_CONFIG: the file is not understood, and was left
 * alone.
 */
int clientconfig_write(const struct clientconfig_request *r, struct error *err) MUST_CHECK;
