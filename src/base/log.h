/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages for the person who runs the daemon, on stderr with the "<N>" prefix that journald
 * understands (left out on a terminal). Not the audit trail. Never a secret: what is logged is
 * names, codes and cleaned text.
 */
#pragma once

#include <syslog.h>

#include "base/error.h"

void log_open(const char *process, int max_level); /* once, in main */
/* For a program whose stderr another program shows to a person: no prefix. @copy_fd: every line
 * goes there too, with the time in front; -1: no. */
void log_open_plain(const char *process, int max_level, int copy_fd);
void log_message(int level, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* One line for an error that has reached its edge: "doing: message. hint (code)". */
void log_failure(int level, const struct error *err, const char *doing);

#define log_debug(...) log_message(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_message(LOG_INFO, __VA_ARGS__)
#define log_notice(...) log_message(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_message(LOG_ERR, __VA_ARGS__)
