/* SPDX-License-Identifier: Apache-2.0 */
/* What mcp-broker-identity may read and run. Its frames: tests/integration/identity-program.py. */
#include "hands/hands.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "os/proc.h"
#include "os/process.h"
#include "tmp.h"

#include "oom.h"

struct world {
        char *folder;
        int keeper; /* its end of the stream */
        int ours;
        struct order_reply reply;
};

static int set_up(void **state) {
        struct world *w = calloc(1, sizeof(*w));
        int fds[2];

        assert_non_null(w);
        *state = w;
        w->folder = tmp_new();
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        w->keeper = fds[0];
        w->ours = fds[1];
        order_reply_init(&w->reply);
        return 0;
}

static int tear_down(void **state) {
        struct world *w = *state;

        order_reply_done(&w->reply);
        if (w->keeper >= 0)
                (void)close(w->keeper);
        (void)close(w->ours);
        w->folder = tmp_free(w->folder);
        free(w);
        return 0;
}

/* ---- files ---- */

static void put(struct world *w, const char *name, const char *text, mode_t mode) {
        char path[TMP_PATH_MAX];
        FILE *f;

        (void)unlink(tmp_path(path, w->folder, name)); /* we may not be able to write to it */
        f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path, mode), 0);
}

static void make_folder(struct world *w, const char *name) {
        char path[TMP_PATH_MAX];

        assert_int_equal(mkdir(tmp_path(path, w->folder, name), 0755), 0);
}

/* Swaps it, if there is one already. */
static void link_to(struct world *w, const char *name, const char *target) {
        char path[TMP_PATH_MAX];
        char fresh[TMP_PATH_MAX];

        (void)tmp_path(fresh, w->folder, ".fresh");
        assert_int_equal(symlink(target, fresh), 0);
        assert_int_equal(rename(fresh, tmp_path(path, w->folder, name)), 0);
}

static struct order_reply *read_at(struct world *w, const char *name, enum order_rules rules,
                                   size_t max) {
        char path[TMP_PATH_MAX];
        struct order o;

        order_init(&o, ORDER_READ);
        assert_int_equal(order_set_path(&o, tmp_path(path, w->folder, name)), 0);
        o.rules = rules;
        o.max = max;
        order_reply_done(&w->reply);
        hands_read(&o, w->folder, &w->reply);
        order_done(&o);
        return &w->reply;
}

static struct order_reply *read_secret(struct world *w, const char *name) {
        return read_at(w, name, ORDER_RULES_SECRET, 1024);
}

static void assert_read(const struct order_reply *p, const char *text) {
        if (p->r < 0)
                fail_msg("%s", p->err.message);
        assert_int_equal(p->bytes.len, strlen(text));
        assert_string_equal(p->bytes.data ? p->bytes.data : "", text);
}

/* Nothing of it was read, and the person learns which file it is. */
static void assert_refused(const struct order_reply *p, int r, const char *why) {
        assert_int_equal(p->r, r);
        assert_int_equal(p->bytes.len, 0);
        if (!strstr(p->err.message, why))
                fail_msg("%s", p->err.message);
}

static void a_file_is_read_whole(void **state) {
        struct world *w = *state;

        put(w, "token", "abc\n", 0600);
        assert_read(read_secret(w, "token"), "abc\n");
        assert_false(w->reply.exposed);
        put(w, "token", "", 0400);
        assert_int_equal(read_secret(w, "token")->r, 0);
        assert_int_equal(w->reply.bytes.len, 0);
}

static void what_others_may_read_is_told(void **state) {
        struct world *w = *state;

        put(w, "token", "abc", 0644);
        assert_read(read_secret(w, "token"), "abc");
        assert_true(w->reply.exposed);
        /* A certificate is there to be read. */
        assert_read(read_at(w, "token", ORDER_RULES_PUBLIC, 1024), "abc");
        assert_false(w->reply.exposed);
        put(w, "token", "abc", 0640);
        assert_read(read_secret(w, "token"), "abc");
        assert_false(w->reply.exposed);
}

static void what_others_may_write_is_not_read(void **state) {
        static const mode_t modes[] = { 0620, 0602, 0666 };
        struct world *w = *state;

        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                put(w, "token", "abc", modes[i]);
                assert_refused(read_secret(w, "token"), -EPERM, "written by others");
                assert_refused(read_at(w, "token", ORDER_RULES_PUBLIC, 9), -EPERM, "by others");
                assert_non_null(strstr(w->reply.err.hint, "chmod"));
        }
}

static void what_belongs_to_another_user_is_not_read(void **state) {
        char path[TMP_PATH_MAX];
        struct world *w = *state;

        if (geteuid() != 0)
                skip(); /* it takes root to give a file away */
        put(w, "token", "abc", 0444);
        assert_int_equal(chown(tmp_path(path, w->folder, "token"), 65534, 0), 0);
        assert_refused(read_secret(w, "token"), -EPERM, "belongs to another user");
}

static void a_link_is_not_followed(void **state) {
        struct world *w = *state;

        put(w, "real", "abc", 0600);
        link_to(w, "token", "real");
        assert_refused(read_secret(w, "token"), -ELOOP, "is a symbolic link");
        link_to(w, "token", "/etc/passwd");
        assert_refused(read_secret(w, "token"), -ELOOP, "is a symbolic link");
        /* On the way there it is. */
        make_folder(w, "deep");
        put(w, "deep/token", "abc", 0600);
        link_to(w, "other", "deep");
        assert_read(read_secret(w, "other/token"), "abc");
}

static void make_mount(struct world *w) {
        make_folder(w, "..2026_11_22_01");
        make_folder(w, "..2026_11_22_02");
        put(w, "..2026_11_22_01/token", "one", 0640);
        put(w, "..2026_11_22_02/token", "two", 0640);
        link_to(w, "..data", "..2026_11_22_01");
        link_to(w, "token", "..data/token");
}

static void what_kubernetes_writes_is_read_as_it_is_now(void **state) {
        struct world *w = *state;

        make_mount(w);
        assert_read(read_secret(w, "token"), "one");
        link_to(w, "..data", "..2026_11_22_02");
        assert_read(read_secret(w, "token"), "two");
        put(w, "..2026_11_22_02/token", "two", 0666);
        assert_refused(read_secret(w, "token"), -EPERM, "written by others");
}

static void what_only_looks_like_kubernetes_is_a_link(void **state) {
        static const struct {
                const char *token;
                const char *data;
        } table[] = {
                { "..data/other", "..2026_11_22_01" },
                { "..data/../..2026_11_22_01/token", "..2026_11_22_01" },
                { "./..data/token", "..2026_11_22_01" },
                { "..2026_11_22_01/token", "..2026_11_22_01" },
                { "..data/token", "plain" },
                { "..data/token", ".." },
                { "..data/token", "../x" },
                { "..data/token", "..2026_11_22_01/" },
                { "..data/token", "/etc" },
                { "..data/token", "..link" },
        };
        struct world *w = *state;

        make_mount(w);
        make_folder(w, "plain");
        put(w, "plain/token", "abc", 0600);
        link_to(w, "..link", "..2026_11_22_01");
        put(w, "..2026_11_22_01/other", "abc", 0600);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                link_to(w, "token", table[i].token);
                link_to(w, "..data", table[i].data);
                assert_refused(read_secret(w, "token"), -ELOOP, "is a symbolic link");
        }
        /* Nor is there a link behind the links. */
        link_to(w, "token", "..data/token");
        link_to(w, "..data", "..2026_11_22_02");
        link_to(w, "..2026_11_22_02/token", "../plain/token");
        assert_int_equal(read_secret(w, "token")->r, -ELOOP);
}

/* Somebody swaps it, and removes what was there, as fast as can be. */
static pid_t start_rotating(struct world *w) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid > 0)
                return pid;
        for (unsigned i = 0;; i++) {
                char old[TMP_PATH_MAX];
                char path[TMP_PATH_MAX];
                const char *now = i % 2 ? "..2026_11_22_01" : "..2026_11_22_02";
                const char *last = i % 2 ? "..2026_11_22_02" : "..2026_11_22_01";

                (void)mkdir(tmp_path(path, w->folder, now), 0755);
                (void)snprintf(path, sizeof(path), "%s/token", now);
                put(w, path, i % 2 ? "one" : "two", 0640);
                link_to(w, "..data", now);
                (void)snprintf(path, sizeof(path), "%s/token", last);
                (void)unlink(tmp_path(old, w->folder, path));
                (void)rmdir(tmp_path(old, w->folder, last));
        }
}

static void a_rotation_is_never_seen_half(void **state) {
        struct world *w = *state;
        bool seen[2] = { false, false };
        pid_t pid;

        make_mount(w);
        pid = start_rotating(w);
        while (!seen[0] || !seen[1]) {
                for (unsigned i = 0; i < 200; i++) {
                        const struct order_reply *p = read_secret(w, "token");
                        bool two = p->r == 0 && p->bytes.len > 0 && p->bytes.data[1] == 'w';

                        assert_read(p, two ? "two" : "one");
                        seen[two] = true;
                }
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void what_is_no_file_is_not_read_and_holds_nobody_up(void **state) {
        char path[TMP_PATH_MAX];
        struct world *w = *state;

        make_folder(w, "folder");
        assert_refused(read_secret(w, "folder"), -EINVAL, "is no regular file");
        assert_int_equal(mkfifo(tmp_path(path, w->folder, "pipe"), 0600), 0);
        assert_refused(read_secret(w, "pipe"), -EINVAL, "is no regular file");
        assert_refused(read_secret(w, "absent"), -ENOENT, "does not exist");
        assert_refused(read_secret(w, "absent/token"), -ENOENT, "does not exist");
        put(w, "file", "x", 0600);
        assert_refused(read_secret(w, "file/token"), -ENOENT, "does not exist");
        assert_int_equal(w->reply.err.code, MCPB_NOT_FOUND);
        assert_non_null(strstr(w->reply.err.message, "/file/token"));
}

static void what_may_not_be_read_says_so(void **state) {
        struct world *w = *state;

        if (geteuid() == 0)
                skip(); /* root may read everything */
        put(w, "token", "abc", 0200);
        assert_refused(read_secret(w, "token"), -EACCES, "may not be read");
}

/* S9 */
static void a_file_has_a_bound(void **state) {
        struct world *w = *state;

        put(w, "token", "0123456789", 0600);
        assert_read(read_at(w, "token", ORDER_RULES_SECRET, 10), "0123456789");
        assert_refused(read_at(w, "token", ORDER_RULES_SECRET, 9), -EFBIG, "is too large");
        /* Some say nothing of their size before they are read. */
        if (access("/proc/self/status", R_OK) == 0) {
                struct order o;

                order_init(&o, ORDER_READ);
                assert_int_equal(order_set_path(&o, "/proc/self/status"), 0);
                o.max = 9;
                order_reply_done(&w->reply);
                hands_read(&o, w->folder, &w->reply);
                order_done(&o);
                assert_refused(&w->reply, -EFBIG, "is too large");
        }
}

/* Who answers in the place of Azure Arc names the file that we send. */
static void only_the_keys_of_azure_arc_are_read_as_such(void **state) {
        AUTO_FREE char *large = calloc(1, 4098);
        struct world *w = *state;

        assert_non_null(large);
        put(w, "a.key", "abc", 0440);
        assert_read(read_at(w, "a.key", ORDER_RULES_ARC, 65536), "abc");
        assert_false(w->reply.exposed);
        put(w, "shadow", "abc", 0440);
        assert_refused(read_at(w, "shadow", ORDER_RULES_ARC, 65536), -EPERM, "no key of Azure");
        put(w, ".key", "abc", 0440);
        assert_refused(read_at(w, ".key", ORDER_RULES_ARC, 65536), -EPERM, "no key of Azure");
        make_folder(w, "below");
        put(w, "below/a.key", "abc", 0440);
        assert_refused(read_at(w, "below/a.key", ORDER_RULES_ARC, 65536), -EPERM, "no key");
        assert_read(read_at(w, "below/../a.key", ORDER_RULES_ARC, 65536), "abc");
        link_to(w, "b.key", "shadow");
        assert_refused(read_at(w, "b.key", ORDER_RULES_ARC, 65536), -ELOOP, "symbolic link");
        for (size_t i = 0; i < 4097; i++)
                large[i] = 'x';
        put(w, "a.key", large, 0440);
        assert_refused(read_at(w, "a.key", ORDER_RULES_ARC, 65536), -EFBIG, "is too large");
}

struct sweep {
        struct order order;
        struct order_reply reply;
};

static int sweep_read(void *userdata) {
        struct sweep *s = userdata;

        order_reply_done(&s->reply);
        hands_read(&s->order, "/", &s->reply);
        return s->reply.r;
}

static int sweep_redact(void *userdata) {
        AUTO_BUF struct buf out = BUF_INIT;

        return hands_redact("a\nb 01234567890123456789", 24, &out);
}

static void no_allocation_is_taken_for_granted(void **state) {
        struct world *w = *state;
        char path[TMP_PATH_MAX];
        struct sweep s;

        put(w, "token", "abc", 0600);
        order_init(&s.order, ORDER_READ);
        order_reply_init(&s.reply);
        assert_int_equal(order_set_path(&s.order, tmp_path(path, w->folder, "token")), 0);
        s.order.max = 9;
        assert_true(oom_sweep(sweep_read, &s) > 0);
        order_reply_done(&s.reply);
        order_done(&s.order);
        assert_true(oom_sweep(sweep_redact, NULL) > 1);
}

/* ---- commands ---- */

#define SH "/bin/sh"

/* Valgrind 3.19 does not know the call, without which no command is watched. */
static void need_pidfd(void) {
        AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

        if (pidfd < 0 && errno == ENOSYS)
                skip();
}

static struct order make_command(const char *program, const char *script) {
        struct order o;

        order_init(&o, ORDER_RUN);
        assert_int_equal(order_add_argument(&o, program), 0);
        if (script) {
                assert_int_equal(order_add_argument(&o, "-c"), 0);
                assert_int_equal(order_add_argument(&o, script), 0);
        }
        assert_int_equal(order_add_environment(&o, "PATH", "/usr/bin:/bin"), 0);
        o.max = 4096;
        o.timeout_usec = 60 * USEC_PER_SEC;
        return o;
}

static struct order_reply *run_order(struct world *w, struct order *o) {
        order_reply_done(&w->reply);
        hands_run(o, w->ours, &w->reply);
        order_done(o);
        return &w->reply;
}

static struct order_reply *run(struct world *w, const char *program, const char *script) {
        struct order o = make_command(program, script);

        return run_order(w, &o);
}

static void what_a_command_says_is_read(void **state) {
        struct world *w = *state;

        need_pidfd();
        assert_read(run(w, SH, "echo abc; echo no >&2"), "abc\n");
        assert_read(run(w, SH, "exec >&-; exit 0"), "");
}

static void a_command_is_given_what_is_meant_for_it(void **state) {
        static const char script[] = "echo \"$1|$2|$AUDIENCE|$HOME|$SECRET\"; pwd; cat; umask;"
                                     "ls /proc/self/fd | wc -l";
        struct world *w = *state;
        struct order o = make_command(SH, script);

        need_pidfd();
        assert_int_equal(setenv("SECRET", "x", 1), 0);
        assert_int_equal(order_add_argument(&o, "zero"), 0);
        assert_int_equal(order_add_argument(&o, "a b"), 0);
        assert_int_equal(order_add_argument(&o, "$HOME"), 0);
        assert_int_equal(order_add_environment(&o, "AUDIENCE", "https://as"), 0);
        (void)umask(077);
        (void)run_order(w, &o);
        assert_int_equal(unsetenv("SECRET"), 0);
        /* 0, 1, 2 and the folder that ls itself reads. */
        assert_read(&w->reply, "a b|$HOME|https://as||\n/\n0077\n4\n");
}

static void how_a_command_ends_is_told(void **state) {
        struct world *w = *state;

        need_pidfd();
        assert_refused(run(w, SH, "echo abc; exit 3"), -EIO, "ended with status 3");
        assert_refused(run(w, SH, "echo abc; kill -TERM $$"), -EIO, "ended by signal 15");
        assert_non_null(strstr(w->reply.err.message, SH));
}

static void a_command_that_takes_too_long_is_stopped(void **state) {
        struct world *w = *state;
        struct order o = make_command(SH, "trap '' TERM; echo abc; exec sleep 1000");

        need_pidfd();
        o.timeout_usec = 100 * USEC_PER_MSEC;
        assert_refused(run_order(w, &o), -ETIMEDOUT, "did not end in time");
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left */
}

/* S9 */
static void a_command_that_says_too_much_is_stopped(void **state) {
        struct world *w = *state;
        struct order o = make_command(SH, "while :; do echo 0123456789; done");

        need_pidfd();
        assert_refused(run_order(w, &o), -EFBIG, "writes too much");
        o = make_command(SH, "printf 0123456789");
        o.max = 10;
        assert_read(run_order(w, &o), "0123456789");
        o = make_command(SH, "printf 0123456789");
        o.max = 9;
        assert_refused(run_order(w, &o), -EFBIG, "writes too much");
        /* What it complains of is bounded, too, but that is no failure of it. */
        assert_read(run(w, SH,
                        "i=0; while [ $i -lt 2000 ]; do echo 0123456789 >&2; i=$((i+1));"
                        "done; echo abc"),
                    "abc\n");
}

static bool runs(pid_t pid) {
        struct proc_stat st;

        return proc_stat_pid(pid, &st) == 0 && st.state != 'Z' && st.state != 'X';
}

/* They are gone when the signal has arrived: it is on its way. */
static void wait_until_gone(pid_t pid) {
        uint64_t patience = clock_boot_usec() + 60 * USEC_PER_SEC;

        while (runs(pid)) {
                assert_true(clock_boot_usec() < patience);
                (void)sched_yield();
        }
}

static void what_a_command_leaves_behind_ends_with_it(void **state) {
        struct world *w = *state;
        const struct order_reply *p = run(w, SH, "sleep 1000 & echo $!");
        pid_t left;

        need_pidfd();
        assert_int_equal(p->r, 0); /* although that one still holds the pipe */
        left = (pid_t)strtol(p->bytes.data, NULL, 10);
        assert_true(left > 1);
        wait_until_gone(left);
}

static void a_command_ends_with_who_waits_for_it(void **state) {
        struct world *w = *state;

        need_pidfd();
        (void)close(w->keeper);
        w->keeper = -1;
        assert_refused(run(w, SH, "sleep 1000"), -EPIPE, "");
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static const char *script_at(struct world *w, char path[static TMP_PATH_MAX], const char *name,
                             mode_t mode) {
        put(w, name, "#!/bin/sh\necho abc\n", mode);
        return tmp_path(path, w->folder, name);
}

static void a_program_that_others_may_change_is_not_run(void **state) {
        struct world *w = *state;
        char path[TMP_PATH_MAX];

        need_pidfd();
        assert_read(run(w, script_at(w, path, "good", 0700), NULL), "abc\n");
        assert_refused(run(w, script_at(w, path, "bad", 0720), NULL), -EPERM, "by others");
        assert_refused(run(w, script_at(w, path, "bad", 0702), NULL), -EPERM, "by others");
        make_folder(w, "open");
        (void)script_at(w, path, "open/good", 0700);
        assert_int_equal(chmod(tmp_path(path, w->folder, "open"), 0777), 0);
        assert_refused(run(w, tmp_path(path, w->folder, "open/good"), NULL), -EPERM,
                       "everybody may write");
        /* Neither by a link that lies there, nor by one that leads there. */
        link_to(w, "open/link", "../good");
        assert_refused(run(w, tmp_path(path, w->folder, "open/link"), NULL), -EPERM,
                       "everybody may write");
        link_to(w, "link", "open/good");
        assert_refused(run(w, tmp_path(path, w->folder, "link"), NULL), -EPERM,
                       "everybody may write");
        link_to(w, "link", "good");
        assert_read(run(w, tmp_path(path, w->folder, "link"), NULL), "abc\n");
}

static void a_program_of_another_user_is_not_run(void **state) {
        struct world *w = *state;
        char path[TMP_PATH_MAX];

        if (geteuid() != 0)
                skip(); /* it takes root to give a file away */
        (void)script_at(w, path, "bad", 0755);
        assert_int_equal(chown(path, 65534, 0), 0);
        assert_refused(run(w, path, NULL), -EPERM, "belongs to another user");
        make_folder(w, "theirs");
        (void)script_at(w, path, "theirs/good", 0755);
        assert_int_equal(chown(tmp_path(path, w->folder, "theirs"), 65534, 0), 0);
        assert_refused(run(w, tmp_path(path, w->folder, "theirs/good"), NULL), -EPERM,
                       "folder of another user");
}

static void what_is_no_program_is_told(void **state) {
        struct world *w = *state;
        char path[TMP_PATH_MAX];

        need_pidfd();
        assert_refused(run(w, tmp_path(path, w->folder, "absent"), NULL), -ENOENT, "no command");
        assert_int_equal(w->reply.err.code, MCPB_NOT_FOUND);
        assert_refused(run(w, w->folder, NULL), -EINVAL, "is no file");
        assert_refused(run(w, script_at(w, path, "plain", 0600), NULL), -EACCES, "plain");
        put(w, "orphan", "#!/nowhere/sh\n", 0700);
        assert_int_equal(run(w, tmp_path(path, w->folder, "orphan"), NULL)->r, -ENOENT);
}

/* ---- what it complains of ---- */

/* S1 */
static void what_may_be_a_secret_is_not_logged(void **state) {
        static const struct {
                const char *text;
                const char *lines;
        } table[] = {
                { "", "" },
                { "no such key", "no such key\n" },
                { "\n\na\n\nb", "a\nb\n" },
                { "a\n", "a\n" },
                { "token eyJhbGciOiJSUzI1NiJ9.eyJpc3Mi.sig is bad", "token [...] is bad\n" },
                { "'AKIAIOSFODNN7EXAMPLE'", "'[...]'\n" },
                { "key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "[...]\n" },
                { "0123456789012345678", "0123456789012345678\n" },
                { "01234567890123456789", "[...]\n" },
                { "\x1b[31mred\x1b[0m\r", "?[31mred?[0m?\n" },
                { "\xff\xfe", "??\n" },
                { "caf\xc3\xa9", "caf\xc3\xa9\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf out = BUF_INIT;

                assert_int_equal(hands_redact(table[i].text, strlen(table[i].text), &out), 0);
                assert_string_equal(out.data ? out.data : "", table[i].lines);
        }
        assert_int_equal(hands_redact(NULL, 0, &(struct buf){ 0 }), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(a_file_is_read_whole),
                TEST(what_others_may_read_is_told),
                TEST(what_others_may_write_is_not_read),
                TEST(what_belongs_to_another_user_is_not_read),
                TEST(a_link_is_not_followed),
                TEST(what_kubernetes_writes_is_read_as_it_is_now),
                TEST(what_only_looks_like_kubernetes_is_a_link),
                TEST(a_rotation_is_never_seen_half),
                TEST(what_is_no_file_is_not_read_and_holds_nobody_up),
                TEST(what_may_not_be_read_says_so),
                TEST(a_file_has_a_bound),
                TEST(only_the_keys_of_azure_arc_are_read_as_such),
                TEST(no_allocation_is_taken_for_granted),
                TEST(what_a_command_says_is_read),
                TEST(a_command_is_given_what_is_meant_for_it),
                TEST(how_a_command_ends_is_told),
                TEST(a_command_that_takes_too_long_is_stopped),
                TEST(a_command_that_says_too_much_is_stopped),
                TEST(what_a_command_leaves_behind_ends_with_it),
                TEST(a_command_ends_with_who_waits_for_it),
                TEST(a_program_that_others_may_change_is_not_run),
                TEST(a_program_of_another_user_is_not_run),
                TEST(what_is_no_program_is_told),
                TEST(what_may_be_a_secret_is_not_logged),
        };

        if (process_ignore_sigpipe() < 0)
                return 1;
        return cmocka_run_group_tests_name("hands", tests, NULL, NULL);
}
