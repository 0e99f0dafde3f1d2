/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mcp-broker-session does for the keeper, which is confined: it looks at peers, and starts
 * programs whose answers go to the keeper through descriptors that the keeper made and that are
 * never read here. One table of requests (session.c); a frame that is not in it, or not as it
 * should be, ends the process: the keeper would not send it.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/list.h"
#include "wire/chan.h"

struct peer_ours;
struct session;

/* Paths of the programs that are started for the keeper. */
struct session_programs {
        const char *kdf;      /* mcp-broker-kdf */
        const char *identity; /* mcp-broker-identity */
};

/* @fd (taken over) is the stream to the keeper; @ours and @programs stay the caller's. Ends the
 * loop @e with 0 at the end of the stream, with -errno when the keeper cannot be understood or
 * answered. */
int session_new(sd_event *e, int fd, struct peer_ours *ours,
                const struct session_programs *programs, struct session **ret) MUST_CHECK;
struct session *session_free(struct session *s); /* kills children under way */
