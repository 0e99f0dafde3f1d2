/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/cgroup, and the units that systemd's naming of control groups tells. What does not look
 * exactly as systemd writes it is no unit: a process may make folders of any name below its own
 * delegated subtree.
 */
#pragma once

#include "wire/evidence.h"

#define CGROUP_FILE_MAX (64 * 1024)

/*
 * The control group: the line "0::PATH", or the line of systemd's own hierarchy where the unified
 * one is not in use (legacy; in hybrid the unified line is maintained, too). -ENODATA: none, or one
 * that cannot be told in text (too long, control characters, removed): unknown.
 */
int cgroup_parse(const char *text, size_t len, char ret[static EVIDENCE_TEXT_MAX]) MUST_CHECK;

/* The system unit and the user unit in @path; "" where there is none. */
void cgroup_units(const char *path, char unit[static EVIDENCE_TEXT_MAX],
                  char user_unit[static EVIDENCE_TEXT_MAX]);
