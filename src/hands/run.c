/* SPDX-License-Identifier: Apache-2.0 */
#include "hands/hands.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "os/io.h"
#include "os/spawn.h"

#define SAID_MAX 4096    /* of standard error; what is more is read and dropped */
#define SAID_LINES_MAX 8 /* that are logged */

#define HINT_PROGRAM "Let root, or the user that the broker runs as, own it, and nobody else write"

/* --- which program may be run -------------------------------------------------------------- */

static int refuse(struct error *err, const char *path, int errnum, const char *why) {
        return error_set(err, MCPB_NOT_PERMITTED, errnum, HINT_PROGRAM, "The command %s %s", path,
                         why);
}

static int fail(struct error *err, const char *path, int errnum) {
        if (errnum == ENOENT || errnum == ENOTDIR)
                return error_set(err, MCPB_NOT_FOUND, ENOENT, "Install it, or correct the path",
                                 "There is no command %s", path);
        return error_set(err, MCPB_NOT_PERMITTED, errnum, NULL, "Cannot look at the command %s: %s",
                         path, strerror(errnum));
}

static bool is_trusted(const struct stat *st) {
        return st->st_uid == 0 || st->st_uid == geteuid();
}

/* Who can write to a folder above it puts another program in its place. */
static int check_folders(const char *path, const char *named, struct error *err) {
        char folder[PATH_MAX];
        size_t len = strlen(path);
        struct stat st;

        while (len > 0) {
                while (len > 0 && path[len - 1] != '/')
                        len--;
                memcpy(folder, path, len);
                folder[len] = '\0';
                if (stat(folder, &st) < 0)
                        return fail(err, named, errno);
                if (!is_trusted(&st))
                        return refuse(err, named, EPERM, "is in a folder of another user");
                if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
                        return refuse(err, named, EPERM,
                                      "is in a folder that everybody may write to");
                while (len > 0 && path[len - 1] == '/')
                        len--;
        }
        return 0;
}

static int check_program(const char *path, struct error *err) {
        AUTO_FREE char *real = realpath(path, NULL);
        struct stat st;
        int r;

        if (strlen(path) >= PATH_MAX)
                return fail(err, path, ENAMETOOLONG);
        if (!real || stat(real, &st) < 0)
                return fail(err, path, errno);
        if (!S_ISREG(st.st_mode))
                return refuse(err, path, EINVAL, "is no file");
        if (!is_trusted(&st))
                return refuse(err, path, EPERM, "belongs to another user");
        if (st.st_mode & (S_IWGRP | S_IWOTH))
                return refuse(err, path, EPERM, "can be written by others");
        r = check_folders(path, path, err);
        return r < 0 ? r : check_folders(real, path, err);
}

/* --- running it ---------------------------------------------------------------------------- */

struct run {
        const struct order *order;
        struct order_reply *reply;
        pid_t pid;
        int pidfd;
        int out;
        int said_fd;
        struct buf said;
        uint64_t deadline;
};

/* Both ends close with us; only ours does not wait. */
static int make_pipe(int *ret_ours, int *ret_theirs) {
        int fds[2];
        int r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        *ret_ours = fds[0];
        *ret_theirs = fds[1];
        r = fd_set_nonblock(fds[0]);
        return r;
}

static int start(struct run *run, struct error *err) {
        static char *const nothing[] = { NULL };
        AUTO_CLOSE int out = -1;
        AUTO_CLOSE int said = -1;
        struct spawn s = { .path = run->order->argv[0],
                           .argv = run->order->argv,
                           .envp = run->order->envp ? run->order->envp : nothing,
                           .n_fds = 2,
                           .new_session = true,
                           .die_with_us = true,
                           .cwd = "/" };
        struct spawn_fd fds[2];
        int r = make_pipe(&run->out, &out);

        if (r == 0)
                r = make_pipe(&run->said_fd, &said);
        if (r < 0)
                return error_fallback(err, r, "Making a pipe to a command");
        fds[0] = (struct spawn_fd){ out, STDOUT_FILENO };
        fds[1] = (struct spawn_fd){ said, STDERR_FILENO };
        s.fds = fds;
        return spawn(&s, &run->pid, &run->pidfd, err);
}

/* 1: there may be more; 0: it is read to its end, for now or for good. @max bytes are kept. */
static int take(int fd, struct buf *b, size_t max, bool *ret_more) {
        char data[4096];
        ssize_t n = read(fd, data, sizeof(data));
        size_t room = max - b->len;
        int r;

        if (n <= 0)
                return 0;
        *ret_more = *ret_more || (size_t)n > room;
        r = buf_append(b, data, (size_t)n < room ? (size_t)n : room);
        mem_wipe(data, sizeof(data));
        return r < 0 ? r : 1;
}

/* All that is there: the end is the command's, whoever else may still hold the pipe. */
static int drain(struct run *run) {
        bool too_much = false;
        bool dropped = false;
        int r;

        do
                r = take(run->out, &run->reply->bytes, run->order->max, &too_much);
        while (r > 0 && !too_much);
        if (r < 0)
                return r;
        do
                r = take(run->said_fd, &run->said, SAID_MAX, &dropped);
        while (r > 0 && !dropped);
        return too_much ? -EFBIG : r < 0 ? r : 0;
}

static int time_left_msec(const struct run *run) {
        uint64_t now = clock_boot_usec();

        if (now >= run->deadline)
                return 0;
        return (int)((run->deadline - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

/* A pipe that has come to its end would wake us for ever. */
static void note_end(int *fd, const struct pollfd *p) {
        if ((p->revents & POLLHUP) && !(p->revents & POLLIN)) {
                cleanup_close(fd);
                *fd = -1;
        }
}

/* 0 when the command has ended, and all that it said is read. */
static int watch(struct run *run, int keeper_fd) {
        for (;;) {
                struct pollfd p[] = { { .fd = run->out, .events = POLLIN },
                                      { .fd = run->said_fd, .events = POLLIN },
                                      { .fd = run->pidfd, .events = POLLIN },
                                      { .fd = keeper_fd, .events = POLLRDHUP } };
                int msec = time_left_msec(run);
                int r;

                if (msec == 0)
                        return -ETIMEDOUT;
                if (poll(p, ARRAY_SIZE(p), msec) < 0 && errno != EINTR)
                        return -errno;
                if (p[3].revents)
                        return -EPIPE;
                r = drain(run);
                if (r < 0 || p[2].revents)
                        return r;
                note_end(&run->out, &p[0]);
                note_end(&run->said_fd, &p[1]);
        }
}

/* The command and all that it left behind, before its number can be another's. */
static int end(struct run *run, siginfo_t *info) {
        (void)kill(-run->pid, SIGKILL);
        (void)pidfd_send_signal(run->pidfd, SIGKILL, NULL, 0);
        while (waitid(P_PIDFD, (id_t)run->pidfd, info, WEXITED) < 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

static int judge_end(const char *path, const siginfo_t *info, struct error *err) {
        static const char hint[] = "Run it by hand as the broker's user; its messages are in the "
                                   "broker's log";

        if (info->si_code != CLD_EXITED)
                return error_set(err, MCPB_IDENTITY_FAILED, EIO, hint,
                                 "The command %s was ended by signal %d", path, info->si_status);
        if (info->si_status != 0)
                return error_set(err, MCPB_IDENTITY_FAILED, EIO, hint,
                                 "The command %s ended with status %d", path, info->si_status);
        return 0;
}

static int judge(const struct run *run, int r, const siginfo_t *info, struct error *err) {
        const char *path = run->order->argv[0];

        switch (r) {
        case 0:
                return judge_end(path, info, err);
        case -ETIMEDOUT:
                return error_set(err, MCPB_TIMEOUT, ETIMEDOUT,
                                 "Make it faster, or give it more time",
                                 "The command %s did not end in time and was stopped", path);
        case -EFBIG:
                return error_set(err, MCPB_IDENTITY_FAILED, EFBIG, "It must write the token alone",
                                 "The command %s writes too much", path);
        default:
                return error_fallback(err, r, "Running a command");
        }
}

static void log_said(const struct run *run) {
        const char *name = run->order->argv[0];
        AUTO_BUF struct buf lines = BUF_INIT;
        unsigned n = 0;
        char *save = NULL;

        if (hands_redact(run->said.data, run->said.len, &lines) < 0 || lines.len == 0)
                return;
        for (char *l = strtok_r(lines.data, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
                if (n++ == SAID_LINES_MAX) {
                        log_warning("%s says more, which is left out", name);
                        return;
                }
                log_warning("%s says: %s", name, l);
        }
}

void hands_run(const struct order *o, int keeper_fd, struct order_reply *p) {
        struct run run = { .order = o, .reply = p, .pidfd = -1, .out = -1, .said_fd = -1 };
        siginfo_t info = { 0 };

        run.deadline = clock_boot_usec() + o->timeout_usec;
        p->r = check_program(o->argv[0], &p->err);
        if (p->r == 0)
                p->r = start(&run, &p->err);
        if (p->r == 0) {
                int r = watch(&run, keeper_fd);
                int ended = end(&run, &info);

                p->r = judge(&run, r < 0 ? r : ended, &info, &p->err);
                log_said(&run);
        }
        if (p->r < 0)
                buf_done(&p->bytes);
        buf_done(&run.said);
        cleanup_close(&run.pidfd);
        cleanup_close(&run.out);
        cleanup_close(&run.said_fd);
}
