/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/options.h"

#include <ctype.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/url.h"
#include "os/io.h"

#define HEADER_FILE_BYTES ((size_t)64 * 1024)

const char options_help[] =
        "Usage: mcp-connect [OPTION]... NAME|URL\n"
        "\n"
        "Speaks MCP on standard input and output, and Streamable HTTP to the server, with tokens\n"
        "from the broker. This is the command to put into the configuration of an MCP client.\n"
        "\n"
        "      --account=A           of several logins at one URL, this one\n"
        "      --scope=S             only these scopes (may be repeated)\n"
        "      --hold=SEC            how long a request waits for a login (default: 60)\n"
        "      --browser=CMD         the browser to start\n"
        "      --no-browser          print the address of a login only\n"
        "      --header='N: V'       one more header field; ${NAME} in it is taken from the\n"
        "                            environment (may be repeated)\n"
        "      --header-file=FILE    the same, one a line\n"
        "      --ignore-tool=GLOB    leave these tools out (may be repeated)\n"
        "      --transport=T         auto, http-only, sse-only, http-first (as auto), sse-first\n"
        "      --protocol=P          at a server of both eras of MCP, for a client of the older:\n"
        "                            legacy-first (default), modern-first, auto (as modern-first)\n"
        "      --connect-timeout=SEC to be connected (default: 10)\n"
        "      --request-timeout=SEC for a whole request (default: as long as it takes)\n"
        "      --max-message=BYTES   of one message (default: 64M)\n"
        "      --proxy=URL           default: $HTTPS_PROXY, $ALL_PROXY, but for $NO_PROXY\n"
        "      --ca-file=FILE        more certificates to trust (default: $SSL_CERT_FILE,\n"
        "                            $NODE_EXTRA_CA_CERTS)\n"
        "      --no-report           do not report tool calls to the broker's audit trail\n"
        "      --log-file=FILE       write there too what goes to standard error\n"
        "      --debug               say more; never tokens, headers or contents\n"
        "      --print-config=CLIENT print what that client needs in its configuration, and exit;\n"
        "                            help: the list of clients\n"
        "      --write-config=CLIENT put it there, where all else stays; a backup is kept\n"
        "      --entry=NAME          what to call the server there (default: after the server)\n"
        "      --helper              for clients that connect themselves and take headers from a\n"
        "                            command: mcp-token --header\n" COMMON_HELP "\n"
        "Exit status: 0 the client has gone, or its configuration is written, 2 bad usage, 3 no\n"
        "daemon, 5 a file that may not be written, 7 not with this client, 9 no such server,\n"
        "11 the file has changed meanwhile, 12 a file that is not understood, 1 other.\n"
        "Failures of the server or the broker are answers to the client's requests, and lines on\n"
        "standard error.\n";

enum {
        OPTION_ACCOUNT = OPTION_OWN,
        OPTION_SCOPE,
        OPTION_HOLD,
        OPTION_BROWSER,
        OPTION_NO_BROWSER,
        OPTION_HEADER,
        OPTION_HEADER_FILE,
        OPTION_IGNORE_TOOL,
        OPTION_TRANSPORT,
        OPTION_PROTOCOL,
        OPTION_CONNECT_TIMEOUT,
        OPTION_REQUEST_TIMEOUT,
        OPTION_MAX_MESSAGE,
        OPTION_PROXY,
        OPTION_CA_FILE,
        OPTION_NO_REPORT,
        OPTION_LOG_FILE,
        OPTION_DEBUG,
        OPTION_PRINT_CONFIG,
        OPTION_WRITE_CONFIG,
        OPTION_ENTRY,
        OPTION_HELPER,
};

/* ---- header fields ---- */

static int expand_one(const struct program *p, struct buf *out, const char **text) {
        const char *end = strchr(*text, '}');
        AUTO_FREE char *name = end ? strndup(*text + 2, (size_t)(end - *text - 2)) : NULL;
        const char *value = name ? getenv(name) : NULL;

        if (!end)
                return program_usage(p, "a header field has \"${\" without \"}\"");
        if (!value)
                return program_usage(p, "a header field needs $%s, which is not set", name);
        *text = end + 1;
        return buf_append_str(out, value) < 0 ? 1 : -1;
}

/* ${NAME} and nothing else: so that a secret need not stand in the argument vector. */
static int expand(const struct program *p, struct buf *out, const char *text) {
        int status = -1;

        while (status < 0 && *text) {
                if (text[0] == '$' && text[1] == '{')
                        status = expand_one(p, out, &text);
                else if (buf_append(out, text++, 1) < 0)
                        status = 1;
        }
        return status;
}

static int add_header(const struct program *p, struct options *o, const char *text) {
        AUTO_BUF struct buf value = BUF_INIT;
        const char *colon = strchr(text, ':');
        struct fetch_header *h;
        int status;

        if (!colon || colon == text)
                return program_usage(p, "a header field is written \"Name: value\"");
        if (o->n_headers >= OPTIONS_MANY)
                return program_usage(p, "too many header fields");
        status = expand(p, &value, colon + 1 + strspn(colon + 1, " \t"));
        if (status >= 0)
                return status;
        h = &o->headers[o->n_headers];
        h->name = strndup(text, (size_t)(colon - text));
        h->value = value.data ? buf_steal(&value) : strdup("");
        o->n_headers++;
        return h->name && h->value ? -1 : 1;
}

static int read_header_file(const struct program *p, const char *path, struct buf *b) {
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct stat st;
        int r = fd < 0 ? -errno : io_read_full(fd, HEADER_FILE_BYTES, b);

        if (r < 0)
                return program_usage(p, "cannot read %s: %s", path, strerror(-r));
        if (fstat(fd, &st) == 0 && (st.st_mode & (S_IRGRP | S_IROTH)))
                (void)fprintf(stderr,
                              "%s: others may read %s; if there are secrets in it: chmod 600 %s\n",
                              p->name, path, path);
        return -1;
}

static int add_header_file(const struct program *p, struct options *o, const char *path) {
        AUTO_BUF struct buf b = BUF_INIT;
        int status = read_header_file(p, path, &b);
        char *rest = b.data;
        char *line;

        while (status < 0 && (line = strsep(&rest, "\n")) != NULL) {
                size_t n = strlen(line);

                if (n > 0 && line[n - 1] == '\r')
                        line[n - 1] = '\0';
                if (*line && *line != '#')
                        status = add_header(p, o, line);
        }
        return status;
}

/* ---- the table ---- */

static int set_seconds(const struct program *p, const char *name, uint64_t *to) {
        if (duration_parse(optarg, to) == 0 && *to <= 365 * 86400)
                return -1;
        return program_usage(p, "--%s takes seconds, or 5m, 1h", name);
}

static int set_bytes(const struct program *p, uint64_t *to) {
        size_t n = strlen(optarg);
        AUTO_FREE char *digits = strdup(optarg);
        unsigned shift = 0;

        if (!digits)
                return 1;
        if (n > 1 && strchr("kKmM", digits[n - 1])) {
                shift = tolower((unsigned char)digits[n - 1]) == 'k' ? 10 : 20;
                digits[n - 1] = '\0';
        }
        if (number_parse(digits, LIMIT_MESSAGE_BYTES_MAX >> shift, to) < 0 ||
            (*to << shift) < LIMIT_MESSAGE_BYTES_MIN)
                return program_usage(p, "--max-message takes bytes, 64K to 1024M");
        *to <<= shift;
        return -1;
}

static int set_transport(const struct program *p, struct options *o) {
        static const struct {
                const char *name;
                enum transport transport;
        } names[] = { { "auto", TRANSPORT_AUTO },
                      { "http-first", TRANSPORT_AUTO },
                      { "http-only", TRANSPORT_HTTP },
                      { "sse-only", TRANSPORT_SSE },
                      { "sse-first", TRANSPORT_SSE_FIRST } };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                if (!streq(optarg, names[i].name))
                        continue;
                o->transport = names[i].transport;
                return -1;
        }
        return program_usage(p,
                             "--transport is auto, http-only, sse-only, http-first or sse-first");
}

static int set_protocol(const struct program *p, struct options *o) {
        o->modern_first = streq(optarg, "modern-first") || streq(optarg, "auto");
        if (o->modern_first || streq(optarg, "legacy-first"))
                return -1;
        return program_usage(p, "--protocol is legacy-first, modern-first or auto");
}

static int add_word(const struct program *p, const char **list, size_t *n, const char *name) {
        if (*n >= OPTIONS_MANY)
                return program_usage(p, "--%s is given too often", name);
        list[(*n)++] = optarg;
        return -1;
}

static int set_text(struct options *o, int c) {
        const char **to = c == OPTION_ACCOUNT        ? &o->account
                          : c == OPTION_BROWSER      ? &o->browser
                          : c == OPTION_PROXY        ? &o->proxy
                          : c == OPTION_CA_FILE      ? &o->ca_file
                          : c == OPTION_PRINT_CONFIG ? &o->print_config
                          : c == OPTION_WRITE_CONFIG ? &o->write_config
                          : c == OPTION_ENTRY        ? &o->entry
                                                     : &o->log_file;

        *to = optarg;
        return -1;
}

static int set_flag(struct options *o, int c) {
        if (c == OPTION_NO_BROWSER)
                o->no_browser = true;
        else if (c == OPTION_DEBUG)
                o->debug = true;
        else if (c == OPTION_HELPER)
                o->helper = true;
        else
                o->report = false;
        return -1;
}

static int set_option(struct options *o, struct program *p, int c) {
        switch (c) {
        case OPTION_SCOPE:
                return add_word(p, o->scopes, &o->n_scopes, "scope");
        case OPTION_IGNORE_TOOL:
                return add_word(p, o->ignored_tools, &o->n_ignored_tools, "ignore-tool");
        case OPTION_HOLD:
                return set_seconds(p, "hold", &o->hold_sec);
        case OPTION_CONNECT_TIMEOUT:
                return set_seconds(p, "connect-timeout", &o->connect_sec);
        case OPTION_REQUEST_TIMEOUT:
                return set_seconds(p, "request-timeout", &o->request_sec);
        case OPTION_MAX_MESSAGE:
                return set_bytes(p, &o->message_max);
        case OPTION_HEADER:
                return add_header(p, o, optarg);
        case OPTION_HEADER_FILE:
                return add_header_file(p, o, optarg);
        case OPTION_TRANSPORT:
                return set_transport(p, o);
        case OPTION_PROTOCOL:
                return set_protocol(p, o);
        case OPTION_NO_BROWSER:
        case OPTION_DEBUG:
        case OPTION_NO_REPORT:
        case OPTION_HELPER:
                return set_flag(o, c);
        default:
                return c > OPTION_ACCOUNT - 1 ? set_text(o, c) : program_option(p, c, optarg);
        }
}

static const char *from_environment(const char *const *names) {
        for (; *names; names++) {
                const char *value = getenv(*names);

                if (value && *value)
                        return value;
        }
        return NULL;
}

static void take_environment(struct options *o) {
        static const char *const proxy[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                             NULL };
        static const char *const no_proxy[] = { "no_proxy", "NO_PROXY", NULL };
        static const char *const ca_file[] = { "SSL_CERT_FILE", "CURL_CA_BUNDLE",
                                               "NODE_EXTRA_CA_CERTS", NULL };

        if (!o->proxy)
                o->proxy = from_environment(proxy);
        o->no_proxy = from_environment(no_proxy);
        if (!o->ca_file)
                o->ca_file = from_environment(ca_file);
}

static bool has_authorization(const struct options *o) {
        for (size_t i = 0; i < o->n_headers; i++)
                if (strcasecmp(o->headers[i].name, "Authorization") == 0)
                        return true;
        return false;
}

static int check(struct options *o, const struct program *p) {
        struct error err = ERROR_INIT;

        if (o->print_config && o->write_config)
                return program_usage(p, "choose one of --print-config and --write-config");
        if ((o->helper || o->entry) && !o->print_config && !o->write_config)
                return program_usage(p, "--entry and --helper go with --print-config and "
                                        "--write-config");
        if (has_authorization(o) && !strstr(o->server, "://"))
                return program_usage(p, "with an Authorization field of your own, give the URL: "
                                        "the broker is not asked");
        if (strstr(o->server, "://") && url_check_allowed(o->server, "server URL", &err) < 0)
                return program_usage(p, "%s", err.message);
        for (size_t i = 0; i < o->n_scopes; i++) {
                o->joined_scopes = scopes_join(o->joined_scopes, o->scopes[i]);
                if (!o->joined_scopes)
                        return 1;
        }
        return -1;
}

int options_parse(struct options *o, struct program *p, int argc, char **argv) {
        static const struct option table[] = {
                COMMON_OPTIONS,
                { "account", required_argument, NULL, OPTION_ACCOUNT },
                { "scope", required_argument, NULL, OPTION_SCOPE },
                { "hold", required_argument, NULL, OPTION_HOLD },
                { "browser", required_argument, NULL, OPTION_BROWSER },
                { "no-browser", no_argument, NULL, OPTION_NO_BROWSER },
                { "header", required_argument, NULL, OPTION_HEADER },
                { "header-file", required_argument, NULL, OPTION_HEADER_FILE },
                { "ignore-tool", required_argument, NULL, OPTION_IGNORE_TOOL },
                { "transport", required_argument, NULL, OPTION_TRANSPORT },
                { "protocol", required_argument, NULL, OPTION_PROTOCOL },
                { "connect-timeout", required_argument, NULL, OPTION_CONNECT_TIMEOUT },
                { "request-timeout", required_argument, NULL, OPTION_REQUEST_TIMEOUT },
                { "max-message", required_argument, NULL, OPTION_MAX_MESSAGE },
                { "proxy", required_argument, NULL, OPTION_PROXY },
                { "ca-file", required_argument, NULL, OPTION_CA_FILE },
                { "no-report", no_argument, NULL, OPTION_NO_REPORT },
                { "log-file", required_argument, NULL, OPTION_LOG_FILE },
                { "debug", no_argument, NULL, OPTION_DEBUG },
                { "print-config", required_argument, NULL, OPTION_PRINT_CONFIG },
                { "write-config", required_argument, NULL, OPTION_WRITE_CONFIG },
                { "entry", required_argument, NULL, OPTION_ENTRY },
                { "helper", no_argument, NULL, OPTION_HELPER },
                { 0 },
        };
        int c;

        *o = (struct options){ .hold_sec = 60,
                               .connect_sec = 10,
                               .message_max = LIMIT_MESSAGE_BYTES,
                               .report = true };
        while ((c = getopt_long(argc, argv, "hV", table, NULL)) >= 0) {
                int status = set_option(o, p, c);

                if (status >= 0)
                        return status;
        }
        if (o->print_config && streq(o->print_config, "help") && optind == argc)
                return -1;
        if (optind + 1 != argc)
                return program_usage(p, "give the name or URL of one server");
        o->server = argv[optind];
        take_environment(o);
        return check(o, p);
}

void options_done(struct options *o) {
        for (size_t i = 0; i < o->n_headers; i++) {
                (void)str_wipe_free(o->headers[i].name);
                (void)str_wipe_free(o->headers[i].value);
        }
        free(o->joined_scopes);
}
