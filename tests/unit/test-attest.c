/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attestation of real processes. Children are copies of cat and dash under names of our choice;
 * everything is synchronised by pipes: a copy of cat that gives back a line has been executed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "oom.h"
#include "os/io.h"
#include "peer/inode.h"
#include "peer/ours.h"
#include "peer/peer.h"
#include "tmp.h"

/* Before the n-th look at a file, something happens. */
static struct {
        unsigned at; /* 0: never */
        unsigned count;
        pid_t victim;
} seam;

int __real_io_read_file_at(int dirfd, const char *name, size_t max, struct buf *ret);
int __wrap_io_read_file_at(int dirfd, const char *name, size_t max, struct buf *ret);
int __real_inode_at(int dirfd, const char *path, struct inode *ret);
int __wrap_inode_at(int dirfd, const char *path, struct inode *ret);

static void seam_pass(void) {
        if (seam.at > 0 && ++seam.count == seam.at) {
                assert_int_equal(kill(seam.victim, SIGKILL), 0);
                /* gone when this returns, but perhaps not yet reaped by its parent */
                assert_int_equal(
                        waitid(P_PID, (id_t)seam.victim, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
        }
}

int __wrap_io_read_file_at(int dirfd, const char *name, size_t max, struct buf *ret) {
        seam_pass();
        return __real_io_read_file_at(dirfd, name, max, ret);
}

int __wrap_inode_at(int dirfd, const char *path, struct inode *ret) {
        seam_pass();
        return __real_inode_at(dirfd, path, ret);
}

static struct {
        char *top;
        char shells[TMP_PATH_MAX];
        char reaper[TMP_PATH_MAX];
        const char *folders[2];
        const char *reapers[2];
        struct peer_ours *ours;
        size_t n_fds;
} place;

static const char *in_place(const char *name) {
        static char paths[8][TMP_PATH_MAX]; /* several may stand in one call */
        static unsigned i;

        return tmp_path(paths[i++ % ARRAY_SIZE(paths)], place.top, name);
}

static void copy_file(const char *from, const char *to) {
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_CLOSE int in = open(from, O_RDONLY | O_CLOEXEC);
        AUTO_CLOSE int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

        assert_true(in >= 0 && out >= 0);
        assert_int_equal(io_read_full(in, 8 * 1024 * 1024, &b), 0);
        assert_int_equal(io_write_full(out, b.data, b.len), 0);
}

static void write_file(const char *path, const char *text, mode_t mode) {
        AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

        assert_true(fd >= 0);
        assert_int_equal(io_write_full(fd, text, strlen(text)), 0);
}

static size_t count_fds(void) {
        DIR *d = opendir("/proc/self/fd");
        size_t n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        (void)closedir(d);
        return n;
}

static int place_make(void **state) {
        static const char *const cats[] = { "mcp-token", "mcp-broker-net", "agent", "other" };
        static const char *const shs[] = { "mcp-connect", "shell", "agentsh", "reaper" };
        struct peer_places places = { 0 };
        struct error err = ERROR_INIT;

        (void)signal(SIGPIPE, SIG_IGN);
        place.top = tmp_new();
        assert_int_equal(chmod(place.top, 0755), 0);
        for (size_t i = 0; i < ARRAY_SIZE(cats); i++)
                copy_file("/bin/cat", in_place(cats[i]));
        for (size_t i = 0; i < ARRAY_SIZE(shs); i++)
                copy_file("/bin/sh", in_place(shs[i]));
        (void)tmp_path(place.shells, place.top, "shells");
        (void)tmp_path(place.reaper, place.top, "reaper");
        write_file(place.shells, in_place("shell"), 0644);
        place.folders[0] = place.top;
        place.reapers[0] = place.reaper;
        places = (struct peer_places){ place.folders, place.reapers, place.shells };
        return peer_ours_new(&places, &place.ours, &err);
}

static int place_remove(void **state) {
        place.top = tmp_free(place.top);
        place.ours = peer_ours_free(place.ours);
        return 0;
}

static int fds_before(void **state) {
        place.n_fds = count_fds();
        return 0;
}

static int fds_after(void **state) {
        seam.at = 0;
        assert_int_equal(count_fds(), place.n_fds);
        return 0;
}

/* A child that we talk to, and the process that is attested: the child itself or a descendant. */
struct kid {
        pid_t pid;
        int in;
        int out;
        pid_t peer;
        int pidfd;
};

static void say(const struct kid *k, const char *line) {
        assert_int_equal(io_write_full(k->in, line, strlen(line)), 0);
}

static void hear(const struct kid *k, char *line, size_t size) {
        size_t n = 0;

        for (;;) {
                char c;

                assert_int_equal(read(k->out, &c, 1), 1);
                if (c == '\n')
                        break;
                assert_true(n < size - 1);
                line[n++] = c;
        }
        line[n] = '\0';
}

/* Says a line and hears it again: a copy of cat is running. */
static void echo(const struct kid *k) {
        char line[64];

        say(k, "there\n");
        hear(k, line, sizeof(line));
        assert_string_equal(line, "there");
}

/* In a child. */
static void announce(const char *line) {
        if (io_write_full(STDOUT_FILENO, line, strlen(line)) < 0)
                _exit(95);
}

static struct kid kid_fork(void (*run)(void *userdata), void *userdata) {
        struct kid k = { 0 };
        int in[2];
        int out[2];

        assert_int_equal(pipe2(in, O_CLOEXEC), 0);
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        k.pid = fork();
        assert_true(k.pid >= 0);
        if (k.pid == 0) {
                if (dup2(in[0], STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0)
                        _exit(99);
                /* else it would hold its own input open and never see the end of it */
                (void)close(in[1]);
                run(userdata);
                _exit(98);
        }
        (void)close(in[0]);
        (void)close(out[1]);
        k.in = in[1];
        k.out = out[0];
        k.peer = k.pid;
        k.pidfd = pidfd_open(k.pid, 0);
        assert_true(k.pidfd >= 0);
        return k;
}

static void run_exec(void *userdata) {
        const char *const *argv = userdata;

        (void)execv(argv[0], (char *const *)(uintptr_t)argv);
}

static struct kid kid_exec(const char *program) {
        const char *argv[] = { program, NULL };
        struct kid k = kid_fork(run_exec, argv);

        echo(&k);
        return k;
}

/* Runs a script in which a descendant says its pid and then becomes a copy of cat. */
static struct kid kid_script(const char *shell, const char *script, const char *arg) {
        const char *argv[] = { shell, "-c", script, "sh", arg, NULL };
        struct kid k = kid_fork(run_exec, argv);
        char line[64];

        hear(&k, line, sizeof(line));
        k.peer = (pid_t)strtoul(line, NULL, 10);
        (void)close(k.pidfd);
        k.pidfd = pidfd_open(k.peer, 0);
        assert_true(k.pidfd >= 0);
        echo(&k);
        return k;
}

static void kid_end(struct kid *k) {
        (void)kill(k->peer, SIGKILL);
        (void)kill(k->pid, SIGKILL);
        while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        (void)close(k->pidfd);
        (void)close(k->in);
        (void)close(k->out);
}

static struct evidence attest(const struct kid *k) {
        struct evidence e = { 0 };
        struct error err = ERROR_INIT;
        int r = peer_attest(k->peer, k->pidfd, place.ours, &e, &err);

        if (r < 0)
                print_message("# %s\n", err.message);
        assert_int_equal(r, 0);
        assert_int_equal(e.pid, k->peer);
        assert_true(e.start_ticks > 0);
        return e;
}

/* Nothing is said but that it is gone: S3, unknown is no. */
static void assert_refused(int pid, int pidfd, enum error_code code) {
        const struct evidence untouched = { .pid = -7 };
        struct evidence e = untouched;
        struct error err = ERROR_INIT;

        assert_true(peer_attest(pid, pidfd, place.ours, &e, &err) < 0);
        assert_int_equal(err.code, code);
        assert_memory_equal(&e, &untouched, sizeof(e));
}

/* S3 */
static void a_program_that_is_not_ours_is_its_own_anchor(void **state) {
        struct kid k = kid_exec(in_place("agent"));
        struct evidence e = attest(&k);
        struct inode inode;

        assert_int_equal(__real_inode_at(AT_FDCWD, in_place("agent"), &inode), 0);
        assert_true(e.exe.known);
        assert_string_equal(e.exe.path, in_place("agent"));
        assert_int_equal(e.exe.dev, inode.dev);
        assert_int_equal(e.exe.ino, inode.ino);
        assert_false(e.ours);
        assert_false(e.daemon);
        assert_true(e.anchor_known);
        assert_int_equal(e.anchor_pid, k.pid);
        assert_int_equal(e.anchor_start_ticks, e.start_ticks);
        assert_string_equal(e.anchor.path, e.exe.path);
        kid_end(&k);
}

/* S3 */
static void an_exec_between_two_looks_is_seen(void **state) {
        char script[PATH_MAX];
        const char *argv[] = { in_place("agentsh"), "-c", script, NULL };
        struct evidence before;
        struct evidence after;
        struct kid k;
        char line[64];

        (void)snprintf(script, sizeof(script), "echo ready; read line; exec %s", in_place("other"));
        k = kid_fork(run_exec, argv);
        hear(&k, line, sizeof(line));
        before = attest(&k);
        after = attest(&k);
        assert_true(evidence_same(&before, &after));
        say(&k, "go\n");
        echo(&k);
        after = attest(&k);
        assert_string_equal(before.exe.path, in_place("agentsh"));
        assert_string_equal(after.exe.path, in_place("other"));
        assert_int_equal(before.start_ticks, after.start_ticks);
        assert_false(evidence_same(&before, &after));
        kid_end(&k);
}

/* S3 */
static void a_process_that_has_ended_is_refused(void **state) {
        struct kid k = kid_exec(in_place("agent"));

        assert_int_equal(kill(k.pid, SIGKILL), 0);
        assert_int_equal(waitid(P_PID, (id_t)k.pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
        assert_refused(k.pid, k.pidfd, MCPB_DENIED); /* a zombie: its folder is still there */
        assert_int_equal(waitpid(k.pid, NULL, 0), k.pid);
        assert_refused(k.pid, k.pidfd, MCPB_DENIED);
        (void)close(k.pidfd);
        (void)close(k.in);
        (void)close(k.out);
}

/* S3: a number that was given anew is another process, whoever has it now */
static void a_number_counts_only_with_the_handle_of_its_process(void **state) {
        struct kid dead = kid_exec(in_place("agent"));
        struct kid living = kid_exec(in_place("agent"));
        struct kid another = kid_exec(in_place("agent"));

        assert_int_equal(kill(dead.pid, SIGKILL), 0);
        assert_int_equal(waitpid(dead.pid, NULL, 0), dead.pid);
        assert_refused(living.pid, dead.pidfd, MCPB_DENIED);
        assert_refused(living.pid, another.pidfd, MCPB_DENIED);
        assert_refused(dead.pid, living.pidfd, MCPB_DENIED);
        (void)attest(&living);
        (void)close(dead.pidfd);
        (void)close(dead.in);
        (void)close(dead.out);
        kid_end(&living);
        kid_end(&another);
}

static void only_a_pidfd_is_a_handle(void **state) {
        AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        AUTO_CLOSE int folder = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int silent[2]; /* never readable: looks alive to poll() */

        assert_int_equal(pipe2(silent, O_CLOEXEC), 0);
        assert_refused(getpid(), null, MCPB_INTERNAL);
        assert_refused(getpid(), folder, MCPB_INTERNAL);
        assert_refused(getpid(), silent[0], MCPB_INTERNAL);
        assert_refused(getpid(), -1, MCPB_INTERNAL);
        (void)close(silent[0]);
        (void)close(silent[1]);
}

/* S3 */
static void a_process_outside_our_pid_namespace_is_refused(void **state) {
        AUTO_CLOSE int pidfd = pidfd_open(getpid(), 0);

        assert_refused(0, pidfd, MCPB_DENIED);
        assert_refused(-1, pidfd, MCPB_DENIED);
}

static void a_deleted_program_says_so(void **state) {
        struct evidence e;
        struct kid k;
        char expected[PATH_MAX];

        copy_file("/bin/cat", in_place("doomed"));
        k = kid_exec(in_place("doomed"));
        assert_int_equal(unlink(in_place("doomed")), 0);
        e = attest(&k);
        (void)snprintf(expected, sizeof(expected), "%s (deleted)", in_place("doomed"));
        assert_true(e.exe.known);
        assert_string_equal(e.exe.path, expected);
        kid_end(&k);
}

static void a_script_is_its_interpreter(void **state) {
        char text[PATH_MAX];
        const char *argv[] = { in_place("script"), NULL };
        struct evidence e;
        struct kid k;
        char line[64];

        (void)snprintf(text, sizeof(text), "#!%s\necho ready\nread line\n", in_place("agentsh"));
        write_file(in_place("script"), text, 0755);
        k = kid_fork(run_exec, argv);
        hear(&k, line, sizeof(line));
        e = attest(&k);
        assert_string_equal(e.exe.path, in_place("agentsh"));
        kid_end(&k);
}

static void run_renamed(void *userdata) {
        char c;

        if (read(STDIN_FILENO, &c, 1) == 1 && prctl(PR_SET_NAME, ") 1 2 (") == 0)
                announce("renamed\n");
        while (read(STDIN_FILENO, &c, 1) > 0)
                ;
}

static void a_process_named_like_fields_is_parsed_as_what_it_is(void **state) {
        struct kid k = kid_fork(run_renamed, NULL);
        struct evidence before = attest(&k);
        struct evidence after;
        char line[64];

        say(&k, "x");
        hear(&k, line, sizeof(line));
        after = attest(&k);
        assert_int_equal(before.start_ticks, after.start_ticks);
        assert_true(evidence_same(&before, &after));
        kid_end(&k);
}

#define BECOME_TOKEN "echo $$; exec \"$1/mcp-token\""

static void the_anchor_is_found_behind_shells_and_our_own_programs(void **state) {
        static const struct {
                const char *shell;
                const char *script;
        } table[] = {
                { "shell", "\"$1/shell\" -c '" BECOME_TOKEN "' sh \"$1\"; :" },
                { "mcp-connect", "\"$1/mcp-connect\" -c '" BECOME_TOKEN "' sh \"$1\"; :" },
                { "shell", "\"$1/mcp-connect\" -c '" BECOME_TOKEN "' sh \"$1\"; :" },
                { "mcp-connect", "\"$1/shell\" -c '" BECOME_TOKEN "' sh \"$1\"; :" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct kid k = kid_script(in_place(table[i].shell), table[i].script, place.top);
                struct evidence e = attest(&k);

                assert_int_not_equal(k.pid, k.peer);
                assert_true(e.ours);
                assert_false(e.daemon);
                assert_string_equal(e.exe.path, in_place("mcp-token"));
                assert_true(e.anchor_known);
                assert_int_equal(e.anchor_pid, getpid());
                assert_true(e.anchor.known);
                assert_true(e.anchor_start_ticks > 0 && e.anchor_start_ticks <= e.start_ticks);
                kid_end(&k);
        }
}

static void the_walk_ends_at_the_first_that_is_neither(void **state) {
        struct kid k = kid_script(in_place("agentsh"),
                                  "\"$1/shell\" -c '" BECOME_TOKEN "' sh \"$1\"; :", place.top);
        struct evidence e = attest(&k);

        assert_true(e.anchor_known);
        assert_int_equal(e.anchor_pid, k.pid);
        assert_string_equal(e.anchor.path, in_place("agentsh"));
        kid_end(&k);
}

static void a_daemon_process_of_ours_is_told_as_one(void **state) {
        struct kid k = kid_exec(in_place("mcp-broker-net"));
        struct evidence e = attest(&k);

        assert_true(e.ours);
        assert_true(e.daemon);
        kid_end(&k);
}

/* A daemon's way: fork, setsid, fork; the one in the middle ends, and somebody adopts the orphan.
 */
static void run_orphan(void *userdata) {
        const char *argv[] = { userdata, NULL };
        pid_t middle = fork();
        char pid[32];

        if (middle == 0) {
                (void)setsid();
                if (fork() != 0)
                        _exit(0);
                (void)snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
                announce(pid);
                (void)execv(argv[0], (char *const *)(uintptr_t)argv);
                _exit(97);
        }
        if (waitpid(middle, NULL, 0) != middle)
                _exit(96);
        _exit(0);
}

static void an_orphan_has_no_anchor(void **state) {
        struct evidence e;
        struct kid k;
        char line[64];

        /* We adopt it, and are the one that would be guessed. */
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        k = kid_fork(run_orphan, (void *)(uintptr_t)in_place("mcp-token"));
        hear(&k, line, sizeof(line));
        assert_int_equal(waitpid(k.pid, NULL, 0), k.pid);
        k.peer = (pid_t)strtoul(line, NULL, 10);
        k.pid = k.peer;
        (void)close(k.pidfd);
        k.pidfd = pidfd_open(k.peer, 0);
        echo(&k);
        e = attest(&k);
        assert_true(e.ours);
        assert_false(e.anchor_known);
        assert_int_equal(e.anchor_pid, 0);
        assert_false(e.anchor.known);
        kid_end(&k);
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void a_child_of_what_adopts_orphans_has_no_anchor(void **state) {
        struct kid k = kid_script(in_place("reaper"),
                                  "\"$1/shell\" -c '" BECOME_TOKEN "' sh \"$1\"; :", place.top);
        struct evidence e = attest(&k);

        assert_true(e.ours);
        assert_false(e.anchor_known);
        kid_end(&k);
}

static void the_walk_has_a_bound(void **state) {
        static const struct {
                const char *depth;
                bool known;
        } table[] = { { "20", true }, { "80", false } };
        char text[PATH_MAX * 2];

        /* $1: how deep; the last becomes the program */
        (void)snprintf(text, sizeof(text),
                       "if [ $1 -gt 0 ]; then %s %s $(($1 - 1)); :; else echo $$; exec %s; fi\n",
                       in_place("shell"), in_place("deep"), in_place("mcp-token"));
        write_file(in_place("deep"), text, 0644);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                char script[PATH_MAX];
                struct evidence e;
                struct kid k;

                (void)snprintf(script, sizeof(script), "%s %s %s; :", in_place("shell"),
                               in_place("deep"), table[i].depth);
                k = kid_script(in_place("shell"), script, place.top);
                e = attest(&k);
                assert_int_equal(e.anchor_known, table[i].known);
                kid_end(&k);
        }
}

/* S3: at whatever moment it goes, there is no half an answer */
static void a_peer_that_vanishes_in_the_middle_is_an_error(void **state) {
        unsigned steps = 0;

        for (unsigned n = 1;; n++) {
                struct kid k = kid_exec(in_place("agent"));
                struct evidence e = { .pid = -7 };
                struct error err = ERROR_INIT;
                int r;

                seam.victim = k.pid;
                seam.count = 0;
                seam.at = n;
                r = peer_attest(k.peer, k.pidfd, place.ours, &e, &err);
                seam.at = 0;
                kid_end(&k);
                if (seam.count < n) {
                        assert_int_equal(r, 0);
                        break;
                }
                assert_int_equal(r, -ESRCH);
                assert_int_equal(err.code, MCPB_DENIED);
                assert_int_equal(e.pid, -7);
                steps++;
        }
        assert_true(steps >= 6);
}

/* When the one in between goes, its child gets another parent: that one is never taken for the
 * anchor. */
static void an_ancestor_that_vanishes_in_the_middle_leaves_no_guess(void **state) {
        unsigned unknown = 0;

        for (unsigned n = 1;; n++) {
                struct kid k =
                        kid_script(in_place("agentsh"),
                                   "\"$1/shell\" -c '" BECOME_TOKEN "' sh \"$1\"; :", place.top);
                struct evidence e = { 0 };
                struct error err = ERROR_INIT;
                int r;

                /* what the peer looks like when its anchor (our child) is killed */
                seam.victim = k.pid;
                seam.count = 0;
                seam.at = n;
                r = peer_attest(k.peer, k.pidfd, place.ours, &e, &err);
                seam.at = 0;
                assert_int_equal(r, 0);
                if (e.anchor_known) {
                        assert_int_equal(e.anchor_pid, k.pid);
                        assert_string_equal(e.anchor.path, in_place("agentsh"));
                } else {
                        unknown++;
                }
                kid_end(&k);
                if (seam.count < n)
                        break;
        }
        assert_true(unknown >= 6);
}

static void without_descriptors_it_fails_rather_than_knows_less(void **state) {
        struct kid k = kid_script(in_place("agentsh"),
                                  "\"$1/shell\" -c '" BECOME_TOKEN "' sh \"$1\"; :", place.top);
        struct evidence whole = attest(&k);
        AUTO_CLOSE int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
        struct rlimit old;
        int failures = 0;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        for (rlim_t more = 0; more < 16; more++) {
                struct rlimit low = { .rlim_cur = (rlim_t)next + more, .rlim_max = old.rlim_max };
                struct evidence e = { 0 };
                struct error err = ERROR_INIT;
                int r;

                assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
                r = peer_attest(k.peer, k.pidfd, place.ours, &e, &err);
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
                if (r < 0) {
                        assert_int_equal(err.code, MCPB_INTERNAL);
                        failures++;
                } else {
                        assert_true(evidence_same(&whole, &e));
                        assert_string_equal(whole.cgroup, e.cgroup);
                }
        }
        assert_true(failures >= 3 && failures < 16);
        kid_end(&k);
}

static int attest_or_fail(void *userdata) {
        const struct kid *k = userdata;
        struct evidence e = { 0 };
        struct error err = ERROR_INIT;
        int r = peer_attest(k->peer, k->pidfd, place.ours, &e, &err);

        if (r == 0)
                assert_true(e.anchor_known);
        return r;
}

static void without_memory_it_fails_rather_than_knows_less(void **state) {
        struct kid k = kid_script(in_place("agentsh"),
                                  "\"$1/shell\" -c '" BECOME_TOKEN "' sh \"$1\"; :", place.top);

        assert_true(oom_sweep(attest_or_fail, &k) > 0);
        kid_end(&k);
}

/* Runs @fn in a child that is an ordinary user: root sees what the kernel hides from others. */
static int as_ordinary_user(int (*fn)(void)) {
        int status = 0;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) ||
                                       setresuid(65534, 65534, 65534) < 0))
                        _exit(90);
                _exit(fn());
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void run_hidden(void *userdata) {
        char c;

        if (prctl(PR_SET_DUMPABLE, 0) == 0)
                announce("hidden\n");
        while (read(STDIN_FILENO, &c, 1) > 0)
                ;
}

/* The one who looks is not dumpable either: as session is. */
static int look_at_hidden(void) {
        struct kid k = { 0 };
        struct evidence e = { 0 };
        char line[64];
        int r;

        if (prctl(PR_SET_DUMPABLE, 0) < 0)
                return 1;
        k = kid_fork(run_hidden, NULL);
        hear(&k, line, sizeof(line));
        r = peer_attest(k.peer, k.pidfd, place.ours, &e, NULL);
        kid_end(&k);
        if (r < 0 || e.exe.known || e.exe.path[0] || e.exe.ino || e.ours || e.anchor_known)
                return 2;
        return e.start_ticks > 0 ? 0 : 3;
}

static int look_at_visible(void) {
        struct kid k = { 0 };
        struct evidence e = { 0 };
        int r;

        if (prctl(PR_SET_DUMPABLE, 0) < 0)
                return 1;
        k = kid_exec(in_place("agent"));
        r = peer_attest(k.peer, k.pidfd, place.ours, &e, NULL);
        kid_end(&k);
        return r == 0 && e.exe.known && e.anchor_known && e.anchor_pid == k.pid ? 0 : 2;
}

/* S3 */
static void what_a_process_hides_is_unknown(void **state) {
        assert_int_equal(as_ordinary_user(look_at_hidden), 0);
        assert_int_equal(as_ordinary_user(look_at_visible), 0);
}

/* In a mount namespace of its own, with @userdata's first mounted over its second, if given. */
static void run_elsewhere(void *userdata) {
        const char *const *paths = userdata;
        const char *argv[] = { paths[1], NULL };

        if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
                announce("no\n");
                return;
        }
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            (paths[0] && mount(paths[0], paths[1], NULL, MS_BIND, NULL) < 0))
                return;
        announce("yes\n");
        (void)execv(argv[0], (char *const *)(uintptr_t)argv);
}

/* S3 */
static void a_path_from_another_mount_namespace_counts_only_if_it_is_the_same_here(void **state) {
        const char *honest[] = { NULL, in_place("agent") };
        const char *forged[] = { in_place("other"), in_place("agent") };
        const char *const *cases[] = { honest, forged };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct kid k = kid_fork(run_elsewhere, (void *)(uintptr_t)cases[i]);
                struct evidence e;
                char line[64];

                hear(&k, line, sizeof(line));
                if (streq(line, "no")) {
                        kid_end(&k);
                        skip(); /* this machine gives no namespaces to an ordinary user */
                }
                echo(&k);
                e = attest(&k);
                assert_int_equal(e.exe.known, cases[i] == honest);
                assert_int_equal(e.anchor_known, cases[i] == honest);
                kid_end(&k);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fds_before, fds_after)
                T(a_program_that_is_not_ours_is_its_own_anchor),
                T(an_exec_between_two_looks_is_seen),
                T(a_process_that_has_ended_is_refused),
                T(a_number_counts_only_with_the_handle_of_its_process),
                T(only_a_pidfd_is_a_handle),
                T(a_process_outside_our_pid_namespace_is_refused),
                T(a_deleted_program_says_so),
                T(a_script_is_its_interpreter),
                T(a_process_named_like_fields_is_parsed_as_what_it_is),
                T(the_anchor_is_found_behind_shells_and_our_own_programs),
                T(the_walk_ends_at_the_first_that_is_neither),
                T(a_daemon_process_of_ours_is_told_as_one),
                T(an_orphan_has_no_anchor),
                T(a_child_of_what_adopts_orphans_has_no_anchor),
                T(the_walk_has_a_bound),
                T(a_peer_that_vanishes_in_the_middle_is_an_error),
                T(an_ancestor_that_vanishes_in_the_middle_leaves_no_guess),
                T(without_descriptors_it_fails_rather_than_knows_less),
                T(without_memory_it_fails_rather_than_knows_less),
                T(what_a_process_hides_is_unknown),
                T(a_path_from_another_mount_namespace_counts_only_if_it_is_the_same_here),
#undef T
        };

        return cmocka_run_group_tests_name("attest", tests, place_make, place_remove);
}
