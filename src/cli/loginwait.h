/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sees a login through: shows the URL, opens the browser, says what is waited for and how long,
 * takes a pasted address, and calls the login off at Ctrl-C.
 */
#pragma once

#include "program/program.h"

struct login_ui {
        const struct program *program;
        const char *browser; /* --browser; NULL: the usual */
        bool no_browser;
        bool quiet; /* the URL and errors only */
};

/* Returns the exit status: 0 when the login is done. */
int login_see_through(const struct login_ui *ui, const mcpb_login *login);
