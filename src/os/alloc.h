/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A malloc family that wipes what is freed, for the programs that handle secrets: no library that
 * we link leaves a token in the heap. Lies in a library of its own (libmcpb-wipealloc.la), linked
 * by those programs only; their main calls alloc_is_wiping(), which also makes the linker take it.
 * Off under sanitizers, which bring their own malloc.
 */
#pragma once

#include "base/util.h"

/* True if free() wipes in this program. */
bool alloc_is_wiping(void);
