/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/hook.h"

void hook_confined(const char *process) {
        (void)process;
}
