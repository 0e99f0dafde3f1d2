/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long to wait before a stream is opened again: longer each time, up to a bound.
 */
#pragma once

#include "base/util.h"

#define PAUSE_MIN_USEC (1 * USEC_PER_SEC)
#define PAUSE_MAX_USEC (60 * USEC_PER_SEC)

/* *@pause_usec begins, and begins anew, with PAUSE_MIN_USEC. */
static inline uint64_t pause_next(uint64_t *pause_usec) {
        uint64_t now = *pause_usec;

        *pause_usec = now < PAUSE_MAX_USEC / 2 ? 2 * now : PAUSE_MAX_USEC;
        return now;
}
