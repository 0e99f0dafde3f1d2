/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/filter.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* names of anonymous memory, which newer C libraries give */
#endif

/* Low bits of a socket type; the rest is SOCK_CLOEXEC and SOCK_NONBLOCK. */
#define TYPE_MASK 0xfU
/* Everything that would make open() write, or make a file. */
#define OPEN_WRITE_MASK \
        ((uint64_t)(O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY)))
/* What pthread_create() asks of clone(); fork() and vfork() do not ask for the second. */
#define THREAD_FLAGS ((uint64_t)(CLONE_VM | CLONE_THREAD | CLONE_SIGHAND))
#ifdef __s390x__
#define CLONE_FLAGS_ARG 1
#else
#define CLONE_FLAGS_ARG 0
#endif

#define SYS(name) SCMP_SYS(name)

/* What every process of ours does once it runs, whatever it is for. Names that an architecture
 * lacks are passed over. */
static const int base_calls[] = {
        /* descriptors it has */
        SYS(read),
        SYS(readv),
        SYS(pread64),
        SYS(write),
        SYS(writev),
        SYS(pwrite64),
        SYS(close),
        SYS(close_range),
        SYS(dup),
        SYS(dup2),
        SYS(dup3),
        SYS(fcntl),
        SYS(fcntl64),
        SYS(fstat),
        SYS(fstat64),
        SYS(newfstatat),
        SYS(fstatat64),
        SYS(statx),
        SYS(lseek),
        SYS(_llseek),
        SYS(pipe),
        SYS(pipe2),
        SYS(eventfd2),
        /* waiting */
        SYS(poll),
        SYS(ppoll),
        SYS(ppoll_time64),
        SYS(select),
        SYS(pselect6),
        SYS(_newselect),
        SYS(epoll_create1),
        SYS(epoll_ctl),
        SYS(epoll_wait),
        SYS(epoll_pwait),
        SYS(epoll_pwait2),
        SYS(timerfd_create),
        SYS(timerfd_settime),
        SYS(timerfd_settime64),
        SYS(timerfd_gettime),
        SYS(timerfd_gettime64),
        SYS(signalfd4),
        SYS(nanosleep),
        SYS(clock_nanosleep),
        SYS(clock_nanosleep_time64),
        SYS(restart_syscall),
        /* memory; mmap and mprotect have rules of their own */
        SYS(brk),
        SYS(munmap),
        SYS(mremap),
        SYS(madvise),
        SYS(mlock),
        SYS(mlock2),
        SYS(munlock),
        /* the C library's own */
        SYS(futex),
        SYS(futex_time64),
        SYS(set_robust_list),
        SYS(get_robust_list),
        SYS(rseq),
        SYS(rt_sigaction),
        SYS(rt_sigprocmask),
        SYS(rt_sigreturn),
        SYS(sigreturn),
        SYS(sigaltstack),
        SYS(rt_sigpending),
        SYS(sched_yield),
        SYS(sched_getaffinity),
        SYS(getcpu),
        SYS(getrandom),
        SYS(exit),
        SYS(exit_group),
        SYS(membarrier),
        /* asking */
        SYS(getpid),
        SYS(gettid),
        SYS(getppid),
        SYS(getuid),
        SYS(geteuid),
        SYS(getgid),
        SYS(getegid),
        SYS(getuid32),
        SYS(geteuid32),
        SYS(getgid32),
        SYS(getegid32),
        SYS(clock_gettime),
        SYS(clock_gettime64),
        SYS(clock_getres),
        SYS(clock_getres_time64),
        SYS(gettimeofday),
        SYS(time),
        SYS(uname),
        SYS(sysinfo),
        SYS(getrusage),
        SYS(getrlimit),
        SYS(ugetrlimit),
        /* sockets it has */
        SYS(recvmsg),
        SYS(recvfrom),
        SYS(recv),
        SYS(sendmsg),
        SYS(send),
        SYS(shutdown),
        SYS(getsockopt),
        SYS(setsockopt),
        SYS(getsockname),
        SYS(getpeername),
};

static const int keeper_calls[] = {
        SYS(accept),      SYS(accept4),   SYS(fsync), SYS(fdatasync),  SYS(ftruncate),
        SYS(ftruncate64), SYS(fallocate), SYS(flock), SYS(pidfd_open),
};

/* Landlock says where. */
static const int writer_calls[] = {
        SYS(open),      SYS(openat),     SYS(rename),      SYS(renameat),  SYS(renameat2),
        SYS(unlink),    SYS(unlinkat),   SYS(mkdir),       SYS(mkdirat),   SYS(fsync),
        SYS(fdatasync), SYS(ftruncate),  SYS(ftruncate64), SYS(fallocate), SYS(fchmod),
        SYS(flock),     SYS(getdents64), SYS(access),      SYS(faccessat), SYS(faccessat2),
        SYS(stat),      SYS(lstat),      SYS(stat64),      SYS(lstat64),   SYS(fstatfs),
        SYS(fstatfs64),
};

static const int net_calls[] = {
        SYS(connect),
        SYS(bind),
        SYS(listen),
        SYS(accept),
        SYS(accept4),
        SYS(sendto),
        SYS(sendmmsg),
        SYS(recvmmsg),
        SYS(recvmmsg_time64),
        /* looking for libraries, certificates and configuration */
        SYS(access),
        SYS(faccessat),
        SYS(faccessat2),
        SYS(stat),
        SYS(lstat),
        SYS(stat64),
        SYS(lstat64),
        SYS(readlink),
        SYS(readlinkat),
        SYS(getdents64),
        SYS(getcwd),
        SYS(statfs),
        SYS(fstatfs),
        SYS(statfs64),
        SYS(fstatfs64),
        /* the end of a thread and the pool it lived in */
        SYS(sched_getparam),
        SYS(sched_getscheduler),
        SYS(sched_get_priority_max),
        SYS(sched_get_priority_min),
};

#if defined(MCPB_SANITIZED) || defined(MCPB_COVERAGE)
/* What the run-time libraries of such builds need; Landlock still says where. */
static const int build_calls[] = {
        SYS(open),  SYS(openat),  SYS(readlink), SYS(readlinkat), SYS(getdents64),
        SYS(mkdir), SYS(mkdirat), SYS(access),   SYS(faccessat),  SYS(getcwd),
        SYS(stat),  SYS(lstat),   SYS(unlink),   SYS(ftruncate),  SYS(prlimit64),
};
#endif

/* The library's own macros leave a field out, which clang does not like. */
static struct scmp_arg_cmp arg_is(unsigned arg, uint64_t value) {
        return (struct scmp_arg_cmp){ arg, SCMP_CMP_EQ, value, 0 };
}

static struct scmp_arg_cmp arg_masked(unsigned arg, uint64_t mask, uint64_t value) {
        return (struct scmp_arg_cmp){ arg, SCMP_CMP_MASKED_EQ, mask, value };
}

static int allow_all(scmp_filter_ctx ctx, const int *calls, size_t n_calls) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < n_calls; i++)
                r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
        return r;
}

/* One argument masked: allowed if (arg & mask) == value. */
static int allow_masked(scmp_filter_ctx ctx, int call, unsigned arg, uint64_t mask,
                        uint64_t value) {
        return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1, arg_masked(arg, mask, value));
}

static int allow_values(scmp_filter_ctx ctx, int call, unsigned arg, const uint64_t *values,
                        size_t n_values) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < n_values; i++)
                r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1, arg_is(arg, values[i]));
        return r;
}

static int add_base(scmp_filter_ctx ctx) {
        static const uint64_t ioctls[] = { FIONREAD, FIONBIO, TCGETS };
        static const uint64_t prctls[] = { PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_SET_VMA };
        int r = allow_all(ctx, base_calls, ARRAY_SIZE(base_calls));

        /* With ENOSYS the C library takes clone(), whose flags a filter can see. */
        if (r == 0)
                r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SYS(clone3), 0);
        /* No new code: neither mapped nor made executable. */
        if (r == 0)
                r = allow_masked(ctx, SYS(mmap), 2, PROT_EXEC, 0);
        if (r == 0)
                r = allow_masked(ctx, SYS(mmap2), 2, PROT_EXEC, 0);
        if (r == 0)
                r = allow_masked(ctx, SYS(mprotect), 2, PROT_EXEC, 0);
        if (r == 0)
                r = allow_values(ctx, SYS(ioctl), 1, ioctls, ARRAY_SIZE(ioctls));
        if (r == 0)
                r = allow_values(ctx, SYS(prctl), 0, prctls, ARRAY_SIZE(prctls));
        /* Limits may be read, not set. */
        if (r == 0)
                r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SYS(prlimit64), 1, arg_is(2, 0));
        /* abort() signals itself, and nobody else. */
        if (r == 0)
                r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SYS(tgkill), 1,
                                     arg_is(0, (uint64_t)getpid()));
        /* A stream pair reaches nobody else; a datagram one could name any address. */
        if (r == 0)
                r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SYS(socketpair), 2, arg_is(0, AF_UNIX),
                                     arg_masked(1, TYPE_MASK, SOCK_STREAM));
        return r;
}

/* Opening says EACCES, the answer that libraries expect of a file that is not theirs to read. */
static int refuse_open(scmp_filter_ctx ctx) {
        static const int calls[] = { SYS(open), SYS(openat), SYS(openat2), SYS(creat) };
        int r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(calls); i++) {
                bool allowed = false;

#if defined(MCPB_SANITIZED) || defined(MCPB_COVERAGE)
                allowed = calls[i] == SYS(open) || calls[i] == SYS(openat);
#endif
                if (!allowed)
                        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), calls[i], 0);
        }
        return r;
}

/* send() is sendto() without an address on most machines: to whom a socket is connected already. */
static int allow_send(scmp_filter_ctx ctx) {
        return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SYS(sendto), 1, arg_is(4, 0));
}

static int add_net(scmp_filter_ctx ctx) {
        static const int families[] = { AF_INET, AF_INET6 };
        static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
        int r = allow_all(ctx, net_calls, ARRAY_SIZE(net_calls));

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(families); i++)
                for (size_t k = 0; r == 0 && k < ARRAY_SIZE(types); k++)
                        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SYS(socket), 2,
                                             arg_is(0, (uint64_t)families[i]),
                                             arg_masked(1, TYPE_MASK, (uint64_t)types[k]));
#if !defined(MCPB_SANITIZED) && !defined(MCPB_COVERAGE)
        if (r == 0)
                r = allow_masked(ctx, SYS(open), 1, OPEN_WRITE_MASK, O_RDONLY);
        if (r == 0)
                r = allow_masked(ctx, SYS(openat), 2, OPEN_WRITE_MASK, O_RDONLY);
#endif
        if (r == 0)
                r = allow_masked(ctx, SYS(clone), CLONE_FLAGS_ARG, THREAD_FLAGS, THREAD_FLAGS);
        /* Name service modules are loaded late: code may be mapped from files, which Landlock keeps
         * it from writing. */
        if (r == 0)
                r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SYS(mmap), 2,
                                     arg_masked(2, PROT_EXEC | PROT_WRITE, PROT_EXEC),
                                     arg_masked(3, MAP_ANONYMOUS, 0));
        if (r == 0)
                r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SYS(mmap2), 2,
                                     arg_masked(2, PROT_EXEC | PROT_WRITE, PROT_EXEC),
                                     arg_masked(3, MAP_ANONYMOUS, 0));
        return r;
}

static int add_role(scmp_filter_ctx ctx, enum sandbox_role role) {
        int r = 0;

        switch (role) {
        case SANDBOX_KEEPER:
                r = allow_all(ctx, keeper_calls, ARRAY_SIZE(keeper_calls));
                if (r == 0)
                        r = refuse_open(ctx);
                return r < 0 ? r : allow_send(ctx);
        case SANDBOX_WRITER:
                r = allow_all(ctx, writer_calls, ARRAY_SIZE(writer_calls));
                return r < 0 ? r : allow_send(ctx);
        case SANDBOX_NET:
                return add_net(ctx);
        case SANDBOX_KDF:
                r = refuse_open(ctx);
                return r < 0 ? r : allow_send(ctx);
        case SANDBOX_ROLE_COUNT:
        default:
                return -EINVAL;
        }
}

static int make_filter(scmp_filter_ctx ctx, enum sandbox_role role) {
        /* A binary tree over the calls: the keeper's way is short. Older libraries know only the
         * list. */
        int r = 0;

        (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        r = add_base(ctx);
        if (r == 0)
                r = add_role(ctx, role);
#if defined(MCPB_SANITIZED) || defined(MCPB_COVERAGE)
        /* Those that the role has already are no error: one rule twice is one rule. */
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(build_calls); i++) {
                r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, build_calls[i], 0);
                r = r == -EEXIST ? 0 : r;
        }
#endif
        return r;
}

int filter_enter(const struct sandbox_profile *p, struct sandbox_report *report,
                 struct error *err) {
        scmp_filter_ctx ctx;
        int r;

        /* With the seccomp() call blocked the library falls back in silence to what 3.5 had, and
         * answers rules oddly. */
        if (seccomp_api_get() < 3)
                return 0;
        ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
        if (!ctx)
                return error_oom(err);
        r = make_filter(ctx, p->role);
        if (r == 0) {
                r = seccomp_load(ctx);
                report->seccomp = r == 0;
        }
        seccomp_release(ctx);
        if (r < 0)
                return error_set(err, MCPB_INTERNAL, -r, NULL,
                                 "Cannot close the %s off from system calls: %s", report->role,
                                 strerror(-r));
        return 0;
}
