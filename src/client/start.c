/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "client/start.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "client/confined.h"
#include "os/paths.h"
#include "os/spawn.h"

#define SYSTEMCTL "/usr/bin/systemctl"
#define UNIT "mcp-broker.socket"
#define HINT_BY_HAND "Start it with: systemctl --user start " UNIT ", or: mcp-brokerd"

/* Nothing of the caller's environment reaches a daemon that will serve all programs of the user. */
#define ENV_MAX 5
struct fixed_env {
        char home[1024];
        char runtime[1024];
        char *envp[ENV_MAX + 1];
};

/* lint: allow global: an environment's texts are char *; nobody writes to them */
static char path_env[] = "PATH=/usr/local/bin:/usr/bin:/bin";
/* lint: allow global: as above */
static char lang_env[] = "LANG=C.UTF-8";

static void fixed_env_init(struct fixed_env *e, const struct start *s) {
        size_t n = 0;

        *e = (struct fixed_env){ 0 };
        e->envp[n++] = path_env;
        e->envp[n++] = lang_env;
        if (s->home &&
            (size_t)snprintf(e->home, sizeof(e->home), "HOME=%s", s->home) < sizeof(e->home))
                e->envp[n++] = e->home;
        if (s->runtime_dir && (size_t)snprintf(e->runtime, sizeof(e->runtime), "XDG_RUNTIME_DIR=%s",
                                               s->runtime_dir) < sizeof(e->runtime))
                e->envp[n++] = e->runtime;
}

/* exec() takes words that are not const for the sake of old programs; nobody writes to them. */
static char *spawn_word(const char *s) {
        return (char *)(uintptr_t)s;
}

/* Runs a program to its end. *@ret_status: its exit status; -1: a signal ended it. */
static int run(mcpb_client *c, const struct start *s, char *const *argv, int *ret_status,
               mcpb_error *err) {
        AUTO_CLOSE int pidfd = -1;
        struct fixed_env env;
        struct error e = ERROR_INIT;
        siginfo_t info = { 0 };
        pid_t pid;
        int r;

        fixed_env_init(&env, s);
        r = spawn(&(struct spawn){ .path = argv[0],
                                   .argv = argv,
                                   .envp = env.envp,
                                   .cwd = "/",
                                   .new_session = true },
                  &pid, &pidfd, &e);
        if (r < 0)
                return client_error_from(err, &e, r);
        r = client_wait(c, pidfd, POLLIN, UINT64_MAX, err);
        if (r < 0)
                (void)kill(pid, SIGKILL);
        while (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0 && errno == EINTR)
                ;
        *ret_status = r == 0 && info.si_code == CLD_EXITED ? info.si_status : -1;
        return r;
}

/* A user manager listens here. */
static bool manager_runs(const char *runtime_dir) {
        char path[1024];
        struct stat st;

        return runtime_dir &&
               (size_t)snprintf(path, sizeof(path), "%s/systemd/private", runtime_dir) <
                       sizeof(path) &&
               stat(path, &st) == 0;
}

static int start_unit(mcpb_client *c, const struct start *s, bool *ret_ok, mcpb_error *err) {
        char user[] = "--user";
        char quiet[] = "--quiet";
        char verb[] = "start";
        char unit[] = UNIT;
        char *argv[] = { spawn_word(s->systemctl), user, quiet, verb, unit, NULL };
        int status = -1;
        int r;

        *ret_ok = false;
        r = run(c, s, argv, &status, err);
        *ret_ok = r == 0 && status == 0;
        /* Not installed, or it does not know the unit: then there is another way. */
        return r == -ETIMEDOUT || r == -ECANCELED ? r : 0;
}

int start_daemon(mcpb_client *c, const struct start *s, mcpb_error *err) {
        char *argv[] = { spawn_word(s->daemon), NULL };
        bool ok = false;
        int status = -1;
        int r;

        /* The manager starts it outside of whatever closes us in. */
        if (manager_runs(s->runtime_dir)) {
                r = start_unit(c, s, &ok, err);
                if (r < 0 || ok)
                        return r;
        }
        if (s->confined)
                return client_error(err, MCPB_NO_DAEMON, ECONNREFUSED,
                                    "Outside of it: systemctl --user start " UNIT
                                    ", or: mcp-brokerd",
                                    "No mcp-brokerd is running, and this process does not start "
                                    "one because %s",
                                    s->confined);
        r = run(c, s, argv, &status, err);
        if (r == -ETIMEDOUT || r == -ECANCELED)
                return r;
        if (r < 0)
                return client_error(err, MCPB_NO_DAEMON, ECONNREFUSED, HINT_BY_HAND,
                                    "No mcp-brokerd is running, and %s cannot be started: %s",
                                    s->daemon, strerror(-r));
        /* One that met another, started in the same moment, has nothing to do: the socket will
         * tell. */
        if (status == 0 || status == error_exit_status(MCPB_EXISTS))
                return 0;
        return client_error(
                err, MCPB_NO_DAEMON, ECONNREFUSED, "Start it by hand to see why: mcp-brokerd -f",
                "No mcp-brokerd is running, and the one that was started ended at once");
}

int client_start_daemon(mcpb_client *c, mcpb_error *err) {
        AUTO_FREE char *home = path_home();
        const char *given = getenv("XDG_RUNTIME_DIR");
        char runtime[64];
        struct stat st;
        struct start s = {
                .systemctl = SYSTEMCTL,
                .home = home,
                .daemon = c->daemon_path ? c->daemon_path : MCPB_BINDIR "/mcp-brokerd",
                .confined = confined_reason(),
        };

        /* The one variable that is passed on says where we look for its socket. */
        (void)snprintf(runtime, sizeof(runtime), "/run/user/%u", (unsigned)geteuid());
        if (given && *given == '/')
                s.runtime_dir = given;
        else if (stat(runtime, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid())
                s.runtime_dir = runtime;
        return start_daemon(c, &s, err);
}
