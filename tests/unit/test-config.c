/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>
#include <syslog.h>

#include "base/limits.h"
#include "config/config.h"
#include "oom.h"
#include "test.h"

/* --- A folder ------------------------------------------------------------- */

struct folder {
        char path[64];
        char other[80]; /* a second one below it */
};

static void write_file(const char *dir, const char *name, const char *text) {
        char path[256];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        assert_int_equal(fchmod(fd, 0644), 0);
        (void)close(fd);
}

static int folder_setup(void **state) {
        struct folder *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        (void)snprintf(f->path, sizeof(f->path), "/tmp/mcpb-config-XXXXXX");
        assert_non_null(mkdtemp(f->path));
        (void)snprintf(f->other, sizeof(f->other), "%s/other", f->path);
        assert_int_equal(mkdir(f->other, 0700), 0);
        *state = f;
        return 0;
}

static int folder_teardown(void **state) {
        static const char *const names[] = { "10-a.conf",    "20-b.conf", "30-c.conf",
                                             ".hidden.conf", "x.conf~",   "README" };
        struct folder *f = *state;
        char path[256];

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                (void)snprintf(path, sizeof(path), "%s/%s", f->path, names[i]);
                (void)remove(path);
                (void)snprintf(path, sizeof(path), "%s/%s", f->other, names[i]);
                (void)remove(path);
        }
        (void)rmdir(f->other);
        (void)rmdir(f->path);
        free(f);
        return 0;
}

static void files_come_sorted_by_name_and_the_later_folder_overrides(void **state) {
        struct folder *f = *state;
        const char *const dirs[] = { f->path, f->other, "/nonexistent/policy.d" };
        AUTO_CONFIG_FILES struct config_files files = CONFIG_FILES_INIT;
        struct error err = ERROR_INIT;

        write_file(f->path, "20-b.conf", "vendor b");
        write_file(f->path, "10-a.conf", "vendor a");
        write_file(f->path, ".hidden.conf", "no");
        write_file(f->path, "x.conf~", "no");
        write_file(f->path, "README", "no");
        write_file(f->other, "30-c.conf", "admin c");
        write_file(f->other, "10-a.conf", "");
        if (config_read_dirs(&files, dirs, 3, geteuid(), 7, &err) < 0)
                fail_msg("%s", err.message);
        assert_int_equal(files.n, 3);
        assert_int_equal(files.items[0].len, 0); /* masked */
        assert_non_null(strstr(files.items[0].path, "/other/10-a.conf"));
        assert_string_equal(files.items[1].data, "vendor b");
        assert_string_equal(files.items[2].data, "admin c");
        assert_int_equal(files.items[2].layer, 7);
}

static void expect_refused(const struct folder *f, uid_t owner, const char *message) {
        AUTO_CONFIG_FILES struct config_files files = CONFIG_FILES_INIT;
        struct error err = ERROR_INIT;
        char path[256];

        assert_true(config_read_dir(&files, f->path, owner, 0, &err) < 0);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
        if (!strstr(err.message, message))
                fail_msg("%s", err.message);
        assert_int_equal(files.n, 0);
        err = ERROR_INIT;
        (void)snprintf(path, sizeof(path), "%s/10-a.conf", f->path);
        assert_true(config_read_file(&files, path, owner, 0, &err) < 0);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
}

static void what_others_can_write_is_refused(void **state) {
        static const mode_t modes[] = { 0664, 0646, 0666 };
        struct folder *f = *state;
        char path[256];

        write_file(f->path, "10-a.conf", "");
        (void)snprintf(path, sizeof(path), "%s/10-a.conf", f->path);
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                assert_int_equal(chmod(path, modes[i]), 0);
                expect_refused(f, geteuid(), "can be written by group or others");
        }
        assert_int_equal(chmod(path, 0644), 0);
        assert_int_equal(chmod(f->path, 0770), 0);
        expect_refused(f, geteuid(), "can be written by group or others");
        assert_int_equal(chmod(f->path, 0700), 0);
}

static void a_file_of_another_user_is_refused(void **state) {
        struct folder *f = *state;
        char path[256];

        write_file(f->path, "10-a.conf", "");
        (void)snprintf(path, sizeof(path), "%s/10-a.conf", f->path);
        if (geteuid() == 0) /* root's own files are anybody's: give it away */
                assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
        expect_refused(f, geteuid() + 1, "belongs to uid");
}

static void only_regular_files_are_read(void **state) {
        struct folder *f = *state;
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/10-a.conf", f->path);
        assert_int_equal(symlink("/dev/null", path), 0);
        expect_refused(f, geteuid(), "is a symbolic link");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        expect_refused(f, geteuid(), "is not a regular file");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        expect_refused(f, geteuid(), "is not a regular file");
}

static void a_file_or_folder_that_is_not_there_is_no_error(void **state) {
        struct folder *f = *state;
        AUTO_CONFIG_FILES struct config_files files = CONFIG_FILES_INIT;
        struct error err = ERROR_INIT;
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/mcp-broker.conf", f->path);
        assert_int_equal(config_read_file(&files, path, geteuid(), 0, &err), 0);
        assert_int_equal(config_read_file(&files, "/nonexistent/x.conf", 0, 0, &err), 0);
        assert_int_equal(config_read_dir(&files, "/nonexistent", 0, 0, &err), 0);
        assert_int_equal(files.n, 0);
}

static void files_keep_every_byte_on_their_way_to_the_keeper(void **state) {
        struct folder *f = *state;
        AUTO_CONFIG_FILES struct config_files files = CONFIG_FILES_INIT;
        AUTO_CONFIG_FILES struct config_files back = CONFIG_FILES_INIT;
        AUTO_JSON json_t *value = NULL;
        struct error err = ERROR_INIT;

        write_file(f->path, "10-a.conf", "[A]\n\xff\x01\n");
        write_file(f->path, "20-b.conf", "");
        assert_int_equal(config_read_dir(&files, f->path, geteuid(), 1, &err), 0);
        files.items[0].data[1] = '\0';
        assert_int_equal(config_files_to_json(&files, &value), 0);
        assert_int_equal(config_files_from_json(&back, value), 0);
        assert_int_equal(back.n, 2);
        assert_string_equal(back.items[0].path, files.items[0].path);
        assert_int_equal(back.items[0].len, 7);
        assert_memory_equal(back.items[0].data, "[\0]\n\xff\x01\n", 7);
        assert_int_equal(back.items[1].len, 0);
        assert_int_equal(back.items[1].layer, 1);
}

static void what_is_not_a_list_of_files_is_refused(void **state) {
        static const char *const bad[] = {
                "{}",
                "[1]",
                "[{\"path\":\"x\",\"layer\":0}]",
                "[{\"path\":\"x\",\"layer\":0,\"data\":\"0\"}]",
                "[{\"path\":\"x\",\"layer\":0,\"data\":\"zz\"}]",
                "[{\"path\":\"x\",\"layer\":-1,\"data\":\"\"}]",
                "[{\"path\":\"x\",\"layer\":300,\"data\":\"\"}]",
                "[{\"path\":1,\"layer\":0,\"data\":\"\"}]",
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                AUTO_CONFIG_FILES struct config_files files = CONFIG_FILES_INIT;
                AUTO_JSON json_t *value = NULL;

                assert_int_equal(json_parse(bad[i], strlen(bad[i]), 8, &value, NULL), 0);
                assert_int_equal(config_files_from_json(&files, value), -EBADMSG);
        }
}

/* --- The configuration ---------------------------------------------------- */

static int parse(struct config *c, const char *vendor, const char *user, struct error *err) {
        char vendor_path[] = "/usr/lib/v.conf";
        char user_path[] = "/home/u.conf";
        AUTO_FREE char *vendor_text = strdup(vendor);
        AUTO_FREE char *user_text = strdup(user ? user : "");
        struct config_file items[] = {
                { vendor_path, vendor_text, vendor_text ? strlen(vendor_text) : 0, 0 },
                { user_path, user_text, user_text ? strlen(user_text) : 0, 1 },
        };
        struct config_files files = { items, user ? 2 : 1 };

        if (!vendor_text || !user_text)
                return -ENOMEM;
        return config_parse(c, &files, err);
}

static const char everything[] =
        "[Broker]\nLogLevel=debug\nIdleTimeoutSec=1h\nLoginTimeoutSec=5m\nRefreshMarginSec=30\n"
        "RedirectPort=8123\nReportToolCalls=no\nClientName=My "
        "broker\nClientMetadataUrl=https://me.example/c.json\n"
        "[Network]\nProxy=http://proxy.example:3128\nNoProxy=localhost,.corp.example\n"
        "CaFile=/etc/ssl/corp.pem\nAllowPrivate=Git.corp.example 10.0.0.1\nAllowPrivate=::1\n";

static void check_everything(const struct config *c) {
        assert_int_equal(c->log_level, LOG_DEBUG);
        assert_int_equal(c->idle_timeout_sec, 3600);
        assert_int_equal(c->login_timeout_sec, 300);
        assert_int_equal(c->refresh_margin_sec, 30);
        assert_int_equal(c->redirect_port, 8123);
        assert_false(c->report_tool_calls);
        assert_string_equal(c->client_name, "My broker");
        assert_string_equal(c->client_metadata_url, "https://me.example/c.json");
        assert_string_equal(c->proxy, "http://proxy.example:3128");
        assert_string_equal(c->no_proxy, "localhost,.corp.example");
        assert_string_equal(c->ca_file, "/etc/ssl/corp.pem");
        assert_int_equal(c->n_allow_private, 3);
        assert_string_equal(c->allow_private[0], "git.corp.example");
        assert_string_equal(c->allow_private[2], "::1");
}

static void no_file_at_all_gives_the_defaults(void **state) {
        const struct config_files none = CONFIG_FILES_INIT;
        struct config c = { 0 };

        assert_int_equal(config_parse(&c, &none, NULL), 0);
        assert_int_equal(c.log_level, LOG_INFO);
        assert_int_equal(c.idle_timeout_sec, 0);
        assert_int_equal(c.login_timeout_sec, LIMIT_LOGIN_SEC);
        assert_int_equal(c.refresh_margin_sec, 60);
        assert_int_equal(c.redirect_port, 0);
        assert_true(c.report_tool_calls);
        assert_string_equal(c.client_name, "mcp-broker");
        assert_null(c.client_metadata_url);
        assert_null(c.proxy);
        assert_null(c.ca_file);
        assert_int_equal(c.n_allow_private, 0);
        config_done(&c);
}

static void every_key_is_read_and_survives_the_way_to_the_keeper(void **state) {
        AUTO_JSON json_t *value = NULL;
        struct error err = ERROR_INIT;
        struct config back = { 0 };
        struct config c = { 0 };

        if (parse(&c, everything, NULL, &err) < 0)
                fail_msg("%s", err.message);
        check_everything(&c);
        assert_int_equal(config_to_json(&c, &value), 0);
        assert_int_equal(config_from_json(&back, value), 0);
        check_everything(&back);
        config_done(&c);
        config_done(&back);
}

static void a_later_file_replaces_and_an_empty_value_takes_back(void **state) {
        struct error err = ERROR_INIT;
        struct config c = { 0 };

        if (parse(&c, everything,
                  "[Network]\nProxy=\nAllowPrivate=\nAllowPrivate=b\n[Broker]\nLogLevel=error\n"
                  "ClientMetadataUrl=\n",
                  &err) < 0)
                fail_msg("%s", err.message);
        assert_null(c.proxy);
        assert_null(c.client_metadata_url);
        assert_int_equal(c.log_level, LOG_ERR);
        assert_int_equal(c.n_allow_private, 1);
        assert_string_equal(c.allow_private[0], "b");
        assert_string_equal(c.ca_file, "/etc/ssl/corp.pem");
        config_done(&c);
}

static void what_is_wrong_is_refused_with_file_and_line(void **state) {
        static const struct {
                const char *text;
                const char *message;
        } table[] = {
                { "[Brokers]\n", "/home/u.conf:1: there is no section [Brokers]" },
                { "[Broker]\nLogLevels=info\n", ":2: there is no key LogLevels= in [Broker]" },
                { "[Broker]\nProxy=http://x\n", ":2: there is no key Proxy= in [Broker]" },
                { "[Broker]\nLogLevel=loud\n", ":2: LogLevel= takes one of" },
                { "[Broker]\nLogLevel=info\nLogLevel=info\n", ":3: LogLevel= stands twice" },
                { "[Broker]\nReportToolCalls=maybe\n", ":2: ReportToolCalls= takes yes or no" },
                { "[Broker]\nIdleTimeoutSec=-1\n", ":2: IdleTimeoutSec=-1 is not a duration" },
                { "[Broker]\nIdleTimeoutSec=\n", "is not a duration" },
                { "[Broker]\nLoginTimeoutSec=1d\n", "LoginTimeoutSec= takes 10s to 600s" },
                { "[Broker]\nLoginTimeoutSec=1\n", "LoginTimeoutSec= takes" },
                { "[Broker]\nRedirectPort=80\n", "RedirectPort= takes 0 or" },
                { "[Broker]\nRedirectPort=65536\n", "RedirectPort= takes 0 or" },
                { "[Broker]\nClientName=\n", "ClientName= takes a name" },
                { "[Broker]\nClientMetadataUrl=http://me.example/c.json\n", "takes an https URL" },
                { "[Broker]\nClientMetadataUrl=https://me.example/\n", "takes an https URL" },
                { "[Broker]\nClientMetadataUrl=https://me.example/c#x\n", "takes an https URL" },
                { "[Broker]\nClientMetadataUrl=me\n", "is not an absolute URL" },
                { "[Network]\nProxy=proxy.example:3128\n", "is not an absolute URL" },
                { "[Network]\nProxy=http://u:p@proxy.example\n", "has user information" },
                { "[Network]\nProxy=http://proxy.example/x\n", "without path" },
                { "[Network]\nCaFile=ca.pem\n", "takes an absolute path" },
                { "[Network]\nAllowPrivate=a/b\n", "not 'a/b'" },
                { "[Network]\nAllowPrivate\n", ":2: not of the form" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct error err = ERROR_INIT;
                struct config c = { 0 };

                assert_int_equal(parse(&c, everything, table[i].text, &err), -EINVAL);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                if (!strstr(err.message, table[i].message))
                        fail_msg("%s: %s", table[i].text, err.message);
                assert_null(c.client_name);
        }
}

static void configuration_from_elsewhere_than_us_is_refused(void **state) {
        static const char *const members[] = {
                "log_level",     "idle_timeout_sec", "login_timeout_sec",   "refresh_margin_sec",
                "redirect_port", "client_name",      "client_metadata_url", "proxy",
                "no_proxy",      "ca_file",          "allow_private",       "report_tool_calls"
        };
        struct config c = { 0 };
        struct config back = { 0 };

        assert_int_equal(parse(&c, everything, NULL, NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                AUTO_JSON json_t *value = NULL;

                assert_int_equal(config_to_json(&c, &value), 0);
                assert_int_equal(json_object_set_new(value, members[i], json_true()), 0);
                assert_int_equal(config_from_json(&back, value), -EBADMSG);
        }
        config_done(&c);
}

static int there_and_back(void *userdata) {
        AUTO_JSON json_t *value = NULL;
        struct config c = { 0 };
        struct config back = { 0 };
        int r = parse(&c, everything, everything, NULL);

        if (r == 0)
                r = config_to_json(&c, &value);
        if (r == 0)
                r = config_from_json(&back, value);
        config_done(&c);
        config_done(&back);
        return r;
}

static int read_files(void *userdata) {
        const struct folder *f = userdata;
        AUTO_CONFIG_FILES struct config_files files = CONFIG_FILES_INIT;
        AUTO_CONFIG_FILES struct config_files back = CONFIG_FILES_INIT;
        AUTO_JSON json_t *value = NULL;
        int r = config_read_dir(&files, f->path, geteuid(), 0, NULL);

        if (r == 0)
                r = config_files_to_json(&files, &value);
        return r == 0 ? config_files_from_json(&back, value) : r;
}

static void out_of_memory_at_any_point_leaves_nothing_behind(void **state) {
        struct folder *f = *state;

        write_file(f->path, "10-a.conf", "[A]\n");
        write_file(f->path, "20-b.conf", "[B]\n");
        assert_true(oom_sweep(there_and_back, NULL) > 20);
        assert_true(oom_sweep(read_files, f) > 10);
}

#define FOLDER_TEST(fn) cmocka_unit_test_setup_teardown(fn, folder_setup, folder_teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                FOLDER_TEST(files_come_sorted_by_name_and_the_later_folder_overrides),
                FOLDER_TEST(what_others_can_write_is_refused),
                FOLDER_TEST(a_file_of_another_user_is_refused),
                FOLDER_TEST(only_regular_files_are_read),
                FOLDER_TEST(a_file_or_folder_that_is_not_there_is_no_error),
                FOLDER_TEST(files_keep_every_byte_on_their_way_to_the_keeper),
                FOLDER_TEST(out_of_memory_at_any_point_leaves_nothing_behind),
                cmocka_unit_test(what_is_not_a_list_of_files_is_refused),
                cmocka_unit_test(no_file_at_all_gives_the_defaults),
                cmocka_unit_test(every_key_is_read_and_survives_the_way_to_the_keeper),
                cmocka_unit_test(a_later_file_replaces_and_an_empty_value_takes_back),
                cmocka_unit_test(what_is_wrong_is_refused_with_file_and_line),
                cmocka_unit_test(configuration_from_elsewhere_than_us_is_refused),
        };

        return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
