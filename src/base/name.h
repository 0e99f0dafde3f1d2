/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that people give to servers and accounts: one rule for the command line, the socket and the
 * configuration.
 */
#pragma once

#include "base/util.h"

#define NAME_RULE "Use up to 64 letters, digits and - _ . @ +, not beginning with - or ."

bool name_valid(const char *name);
