/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "os/proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct proc_stat st;

        if (proc_stat_parse((const char *)data, size, &st) == 0)
                assert(st.ppid >= 0 && st.session >= 0 && st.state != '\0');
        return 0;
}
