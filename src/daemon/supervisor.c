/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "daemon/keeper.h"
#include "daemon/launch.h"
#include "daemon/link.h"
#include "daemon/workers.h"
#include "daemon/writer.h"
#include "loop/loop.h"
#include "os/sock.h"
#include "os/spawn.h"

#define RESTART_MIN_USEC (50 * USEC_PER_MSEC)
#define RESTART_MAX_USEC (10 * USEC_PER_SEC)
#define STOP_SEC 40 /* a little more than the keeper takes at most */
#define RETIRED_MAX 8

struct supervisor;

struct process {
        struct list retired; /* in supervisor->retired */
        struct supervisor *supervisor;
        const char *name;
        pid_t pid; /* 0: not running */
        sd_event_source *child;
        sd_event_source *again;
        uint64_t started_boot;
        uint64_t delay_usec;
        unsigned n_restarts;
        bool stale; /* runs with values that have been replaced */
};

struct supervisor {
        const struct options *options;
        struct supervisor_files *files;
        char **environment;
        void (*on_ready)(pid_t pid, const char *socket);
        sd_event *event;
        struct link *keeper_link;
        struct process keeper;
        struct process writer;
        struct process workers[WORKER_KIND_COUNT];
        struct process command;
        struct list retired; /* network workers that end what they have; others have their place */
        unsigned n_retired;
        struct configuration pending; /* the keeper is asked about it */
        bool configuring;
        sd_event_source *give_up;
        bool keeper_left;
        bool ready;
        bool stopping;
        bool cut;    /* stopped before it was ready */
        bool reload; /* asked for before it was ready, or while another is under way */
        int status;
        int command_status; /* -1: none has ended */
};

static void tell_keeper(struct supervisor *s, json_t *head) {
        if (!s->keeper_link || link_send_head(s->keeper_link, head) < 0)
                log_debug("the keeper does not take messages");
}

static json_t *describe(const struct process *p, bool retired) {
        json_t *value = json_pack("{s:s, s:I, s:i}", "name", p->name, "pid", (json_int_t)p->pid,
                                  "restarts", (int)p->n_restarts);

        if (value && retired && json_object_set_new(value, "replaced", json_true()) < 0) {
                json_decref(value);
                return NULL;
        }
        return value;
}

static void tell_processes(struct supervisor *s) {
        AUTO_JSON json_t *list = json_array();
        const struct process *old;
        int r = list ? 0 : -ENOMEM;

        if (r == 0)
                r = json_array_append_new(list,
                                          json_pack("{s:s, s:I, s:i}", "name", "supervisor", "pid",
                                                    (json_int_t)getpid(), "restarts", 0));
        if (r == 0)
                r = json_array_append_new(list, describe(&s->keeper, false));
        if (r == 0)
                r = json_array_append_new(list, describe(&s->writer, false));
        for (int i = 0; r == 0 && i < WORKER_KIND_COUNT; i++)
                r = json_array_append_new(list, describe(&s->workers[i], false));
        LIST_FOREACH(old, &s->retired, struct process, retired)
                r = r == 0 ? json_array_append_new(list, describe(old, true)) : r;
        if (r == 0)
                tell_keeper(s, json_pack("{s:s, s:O}", "op", "processes", "list", list));
}

/* --- Stopping -------------------------------------------------------------------------------- */

static int on_give_up(sd_event_source *src, uint64_t usec, void *userdata) {
        struct supervisor *s = userdata;

        log_error("The keeper does not end: it is killed");
        if (s->keeper.pid > 0)
                (void)kill(s->keeper.pid, SIGKILL);
        return 0;
}

static void stop(struct supervisor *s) {
        if (s->stopping)
                return;
        s->stopping = true;
        (void)sd_notify(0, "STOPPING=1\nSTATUS=Stopping when what is under way is done");
        if (!s->ready) {
                /* Nobody has been served: there is nothing that must not be cut. */
                s->cut = true;
                if (s->keeper.pid > 0)
                        (void)kill(s->keeper.pid, SIGKILL);
                return;
        }
        tell_keeper(s, json_pack("{s:s}", "op", "stop"));
        if (loop_timer(s->event, clock_boot_usec() + STOP_SEC * USEC_PER_SEC, on_give_up, s,
                       "give up", &s->give_up) < 0)
                log_warning("No timer for the stop: out of memory");
}

/* --- Children -------------------------------------------------------------------------------- */

static int start_worker(struct supervisor *s, enum worker_kind kind, int fd, struct error *err);
static int start_writer(struct supervisor *s, int fd);

/* Starts it, and gives the keeper the other end of a new stream. */
static int start_anew(struct process *p, struct error *err) {
        struct supervisor *s = p->supervisor;
        AUTO_JSON json_t *head = NULL;
        int fds[2] = { -1, -1 };
        int r = sock_pair(fds);

        if (r == 0)
                r = p == &s->writer
                            ? start_writer(s, fds[0])
                            : start_worker(s, (enum worker_kind)(p - s->workers), fds[0], err);
        if (r == 0) {
                head = p == &s->writer ? json_pack("{s:s}", "op", "writer")
                                       : json_pack("{s:s, s:s}", "op", "worker", "name", p->name);
                r = head ? link_send(s->keeper_link, head, NULL, &fds[1], 1) : -ENOMEM;
        }
        if (fds[0] >= 0)
                (void)close(fds[0]);
        if (fds[1] >= 0)
                (void)close(fds[1]);
        return error_fallback(err, r, "starting a worker again");
}

static int on_start_again(sd_event_source *src, uint64_t usec, void *userdata) {
        struct process *p = userdata;
        struct supervisor *s = p->supervisor;
        struct error err = ERROR_INIT;

        p->again = loop_source_free(p->again);
        if (s->keeper_left)
                return 0;
        if (start_anew(p, &err) < 0) {
                log_failure(LOG_ERR, &err, p->name);
                /* One that runs, of which the keeper knows nothing, ends by itself: then again. */
                if (p->pid == 0 && loop_timer(s->event, clock_boot_usec() + RESTART_MAX_USEC,
                                              on_start_again, p, p->name, &p->again) < 0)
                        (void)sd_event_exit(s->event, 1);
        }
        tell_processes(s);
        return 0;
}

static void start_again(struct process *p) {
        uint64_t lived = clock_boot_usec() - p->started_boot;

        p->again = loop_source_free(p->again);
        p->n_restarts++;
        if (lived > 10 * USEC_PER_SEC || p->delay_usec == 0)
                p->delay_usec = RESTART_MIN_USEC;
        else if (p->delay_usec < RESTART_MAX_USEC)
                p->delay_usec *= 2;
        if (loop_timer(p->supervisor->event, clock_boot_usec() + p->delay_usec, on_start_again, p,
                       p->name, &p->again) < 0)
                (void)sd_event_exit(p->supervisor->event, 1);
}

/* In place of one that runs with the values of before. That one gets no more requests from the
 * keeper, and leaves when it has ended what it has: a refresh that is in the air is not cut. */
static void replace(struct process *p) {
        struct supervisor *s = p->supervisor;
        struct error err = ERROR_INIT;
        struct process *old;

        if (p->pid == 0 || !p->stale || s->stopping || s->n_retired >= RETIRED_MAX)
                return;
        old = malloc(sizeof(*old));
        if (old) {
                *old = *p;
                p->pid = 0;
                p->child = NULL;
        }
        if (!old || start_anew(p, &err) < 0) {
                (void)error_fallback(&err, -ENOMEM, "replacing a worker");
                log_failure(LOG_ERR, &err, p->name);
        }
        if (old && p->pid == 0) {
                *p = *old;
                free(old);
        } else if (old) {
                list_init(&old->retired);
                list_append(&s->retired, &old->retired);
                s->n_retired++;
                (void)sd_event_source_set_userdata(old->child, old);
        }
}

static void replace_all(struct supervisor *s) {
        for (int i = 0; i < WORKER_KIND_COUNT; i++)
                replace(&s->workers[i]);
        tell_processes(s);
}

static int exit_status(const siginfo_t *si) {
        return si->si_code == CLD_EXITED ? si->si_status : 128 + si->si_status;
}

static const char *how(const siginfo_t *si) {
        return si->si_code == CLD_EXITED ? "status" : "signal";
}

static void on_retired_end(struct process *p, const siginfo_t *si) {
        struct supervisor *s = p->supervisor;

        if (exit_status(si) != 0 && !s->stopping)
                log_warning("%s, which was replaced, ended (%s %d)", p->name, how(si),
                            si->si_status);
        list_remove(&p->retired);
        s->n_retired--;
        free(p);
        replace_all(s);
}

static int on_child(sd_event_source *src, const siginfo_t *si, void *userdata) {
        struct process *p = userdata;
        struct supervisor *s = p->supervisor;
        bool is_worker = p >= s->workers && p < s->workers + WORKER_KIND_COUNT;

        p->pid = 0;
        p->child = loop_source_free(p->child);
        if (!list_empty(&p->retired)) {
                on_retired_end(p, si);
                return 0;
        }
        if (p == &s->command) {
                s->command_status = exit_status(si);
                stop(s);
                return 0;
        }
        /* What is being made durable while we stop needs a writer, until the keeper is gone. */
        if (is_worker ? !s->stopping : p == &s->writer && s->keeper.pid > 0) {
                if (!s->stopping)
                        log_warning("%s ended (%s %d); it is started again", p->name, how(si),
                                    si->si_status);
                start_again(p);
        }
        if (is_worker || p == &s->writer)
                return 0;
        /* Its last words may still lie in the socket: the end of a child is told first. */
        link_read(s->keeper_link);
        /* Without the keeper there is nothing to supervise. */
        if (!s->stopping || (exit_status(si) != 0 && !s->cut))
                log_error("The %s ended (%s %d)", p->name, how(si), si->si_status);
        if (s->status == 0 && !s->cut)
                s->status = s->stopping || exit_status(si) ? exit_status(si) : 1;
        (void)sd_event_exit(s->event, s->status);
        return 0;
}

static int watch(struct supervisor *s, struct process *p, pid_t pid) {
        int r = sd_event_add_child(s->event, &p->child, pid, WEXITED, on_child, p);

        if (r < 0)
                return r;
        p->pid = pid;
        p->started_boot = clock_boot_usec();
        (void)sd_event_source_set_priority(p->child, LOOP_CHILD);
        return 0;
}

static int start_worker(struct supervisor *s, enum worker_kind kind, int fd, struct error *err) {
        struct process *p = &s->workers[kind];
        AUTO_BUF struct buf path = BUF_INIT;
        char *argv[LAUNCH_ARGV_MAX] = { 0 };
        AUTO_FREE char **env = launch_environment(s->environment);
        const struct spawn_fd fds[] = { { fd, 3 }, { STDERR_FILENO, STDERR_FILENO } };
        pid_t pid = 0;
        int r;

        r = buf_printf(&path, "%s/%s", s->options->libexec_dir,
                       kind == WORKER_SESSION ? "mcp-broker-session" : "mcp-broker-net");
        if (r == 0)
                r = launch_argv(&s->files->configuration.config, kind, path.data, argv, err);
        if (r == 0 && !env)
                r = -ENOMEM;
        if (r == 0)
                r = spawn(&(struct spawn){ .path = path.data,
                                           .argv = argv,
                                           .envp = env,
                                           .fds = fds,
                                           .n_fds = ARRAY_SIZE(fds),
                                           .die_with_us = true },
                          &pid, NULL, err);
        launch_argv_done(argv);
        if (r == 0)
                r = watch(s, p, pid);
        if (r == 0)
                p->stale = false;
        return error_fallback(err, r, "starting a worker");
}

static int start_command(struct supervisor *s, struct error *err) {
        char **env;
        size_t n = 0;
        AUTO_BUF struct buf variable = BUF_INIT;
        pid_t pid = 0;
        int r = buf_printf(&variable, "MCP_BROKER_SOCK=%s", s->files->socket);

        while (s->environment[n])
                n++;
        env = calloc(n + 2, sizeof(*env));
        if (!env || r < 0) {
                free(env);
                return error_oom(err);
        }
        n = 0;
        for (size_t i = 0; s->environment[i]; i++)
                if (strncmp(s->environment[i], "MCP_BROKER_SOCK=", 16) != 0)
                        env[n++] = s->environment[i];
        env[n] = variable.data;
        r = spawn(&(struct spawn){ .path = s->options->command[0],
                                   .argv = s->options->command,
                                   .envp = env,
                                   .search = true,
                                   .keep_stdio = true },
                  &pid, NULL, err);
        free(env);
        return r < 0 ? r : error_fallback(err, watch(s, &s->command, pid), "watching the command");
}

/* --- New values ------------------------------------------------------------------------------ */

static void reload_done(struct supervisor *s) {
        s->configuring = false;
        configuration_done(&s->pending);
        if (!s->stopping)
                (void)sd_notify(0, "READY=1");
}

static void reload(struct supervisor *s) {
        struct error err = ERROR_INIT;
        char text[96];
        int r;

        s->reload = !s->ready || s->configuring;
        if (s->reload || s->stopping)
                return;
        (void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
                       (unsigned long long)clock_monotonic_usec());
        (void)sd_notify(0, text);
        r = supervisor_read_config(s->options, &s->pending, &err);
        if (r == 0)
                r = launch_check(&s->pending.config, &err);
        if (r == 0)
                r = s->keeper_link ? configuration_send(&s->pending, s->keeper_link) : -EPIPE;
        if (r < 0) {
                (void)error_fallback(&err, r, "reading the configuration again");
                log_failure(LOG_ERR, &err, "The old configuration stays");
                reload_done(s);
                return;
        }
        s->configuring = true;
}

static void take_pending(struct supervisor *s) {
        struct error err = ERROR_INIT;
        bool differ = false;

        if (launch_differs(&s->files->configuration.config, &s->pending.config, &differ, &err) <
                    0 ||
            supervisor_apply_config(&s->pending.config, &err) < 0) {
                log_failure(LOG_ERR, &err, "the new configuration");
                return;
        }
        s->workers[WORKER_EXPLORE].stale |= differ;
        s->workers[WORKER_DEAL].stale |= differ;
        config_files_done(&s->files->configuration.config);
        s->files->configuration.config = s->pending.config;
        s->pending.config = CONFIG_FILES_INIT;
        replace_all(s);
}

/* The keeper has judged it: what it refuses changes nothing here either. */
static void on_configured(struct supervisor *s, bool ok) {
        if (ok)
                take_pending(s);
        reload_done(s);
        if (s->reload)
                reload(s);
}

/* --- What the keeper says -------------------------------------------------------------------- */

static void on_keeper_ready(struct supervisor *s) {
        struct error err = ERROR_INIT;

        if (s->ready || s->cut)
                return;
        s->ready = true;
        (void)sd_notify(0, "READY=1\nSTATUS=Serving");
        log_info("Listening on %s", s->files->socket);
        if (s->on_ready)
                s->on_ready(getpid(), s->files->socket);
        if (s->reload)
                reload(s);
        if (s->options->command && start_command(s, &err) < 0) {
                log_failure(LOG_ERR, &err, "starting the command");
                s->command_status = err.code == MCPB_NOT_FOUND ? 127 : 126;
                stop(s);
        }
}

static void on_keeper_failed(struct supervisor *s, const json_t *head) {
        const char *code = json_get_string(head, "code");

        /* What it was, the keeper has logged. */
        s->status = error_exit_status(error_from_name(code ? code : ""));
}

static int on_keeper_frame(struct frame *f, void *userdata) {
        struct supervisor *s = userdata;
        const char *op = json_get_string(f->head, "op");
        const char *what = json_get_string(f->head, "what");

        if (!op)
                return -EBADMSG;
        if (streq(op, "ready"))
                on_keeper_ready(s);
        else if (streq(op, "failed"))
                on_keeper_failed(s, f->head);
        else if (streq(op, "configured") && s->configuring)
                on_configured(s, json_get_bool(f->head, "ok", false));
        else if (streq(op, "alive"))
                (void)sd_notify(0, "WATCHDOG=1");
        else if (streq(op, "control") && what && streq(what, "stop"))
                stop(s);
        else if (streq(op, "control") && what && streq(what, "reload"))
                reload(s);
        else
                return -EBADMSG;
        return 0;
}

static void on_keeper_closed(void *userdata) {
        struct supervisor *s = userdata;

        /* Its end as a child follows; until then nobody is started for it. */
        s->keeper_left = true;
}

static const struct link_ops keeper_ops = { on_keeper_frame, on_keeper_closed };

/* --- Starting -------------------------------------------------------------------------------- */

static int on_signal(sd_event_source *src, const struct signalfd_siginfo *si, void *userdata) {
        struct supervisor *s = userdata;

        if (si->ssi_signo == SIGHUP)
                reload(s);
        else
                stop(s);
        return 0;
}

/* The ends of the streams between our processes; -1 where handed over. */
struct streams {
        int control[2];
        int writer[2];
        int workers[WORKER_KIND_COUNT][2]; /* [0] the worker's, [1] the keeper's */
};

static void close_streams(struct streams *t) {
        int *all = (int *)t;

        for (size_t i = 0; i < sizeof(*t) / sizeof(int); i++)
                if (all[i] >= 0)
                        (void)close(all[i]);
}

static int open_streams(struct streams *t) {
        int r;

        *t = (struct streams){ { -1, -1 }, { -1, -1 }, { { -1, -1 }, { -1, -1 }, { -1, -1 } } };
        r = sock_pair(t->control);
        if (r == 0)
                r = sock_pair(t->writer);
        for (int i = 0; r == 0 && i < WORKER_KIND_COUNT; i++)
                r = sock_pair(t->workers[i]);
        return r;
}

static void close_range_of(unsigned first, unsigned last) {
        if (first > last || syscall(SYS_close_range, first, last, 0U) == 0)
                return;
        /* Before Linux 5.9. */
        for (unsigned fd = first; fd <= last && fd < 4096; fd++)
                (void)close((int)fd);
}

/* In the child: closes what is not its own, so that S2 holds by what is open, too. */
static void keep_only(const int *keep, size_t n_keep) {
        unsigned from = 3;

        for (;;) {
                unsigned next = UINT_MAX;

                for (size_t i = 0; i < n_keep; i++)
                        if ((unsigned)keep[i] >= from && (unsigned)keep[i] < next)
                                next = (unsigned)keep[i];
                if (next == UINT_MAX)
                        break;
                close_range_of(from, next - 1);
                from = next + 1;
        }
        close_range_of(from, UINT_MAX);
}

static pid_t fork_quietly(pid_t parent) {
        pid_t pid = fork();
        sigset_t none;

        if (pid != 0)
                return pid;
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        /* Nothing of ours outlives its supervisor. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(1);
        return 0;
}

/* In the child. */
static void run_writer(int fd, const struct supervisor_files *f) {
        const int keep[] = { fd, f->store_fd };

        keep_only(keep, ARRAY_SIZE(keep));
        _exit(writer_main(fd, f->store_fd));
}

static void run_keeper(struct streams *t, struct supervisor_files *f, const struct options *o,
                       uint64_t watchdog_usec) {
        struct keeper_options k = {
                .control_fd = t->control[1],
                .writer_fd = t->writer[1],
                .worker_fds = { t->workers[0][1], t->workers[1][1], t->workers[2][1] },
                .audit_fd = f->audit_fd,
                .n_listeners = f->n_listeners,
                .configuration = &f->configuration,
                .passphrase = o->passphrase,
                .alive_usec = watchdog_usec / 3,
        };
        int keep[6 + KEEPER_LISTENERS_MAX + CONFIG_FILES_MAX] = { k.control_fd,    k.writer_fd,
                                                                  k.worker_fds[0], k.worker_fds[1],
                                                                  k.worker_fds[2], k.audit_fd };
        const struct configuration *c = k.configuration;
        size_t n = 6;

        for (size_t i = 0; i < f->n_listeners; i++)
                keep[n++] = k.listener_fds[i] = f->listener_fds[i];
        for (size_t i = 0; i < c->n_secret_fds; i++)
                if (c->secret_fds[i] >= 0)
                        keep[n++] = c->secret_fds[i];
        keep_only(keep, n);
        _exit(keeper_main(&k));
}

static int start_forked(struct supervisor *s, struct streams *t, uint64_t watchdog_usec) {
        pid_t me = getpid();
        pid_t writer;
        pid_t keeper;

        writer = fork_quietly(me);
        if (writer == 0)
                run_writer(t->writer[0], s->files);
        if (writer < 0)
                return -errno;
        keeper = fork_quietly(me);
        if (keeper == 0)
                run_keeper(t, s->files, s->options, watchdog_usec);
        if (keeper < 0) {
                (void)kill(writer, SIGKILL);
                return -errno;
        }
        s->writer.pid = writer;
        s->keeper.pid = keeper;
        configuration_close_secrets(&s->files->configuration);
        return 0;
}

static int block_signals(void) {
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        (void)sigaddset(&set, SIGHUP);
        (void)sigaddset(&set, SIGCHLD);
        return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

static int prepare_loop(struct supervisor *s, struct streams *t) {
        static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
        int r = loop_new(&s->event);

        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(signals); i++) {
                /* A command in our foreground gets the terminal's signals itself: only TERM ends us
                 * then. */
                if (s->options->command && signals[i] == SIGINT)
                        continue;
                r = sd_event_add_signal(s->event, NULL, signals[i], on_signal, s);
        }
        if (r >= 0)
                r = link_new(s->event, TAKE_FD(t->control[0]), &keeper_ops, s, "keeper",
                             &s->keeper_link);
        if (r >= 0)
                r = watch(s, &s->writer, s->writer.pid);
        if (r >= 0)
                r = watch(s, &s->keeper, s->keeper.pid);
        return r < 0 ? r : 0;
}

static int start_all(struct supervisor *s, struct error *err) {
        struct streams t;
        uint64_t watchdog = 0;
        int r = open_streams(&t);

        if (sd_watchdog_enabled(0, &watchdog) <= 0)
                watchdog = 0;
        if (r == 0)
                r = block_signals();
        if (r == 0)
                r = start_forked(s, &t, watchdog);
        if (r == 0)
                r = prepare_loop(s, &t);
        for (int i = 0; r == 0 && i < WORKER_KIND_COUNT; i++)
                r = start_worker(s, (enum worker_kind)i, t.workers[i][0], err);
        close_streams(&t);
        if (r == 0)
                tell_processes(s);
        return error_fallback(err, r, "starting");
}

/* In place of one that died. Its leftovers are swept by the new one before it answers anything. */
static int start_writer(struct supervisor *s, int fd) {
        pid_t pid = fork_quietly(getpid());

        if (pid == 0)
                run_writer(fd, s->files);
        return pid < 0 ? -errno : watch(s, &s->writer, pid);
}

static void name_process(struct supervisor *s, struct process *p, const char *name) {
        p->supervisor = s;
        p->name = name;
        list_init(&p->retired);
}

static void name_processes(struct supervisor *s) {
        list_init(&s->retired);
        name_process(s, &s->keeper, "keeper");
        name_process(s, &s->writer, "writer");
        name_process(s, &s->command, "command");
        for (int i = 0; i < WORKER_KIND_COUNT; i++)
                name_process(s, &s->workers[i], worker_name((enum worker_kind)i));
}

static void end_process(struct process *p) {
        p->child = loop_source_free(p->child);
        p->again = loop_source_free(p->again);
        if (p->pid > 0)
                (void)kill(p->pid, SIGKILL);
        p->pid = 0;
}

int supervisor_run(const struct options *o, struct supervisor_files *f,
                   void (*on_ready)(pid_t pid, const char *socket), char **environment) {
        struct supervisor s = { .options = o,
                                .files = f,
                                .on_ready = on_ready,
                                .environment = environment,
                                .command_status = -1 };
        struct error err = ERROR_INIT;
        struct process *old;
        int r;

        name_processes(&s);
        r = start_all(&s, &err);
        if (r < 0) {
                log_failure(LOG_ERR, &err, "starting");
                s.status = error_exit_status(err.code);
        } else {
                r = sd_event_loop(s.event);
                if (r < 0)
                        log_error("The supervisor's loop failed: %s", strerror(-r));
        }
        end_process(&s.keeper);
        end_process(&s.writer);
        for (int i = 0; i < WORKER_KIND_COUNT; i++)
                end_process(&s.workers[i]);
        LIST_FOREACH(old, &s.retired, struct process, retired) {
                end_process(old);
                free(old);
        }
        configuration_done(&s.pending);
        s.give_up = loop_source_free(s.give_up);
        s.keeper_link = link_free(s.keeper_link);
        s.event = loop_free(s.event);
        if (s.status == 0 && s.command_status >= 0)
                return s.command_status;
        return r < 0 && s.status == 0 ? 1 : s.status;
}
