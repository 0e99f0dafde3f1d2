/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a daemon where none runs (DESIGN 9). Where things are is given, so that a test can say
 * otherwise.
 */
#pragma once

#include "client/client.h"

struct start {
        const char *systemctl;   /* /usr/bin/systemctl */
        const char *runtime_dir; /* /run/user/UID; NULL: there is none */
        const char *home;        /* of the passwd entry */
        const char *daemon;      /* the installed mcp-brokerd */
        const char *confined;    /* why this process is closed in; NULL: it is free */
};

int start_daemon(mcpb_client *c, const struct start *s, mcpb_error *err) MUST_CHECK;
