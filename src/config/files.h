/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading configuration and policy files by the rules of their folder: a regular file (no symbolic
 * link), owned by the layer's owner or root, not writable for group or others, in a folder for
 * which the same holds. Anything else is an error: who can write a policy file is who makes the
 * policy.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

#define CONFIG_FILES_MAX 256

struct config_file {
        char *path;
        char *data; /* NUL-terminated for convenience; @len counts */
        size_t len;
        unsigned layer; /* the caller's: enum policy_layer for policy.d */
};

struct config_files {
        struct config_file *items;
        size_t n;
};
#define CONFIG_FILES_INIT ((struct config_files){ 0 })
#define AUTO_CONFIG_FILES __attribute__((cleanup(config_files_done), unused))

void config_files_done(struct config_files *f);

/*
 * Appends one file. That it is not there is no error. @owner may own it besides root. -EPERM with
 * BAD_CONFIG: owner or mode; -EINVAL: not a regular file; -EFBIG; another -errno with BAD_CONFIG.
 */
int config_read_file(struct config_files *files, const char *path, uid_t owner, unsigned layer,
                     struct error *err) MUST_CHECK;
/*
 * Appends the files *.conf of all folders, sorted by name (bytes); of two with the same name the
 * one of the later folder counts. A folder that is not there is empty. Names that begin with '.'
 * are passed over.
 */
int config_read_dirs(struct config_files *files, const char *const *dirs, size_t n_dirs,
                     uid_t owner, unsigned layer, struct error *err) MUST_CHECK;
/* The same for one folder. */
int config_read_dir(struct config_files *files, const char *dir, uid_t owner, unsigned layer,
                    struct error *err) MUST_CHECK;

/* Appends a file that was read elsewhere: @path is copied, @data is taken. */
int config_files_add(struct config_files *files, const char *path, unsigned layer, struct buf *data)
        MUST_CHECK;

/* [{"path","data","layer"}]: from the supervisor to the keeper. -EBADMSG, -ENOMEM. */
int config_files_to_json(const struct config_files *files, json_t **ret) MUST_CHECK;
int config_files_from_json(struct config_files *files, const json_t *value) MUST_CHECK;
