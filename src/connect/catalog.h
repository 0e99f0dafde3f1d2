/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bridge remembers of the server's tools: which argument goes into which header field
 * (x-mcp-header of 2026-07-28), and which tools the host is not to see. A tool whose annotation is
 * invalid, or cannot be kept, is cut out of the list before the host sees it, for a call of it
 * would lack what the server asks for. All other bytes of a list are relayed as they came.
 */
#pragma once

#include "base/jsonspan.h"

struct catalog;

struct catalog_header {
        char *name;  /* "Mcp-Param-Region" */
        char **path; /* names of properties, from the arguments down */
        size_t n_path;
};

/* A tool with arguments that go into the head. */
struct catalog_tool {
        struct catalog_header *headers;
        size_t n_headers;
};

/* A tool was cut out; @why is NULL if catalog_ignore() asked for that. Both are borrowed; the name
 * is the server's, so it needs utf8_clean() before people see it. */
typedef void (*catalog_dropped_fn)(const char *tool, const char *why, void *userdata);

struct catalog *catalog_new(void) MUST_CHECK; /* NULL: out of memory */
struct catalog *catalog_free(struct catalog *c);
DEFINE_CLEANUP(struct catalog *, catalog, catalog_free)
#define AUTO_CATALOG __attribute__((cleanup(cleanup_catalog), unused))

/* Tools that match @glob ("*" any text, "?" any byte, case of ASCII letters is the same) are not
 * shown. 0 or -ENOMEM. */
int catalog_ignore(struct catalog *c, const char *glob) MUST_CHECK;
bool catalog_ignores(const struct catalog *c, const char *tool);

/*
 * Takes the result of a tools/list, one page of it: remembers the annotations (if @mirrored: in
 * older revisions x-mcp-header means nothing), and writes to @ret_result the result's bytes without
 * the tools that were cut out; it stays empty if there were none. @told (may be NULL) is called for
 * each. 0 or -ENOMEM.
 */
int catalog_take(struct catalog *c, struct span result, bool mirrored, struct buf *ret_result,
                 catalog_dropped_fn told, void *userdata) MUST_CHECK;

/* NULL: not known, or nothing of it goes into the head. Borrowed until the next catalog_take(). */
const struct catalog_tool *catalog_find(const struct catalog *c, const char *tool);
