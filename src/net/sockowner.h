/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose process is at the other end of a TCP connection over loopback? The kernel says it in
 * /proc/net/tcp and tcp6: the row whose local end is our remote end. The files are opened before
 * the worker closes itself in, and read anew for each question. Unknown is no.
 */
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include "base/error.h"

struct sockowner {
        int tcp;
        int tcp6;
};
#define SOCKOWNER_INIT ((struct sockowner){ .tcp = -1, .tcp6 = -1 })

int sockowner_open(struct sockowner *o, struct error *err) MUST_CHECK;
void sockowner_close(struct sockowner *o);

/* One end of the row that is looked for, as the kernel writes it. */
#define SOCKOWNER_END_MAX 48
struct sockowner_row {
        char local[SOCKOWNER_END_MAX];
        char remote[SOCKOWNER_END_MAX];
};

/* The row of the socket at @local whose peer is @remote; @mapped: as an IPv6 socket that speaks
 * IPv4. -EAFNOSUPPORT. */
int sockowner_row(struct sockowner_row *ret, const struct sockaddr *local,
                  const struct sockaddr *remote, bool mapped) MUST_CHECK;
/* One line of the table. True if it is that row, established, and it says whose it is. */
bool sockowner_match(const char *line, const struct sockowner_row *row, uid_t *ret_uid);

/* The uid of the socket at @peer that is connected to @ours. -ENOENT: the kernel knows none. */
int sockowner_find(const struct sockowner *o, const struct sockaddr *peer,
                   const struct sockaddr *ours, uid_t *ret_uid) MUST_CHECK;
