/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Called by each of our processes right after it has closed itself in. Does nothing; a check program is linked with another
 * one that tries what must fail.
 */
#pragma once

void hook_confined(const char *process);
