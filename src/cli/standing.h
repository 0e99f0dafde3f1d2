/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What confines the daemon and where its key lies, as lines for a person: for the status and for
 * the doctor alike.
 */
#pragma once

#include "base/json.h"

void standing_print_store(const json_t *store);
void standing_print_processes(const json_t *processes);
