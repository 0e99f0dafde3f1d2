/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each role cannot do any more. What it still can is in test-sandbox-work.c.
 */
#include "sandbox/sandbox.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "inside.h"
#include "sandbox/landlock.h"
#include "tmp.h"

/* --- attempts ------------------------------------------------------------------------------ */

static int opened(int fd) {
        if (fd < 0)
                return -errno;
        (void)close(fd);
        return 0;
}

static int result(long r) {
        return r < 0 ? -errno : 0;
}

static int try_socket_inet(struct scene *s) {
        return opened(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int try_socket_inet6_udp(struct scene *s) {
        return opened(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

static int try_socket_unix(struct scene *s) {
        return opened(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int try_socket_netlink(struct scene *s) {
        return opened(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int try_socket_packet(struct scene *s) {
        return opened(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int try_socket_raw(struct scene *s) {
        return opened(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP));
}

static int try_pair_dgram(struct scene *s) {
        int fds[2];

        return result(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds));
}

static int try_pair_stream(struct scene *s) {
        int fds[2];

        return result(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
}

static int try_connect_tcp(struct scene *s) {
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(s->port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        return result(connect(s->tcp_unconnected, (struct sockaddr *)&a, sizeof(a)));
}

static int try_connect_unix(struct scene *s) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/listener", s->folder);
        return result(connect(s->unix_unconnected, (struct sockaddr *)&a, sizeof(a)));
}

static int try_bind(struct scene *s) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        return result(bind(s->tcp_unconnected, (struct sockaddr *)&a, sizeof(a)));
}

static int try_listen(struct scene *s) {
        return result(listen(s->tcp, 1));
}

static int try_send_to_address(struct scene *s) {
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(s->port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        return result(sendto(s->client, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&a, sizeof(a)));
}

static int try_exec(struct scene *s) {
        char name[] = "true";
        char *argv[] = { name, NULL };

        (void)execve("/bin/true", argv, (char *[]){ NULL });
        return -errno;
}

static int try_execveat(struct scene *s) {
        char name[] = "true";
        char *argv[] = { name, NULL };

        return result(syscall(SYS_execveat, s->file, "", argv, (char *[]){ NULL }, AT_EMPTY_PATH));
}

static int try_fork(struct scene *s) {
        pid_t pid = fork();

        if (pid == 0)
                child_exit(0);
        return result(pid);
}

static int try_clone3(struct scene *s) {
        return result(syscall(SYS_clone3, NULL, 0));
}

static int try_new_namespace(struct scene *s) {
        return result(unshare(CLONE_NEWUSER));
}

static void *nothing(void *userdata) {
        return userdata;
}

static int try_thread(struct scene *s) {
        pthread_t t;
        int r = pthread_create(&t, NULL, nothing, NULL);

        return r == 0 ? -pthread_join(t, NULL) : -r;
}

static int try_open_passwd(struct scene *s) {
        return opened(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int try_open_ours(struct scene *s) {
        char path[TMP_PATH_MAX];

        return opened(open(tmp_path(path, s->folder, "secret"), O_RDONLY | O_CLOEXEC));
}

static int try_open_state(struct scene *s) {
        return opened(openat(s->state_dirfd, "record", O_RDONLY | O_CLOEXEC));
}

static int try_open_etc_for_writing(struct scene *s) {
        return opened(open("/etc/passwd", O_WRONLY | O_APPEND | O_CLOEXEC));
}

static int try_create(struct scene *s) {
        char path[TMP_PATH_MAX];

        return opened(open(tmp_path(path, s->folder, "new"), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

static int try_tmpfile(struct scene *s) {
        return opened(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

static int try_unlink(struct scene *s) {
        char path[TMP_PATH_MAX];

        return result(unlink(tmp_path(path, s->folder, "secret")));
}

static int try_truncate(struct scene *s) {
        char path[TMP_PATH_MAX];

        return result(truncate(tmp_path(path, s->folder, "secret"), 0));
}

static int try_list(struct scene *s) {
        return opened(open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int try_proc_of_parent(struct scene *s) {
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)getppid());
        return opened(open(path, O_RDONLY | O_CLOEXEC));
}

static int mapped(void *p) {
        if (p == MAP_FAILED)
                return -errno;
        (void)munmap(p, 4096);
        return 0;
}

static int try_map_code(struct scene *s) {
        return mapped(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static int try_map_writable_code(struct scene *s) {
        return mapped(
                mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, s->file, 0));
}

static int try_map_file_as_code(struct scene *s) {
        return mapped(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, s->file, 0));
}

static int try_turn_into_code(struct scene *s) {
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int r;

        if (p == MAP_FAILED)
                return 0; /* would be a surprise: fails the test */
        r = result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
        (void)munmap(p, 4096);
        return r;
}

static int try_ptrace(struct scene *s) {
        return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int try_read_parent(struct scene *s) {
        char data;

        return result(syscall(SYS_process_vm_readv, getppid(), NULL, 0, &data, 0, 0));
}

static int try_kill_parent(struct scene *s) {
        return result(kill(getppid(), 0));
}

static int try_tgkill_parent(struct scene *s) {
        return result(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int try_steal_fd(struct scene *s) {
        return result(syscall(SYS_pidfd_getfd, 0, 0, 0));
}

static int try_memfd(struct scene *s) {
        return opened(memfd_create("x", MFD_CLOEXEC));
}

static int try_keyring(struct scene *s) {
        return result(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
}

static int try_io_uring(struct scene *s) {
        return result(syscall(SYS_io_uring_setup, 1, NULL));
}

static int try_bpf(struct scene *s) {
        return result(syscall(SYS_bpf, 0, NULL, 0));
}

static int try_perf(struct scene *s) {
        return result(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
}

static int try_userfaultfd(struct scene *s) {
        return result(syscall(SYS_userfaultfd, 0));
}

static int try_type_into_terminal(struct scene *s) {
        char c = 'x';

        return result(syscall(SYS_ioctl, s->file, 0x5412 /* TIOCSTI */, &c));
}

static int try_dumpable(struct scene *s) {
        return result(prctl(PR_SET_DUMPABLE, 1));
}

static int try_personality(struct scene *s) {
        return result(syscall(SYS_personality, 0x0400000 /* READ_IMPLIES_EXEC */));
}

static int try_setuid(struct scene *s) {
        return result(syscall(SYS_setuid, 65534));
}

static int try_unknown_call(struct scene *s) {
        return result(syscall(9999));
}

/* --- the scene ----------------------------------------------------------------------------- */

static void put(const char *folder, const char *name) {
        char path[TMP_PATH_MAX];
        int fd = open(tmp_path(path, folder, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, "text", 4), 4);
        assert_int_equal(close(fd), 0);
}

static void open_tcp(struct scene *s) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof(a);

        s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s->tcp, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(listen(s->tcp, 4), 0);
        assert_int_equal(getsockname(s->tcp, (struct sockaddr *)&a, &len), 0);
        s->port = ntohs(a.sin_port);
        s->tcp_unconnected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(s->tcp_unconnected >= 0);
}

static void open_unix(struct scene *s) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/listener", s->folder);
        s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(listen(s->listener, 4), 0);
        s->client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(s->client, (struct sockaddr *)&a, sizeof(a)), 0);
        s->unix_unconnected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(s->unix_unconnected >= 0);
}

static int setup(void **state) {
        struct scene *s = calloc(1, sizeof(*s));
        char path[TMP_PATH_MAX];

        assert_non_null(s);
        s->folder = tmp_new();
        put(s->folder, "secret");
        put(s->folder, "open");
        s->file = open(tmp_path(path, s->folder, "open"), O_RDWR | O_CLOEXEC);
        assert_int_equal(ftruncate(s->file, 8192), 0);
        assert_int_equal(mkdir(tmp_path(path, s->folder, "state"), 0700), 0);
        put(path, "record");
        s->state_dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(s->state_dirfd >= 0);
        open_unix(s);
        open_tcp(s);
        *state = s;
        return 0;
}

static int teardown(void **state) {
        struct scene *s = *state;
        int fds[] = { s->state_dirfd,     s->file, s->listener,
                      s->client,          s->tcp,  s->tcp_unconnected,
                      s->unix_unconnected };

        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                assert_int_equal(close(fds[i]), 0);
        (void)tmp_free(s->folder);
        free(s);
        return 0;
}

/* What the kernel under us grants; a test of what it lacks is skipped. */
static struct sandbox_report granted(void) {
        struct sandbox_profile p = sandbox_kdf();
        struct sandbox_report report = { 0 };
        int fds[2];
        pid_t pid;

        assert_int_equal(pipe(fds), 0);
        pid = fork();
        if (pid == 0) {
                if (sandbox_enter(&p, &report, NULL) < 0)
                        child_exit(1);
                child_exit(write(fds[1], &report, sizeof(report)) == sizeof(report) ? 0 : 1);
        }
        assert_int_equal(close(fds[1]), 0);
        assert_int_equal(read(fds[0], &report, sizeof(report)), sizeof(report));
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(close(fds[0]), 0);
        return report;
}

/* --- claims -------------------------------------------------------------------------------- */

#define EVERYWHERE                                                                             \
        { "socket netlink", try_socket_netlink, -EPERM },                                      \
                { "socket packet", try_socket_packet, -EPERM },                                \
                { "socket raw", try_socket_raw, -EPERM },                                      \
                { "socket unix", try_socket_unix, -EPERM },                                    \
                { "dgram pair", try_pair_dgram, -EPERM }, { "exec", try_exec, -EPERM },        \
                { "execveat", try_execveat, -EPERM }, { "fork", try_fork, -EPERM },            \
                { "clone3", try_clone3, -ENOSYS }, { "namespace", try_new_namespace, -EPERM }, \
                { "new code", try_map_code, -EPERM },                                          \
                { "writable code", try_map_writable_code, -EPERM },                            \
                { "data into code", try_turn_into_code, -EPERM },                              \
                { "ptrace", try_ptrace, -EPERM }, { "read parent", try_read_parent, -EPERM },  \
                { "kill parent", try_kill_parent, -EPERM },                                    \
                { "tgkill parent", try_tgkill_parent, -EPERM },                                \
                { "steal descriptor", try_steal_fd, -EPERM }, { "memfd", try_memfd, -EPERM },  \
                { "keyring", try_keyring, -EPERM }, { "io_uring", try_io_uring, -EPERM },      \
                { "bpf", try_bpf, -EPERM }, { "perf", try_perf, -EPERM },                      \
                { "userfaultfd", try_userfaultfd, -EPERM },                                    \
                { "terminal", try_type_into_terminal, -EPERM },                                \
                { "personality", try_personality, -EPERM }, { "setuid", try_setuid, -EPERM },  \
                { "dumpable", try_dumpable, -EPERM },                                          \
                { "unknown call", try_unknown_call, -EPERM },                                  \
                { "open of ours", try_open_ours, -EACCES },                                    \
                { "open for writing", try_open_etc_for_writing, ANY_ERROR },                   \
                { "create", try_create, ANY_ERROR }, { "unlink", try_unlink, ANY_ERROR },      \
                { "truncate", try_truncate, ANY_ERROR }, { "list", try_list, -EACCES },        \
                { "environment of parent", try_proc_of_parent, -EACCES }, {                    \
                "temporary file", try_tmpfile, ANY_ERROR                                       \
        }

#define NO_NETWORK                                                                          \
        { "socket inet", try_socket_inet, -EPERM },                                         \
                { "socket inet6", try_socket_inet6_udp, -EPERM },                           \
                { "connect tcp", try_connect_tcp, -EPERM },                                 \
                { "connect unix", try_connect_unix, -EPERM }, { "bind", try_bind, -EPERM }, \
                { "listen", try_listen, -EPERM }, {                                         \
                "send to an address", try_send_to_address, -EPERM                           \
        }

/* Those of whom nothing is asked but what comes through their descriptors. */
static void no_network_no_exec_and_no_files(struct sandbox_profile p, void **state) {
        static const struct attempt attempts[] = {
                EVERYWHERE,
                NO_NETWORK,
                { "thread", try_thread, -EPERM },
                { "open passwd", try_open_passwd, -EACCES },
                { "open state", try_open_state, -EACCES },
                { "file as code", try_map_file_as_code, -EPERM },
        };

        if (!granted().seccomp)
                skip();
        inside(&p, *state, attempts, ARRAY_SIZE(attempts));
}

/* S2 */
static void the_keeper_has_no_network_no_exec_and_no_files(void **state) {
        no_network_no_exec_and_no_files(sandbox_keeper(), state);
}

/* S2 */
static void the_kdf_has_no_network_no_exec_and_no_files(void **state) {
        no_network_no_exec_and_no_files(sandbox_kdf(), state);
}

/* S2 */
static void the_writer_has_its_folder_and_nothing_else(void **state) {
        static const struct attempt attempts[] = {
                EVERYWHERE,
                NO_NETWORK,
                { "thread", try_thread, -EPERM },
                { "open passwd", try_open_passwd, -EACCES },
                { "open state", try_open_state, 0 },
                { "file as code", try_map_file_as_code, -EPERM },
        };
        struct scene *s = *state;
        struct sandbox_profile p = sandbox_writer(s->state_dirfd);
        struct sandbox_report report = granted();

        if (!report.seccomp || report.landlock_abi < 3)
                skip();
        inside(&p, s, attempts, ARRAY_SIZE(attempts));
}

/* S2 */
static void net_has_no_state_no_exec_and_no_unix_sockets(void **state) {
        static const struct attempt attempts[] = {
                EVERYWHERE,
                { "connect unix", try_connect_unix, ANY_ERROR },
                { "open state", try_open_state, -EACCES },
                { "socket inet", try_socket_inet, 0 },
                { "socket inet6", try_socket_inet6_udp, 0 },
                { "stream pair", try_pair_stream, 0 },
                { "thread", try_thread, 0 },
                { "open passwd", try_open_passwd, 0 },
        };
        struct scene *s = *state;
        struct sandbox_profile p = sandbox_net();
        struct sandbox_report report = granted();

        if (!report.seccomp || report.landlock_abi < 3)
                skip();
        /* An AF_UNIX socket that it does not have: it could connect one, and only TCP ones are
         * handed to it. */
        (void)close(s->unix_unconnected);
        s->unix_unconnected = dup(s->file);
        inside(&p, s, attempts, ARRAY_SIZE(attempts));
}

/* Returns 0 in a child that closed itself in by Landlock of that ABI alone and got the expected
 * answers. */
static int landlock_attempts(struct scene *s, unsigned abi, const struct attempt *attempts,
                             size_t n_attempts) {
        int status = 0;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                struct sandbox_profile p = sandbox_keeper();
                struct sandbox_report report = { .role = "keeper" };

                if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
                    landlock_enter(&p, abi, &report, NULL) < 0 || report.landlock_abi != abi)
                        child_exit(200);
                for (size_t i = 0; i < n_attempts; i++)
                        if (attempts[i].fn(s) != attempts[i].expect)
                                child_exit((int)i + 1);
                child_exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* Debian 12's kernel has ABI 2, newer ones more: each as far as this kernel goes. */
static void landlock_alone_keeps_files_shut(void **state) {
        static const struct attempt attempts[] = {
                { "open passwd", try_open_passwd, -EACCES }, { "create", try_create, -EACCES },
                { "unlink", try_unlink, -EACCES },           { "list", try_list, -EACCES },
                { "open state", try_open_state, -EACCES },
        };
        static const struct attempt from_3[] = { { "truncate", try_truncate, -EACCES } };
        static const struct attempt from_4[] = { { "connect tcp", try_connect_tcp, -EACCES },
                                                 { "bind", try_bind, -EACCES } };

        if (landlock_probe() == 0)
                skip();
        for (unsigned abi = 1; abi <= landlock_probe(); abi++) {
                assert_int_equal(landlock_attempts(*state, abi, attempts, ARRAY_SIZE(attempts)), 0);
                if (abi >= 3)
                        assert_int_equal(landlock_attempts(*state, abi, from_3, 1), 0);
                if (abi >= 4)
                        assert_int_equal(landlock_attempts(*state, abi, from_4, 2), 0);
        }
}

/* Makes one system call answer ENOSYS from now on, as a kernel without it does. */
static int lose_call(unsigned call) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { ARRAY_SIZE(code), code };

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static bool misses(const struct sandbox_report *report, const char *what) {
        for (size_t i = 0; i < report->n_missing; i++)
                if (streq(report->missing[i], what))
                        return true;
        return false;
}

static int enter_without_landlock(void) {
        struct sandbox_profile p = sandbox_keeper();
        struct sandbox_report report;

        if (lose_call(SYS_landlock_create_ruleset) < 0 || sandbox_enter(&p, &report, NULL) < 0)
                return 1;
        if (report.landlock_abi != 0 || !report.seccomp || !misses(&report, "landlock"))
                return 2;
        return try_open_passwd(NULL) == -EACCES && try_socket_inet(NULL) == -EPERM ? 0 : 3;
}

static int enter_without_seccomp(void) {
        struct sandbox_profile p = sandbox_keeper();
        struct sandbox_report report;

        if (lose_call(SYS_seccomp) < 0 || sandbox_enter(&p, &report, NULL) < 0)
                return 1;
        if (report.seccomp || report.landlock_abi == 0 || !misses(&report, "seccomp"))
                return 2;
        return try_open_passwd(NULL) == -EACCES ? 0 : 3;
}

/* Each layer holds without the other, and the report says which one is missing. */
static void a_kernel_that_lacks_a_layer_is_reported_and_the_other_holds(void **state) {
        static int (*const entries[])(void) = { enter_without_landlock, enter_without_seccomp };

        if (!granted().seccomp || landlock_probe() == 0)
                skip();
        for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
                int status = 0;
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0)
                        child_exit(entries[i]());
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFEXITED(status));
#if defined(MCPB_SANITIZED) || defined(MCPB_COVERAGE)
                if (WEXITSTATUS(status) == 3)
                        continue; /* there, Landlock alone keeps files shut */
#endif
                assert_int_equal(WEXITSTATUS(status), 0);
        }
}

static void the_report_says_what_the_kernel_granted(void **state) {
        struct sandbox_report report = granted();
        struct sandbox_report old = { .role = "keeper",
                                      .no_new_privs = true,
                                      .landlock_abi = 2,
                                      .missing = { "seccomp", "landlock-tcp" },
                                      .n_missing = 2 };
        AUTO_JSON json_t *status = NULL;
        AUTO_JSON json_t *expected = NULL;

        assert_string_equal(report.role, "kdf");
        assert_true(report.no_new_privs);
        assert_int_equal(report.landlock_abi, landlock_probe());
        for (size_t i = 0; i < report.n_missing; i++)
                assert_false(streq(report.missing[i], "seccomp") && report.seccomp);
        assert_int_equal(sandbox_status_json(&old, &status), 0);
        expected = json_pack("{ss sb sb si s[ss]}", "role", "keeper", "no_new_privs", 1, "seccomp",
                             0, "landlock_abi", 2, "missing", "seccomp", "landlock-tcp");
        assert_true(json_equal(status, expected));
}

static void *wait_for_end(void *userdata) {
        char byte;

        return read(*(int *)userdata, &byte, 1) < 0 ? userdata : NULL;
}

static void a_process_with_threads_is_not_closed_in_by_halves(void **state) {
        struct sandbox_profile p = sandbox_net();
        struct sandbox_profile none = { SANDBOX_ROLE_COUNT, -1 };
        struct sandbox_profile blind = sandbox_writer(-1);
        struct sandbox_report report;
        struct error err = ERROR_INIT;
        pthread_t t;
        int fds[2];

        assert_int_equal(sandbox_enter(&none, &report, &err), -EINVAL);
        assert_int_equal(sandbox_enter(&blind, &report, &err), -EINVAL);
        assert_int_equal(pipe(fds), 0);
        assert_int_equal(pthread_create(&t, NULL, wait_for_end, &fds[0]), 0);
        assert_int_equal(sandbox_enter(&p, &report, &err), -EBUSY);
        assert_int_equal(close(fds[1]), 0);
        assert_int_equal(pthread_join(t, NULL), 0);
        assert_int_equal(close(fds[0]), 0);
}

int main(void) {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        static const struct CMUnitTest tests[] = {
                T(the_keeper_has_no_network_no_exec_and_no_files),
                T(the_kdf_has_no_network_no_exec_and_no_files),
                T(the_writer_has_its_folder_and_nothing_else),
                T(net_has_no_state_no_exec_and_no_unix_sockets),
                T(landlock_alone_keeps_files_shut),
                T(a_kernel_that_lacks_a_layer_is_reported_and_the_other_holds),
                T(the_report_says_what_the_kernel_granted),
                T(a_process_with_threads_is_not_closed_in_by_halves),
        };
#undef T

        return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
