/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-brokerd: the credential agent of one user. See mcp-brokerd(8).
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "daemon/supervisor.h"
#include "os/alloc.h"
#include "os/process.h"

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

#define LOG_MAX (1024 * 1024)

/* Nobody reads our stderr in the background: what is logged goes into the state folder. */
static int open_log_file(int state_fd, off_t *ret_begin) {
        struct stat st;
        int fd = openat(state_fd, "daemon.log",
                        O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0 || (st.st_size > LOG_MAX && ftruncate(fd, 0) < 0)) {
                (void)close(fd);
                return -EIO;
        }
        *ret_begin = st.st_size > LOG_MAX ? 0 : st.st_size;
        return fd;
}

/* Why it ended. A full disk takes no log either: then the way to see it. */
static void show_log(int fd, off_t begin) {
        static const char nothing[] =
                "mcp-brokerd: It ended at once, and could not say why in daemon.log: is the disk "
                "of the state folder full? mcp-brokerd -f says it here.\n";
        char text[4096];
        ssize_t n = pread(fd, text, sizeof(text), begin);

        if (write(STDERR_FILENO, n > 0 ? text : nothing, n > 0 ? (size_t)n : strlen(nothing)) < 0)
                return;
}

static void become_background(int log_fd, int ready_fd) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        arg_ready_fd = ready_fd;
        (void)setsid();
        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
            dup2(log_fd, STDERR_FILENO) < 0)
                _exit(1);
        (void)close(null);
        (void)close(log_fd);
        log_open("mcp-brokerd", LOG_INFO);
}

static int cannot_detach(const char *doing, int errnum) {
        struct error err = ERROR_INIT;

        (void)error_set(&err, MCPB_INTERNAL, errnum, "It can be run with -f as well",
                        "mcp-brokerd cannot go into the background: %s: %s", doing,
                        strerror(errnum));
        log_failure(LOG_ERR, &err, "mcp-brokerd cannot start");
        return error_exit_status(err.code);
}

/* As ssh-agent: the parent says where to reach the daemon once it can be reached, and ends. In the
 * child: -1. */
static int go_to_background(const struct options *o, const struct supervisor_files *f) {
        int fds[2];
        off_t begin = 0;
        int log_fd = open_log_file(f->state_fd, &begin);
        pid_t pid;
        pid_t said = 0;
        int status = 1;

        if (log_fd < 0)
                return cannot_detach("opening daemon.log in the state folder", -log_fd);
        if (pipe2(fds, O_CLOEXEC) < 0)
                return cannot_detach("making a pipe", errno);
        pid = fork();
        if (pid < 0)
                return cannot_detach("making a process", errno);
        if (pid == 0) {
                (void)close(fds[0]);
                become_background(log_fd, fds[1]);
                return -1;
        }
        (void)close(fds[1]);
        if (read(fds[0], &said, sizeof(said)) == (ssize_t)sizeof(said)) {
                print_variable(o, pid, f->socket);
                return 0;
        }
        (void)waitpid(pid, &status, 0);
        show_log(log_fd, begin);
        return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
}

static bool under_systemd(void) {
        return getenv("NOTIFY_SOCKET") || getenv("LISTEN_PID");
}

int main(int argc, char **argv) {
        struct options o;
        struct supervisor_files files = {
                .state_fd = -1, .store_fd = -1, .lock_fd = -1, .audit_fd = -1
        };
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
                supervisor_files_done(&files);
                return error_exit_status(err.code);
        }
        if (!o.foreground && !o.command && !under_systemd()) {
                status = go_to_background(&o, &files);
                if (status >= 0) {
                        files.inherited = true; /* the socket is the child's */
                        supervisor_files_done(&files);
                        return status;
                }
        }
        status = supervisor_run(&o, &files, on_ready, environ);
        supervisor_files_done(&files);
        return status;
}
