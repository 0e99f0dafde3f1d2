/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the sandbox that rules over system calls.
 */
#pragma once

#include "sandbox/sandbox.h"

/* Loads the filter of a role; sets seccomp in @report. 0 also where the kernel has no seccomp
 * filters. */
int filter_enter(const struct sandbox_profile *p, struct sandbox_report *report, struct error *err)
        MUST_CHECK;
