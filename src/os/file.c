/* SPDX-License-Identifier: Apache-2.0 */
#include "os/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

/* Folders up to the root; deeper than any file system allows a path to be. */
#define DEPTH_MAX 4096

/*
 * Opens @path part by part, making what is missing if @make. Links on the way are followed (a home
 * may be one); the last part must be the folder itself.
 */
static int walk(char *path, bool make, int *ret_fd) {
        AUTO_CLOSE int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        char *save = NULL;
        char *part = strtok_r(path, "/", &save);

        if (fd < 0)
                return -errno;
        while (part) {
                char *next = strtok_r(NULL, "/", &save);
                int flags = next ? O_PATH : O_RDONLY | O_NOFOLLOW;
                int below;

                if (make && mkdirat(fd, part, 0700) < 0 && errno != EEXIST) {
                        int r = -errno;

                        /* EROFS and EACCES come before EEXIST on some file systems. */
                        if (faccessat(fd, part, F_OK, 0) < 0)
                                return r;
                }
                below = openat(fd, part, flags | O_DIRECTORY | O_CLOEXEC);
                if (below < 0)
                        return -errno;
                (void)close(fd);
                fd = below;
                part = next;
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int refuse(struct error *err, int errnum, const char *path, const char *hint,
                  const char *why) {
        return error_set(err, MCPB_NOT_PERMITTED, errnum, hint, "The folder %s %s", path, why);
}

/* The folders that really lie above, whatever links led here: who can write there can take ours
 * away. */
static int check_above(int fd, const char *path, struct error *err) {
        AUTO_CLOSE int at = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct stat last = { 0 };

        for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
                struct stat st;
                int up;

                if (at < 0 || fstat(at, &st) < 0)
                        return error_set(err, MCPB_INTERNAL, errno, NULL,
                                         "Cannot look at the folders above %s: %s", path,
                                         strerror(errno));
                if (st.st_uid != geteuid() && st.st_uid != 0)
                        return refuse(err, EPERM, path, "Choose a folder below your home",
                                      "lies in a folder that belongs to another user");
                if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
                        return refuse(err, EPERM, path,
                                      "Take the others' right to write away from the folders above",
                                      "lies in a folder that everybody may write to");
                if (depth > 0 && st.st_dev == last.st_dev && st.st_ino == last.st_ino)
                        return 0;
                last = st;
                up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
                (void)close(at);
                at = up;
        }
        return refuse(err, ELOOP, path, NULL, "lies too deep");
}

static int check_private(int fd, const char *path, struct error *err) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_set(err, MCPB_INTERNAL, errno, NULL, "Cannot look at %s: %s", path,
                                 strerror(errno));
        if (st.st_uid != geteuid())
                return refuse(err, EPERM, path, "Remove it, or choose another folder",
                              "belongs to another user");
        if (st.st_mode & 077)
                return refuse(err, EPERM, path, "Close it with: chmod 700 FOLDER",
                              "is open to other users");
        return check_above(fd, path, err);
}

static int open_folder(const char *path, bool make, int *ret_fd, struct error *err) {
        AUTO_FREE char *copy = strdup(path);
        AUTO_CLOSE int fd = -1;
        int r;

        if (!copy)
                return error_oom(err);
        if (path[0] != '/')
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Give a path that begins with '/'",
                                 "The folder '%s' is no absolute path", path);
        r = walk(copy, make, &fd);
        if (r == -ENOENT && !make)
                return r;
        if (r == -ELOOP || r == -ENOTDIR)
                return refuse(err, -r, path, "Remove what is there, or choose another folder",
                              "is not a folder, or a symbolic link");
        if (r < 0)
                return error_set(err, MCPB_NOT_PERMITTED, -r, NULL, "Cannot %s the folder %s: %s",
                                 make ? "make" : "open", path, strerror(-r));
        r = check_private(fd, path, err);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int dir_open_private(const char *path, int *ret_fd, struct error *err) {
        return open_folder(path, true, ret_fd, err);
}

int dir_open_existing(const char *path, int *ret_fd, struct error *err) {
        return open_folder(path, false, ret_fd, err);
}

int file_lock(int dirfd, const char *name, int *ret_fd, struct error *err) {
        AUTO_CLOSE int fd =
                openat(dirfd, name,
                       O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return error_set(err, MCPB_NOT_PERMITTED, errno, NULL,
                                 "Cannot open the lock file '%s': %s", name, strerror(errno));
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
                return error_set(err, MCPB_NOT_PERMITTED, EPERM, "Remove it",
                                 "The lock file '%s' is not a file of ours", name);
        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno == EWOULDBLOCK)
                        return error_set(err, MCPB_EXISTS, EEXIST,
                                         "Stop the other one first: mcp-brokerctl stop",
                                         "Another mcp-brokerd runs already: it holds '%s'", name);
                if (errno != EINTR)
                        return error_set(err, MCPB_INTERNAL, errno, NULL, "Cannot lock '%s': %s",
                                         name, strerror(errno));
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}
