/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/clientfile.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "base/limits.h"
#include "os/io.h"

#define BACKUPS_MAX 1000

void clientfile_done(struct clientfile *f) {
        buf_done(&f->text);
        free(f->path);
        *f = CLIENTFILE_INIT;
}

static int fail(struct error *err, int errnum, const char *doing, const char *path) {
        if (errnum == ENOMEM)
                return error_oom(err);
        return error_set(err, MCPB_NOT_PERMITTED, errnum, NULL, "Cannot %s %s: %s", doing, path,
                         strerror(errnum));
}

/* --- reading -------------------------------------------------------------------------------- */

static int find(struct clientfile *f, const char *path, struct error *err) {
        struct stat st;

        f->path = realpath(path, NULL);
        if (f->path)
                return 0;
        if (errno != ENOENT)
                return fail(err, errno, "open", path);
        if (lstat(path, &st) == 0)
                return error_set(err, MCPB_NOT_PERMITTED, ENOENT, "Remove the link, or mend it",
                                 "%s is a link to a file that is not there", path);
        f->path = strdup(path);
        return f->path ? -ENOENT : error_oom(err);
}

static int check(const struct clientfile *f, struct error *err) {
        if (!S_ISREG(f->st.st_mode))
                return error_set(err, MCPB_NOT_PERMITTED, EINVAL, NULL, "%s is no file", f->path);
        if (f->st.st_uid != geteuid())
                return error_set(err, MCPB_NOT_PERMITTED, EPERM,
                                 "Do it as the user whose file it is", "%s belongs to another user",
                                 f->path);
        return 0;
}

int clientfile_read(struct clientfile *f, const char *path, struct error *err) {
        AUTO_CLOSE int fd = -1;
        int r;

        *f = CLIENTFILE_INIT;
        buf_init(&f->text, LIMIT_CLIENT_CONFIG_BYTES);
        r = find(f, path, err);
        if (r == -ENOENT && f->path)
                return 0;
        if (r < 0)
                return r;
        fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &f->st) < 0)
                return fail(err, errno, "open", f->path);
        f->exists = true;
        r = check(f, err);
        if (r < 0)
                return r;
        r = io_read_full(fd, LIMIT_CLIENT_CONFIG_BYTES - 1, &f->text);
        return r < 0 ? fail(err, -r, "read", f->path) : 0;
}

/* --- writing -------------------------------------------------------------------------------- */

/* The folders above the file. */
static int make_folders(const char *path, struct error *err) {
        AUTO_FREE char *folder = strdup(path);

        if (!folder)
                return error_oom(err);
        for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                if (mkdir(folder, 0700) < 0 && errno != EEXIST && access(folder, F_OK) < 0)
                        return fail(err, errno, "make the folder", folder);
                *slash = '/';
        }
        return 0;
}

static int write_whole(int fd, const struct buf *text) {
        int r = io_write_full(fd, text->data, text->len);

        return r == 0 && fsync(fd) < 0 ? -errno : r;
}

static char *backup_name(const char *path, unsigned n) {
        AUTO_BUF struct buf name = BUF_INIT;
        int r = buf_printf(&name, "%s.mcp-broker-backup", path);

        if (r == 0 && n > 0)
                r = buf_printf(&name, ".%u", n);
        return r < 0 ? NULL : buf_steal(&name);
}

static int make_backup(const struct clientfile *f, char **ret, struct error *err) {
        for (unsigned n = 0; n < BACKUPS_MAX; n++) {
                AUTO_FREE char *name = backup_name(f->path, n);
                AUTO_CLOSE int fd = -1;
                int r;

                if (!name)
                        return error_oom(err);
                fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
                if (fd < 0 && errno == EEXIST)
                        continue;
                if (fd < 0)
                        return fail(err, errno, "write", name);
                r = fchmod(fd, f->st.st_mode & 0777) < 0 ? -errno : write_whole(fd, &f->text);
                if (r < 0) {
                        (void)unlink(name);
                        return fail(err, -r, "write", name);
                }
                *ret = TAKE(name);
                return 0;
        }
        return error_set(err, MCPB_NOT_PERMITTED, EEXIST, "Remove old ones",
                         "There are %d backups of %s already", BACKUPS_MAX, f->path);
}

/* Has nobody written to it since? */
static bool is_untouched(const struct clientfile *f) {
        struct stat st;

        if (lstat(f->path, &st) < 0)
                return errno == ENOENT && !f->exists;
        return f->exists && st.st_dev == f->st.st_dev && st.st_ino == f->st.st_ino &&
               st.st_size == f->st.st_size && st.st_mtim.tv_sec == f->st.st_mtim.tv_sec &&
               st.st_mtim.tv_nsec == f->st.st_mtim.tv_nsec;
}

static int open_folder(const char *path, int *ret, struct error *err) {
        AUTO_FREE char *folder = strdup(path);
        char *slash;

        if (!folder)
                return error_oom(err);
        slash = strrchr(folder, '/');
        if (slash)
                slash[slash == folder ? 1 : 0] = '\0';
        *ret = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return *ret < 0 ? fail(err, errno, "open the folder of", path) : 0;
}

static int put_in_place(const struct clientfile *f, int fd, const char *name,
                        const struct buf *text, struct error *err) {
        mode_t mode = f->exists ? f->st.st_mode & 0777 : 0600;
        int r = 0;

        /* The group is kept where we may; where not, what the mode gave it goes to ours. */
        if (f->exists && fchown(fd, (uid_t)-1, f->st.st_gid) < 0)
                mode &= ~(mode_t)070;
        if (fchmod(fd, mode) < 0)
                r = -errno;
        if (r == 0)
                r = write_whole(fd, text);
        if (r < 0)
                return fail(err, -r, "write", f->path);
        if (!is_untouched(f))
                return error_set(err, MCPB_CONFLICT, EAGAIN,
                                 "End the program whose file it is, and try again",
                                 "%s has changed in the meantime", f->path);
        if (rename(name, f->path) < 0)
                return fail(err, errno, "replace", f->path);
        return 0;
}

static int replace(struct clientfile *f, const struct buf *text, struct error *err) {
        AUTO_BUF struct buf name = BUF_INIT;
        AUTO_CLOSE int fd = -1;
        int r = buf_printf(&name, "%s.mcp-broker-XXXXXX", f->path);

        if (r < 0)
                return error_oom(err);
        fd = mkostemp(name.data, O_CLOEXEC);
        if (fd < 0)
                return fail(err, errno, "write beside", f->path);
        r = put_in_place(f, fd, name.data, text, err);
        if (r < 0) {
                (void)unlink(name.data);
                return r;
        }
        return 0;
}

int clientfile_replace(struct clientfile *f, const struct buf *text, char **ret_backup,
                       struct error *err) {
        AUTO_FREE char *backup = NULL;
        AUTO_CLOSE int folder = -1;
        int r = f->exists ? 0 : make_folders(f->path, err);

        if (r == 0)
                r = open_folder(f->path, &folder, err);
        if (r == 0 && f->exists)
                r = make_backup(f, &backup, err);
        if (r == 0)
                r = replace(f, text, err);
        if (r < 0) {
                if (backup)
                        (void)unlink(backup);
                return r;
        }
        *ret_backup = TAKE(backup);
        return fsync(folder) < 0 ? fail(err, errno, "make durable", f->path) : 0;
}
