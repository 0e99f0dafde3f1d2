/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clocks, in one place, so that a check program can be linked with another one. Durations
 * are measured with the boot-time clock, which goes on while the machine sleeps; wall-clock time is
 * for records that outlive a boot and for people.
 */
#pragma once

#include "base/util.h"

uint64_t clock_boot_usec(void); /* CLOCK_BOOTTIME */
uint64_t clock_wall_usec(void); /* CLOCK_REALTIME */
/* CLOCK_MONOTONIC, which stands still while the machine sleeps: for systemd only, which counts by
 * it. */
uint64_t clock_monotonic_usec(void);

#define CLOCK_TEXT_MAX 32
/* "2026-11-23T10:00:00.000Z" */
void clock_format_utc(uint64_t wall_usec, char text[static CLOCK_TEXT_MAX]);

/*
 * A date and time as RFC 3339 has it: "2026-11-22T23:05:00Z", also with a fraction and with an
 * offset from UTC. -EINVAL: anything else, a day or hour that there is not, before 1970.
 */
int clock_parse_utc(const char *text, uint64_t *ret_wall_usec) MUST_CHECK;
