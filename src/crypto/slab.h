/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slab behind secret.h: for init.c only.
 */
#pragma once

#include "base/util.h"

int slab_open(void) MUST_CHECK; /* 0, also when it is open already; -ENOMEM */
void slab_close(void);
