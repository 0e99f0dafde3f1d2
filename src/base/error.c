/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

static const struct {
        const char *name;
        int number;
        int exit_status;
} error_table[MCPB_ERROR_COUNT] = {
#define X(constant, name, number, status) [MCPB_##constant] = { name, number, status },
        ERROR_TABLE(X)
#undef X
};

int error_set(struct error *err, enum error_code code, int errnum, const char *hint,
              const char *fmt, ...) {
        va_list ap;

        if (!err)
                return -errnum;
        err->code = code;
        va_start(ap, fmt);
        (void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
        va_end(ap);
        (void)snprintf(err->hint, sizeof(err->hint), "%s", hint ? hint : "");
        utf8_clean(err->message);
        utf8_clean(err->hint);
        return -errnum;
}

int error_oom(struct error *err) {
        return error_set(err, MCPB_INTERNAL, ENOMEM, NULL, "out of memory");
}

int error_fallback(struct error *err, int r, const char *doing) {
        if (r < 0 && err && err->code == MCPB_NO_ERROR)
                (void)error_set(err, MCPB_INTERNAL, -r, NULL, "%s: %s", doing, strerror(-r));
        return r;
}

const char *error_name(enum error_code code) {
        if (code <= MCPB_NO_ERROR || code >= MCPB_ERROR_COUNT)
                return "none";
        return error_table[code].name;
}

int error_number(enum error_code code) {
        if (code <= MCPB_NO_ERROR || code >= MCPB_ERROR_COUNT)
                return error_table[MCPB_INTERNAL].number;
        return error_table[code].number;
}

int error_exit_status(enum error_code code) {
        if (code <= MCPB_NO_ERROR || code >= MCPB_ERROR_COUNT)
                return 0;
        return error_table[code].exit_status;
}

enum error_code error_from_name(const char *name) {
        for (int i = MCPB_NO_ERROR + 1; i < MCPB_ERROR_COUNT; i++)
                if (streq(error_table[i].name, name))
                        return (enum error_code)i;
        return MCPB_INTERNAL;
}
