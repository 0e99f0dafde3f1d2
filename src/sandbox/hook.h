/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Called by sandbox_enter() as its last act, in the process that has just closed itself in. Does
 * nothing; a check program is linked with another one that tries what must fail.
 */
#pragma once

void sandbox_hook(const char *role);
