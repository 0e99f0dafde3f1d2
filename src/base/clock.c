/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <assert.h>
#include <time.h>

static uint64_t read_clock(clockid_t id) {
        struct timespec ts;

        assert(clock_gettime(id, &ts) == 0);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_boot_usec(void) {
        return read_clock(CLOCK_BOOTTIME);
}

uint64_t clock_monotonic_usec(void) {
        return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall_usec(void) {
        return read_clock(CLOCK_REALTIME);
}
