/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/ours.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "base/clock.h"
#include "os/io.h"
#include "peer/inode.h"

#define FILES_MAX 512
#define WATCHES_MAX 64
#define SHELLS_MAX 128
#define SHELLS_FILE_MAX (64 * 1024)

static const struct {
        const char *name;
        unsigned kind;
} program_table[] = {
        { "mcp-add", PEER_KIND_OURS },
        { "mcp-audit", PEER_KIND_OURS },
        { "mcp-brokerctl", PEER_KIND_OURS },
        { "mcp-connect", PEER_KIND_OURS },
        { "mcp-exec", PEER_KIND_OURS },
        { "mcp-list", PEER_KIND_OURS },
        { "mcp-policy", PEER_KIND_OURS },
        { "mcp-token", PEER_KIND_OURS },
        { "mcp-brokerd", PEER_KIND_OURS | PEER_KIND_DAEMON },
        { "mcp-broker-identity", PEER_KIND_OURS | PEER_KIND_DAEMON },
        { "mcp-broker-kdf", PEER_KIND_OURS | PEER_KIND_DAEMON },
        { "mcp-broker-keyring", PEER_KIND_OURS | PEER_KIND_DAEMON },
        { "mcp-broker-net", PEER_KIND_OURS | PEER_KIND_DAEMON },
        { "mcp-broker-session", PEER_KIND_OURS | PEER_KIND_DAEMON },
};

/* Service managers and the usual first processes of containers. pid 1 needs no entry. */
static const char *const reaper_table[] = {
        "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/sbin/init",         "/usr/bin/tini",
        "/usr/bin/docker-init",     "/usr/bin/dumb-init",   "/usr/bin/catatonit", NULL,
};

struct known_file {
        struct inode inode;
        unsigned kind;
        unsigned scan; /* when it was last found: what is forgotten first when there are too many */
        int fd;
};

/* A folder or file whose change means that we must look again. */
struct watch {
        char *path;
        bool exists;
        bool settled; /* false: changed so lately that another change may bear the same time */
        struct inode inode;
};

struct peer_ours {
        char *folders[8];
        size_t n_folders;
        const char *const *reapers; /* static, or the maker's for as long as we live */
        char *shells;
        struct known_file files[FILES_MAX];
        size_t n_files;
        struct watch watches[WATCHES_MAX];
        size_t n_watches;
        unsigned scan;
};

static void watch_look(struct watch *w) {
        w->exists = inode_at(AT_FDCWD, w->path, &w->inode) == 0;
        w->settled =
                !w->exists || clock_wall_usec() / USEC_PER_SEC > (uint64_t)w->inode.changed_sec + 1;
}

static bool watch_changed(const struct watch *w) {
        struct watch now = { .path = w->path };

        watch_look(&now);
        return !w->settled || now.exists != w->exists ||
               (now.exists && (!inode_same(&now.inode, &w->inode) ||
                               now.inode.changed_sec != w->inode.changed_sec ||
                               now.inode.changed_nsec != w->inode.changed_nsec));
}

/* Must come before the look at what it watches, so that no change falls between the two. */
static int watch_add(struct peer_ours *o, const char *path, size_t len) {
        struct watch *w = &o->watches[o->n_watches];

        for (size_t i = 0; i < o->n_watches; i++)
                if (strlen(o->watches[i].path) == len && memcmp(o->watches[i].path, path, len) == 0)
                        return 0;
        if (o->n_watches == WATCHES_MAX)
                return 0; /* more folders than any system has: the rest is looked at with the others
                           */
        w->path = strndup(path, len);
        if (!w->path)
                return -ENOMEM;
        watch_look(w);
        o->n_watches++;
        return 0;
}

static int watch_add_folder_of(struct peer_ours *o, const char *file) {
        const char *slash = strrchr(file, '/');

        return slash && slash > file ? watch_add(o, file, (size_t)(slash - file)) : 0;
}

static void watches_clear(struct peer_ours *o) {
        while (o->n_watches > 0)
                free(o->watches[--o->n_watches].path);
}

static void file_add(struct peer_ours *o, const struct inode *inode, unsigned kind, int *fd) {
        struct known_file *oldest = &o->files[0];

        for (size_t i = 0; i < o->n_files; i++) {
                struct known_file *f = &o->files[i];

                if (inode_same(&f->inode, inode)) {
                        f->kind |= kind;
                        f->scan = o->scan;
                        return;
                }
                if (f->scan < oldest->scan)
                        oldest = f;
        }
        if (o->n_files < FILES_MAX)
                oldest = &o->files[o->n_files++];
        else
                (void)close(oldest->fd);
        *oldest = (struct known_file){ *inode, kind, o->scan, TAKE_FD(*fd) };
}

/* Out of descriptors or memory is a failure; anything else means that there is no such file for us.
 */
static bool is_shortage(int r) {
        return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

/* 1 and *@ret_fd if @name is a regular file, 0 if not, or a shortage. */
static int file_open(int dirfd, const char *name, struct inode *inode, int *ret_fd) {
        AUTO_CLOSE int fd = openat(dirfd, name, O_PATH | O_CLOEXEC);
        int r;

        if (fd < 0)
                return is_shortage(-errno) ? -errno : 0;
        r = inode_at(fd, "", inode);
        if (r < 0)
                return is_shortage(r) ? r : 0;
        if (!inode->regular)
                return 0;
        *ret_fd = TAKE_FD(fd);
        return 1;
}

static int scan_folder(struct peer_ours *o, const char *folder) {
        AUTO_CLOSE int dirfd = -1;
        int r = watch_add(o, folder, strlen(folder));

        if (r < 0)
                return r;
        dirfd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0)
                return is_shortage(-errno) ? -errno : 0;
        for (size_t i = 0; i < ARRAY_SIZE(program_table); i++) {
                AUTO_CLOSE int fd = -1;
                struct inode inode = { 0 };

                r = file_open(dirfd, program_table[i].name, &inode, &fd);
                if (r < 0)
                        return r;
                if (r > 0)
                        file_add(o, &inode, program_table[i].kind, &fd);
        }
        return 0;
}

/*
 * One file for many programs: that it is listed as a shell does not make its xargs or nc one. To
 * skip it would give the rights of whoever started it to whatever it is, so it counts as no shell.
 */
static bool is_multi_call(const char *real, const struct inode *inode) {
        static const char *const names[] = { "busybox", "busybox.static", "toybox" };
        const char *slash = strrchr(real, '/');

        for (size_t i = 0; slash && i < ARRAY_SIZE(names); i++) {
                char path[PATH_MAX];
                struct inode other;
                int n = snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - real), real,
                                 names[i]);

                if (n > 0 && (size_t)n < sizeof(path) && inode_at(AT_FDCWD, path, &other) == 0 &&
                    inode_same(&other, inode))
                        return true;
        }
        return false;
}

static int scan_shell(struct peer_ours *o, const char *path) {
        AUTO_CLOSE int fd = -1;
        struct inode inode = { 0 };
        char link[64];
        char real[PATH_MAX] = "";
        int r = watch_add_folder_of(o, path);

        if (r < 0)
                return r;
        r = file_open(AT_FDCWD, path, &inode, &fd);
        if (r <= 0)
                return r;
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        if (readlink(link, real, sizeof(real) - 1) <= 0)
                return 0;
        r = watch_add_folder_of(o, real);
        if (r < 0)
                return r;
        if (!is_multi_call(real, &inode))
                file_add(o, &inode, PEER_KIND_SHELL, &fd);
        return 0;
}

static int scan_shells(struct peer_ours *o) {
        AUTO_CLOSE int fd = -1;
        AUTO_BUF struct buf text = BUF_INIT;
        char *line;
        char *rest = NULL;
        int n = 0;
        int r = watch_add(o, o->shells, strlen(o->shells));

        if (r < 0)
                return r;
        fd = open(o->shells, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        r = fd < 0 ? -errno : io_read_full(fd, SHELLS_FILE_MAX, &text);
        if (is_shortage(r))
                return r;
        if (r < 0 || text.len == 0)
                return scan_shell(o, "/bin/sh"); /* as shells(5) has it */
        for (line = strtok_r(text.data, "\n", &rest); line && n < SHELLS_MAX;
             line = strtok_r(NULL, "\n", &rest)) {
                line += strspn(line, " \t");
                line[strcspn(line, " \t\r#")] = '\0';
                if (line[0] != '/')
                        continue;
                n++;
                r = scan_shell(o, line);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int scan_reapers(struct peer_ours *o) {
        for (size_t i = 0; o->reapers[i]; i++) {
                AUTO_CLOSE int fd = -1;
                struct inode inode = { 0 };
                int r = watch_add_folder_of(o, o->reapers[i]);

                if (r < 0)
                        return r;
                r = file_open(AT_FDCWD, o->reapers[i], &inode, &fd);
                if (r < 0)
                        return r;
                if (r > 0)
                        file_add(o, &inode, PEER_KIND_REAPER, &fd);
        }
        return 0;
}

static int scan_all(struct peer_ours *o, struct error *err) {
        int r = 0;

        watches_clear(o);
        o->scan++;
        for (size_t i = 0; i < o->n_folders && r == 0; i++)
                r = scan_folder(o, o->folders[i]);
        if (r == 0)
                r = scan_shells(o);
        if (r == 0)
                r = scan_reapers(o);
        if (r < 0) {
                watches_clear(
                        o); /* nothing is known to be up to date: the next refresh looks again */
                return error_set(err, MCPB_INTERNAL, -r, NULL,
                                 "cannot look for the installed programs: %s", strerror(-r));
        }
        return 0;
}

static int folder_add(struct peer_ours *o, const char *path) {
        if (o->n_folders == ARRAY_SIZE(o->folders))
                return -E2BIG;
        o->folders[o->n_folders] = strdup(path);
        if (!o->folders[o->n_folders])
                return -ENOMEM;
        o->n_folders++;
        return 0;
}

/* The folder of the running program: where the others stand, too, if the tree was moved or is the
 * build tree. */
static int folder_add_own(struct peer_ours *o) {
        static const char libs[] = "/.libs"; /* where libtool keeps a program behind its wrapper */
        char path[PATH_MAX] = "";
        char *end;
        char *slash;
        int r;

        if (readlink("/proc/self/exe", path, sizeof(path) - sizeof(libs)) <= 0)
                return 0;
        end = strrchr(path, '/');
        if (!end || end == path)
                return 0;
        *end = '\0';
        r = folder_add(o, path);
        if (r < 0)
                return r;
        slash = strrchr(path, '/');
        if (slash && streq(slash, libs))
                *slash = '\0';
        else
                memcpy(end, libs, sizeof(libs));
        return folder_add(o, path);
}

static int folders_init(struct peer_ours *o, const char *const *folders) {
        int r = 0;

        if (folders) {
                for (size_t i = 0; folders[i] && r == 0; i++)
                        r = folder_add(o, folders[i]);
                return r;
        }
        r = folder_add(o, MCPB_BINDIR);
        if (r == 0)
                r = folder_add(o, MCPB_LIBEXECDIR);
        if (r == 0)
                r = folder_add_own(o);
        return r;
}

int peer_ours_new(const struct peer_places *places, struct peer_ours **ret, struct error *err) {
        static const struct peer_places installed = { 0 };
        struct peer_ours *o = calloc(1, sizeof(*o));
        int r;

        if (!o)
                return error_oom(err);
        if (!places)
                places = &installed;
        o->reapers = places->reapers ? places->reapers : reaper_table;
        o->shells = strdup(places->shells ? places->shells : "/etc/shells");
        r = o->shells ? folders_init(o, places->folders) : -ENOMEM;
        if (r < 0)
                (void)error_set(err, MCPB_INTERNAL, -r, NULL,
                                "cannot look for the installed programs: %s", strerror(-r));
        else
                r = scan_all(o, err);
        if (r < 0) {
                (void)peer_ours_free(o);
                return r;
        }
        *ret = o;
        return 0;
}

struct peer_ours *peer_ours_free(struct peer_ours *o) {
        if (!o)
                return NULL;
        watches_clear(o);
        while (o->n_files > 0)
                (void)close(o->files[--o->n_files].fd);
        while (o->n_folders > 0)
                free(o->folders[--o->n_folders]);
        free(o->shells);
        free(o);
        return NULL;
}

int peer_ours_refresh(struct peer_ours *o, struct error *err) {
        bool changed = o->n_watches == 0;

        for (size_t i = 0; i < o->n_watches && !changed; i++)
                changed = watch_changed(&o->watches[i]);
        return changed ? scan_all(o, err) : 0;
}

unsigned peer_ours_kind(const struct peer_ours *o, uint64_t dev, uint64_t ino) {
        const struct inode wanted = { .dev = dev, .ino = ino };

        for (size_t i = 0; i < o->n_files; i++)
                if (inode_same(&o->files[i].inode, &wanted))
                        return o->files[i].kind;
        return 0;
}
