/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways in which platforms say when something ends.
 */
#pragma once

#include "base/json.h"

/* "2026-11-22T23:10:00Z", with a fraction or an offset (RFC 3339), from 1970 on. Microseconds of
 * wall-clock time. -EBADMSG. */
int when_parse(const char *text, uint64_t *ret_usec) MUST_CHECK;
/* Seconds since 1970 as a number, or as a string of digits. -EBADMSG for anything else: negative,
 * beyond the year 9999. */
int when_from_epoch(const json_t *value, uint64_t *ret_usec) MUST_CHECK;
