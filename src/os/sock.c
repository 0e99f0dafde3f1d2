/* SPDX-License-Identifier: Apache-2.0 */
#include "os/sock.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>

#include "os/file.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

#define CONNECT_TIMEOUT_SEC 10
#define HINT_START "Start it with: systemctl --user start mcp-broker.socket, or: mcp-brokerd"

/* The folder part of an absolute path, the name in it, and both as an address. */
struct place {
        char *folder;
        const char *name; /* within the path that was given */
        struct sockaddr_un address;
};

static int find_place(const char *path, struct place *p, struct error *err) {
        const char *slash = strrchr(path, '/');

        if (path[0] != '/' || !slash[1])
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "Give an absolute path, in MCP_BROKER_SOCK for example",
                                 "'%s' is no path for a socket", path);
        if (strlen(path) >= sizeof(p->address.sun_path))
                return error_set(err, MCPB_BAD_CONFIG, ENAMETOOLONG,
                                 "Set MCP_BROKER_SOCK to a shorter path",
                                 "The socket path %s is longer than %zu bytes", path,
                                 sizeof(p->address.sun_path) - 1);
        *p = (struct place){ .name = slash + 1, .address = { .sun_family = AF_UNIX } };
        memcpy(p->address.sun_path, path, strlen(path));
        p->folder = slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
        return p->folder ? 0 : error_oom(err);
}

static int call_failed(struct error *err, const char *doing, const char *path) {
        return error_set(err, MCPB_INTERNAL, errno, NULL, "Cannot %s %s: %s", doing, path,
                         strerror(errno));
}

/* --- listening ----------------------------------------------------------------------------- */

/* 0 if nobody answers at the address, 1 if somebody does, -errno if that cannot be told. */
static int is_answered(const struct sockaddr_un *address) {
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return -errno;
        /* EAGAIN: so many wait there that we would have to. */
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
                return 1;
        return errno == ECONNREFUSED || errno == ENOENT ? 0 : -errno;
}

/* Removes a socket that its process left behind. The caller holds the lock. */
static int clear_place(int dirfd, const struct place *p, struct error *err) {
        const char *path = p->address.sun_path;
        struct stat st;
        int r;

        if (fstatat(dirfd, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : call_failed(err, "look at", path);
        if (!S_ISSOCK(st.st_mode))
                return error_set(err, MCPB_BAD_CONFIG, EEXIST,
                                 "Move it away, or choose another path",
                                 "%s is there and is no socket", path);
        r = is_answered(&p->address);
        if (r < 0)
                return error_set(err, MCPB_INTERNAL, -r, NULL, "Cannot try the socket %s: %s", path,
                                 strerror(-r));
        if (r > 0)
                return error_set(err, MCPB_EXISTS, EEXIST,
                                 "Stop the other one first: mcp-brokerctl stop",
                                 "A daemon listens at %s already", path);
        return unlinkat(dirfd, p->name, 0) < 0 ? call_failed(err, "remove", path) : 0;
}

static int listen_at(int dirfd, const struct place *p, int *ret_fd, struct error *err) {
        const char *path = p->address.sun_path;
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return call_failed(err, "make the socket", path);
        if (sock_set_passcred(fd) < 0)
                return call_failed(err, "ask for senders on", path);
        if (bind(fd, (const struct sockaddr *)&p->address, sizeof(p->address)) < 0)
                return call_failed(err, "make the socket", path);
        /* Before listen(): nobody can have connected yet. */
        if (fchmodat(dirfd, p->name, 0600, 0) < 0 || listen(fd, SOMAXCONN) < 0) {
                int r = call_failed(err, "listen at", path);

                (void)unlinkat(dirfd, p->name, 0);
                return r;
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int listen_locked(const struct place *p, int *ret_fd, struct error *err) {
        AUTO_CLOSE int dirfd = -1;
        AUTO_CLOSE int lock = -1;
        AUTO_FREE char *lock_name = NULL;
        int r = dir_open_private(p->folder, &dirfd, err);

        if (r < 0)
                return r;
        if (asprintf(&lock_name, "%s.lock", p->name) < 0) {
                lock_name = NULL;
                return error_oom(err);
        }
        r = file_lock(dirfd, lock_name, &lock, err);
        if (r == 0)
                r = clear_place(dirfd, p, err);
        return r < 0 ? r : listen_at(dirfd, p, ret_fd, err);
}

int sock_listen_unix(const char *path, int *ret_fd, struct error *err) {
        struct place p = { 0 };
        int r = find_place(path, &p, err);

        if (r == 0)
                r = listen_locked(&p, ret_fd, err);
        free(p.folder);
        return r;
}

/* --- connecting ---------------------------------------------------------------------------- */

static int no_daemon(struct error *err, int errnum, const char *path) {
        return error_set(err, MCPB_NO_DAEMON, errnum, HINT_START, "No daemon listens at %s: %s",
                         path, strerror(errnum));
}

static int check_folder(const struct place *p, struct error *err) {
        AUTO_CLOSE int fd = open(p->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct stat st;

        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return no_daemon(err, ENOENT, p->address.sun_path);
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_set(err, MCPB_DENIED, errno, NULL, "Cannot look at the folder %s: %s",
                                 p->folder, strerror(errno));
        if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & (S_IWGRP | S_IWOTH)))
                return error_set(err, MCPB_DENIED, EPERM,
                                 "Nothing was sent. Look who made it, then remove it",
                                 "Others than you can put a socket into %s", p->folder);
        return 0;
}

static int connect_bounded(const struct place *p, int *ret_fd, struct error *err) {
        struct timeval bound = { .tv_sec = CONNECT_TIMEOUT_SEC };
        struct timeval none = { 0 };
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return call_failed(err, "make a socket for", p->address.sun_path);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound));
        if (connect(fd, (const struct sockaddr *)&p->address, sizeof(p->address)) < 0) {
                if (errno == EAGAIN || errno == EINPROGRESS)
                        return error_set(err, MCPB_BUSY, EAGAIN, "Try again",
                                         "The daemon at %s does not take new connections",
                                         p->address.sun_path);
                return no_daemon(err, errno, p->address.sun_path);
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int sock_connect_unix(const char *path, int *ret_fd, struct error *err) {
        struct place p = { 0 };
        AUTO_CLOSE int fd = -1;
        struct ucred peer = { 0 };
        socklen_t len = sizeof(peer);
        int r = find_place(path, &p, err);

        if (r == 0)
                r = check_folder(&p, err);
        if (r == 0)
                r = connect_bounded(&p, &fd, err);
        free(p.folder);
        if (r < 0)
                return r;
        /* Not sock_peer_cred(): a daemon outside our pid namespace has no pid here, and its uid is
         * what counts. */
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
                return call_failed(err, "ask who listens at", path);
        if (peer.uid != geteuid())
                return error_set(
                        err, MCPB_DENIED, EPERM, "Nothing was sent. Find out whose process it is",
                        "The daemon at %s runs as another user (uid %u)", path, (unsigned)peer.uid);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* --- peers --------------------------------------------------------------------------------- */

int sock_peer_cred(int fd, struct ucred *ret) {
        struct ucred peer = { 0 };
        socklen_t len = sizeof(peer);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
                return -errno;
        if (peer.pid <= 0)
                return -ESRCH;
        *ret = peer;
        return 0;
}

int sock_peer_pidfd(int fd, pid_t pid, int *ret_fd, bool *ret_exact) {
        int pidfd = -1;
        socklen_t len = sizeof(pidfd);
        bool exact = getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0;

        if (!exact && errno != ENOPROTOOPT)
                return errno == EINVAL || errno == ENODATA ? -ESRCH : -errno;
        if (!exact) {
                if (pid <= 0)
                        return -ESRCH;
                pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
                if (pidfd < 0)
                        return errno == EINVAL ? -ESRCH : -errno;
        }
        (void)fcntl(pidfd, F_SETFD, FD_CLOEXEC);
        *ret_fd = pidfd;
        if (ret_exact)
                *ret_exact = exact;
        return 0;
}

bool pidfd_alive(int pidfd) {
        struct pollfd p = { .fd = pidfd, .events = POLLIN };
        int r;

        do
                r = poll(&p, 1, 0);
        while (r < 0 && errno == EINTR);
        return r == 0;
}

int sock_pair(int ret_fds[static 2]) {
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        ret_fds[0] = fds[0];
        ret_fds[1] = fds[1];
        return 0;
}

int sock_set_passcred(int fd) {
        int on = 1;

        return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
}

static void close_rights(const struct cmsghdr *m) {
        size_t n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        for (size_t i = 0; i < n; i++) {
                int fd;

                memcpy(&fd, CMSG_DATA(m) + i * sizeof(int), sizeof(int));
                (void)close(fd);
        }
}

ssize_t sock_recv_cred(int fd, void *data, size_t len, struct ucred *ret) {
        /* Descriptors that find no room here are closed by the kernel. */
        union {
                char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(4 * sizeof(int))];
                struct cmsghdr align;
        } control = { .space = { 0 } };
        struct iovec iov = { data, len };
        struct msghdr msg = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
        struct ucred cred = { 0 };
        ssize_t n;

        do
                n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        for (struct cmsghdr *m = CMSG_FIRSTHDR(&msg); m; m = CMSG_NXTHDR(&msg, m)) {
                if (m->cmsg_level != SOL_SOCKET)
                        continue;
                if (m->cmsg_type == SCM_RIGHTS)
                        close_rights(m);
                else if (m->cmsg_type == SCM_CREDENTIALS && m->cmsg_len == CMSG_LEN(sizeof(cred)))
                        memcpy(&cred, CMSG_DATA(m), sizeof(cred));
        }
        *ret = n > 0 ? cred : (struct ucred){ 0 };
        return n;
}
