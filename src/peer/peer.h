/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is at the other end: evidence about a process, read from /proc while a pidfd proves that the
 * number still means that process. Used by mcp-broker-session alone: a confined process may not
 * look (EACCES on another's exe). Knows no policy: it reports what is known, and what cannot be
 * known stays unknown; nothing is ever guessed.
 */
#pragma once

#include "base/error.h"
#include "wire/evidence.h"

struct peer_ours;

/*
 * Gathers evidence about process @pid, which @pidfd (borrowed) must name. All or nothing: @ret is
 * filled only if the process was alive before and after, and ran one executable throughout. What
 * the kernel hides (a non-dumpable process, another mount namespace) is unknown in @ret. -ESRCH
 * DENIED: gone, not visible from here, or @pidfd is no handle of @pid; -EAGAIN RETRY: it executed
 * another program meanwhile; other -errno INTERNAL: we could not look (no descriptors left, no
 * memory).
 */
int peer_attest(int pid, int pidfd, const struct peer_ours *ours, struct evidence *ret,
                struct error *err) MUST_CHECK;
