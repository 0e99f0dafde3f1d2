/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/launch.h"

#include <unistd.h>

#include "base/buf.h"

/* What a worker's environment may hold: where the person's session is, and what test tools need. */
static const char *const passed_on[] = { "PATH=",
                                         "HOME=",
                                         "USER=",
                                         "LOGNAME=",
                                         "LANG=",
                                         "LC_ALL=",
                                         "TERM=",
                                         "DISPLAY=",
                                         "WAYLAND_DISPLAY=",
                                         "XAUTHORITY=",
                                         "XDG_RUNTIME_DIR=",
                                         "DBUS_SESSION_BUS_ADDRESS=",
                                         "ASAN_OPTIONS=",
                                         "UBSAN_OPTIONS=",
                                         "LSAN_OPTIONS=",
                                         "GCOV_PREFIX=",
                                         "GCOV_PREFIX_STRIP=" };

char **launch_environment(char **all) {
        size_t n = 0;
        char **env = calloc(ARRAY_SIZE(passed_on) + 1, sizeof(*env));

        for (size_t i = 0; env && all[i] && n < ARRAY_SIZE(passed_on); i++)
                for (size_t k = 0; k < ARRAY_SIZE(passed_on); k++)
                        if (strncmp(all[i], passed_on[k], strlen(passed_on[k])) == 0 &&
                            n < ARRAY_SIZE(passed_on))
                                env[n++] = all[i];
        return env;
}

static int add_option(char **argv, size_t *n, const char *name, const char *value) {
        AUTO_BUF struct buf b = BUF_INIT;
        int r = value ? buf_printf(&b, "--%s=%s", name, value) : -ENOENT;

        if (r < 0)
                return r == -ENOENT ? 0 : r;
        argv[*n] = buf_steal(&b);
        return argv[(*n)++] ? 0 : -ENOMEM;
}

int launch_argv(const struct config_files *files, enum worker_kind kind, char *path,
                char *argv[static LAUNCH_ARGV_MAX], struct error *err) {
        struct config config = { 0 };
        size_t n = 1;
        int r;

        argv[0] = path;
        if (kind == WORKER_SESSION)
                return 0;
        r = config_parse(&config, files, err);
        if (r == 0)
                r = add_option(argv, &n, "role", worker_name(kind));
        if (r == 0)
                r = add_option(argv, &n, "ca-file", config.ca_file);
        if (r == 0)
                r = add_option(argv, &n, "proxy", config.proxy);
        if (r == 0)
                r = add_option(argv, &n, "no-proxy", config.no_proxy);
        config_done(&config);
        return error_fallback(err, r, "preparing a worker");
}

void launch_argv_done(char *argv[static LAUNCH_ARGV_MAX]) {
        for (size_t i = 1; i < LAUNCH_ARGV_MAX; i++) {
                free(argv[i]);
                argv[i] = NULL;
        }
}

/* What cannot be read is said before anything is changed: a worker without it would not start. */
int launch_check(const struct config_files *files, struct error *err) {
        struct config c = { 0 };
        int r = config_parse(&c, files, err);

        if (r == 0 && c.ca_file && access(c.ca_file, R_OK) < 0)
                r = error_set(err, MCPB_BAD_CONFIG, errno, "Mend CaFile= or the file",
                              "Cannot read %s: %s", c.ca_file, strerror(errno));
        config_done(&c);
        return r;
}

/* The certificates are read when a worker starts, and there may be others in the same file now. */
static bool network_differs(const struct config *a, const struct config *b) {
        return b->ca_file || !streq_null(a->ca_file, b->ca_file) ||
               !streq_null(a->proxy, b->proxy) || !streq_null(a->no_proxy, b->no_proxy);
}

int launch_differs(const struct config_files *old, const struct config_files *new, bool *ret,
                   struct error *err) {
        struct config a = { 0 };
        struct config b = { 0 };
        int r = config_parse(&a, old, err);

        if (r == 0)
                r = config_parse(&b, new, err);
        if (r == 0)
                *ret = network_differs(&a, &b);
        config_done(&a);
        config_done(&b);
        return r;
}
