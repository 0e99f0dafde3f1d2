/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

/* Process-wide on purpose: set once in main, read by every line that is logged. */
static struct {
        const char *process;
        int max_level;
        bool prefix;
        int copy_fd; /* -1: none */
} log_state = { .process = "mcp-broker", .max_level = LOG_INFO, .copy_fd = -1 };

void log_open(const char *process, int max_level) {
        log_state.process = process;
        log_state.max_level = max_level;
        log_state.prefix = !isatty(STDERR_FILENO);
        log_state.copy_fd = -1;
}

void log_open_plain(const char *process, int max_level, int copy_fd) {
        log_open(process, max_level);
        log_state.prefix = false;
        log_state.copy_fd = copy_fd;
}

static void copy_line(const char *text) {
        char when[CLOCK_TEXT_MAX];
        char line[1200];
        int n;

        clock_format_utc(clock_wall_usec(), when);
        n = snprintf(line, sizeof(line), "%s %s[%d]: %s\n", when, log_state.process, (int)getpid(),
                     text);
        if (n > 0 && write(log_state.copy_fd, line, (size_t)n) < 0)
                return;
}

void log_message(int level, const char *fmt, ...) {
        char text[1024];
        char line[1200];
        va_list ap;
        int n;

        if (level > log_state.max_level)
                return;
        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        utf8_clean(text);
        if (log_state.copy_fd >= 0)
                copy_line(text);
        if (log_state.prefix)
                n = snprintf(line, sizeof(line), "<%d>%s: %s\n", level, log_state.process, text);
        else
                n = snprintf(line, sizeof(line), "%s: %s\n", log_state.process, text);
        /* One write, so that lines of several processes do not mix; nobody can be told if it fails.
         */
        if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
                return;
}

void log_failure(int level, const struct error *err, const char *doing) {
        log_message(level, "%s: %s%s%s (%s)", doing, err->message, err->hint[0] ? ". " : "",
                    err->hint, error_name(err->code));
}
