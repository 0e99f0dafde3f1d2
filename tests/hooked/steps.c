/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-brokerd whose writer asks before each step towards the disk: tests/integration/kills.py says
 * when it may go on, and kills in between. Every write is done in two halves, so that a torn one is
 * among the steps.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "os/io.h"
#include "store/folder.h"

void __real_folder_init(struct folder *f, int dirfd);
void __wrap_folder_init(struct folder *f, int dirfd);

struct steps {
        struct folder_calls calls;
        const struct folder_calls *kernel;
        int fd; /* of the test */
        int dirfd;
        char file[128]; /* that is being written */
        bool torn;      /* half of it is */
};

/* "STEP FILE\n", and one byte back. Without a test at the other end everything goes on. */
static void ask(struct steps *s, const char *step) {
        char line[160];
        char go;
        int n = snprintf(line, sizeof(line), "%s %s\n", step, s->file);

        if (s->fd < 0 || n < 0)
                return;
        if (io_write_full(s->fd, line, (size_t)n) < 0 || read(s->fd, &go, 1) != 1)
                s->fd = -1;
}

static int on_openat(void *data, int dirfd, const char *name, int flags, mode_t mode) {
        struct steps *s = data;

        if (flags & O_CREAT) {
                (void)snprintf(s->file, sizeof(s->file), "%s", name);
                ask(s, "create");
        }
        return s->kernel->openat(NULL, dirfd, name, flags, mode);
}

static int on_fstat(void *data, int fd, struct stat *st) {
        struct steps *s = data;

        return s->kernel->fstat(NULL, fd, st);
}

static ssize_t on_read(void *data, int fd, void *p, size_t n) {
        struct steps *s = data;

        return s->kernel->read(NULL, fd, p, n);
}

/* Half of it, and what is left at the next call: by then the file is torn. */
static ssize_t on_write(void *data, int fd, const void *p, size_t n) {
        struct steps *s = data;

        if (!s->torn && n > 1) {
                s->torn = true;
                return s->kernel->write(NULL, fd, p, n / 2);
        }
        ask(s, "half");
        s->torn = false;
        return s->kernel->write(NULL, fd, p, n);
}

static int on_fsync(void *data, int fd) {
        struct steps *s = data;
        int r;

        ask(s, fd == s->dirfd ? "sync-folder" : "sync");
        r = s->kernel->fsync(NULL, fd);
        if (fd == s->dirfd)
                ask(s, "durable");
        return r;
}

static int on_close(void *data, int fd) {
        struct steps *s = data;

        return s->kernel->close(NULL, fd);
}

static int on_renameat(void *data, int dirfd, const char *from, const char *to) {
        struct steps *s = data;

        ask(s, "rename");
        return s->kernel->renameat(NULL, dirfd, from, to);
}

static int on_unlinkat(void *data, int dirfd, const char *name) {
        struct steps *s = data;

        (void)snprintf(s->file, sizeof(s->file), "%s", name);
        return s->kernel->unlinkat(NULL, dirfd, name);
}

/* Before the writer closes itself in: afterwards it reaches no socket. */
static int reach_test(void) {
        const char *path = getenv("MCPB_TEST_STEPS");
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        int fd = path ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;

        if (fd < 0)
                return -1;
        (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
        return connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? -1 : fd;
}

void __wrap_folder_init(struct folder *f, int dirfd) {
        static struct steps steps;

        __real_folder_init(f, dirfd);
        steps = (struct steps){ .calls = { .openat = on_openat,
                                           .fstat = on_fstat,
                                           .read = on_read,
                                           .write = on_write,
                                           .fsync = on_fsync,
                                           .close = on_close,
                                           .renameat = on_renameat,
                                           .unlinkat = on_unlinkat },
                                .kernel = f->calls,
                                .fd = reach_test(),
                                .dirfd = dirfd };
        f->calls = &steps.calls;
        f->calls_data = &steps;
}
