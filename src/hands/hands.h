/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mcp-broker-identity does: one order, carried out here and now, and one reply. Each of these
 * fills the reply, a failure too; none of them decides what may be asked for, which the keeper has.
 */
#pragma once

#include "wire/order.h"

/* Where Azure Arc puts the keys by which a process shows that it may ask. */
#define HANDS_ARC_FOLDER "/var/opt/azcmagent/tokens"

/* @arc_folder: HANDS_ARC_FOLDER, but in a test. */
void hands_read(const struct order *o, const char *arc_folder, struct order_reply *p);

/*
 * @keeper_fd: a stream socket; when its other end closes, nobody waits any more, and the command is
 * stopped. Whatever comes of it, no process of its session is left. SIGPIPE must be ignored, and
 * the caller have no children.
 */
void hands_run(const struct order *o, int keeper_fd, struct order_reply *p);

/* Moves the request out of @o. The same holds for @keeper_fd. After http_init(). */
void hands_call(struct order *o, int keeper_fd, struct order_reply *p);

/*
 * Appends what a command said on its standard error as it may be logged: one line after the other,
 * without control characters, and with "[...]" for each word so long that it may be a secret.
 */
int hands_redact(const char *text, size_t len, struct buf *out) MUST_CHECK;
