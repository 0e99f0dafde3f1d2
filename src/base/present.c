/* SPDX-License-Identifier: Apache-2.0 */
#include "base/present.h"

static const char *const names[PRESENT_COUNT] = {
#define X(constant, name) [PRESENT_##constant] = name,
        PRESENT_TABLE(X)
#undef X
};

const char *present_name(enum present p) {
        return p < PRESENT_COUNT ? names[p] : "";
}

int present_from_name(const char *name, enum present *ret) {
        for (int i = 0; i < PRESENT_COUNT; i++) {
                if (!streq(names[i], name))
                        continue;
                *ret = (enum present)i;
                return 0;
        }
        return -ENOENT;
}
