/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-brokerd: the credential agent of one user. See mcp-brokerd(8).
 */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "daemon/supervisor.h"
#include "os/alloc.h"
#include "os/process.h"

extern char **environ;

/* The end of a pipe on which the parent waits until we serve; -1 in the foreground. */
static int arg_ready_fd = -1;

/* The shell that evals this may be any: quoted as both kinds understand. */
static void print_variable(const struct options *o, pid_t pid, const char *socket) {
        const char *shell = getenv("SHELL");
        size_t len = shell ? strlen(shell) : 0;
        bool csh = o->shell == SHELL_CSH ||
                   (o->shell == SHELL_AUTO && len >= 3 && streq(shell + len - 3, "csh"));

        if (csh)
                (void)printf("setenv MCP_BROKER_SOCK '%s';\nsetenv MCP_BROKER_PID %d;\n", socket,
                             (int)pid);
        else
                (void)printf("MCP_BROKER_SOCK='%s'; export MCP_BROKER_SOCK;\nMCP_BROKER_PID=%d; "
                             "export MCP_BROKER_PID;\n",
                             socket, (int)pid);
        (void)fflush(stdout);
}

static void on_ready(pid_t pid, const char *socket) {
        if (arg_ready_fd < 0)
                return;
        if (write(arg_ready_fd, &pid, sizeof(pid)) != (ssize_t)sizeof(pid))
                log_debug("nobody waits for us to be ready");
        (void)close(arg_ready_fd);
        arg_ready_fd = -1;
}

/* As ssh-agent: the parent says where to reach the daemon once it can be reached, and ends. In the child: -1. */
static int go_to_background(const struct options *o, const char *socket) {
        int fds[2];
        pid_t pid;
        pid_t said = 0;
        int status = 1;

        if (pipe(fds) < 0)
                return 1;
        pid = fork();
        if (pid < 0)
                return 1;
        if (pid == 0) {
                (void)close(fds[0]);
                arg_ready_fd = fds[1];
                if (setsid() < 0)
                        log_debug("no session of our own");
                return -1;
        }
        (void)close(fds[1]);
        if (read(fds[0], &said, sizeof(said)) == (ssize_t)sizeof(said)) {
                print_variable(o, pid, socket);
                return 0;
        }
        if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
                return WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
        return 1;
}

static bool under_systemd(void) {
        return getenv("NOTIFY_SOCKET") || getenv("LISTEN_PID");
}

int main(int argc, char **argv) {
        struct options o;
        struct supervisor_files files;
        struct error err = ERROR_INIT;
        int status = options_parse(&o, argc, argv);

        if (status >= 0)
                return status;
        log_open("mcp-brokerd", LOG_INFO);
        json_use_wiping_allocator();
        if (!alloc_is_wiping())
                log_debug("memory is not wiped when it is freed");
        if (process_harden(&err) < 0 || process_ignore_sigpipe() < 0 ||
            supervisor_open(&o, &files, &err) < 0) {
                log_failure(LOG_ERR, &err, "mcp-brokerd cannot start");
                return error_exit_status(err.code);
        }
        if (!o.foreground && !o.command && !under_systemd()) {
                status = go_to_background(&o, files.socket);
                if (status >= 0)
                        return status;
        }
        status = supervisor_run(&o, &files, on_ready, environ);
        supervisor_files_done(&files);
        return status;
}
