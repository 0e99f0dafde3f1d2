/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/cgroup.h"

#include <assert.h>

#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char path[EVIDENCE_TEXT_MAX];
        char unit[EVIDENCE_TEXT_MAX];
        char user_unit[EVIDENCE_TEXT_MAX];

        if (cgroup_parse((const char *)data, size, path) < 0)
                return 0;
        assert(path[0] == '/' && utf8_valid(path, strlen(path)));
        cgroup_units(path, unit, user_unit);
        /* Every unit stands in the path, and a user unit only in a system unit. */
        assert(strstr(path, unit) && strstr(path, user_unit));
        assert(!strchr(unit, '/') && !strchr(user_unit, '/'));
        assert(user_unit[0] == '\0' || strncmp(unit, "user@", 5) == 0);
        return 0;
}
