/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"
#include "client/client.h"

static void set(mcpb_error *err, const char *code, int number, int exit_status, const char *message,
                const char *hint) {
        mcpb_error_done(err);
        (void)snprintf(err->code, sizeof(err->code), "%s", code);
        (void)snprintf(err->message, sizeof(err->message), "%s", message);
        (void)snprintf(err->hint, sizeof(err->hint), "%s", hint);
        err->number = number;
        err->exit_status = exit_status;
        utf8_clean(err->code);
        utf8_clean(err->message);
        utf8_clean(err->hint);
}

int client_error_from(mcpb_error *err, const struct error *from, int r) {
        if (err)
                set(err, error_name(from->code), error_number(from->code),
                    error_exit_status(from->code), from->message, from->hint);
        return r;
}

int client_error(mcpb_error *err, enum error_code code, int errnum, const char *hint,
                 const char *fmt, ...) {
        struct error e = { .code = code };
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(e.message, sizeof(e.message), fmt, ap);
        va_end(ap);
        (void)snprintf(e.hint, sizeof(e.hint), "%s", hint ? hint : "");
        return client_error_from(err, &e, -errnum);
}

int client_oom(mcpb_error *err) {
        return client_error(err, MCPB_INTERNAL, ENOMEM, NULL, "out of memory");
}

static char *rest_of_data(const json_t *data) {
        AUTO_JSON json_t *rest = json_copy((json_t *)(uintptr_t)data);
        AUTO_BUF struct buf text = BUF_INIT;

        (void)json_object_del(rest, "code");
        (void)json_object_del(rest, "hint");
        if (json_object_size(rest) == 0 || json_write(&text, rest) < 0)
                return NULL;
        return buf_steal(&text);
}

int client_error_remote(mcpb_error *err, const json_t *object) {
        const json_t *data = json_object_get(object, "data");
        const char *code = json_get_string(data, "code");
        const char *message = json_get_string(object, "message");
        const char *hint = json_get_string(data, "hint");

        if (!err)
                return -EREMOTEIO;
        if (!code)
                code = error_name(MCPB_INTERNAL);
        set(err, code, (int)json_get_int(object, "code", error_number(MCPB_INTERNAL)),
            error_exit_status(error_from_name(code)), message ? message : "The daemon said no",
            hint ? hint : "");
        err->data = rest_of_data(data);
        return -EREMOTEIO;
}

void client_error_copy(mcpb_error *to, const mcpb_error *from) {
        mcpb_error_done(to);
        if (!from)
                return;
        *to = *from;
        to->data = from->data ? strdup(from->data) : NULL;
}

void client_error_move(mcpb_error *to, mcpb_error *from) {
        mcpb_error_done(to);
        if (to)
                *to = *from;
        else
                mcpb_error_done(from);
        *from = (mcpb_error)MCPB_ERROR_INIT;
}

void mcpb_error_done(mcpb_error *err) {
        if (!err)
                return;
        (void)mcpb_text_free(err->data);
        *err = (mcpb_error)MCPB_ERROR_INIT;
}

char *mcpb_text_free(char *text) {
        return str_wipe_free(text);
}
