/* SPDX-License-Identifier: Apache-2.0 */
#include "os/sock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "os/file.h"
#include "tmp.h"

#define OTHER_UID 65534

struct place {
        char *tmp;
        char folder[TMP_PATH_MAX];
        char path[TMP_PATH_MAX];
};

static int setup(void **state) {
        struct place *p = calloc(1, sizeof(*p));

        assert_non_null(p);
        p->tmp = tmp_new();
        (void)tmp_path(p->folder, p->tmp, "run");
        (void)tmp_path(p->path, p->tmp, "run/socket");
        *state = p;
        return 0;
}

static int teardown(void **state) {
        struct place *p = *state;

        (void)tmp_free(p->tmp);
        free(p);
        return 0;
}

/* A234 */
static void a_client_reaches_the_daemon(void **state) {
        struct place *p = *state;
        struct error err = ERROR_INIT;
        AUTO_CLOSE int listener = -1;
        AUTO_CLOSE int client = -1;
        AUTO_CLOSE int server = -1;
        struct ucred cred = { 0 };
        struct stat st;
        char data[16];

        assert_int_equal(sock_listen_unix(p->path, &listener, &err), 0);
        assert_int_equal(stat(p->folder, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        assert_int_equal(stat(p->path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_true(fcntl(listener, F_GETFL) & O_NONBLOCK);

        assert_int_equal(sock_connect_unix(p->path, &client, &err), 0);
        assert_false(fcntl(client, F_GETFL) & O_NONBLOCK);
        assert_int_equal(send(client, "hello", 5, 0), 5); /* before it is accepted */
        server = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        assert_true(server >= 0);
        assert_int_equal(sock_peer_cred(server, &cred), 0);
        assert_int_equal(cred.pid, getpid());
        assert_int_equal(cred.uid, geteuid());

        /* SO_PASSCRED came with the listening socket. */
        cred = (struct ucred){ 0 };
        assert_int_equal(sock_recv_cred(server, data, sizeof(data), &cred), 5);
        assert_int_equal(cred.pid, getpid());
        assert_int_equal(sock_recv_cred(server, data, sizeof(data), &cred), -EAGAIN);
        (void)close(TAKE_FD(client));
        assert_int_equal(sock_recv_cred(server, data, sizeof(data), &cred), 0);
        assert_int_equal(cred.pid, 0);
}

static void a_second_daemon_is_turned_away(void **state) {
        struct place *p = *state;
        struct error err = ERROR_INIT;
        AUTO_CLOSE int first = -1;
        AUTO_CLOSE int client = -1;
        int second = -1;

        assert_int_equal(sock_listen_unix(p->path, &first, &err), 0);
        assert_int_equal(sock_listen_unix(p->path, &second, &err), -EEXIST);
        assert_int_equal(err.code, MCPB_EXISTS);
        assert_int_equal(second, -1);
        assert_int_equal(sock_connect_unix(p->path, &client, &err), 0);
}

static void a_socket_left_behind_is_replaced(void **state) {
        struct place *p = *state;
        struct error err = ERROR_INIT;
        AUTO_CLOSE int again = -1;
        AUTO_CLOSE int client = -1;
        int first = -1;

        assert_int_equal(sock_listen_unix(p->path, &first, &err), 0);
        assert_int_equal(close(first), 0);
        assert_int_equal(sock_connect_unix(p->path, &client, &err), -ECONNREFUSED);
        assert_int_equal(err.code, MCPB_NO_DAEMON);
        assert_int_equal(sock_listen_unix(p->path, &again, &err), 0);
        assert_int_equal(sock_connect_unix(p->path, &client, &err), 0);
}

static void a_file_of_somebody_else_is_never_removed(void **state) {
        struct place *p = *state;
        struct error err = ERROR_INIT;
        struct stat st;
        int fd = -1;

        assert_int_equal(mkdir(p->folder, 0700), 0);
        assert_int_equal(mknod(p->path, S_IFREG | 0600, 0), 0);
        assert_int_equal(sock_listen_unix(p->path, &fd, &err), -EEXIST);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
        assert_int_equal(stat(p->path, &st), 0);
        assert_int_equal(unlink(p->path), 0);
        assert_int_equal(symlink("/nonexistent", p->path), 0);
        assert_int_equal(sock_listen_unix(p->path, &fd, &err), -EEXIST);
        assert_int_equal(lstat(p->path, &st), 0);
}

static void while_another_starts_nothing_is_removed(void **state) {
        struct place *p = *state;
        struct error err = ERROR_INIT;
        AUTO_CLOSE int dir = -1;
        AUTO_CLOSE int lock = -1;
        struct stat st;
        int fd = -1;

        assert_int_equal(sock_listen_unix(p->path, &fd, &err), 0);
        assert_int_equal(close(TAKE_FD(fd)), 0);
        assert_int_equal(dir_open_existing(p->folder, &dir, &err), 0);
        assert_int_equal(file_lock(dir, "socket.lock", &lock, &err), 0);
        assert_int_equal(sock_listen_unix(p->path, &fd, &err), -EEXIST);
        assert_int_equal(stat(p->path, &st), 0);
}

static void nobody_there_says_how_to_start_one(void **state) {
        struct place *p = *state;
        struct error err = ERROR_INIT;
        int fd = -1;

        assert_int_equal(sock_connect_unix(p->path, &fd, &err), -ENOENT);
        assert_int_equal(err.code, MCPB_NO_DAEMON);
        assert_non_null(strstr(err.hint, "systemctl --user"));
        assert_int_equal(mkdir(p->folder, 0700), 0);
        assert_int_equal(sock_connect_unix(p->path, &fd, &err), -ENOENT);
        assert_int_equal(err.code, MCPB_NO_DAEMON);
        assert_int_equal(sock_connect_unix("relative", &fd, &err), -EINVAL);
        assert_int_equal(fd, -1);
}

static void a_path_too_long_for_a_socket_is_said_so(void **state) {
        struct error err = ERROR_INIT;
        char path[200] = "/tmp/";
        int fd = -1;

        for (size_t i = 5; i < sizeof(path) - 1; i++)
                path[i] = i % 20 ? 'x' : '/';
        path[sizeof(path) - 2] = 'x';
        assert_int_equal(sock_listen_unix(path, &fd, &err), -ENAMETOOLONG);
        assert_non_null(strstr(err.hint, "MCP_BROKER_SOCK"));
        assert_int_equal(sock_connect_unix(path, &fd, &err), -ENAMETOOLONG);
}

static void a_folder_that_others_can_write_to_is_not_trusted(void **state) {
        struct place *p = *state;
        struct error err = ERROR_INIT;
        AUTO_CLOSE int listener = -1;
        AUTO_CLOSE int server = -1;
        int fd = -1;

        assert_int_equal(sock_listen_unix(p->path, &listener, &err), 0);
        assert_int_equal(chmod(p->folder, 0770), 0);
        assert_int_equal(sock_connect_unix(p->path, &fd, &err), -EPERM);
        assert_int_equal(err.code, MCPB_DENIED);
        assert_int_equal(chmod(p->folder, 01777), 0);
        assert_int_equal(sock_connect_unix(p->path, &fd, &err), -EPERM);
        server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(server, -1); /* it did not even connect */
}

/* A socket at our place behind which another user's process sits. */
static void a_daemon_of_another_user_is_not_spoken_to(void **state) {
        struct place *p = *state;
        struct error err = ERROR_INIT;
        AUTO_CLOSE int listener = -1;
        int ready[2];
        int fd = -1;
        char byte = 0;
        pid_t pid;

        if (geteuid() != 0)
                skip();
        assert_int_equal(mkdir(p->folder, 0700), 0);
        assert_int_equal(chown(p->folder, OTHER_UID, OTHER_UID), 0);
        assert_int_equal(chmod(p->tmp, 0755), 0);
        assert_int_equal(pipe(ready), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                if (setresgid(OTHER_UID, OTHER_UID, OTHER_UID) < 0 ||
                    setresuid(OTHER_UID, OTHER_UID, OTHER_UID) < 0 ||
                    sock_listen_unix(p->path, &listener, NULL) < 0 || write(ready[1], "x", 1) != 1)
                        _exit(1);
                (void)pause();
        }
        assert_int_equal(close(ready[1]), 0);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(sock_connect_unix(p->path, &fd, &err), -EPERM);
        assert_int_equal(err.code, MCPB_DENIED);
        assert_non_null(strstr(err.message, "Others than you"));
        /* Even in a folder of ours. */
        assert_int_equal(chown(p->folder, 0, 0), 0);
        assert_int_equal(sock_connect_unix(p->path, &fd, &err), -EPERM);
        assert_int_equal(err.code, MCPB_DENIED);
        assert_non_null(strstr(err.message, "another user"));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(close(ready[0]), 0);
}

/* S3 */
static void the_sender_is_known_and_not_only_who_connected(void **state) {
        AUTO_CLOSE int a = -1;
        AUTO_CLOSE int b = -1;
        struct ucred cred = { 0 };
        int fds[2];
        char data[16];
        pid_t pid;

        assert_int_equal(sock_pair(fds), 0);
        a = fds[0];
        b = fds[1];
        assert_int_equal(sock_set_passcred(a), 0);
        assert_int_equal(send(b, "one", 3, 0), 3);
        pid = fork();
        if (pid == 0)
                _exit(send(b, "two", 3, 0) == 3 ? 0 : 1);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        /* Bytes of two senders never come in one piece. */
        assert_int_equal(sock_recv_cred(a, data, sizeof(data), &cred), 3);
        assert_int_equal(cred.pid, getpid());
        assert_int_equal(sock_recv_cred(a, data, sizeof(data), &cred), 3);
        assert_int_equal(cred.pid, pid);
}

static void descriptors_sent_along_are_closed(void **state) {
        AUTO_CLOSE int a = -1;
        AUTO_CLOSE int b = -1;
        char space[CMSG_SPACE(2 * sizeof(int))] __attribute__((aligned(8))) = { 0 };
        char byte = 'x';
        struct iovec iov = { &byte, 1 };
        struct msghdr msg = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = space,
                              .msg_controllen = sizeof(space) };
        struct cmsghdr *m = CMSG_FIRSTHDR(&msg);
        struct ucred cred = { 0 };
        int fds[2];
        int before;
        char data[4];

        assert_int_equal(sock_pair(fds), 0);
        a = fds[0];
        b = fds[1];
        assert_int_equal(sock_set_passcred(a), 0);
        before = dup(0);
        assert_int_equal(close(before), 0);
        m->cmsg_level = SOL_SOCKET;
        m->cmsg_type = SCM_RIGHTS;
        m->cmsg_len = CMSG_LEN(2 * sizeof(int));
        memcpy(CMSG_DATA(m), fds, sizeof(fds));
        assert_int_equal(sendmsg(b, &msg, 0), 1);
        assert_int_equal(sock_recv_cred(a, data, sizeof(data), &cred), 1);
        assert_int_equal(cred.pid, getpid());
        assert_int_equal(dup(0), before);
        assert_int_equal(close(before), 0);
}

/* S3 */
static void a_peer_that_ended_is_seen_to_have_ended(void **state) {
        struct place *p = *state;
        struct error err = ERROR_INIT;
        AUTO_CLOSE int listener = -1;
        AUTO_CLOSE int server = -1;
        AUTO_CLOSE int pidfd = -1;
        struct ucred cred = { 0 };
        bool exact = false;
        int go[2];
        pid_t pid;
        int r;

        assert_int_equal(sock_listen_unix(p->path, &listener, &err), 0);
        assert_int_equal(pipe(go), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                char byte;
                int fd = -1;

                (void)close(go[1]);
                if (sock_connect_unix(p->path, &fd, NULL) < 0)
                        _exit(1);
                _exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
        }
        (void)close(go[0]);
        while ((server = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
                assert_int_equal(errno, EAGAIN);
        assert_int_equal(sock_peer_cred(server, &cred), 0);
        assert_int_equal(cred.pid, pid);
        assert_int_equal(sock_peer_pidfd(server, cred.pid, &pidfd, &exact), 0);
        assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
        assert_true(pidfd_alive(pidfd));
        assert_int_equal(close(go[1]), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_false(pidfd_alive(pidfd));
        /* Asked for only now: gone, or a descriptor that says so. */
        (void)close(TAKE_FD(pidfd));
        r = sock_peer_pidfd(server, cred.pid, &pidfd, &exact);
        assert_true(r == -ESRCH || (r == 0 && !pidfd_alive(pidfd)));
}

int main(void) {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        static const struct CMUnitTest tests[] = {
                T(a_client_reaches_the_daemon),
                T(a_second_daemon_is_turned_away),
                T(a_socket_left_behind_is_replaced),
                T(a_file_of_somebody_else_is_never_removed),
                T(while_another_starts_nothing_is_removed),
                T(nobody_there_says_how_to_start_one),
                T(a_path_too_long_for_a_socket_is_said_so),
                T(a_folder_that_others_can_write_to_is_not_trusted),
                T(a_daemon_of_another_user_is_not_spoken_to),
                T(the_sender_is_known_and_not_only_who_connected),
                T(descriptors_sent_along_are_closed),
                T(a_peer_that_ended_is_seen_to_have_ended),
        };
#undef T

        return cmocka_run_group_tests_name("sock", tests, NULL, NULL);
}
