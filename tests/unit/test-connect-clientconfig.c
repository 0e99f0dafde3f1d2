/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/clientconfig.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "connect/clientfile.h"
#include "oom.h"
#include "os/io.h"
#include "tmp.h"

#define URL "https://mcp.linear.app/mcp"
#define COMMAND "/usr/bin/mcp-connect"
#define SERVERS "{\n  \"mcpServers\": {\n    \"linear\": {\n"
#define PLAIN "      \"command\": \"" COMMAND "\",\n      \"args\": [\"" URL "\"]\n    }\n  }\n}\n"

/* --- the stage ------------------------------------------------------------------------------ */

static int clear_environment(void **state) {
        static const char *const names[] = { "XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME",
                                             "COPILOT_HOME" };
        char *home = tmp_new();

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                (void)unsetenv(names[i]);
        assert_int_equal(setenv("HOME", home, 1), 0);
        *state = home;
        return 0;
}

static int remove_home(void **state) {
        (void)tmp_free(*state);
        return 0;
}

static void put_file(const char *path, const char *text, mode_t mode) {
        AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(io_write_full(fd, text, strlen(text)), 0);
        assert_int_equal(fchmod(fd, mode), 0);
}

static void assert_file(const char *path, const char *text) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(io_read_file_at(AT_FDCWD, path, 1 << 20, &b), 0);
        assert_string_equal(b.data, text);
}

static void assert_mode(const char *path, mode_t mode) {
        struct stat st;

        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, mode);
}

static unsigned files_in(const char *folder) {
        unsigned n = 0;
        DIR *dir = opendir(folder);

        assert_non_null(dir);
        for (const struct dirent *d; (d = readdir(dir));)
                n += d->d_name[0] != '.' || (d->d_name[1] && d->d_name[1] != '.');
        (void)closedir(dir);
        return n;
}

static struct clientconfig_request request(const char *client) {
        return (struct clientconfig_request){ .client = client, .server = URL, .command = COMMAND };
}

/* The caller frees it. */
static char *print(const struct clientconfig_request *r) {
        struct error err = ERROR_INIT;
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);

        assert_non_null(out);
        if (clientconfig_print(r, out, &err) < 0)
                fail_msg("%s: %s", r->client, err.message);
        assert_int_equal(fclose(out), 0);
        return text;
}

static void assert_refused(const struct clientconfig_request *r, enum error_code code,
                           const char *message) {
        struct error err = ERROR_INIT;

        assert_true(clientconfig_print(r, stdout, &err) < 0);
        assert_int_equal(err.code, code);
        assert_string_equal(err.message, message);
}

static void write_it(const struct clientconfig_request *r) {
        struct error err = ERROR_INIT;

        if (clientconfig_write(r, &err) < 0)
                fail_msg("%s: %s", r->client, err.message);
}

/* --- what is printed ------------------------------------------------------------------------ */

static void each_client_gets_its_own_block(void **state) {
        static const struct {
                const char *client;
                bool helper;
                const char *text;
        } table[] = {
                { "claude-code", false, SERVERS "      \"type\": \"stdio\",\n" PLAIN },
                { "claude-project", false, SERVERS "      \"type\": \"stdio\",\n" PLAIN },
                { "claude-desktop", false, SERVERS PLAIN },
                { "codex", false,
                  "[mcp_servers.linear]\ncommand = \"" COMMAND "\"\nargs = [\"" URL "\"]\n" },
                { "copilot-cli", false,
                  SERVERS "      \"type\": \"local\",\n      \"command\": \"" COMMAND
                          "\",\n      \"args\": [\"" URL
                          "\"],\n      \"tools\": [\"*\"]\n    }\n  }\n}\n" },
                { "cursor", false, SERVERS PLAIN },
                { "gemini-cli", false, SERVERS PLAIN },
                { "goose", false,
                  "extensions:\n  \"linear\":\n    name: \"linear\"\n    type: \"stdio\"\n    "
                  "cmd: \"" COMMAND "\"\n    args: [\"" URL "\"]\n    enabled: true\n" },
                { "opencode", false,
                  "{\n  \"mcp\": {\n    \"linear\": {\n      \"type\": \"local\",\n      "
                  "\"command\": [\"" COMMAND "\", \"" URL "\"]\n    }\n  }\n}\n" },
                { "vscode", false,
                  "{\n  \"servers\": {\n    \"linear\": {\n      \"type\": \"stdio\",\n" PLAIN },
                { "windsurf", false, SERVERS PLAIN },
                { "zed", false, "{\n  \"context_servers\": {\n    \"linear\": {\n" PLAIN },
                { "claude-code", true,
                  SERVERS "      \"type\": \"http\",\n      \"url\": \"" URL
                          "\",\n      \"headersHelper\": \"/usr/bin/mcp-token --header " URL
                          "\"\n    }\n  }\n}\n" },
                { "codex", true,
                  "[mcp_servers.linear]\nurl = \"" URL
                  "\"\nhttp_headers_helper = \"/usr/bin/mcp-token --header " URL "\"\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct clientconfig_request r = request(table[i].client);
                AUTO_FREE char *text = NULL;

                r.helper = table[i].helper;
                text = print(&r);
                assert_string_equal(text, table[i].text);
        }
}

static void the_list_names_each_client_and_its_file(void **state) {
        struct clientconfig_request r = { .client = "help" };
        AUTO_FREE char *text = print(&r);
        char line[TMP_PATH_MAX + 100];

        (void)snprintf(line, sizeof(line),
                       "zed             Zed                         -        %s%s\n",
                       (const char *)*state, "/.config/zed/settings.json");
        assert_non_null(strstr(text, line));
        (void)snprintf(line, sizeof(line),
                       "codex           Codex                       yes      %s%s\n",
                       (const char *)*state, "/.codex/config.toml");
        assert_non_null(strstr(text, line));
        assert_non_null(strstr(text, "claude-desktop  Claude Desktop              -        (not "));
}

static void names_are_such_that_all_clients_take_them(void **state) {
        static const struct {
                const char *server;
                const char *entry;
                const char *name;
        } table[] = {
                { "https://mcp.api.example.com/x", NULL, "[mcp_servers.example]\n" },
                { "http://127.0.0.1:8080/", NULL, "[mcp_servers.local-8080]\n" },
                { "me@work.x", NULL, "[mcp_servers.me-work-x]\n" },
                { "work", "other_1", "[mcp_servers.other_1]\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct clientconfig_request r = request("codex");
                AUTO_FREE char *text = NULL;

                r.server = table[i].server;
                r.entry = table[i].entry;
                text = print(&r);
                assert_true(strncmp(text, table[i].name, strlen(table[i].name)) == 0);
                assert_non_null(strstr(text, table[i].server));
        }
}

static void the_installed_commands_are_the_default(void **state) {
        struct clientconfig_request r = { .client = "codex", .server = "work" };
        AUTO_FREE char *text = print(&r);
        AUTO_FREE char *helper = NULL;

        assert_non_null(strstr(text, "command = \"" MCPB_BINDIR "/mcp-connect\"\n"));
        r.helper = true;
        r.url = URL;
        r.command = "mcp-connect";
        helper = print(&r);
        assert_non_null(strstr(helper, "url = \"" URL "\"\n"));
        assert_non_null(strstr(helper, "= \"mcp-token --header work\"\n"));
}

/* The helper's line is read by sh. */
static void what_a_shell_would_read_otherwise_is_quoted(void **state) {
        struct clientconfig_request r = { .client = "codex",
                                          .server = "https://h/m?a=1&b='c'",
                                          .command = "/opt/my tools/mcp-connect",
                                          .helper = true };
        AUTO_FREE char *text = print(&r);

        assert_non_null(strstr(text, "= \"'/opt/my tools/mcp-token' --header "
                                     "'https://h/m?a=1&b='\\\\''c'\\\\'''\"\n"));
}

static void what_cannot_be_written_is_refused(void **state) {
        struct clientconfig_request r = request("emacs");

        assert_refused(&r, MCPB_BAD_PARAMS, "There is no client 'emacs'");
        r = request("cursor");
        r.helper = true;
        assert_refused(&r, MCPB_UNSUPPORTED, "Cursor takes no headers from a command");
        r = request("codex");
        r.helper = true;
        r.server = "work";
        assert_refused(&r, MCPB_BAD_PARAMS,
                       "Codex connects to the server itself, and 'work' is not its address");
        r = request("codex");
        r.server = NULL;
        assert_refused(&r, MCPB_BAD_PARAMS, "Give the name or URL of one server");
        r.server = "-x";
        assert_refused(&r, MCPB_BAD_PARAMS, "'-x' is no name of a server");
        r.server = "https://h/${HOME}";
        assert_refused(&r, MCPB_BAD_PARAMS,
                       "Clients would take a part of 'https://h/${HOME}' for a variable");
        r.server = "http://example.com/";
        assert_int_equal(clientconfig_print(&r, stdout, NULL), -EINVAL);
        r.server = URL;
        r.entry = "a.b";
        assert_refused(&r, MCPB_BAD_PARAMS, "'a.b' is no name that all clients take");
        r.entry = "";
        assert_refused(&r, MCPB_BAD_PARAMS, "'' is no name that all clients take");
}

/* --- what is written ------------------------------------------------------------------------ */

static void each_file_is_made_where_its_client_looks(void **state) {
        static const struct {
                const char *client;
                const char *variable;
                const char *file;
        } table[] = {
                { "claude-code", NULL, ".claude.json" },
                { "claude-code", "CLAUDE_CONFIG_DIR", "v/.claude.json" },
                { "codex", NULL, ".codex/config.toml" },
                { "codex", "CODEX_HOME", "v/config.toml" },
                { "copilot-cli", NULL, ".copilot/mcp-config.json" },
                { "copilot-cli", "COPILOT_HOME", "v/mcp-config.json" },
                { "cursor", NULL, ".cursor/mcp.json" },
                { "gemini-cli", NULL, ".gemini/settings.json" },
                { "goose", NULL, ".config/goose/config.yaml" },
                { "goose", "XDG_CONFIG_HOME", "v/goose/config.yaml" },
                { "opencode", NULL, ".config/opencode/opencode.json" },
                { "opencode", "XDG_CONFIG_HOME", "v/opencode/opencode.json" },
                { "vscode", NULL, ".config/Code/User/mcp.json" },
                { "vscode", "XDG_CONFIG_HOME", "v/Code/User/mcp.json" },
                { "windsurf", NULL, ".codeium/windsurf/mcp_config.json" },
                { "zed", NULL, ".config/zed/settings.json" },
                { "zed", "XDG_CONFIG_HOME", "v/zed/settings.json" },
        };
        char path[TMP_PATH_MAX];
        char folder[TMP_PATH_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct clientconfig_request r = request(table[i].client);
                AUTO_FREE char *text = print(&r);

                if (table[i].variable)
                        assert_int_equal(
                                setenv(table[i].variable, tmp_path(folder, *state, "v"), 1), 0);
                write_it(&r);
                write_it(&r);
                assert_file(tmp_path(path, *state, table[i].file), text);
                assert_mode(path, 0600);
                *strrchr(path, '/') = '\0';
                if (!streq(path, *state)) {
                        assert_mode(path, 0700);
                        if (!table[i].variable)
                                assert_int_equal(files_in(path), 1);
                }
                if (table[i].variable)
                        assert_int_equal(unsetenv(table[i].variable), 0);
        }
}

static void a_project_has_its_file_in_the_working_folder(void **state) {
        struct clientconfig_request r = request("claude-project");
        AUTO_CLOSE int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        AUTO_FREE char *text = print(&r);
        char path[TMP_PATH_MAX];

        assert_int_equal(chdir(*state), 0);
        write_it(&r);
        assert_int_equal(fchdir(before), 0);
        assert_file(tmp_path(path, *state, ".mcp.json"), text);
}

static void opencode_may_have_comments_in_its_name(void **state) {
        struct clientconfig_request r = request("opencode");
        char path[TMP_PATH_MAX];

        assert_int_equal(setenv("XDG_CONFIG_HOME", *state, 1), 0);
        assert_int_equal(mkdir(tmp_path(path, *state, "opencode"), 0700), 0);
        put_file(tmp_path(path, *state, "opencode/opencode.jsonc"),
                 "{\"mcp\": {\"servers\": {\"y\": {}}}} // second version\n", 0600);
        write_it(&r);
        assert_file(path, "{\"mcp\": {\"servers\": {\"y\": {}, \"linear\": {\"type\": \"local\", "
                          "\"command\": [\"" COMMAND "\", \"" URL "\"]}}}} // second version\n");
        assert_int_not_equal(access(tmp_path(path, *state, "opencode/opencode.json"), F_OK), 0);
}

/* A person may have chosen some tools. */
static void tools_that_were_chosen_stay(void **state) {
        static const char text[] =
                "{\"mcpServers\": {\"linear\": {\"type\": \"local\", \"command\": "
                "\"" COMMAND "\", \"args\": [\"" URL "\"], \"tools\": [\"a\"]}}}";
        struct clientconfig_request r = request("copilot-cli");
        char path[TMP_PATH_MAX];

        assert_int_equal(setenv("COPILOT_HOME", *state, 1), 0);
        put_file(tmp_path(path, *state, "mcp-config.json"), text, 0600);
        write_it(&r);
        assert_file(path, text);
        assert_int_equal(files_in(*state), 1);
}

static void what_was_there_is_kept_beside(void **state) {
        static const char npx[] = "{\"mcpServers\": {\"linear\": {\"command\": \"npx\"}}}";
        struct clientconfig_request r = request("claude-code");
        char path[TMP_PATH_MAX];
        char backup[TMP_PATH_MAX];

        put_file(tmp_path(path, *state, ".claude.json"), npx, 0640);
        write_it(&r);
        write_it(&r); /* is there already: no second backup */
        assert_file(path,
                    "{\"mcpServers\": {\"linear\": {\"type\": \"stdio\", \"command\": \"" COMMAND
                    "\", \"args\": [\"" URL "\"]}}}");
        assert_mode(path, 0640);
        assert_file(tmp_path(backup, *state, ".claude.json.mcp-broker-backup"), npx);
        assert_mode(backup, 0640);
        assert_int_equal(files_in(*state), 2);

        r.helper = true;
        write_it(&r);
        r.helper = false;
        write_it(&r);
        assert_file(backup, npx);
        assert_int_equal(access(tmp_path(backup, *state, ".claude.json.mcp-broker-backup.1"), F_OK),
                         0);
        assert_int_equal(access(tmp_path(backup, *state, ".claude.json.mcp-broker-backup.2"), F_OK),
                         0);
        assert_int_equal(files_in(*state), 4);
}

static void a_link_stays_one(void **state) {
        struct clientconfig_request r = request("codex");
        char path[TMP_PATH_MAX];
        char target[TMP_PATH_MAX];
        struct stat st;

        assert_int_equal(setenv("CODEX_HOME", *state, 1), 0);
        put_file(tmp_path(target, *state, "dotfiles.toml"), "a = 1\n", 0600);
        assert_int_equal(symlink("dotfiles.toml", tmp_path(path, *state, "config.toml")), 0);
        write_it(&r);
        assert_int_equal(lstat(path, &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        assert_file(target, "a = 1\n\n[mcp_servers.linear]\ncommand = \"" COMMAND
                            "\"\nargs = [\"" URL "\"]\n");
}

static void a_file_that_is_not_understood_is_left_alone(void **state) {
        static const char text[] = "a = 1\nb = [\n";
        struct clientconfig_request r = request("codex");
        struct error err = ERROR_INIT;
        char path[TMP_PATH_MAX];
        char message[TMP_PATH_MAX + 100];

        assert_int_equal(setenv("CODEX_HOME", *state, 1), 0);
        put_file(tmp_path(path, *state, "config.toml"), text, 0600);
        assert_int_equal(clientconfig_write(&r, &err), -EBADMSG);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
        (void)snprintf(message, sizeof(message), "%s, line 3: a value is expected here", path);
        assert_string_equal(err.message, message);
        assert_file(path, text);
        assert_int_equal(files_in(*state), 1);
}

static void what_is_no_file_of_ours_is_left_alone(void **state) {
        struct clientconfig_request r = request("codex");
        struct error err = ERROR_INIT;
        char path[TMP_PATH_MAX];

        assert_int_equal(setenv("CODEX_HOME", *state, 1), 0);
        assert_int_equal(symlink("nowhere", tmp_path(path, *state, "config.toml")), 0);
        assert_int_equal(clientconfig_write(&r, &err), -ENOENT);
        assert_int_equal(err.code, MCPB_NOT_PERMITTED);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_true(clientconfig_write(&r, &err) < 0);
        assert_int_equal(files_in(*state), 1);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(clientconfig_write(&r, &err), -EINVAL);

        r = request("claude-desktop");
        assert_int_equal(clientconfig_write(&r, &err), -EOPNOTSUPP);
        assert_int_equal(err.code, MCPB_UNSUPPORTED);
}

static void a_file_that_changes_meanwhile_is_left_alone(void **state) {
        AUTO_CLIENTFILE struct clientfile f = CLIENTFILE_INIT;
        AUTO_CLIENTFILE struct clientfile missing = CLIENTFILE_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        struct error err = ERROR_INIT;
        char *backup = NULL;
        char path[TMP_PATH_MAX];

        assert_int_equal(buf_append_str(&text, "new"), 0);
        assert_int_equal(clientfile_read(&missing, tmp_path(path, *state, "f"), &err), 0);
        assert_false(missing.exists);
        put_file(path, "old", 0600);
        assert_int_equal(clientfile_read(&f, path, &err), 0);
        assert_int_equal(clientfile_replace(&missing, &text, &backup, &err), -EAGAIN);
        assert_int_equal(err.code, MCPB_CONFLICT);
        put_file(path, "other", 0600);
        err = ERROR_INIT;
        assert_int_equal(clientfile_replace(&f, &text, &backup, &err), -EAGAIN);
        assert_int_equal(err.code, MCPB_CONFLICT);
        assert_null(backup);
        assert_file(path, "other");
        assert_int_equal(files_in(*state), 1);
}

static int write_once(void *userdata) {
        struct clientconfig_request r = request("cursor");
        const char *home = userdata;
        char path[TMP_PATH_MAX];
        int e;

        oom_pause(true);
        put_file(tmp_path(path, home, ".cursor/mcp.json"), "{\"mcpServers\": {}}", 0600);
        oom_pause(false);
        e = clientconfig_write(&r, NULL);
        oom_pause(true);
        if (e < 0)
                assert_file(path, "{\"mcpServers\": {}}");
        /* The old text stays beside only if there is a new one. */
        assert_int_equal(files_in(tmp_path(path, home, ".cursor")), e < 0 ? 1 : 2);
        oom_pause(false);
        return e;
}

static int print_once(void *userdata) {
        struct clientconfig_request r = request("codex");
        struct error err = ERROR_INIT;

        r.helper = true;
        return clientconfig_print(&r, userdata, &err);
}

static void no_allocation_is_taken_for_granted(void **state) {
        char path[TMP_PATH_MAX];
        FILE *out = fopen("/dev/null", "we");

        assert_non_null(out);
        assert_true(oom_sweep(print_once, out) > 0);
        assert_int_equal(fclose(out), 0);
        assert_int_equal(mkdir(tmp_path(path, *state, ".cursor"), 0700), 0);
        assert_true(oom_sweep(write_once, *state) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, clear_environment, remove_home)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(each_client_gets_its_own_block),
                TEST(the_list_names_each_client_and_its_file),
                TEST(names_are_such_that_all_clients_take_them),
                TEST(the_installed_commands_are_the_default),
                TEST(what_a_shell_would_read_otherwise_is_quoted),
                TEST(what_cannot_be_written_is_refused),
                TEST(each_file_is_made_where_its_client_looks),
                TEST(a_project_has_its_file_in_the_working_folder),
                TEST(opencode_may_have_comments_in_its_name),
                TEST(tools_that_were_chosen_stay),
                TEST(what_was_there_is_kept_beside),
                TEST(a_link_stays_one),
                TEST(a_file_that_is_not_understood_is_left_alone),
                TEST(what_is_no_file_of_ours_is_left_alone),
                TEST(a_file_that_changes_meanwhile_is_left_alone),
                TEST(no_allocation_is_taken_for_granted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
