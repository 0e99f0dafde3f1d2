/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "program/program.h"

#include <fcntl.h>
#include <stdarg.h>
#include <termios.h>

#include "base/buf.h"
#include "base/limits.h"
#include "os/io.h"

#define SECRET_MAX 4096

void program_init(struct program *p, const char *name, const char *help) {
        mcpb_options defaults = MCPB_OPTIONS_INIT;

        *p = (struct program){ .name = name, .help = help, .options = defaults };
        p->options.client_name = name;
}

int program_option(struct program *p, int c, const char *arg) {
        switch (c) {
        case OPTION_SOCKET:
                p->options.socket_path = arg;
                return -1;
        case OPTION_NO_AUTOSTART:
                p->options.no_autostart = 1;
                return -1;
        case 'h':
                (void)fputs(p->help, stdout);
                return 0;
        case 'V':
                (void)printf("%s %s\n", p->name, PACKAGE_VERSION);
                return 0;
        default:
                (void)fprintf(stderr, "Try '%s --help'.\n", p->name);
                return EXIT_USAGE;
        }
}

int program_usage(const struct program *p, const char *fmt, ...) {
        va_list ap;

        (void)fprintf(stderr, "%s: ", p->name);
        va_start(ap, fmt);
        (void)vfprintf(stderr, fmt, ap);
        va_end(ap);
        (void)fprintf(stderr, "\nTry '%s --help'.\n", p->name);
        return EXIT_USAGE;
}

int program_fail(const struct program *p, mcpb_error *err) {
        int status = err->exit_status ? err->exit_status : 1;

        (void)fprintf(stderr, "%s: %s\n", p->name, err->message[0] ? err->message : "failed");
        if (err->hint[0])
                (void)fprintf(stderr, "%s: %s\n", p->name, err->hint);
        mcpb_error_done(err);
        return status;
}

int program_connect(const struct program *p, mcpb_client **ret, mcpb_error *err) {
        return mcpb_client_new(&p->options, ret, err);
}

char *scopes_join(char *joined, const char *scope) {
        AUTO_BUF struct buf b = BUF_INIT;
        int r = joined ? buf_printf(&b, "%s ", joined) : 0;

        free(joined);
        if (r == 0)
                r = buf_append_str(&b, scope);
        return r < 0 ? NULL : buf_steal(&b);
}

static char *read_line(int fd) {
        AUTO_BUF struct buf b = { .max = SECRET_MAX };
        char c;

        while (read(fd, &c, 1) == 1 && c != '\n') {
                if (c != '\r' && buf_append(&b, &c, 1) < 0)
                        return NULL;
        }
        return buf_steal(&b);
}

char *read_passphrase(const struct program *p, const char *prompt) {
        AUTO_CLOSE int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        struct termios before;
        struct termios silent;
        char *line;

        if (fd < 0 || tcgetattr(fd, &before) < 0) {
                (void)fprintf(stderr,
                              "%s: there is no terminal to ask for the passphrase; use "
                              "--passphrase-file\n",
                              p->name);
                return NULL;
        }
        silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        (void)dprintf(fd, "%s: ", prompt);
        (void)tcsetattr(fd, TCSAFLUSH, &silent);
        line = read_line(fd);
        (void)tcsetattr(fd, TCSAFLUSH, &before);
        (void)dprintf(fd, "\n");
        if (!line)
                (void)fprintf(stderr, "%s: the passphrase is too long\n", p->name);
        return line;
}

/* "-" is standard input, which stays open: @ret_opened is what is to be closed. */
static int open_secret(const struct program *p, const char *path, int *ret_opened) {
        if (streq(path, "-"))
                return STDIN_FILENO;
        *ret_opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (*ret_opened < 0)
                (void)fprintf(stderr, "%s: %s: %s\n", p->name, path, strerror(errno));
        return *ret_opened;
}

char *read_key_file(const struct program *p, const char *path) {
        AUTO_CLOSE int opened = -1;
        AUTO_BUF struct buf data = BUF_INIT;
        int fd = open_secret(p, path, &opened);
        int r;

        if (fd < 0)
                return NULL;
        r = io_read_full(fd, LIMIT_TOKEN_BYTES, &data);
        if (r == 0 && data.len > 0 && !memchr(data.data, 0, data.len))
                return buf_steal(&data);
        (void)fprintf(stderr, "%s: %s: %s\n", p->name, path,
                      r < 0 ? strerror(-r) : "holds no private key (PEM, or a JWK)");
        return NULL;
}

char *read_secret_file(const struct program *p, const char *path) {
        AUTO_CLOSE int opened = -1;
        int fd = open_secret(p, path, &opened);
        char *line;

        if (fd < 0)
                return NULL;
        line = read_line(fd);
        if (line && line[0])
                return line;
        (void)fprintf(stderr, "%s: %s: no usable first line (empty, or over %d bytes)\n", p->name,
                      path, SECRET_MAX);
        return str_wipe_free(line);
}

void duration_format(char *text, size_t size, long sec) {
        if (sec < 60)
                (void)snprintf(text, size, "%lds", sec);
        else if (sec < 3600)
                (void)snprintf(text, size, "%ldm %02lds", sec / 60, sec % 60);
        else if (sec < 86400)
                (void)snprintf(text, size, "%ldh %02ldm", sec / 3600, sec / 60 % 60);
        else
                (void)snprintf(text, size, "%ldd %02ldh", sec / 86400, sec / 3600 % 24);
}

/* Does the store open without a passphrase (or is it open)? Then none is asked for. */
static bool needs_passphrase(const char *status) {
        AUTO_JSON json_t *value = NULL;
        const json_t *store;
        const json_t *slot;
        size_t i;

        if (json_parse(status, strlen(status), 16, &value, NULL) < 0)
                return true;
        store = json_object_get(value, "store");
        json_array_foreach(json_object_get(store, "slots"), i, slot) {
                if (streq_null(json_get_string(slot, "type"), "file"))
                        return false;
        }
        return json_get_bool(value, "locked", true);
}

static bool store_exists(const char *status) {
        AUTO_JSON json_t *value = NULL;

        return json_parse(status, strlen(status), 16, &value, NULL) == 0 &&
               json_get_bool(json_object_get(value, "store"), "exists", true);
}

static char *ask_passphrase(const struct program *p, const char *file, bool exists) {
        char *passphrase = file ? read_secret_file(p, file)
                                : read_passphrase(p, exists ? "Passphrase" : "New passphrase");
        AUTO_WIPE_STR char *again = NULL;

        if (file || exists || !passphrase)
                return passphrase;
        again = read_passphrase(p, "Once more");
        if (again && streq(again, passphrase))
                return passphrase;
        (void)fprintf(stderr, "%s: the two are not the same\n", p->name);
        return str_wipe_free(passphrase);
}

static int unlock(const struct program *p, mcpb_client *c, const char *file, mcpb_error *err,
                  bool *ret_said) {
        AUTO_WIPE_STR char *passphrase = NULL;
        char *status = NULL;
        int r = mcpb_broker_status(c, &status, err);

        if (r == 0 && needs_passphrase(status)) {
                passphrase = ask_passphrase(p, file, store_exists(status));
                *ret_said = !passphrase;
                r = passphrase ? 0 : -EINVAL;
        }
        (void)mcpb_text_free(status);
        return r < 0 ? r : mcpb_broker_unlock(c, passphrase, err);
}

int program_lock(const struct program *p, bool lock, const char *passphrase_file) {
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;
        bool said = false;
        int r = program_connect(p, &c, &err);

        if (r == 0)
                r = lock ? mcpb_broker_lock(c, &err) : unlock(p, c, passphrase_file, &err, &said);
        (void)mcpb_client_free(c);
        if (r < 0)
                return said ? EXIT_USAGE : program_fail(p, &err);
        return 0;
}
