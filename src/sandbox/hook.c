/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/hook.h"

void sandbox_hook(const char *role) {
        (void)role;
}
