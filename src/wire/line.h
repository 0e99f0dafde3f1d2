/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framing on the public socket: one JSON value a line (doc/PROTOCOL.md). Finds lines in what
 * arrived, within LIMIT_LINE_BYTES.
 */
#pragma once

#include "base/buf.h"

/*
 * If @in begins with a whole line, moves it (without LF and a CR before it) to @line and returns 1.
 * 0: not yet. -EMSGSIZE: longer than @max. Remembers in *@scanned how far it has looked, so that a
 * line that arrives byte by byte costs O(n).
 */
int line_take(struct buf *in, size_t *scanned, size_t max, struct buf *line) MUST_CHECK;
