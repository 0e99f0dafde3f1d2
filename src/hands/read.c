/* SPDX-License-Identifier: Apache-2.0 */
#include "hands/hands.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "os/io.h"

#define ARC_KEY_MAX 4096
#define SWAPS_MAX 16 /* of "..data", while we look */

#define HINT_OWN "Let root, or the user that the broker runs as, own it: chown USER FILE"
#define HINT_WRITE "Take the others' right to write away: chmod go-w FILE"
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

struct place {
        const char *path;
        const char *name; /* the last part of the path */
        int folder;
        struct stat folder_st;
};

static int refuse(struct error *err, const struct place *at, int errnum, const char *hint,
                  const char *why) {
        return error_set(err, errnum == ENOENT ? MCPB_NOT_FOUND : MCPB_NOT_PERMITTED, errnum, hint,
                         "The file %s %s", at->path, why);
}

/* What the kernel says. */
static int fail(struct error *err, const struct place *at, int r) {
        if (r == -ENOMEM)
                return error_oom(err);
        if (r == -ENOENT || r == -ENOTDIR)
                return refuse(err, at, ENOENT, "Look whether it is mounted, or correct the path",
                              "does not exist");
        if (r == -EACCES)
                return refuse(err, at, EACCES,
                              "Let the user that the broker runs as read it, or its group",
                              "may not be read by the broker's user");
        return error_set(err, MCPB_NOT_PERMITTED, -r, NULL, "Cannot read the file %s: %s", at->path,
                         strerror(-r));
}

/* Links on the way to the folder are followed. */
static int open_folder(struct place *at) {
        char folder[PATH_MAX];
        const char *slash = strrchr(at->path, '/');
        size_t len = slash ? (size_t)(slash - at->path) : 0;

        if (!slash || len >= sizeof(folder))
                return -EINVAL;
        memcpy(folder, at->path, len);
        memcpy(folder + len, "/", 2);
        at->name = slash + 1;
        at->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (at->folder < 0 || fstat(at->folder, &at->folder_st) < 0)
                return -errno;
        return 0;
}

/* -EINVAL for what is no link. */
static int read_link(int folder, const char *name, char text[static PATH_MAX]) {
        ssize_t n = readlinkat(folder, name, text, PATH_MAX - 1);

        if (n < 0)
                return -errno;
        text[n] = '\0';
        return 0;
}

/*
 * Kubernetes writes a folder all at once: "token" leads to "..data/token", and "..data" to a folder
 * beside it, "..2026_11_22_...", which is swapped. Exactly that is followed, and nothing else.
 */
static int open_swapped(const struct place *at) {
        AUTO_CLOSE int now = -1;
        char folder[PATH_MAX];
        int fd;
        int r = read_link(at->folder, "..data", folder);

        if (r < 0)
                return r == -EINVAL || r == -ENOENT ? -ELOOP : r;
        if (folder[0] != '.' || folder[1] != '.' || !folder[2] || strchr(folder, '/'))
                return -ELOOP;
        now = openat(at->folder, folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (now < 0)
                return errno == ENOTDIR ? -ELOOP : -errno;
        fd = openat(now, at->name, OPEN_FLAGS);
        if (fd < 0)
                return -errno;
        return fd;
}

/* -ELOOP for a link that is not Kubernetes'. */
static int open_link(const struct place *at) {
        char link[PATH_MAX];
        int fd = -ENOENT;
        int r = read_link(at->folder, at->name, link);

        if (r < 0)
                return r;
        if (strncmp(link, "..data/", 7) != 0 || !streq(link + 7, at->name))
                return -ELOOP;
        /* The folder is removed when the next one has its place: then that one is looked at. */
        for (unsigned i = 0; fd == -ENOENT && i < SWAPS_MAX; i++)
                fd = open_swapped(at);
        return fd;
}

static int open_file(const struct place *at) {
        int fd = openat(at->folder, at->name, OPEN_FLAGS);

        if (fd >= 0)
                return fd;
        return errno == ELOOP ? open_link(at) : -errno;
}

static bool is_arc_key(const struct place *at, const char *arc_folder) {
        AUTO_CLOSE int fd = open(arc_folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        size_t len = strlen(at->name);
        struct stat st;

        return len > 4 && streq(at->name + len - 4, ".key") && fd >= 0 && fstat(fd, &st) == 0 &&
               st.st_dev == at->folder_st.st_dev && st.st_ino == at->folder_st.st_ino;
}

static int check_file(const struct order *o, const struct place *at, const struct stat *st,
                      size_t max, struct error *err) {
        bool arc = o->rules == ORDER_RULES_ARC;

        if (!S_ISREG(st->st_mode))
                return refuse(err, at, EINVAL, "Name the file itself", "is no regular file");
        if (st->st_uid != 0 && st->st_uid != geteuid() &&
            !(arc && st->st_uid == at->folder_st.st_uid))
                return refuse(err, at, EPERM, HINT_OWN, "belongs to another user");
        if (st->st_mode & (S_IWGRP | S_IWOTH))
                return refuse(err, at, EPERM, HINT_WRITE, "can be written by others");
        if (st->st_size > (off_t)max)
                return refuse(err, at, EFBIG, "Look whether it is the right file", "is too large");
        return 0;
}

static int read_file(const struct order *o, const char *arc_folder, struct place *at,
                     struct order_reply *p) {
        size_t max = o->rules == ORDER_RULES_ARC && o->max > ARC_KEY_MAX ? ARC_KEY_MAX : o->max;
        AUTO_CLOSE int fd = -1;
        struct stat st;
        int r = open_folder(at);

        if (r < 0)
                return fail(&p->err, at, r);
        /* Before it is opened: who answers as Azure Arc must not make us look elsewhere. */
        if (o->rules == ORDER_RULES_ARC && !is_arc_key(at, arc_folder))
                return refuse(&p->err, at, EPERM, "Look who answers in the place of Azure Arc",
                              "is no key of Azure Arc");
        fd = open_file(at);
        if (fd == -ELOOP)
                return refuse(&p->err, at, ELOOP, "Name the file that it leads to",
                              "is a symbolic link");
        if (fd < 0)
                return fail(&p->err, at, fd);
        if (fstat(fd, &st) < 0)
                return fail(&p->err, at, -errno);
        r = check_file(o, at, &st, max, &p->err);
        if (r < 0)
                return r;
        r = io_read_full(fd, max, &p->bytes);
        if (r == -EFBIG)
                return refuse(&p->err, at, EFBIG, "Look whether it is the right file",
                              "is too large");
        p->exposed = o->rules == ORDER_RULES_SECRET && (st.st_mode & S_IROTH);
        return r < 0 ? fail(&p->err, at, r) : 0;
}

void hands_read(const struct order *o, const char *arc_folder, struct order_reply *p) {
        struct place at = { .path = o->path, .folder = -1 };

        p->r = read_file(o, arc_folder, &at, p);
        cleanup_close(&at.folder);
}
