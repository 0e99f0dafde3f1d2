/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this process closed in, so that a daemon which it started would be, too?
 */
#pragma once

#include "base/util.h"

/* The reason in a few words, or NULL if it is free. */
const char *confined_reason(void);

/*
 * What it is judged by: /proc/self/status, /proc/1/status (NULL: not to be seen) and
 * /proc/self/uid_map.
 */
const char *confined_judge(const char *self_status, const char *init_status, const char *uid_map);
