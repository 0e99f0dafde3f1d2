/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-add: makes the broker know an MCP server, and logs in. See mcp-add(1).
 */
#include "base/limits.h"
#include "cli/loginwait.h"
#include "os/process.h"
#include "program/program.h"

static const char help_text[] =
        "Usage: mcp-add [OPTION]... URL\n"
        "       mcp-add -d NAME | -D | --logout=NAME | -x | -X\n"
        "\n"
        "Adds an MCP server and logs in to it, or logs in again to one that is known.\n"
        "\n"
        "      --name=N              what to call it (default: from its host name)\n"
        "      --account=A           one of several logins at the same URL\n"
        "      --scope=S             ask for this scope (may be repeated; default: what the server "
        "asks for)\n"
        "      --client-id=ID        a client that was registered by hand; needs --issuer\n"
        "      --client-secret-file=F  its secret, on the first line of F (- for standard input)\n"
        "      --client-key-file=F   its private key, in place of a secret (- for standard input)\n"
        "      --client-key-id=K     what the authorization server calls that key\n"
        "      --signing-alg=A       ES256, ES384, RS256, PS256, EdDSA, Ed25519\n"
        "                            (default: by the key)\n"
        "      --issuer=I            the authorization server that must be used\n"
        "      --client-metadata-url=U  our client ID metadata document\n"
        "      --no-resource         do not name the server (resource) to an authorization server "
        "that chokes on it\n"
        "      --device              log in with a code, in a browser on any machine\n"
        "      --no-login            add only\n"
        "Without a person:\n"
        "      --identity=P          the provider of the identity to be shown, and its options\n"
        "      --present=W           how: client-credentials, private-key-jwt, client-assertion, "
        "jwt-spiffe,\n"
        "                            jwt-bearer, token-exchange, id-jag, mtls, auto, browser\n"
        "      --audience=A          for whom it is: issuer, token-endpoint or literal:TEXT\n"
        "      --profile=P           of an authorization server that wants the same in other "
        "words: "
        "anthropic,\n"
        "                            openai, openrouter, google-sts, hydra, entra\n"
        "      --extra=NAME=VALUE    what it wants besides (may be repeated)\n"
        "      --idp-token-endpoint=U  with --present=id-jag: of the identity provider\n"
        "      --idp-client-id=ID    and as what client we are known there\n"
        "\n"
        "      --browser=CMD         the browser to start (default: $BROWSER, then xdg-open)\n"
        "      --no-browser          print the address only\n"
        "  -q, --quiet               print the address and errors only\n"
        "  -d, --delete=NAME         forget this server, and revoke its tokens\n"
        "  -D, --delete-all          forget all servers\n"
        "      --logout=NAME         keep this server, but forget its login, and revoke its "
        "tokens\n"
        "  -x, --lock                lock the broker\n"
        "  -X, --unlock              unlock it\n"
        "      --json                print what was done as JSON\n" COMMON_HELP "\n"
        "Exit status: 0 done, 2 bad usage, 3 no daemon, 4 login failed, 5 denied, 6 network, 7 the "
        "server or its\n"
        "issuer misbehaved, 8 locked, 9 not found or exists, 10 storage, 11 busy or timed out, 130 "
        "cancelled, 1 other.\n";

enum {
        OPTION_NAME = OPTION_OWN,
        OPTION_ACCOUNT,
        OPTION_SCOPE,
        OPTION_CLIENT_ID,
        OPTION_SECRET_FILE,
        OPTION_KEY_FILE,
        OPTION_KEY_ID,
        OPTION_SIGNING_ALG,
        OPTION_IDENTITY,
        OPTION_PRESENT,
        OPTION_AUDIENCE,
        OPTION_PROFILE,
        OPTION_EXTRA,
        OPTION_IDP_TOKEN_ENDPOINT,
        OPTION_IDP_CLIENT_ID,
        OPTION_ISSUER,
        OPTION_METADATA_URL,
        OPTION_NO_RESOURCE,
        OPTION_DEVICE,
        OPTION_NO_LOGIN,
        OPTION_BROWSER,
        OPTION_NO_BROWSER,
        OPTION_LOGOUT,
        OPTION_JSON,
};

struct arguments {
        mcpb_server_request request;
        char *scopes;
        const char *secret_file;
        const char *key_file;
        const char *extra[LIMIT_EXTRA];
        const char *remove;
        const char *logout;
        bool remove_all;
        bool lock;
        bool unlock;
        bool json;
        struct login_ui ui;
};

static int add_extra(const struct program *p, struct arguments *a, const char *text) {
        if (a->request.n_extra == ARRAY_SIZE(a->extra))
                return program_usage(p, "--extra can be given %zu times", ARRAY_SIZE(a->extra));
        if (*text == '=' || !strchr(text, '='))
                return program_usage(p, "--extra takes NAME=VALUE, not '%s'", text);
        a->extra[a->request.n_extra++] = text;
        a->request.extra = a->extra;
        return -1;
}

static int set_option(struct program *p, struct arguments *a, int c) {
        const struct {
                int option;
                const char **member;
        } texts[] = {
                { OPTION_NAME, &a->request.name },
                { OPTION_ACCOUNT, &a->request.account },
                { OPTION_CLIENT_ID, &a->request.client_id },
                { OPTION_SECRET_FILE, &a->secret_file },
                { OPTION_KEY_FILE, &a->key_file },
                { OPTION_KEY_ID, &a->request.client_key_id },
                { OPTION_SIGNING_ALG, &a->request.signing_alg },
                { OPTION_IDENTITY, &a->request.identity },
                { OPTION_PRESENT, &a->request.present },
                { OPTION_AUDIENCE, &a->request.audience },
                { OPTION_PROFILE, &a->request.profile },
                { OPTION_IDP_TOKEN_ENDPOINT, &a->request.idp_token_endpoint },
                { OPTION_IDP_CLIENT_ID, &a->request.idp_client_id },
                { OPTION_ISSUER, &a->request.issuer },
                { OPTION_METADATA_URL, &a->request.client_metadata_url },
                { OPTION_BROWSER, &a->ui.browser },
                { OPTION_LOGOUT, &a->logout },
                { 'd', &a->remove },
        };
        const struct {
                int option;
                bool *member;
        } flags[] = {
                { OPTION_NO_BROWSER, &a->ui.no_browser },
                { OPTION_JSON, &a->json },
                { 'q', &a->ui.quiet },
                { 'D', &a->remove_all },
                { 'x', &a->lock },
                { 'X', &a->unlock },
        };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                if (texts[i].option != c)
                        continue;
                *texts[i].member = optarg;
                return -1;
        }
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
                if (flags[i].option != c)
                        continue;
                *flags[i].member = true;
                return -1;
        }
        if (c == OPTION_SCOPE) {
                a->scopes = scopes_join(a->scopes, optarg);
                return a->scopes ? -1 : 1;
        }
        if (c == OPTION_EXTRA)
                return add_extra(p, a, optarg);
        if (c == OPTION_NO_RESOURCE) {
                a->request.no_resource = 1;
                return -1;
        }
        if (c == OPTION_DEVICE) {
                a->request.flow = "device";
                return -1;
        }
        if (c == OPTION_NO_LOGIN) {
                a->request.login = 0;
                return -1;
        }
        return program_option(p, c, optarg);
}

static int check_arguments(struct program *p, struct arguments *a, int argc, char **argv) {
        int modes = (a->remove != NULL) + (a->logout != NULL) + a->remove_all + a->lock + a->unlock;

        if (a->secret_file && a->key_file)
                return program_usage(p, "choose one of --client-secret-file and --client-key-file");
        if (modes > 1)
                return program_usage(p, "choose one of -d, -D, --logout, -x and -X");
        if (modes == 1)
                return optind < argc ? program_usage(p, "'%s' is too much here", argv[optind]) : -1;
        if (optind + 1 != argc)
                return program_usage(p, "give the URL of one server");
        a->request.url = argv[optind];
        a->request.scopes = a->scopes;
        if (!strstr(a->request.url, "://"))
                return program_usage(p,
                                     "'%s' is no URL; give one such as https://mcp.example.com/mcp",
                                     a->request.url);
        return -1;
}

static int parse_arguments(struct program *p, struct arguments *a, int argc, char **argv) {
        static const struct option table[] = {
                COMMON_OPTIONS,
                { "name", required_argument, NULL, OPTION_NAME },
                { "account", required_argument, NULL, OPTION_ACCOUNT },
                { "scope", required_argument, NULL, OPTION_SCOPE },
                { "client-id", required_argument, NULL, OPTION_CLIENT_ID },
                { "client-secret-file", required_argument, NULL, OPTION_SECRET_FILE },
                { "client-key-file", required_argument, NULL, OPTION_KEY_FILE },
                { "client-key-id", required_argument, NULL, OPTION_KEY_ID },
                { "signing-alg", required_argument, NULL, OPTION_SIGNING_ALG },
                { "identity", required_argument, NULL, OPTION_IDENTITY },
                { "present", required_argument, NULL, OPTION_PRESENT },
                { "audience", required_argument, NULL, OPTION_AUDIENCE },
                { "profile", required_argument, NULL, OPTION_PROFILE },
                { "extra", required_argument, NULL, OPTION_EXTRA },
                { "idp-token-endpoint", required_argument, NULL, OPTION_IDP_TOKEN_ENDPOINT },
                { "idp-client-id", required_argument, NULL, OPTION_IDP_CLIENT_ID },
                { "issuer", required_argument, NULL, OPTION_ISSUER },
                { "client-metadata-url", required_argument, NULL, OPTION_METADATA_URL },
                { "no-resource", no_argument, NULL, OPTION_NO_RESOURCE },
                { "device", no_argument, NULL, OPTION_DEVICE },
                { "no-login", no_argument, NULL, OPTION_NO_LOGIN },
                { "browser", required_argument, NULL, OPTION_BROWSER },
                { "no-browser", no_argument, NULL, OPTION_NO_BROWSER },
                { "logout", required_argument, NULL, OPTION_LOGOUT },
                { "json", no_argument, NULL, OPTION_JSON },
                { "quiet", no_argument, NULL, 'q' },
                { "delete", required_argument, NULL, 'd' },
                { "delete-all", no_argument, NULL, 'D' },
                { "lock", no_argument, NULL, 'x' },
                { "unlock", no_argument, NULL, 'X' },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "d:DxXqhV", table, NULL)) >= 0) {
                int r = set_option(p, a, c);

                if (r >= 0)
                        return r;
        }
        return check_arguments(p, a, argc, argv);
}

/* By the name that the other programs take. */
static void say_added(const struct arguments *a, const char *server) {
        AUTO_JSON json_t *value = NULL;
        const char *name;

        if (!server || json_parse(server, strlen(server), 16, &value, NULL) < 0)
                return;
        name = json_get_string(value, "name");
        (void)fprintf(stderr,
                      a->request.login ? "Added; it asks for no login: %s\n" : "Added: %s\n",
                      name ? name : a->request.url);
}

/* Of the client: its secret or its key. 0, or the exit status. */
static int read_credential(const struct program *p, struct arguments *a, char **ret) {
        if (a->secret_file)
                a->request.client_secret = *ret = read_secret_file(p, a->secret_file);
        else if (a->key_file)
                a->request.client_key = *ret = read_key_file(p, a->key_file);
        else
                return 0;
        return *ret ? 0 : EXIT_USAGE;
}

static int add(const struct program *p, struct arguments *a) {
        AUTO_WIPE_STR char *credential = NULL;
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;
        mcpb_login *login = NULL;
        char *server = NULL;
        int status = read_credential(p, a, &credential);
        int r;

        if (status != 0)
                return status;
        r = program_connect(p, &c, &err);
        if (r == 0)
                r = mcpb_server_add(c, &a->request, &server, &login, &err);
        (void)mcpb_client_free(c);
        if (r < 0)
                return program_fail(p, &err);
        if (a->json)
                (void)printf("%s\n", server ? server : "{}");
        if (login)
                status = login_see_through(&a->ui, login);
        else if (!a->ui.quiet && !a->json)
                say_added(a, server);
        (void)mcpb_text_free(server);
        (void)mcpb_login_free(login);
        return status;
}

static void print_removed(const char *text, bool quiet) {
        AUTO_JSON json_t *result = NULL;
        const char *warning;
        json_t *name;
        size_t i;

        if (quiet || json_parse(text, strlen(text), 8, &result, NULL) < 0)
                return;
        json_array_foreach(json_object_get(result, "removed"), i, name)
                (void)fprintf(stderr, "Removed: %s\n",
                              json_string_value(name) ? json_string_value(name) : "?");
        json_array_foreach(json_object_get(result, "logged_out"), i, name)
                (void)fprintf(stderr, "Logged out: %s\n",
                              json_string_value(name) ? json_string_value(name) : "?");
        warning = json_get_string(result, "warning");
        if (warning)
                (void)fprintf(stderr, "Not revoked: %s\n", warning);
}

static int logout(mcpb_client *c, const char *server, char **ret, mcpb_error *err) {
        AUTO_JSON json_t *params = json_pack("{s:s, s:b}", "server", server, "login_only", 1);
        AUTO_FREE char *text = params ? json_dumps(params, JSON_COMPACT) : NULL;

        /* The library says what is wrong with the parameters, and NULL are none. */
        return mcpb_call(c, "server.remove", text ? text : "", ret, err);
}

static int remove_servers(const struct program *p, const struct arguments *a) {
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;
        char *text = NULL;
        int r = program_connect(p, &c, &err);

        if (r == 0)
                r = a->logout       ? logout(c, a->logout, &text, &err)
                    : a->remove_all ? mcpb_server_remove_all(c, &text, &err)
                                    : mcpb_server_remove(c, a->remove, &text, &err);
        (void)mcpb_client_free(c);
        if (r < 0)
                return program_fail(p, &err);
        if (a->json)
                (void)printf("%s\n", text);
        else
                print_removed(text, a->ui.quiet);
        (void)mcpb_text_free(text);
        return 0;
}

int main(int argc, char **argv) {
        struct program p;
        struct arguments a = { .request = MCPB_SERVER_REQUEST_INIT };
        int status;

        if (process_prepare(NULL) < 0)
                return 1;
        program_init(&p, "mcp-add", help_text);
        a.request.login = 1;
        a.ui = (struct login_ui){ .program = &p };
        status = parse_arguments(&p, &a, argc, argv);
        if (status < 0) {
                if (a.remove || a.remove_all || a.logout)
                        status = remove_servers(&p, &a);
                else if (a.lock || a.unlock)
                        status = program_lock(&p, a.lock, NULL);
                else
                        status = add(&p, &a);
        }
        free(a.scopes);
        return status;
}
