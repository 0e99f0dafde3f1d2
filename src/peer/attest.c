/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/peer.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>

#include "base/codec.h"
#include "base/utf8.h"
#include "os/io.h"
#include "os/proc.h"
#include "os/sock.h"
#include "peer/cgroup.h"
#include "peer/inode.h"
#include "peer/ours.h"

#define ANCESTORS_MAX 64
#define FDINFO_MAX 4096

/* A process whose number cannot pass to another: what is read through @dir is of the process that
 * @pidfd names, or fails. */
struct pinned {
        int pid;
        int pidfd;
        int dir; /* /proc/PID, opened while the process lived */
        struct proc_stat stat;
};
#define PINNED_INIT ((struct pinned){ .pidfd = -1, .dir = -1 })

static void pinned_done(struct pinned *p) {
        cleanup_close(&p->dir);
        cleanup_close(&p->pidfd);
        *p = PINNED_INIT;
}

static void pinned_move(struct pinned *to, struct pinned *from) {
        pinned_done(to);
        *to = *from;
        *from = PINNED_INIT;
}

/* 0 while it lives, -ESRCH from its exit on. */
static int check_alive(const struct pinned *p) {
        return pidfd_alive(p->pidfd) ? 0 : -ESRCH;
}

/* What the kernel says this descriptor names: -EBADF for one that is no pidfd, -ESRCH for a process
 * that is gone or not visible. Else a number that fits any kind of descriptor would be taken for a
 * living process. */
static int pidfd_names(int pidfd, int pid) {
        static const char head[] = "\nPid:\t";
        AUTO_BUF struct buf text = BUF_INIT;
        char path[64];
        char *at;
        uint64_t n = 0;
        int r;

        (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
        r = io_read_file_at(AT_FDCWD, path, FDINFO_MAX, &text);
        if (r < 0)
                return r == -ENOENT ? -EBADF : r;
        at = text.len > 0 ? strstr(text.data, head) : NULL;
        if (!at)
                return -EBADF;
        at += sizeof(head) - 1;
        at[strcspn(at, "\n")] = '\0';
        return number_parse(at, INT_MAX, &n) < 0 || n != (uint64_t)pid ? -ESRCH : 0;
}

/* Takes over p->pidfd in any case. */
static int pinned_open(struct pinned *p) {
        char path[32];
        int r = check_alive(p);

        if (r < 0)
                return r;
        (void)snprintf(path, sizeof(path), "/proc/%d", p->pid);
        p->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (p->dir < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        /* It lived before and after: the folder is its own, and not that of a later process with
         * its number. */
        r = check_alive(p);
        if (r < 0)
                return r;
        return proc_stat_at(p->dir, &p->stat);
}

static bool is_hidden(int r) {
        return r == -EACCES || r == -EPERM;
}

/*
 * A process in another mount namespace runs what it mounted wherever it liked: there the path is
 * its own claim. It counts if the same path leads to the same file here. Only the cache is asked:
 * the running file keeps its own path in there, and a file system of the peer's making cannot let
 * us wait.
 */
static bool path_means_the_same_here(const char *path, const struct inode *inode) {
        const struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                                      .resolve = RESOLVE_CACHED | RESOLVE_NO_SYMLINKS };
        AUTO_CLOSE int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
        struct inode here;

        return fd >= 0 && inode_at(fd, "", &here) == 0 && inode_same(&here, inode);
}

static int same_mounts(const struct pinned *p) {
        struct inode theirs = { 0 };
        struct inode own = { 0 };
        int r = inode_at(p->dir, "ns/mnt", &theirs);

        if (r == 0)
                r = inode_at(AT_FDCWD, "/proc/self/ns/mnt", &own);
        if (r < 0)
                return is_hidden(r) ? 0 : r;
        return inode_same(&theirs, &own);
}

static bool path_is_text(const char *path, size_t len) {
        for (size_t i = 0; i < len; i++)
                if ((unsigned char)path[i] < 0x20 || path[i] == 0x7f)
                        return false;
        return utf8_valid(path, len);
}

/* 0 with ret->known false: it runs, but what it runs is hidden or cannot be said in text. */
static int exe_read(const struct pinned *p, struct evidence_exe *ret) {
        AUTO_CLOSE int fd = openat(p->dir, "exe", O_PATH | O_CLOEXEC);
        struct evidence_exe exe = { .known = true };
        struct inode inode;
        char link[64];
        ssize_t n;
        int r;

        *ret = (struct evidence_exe){ 0 };
        if (fd < 0) {
                /* ENOENT: a kernel thread, or a process that is just ending */
                r = -errno;
                return is_hidden(r) || r == -ENOENT ? check_alive(p) : r;
        }
        r = inode_at(fd, "", &inode);
        if (r < 0)
                return r;
        /* The name of the very file that was opened: "exe" itself might lead to another by now. */
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, exe.path, sizeof(exe.path));
        if (n < 0)
                return -errno;
        if ((size_t)n >= sizeof(exe.path) || exe.path[0] != '/' ||
            !path_is_text(exe.path, (size_t)n))
                return 0;
        exe.path[n] = '\0';
        exe.dev = inode.dev;
        exe.ino = inode.ino;
        r = same_mounts(p);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        if (r > 0 || path_means_the_same_here(exe.path, &inode))
                *ret = exe;
        return 0;
}

static int cgroup_read(const struct pinned *p, struct evidence *e) {
        AUTO_BUF struct buf text = BUF_INIT;
        int r = io_read_file_at(p->dir, "cgroup", CGROUP_FILE_MAX, &text);

        if (r < 0 && (is_hidden(r) || r == -ENOENT || r == -EFBIG))
                return check_alive(p); /* a kernel without control groups */
        if (r < 0)
                return r;
        if (cgroup_parse(text.data, text.len, e->cgroup) == 0)
                cgroup_units(e->cgroup, e->unit, e->user_unit);
        return 0;
}

static bool is_shortage(int r) {
        return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

/*
 * 1 and @ret pinned if it is the process that started @child; 0 if that cannot be known. An orphan
 * is adopted by pid 1 or a subreaper, and the kernel does not say so. It shows in the session: a
 * process is in its parent's or leads one of its own, so that a child in a third one has lost the
 * parent that it came from.
 */
static int parent_open(const struct pinned *child, struct pinned *ret) {
        __attribute__((cleanup(pinned_done))) struct pinned p = PINNED_INIT;
        struct proc_stat again;
        int r;

        if (child->stat.ppid <= 1)
                return 0;
        p.pid = child->stat.ppid;
        p.pidfd = pidfd_open(p.pid, 0);
        if (p.pidfd < 0)
                return is_shortage(-errno) ? -errno : 0;
        r = pinned_open(&p);
        if (r < 0)
                return is_shortage(r) ? r : 0;
        if (p.stat.start_ticks > child->stat.start_ticks)
                return 0;
        if (child->stat.session != child->pid && child->stat.session != p.stat.session)
                return 0;
        /* Still its child now that the parent is held: the number was not another's when it was
         * read. */
        r = proc_stat_at(child->dir, &again);
        if (r < 0)
                return is_shortage(r) ? r : 0;
        if (again.ppid != p.pid || !pidfd_alive(p.pidfd))
                return 0;
        pinned_move(ret, &p);
        return 1;
}

static void anchor_set(struct evidence *e, const struct pinned *p, const struct evidence_exe *exe) {
        e->anchor_known = true;
        e->anchor_pid = p->pid;
        e->anchor_start_ticks = p->stat.start_ticks;
        e->anchor = *exe;
}

/* The first ancestor that is neither ours nor a shell; unknown as soon as one step is. */
static int anchor_find(const struct pinned *peer, const struct peer_ours *ours,
                       struct evidence *e) {
        __attribute__((cleanup(pinned_done))) struct pinned held = PINNED_INIT;
        const struct pinned *child = peer;

        for (int i = 0; i < ANCESTORS_MAX; i++) {
                __attribute__((cleanup(pinned_done))) struct pinned parent = PINNED_INIT;
                struct evidence_exe exe;
                unsigned kind;
                int r = parent_open(child, &parent);

                if (r <= 0)
                        return r;
                r = exe_read(&parent, &exe);
                if (r < 0)
                        return is_shortage(r) ? r : 0;
                if (!exe.known)
                        return 0;
                kind = peer_ours_kind(ours, exe.dev, exe.ino);
                if (kind & PEER_KIND_REAPER)
                        return 0;
                if (!(kind & (PEER_KIND_OURS | PEER_KIND_SHELL))) {
                        if (pidfd_alive(parent.pidfd))
                                anchor_set(e, &parent, &exe);
                        return 0;
                }
                pinned_move(&held, &parent);
                child = &held;
        }
        return 0;
}

static bool exe_same(const struct evidence_exe *a, const struct evidence_exe *b) {
        return a->known == b->known && a->dev == b->dev && a->ino == b->ino;
}

static int gather(struct pinned *p, const struct peer_ours *ours, struct evidence *e) {
        struct evidence_exe again;
        unsigned kind = 0;
        int r = pinned_open(p);

        if (r < 0)
                return r;
        e->pid = p->pid;
        e->start_ticks = p->stat.start_ticks;
        r = exe_read(p, &e->exe);
        if (r < 0)
                return r;
        if (e->exe.known)
                kind = peer_ours_kind(ours, e->exe.dev, e->exe.ino);
        e->ours = (kind & PEER_KIND_OURS) != 0;
        e->daemon = (kind & PEER_KIND_DAEMON) != 0;
        r = cgroup_read(p, e);
        if (r < 0)
                return r;
        if (e->ours)
                r = anchor_find(p, ours, e);
        else if (e->exe.known)
                anchor_set(e, p, &e->exe);
        if (r < 0)
                return r;
        r = exe_read(p, &again);
        if (r < 0)
                return r;
        if (!exe_same(&e->exe, &again))
                return -EAGAIN;
        return check_alive(p);
}

static int not_visible(int pid, struct error *err) {
        if (pid <= 0)
                return error_set(err, MCPB_DENIED, ESRCH,
                                 "It runs in another PID namespace, such as a container's: run a "
                                 "broker of its own in there.",
                                 "the process that asks is not visible from here");
        return error_set(err, MCPB_DENIED, ESRCH,
                         "Ask from a process that stays until it has its answer.",
                         "the process that asks (pid %d) is gone", pid);
}

int peer_attest(int pid, int pidfd, const struct peer_ours *ours, struct evidence *ret,
                struct error *err) {
        __attribute__((cleanup(pinned_done))) struct pinned p = PINNED_INIT;
        struct evidence e = { 0 };
        int r;

        if (pid <= 0)
                return not_visible(pid, err);
        p.pid = pid;
        p.pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
        r = p.pidfd < 0 ? -errno : pidfd_names(p.pidfd, pid);
        if (r == 0)
                r = gather(&p, ours, &e);
        if (r == -ESRCH)
                return not_visible(pid, err);
        if (r == -EAGAIN)
                return error_set(err, MCPB_RETRY, EAGAIN, "Try again.",
                                 "process %d started another program while it was looked at", pid);
        if (r < 0)
                return error_set(err, MCPB_INTERNAL, -r, NULL, "cannot look at process %d: %s", pid,
                                 strerror(-r));
        *ret = e;
        return 0;
}
