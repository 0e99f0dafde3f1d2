/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a client finds a daemon, or starts one. The programs it starts are shell scripts that write
 * down how they were called.
 */
#include "config.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "client/confined.h"
#include "client/start.h"
#include "os/io.h"
#include "test.h"
#include "tmp.h"

static char *dir;
static char systemctl[TMP_PATH_MAX];
static char daemon_path[TMP_PATH_MAX];
static mcpb_client fake_client;
static struct start where;

static void write_script(const char *path, const char *text, int status) {
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

        assert_int_equal(buf_printf(&b, "#!/bin/sh\n%s\nexit %d\n", text, status), 0);
        assert_int_equal(write(fd, b.data, b.len), b.len);
}

/*
 * Arguments and environment into a file beside the script; the first descriptor above 2 that is
 * open, too.
 */
#define RECORD \
        "{ echo \"$# $*\"; env | grep -v -e ^_= -e ^PWD= -e ^SHLVL= | sort; } > \"$0.called\""

static int setup(void **state) {
        dir = tmp_new();
        (void)tmp_path(systemctl, dir, "systemctl");
        (void)tmp_path(daemon_path, dir, "mcp-brokerd");
        write_script(systemctl, RECORD, 0);
        write_script(daemon_path, RECORD, 0);
        fake_client = (mcpb_client){
                .fd = -1, .cancel_fd = -1, .user_cancel_fd = -1, .deadline_usec = UINT64_MAX
        };
        where = (struct start){ .systemctl = systemctl,
                                .home = "/home/somebody",
                                .daemon = daemon_path };
        return 0;
}

static int teardown(void **state) {
        dir = tmp_free(dir);
        return 0;
}

static void make_manager(void) {
        char path[TMP_PATH_MAX];

        assert_int_equal(mkdir(tmp_path(path, dir, "systemd"), 0700), 0);
        assert_int_equal(mkdir(tmp_path(path, dir, "systemd/private"), 0700), 0);
        where.runtime_dir = dir;
}

/* What a script wrote down; "" if it was not called. */
static const char *called(const char *script) {
        static char text[8192];
        char path[TMP_PATH_MAX];
        AUTO_BUF struct buf b = BUF_INIT;

        (void)snprintf(path, sizeof(path), "%s.called", script);
        if (io_read_file_at(AT_FDCWD, path, sizeof(text) - 1, &b) < 0)
                return "";
        (void)snprintf(text, sizeof(text), "%s", b.data);
        return text;
}

static void a_user_manager_is_asked_first(void **state) {
        mcpb_error err = MCPB_ERROR_INIT;

        make_manager();
        assert_int_equal(start_daemon(&fake_client, &where, &err), 0);
        assert_non_null(strstr(called(systemctl), "4 --user --quiet start mcp-broker.socket\n"));
        assert_string_equal(called(daemon_path), "");
}

static void a_confined_process_may_still_ask_the_manager(void **state) {
        mcpb_error err = MCPB_ERROR_INIT;

        make_manager();
        where.confined = "it runs in a user namespace";
        assert_int_equal(start_daemon(&fake_client, &where, &err), 0);
        assert_string_not_equal(called(systemctl), "");
}

static void without_the_unit_the_daemon_is_started_directly(void **state) {
        mcpb_error err = MCPB_ERROR_INIT;

        make_manager();
        write_script(systemctl, RECORD, 5); /* unit not found */
        assert_int_equal(start_daemon(&fake_client, &where, &err), 0);
        assert_string_not_equal(called(systemctl), "");
        assert_string_not_equal(called(daemon_path), "");
}

static void without_systemctl_the_daemon_is_started_directly(void **state) {
        mcpb_error err = MCPB_ERROR_INIT;

        make_manager();
        assert_int_equal(unlink(systemctl), 0);
        assert_int_equal(start_daemon(&fake_client, &where, &err), 0);
        assert_string_not_equal(called(daemon_path), "");
}

static void the_daemon_owes_nothing_to_the_callers_environment(void **state) {
        mcpb_error err = MCPB_ERROR_INIT;
        AUTO_BUF struct buf want = BUF_INIT;

        assert_int_equal(setenv("HTTPS_PROXY", "http://evil", 1), 0);
        assert_int_equal(setenv("SSL_CERT_FILE", "/evil", 1), 0);
        assert_int_equal(setenv("XDG_CONFIG_HOME", "/evil", 1), 0);
        assert_int_equal(setenv("LD_PRELOAD", "", 1), 0);
        where.runtime_dir = dir; /* no manager in it */
        assert_int_equal(start_daemon(&fake_client, &where, &err), 0);
        assert_int_equal(buf_printf(&want,
                                    "0 \nHOME=/home/somebody\nLANG=C.UTF-8\n"
                                    "PATH=/usr/local/bin:/usr/bin:/bin\nXDG_RUNTIME_DIR=%s\n",
                                    dir),
                         0);
        assert_string_equal(called(daemon_path), want.data);
        assert_string_equal(called(systemctl), "");
}

static void a_confined_process_says_so_instead(void **state) {
        mcpb_error err = MCPB_ERROR_INIT;

        where.confined = "it runs under a seccomp filter";
        assert_int_equal(start_daemon(&fake_client, &where, &err), -ECONNREFUSED);
        assert_string_equal(err.code, "no_daemon");
        assert_int_equal(err.exit_status, 3);
        assert_non_null(strstr(err.message, "seccomp"));
        assert_non_null(strstr(err.hint, "systemctl --user start mcp-broker.socket"));
        assert_string_equal(called(daemon_path), "");
}

static void a_daemon_that_is_not_installed_is_an_error(void **state) {
        mcpb_error err = MCPB_ERROR_INIT;

        where.daemon = "/nonexistent/mcp-brokerd";
        assert_int_equal(start_daemon(&fake_client, &where, &err), -ECONNREFUSED);
        assert_string_equal(err.code, "no_daemon");
        assert_non_null(strstr(err.message, "/nonexistent/mcp-brokerd"));
}

static void a_daemon_that_does_not_start_is_an_error_at_once(void **state) {
        mcpb_error err = MCPB_ERROR_INIT;

        write_script(daemon_path, RECORD, 12); /* its configuration is wrong */
        assert_int_equal(start_daemon(&fake_client, &where, &err), -ECONNREFUSED);
        assert_string_equal(err.code, "no_daemon");
        assert_non_null(strstr(err.hint, "mcp-brokerd -f"));
        mcpb_error_done(&err);
}

static void a_daemon_that_met_another_is_none(void **state) {
        mcpb_error err = MCPB_ERROR_INIT;

        write_script(daemon_path, RECORD, 9);
        assert_int_equal(start_daemon(&fake_client, &where, &err), 0);
}

static void waiting_for_a_daemon_has_an_end(void **state) {
        mcpb_error err = MCPB_ERROR_INIT;

        write_script(daemon_path, "exec sleep 1000", 0);
        client_set_deadline(&fake_client, 50);
        assert_int_equal(start_daemon(&fake_client, &where, &err), -ETIMEDOUT);
        assert_string_equal(err.code, "timeout");
}

static void confinement_is_told_from_what_the_kernel_says(void **state) {
#define FREE "Name:\tx\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n"
#define NNP "NoNewPrivs:\t1\nSeccomp:\t0\n"
#define FILTER "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"
#define WHOLE "         0          0 4294967295\n"
        static const struct {
                const char *self;
                const char *init;
                const char *map;
                const char *reason; /* NULL: free */
        } table[] = {
                { FREE, FREE, WHOLE, NULL },
                { FREE, NULL, WHOLE, NULL },
                { NNP, FREE, WHOLE, "privileges" },
                { NNP, NULL, WHOLE, "privileges" },
                { FILTER, FREE, WHOLE, "seccomp" },
                { FILTER, FILTER, WHOLE, NULL }, /* a container: all of it is like this */
                { FREE, FREE, "      1000       1000          1\n", "namespace" },
                { FREE, FREE, "         0       1000          1\n", "namespace" },
                { FREE, FREE, "         0          0 42949672951\n", "namespace" },
                { FREE, FREE, "", "namespace" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                const char *reason = confined_judge(table[i].self, table[i].init, table[i].map);

                if (!table[i].reason)
                        assert_null(reason);
                else
                        assert_non_null(strstr(reason, table[i].reason));
        }
}

static void a_path_that_was_named_starts_nothing(void **state) {
        char path[TMP_PATH_MAX];
        mcpb_options o = MCPB_OPTIONS_INIT;
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;

        o.daemon_path = daemon_path;
        o.socket_path = tmp_path(path, dir, "socket");
        assert_int_equal(mcpb_client_new(&o, &c, &err), -ECONNREFUSED);
        assert_string_equal(err.code, "no_daemon");
        o.socket_path = NULL;
        assert_int_equal(setenv("MCP_BROKER_SOCK", path, 1), 0);
        assert_int_equal(mcpb_client_new(&o, &c, &err), -ECONNREFUSED);
        assert_int_equal(unsetenv("MCP_BROKER_SOCK"), 0);
        assert_string_equal(called(daemon_path), "");
}

static void who_says_no_autostart_gets_none(void **state) {
        mcpb_options o = MCPB_OPTIONS_INIT;
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;

        assert_int_equal(setenv("XDG_RUNTIME_DIR", dir, 1), 0);
        o.daemon_path = daemon_path;
        o.no_autostart = 1;
        assert_int_equal(mcpb_client_new(&o, &c, &err), -ECONNREFUSED);
        assert_string_equal(err.code, "no_daemon");
        assert_string_equal(called(daemon_path), "");
}

/*
 * A daemon in miniature: listens, goes into the background as mcp-brokerd does, and greets one
 * client.
 */
static int serve(void) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        static const char hello[] = "{\"jsonrpc\":\"2.0\",\"method\":\"hello\",\"params\":"
                                    "{\"protocol\":1,\"nonce\":\"n\"}}\n";
        static const char opened[] = "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocol\":1}}\n";
        char text[512];
        const char *runtime = getenv("XDG_RUNTIME_DIR");

        (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%.60s/mcp-broker", runtime);
        if (mkdir(sa.sun_path, 0700) < 0)
                return 1;
        (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%.60s/mcp-broker/socket", runtime);
        if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 4) < 0)
                return 1;
        if (fork() != 0)
                return 0;
        (void)alarm(30);
        fd = accept(fd, NULL, NULL);
        (void)!write(fd, hello, strlen(hello));
        (void)!read(fd, text, sizeof(text));
        (void)!write(fd, opened, strlen(opened));
        (void)!read(fd, text, sizeof(text));
        return 0;
}

static void a_client_that_finds_no_daemon_starts_one_and_is_served(void **state) {
        mcpb_options o = MCPB_OPTIONS_INIT;
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;
        char self[TMP_PATH_MAX];
        char text[2 * TMP_PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

        if (confined_reason())
                skip();
        assert_true(n > 0);
        self[n] = '\0';
        (void)snprintf(text, sizeof(text), "exec %s --serve", self);
        write_script(daemon_path, text, 1);
        assert_int_equal(setenv("XDG_RUNTIME_DIR", dir, 1), 0);
        o.daemon_path = daemon_path;
        o.timeout_msec = 20000;
        if (mcpb_client_new(&o, &c, &err) < 0)
                fail_msg("%s: %s", err.code, err.message);
        (void)mcpb_client_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv) {
        static const struct CMUnitTest tests[] = {
                TEST(a_user_manager_is_asked_first),
                TEST(a_confined_process_may_still_ask_the_manager),
                TEST(without_the_unit_the_daemon_is_started_directly),
                TEST(without_systemctl_the_daemon_is_started_directly),
                TEST(the_daemon_owes_nothing_to_the_callers_environment),
                TEST(a_confined_process_says_so_instead),
                TEST(a_daemon_that_is_not_installed_is_an_error),
                TEST(a_daemon_that_does_not_start_is_an_error_at_once),
                TEST(a_daemon_that_met_another_is_none),
                TEST(waiting_for_a_daemon_has_an_end),
                TEST(confinement_is_told_from_what_the_kernel_says),
                TEST(a_path_that_was_named_starts_nothing),
                TEST(who_says_no_autostart_gets_none),
                TEST(a_client_that_finds_no_daemon_starts_one_and_is_served),
        };

        if (argc > 1 && streq(argv[1], "--serve"))
                return serve();
        return cmocka_run_group_tests_name("client-start", tests, NULL, NULL);
}
