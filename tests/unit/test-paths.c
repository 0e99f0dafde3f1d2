/* SPDX-License-Identifier: Apache-2.0 */
#include "os/paths.h"

#include <limits.h>
#include <pwd.h>
#include <sys/stat.h>

#include "test.h"

static int clear_environment(void **state) {
        static const char *const names[] = { "MCP_BROKER_SOCK", "XDG_RUNTIME_DIR", "XDG_STATE_HOME",
                                             "XDG_CONFIG_HOME" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                (void)unsetenv(names[i]);
        return 0;
}

static void set(const char *name, const char *value) {
        assert_int_equal(setenv(name, value, 1), 0);
}

static void home_is_that_of_the_passwd_entry(void **state) {
        const struct passwd *entry = getpwuid(geteuid());
        AUTO_FREE char *home = NULL;

        if (!entry)
                skip();
        set("HOME", "/elsewhere");
        home = path_home();
        assert_string_equal(home, entry->pw_dir);
}

static void xdg_variables_count_if_they_are_absolute(void **state) {
        AUTO_FREE char *home = path_home();
        AUTO_FREE char *state_dir = NULL;
        AUTO_FREE char *config_dir = NULL;
        AUTO_FREE char *fallback = NULL;
        char expected[PATH_MAX];

        set("XDG_STATE_HOME", "/x/state");
        set("XDG_CONFIG_HOME", "/x/config");
        state_dir = path_state_dir();
        config_dir = path_config_dir();
        assert_string_equal(state_dir, "/x/state/mcp-broker");
        assert_string_equal(config_dir, "/x/config/mcp-broker");
        set("XDG_STATE_HOME", "relative");
        fallback = path_state_dir();
        (void)snprintf(expected, sizeof(expected), "%s/.local/state/mcp-broker", home);
        assert_string_equal(fallback, expected);
}

static void the_socket_is_looked_for_in_four_places(void **state) {
        AUTO_FREE char *first = NULL;
        AUTO_FREE char *second = NULL;
        AUTO_FREE char *rest = NULL;
        AUTO_FREE char *home = path_home();
        char host[HOST_NAME_MAX + 1] = { 0 };
        char run[PATH_MAX];
        struct stat st;

        set("MCP_BROKER_SOCK", "/somewhere/socket");
        set("XDG_RUNTIME_DIR", "/x/run");
        first = path_socket();
        assert_string_equal(first, "/somewhere/socket");
        assert_int_equal(unsetenv("MCP_BROKER_SOCK"), 0);
        second = path_socket();
        assert_string_equal(second, "/x/run/mcp-broker/socket");
        assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);

        /* With the environment stripped, as clients do to their helpers. */
        set("XDG_STATE_HOME", "/not/this/one");
        rest = path_socket();
        assert_int_equal(gethostname(host, HOST_NAME_MAX), 0);
        (void)snprintf(run, sizeof(run), "/run/user/%u", (unsigned)geteuid());
        if (lstat(run, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid())
                (void)snprintf(run, sizeof(run), "/run/user/%u/mcp-broker/socket",
                               (unsigned)geteuid());
        else
                (void)snprintf(run, sizeof(run), "%s/.local/state/mcp-broker/run-%s/socket", home,
                               host);
        assert_string_equal(rest, run);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(home_is_that_of_the_passwd_entry, clear_environment),
                cmocka_unit_test_setup(xdg_variables_count_if_they_are_absolute, clear_environment),
                cmocka_unit_test_setup(the_socket_is_looked_for_in_four_places, clear_environment),
        };

        return cmocka_run_group_tests_name("paths", tests, NULL, NULL);
}
