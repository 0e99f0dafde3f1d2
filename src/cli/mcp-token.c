/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-token: a token for a server, in the form that the caller needs. See mcp-token(1).
 */
#include "cli/loginwait.h"
#include "os/process.h"
#include "program/program.h"

static const char help_text[] =
        "Usage: mcp-token [OPTION]... NAME|URL\n"
        "\n"
        "Prints a short-lived access token for an MCP server that was added with mcp-add.\n"
        "\n"
        "      --account=A       of several logins at one URL, this one\n"
        "      --scope=S         only these scopes (may be repeated)\n"
        "      --min-ttl=SEC     it should live for at least so long\n"
        "      --on-behalf-of=NAME   for whom it is asked; the audit log says so\n"
        "      --header          a JSON object of headers, for clients that take headers from a "
        "command\n"
        "      --header-line     \"Authorization: Bearer ...\", for curl -H @-\n"
        "      --method=M        of the one request that is to be made: where the token is bound "
        "to a\n"
        "                        key, these two add the proof for it (DPoP)\n"
        "      --url=U           the same: where that request goes (default: the server)\n"
        "      --nonce=N         the same: what the server said last in DPoP-Nonce\n"
        "      --json            everything that is known of the token\n"
        "      --env             MCP_TOKEN='...' and MCP_SERVER='...', to be evaluated by a shell\n"
        "      --no-login        fail rather than start a login\n"
        "      --browser=CMD     the browser to start\n"
        "      --no-browser      print the address only\n" COMMON_HELP "\n"
        "Exit status: 0 a token was printed, 2 bad usage, 3 no daemon, 4 a login is needed, 5 "
        "denied, 6 network,\n"
        "7 the server or its issuer misbehaved, 8 locked, 9 not found, 10 storage or audit, 11 "
        "busy, 130 cancelled, 1 other.\n";

enum token_form { FORM_PLAIN, FORM_HEADER, FORM_HEADER_LINE, FORM_JSON, FORM_ENV };
enum {
        OPTION_ACCOUNT = OPTION_OWN,
        OPTION_SCOPE,
        OPTION_MIN_TTL,
        OPTION_ON_BEHALF_OF,
        OPTION_NO_LOGIN,
        OPTION_BROWSER,
        OPTION_NO_BROWSER,
        OPTION_METHOD,
        OPTION_URL,
        OPTION_NONCE,
        OPTION_FORM
};

/* What the clients of --header give us is 10 s: fail before they do. */
#define HEADER_TIMEOUT_MSEC 8000
/* They keep the header for the life of a connection. */
#define HEADER_MIN_TTL_SEC 300

struct arguments {
        enum token_form form;
        mcpb_token_request request;
        mcpb_proof_request proof;
        char *scopes;
        bool no_login;
        struct login_ui ui;
};

static int parse_number(const char *text, long *ret) {
        uint64_t n = 0;

        if (duration_parse(text, &n) < 0 || n > 365 * 86400)
                return -EINVAL;
        *ret = (long)n;
        return 0;
}

static int set_option(struct program *p, struct arguments *a, int c) {
        switch (c) {
        case OPTION_ACCOUNT:
                a->request.account = optarg;
                return -1;
        case OPTION_SCOPE:
                a->scopes = scopes_join(a->scopes, optarg);
                return a->scopes ? -1 : 1;
        case OPTION_MIN_TTL:
                return parse_number(optarg, &a->request.min_ttl) < 0
                               ? program_usage(p, "--min-ttl takes seconds, or 5m, 1h")
                               : -1;
        case OPTION_ON_BEHALF_OF:
                a->request.on_behalf_of = optarg;
                return -1;
        case OPTION_NO_LOGIN:
                a->no_login = true;
                return -1;
        case OPTION_BROWSER:
                a->ui.browser = optarg;
                return -1;
        case OPTION_NO_BROWSER:
                a->ui.no_browser = true;
                return -1;
        case OPTION_METHOD:
                a->proof.method = optarg;
                return -1;
        case OPTION_URL:
                a->proof.url = optarg;
                return -1;
        case OPTION_NONCE:
                a->proof.nonce = optarg;
                return -1;
        default:
                if (c < OPTION_FORM)
                        return program_option(p, c, optarg);
                if (a->form != FORM_PLAIN)
                        return program_usage(
                                p, "choose one of --header, --header-line, --json and --env");
                a->form = (enum token_form)(c - OPTION_FORM);
                return -1;
        }
}

static int parse_arguments(struct program *p, struct arguments *a, int argc, char **argv) {
        static const struct option table[] = {
                COMMON_OPTIONS,
                { "account", required_argument, NULL, OPTION_ACCOUNT },
                { "scope", required_argument, NULL, OPTION_SCOPE },
                { "min-ttl", required_argument, NULL, OPTION_MIN_TTL },
                { "on-behalf-of", required_argument, NULL, OPTION_ON_BEHALF_OF },
                { "no-login", no_argument, NULL, OPTION_NO_LOGIN },
                { "browser", required_argument, NULL, OPTION_BROWSER },
                { "no-browser", no_argument, NULL, OPTION_NO_BROWSER },
                { "method", required_argument, NULL, OPTION_METHOD },
                { "url", required_argument, NULL, OPTION_URL },
                { "nonce", required_argument, NULL, OPTION_NONCE },
                { "header", no_argument, NULL, OPTION_FORM + FORM_HEADER },
                { "header-line", no_argument, NULL, OPTION_FORM + FORM_HEADER_LINE },
                { "json", no_argument, NULL, OPTION_FORM + FORM_JSON },
                { "env", no_argument, NULL, OPTION_FORM + FORM_ENV },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "hV", table, NULL)) >= 0) {
                int r = set_option(p, a, c);

                if (r >= 0)
                        return r;
        }
        if (optind + 1 != argc)
                return program_usage(p, "give the name or URL of one server");
        if ((a->proof.url || a->proof.nonce) && !a->proof.method)
                return program_usage(p, "--url and --nonce go with --method");
        if (a->proof.method && a->form != FORM_HEADER && a->form != FORM_HEADER_LINE)
                return program_usage(p, "--method goes with --header or --header-line");
        a->request.server = argv[optind];
        a->request.scopes = a->scopes;
        if (a->form == FORM_HEADER) {
                a->no_login = true;
                a->request.helper = 1;
                p->options.timeout_msec = HEADER_TIMEOUT_MSEC;
                if (a->request.min_ttl == 0)
                        a->request.min_ttl = HEADER_MIN_TTL_SEC;
        }
        a->request.start_login = !a->no_login;
        return -1;
}

static int print_json(const mcpb_token *t, bool header, const char *proof) {
        AUTO_JSON json_t *value = NULL;
        AUTO_BUF struct buf text = BUF_INIT;
        AUTO_BUF struct buf authorization = BUF_INIT;
        int r = 0;

        if (t->no_challenge) {
                value = header ? json_object()
                               : json_pack("{s:i, s:b, s:s?}", "format", 1, "no_challenge", 1,
                                           "server", t->server);
        } else if (header) {
                r = buf_printf(&authorization, "%s %s", t->token_type, t->token);
                value = r == 0 ? json_pack("{s:s, s:s*}", "Authorization", authorization.data,
                                           "DPoP", proof)
                               : NULL;
        } else {
                value = json_pack("{s:i, s:s, s:s, s:s, s:s?, s:s?, s:s?}", "format", 1, "token",
                                  t->token, "token_type", t->token_type, "token_id", t->token_id,
                                  "server", t->server, "url", t->url, "scope", t->scopes);
                if (value && t->expires_in >= 0 &&
                    json_object_set_new(value, "expires_in", json_integer(t->expires_in)) < 0)
                        return 1;
        }
        if (r == 0)
                r = value ? json_write(&text, value) : -ENOMEM;
        if (r < 0 || printf("%s\n", text.data) < 0 || fflush(stdout) != 0)
                return 1;
        return 0;
}

static bool shell_safe(const char *text) {
        return !strpbrk(text, "'\n\\");
}

static int print_token(const struct program *p, const struct arguments *a, const mcpb_token *t,
                       const char *proof) {
        if (a->form == FORM_HEADER || a->form == FORM_JSON)
                return print_json(t, a->form == FORM_HEADER, proof);
        if (t->no_challenge) {
                (void)fprintf(stderr, "%s: %s asks for no authorization: send no token\n", p->name,
                              a->request.server);
                return 0;
        }
        if (a->form == FORM_HEADER_LINE)
                (void)printf("Authorization: %s %s\n%s%s%s", t->token_type, t->token,
                             proof ? "DPoP: " : "", proof ? proof : "", proof ? "\n" : "");
        else if (a->form == FORM_PLAIN)
                (void)printf("%s\n", t->token);
        else if (shell_safe(t->token) && shell_safe(t->url ? t->url : ""))
                (void)printf("MCP_TOKEN='%s'\nMCP_SERVER='%s'\nexport MCP_TOKEN MCP_SERVER\n",
                             t->token, t->url ? t->url : "");
        else
                return program_usage(p, "the token cannot be quoted for a shell; use --json");
        return fflush(stdout) == 0 ? 0 : 1;
}

/* -1: a login was seen through, ask again; else the exit status. */
static int deal_with_error(const struct program *p, const struct arguments *a, mcpb_error *err,
                           bool logged_in) {
        mcpb_login *login = NULL;
        int status;

        if (a->no_login || logged_in || !streq(err->code, "login_required") ||
            mcpb_login_from_error(err, &login) < 0)
                return program_fail(p, err);
        mcpb_error_done(err);
        status = login_see_through(&a->ui, login);
        (void)mcpb_login_free(login);
        return status == 0 ? -1 : status;
}

/* A URL that the daemon does not know could be anything: it tells a bridge to try without a token,
 * but who asked for one gets to know. */
static int check_known(mcpb_client *c, const char *server, mcpb_error *err) {
        char *text = NULL;
        int r = mcpb_server_show(c, server, &text, err);

        (void)mcpb_text_free(text);
        if (r < 0 && streq(err->code, "not_found"))
                return r;
        mcpb_error_done(err);
        return 0;
}

static bool is_bound(const mcpb_token *t) {
        return !t->no_challenge && streq(t->token_type, "DPoP");
}

/* A token that is bound to a key goes with a proof for one request, and with nothing else. */
static int prove(mcpb_client *c, const struct arguments *a, const mcpb_token *t, char **ret,
                 mcpb_error *err) {
        mcpb_proof_request q = a->proof;

        if (!is_bound(t) || !q.method)
                return 0;
        q.server = a->request.server;
        q.account = a->request.account;
        q.token_id = t->token_id;
        q.url = q.url ? q.url : t->url;
        return mcpb_token_prove(c, &q, ret, err);
}

static int print_or_refuse(const struct program *p, const struct arguments *a, const mcpb_token *t,
                           const char *proof) {
        bool as_header = a->form == FORM_HEADER || a->form == FORM_HEADER_LINE;

        if (is_bound(t) && as_header && !proof)
                return program_usage(p,
                                     "the token of %s is bound to a key, and each request needs a "
                                     "proof: add --method and --url, or use mcp-connect",
                                     a->request.server);
        return print_token(p, a, t, proof);
}

static int get_token(const struct program *p, const struct arguments *a, bool logged_in) {
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;
        mcpb_token *t = NULL;
        char *proof = NULL;
        int status;
        int r = program_connect(p, &c, &err);

        if (r == 0)
                r = mcpb_token_get(c, &a->request, &t, &err);
        if (r == 0 && t->no_challenge)
                r = check_known(c, a->request.server, &err);
        if (r == 0)
                r = prove(c, a, t, &proof, &err);
        (void)mcpb_client_free(c);
        status = r < 0 ? deal_with_error(p, a, &err, logged_in) : print_or_refuse(p, a, t, proof);
        (void)mcpb_token_free(t);
        (void)mcpb_text_free(proof);
        return status;
}

int main(int argc, char **argv) {
        struct program p;
        struct arguments a = { .request = MCPB_TOKEN_REQUEST_INIT,
                               .proof = MCPB_PROOF_REQUEST_INIT };
        int status;

        if (process_prepare(NULL) < 0)
                return 1;
        program_init(&p, "mcp-token", help_text);
        a.ui = (struct login_ui){ .program = &p };
        status = parse_arguments(&p, &a, argc, argv);
        if (status < 0)
                status = get_token(&p, &a, false);
        if (status < 0)
                status = get_token(&p, &a, true);
        free(a.scopes);
        return status < 0 ? 1 : status;
}
