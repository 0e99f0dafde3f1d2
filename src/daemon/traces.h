/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies on this machine that tells where we run, for mcp-brokerctl doctor: looked at once, by
 * the keeper before it closes itself in.
 */
#pragma once

#include "base/json.h"

/* An object as identity/detect.h wants it. @root is put in front of the paths: "", or a test's
 * folder. What cannot be looked at is not there. -ENOMEM. */
int traces_read(const char *root, json_t **ret) MUST_CHECK;
