/* SPDX-License-Identifier: Apache-2.0 */
#include "os/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* The lowest free number is given out: until 2 is open, what is opened is one of them. */
static int open_standard_fds(void) {
        int fd;

        do {
                fd = open("/dev/null", O_RDWR);
                if (fd < 0)
                        return -errno;
        } while (fd <= STDERR_FILENO);
        (void)close(fd);
        return 0;
}

int process_prepare(struct error *err) {
        struct rlimit core = { 0 };
        int r;

        (void)umask(077);
        /* The hard limit stays: a command that the daemon runs for a person may want it. */
        if (getrlimit(RLIMIT_CORE, &core) == 0) {
                core.rlim_cur = 0;
                (void)setrlimit(RLIMIT_CORE, &core);
        }
        r = open_standard_fds();
        if (r < 0)
                return error_set(err, MCPB_INTERNAL, -r, NULL, "Cannot open /dev/null: %s",
                                 strerror(-r));
        return 0;
}

int process_harden(struct error *err) {
        if (prctl(PR_SET_DUMPABLE, 0) < 0)
                return error_set(err, MCPB_INTERNAL, errno, NULL,
                                 "Cannot keep other programs from reading this one: %s",
                                 strerror(errno));
        return process_prepare(err);
}

static int ignore(const int *signals, size_t n_signals) {
        struct sigaction sa = { .sa_handler = SIG_IGN };

        for (size_t i = 0; i < n_signals; i++)
                if (sigaction(signals[i], &sa, NULL) < 0)
                        return -errno;
        return 0;
}

int process_ignore_sigpipe(void) {
        return ignore((const int[]){ SIGPIPE }, 1);
}

int process_ignore_signals(void) {
        static const int signals[] = { SIGPIPE, SIGTERM, SIGINT, SIGHUP };

        return ignore(signals, ARRAY_SIZE(signals));
}
