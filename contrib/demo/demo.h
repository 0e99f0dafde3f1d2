/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one object that ties the modules together; main.c owns it and all that hangs from it.
 */
#pragma once

#include <stdbool.h>

#include "channel.h"
#include "clients.h"
#include "faults.h"
#include "http.h"
#include "journal.h"
#include "options.h"
#include "table.h"
#include "tokens.h"

#define SCOPE_SUMMARY "tools:generate_summary"
#define SCOPE_ADMIN "tools:admin"
#define SCOPE_OFFLINE "offline_access"

struct hold {
        bool on;
        bool after; /* execute first, then hold */
};

/* Of the MCP server, as it was before 2026. */
struct session {
        char *id;
        char *channel; /* of the old transport: where its answers go */
        enum protocol version;
        bool initialized;
};

/* An authorization server: what it gave out is good there alone. */
struct authority {
        struct service *service;
        struct tokens *tokens;
        struct clients *clients;
        struct table *tickets; /* consent pages that are open, by ticket */
        struct table *devices; /* logins by device code */
        struct table *pushed;  /* authorization requests, by request_uri */
        struct table *seen;    /* what is good once: the jti of each assertion */
        char *origin;          /* "http://127.0.0.1:PORT" */
        struct signer *signer; /* of the identity provider; else NULL */
        char *nonce;           /* for proofs of possession */
        const char *path;      /* "" or --issuer-path */
        char *issuer;          /* the origin and --issuer-path */
};

struct demo {
        struct options options;
        struct hold holds[STEP_COUNT];
        struct journal *journal;
        struct faults *faults;
        struct table *sessions; /* MCP sessions, by id */
        struct table *rounds;   /* what ask_user waits for in 2026, by requestState */
        struct channels *channels;
        json_t *scripts; /* what is said to the next requests: [{"method", "times", "script"}] */
        struct service *mcp;
        struct authority as;
        struct authority idp; /* without a service if there is none */
        struct service *control;
        char *mcp_origin;
        char *mcp_url; /* the origin and "/mcp" */
        char *control_origin;
        char *nonce; /* for proofs of possession, at the MCP server */
        bool quit;
};
