/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things lie. All give a new string, or NULL when out of memory or when there is no home
 * folder. XDG variables that are not absolute are ignored, as their specification asks.
 */
#pragma once

#include "base/util.h"

char *path_home(void) MUST_CHECK; /* of the passwd entry; $HOME only where there is no entry */
char *path_state_dir(void)
        MUST_CHECK; /* $XDG_STATE_HOME/mcp-broker, else ~/.local/state/mcp-broker */
char *path_config_dir(void) MUST_CHECK; /* $XDG_CONFIG_HOME/mcp-broker, else ~/.config/mcp-broker */

/*
 * The daemon's socket: $MCP_BROKER_SOCK, else $XDG_RUNTIME_DIR/mcp-broker/socket, else
 * /run/user/UID/mcp-broker/socket if /run/user/UID is a folder of ours, else <passwd
 * home>/.local/state/mcp-broker/run-HOSTNAME/socket (homes may be shared by machines).
 */
char *path_socket(void) MUST_CHECK;
