/* SPDX-License-Identifier: Apache-2.0 */
#include "base/name.h"

#include "base/limits.h"

bool name_valid(const char *name) {
        size_t len = strlen(name);
        bool good = len > 0 && len <= LIMIT_NAME_BYTES && name[0] != '-' && name[0] != '.';

        for (size_t i = 0; good && i < len; i++)
                good = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
                       (name[i] >= '0' && name[i] <= '9') || strchr("-_.@+", name[i]);
        return good;
}
