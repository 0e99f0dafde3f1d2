/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UNIX sockets: listening where nobody else can, connecting to nobody else, and who the peer is as
 * the kernel tells it. All descriptors are close-on-exec; the listening ones and pairs are
 * non-blocking, a connected client's is blocking.
 */
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include "base/error.h"

struct ucred;

/*
 * Listens at @path (absolute): its folder is made with 0700 or must be private to us
 * (dir_open_private), the socket gets 0600. A socket file that nobody answers is removed, under a
 * lock in that folder so that two starting daemons cannot take each other's. -EEXIST with @err
 * (EXISTS) if a daemon answers there already. SO_PASSCRED is on, also for what is accepted.
 */
int sock_listen_unix(const char *path, int *ret_fd, struct error *err) MUST_CHECK;

/*
 * Connects to the daemon at @path. Before a byte is sent: only we (and root) can put a socket into
 * its folder, and the process at the other end runs as us (its uid as the kernel tells it). @err:
 * NO_DAEMON if nobody is there (-ENOENT, -ECONNREFUSED), DENIED (-EPERM) if it is somebody else's.
 */
int sock_connect_unix(const char *path, int *ret_fd, struct error *err) MUST_CHECK;

/* The process that connected (or made the pair), frozen at that moment. -ESRCH if it is not visible
 * from here (pid 0). */
int sock_peer_cred(int fd, struct ucred *ret) MUST_CHECK;

/* A descriptor of the peer process: SO_PEERPIDFD, or pidfd_open(@pid) where the kernel is older
 * than 6.5; then the caller must bind it to the peer by the nonce. *@ret_exact (may be NULL)
 * says whether the kernel bound it. -ESRCH: gone. */
int sock_peer_pidfd(int fd, pid_t pid, int *ret_fd, bool *ret_exact) MUST_CHECK;

/* True while the process of @pidfd lives. */
bool pidfd_alive(int pidfd);

int sock_pair(int ret_fds[static 2]) MUST_CHECK; /* stream, close-on-exec, non-blocking */
int sock_set_passcred(int fd) MUST_CHECK;

/*
 * recv() that also says who sent these bytes: the kernel never merges bytes of two senders. Without
 * SO_PASSCRED, or at the end of the stream, @ret is all zero (pid 0). Descriptors that were sent
 * along are closed. Returns the number of bytes, 0 at the end, or -errno.
 */
ssize_t sock_recv_cred(int fd, void *data, size_t len, struct ucred *ret) MUST_CHECK;
