/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* include/uapi/linux/landlock.h up to ABI 6; the system's own header may be older. */
enum {
        FS_WRITE_FILE = 1 << 1,
        FS_READ_FILE = 1 << 2,
        FS_READ_DIR = 1 << 3,
        FS_REMOVE_FILE = 1 << 5,
        FS_MAKE_DIR = 1 << 7,
        FS_MAKE_REG = 1 << 8,
        FS_ABI_1 = (1 << 13) - 1, /* EXECUTE up to MAKE_SYM */
        FS_REFER = 1 << 13,       /* ABI 2 */
        FS_TRUNCATE = 1 << 14,    /* ABI 3 */
        FS_IOCTL_DEV = 1 << 15,   /* ABI 5 */
        NET_BIND_TCP = 1 << 0,    /* ABI 4 */
        NET_CONNECT_TCP = 1 << 1,
        SCOPE_ABSTRACT_UNIX = 1 << 0, /* ABI 6 */
        SCOPE_SIGNAL = 1 << 1,
};

#define CREATE_RULESET_VERSION 1U
#define RULE_PATH_BENEATH 1

struct ruleset_attr {
        uint64_t fs;
        uint64_t net;
        uint64_t scoped;
};

struct path_attr {
        uint64_t allowed;
        int32_t parent_fd;
} __attribute__((packed));

/* Rights to a file as such; the others make sense for folders only and are refused by the kernel
 * for files. */
#define FS_OF_FILES (FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE)
#define FS_READ (FS_READ_FILE | FS_READ_DIR)
#define FS_WRITE \
        (FS_READ | FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_REG | FS_MAKE_DIR | FS_TRUNCATE)

/* What the C library, its name service modules and OpenSSL read; what is missing on a system is
 * passed over. */
static const char *const net_paths[] = {
        "/etc",
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib32",
        "/usr/lib64",
        "/usr/local/lib",
        "/usr/share/ca-certificates",
        "/usr/local/share/ca-certificates",
        "/usr/share/pki",
        "/usr/share/crypto-policies",
        "/usr/share/zoneinfo",
        "/var/lib/ca-certificates",
        "/run/systemd/resolve", /* where /etc/resolv.conf leads */
        "/run/resolvconf",
        "/run/NetworkManager",
        "/run/connman",
        "/nix/store",
        "/gnu/store",
        "/dev/null",
        "/dev/random",
        "/dev/urandom",
};

static uint64_t fs_rights(unsigned abi) {
        uint64_t rights = FS_ABI_1;

        rights |= abi >= 2 ? FS_REFER : 0;
        rights |= abi >= 3 ? FS_TRUNCATE : 0;
        rights |= abi >= 5 ? FS_IOCTL_DEV : 0;
        return rights;
}

unsigned landlock_probe(void) {
        long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

        return abi > 0 ? (unsigned)abi : 0;
}

static int create_ruleset(const struct sandbox_profile *p, unsigned abi) {
        struct ruleset_attr attr = { .fs = fs_rights(abi) };
        size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
        long fd;

        /* TCP is what net is there for; nobody else has any. */
        if (abi >= 4 && p->role != SANDBOX_NET)
                attr.net = NET_BIND_TCP | NET_CONNECT_TCP;
        if (abi >= 6)
                attr.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
        fd = syscall(SYS_landlock_create_ruleset, &attr, size, 0U);
        return fd < 0 ? -errno : (int)fd;
}

static int allow_fd(int ruleset, unsigned abi, int fd, uint64_t rights) {
        struct path_attr attr = { .allowed = rights & fs_rights(abi), .parent_fd = fd };
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode))
                attr.allowed &= FS_OF_FILES;
        if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr, 0U) < 0)
                return -errno;
        return 0;
}

static int allow_path(int ruleset, unsigned abi, const char *path, uint64_t rights) {
        AUTO_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);

        /* What is not there, or not ours to see, need not be allowed. */
        if (fd < 0)
                return errno == ENOMEM || errno == EMFILE || errno == ENFILE ? -errno : 0;
        return allow_fd(ruleset, abi, fd, rights);
}

/* A build for measuring or checking must reach what its run-time library writes and reads. */
static int allow_build(int ruleset, unsigned abi) {
        int r = 0;

#ifdef MCPB_COVERAGE
        r = allow_path(ruleset, abi, MCPB_COVERAGE_DIR, FS_WRITE);
#endif
#ifdef MCPB_SANITIZED
        if (r == 0)
                r = allow_path(ruleset, abi, "/proc/self", FS_READ);
#endif
        return r;
}

static int add_rules(const struct sandbox_profile *p, unsigned abi, int ruleset) {
        int r = allow_build(ruleset, abi);

        if (r == 0 && p->role == SANDBOX_WRITER)
                r = allow_fd(ruleset, abi, p->state_dirfd, FS_WRITE);
        if (p->role != SANDBOX_NET)
                return r;
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(net_paths); i++)
                r = allow_path(ruleset, abi, net_paths[i], FS_READ);
        return r;
}

int landlock_enter(const struct sandbox_profile *p, unsigned abi, struct sandbox_report *report,
                   struct error *err) {
        AUTO_CLOSE int ruleset = create_ruleset(p, abi);
        int r = ruleset < 0 ? ruleset : add_rules(p, abi, ruleset);
        if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0U) < 0)
                r = -errno;
        if (r < 0)
                return error_set(err, MCPB_INTERNAL, -r, NULL,
                                 "Cannot close the %s off from files: %s", report->role,
                                 strerror(-r));
        report->landlock_abi = abi;
        return 0;
}
