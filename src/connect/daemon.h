/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the daemon, which may have to be started first. That blocks; so it ends soon after the
 * host has gone, which nobody else would notice meanwhile.
 */
#pragma once

#include "base/util.h"
#include "mcpbroker.h"

/*
 * As mcpb_client_new(). @host_fd: where the host is read. @cancel_fd: -1 the first time; it becomes
 * a descriptor that must live as long as the client does.
 */
int daemon_connect(const mcpb_options *options, int host_fd, int *cancel_fd, mcpb_client **ret,
                   mcpb_error *err) MUST_CHECK;
