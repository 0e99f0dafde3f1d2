/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line.
 */
#include "options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "faults.h"

#ifndef DEMO_VERSION
#define DEMO_VERSION "(not installed)"
#endif

enum {
        OPT_FIRST = 256,
        OPT_ACCESS_TTL,
        OPT_AS_PORT,
        OPT_ASSERTION_AUDIENCE,
        OPT_AUTO_CONSENT,
        OPT_AUTO_DENY,
        OPT_BODY_MAX,
        OPT_CIMD,
        OPT_CLIENT,
        OPT_CLIENT_KEY,
        OPT_CONTROL_PORT,
        OPT_DEVICE,
        OPT_DEVICE_INTERVAL,
        OPT_DIE_WITH_PARENT,
        OPT_DPOP,
        OPT_DPOP_NONCE,
        OPT_EVENT_IDS,
        OPT_FAULT,
        OPT_HELP,
        OPT_HTTP_SSE,
        OPT_IDP,
        OPT_IDP_PORT,
        OPT_ISSUER_PATH,
        OPT_LOG,
        OPT_METADATA,
        OPT_MORE,
        OPT_NO_EXPIRES_IN,
        OPT_NO_REFRESH_TOKEN,
        OPT_NO_ROTATE,
        OPT_OFFLINE_ACCESS,
        OPT_OPEN,
        OPT_PAR,
        OPT_PORT,
        OPT_PROTOCOL,
        OPT_REFUSE_RESOURCE,
        OPT_REQUIRE_SESSION,
        OPT_SECOND_RESOURCE,
        OPT_SHAPES,
        OPT_SSE,
        OPT_STREAM,
        OPT_STRICT,
        OPT_TOKEN_EXCHANGE,
        OPT_TOKEN_TYPE,
        OPT_VERSION,
        OPT_WORKLOAD_ALLOW,
        OPT_WORKLOAD_ISSUER,
};

static const struct option long_options[] = {
        { "access-ttl", required_argument, NULL, OPT_ACCESS_TTL },
        { "as-port", required_argument, NULL, OPT_AS_PORT },
        { "assertion-audience", required_argument, NULL, OPT_ASSERTION_AUDIENCE },
        { "auto-consent", no_argument, NULL, OPT_AUTO_CONSENT },
        { "auto-deny", no_argument, NULL, OPT_AUTO_DENY },
        { "body-max", required_argument, NULL, OPT_BODY_MAX },
        { "cimd", no_argument, NULL, OPT_CIMD },
        { "client", required_argument, NULL, OPT_CLIENT },
        { "client-key", required_argument, NULL, OPT_CLIENT_KEY },
        { "control-port", required_argument, NULL, OPT_CONTROL_PORT },
        { "device", no_argument, NULL, OPT_DEVICE },
        { "device-interval", required_argument, NULL, OPT_DEVICE_INTERVAL },
        { "die-with-parent", no_argument, NULL, OPT_DIE_WITH_PARENT },
        { "dpop", required_argument, NULL, OPT_DPOP },
        { "dpop-nonce", no_argument, NULL, OPT_DPOP_NONCE },
        { "event-ids", no_argument, NULL, OPT_EVENT_IDS },
        { "fault", required_argument, NULL, OPT_FAULT },
        { "help", no_argument, NULL, OPT_HELP },
        { "http-sse", no_argument, NULL, OPT_HTTP_SSE },
        { "idp", no_argument, NULL, OPT_IDP },
        { "idp-port", required_argument, NULL, OPT_IDP_PORT },
        { "issuer-path", required_argument, NULL, OPT_ISSUER_PATH },
        { "log", no_argument, NULL, OPT_LOG },
        { "metadata", required_argument, NULL, OPT_METADATA },
        { "more", no_argument, NULL, OPT_MORE },
        { "no-expires-in", no_argument, NULL, OPT_NO_EXPIRES_IN },
        { "no-refresh-token", no_argument, NULL, OPT_NO_REFRESH_TOKEN },
        { "no-rotate", no_argument, NULL, OPT_NO_ROTATE },
        { "offline-access", no_argument, NULL, OPT_OFFLINE_ACCESS },
        { "open", no_argument, NULL, OPT_OPEN },
        { "par", required_argument, NULL, OPT_PAR },
        { "port", required_argument, NULL, OPT_PORT },
        { "protocol", required_argument, NULL, OPT_PROTOCOL },
        { "refuse-resource", no_argument, NULL, OPT_REFUSE_RESOURCE },
        { "require-session", no_argument, NULL, OPT_REQUIRE_SESSION },
        { "second-resource", no_argument, NULL, OPT_SECOND_RESOURCE },
        { "shapes", required_argument, NULL, OPT_SHAPES },
        { "sse", no_argument, NULL, OPT_SSE },
        { "stream", no_argument, NULL, OPT_STREAM },
        { "strict", no_argument, NULL, OPT_STRICT },
        { "token-exchange", no_argument, NULL, OPT_TOKEN_EXCHANGE },
        { "token-type", required_argument, NULL, OPT_TOKEN_TYPE },
        { "version", no_argument, NULL, OPT_VERSION },
        { "workload-allow", required_argument, NULL, OPT_WORKLOAD_ALLOW },
        { "workload-issuer", required_argument, NULL, OPT_WORKLOAD_ISSUER },
        { 0 },
};

static const char help[] =
        "Usage: mcp-demo-server [OPTION...]\n"
        "An MCP server, its OAuth authorization server, and a control port, all on 127.0.0.1.\n"
        "When ready it prints one line of JSON: {\"mcp\":URL,\"issuer\":URL,\"control\":URL}\n"
        "(with --idp also \"idp\")\n"
        "\n"
        "Ports (0, the default, lets the system pick):\n"
        "  --port N  --as-port N  --control-port N  --idp-port N\n"
        "MCP server:\n"
        "  --second-resource      serve /mcp2 too, a resource of its own\n"
        "  --open                 ask for no authorization at all\n"
        "  --require-session      refuse requests without Mcp-Session-Id\n"
        "  --sse                  answer requests as a one-event stream\n"
        "  --protocol LIST        versions spoken, with commas: 2025-03-26, 2025-06-18, "
        "2025-11-25\n"
        "                         (these three if not given)\n"
        "  --stream               offer the standalone stream (GET)\n"
        "  --event-ids            number the events of streams; they can be resumed\n"
        "  --http-sse             the transport of 2024: a stream by GET, messages beside it\n"
        "  --strict               refuse what the specification says a client must not do\n"
        "  --body-max MIB         the longest body taken (1)\n"
        "  --shapes WHICH         today, article, article-resource\n"
        "Authorization server:\n"
        "  --issuer-path /PATH    put the issuer under a path\n"
        "  --metadata WHICH       oauth, oidc, oidc-appended, both\n"
        "  --client ID[:SECRET]   a client that is known beforehand (repeatable)\n"
        "  --client-key ID=FILE   one that signs its requests; FILE: its JWKS (repeatable)\n"
        "  --workload-issuer ISSUER=FILE   take its tokens of service accounts; FILE: its JWKS\n"
        "  --workload-allow NAMESPACE/ACCOUNT=SCOPES   what they may get; ACCOUNT * for all\n"
        "  --assertion-audience WHICH   issuer, token-endpoint, either\n"
        "  --cimd                 take https URLs as client ids, without fetching them\n"
        "  --dpop WHICH           off, offered, required;  --dpop-nonce  proofs need nonces\n"
        "  --par WHICH            off, offered, required: pushed authorization requests\n"
        "  --device               logins by device code;  --device-interval SEC (5)\n"
        "  --token-exchange       take tokens for others, also of one who acts for the subject\n"
        "  --idp                  an identity provider beside it, whose ID-JAGs are taken\n"
        "  --auto-consent         say yes for the person;  --auto-deny  say no\n"
        "  --access-ttl SEC       how long access tokens live (300)\n"
        "  --no-refresh-token  --no-rotate  --no-expires-in\n"
        "  --offline-access       refresh tokens only with the scope offline_access\n"
        "  --refuse-resource      as before RFC 8707: refuse resource, all tokens are for /mcp\n"
        "  --token-type TYPE      bearer, Bearer, mac\n"
        "Other:\n"
        "  --fault NAME[:STEP[@WHAT]][=ARG][!TIMES]   do something wrong (repeatable)\n"
        "  --log                  one line per request on stderr\n"
        "  --die-with-parent      end when the process that started this one does\n"
        "  --help  --version\n"
        "\n"
        "Steps: mcp prm asmeta register par device authorize consent token refresh\n"
        "       revoke idp other\n"
        "Faults:\n";

static bool choose(const char *name, const char *value, const char *const *names, unsigned *ret) {
        for (unsigned i = 0; names[i]; i++) {
                if (strcmp(names[i], value) == 0) {
                        *ret = i;
                        return true;
                }
        }
        fprintf(stderr, "mcp-demo-server: --%s cannot be '%s'\n", name, value);
        return false;
}

static bool number(const char *name, const char *value, uint64_t max, uint64_t *ret) {
        if (number_parse(value, max, ret))
                return true;
        fprintf(stderr, "mcp-demo-server: --%s needs a number up to %llu, not '%s'\n", name,
                (unsigned long long)max, value);
        return false;
}

static bool append(const char *name, const char *value, const char **list, unsigned *n) {
        if (*n == OPTIONS_LIST_MAX) {
                fprintf(stderr, "mcp-demo-server: too many --%s\n", name);
                return false;
        }
        list[(*n)++] = value;
        return true;
}

static bool port(const char *name, const char *value, uint16_t *ret) {
        uint64_t n = 0;

        if (!number(name, value, 65535, &n))
                return false;
        *ret = (uint16_t)n;
        return true;
}

static const char *const protocol_names[PROTOCOL_COUNT] = {
        [PROTOCOL_2025_03_26] = "2025-03-26",
        [PROTOCOL_2025_06_18] = "2025-06-18",
        [PROTOCOL_2025_11_25] = "2025-11-25",
        [PROTOCOL_2026_07_28] = "2026-07-28",
};

const char *protocol_name(enum protocol p) {
        return protocol_names[p];
}

bool protocol_parse(const char *name, enum protocol *ret) {
        for (unsigned i = 0; name && i < PROTOCOL_COUNT; i++) {
                if (strcmp(name, protocol_names[i]) == 0) {
                        *ret = (enum protocol)i;
                        return true;
                }
        }
        return false;
}

static bool protocols(const char *list, unsigned *ret) {
        bool good = true;

        *ret = 0;
        for (const char *p = list; good && *p;) {
                size_t n = strcspn(p, ",");
                char *name = mem_copy(p, n);
                enum protocol protocol;

                good = protocol_parse(name, &protocol);
                if (good)
                        *ret |= PROTOCOL_BIT(protocol);
                free(name);
                p += p[n] ? n + 1 : n;
        }
        if (good && *ret)
                return true;
        fprintf(stderr, "mcp-demo-server: --protocol cannot be '%s'\n", list);
        return false;
}

/* Options that can be given several times; their values have to look like NAME, or NAME=MORE. */
static bool with_list(struct options *o, int opt, const char *value, bool *ret) {
        size_t n = strcspn(value, "=");

        switch (opt) {
        case OPT_CLIENT:
                *ret = value[0] && value[0] != ':' &&
                       append("client", value, o->clients, &o->n_clients);
                if (!*ret)
                        fputs("mcp-demo-server: --client needs ID or ID:SECRET\n", stderr);
                return true;
        case OPT_CLIENT_KEY:
                *ret = n > 0 && value[n] &&
                       append("client-key", value, o->client_keys, &o->n_client_keys);
                if (!*ret)
                        fputs("mcp-demo-server: --client-key needs ID=FILE\n", stderr);
                return true;
        case OPT_WORKLOAD_ALLOW:
                *ret = n > 0 && value[n] && words_valid(value + n + 1) && strchr(value, '/') &&
                       append("workload-allow", value, o->workload_allow, &o->n_workload_allow);
                if (!*ret)
                        fputs("mcp-demo-server: --workload-allow needs NAMESPACE/ACCOUNT=SCOPES\n",
                              stderr);
                return true;
        case OPT_WORKLOAD_ISSUER:
                *ret = n > 0 && value[n] &&
                       append("workload-issuer", value, o->workload_issuers,
                              &o->n_workload_issuers);
                if (!*ret)
                        fputs("mcp-demo-server: --workload-issuer needs ISSUER=FILE\n", stderr);
                return true;
        case OPT_FAULT:
                *ret = append("fault", value, o->faults, &o->n_faults);
                return true;
        default:
                return false;
        }
}

static bool with_choice(struct options *o, int opt, const char *value, bool *ret) {
        static const char *const shapes[] = { "today", "article", "article-resource", NULL };
        static const char *const metadata[] = { "oauth", "oidc", "oidc-appended", "both", NULL };
        static const char *const audiences[] = { "issuer", "token-endpoint", "either", NULL };
        static const char *const uses[] = { "off", "offered", "required", NULL };
        unsigned i = 0;

        switch (opt) {
        case OPT_METADATA:
                *ret = choose("metadata", value, metadata, &i);
                o->metadata = (enum metadata)i;
                return true;
        case OPT_SHAPES:
                *ret = choose("shapes", value, shapes, &i);
                o->shapes = (enum shapes)i;
                return true;
        case OPT_DPOP:
                *ret = choose("dpop", value, uses, &i);
                o->dpop = (enum dpop)i;
                return true;
        case OPT_PAR:
                *ret = choose("par", value, uses, &i);
                o->par = (enum par)i;
                return true;
        case OPT_ASSERTION_AUDIENCE:
                *ret = choose("assertion-audience", value, audiences, &i);
                o->audience = (enum audience)i;
                return true;
        default:
                return false;
        }
}

static bool with_value(struct options *o, int opt, const char *value) {
        bool good = false;

        if (with_list(o, opt, value, &good) || with_choice(o, opt, value, &good))
                return good;
        switch (opt) {
        case OPT_PORT:
                return port("port", value, &o->port);
        case OPT_AS_PORT:
                return port("as-port", value, &o->as_port);
        case OPT_CONTROL_PORT:
                return port("control-port", value, &o->control_port);
        case OPT_IDP_PORT:
                return port("idp-port", value, &o->idp_port);
        case OPT_ACCESS_TTL:
                return number("access-ttl", value, 1000000000, &o->access_ttl_sec);
        case OPT_DEVICE_INTERVAL:
                return number("device-interval", value, 3600, &o->device_interval_sec);
        case OPT_BODY_MAX:
                return number("body-max", value, 1024, &o->body_max_mib);
        case OPT_PROTOCOL:
                return protocols(value, &o->protocols);
        case OPT_ISSUER_PATH:
                o->issuer_path = value;
                if (value[0] == '/' && value[1] && !strpbrk(value, "?# ") &&
                    value[strlen(value) - 1] != '/')
                        return true;
                fputs("mcp-demo-server: --issuer-path must look like /tenant1\n", stderr);
                return false;
        default: /* OPT_TOKEN_TYPE, the last with a value */
                o->token_type = value;
                return true;
        }
}

static bool *flag(struct options *o, int opt) {
        switch (opt) {
        case OPT_AUTO_CONSENT:
                return &o->auto_consent;
        case OPT_AUTO_DENY:
                return &o->auto_deny;
        case OPT_CIMD:
                return &o->cimd;
        case OPT_DEVICE:
                return &o->device;
        case OPT_DIE_WITH_PARENT:
                return &o->die_with_parent;
        case OPT_DPOP_NONCE:
                return &o->dpop_nonce;
        case OPT_EVENT_IDS:
                return &o->event_ids;
        case OPT_HTTP_SSE:
                return &o->http_sse;
        case OPT_IDP:
                return &o->idp;
        case OPT_LOG:
                return &o->log;
        case OPT_MORE:
                return &o->more;
        case OPT_NO_EXPIRES_IN:
                return &o->no_expires_in;
        case OPT_NO_REFRESH_TOKEN:
                return &o->no_refresh_token;
        case OPT_NO_ROTATE:
                return &o->no_rotate;
        case OPT_OFFLINE_ACCESS:
                return &o->offline_access;
        case OPT_OPEN:
                return &o->open;
        case OPT_REFUSE_RESOURCE:
                return &o->refuse_resource;
        case OPT_REQUIRE_SESSION:
                return &o->require_session;
        case OPT_SECOND_RESOURCE:
                return &o->second_resource;
        case OPT_SSE:
                return &o->sse;
        case OPT_STREAM:
                return &o->stream;
        case OPT_STRICT:
                return &o->strict;
        case OPT_TOKEN_EXCHANGE:
                return &o->token_exchange;
        default:
                return NULL;
        }
}

static void print_help(void) {
        fputs(help, stdout);
        for (const char *const *line = faults_usage(); *line; line++)
                printf("  %s\n", *line);
}

enum options_result options_parse(struct options *o, int argc, char **argv) {
        int opt;

        *o = (struct options){
                .issuer_path = "",
                .token_type = "Bearer",
                .access_ttl_sec = 300,
                .body_max_mib = 1,
                .device_interval_sec = 5,
                .protocols = PROTOCOL_BIT(PROTOCOL_2025_03_26) | PROTOCOL_BIT(PROTOCOL_2025_06_18) |
                             PROTOCOL_BIT(PROTOCOL_2025_11_25),
        };
        while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
                bool *f = flag(o, opt);

                if (opt == OPT_HELP) {
                        print_help();
                        return OPTIONS_DONE;
                }
                if (opt == OPT_VERSION) {
                        puts("mcp-demo-server " DEMO_VERSION);
                        return OPTIONS_DONE;
                }
                if (opt == '?' || (!f && !with_value(o, opt, optarg)))
                        return OPTIONS_USAGE;
                if (f)
                        *f = true;
        }
        if (optind < argc) {
                fprintf(stderr, "mcp-demo-server: unexpected argument '%s'\n", argv[optind]);
                return OPTIONS_USAGE;
        }
        if (o->auto_consent && o->auto_deny) {
                fputs("mcp-demo-server: --auto-consent and --auto-deny exclude each other\n",
                      stderr);
                return OPTIONS_USAGE;
        }
        return OPTIONS_RUN;
}
