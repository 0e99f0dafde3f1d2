/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/methods.h"

#include <assert.h>

static const struct {
        const char *name;
        enum method_class class;
} table[METHOD_COUNT] = {
#define X(constant, name, class) [METHOD_##constant] = { name, class },
        METHOD_TABLE(X)
#undef X
};

const char *method_name(enum method m) {
        assert((unsigned)m < METHOD_COUNT);
        return table[m].name;
}

enum method_class method_class(enum method m) {
        assert((unsigned)m < METHOD_COUNT);
        return table[m].class;
}

int method_from_name(const char *name, enum method *ret) {
        for (size_t i = 0; i < METHOD_COUNT; i++) {
                if (streq(table[i].name, name)) {
                        *ret = (enum method)i;
                        return 0;
                }
        }
        return -ENOENT;
}
