/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the sandbox that rules over paths. Kernel 6.1's headers know ABI 2 only: what came
 * later is defined here, and only as much is asked of the kernel as it knows.
 */
#pragma once

#include "sandbox/sandbox.h"

/* What this kernel offers; 0 if nothing. */
unsigned landlock_probe(void);

/* Closes this thread in as @p says, with what ABI @abi (1 or more) knows; sets landlock_abi in
 * @report. */
int landlock_enter(const struct sandbox_profile *p, unsigned abi, struct sandbox_report *report,
                   struct error *err) MUST_CHECK;
