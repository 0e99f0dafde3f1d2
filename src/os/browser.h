/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the person's browser, in the session of the program that asked (A99): --browser, then
 * $BROWSER, then xdg-open. The URL is one argument of an argument vector, never part of a shell's
 * text (A101).
 */
#pragma once

#include "base/util.h"

/* May this URL be given to a browser? https, or http to loopback; no character that needs quoting
 * anywhere (A100). */
bool browser_url_allowed(const char *url);
/* Starts it and does not wait. @command: --browser, may be NULL. False: there is none, or it cannot
 * be started. */
bool browser_open(const char *command, const char *url);
