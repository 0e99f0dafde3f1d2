/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/loginwait.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#include "base/buf.h"
#include "os/browser.h"

#define EXIT_INTERRUPTED 130
#define PASTE_MAX 16384

/* What can end the wait before the login does. */
struct interrupts {
        int epoll_fd;
        int signal_fd;
        bool paste; /* standard input is a terminal: an address may be pasted */
};

static void interrupts_done(struct interrupts *i) {
        if (i->epoll_fd >= 0)
                (void)close(i->epoll_fd);
        if (i->signal_fd >= 0)
                (void)close(i->signal_fd);
}

static int interrupts_open(struct interrupts *i, bool paste) {
        struct epoll_event on_signal = { .events = EPOLLIN };
        struct epoll_event on_input = { .events = EPOLLIN, .data = { .fd = STDIN_FILENO } };
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGINT);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGHUP);
        *i = (struct interrupts){ -1, -1, paste && isatty(STDIN_FILENO) == 1 };
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        i->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        i->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (i->signal_fd < 0 || i->epoll_fd < 0)
                return -errno;
        on_signal.data.fd = i->signal_fd;
        if (epoll_ctl(i->epoll_fd, EPOLL_CTL_ADD, i->signal_fd, &on_signal) < 0 ||
            (i->paste && epoll_ctl(i->epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &on_input) < 0))
                return -errno;
        return 0;
}

/* Nothing comes back to this machine: there is no browser to open here, and no address to paste. */
static bool is_by_code(const mcpb_login *login) {
        return login->user_code && login->verification_uri;
}

/* A child that only writes the time that has passed; it holds no connection and no secret. */
static pid_t start_ticker(const mcpb_login *login, time_t begin) {
        long life = login->seconds_left > 0 ? login->seconds_left : 600;
        pid_t pid;

        if (!isatty(STDERR_FILENO))
                return 0;
        (void)fflush(stderr);
        pid = fork();
        if (pid != 0)
                return pid;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
                long passed = (long)(time(NULL) - begin);
                char waited[32];
                char left[32];

                duration_format(waited, sizeof(waited), passed);
                duration_format(left, sizeof(left), life > passed ? life - passed : 0);
                (void)dprintf(STDERR_FILENO,
                              "\r\033[KWaiting for the login at %s: %s (%s left; Ctrl-C cancels) ",
                              login->server ? login->server : "the server", waited, left);
                (void)poll(NULL, 0, 1000);
        }
}

static void stop_ticker(pid_t pid) {
        if (pid <= 0)
                return;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        (void)dprintf(STDERR_FILENO, "\r\033[K");
}

/* The code is shown also where the address brings it: the page asks whether it is that one. */
static void show_code(const mcpb_login *login) {
        (void)fprintf(stderr,
                      "To log in, open this address in a browser on any machine:\n\n  %s\n\n"
                      "and type in this code:\n\n  %s\n\n",
                      login->verification_uri, login->user_code);
        if (login->url && !streq(login->url, login->verification_uri))
                (void)fprintf(stderr, "Or open this one, and compare the code:\n\n  %s\n\n",
                              login->url);
}

static void show_url(const struct login_ui *ui, const mcpb_login *login, bool opened) {
        if (is_by_code(login)) {
                show_code(login);
                return;
        }
        if (opened)
                (void)fprintf(stderr,
                              "Your browser was opened to log in. If it was not, open this "
                              "address:\n\n  %s\n\n",
                              login->url);
        else
                (void)fprintf(stderr, "To log in, open this address in a browser:\n\n  %s\n\n",
                              login->url);
        if (!ui->quiet && isatty(STDIN_FILENO))
                (void)fprintf(stderr, "Is the browser on another machine? Then paste here the "
                                      "address it ends at, and press Return.\n\n");
}

static int connect_anew(const struct login_ui *ui, int cancel_fd, int timeout_msec,
                        mcpb_client **ret, mcpb_error *err) {
        mcpb_options options = ui->program->options;

        options.cancel_fd = cancel_fd;
        options.timeout_msec = timeout_msec;
        return mcpb_client_new(&options, ret, err);
}

static int cancel(const struct login_ui *ui, const char *id) {
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;
        int r = connect_anew(ui, -1, 5000, &c, &err);

        if (r == 0)
                r = mcpb_login_cancel(c, id, &err);
        (void)mcpb_client_free(c);
        if (r < 0)
                (void)program_fail(ui->program, &err);
        else
                (void)fprintf(stderr, "%s: cancelled\n", ui->program->name);
        return EXIT_INTERRUPTED;
}

/* The pasted address holds a code: it is wiped as soon as it is sent. */
static bool paste(const struct login_ui *ui, const char *id) {
        AUTO_BUF struct buf line = { .max = PASTE_MAX };
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_login *result = NULL;
        mcpb_client *c = NULL;
        char byte = 0;
        int r = 0;

        while (r == 0 && read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
                r = byte > ' ' ? buf_append(&line, &byte, 1) : 0;
        if (line.len == 0)
                return byte == '\n';
        r = connect_anew(ui, -1, 0, &c, &err);
        if (r == 0)
                r = mcpb_login_complete(c, id, line.data, &result, &err);
        (void)mcpb_client_free(c);
        (void)mcpb_login_free(result);
        if (r < 0)
                (void)program_fail(ui->program, &err);
        return true;
}

static int report(const struct login_ui *ui, const mcpb_login *login) {
        if (streq(login->state, "done")) {
                if (!ui->quiet)
                        (void)fprintf(stderr, "Logged in: %s\n",
                                      login->server ? login->server : "");
                return 0;
        }
        (void)fprintf(stderr, "%s: %s\n", ui->program->name,
                      login->error ? login->error : "the login failed");
        if (login->error_hint && login->error_hint[0])
                (void)fprintf(stderr, "%s: %s\n", ui->program->name, login->error_hint);
        return error_exit_status(error_from_name(login->error_code ? login->error_code : ""));
}

/* It is on us to open the browser: the one that should have left, or the address is another now. */
static void take_over(const struct login_ui *ui, const mcpb_login *login,
                      const mcpb_login *result) {
        bool anew = result->url && !streq_null(login->url, result->url);
        const char *url = anew ? result->url : login->url;
        bool opened = !ui->no_browser && browser_open(ui->browser, url);

        if (anew)
                show_url(ui, result, opened);
}

/* One wait: -1: wait again; else the exit status. */
static int wait_once(const struct login_ui *ui, struct interrupts *interrupts,
                     const mcpb_login *login, time_t begin) {
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_login *result = NULL;
        mcpb_client *c = NULL;
        struct epoll_event event;
        pid_t ticker = start_ticker(login, begin);
        int status = -1;
        int r = connect_anew(ui, interrupts->epoll_fd, 0, &c, &err);

        if (r == 0)
                r = mcpb_login_wait(c, login->login, &result, &err);
        (void)mcpb_client_free(c);
        stop_ticker(ticker); /* before anything else is said */
        if (r == 0 && streq(result->state, "waiting") && result->opener)
                take_over(ui, login, result);
        else if (r == 0 && (streq(result->state, "done") || streq(result->state, "failed")))
                status = report(ui, result);
        (void)mcpb_login_free(result);
        if (r == 0)
                return status;
        if (r != -ECANCELED || epoll_wait(interrupts->epoll_fd, &event, 1, 0) != 1)
                return program_fail(ui->program, &err);
        mcpb_error_done(&err);
        if (event.data.fd != STDIN_FILENO)
                return cancel(ui, login->login);
        if (!paste(ui, login->login))
                (void)epoll_ctl(interrupts->epoll_fd, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
        return -1;
}

int login_see_through(const struct login_ui *ui, const mcpb_login *login) {
        struct interrupts interrupts;
        time_t begin = time(NULL);
        bool opened = false;
        int status = -1;

        if (login->state && streq(login->state, "done"))
                return report(ui, login); /* no person was needed for it */
        if (interrupts_open(&interrupts, !is_by_code(login)) < 0) {
                interrupts_done(&interrupts);
                (void)fprintf(stderr, "%s: cannot wait for the login: %s\n", ui->program->name,
                              strerror(errno));
                return 1;
        }
        if (!ui->no_browser && login->opener)
                opened = browser_open(ui->browser, login->url);
        show_url(ui, login, opened);
        while (status < 0)
                status = wait_once(ui, &interrupts, login, begin);
        interrupts_done(&interrupts);
        return status;
}
