/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another sandbox_hook(): tries what the process that has just closed itself in must not be able to
 * do, one thing after another, and writes a line of each to standard error for
 * tests/integration/confined.py: "attempt ROLE NAME ERRNO". What is tried does no harm where it is
 * not stopped: it fails for another reason, or is undone.
 */
#include "sandbox/hook.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#include "base/util.h"

#define MEMORY_SIZE ((size_t)4096)

/* Where things are; read before main() runs, for the environment is cleared there. */
static char home[PATH_MAX];
static pid_t supervisor;

static void __attribute__((constructor)) look_around(void) {
        const char *text = getenv("HOME");

        supervisor = getppid();
        if (text)
                (void)snprintf(home, sizeof(home), "%s", text);
}

/* A path of the test's scratch folder, whose "home" is ours. */
static const char *in_scratch(const char *name) {
        static char path[PATH_MAX + 64];

        (void)snprintf(path, sizeof(path), "%s/../%s", home, name);
        return path;
}

static int result(long r) {
        return r < 0 ? errno : 0;
}

static int opened(int fd) {
        int r = result(fd);

        if (fd >= 0)
                (void)close(fd);
        return r;
}

/* --- Sockets --------------------------------------------------------------------------------- */

static int try_inet(void) {
        return opened(socket(AF_INET, SOCK_STREAM, 0));
}

static int try_inet6_udp(void) {
        return opened(socket(AF_INET6, SOCK_DGRAM, 0));
}

static int try_raw(void) {
        return opened(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int try_unix(void) {
        return opened(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int try_unix_dgram_pair(void) {
        int fds[2];

        return result(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds));
}

static int try_netlink(void) {
        return opened(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int try_packet(void) {
        return opened(socket(AF_PACKET, SOCK_RAW, 0));
}

static int try_connect(void) {
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(9),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int r = fd < 0 ? errno : result(connect(fd, (struct sockaddr *)&a, sizeof(a)));

        if (fd >= 0)
                (void)close(fd);
        return r == ECONNREFUSED ? 0 : r; /* it was let out */
}

static int try_listen(void) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int r = fd < 0 ? errno : result(bind(fd, (struct sockaddr *)&a, sizeof(a)));

        if (r == 0)
                r = result(listen(fd, 1));
        if (fd >= 0)
                (void)close(fd);
        return r;
}

/* --- Programs and code ----------------------------------------------------------------------- */

static int try_exec(void) {
        char *argv[] = { (char[]){ "true" }, NULL };

        return result(execve("/bin/true", argv, argv + 1));
}

static int try_exec_missing(void) {
        char *argv[] = { (char[]){ "x" }, NULL };

        return result(syscall(SYS_execveat, AT_FDCWD, "/nonexistent", argv, argv + 1, 0));
}

static int try_fork(void) {
        pid_t pid = fork();
        int r = result(pid);

        if (pid == 0)
                _exit(0);
        if (pid > 0)
                (void)waitpid(pid, NULL, 0);
        return r;
}

static int try_clone_newuser(void) {
        pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

        if (pid == 0)
                _exit(0);
        return result(pid);
}

static int try_memory(int protection) {
        void *p = mmap(NULL, MEMORY_SIZE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                return errno;
        (void)munmap(p, MEMORY_SIZE);
        return 0;
}

static int try_map_exec(void) {
        return try_memory(PROT_READ | PROT_EXEC);
}

static int try_map_write_exec(void) {
        return try_memory(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int try_make_exec(void) {
        void *p =
                mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int r = p == MAP_FAILED ? ENOMEM : result(mprotect(p, MEMORY_SIZE, PROT_READ | PROT_EXEC));

        if (p != MAP_FAILED)
                (void)munmap(p, MEMORY_SIZE);
        return r;
}

static int try_memfd(void) {
        return opened(memfd_create("x", 0));
}

/* --- Files ----------------------------------------------------------------------------------- */

static int try_passwd(void) {
        return opened(open("/etc/passwd", O_RDONLY));
}

static int try_passwd_write(void) {
        return opened(open("/etc/passwd", O_WRONLY | O_APPEND));
}

static int try_openat2(void) {
        uint64_t how[3] = { O_RDONLY, 0, 0 };

        return opened((int)syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof(how)));
}

static int try_key(void) {
        return opened(open(in_scratch("state/store/key-of-test"), O_RDONLY));
}

static int try_audit(void) {
        return opened(open(in_scratch("state/audit/audit.log"), O_RDWR));
}

static int try_config(void) {
        return opened(open(in_scratch("config/mcp-broker.conf"), O_RDONLY));
}

static int try_list_home(void) {
        return opened(open(home, O_RDONLY | O_DIRECTORY));
}

static int try_create(void) {
        const char *path = in_scratch("intruder");
        int r = opened(open(path, O_WRONLY | O_CREAT, 0600));

        if (r == 0)
                (void)unlink(path);
        return r;
}

static int try_tmp(void) {
        return opened(open("/tmp", O_RDWR | O_TMPFILE, 0600));
}

static int try_unlink(void) {
        return result(unlink(in_scratch("state/lock")));
}

static int try_rename(void) {
        char from[sizeof(home) + 64];

        (void)snprintf(from, sizeof(from), "%s", in_scratch("state/lock"));
        return result(rename(from, in_scratch("state/where")));
}

static int try_link(void) {
        return result(symlink("/etc/passwd", in_scratch("state/store/link")));
}

static int try_chmod(void) {
        return result(chmod(in_scratch("state"), 0777));
}

static int try_chown(void) {
        return result(chown(in_scratch("state"), 0, 0));
}

static int try_truncate(void) {
        return result(truncate(in_scratch("state/lock"), 0));
}

static int try_own_memory(void) {
        return opened(open("/proc/self/mem", O_RDWR));
}

static int try_parents_memory(void) {
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)supervisor);
        return opened(open(path, O_RDONLY));
}

static int try_parents_root(void) {
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%d/root/etc/shadow", (int)supervisor);
        return opened(open(path, O_RDONLY));
}

/* --- Other processes ------------------------------------------------------------------------- */

static int try_ptrace(void) {
        long r = ptrace(PTRACE_SEIZE, supervisor, NULL, NULL);

        if (r == 0)
                (void)ptrace(PTRACE_DETACH, supervisor, NULL, NULL);
        return result(r);
}

static int try_read_memory(void) {
        char here[8];
        struct iovec to = { here, sizeof(here) };
        struct iovec from = { (void *)home, sizeof(here) };

        return result(process_vm_readv(supervisor, &to, 1, &from, 1, 0));
}

static int try_write_memory(void) {
        char here[1] = { 0 };
        struct iovec from = { here, sizeof(here) };
        struct iovec to = { NULL, 1 };

        return result(process_vm_writev(supervisor, &from, 1, &to, 1, 0));
}

static int try_kill(void) {
        return result(kill(supervisor, 0));
}

static int try_kill_group(void) {
        return result(kill(0, 0));
}

static int try_tgkill(void) {
        return result(syscall(SYS_tgkill, supervisor, supervisor, 0));
}

static int try_take_fd(void) {
        int pidfd = (int)syscall(SYS_pidfd_open, supervisor, 0);
        int r = result(pidfd);

        if (pidfd >= 0) {
                r = opened((int)syscall(SYS_pidfd_getfd, pidfd, 0, 0));
                (void)close(pidfd);
        }
        return r;
}

static int try_pidfd_signal(void) {
        int pidfd = (int)syscall(SYS_pidfd_open, supervisor, 0);
        int r = result(pidfd);

        if (pidfd >= 0) {
                r = result(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
                (void)close(pidfd);
        }
        return r;
}

static int try_priority(void) {
        return result(setpriority(PRIO_PROCESS, (id_t)supervisor, 0));
}

/* --- The kernel ------------------------------------------------------------------------------ */

static int try_mount(void) {
        return result(mount("none", "/nonexistent", "tmpfs", 0, NULL));
}

static int try_umount(void) {
        return result(umount2("/nonexistent", 0));
}

static int try_unshare(void) {
        return result(unshare(CLONE_NEWNS));
}

static int try_setns(void) {
        return result(setns(-1, CLONE_NEWNET));
}

static int try_chroot(void) {
        return result(chroot("/nonexistent"));
}

static int try_setuid(void) {
        return result(setresuid(getuid(), getuid(), getuid()));
}

static int try_dumpable(void) {
        int r = result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));

        if (r == 0)
                (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        return r;
}

static int try_filter(void) {
        struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        struct sock_fprog program = { 1, &allow };

        return result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

static int try_core(void) {
        struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };

        return result(setrlimit(RLIMIT_CORE, &core));
}

static int try_bpf(void) {
        return result(syscall(SYS_bpf, BPF_MAP_CREATE, NULL, 0));
}

static int try_perf(void) {
        return result(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
}

static int try_io_uring(void) {
        return result(syscall(SYS_io_uring_setup, 0, NULL));
}

static int try_userfaultfd(void) {
        return opened((int)syscall(SYS_userfaultfd, 0));
}

static int try_keyring(void) {
        return result(syscall(SYS_add_key, "user", "x", "y", 0, -3));
}

static int try_clock(void) {
        return result(syscall(SYS_clock_settime, CLOCK_REALTIME, NULL));
}

static int try_personality(void) {
        return result(syscall(SYS_personality, 0xffffffffUL));
}

static int try_terminal(void) {
        char c = 'x';

        return result(ioctl(STDERR_FILENO, TIOCSTI, &c));
}

static int try_modules(void) {
        return result(syscall(SYS_delete_module, "not-a-module", 0));
}

static int try_inotify(void) {
        return opened((int)syscall(SYS_inotify_init1, 0));
}

static int try_handle(void) {
        return result(syscall(SYS_open_by_handle_at, -1, NULL, O_RDONLY));
}

static const struct {
        const char *name;
        int (*fn)(void); /* 0, or errno */
} attempts[] = {
        { "socket-inet", try_inet },
        { "socket-inet6-udp", try_inet6_udp },
        { "socket-raw", try_raw },
        { "socket-unix", try_unix },
        { "socketpair-dgram", try_unix_dgram_pair },
        { "socket-netlink", try_netlink },
        { "socket-packet", try_packet },
        { "connect-tcp", try_connect },
        { "listen-tcp", try_listen },
        { "execve", try_exec },
        { "execveat", try_exec_missing },
        { "fork", try_fork },
        { "clone-newuser", try_clone_newuser },
        { "mmap-exec", try_map_exec },
        { "mmap-write-exec", try_map_write_exec },
        { "mprotect-exec", try_make_exec },
        { "memfd", try_memfd },
        { "open-passwd", try_passwd },
        { "open-passwd-write", try_passwd_write },
        { "openat2", try_openat2 },
        { "open-key", try_key },
        { "open-audit", try_audit },
        { "open-config", try_config },
        { "open-home", try_list_home },
        { "create", try_create },
        { "tmpfile", try_tmp },
        { "unlink", try_unlink },
        { "rename", try_rename },
        { "symlink", try_link },
        { "chmod", try_chmod },
        { "chown", try_chown },
        { "truncate", try_truncate },
        { "open-own-memory", try_own_memory },
        { "open-others-memory", try_parents_memory },
        { "open-others-root", try_parents_root },
        { "ptrace", try_ptrace },
        { "process-vm-readv", try_read_memory },
        { "process-vm-writev", try_write_memory },
        { "kill", try_kill },
        { "kill-group", try_kill_group },
        { "tgkill", try_tgkill },
        { "pidfd-getfd", try_take_fd },
        { "pidfd-send-signal", try_pidfd_signal },
        { "setpriority", try_priority },
        { "mount", try_mount },
        { "umount", try_umount },
        { "unshare", try_unshare },
        { "setns", try_setns },
        { "chroot", try_chroot },
        { "setresuid", try_setuid },
        { "set-dumpable", try_dumpable },
        { "seccomp", try_filter },
        { "rlimit-core", try_core },
        { "bpf", try_bpf },
        { "perf-event-open", try_perf },
        { "io-uring", try_io_uring },
        { "userfaultfd", try_userfaultfd },
        { "add-key", try_keyring },
        { "clock-settime", try_clock },
        { "personality", try_personality },
        { "ioctl-tiocsti", try_terminal },
        { "delete-module", try_modules },
        { "inotify", try_inotify },
        { "open-by-handle", try_handle },
};

/* One write a line: several processes write to the same file. */
static void tell(const char *role, const char *name, int errnum) {
        char line[128];
        int n = snprintf(line, sizeof(line), "attempt %s %s %s\n", role, name,
                         errnum == 0 ? "0" : strerrorname_np(errnum));

        if (n > 0 && write(STDERR_FILENO, line, (size_t)n) != n)
                abort();
}

void sandbox_hook(const char *role) {
        for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
                errno = 0;
                tell(role, attempts[i].name, attempts[i].fn());
        }
        tell(role, "end", 0);
}
