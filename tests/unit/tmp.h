/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder for one test, outside the build tree: sockets need short paths, and distcheck nests
 * deeply.
 */
#pragma once

#include <ftw.h>
#include <stdlib.h>

#include "test.h"

static inline char *tmp_new(void) {
        char template[] = "/tmp/mcpb-test-XXXXXX";
        char *path;

        assert_non_null(mkdtemp(template));
        path = strdup(template);
        assert_non_null(path);
        return path;
}

static inline int tmp_remove_one(const char *path, const struct stat *st, int flag,
                                 struct FTW *ftw) {
        return remove(path);
}

/* Removes it with all that is in it; returns NULL. */
static inline char *tmp_free(char *path) {
        if (path)
                (void)nftw(path, tmp_remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(path);
        return NULL;
}

/* "folder/name" in a buffer of the caller's. */
#define TMP_PATH_MAX 512
static inline const char *tmp_path(char buffer[static TMP_PATH_MAX], const char *folder,
                                   const char *name) {
        assert_true(snprintf(buffer, TMP_PATH_MAX, "%s/%s", folder, name) < TMP_PATH_MAX);
        return buffer;
}
