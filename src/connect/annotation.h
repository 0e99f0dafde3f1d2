/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x-mcp-header annotations of one tool, found and judged. A pure function of the schema: it
 * keeps nothing, follows no reference and does not recurse.
 */
#pragma once

#include "connect/catalog.h"

/*
 * Finds the annotations of a JSON schema. -EINVAL: one of them is invalid, so that the tool must
 * not be shown; *@why says in which way. -ENOMEM. On success @ret has none or more; it is freed
 * with annotation_done().
 */
int annotation_find(struct span schema, struct catalog_tool *ret, const char **why) MUST_CHECK;
void annotation_done(struct catalog_tool *t);

/* What it takes to remember them. */
size_t annotation_bytes(const struct catalog_tool *t);
