/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration file of another program, read and replaced as a whole: whoever reads it sees the
 * old text or the new one, whatever happens. A link is followed, so that files that people keep
 * elsewhere stay there. The mode stays, and a file that is new is for its owner alone: other
 * servers' keys stand in such files.
 */
#pragma once

#include <sys/stat.h>

#include "base/buf.h"
#include "base/error.h"

struct clientfile {
        char *path; /* with all links followed */
        bool exists;
        struct stat st;
        struct buf text; /* empty if there is none */
};

#define CLIENTFILE_INIT ((struct clientfile){ 0 })
#define AUTO_CLIENTFILE __attribute__((cleanup(clientfile_done), unused))

void clientfile_done(struct clientfile *f);

/* A file that is missing is no error. */
int clientfile_read(struct clientfile *f, const char *path, struct error *err) MUST_CHECK;

/*
 * The old text goes into FILE.mcp-broker-backup, or with .1, .2 and so on behind it where that is
 * taken; *@ret_backup names it, NULL if there was no file. Folders that are missing are made. A
 * file that has changed since it was read is left alone (CONFLICT).
 */
int clientfile_replace(struct clientfile *f, const struct buf *text, char **ret_backup,
                       struct error *err) MUST_CHECK;
