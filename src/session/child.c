/* SPDX-License-Identifier: Apache-2.0 */
#include "session/child.h"

#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "os/spawn.h"

#define STATUS_KILLED_BASE 128

struct child {
        char name[64];
        pid_t pid;
        int pidfd; /* until the process source owns it */
        sd_event_source *process;
        sd_event_source *timer;
        bool late; /* killed by us: its time was over */
        child_done_fn fn;
        void *userdata;
};

static int on_child_exit(sd_event_source *s, const siginfo_t *info, void *userdata) {
        struct child *c = userdata;
        struct error err = ERROR_INIT;

        c->timer = loop_source_free(c->timer);
        if (c->late) {
                (void)error_set(&err, MCPB_TIMEOUT, ETIMEDOUT, NULL,
                                "%s did not end in time and was stopped", c->name);
                c->fn(-1, &err, c->userdata);
        } else if (info->si_code == CLD_EXITED) {
                c->fn(info->si_status, NULL, c->userdata);
        } else {
                c->fn(STATUS_KILLED_BASE + info->si_status, NULL, c->userdata);
        }
        return 0;
}

static int on_child_late(sd_event_source *s, uint64_t usec, void *userdata) {
        struct child *c = userdata;

        c->late = true;
        (void)sd_event_source_send_child_signal(c->process, SIGKILL, NULL, 0);
        return 0;
}

/* From here on the process source owns pid and pidfd: when it is freed, the process is killed and
 * reaped. */
static int watch(struct child *c, sd_event *e) {
        int r = sd_event_add_child_pidfd(e, &c->process, c->pidfd, WEXITED, on_child_exit, c);

        if (r < 0)
                return r;
        r = sd_event_source_set_child_pidfd_own(c->process, true);
        if (r < 0)
                return r;
        c->pidfd = -1;
        r = sd_event_source_set_child_process_own(c->process, true);
        if (r < 0)
                return r;
        c->pid = 0;
        r = sd_event_source_set_priority(c->process, LOOP_CHILD);
        return r < 0 ? r : sd_event_source_set_description(c->process, "child");
}

int child_start(sd_event *e, const struct spawn *s, const char *name, uint64_t limit_usec,
                child_done_fn fn, void *userdata, struct child **ret, struct error *err) {
        struct child *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return error_oom(err);
        c->pidfd = -1;
        c->fn = fn;
        c->userdata = userdata;
        (void)snprintf(c->name, sizeof(c->name), "%s", name);
        r = spawn(s, &c->pid, &c->pidfd, err);
        if (r == 0) {
                r = watch(c, e);
                if (r >= 0)
                        r = loop_timer(e, clock_boot_usec() + limit_usec, on_child_late, c,
                                       "child's time", &c->timer);
                r = error_fallback(err, r, "cannot watch a child");
        }
        if (r < 0) {
                (void)child_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

struct child *child_free(struct child *c) {
        if (!c)
                return NULL;
        (void)loop_source_free(c->timer);
        (void)loop_source_free(c->process);
        if (c->pid > 0 && c->pidfd >= 0) {
                (void)pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
                (void)waitid(P_PIDFD, (id_t)c->pidfd, &(siginfo_t){ 0 }, WEXITED);
        }
        cleanup_close(&c->pidfd);
        free(c);
        return NULL;
}
