/* SPDX-License-Identifier: Apache-2.0 */
#include "os/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Targets lie below, what the child holds on the way there lies above. */
#define TARGET_LIMIT 64

/* What the child tells of its failure, through a pipe that exec closes. */
struct failure {
        int errnum;
        int step;
};

enum step { STEP_SETUP, STEP_FDS, STEP_CWD, STEP_EXEC, STEP_COUNT };

static const char *const step_texts[STEP_COUNT] = {
        [STEP_SETUP] = "set up the process of",
        [STEP_FDS] = "pass the descriptors to",
        [STEP_CWD] = "enter the folder for",
        [STEP_EXEC] = "run",
};

/* --- in the child: async-signal-safe calls only -------------------------------------------- */

static int reset_signals(void) {
        struct sigaction sa = { .sa_handler = SIG_DFL };
        sigset_t none;

        for (int sig = 1; sig < NSIG; sig++)
                (void)sigaction(sig, &sa, NULL); /* not for SIGKILL and the C library's own */
        (void)sigemptyset(&none);
        return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

static int close_all_on_exec(void) {
        if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
                return 0;
        if (errno != ENOSYS && errno != EINVAL)
                return -errno;
        for (long fd = 3; fd < sysconf(_SC_OPEN_MAX); fd++)
                (void)fcntl((int)fd, F_SETFD, FD_CLOEXEC);
        return 0;
}

static bool is_target(const struct spawn *s, int fd) {
        for (size_t i = 0; i < s->n_fds; i++)
                if (s->fds[i].target == fd)
                        return true;
        return false;
}

static int arrange_fds(const struct spawn *s) {
        int high[SPAWN_FDS_MAX];
        int null = -1;
        int r;

        /* Out of the way first: a target may be the number of another source. */
        for (size_t i = 0; i < s->n_fds; i++) {
                high[i] = fcntl(s->fds[i].fd, F_DUPFD_CLOEXEC, TARGET_LIMIT);
                if (high[i] < 0)
                        return -errno;
        }
        r = close_all_on_exec();
        if (r < 0)
                return r;
        for (size_t i = 0; i < s->n_fds; i++)
                if (dup2(high[i], s->fds[i].target) < 0)
                        return -errno;
        for (int fd = 0; fd <= STDERR_FILENO && !s->keep_stdio; fd++) {
                if (is_target(s, fd))
                        continue;
                if (null < 0) {
                        int opened = open("/dev/null", O_RDWR | O_CLOEXEC);

                        null = opened < 0 ? -1 : fcntl(opened, F_DUPFD_CLOEXEC, TARGET_LIMIT);
                }
                if (null < 0 || dup2(null, fd) < 0)
                        return -errno;
        }
        return 0;
}

static int set_up(const struct spawn *s, pid_t parent) {
        int r = reset_signals();

        if (r < 0)
                return r;
        if (s->new_session && setsid() < 0)
                return -errno;
        if (s->die_with_us) {
                if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                        return -errno;
                if (getppid() != parent)
                        return -ESRCH;
        }
        return 0;
}

__attribute__((noreturn)) static void run_child(const struct spawn *s, pid_t parent, int report) {
        char *const *envp = s->envp ? s->envp : environ;
        struct failure f = { .step = STEP_SETUP };
        int r = set_up(s, parent);

        if (r == 0) {
                f.step = STEP_FDS;
                report = fcntl(report, F_DUPFD_CLOEXEC, TARGET_LIMIT);
                r = report < 0 ? -errno : arrange_fds(s);
        }
        if (r == 0 && s->cwd) {
                f.step = STEP_CWD;
                r = chdir(s->cwd) < 0 ? -errno : 0;
        }
        if (r == 0) {
                f.step = STEP_EXEC;
                if (s->search)
                        (void)execvpe(s->path, s->argv, envp);
                else
                        (void)execve(s->path, s->argv, envp);
                r = -errno;
        }
        f.errnum = -r;
        /* If even this fails, the parent sees a child that ended with 127. */
        if (write(report, &f, sizeof(f)) != (ssize_t)sizeof(f))
                _exit(127);
        _exit(127);
}

/* --- in the parent ------------------------------------------------------------------------- */

static int check(const struct spawn *s, struct error *err) {
        bool bad = s->n_fds > SPAWN_FDS_MAX || !s->argv || !s->argv[0];

        for (size_t i = 0; !bad && i < s->n_fds; i++)
                bad = s->fds[i].target < 0 || s->fds[i].target >= TARGET_LIMIT || s->fds[i].fd < 0;
        return bad ? error_set(err, MCPB_INTERNAL, EINVAL, NULL, "Cannot start %s: wrong arguments",
                               s->path)
                   : 0;
}

/* With all signals held back, so that no handler of ours runs in the child. */
static pid_t fork_quietly(const struct spawn *s, int report) {
        pid_t self = getpid();
        sigset_t all;
        sigset_t old;
        pid_t pid;

        (void)sigfillset(&all);
        if (sigprocmask(SIG_SETMASK, &all, &old) < 0)
                return -errno;
        pid = fork();
        if (pid == 0)
                run_child(s, self, report);
        if (pid < 0)
                pid = -errno;
        (void)sigprocmask(SIG_SETMASK, &old, NULL);
        return pid;
}

/* 0 once exec has happened; the child's failure otherwise. */
static int await_exec(int fd, struct failure *ret) {
        for (;;) {
                ssize_t n = read(fd, ret, sizeof(*ret));

                if (n == 0)
                        return 0;
                if (n == (ssize_t)sizeof(*ret))
                        return -ret->errnum;
                if (n >= 0 || errno != EINTR)
                        return n < 0 ? -errno : -EIO;
        }
}

static void reap(pid_t pid) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

int spawn(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd, struct error *err) {
        struct failure f = { .step = STEP_SETUP };
        AUTO_CLOSE int ours = -1;
        AUTO_CLOSE int theirs = -1;
        AUTO_CLOSE int pidfd = -1;
        int fds[2];
        pid_t pid;
        int r = check(s, err);

        if (r < 0)
                return r;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set(err, MCPB_INTERNAL, errno, NULL, "Cannot make a pipe: %s",
                                 strerror(errno));
        ours = fds[0];
        theirs = fds[1];
        pid = fork_quietly(s, theirs);
        if (pid < 0)
                return error_set(err, MCPB_INTERNAL, -pid, NULL, "Cannot start %s: %s", s->path,
                                 strerror(-pid));
        (void)close(TAKE_FD(theirs));
        r = await_exec(ours, &f);
        if (r < 0) {
                reap(pid);
                return error_set(
                        err, r == -ENOENT && f.step == STEP_EXEC ? MCPB_NOT_FOUND : MCPB_INTERNAL,
                        -r, NULL, "Cannot %s %s: %s", step_texts[f.step], s->path, strerror(-r));
        }
        if (ret_pidfd) {
                pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
                if (pidfd < 0) {
                        r = -errno;
                        (void)kill(pid, SIGKILL);
                        reap(pid);
                        return error_set(err, MCPB_INTERNAL, -r, NULL, "Cannot watch %s: %s",
                                         s->path, strerror(-r));
                }
                *ret_pidfd = TAKE_FD(pidfd);
        }
        *ret_pid = pid;
        return 0;
}
