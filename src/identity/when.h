/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When something ends, as platforms say it that give no date (those that do: clock_parse_utc()).
 */
#pragma once

#include "base/json.h"

/* Seconds since 1970 as a number, or as a string of digits; @ret_usec is wall-clock
 * time. -EBADMSG for anything else: negative,
 * beyond the year 9999. */
int when_from_epoch(const json_t *value, uint64_t *ret_usec) MUST_CHECK;
