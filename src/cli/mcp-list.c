/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-list: which servers the broker knows, and how each stands. See mcp-list(1).
 */
#include "base/codec.h"
#include "cli/table.h"
#include "os/process.h"
#include "program/program.h"

static const char help_text[] =
        "Usage: mcp-list [OPTION]... [NAME|URL]\n"
        "\n"
        "Lists the MCP servers that were added or declared, with their issuer, scopes, state and "
        "the time that\n"
        "their token has left.\n"
        "\n"
        "      --json            as JSON, with everything that is known\n"
        "  -w, --wide            do not cut columns to the width of the terminal\n" COMMON_HELP "\n"
        "States: ready, login_required, login_pending (a browser is waited for), refreshing, open "
        "(needs no login),\n"
        "in_doubt (the answer to a refresh was lost; the next use tries again), unsaved (the disk "
        "is full), locked, error.\n"
        "\n"
        "Exit status: 0 done, 2 bad usage, 3 no daemon, 5 denied, 8 locked, 9 not found, 11 busy, "
        "1 "
        "other.\n";

enum { OPTION_JSON = OPTION_OWN };

struct arguments {
        bool json;
        bool wide;
        const char *server;
};

static int parse_arguments(struct program *p, struct arguments *a, int argc, char **argv) {
        static const struct option table[] = {
                COMMON_OPTIONS,
                { "json", no_argument, NULL, OPTION_JSON },
                { "wide", no_argument, NULL, 'w' },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "whV", table, NULL)) >= 0) {
                int r = -1;

                if (c == OPTION_JSON)
                        a->json = true;
                else if (c == 'w')
                        a->wide = true;
                else
                        r = program_option(p, c, optarg);
                if (r >= 0)
                        return r;
        }
        if (optind + 1 < argc)
                return program_usage(p, "name one server at most");
        a->server = argv[optind];
        return -1;
}

static const char *or_dash(const char *text) {
        return text && text[0] ? text : "-";
}

static int join_scopes(const json_t *server, struct buf *b) {
        const json_t *item;
        size_t i;
        int r = 0;

        json_array_foreach(json_object_get(server, "scopes"), i, item) {
                if (r == 0 && json_is_string(item))
                        r = buf_printf(b, "%s%s", b->len ? " " : "", json_string_value(item));
        }
        return r == 0 && b->len == 0 ? buf_append_str(b, "-") : r;
}

static int name_and_account(const json_t *server, struct buf *b) {
        const char *account = json_get_string(server, "account");
        int r = buf_append_str(b, or_dash(json_get_string(server, "name")));

        if (r == 0 && account && account[0])
                r = buf_printf(b, " (%s)", account);
        return r;
}

static int state_of(const json_t *server, struct buf *b) {
        int r = buf_append_str(b, or_dash(json_get_string(server, "state")));

        return r == 0 && json_get_string(server, "declared") ? buf_append_str(b, " (declared)") : r;
}

static int add_row(struct table *t, const json_t *server) {
        AUTO_BUF struct buf name = BUF_INIT;
        AUTO_BUF struct buf scopes = BUF_INIT;
        AUTO_BUF struct buf state = BUF_INIT;
        const json_t *last_error = json_object_get(server, "last_error");
        json_int_t left = json_get_int(server, "expires_in", -1);
        char time_left[32] = "-";
        int r = join_scopes(server, &scopes);

        if (r == 0)
                r = name_and_account(server, &name);
        if (r == 0)
                r = state_of(server, &state);
        if (r < 0)
                return r;
        if (left >= 0)
                duration_format(time_left, sizeof(time_left), (long)left);
        return table_add(t,
                         (const char *const[]){ name.data, or_dash(json_get_string(server, "url")),
                                                or_dash(json_get_string(server, "issuer")),
                                                scopes.data, state.data, time_left,
                                                or_dash(json_get_string(last_error, "message")) });
}

static int print_table(const json_t *servers, bool wide) {
        static const char *const headings[] = { "NAME",  "URL",  "ISSUER",    "SCOPES",
                                                "STATE", "LEFT", "LAST ERROR" };
        struct table *t = table_new(headings, ARRAY_SIZE(headings));
        const json_t *server;
        size_t i;
        int r = t ? 0 : -ENOMEM;

        json_array_foreach(servers, i, server) {
                if (r == 0)
                        r = add_row(t, server);
        }
        if (r == 0)
                table_print(t, stdout, wide ? 0 : table_width(stdout));
        (void)table_free(t);
        return r < 0 ? 1 : 0;
}

static int print_answer(const struct program *p, const struct arguments *a, const char *text) {
        AUTO_JSON json_t *answer = NULL;
        AUTO_JSON json_t *one = NULL;
        const json_t *servers;

        if (a->json) {
                (void)printf("%s\n", text);
                return fflush(stdout) == 0 ? 0 : 1;
        }
        if (json_parse(text, strlen(text), 16, &answer, NULL) < 0) {
                (void)fprintf(stderr, "%s: the daemon's answer cannot be read\n", p->name);
                return 1;
        }
        servers = json_is_array(answer) ? answer : json_object_get(answer, "servers");
        if (!servers) {
                json_t *server = json_object_get(answer, "server");

                one = json_pack("[O]", server ? server : answer);
                servers = one;
        }
        if (json_array_size(servers) == 0) {
                (void)fprintf(stderr, "No servers yet. Add one with: mcp-add URL\n");
                return 0;
        }
        return print_table(servers, a->wide);
}

int main(int argc, char **argv) {
        struct program p;
        struct arguments a = { 0 };
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;
        char *text = NULL;
        int status;
        int r;

        if (process_prepare(NULL) < 0)
                return 1;
        program_init(&p, "mcp-list", help_text);
        status = parse_arguments(&p, &a, argc, argv);
        if (status >= 0)
                return status;
        r = program_connect(&p, &c, &err);
        if (r == 0)
                r = a.server ? mcpb_server_show(c, a.server, &text, &err)
                             : mcpb_server_list(c, &text, &err);
        (void)mcpb_client_free(c);
        if (r < 0)
                return program_fail(&p, &err);
        status = print_answer(&p, &a, text);
        (void)mcpb_text_free(text);
        return status;
}
