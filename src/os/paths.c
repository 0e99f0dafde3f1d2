/* SPDX-License-Identifier: Apache-2.0 */
#include "os/paths.h"

#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/buf.h"

#define PASSWD_BUFFER_MAX ((size_t)256 * 1024)
#define FOLDER "mcp-broker"

static char *join(const char *a, const char *b, const char *c) {
        AUTO_BUF struct buf path = BUF_INIT;

        return buf_printf(&path, "%s%s%s", a, b, c) < 0 ? NULL : buf_steal(&path);
}

/* An absolute path, or nothing. */
static const char *env_path(const char *name) {
        const char *value = getenv(name);

        return value && value[0] == '/' ? value : NULL;
}

char *path_home(void) {
        struct passwd *found = NULL;
        const char *env;

        for (size_t size = 4096; size <= PASSWD_BUFFER_MAX; size *= 4) {
                AUTO_FREE char *text = malloc(size);
                struct passwd entry;
                int r;

                if (!text)
                        return NULL;
                r = getpwuid_r(geteuid(), &entry, text, size, &found);
                if (r == ERANGE)
                        continue;
                if (r == 0 && found && found->pw_dir[0] == '/')
                        return strdup(found->pw_dir);
                break;
        }
        env = env_path("HOME");
        return env ? strdup(env) : NULL;
}

static char *xdg_dir(const char *variable, const char *below_home) {
        const char *base = env_path(variable);
        AUTO_FREE char *home = NULL;

        if (base)
                return join(base, "/", FOLDER);
        home = path_home();
        return home ? join(home, below_home, FOLDER) : NULL;
}

char *path_state_dir(void) {
        return xdg_dir("XDG_STATE_HOME", "/.local/state/");
}

char *path_config_dir(void) {
        return xdg_dir("XDG_CONFIG_HOME", "/.config/");
}

static bool is_our_folder(const char *path) {
        struct stat st;

        return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

char *path_socket(void) {
        const char *path = env_path("MCP_BROKER_SOCK");
        char host[HOST_NAME_MAX + 1] = { 0 };
        char run[64];
        AUTO_FREE char *home = NULL;
        AUTO_FREE char *state = NULL;

        if (path)
                return strdup(path);
        path = env_path("XDG_RUNTIME_DIR");
        if (path)
                return join(path, "/" FOLDER, "/socket");
        (void)snprintf(run, sizeof(run), "/run/user/%u", (unsigned)geteuid());
        if (is_our_folder(run))
                return join(run, "/" FOLDER, "/socket");
        home = path_home();
        if (!home)
                return NULL;
        if (gethostname(host, HOST_NAME_MAX) < 0 || !host[0] || strchr(host, '/'))
                (void)snprintf(host, sizeof(host), "localhost");
        state = join(home, "/.local/state/" FOLDER, "/run-");
        return state ? join(state, host, "/socket") : NULL;
}
