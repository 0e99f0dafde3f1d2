/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each method may be given: one table of members, types and bounds (doc/PROTOCOL.md,
 * "Methods"). A member that is not in it is refused rather than ignored: who writes "scope" for
 * "scopes" must not get a wider token.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "wire/methods.h"

/* @params is an object. -EINVAL with @err (BAD_PARAMS) naming the first member that is wrong. */
int params_check(enum method m, const json_t *params, struct error *err) MUST_CHECK;

/*
 * For the test that compares the table with the document: the members of @m in order, NULL behind
 * the last.
 */
const char *params_member(enum method m, size_t index, bool *ret_required);
