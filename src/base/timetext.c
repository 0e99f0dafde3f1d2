/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"

void clock_format_utc(uint64_t wall_usec, char text[static CLOCK_TEXT_MAX]) {
        time_t sec = (time_t)(wall_usec / USEC_PER_SEC);
        struct tm tm = { 0 };
        size_t n;

        (void)gmtime_r(&sec, &tm);
        n = strftime(text, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
        (void)snprintf(text + n, CLOCK_TEXT_MAX - n, ".%03uZ",
                       (unsigned)(wall_usec % USEC_PER_SEC / 1000));
}
