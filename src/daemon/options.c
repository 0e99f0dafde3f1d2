/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/options.h"

#include <getopt.h>
#include <stdio.h>

static const char help_text[] =
        "Usage: mcp-brokerd [OPTION]... [-- COMMAND [ARG]...]\n"
        "\n"
        "Keeps the logins of MCP servers and hands short-lived tokens to the programs of this "
        "user.\n"
        "Without -f it goes into the background and prints the variable to be evaluated by a "
        "shell, as\n"
        "ssh-agent does; with COMMAND it runs that under itself and ends with its status.\n"
        "\n"
        "  -f, --foreground         stay in the foreground\n"
        "  -a, --socket=PATH        listen there instead of the usual place\n"
        "  -s, -c                   print for sh, or for csh (default: by $SHELL)\n"
        "      --state-dir=DIR      keep the state there (default: $XDG_STATE_HOME/mcp-broker)\n"
        "      --key-slot=TYPE      how a new store is opened: file (default) or passphrase\n"
        "      --config-dir=DIR     the user's configuration (default: "
        "$XDG_CONFIG_HOME/mcp-broker)\n"
        "      --vendor-dir=DIR     the vendor's configuration and policy\n"
        "      --libexec-dir=DIR    where mcp-broker-net, -session, -kdf and -identity are\n"
        "  -h, --help               this text\n"
        "  -V, --version            the version\n"
        "\n"
        "Signals: TERM and INT stop it when what is under way is done; HUP reads the configuration "
        "again.\n"
        "See mcp-brokerd(8), mcp-add(1), mcp-list(1), mcp-token(1).\n";

static int set_option(struct options *o, int c) {
        switch (c) {
        case 'f':
                o->foreground = true;
                return -1;
        case 'a':
                o->socket = optarg;
                return -1;
        case 's':
                o->shell = SHELL_SH;
                return -1;
        case 'c':
                o->shell = SHELL_CSH;
                return -1;
        case 1000:
                o->state_dir = optarg;
                return -1;
        case 1001:
                o->passphrase = streq(optarg, "passphrase");
                if (o->passphrase || streq(optarg, "file"))
                        return -1;
                (void)fprintf(stderr, "mcp-brokerd: --key-slot takes file or passphrase\n");
                return 2;
        case 1002:
                o->config_dir = optarg;
                return -1;
        case 1003:
                o->vendor_dir = optarg;
                return -1;
        case 1004:
                o->libexec_dir = optarg;
                return -1;
        case 'h':
                (void)fputs(help_text, stdout);
                return 0;
        case 'V':
                (void)printf("mcp-brokerd %s\n", PACKAGE_VERSION);
                return 0;
        default:
                (void)fprintf(stderr, "Try 'mcp-brokerd --help'.\n");
                return 2;
        }
}

int options_parse(struct options *o, int argc, char **argv) {
        static const struct option table[] = {
                { "foreground", no_argument, NULL, 'f' },
                { "socket", required_argument, NULL, 'a' },
                { "state-dir", required_argument, NULL, 1000 },
                { "key-slot", required_argument, NULL, 1001 },
                { "config-dir", required_argument, NULL, 1002 },
                { "vendor-dir", required_argument, NULL, 1003 },
                { "libexec-dir", required_argument, NULL, 1004 },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { 0 },
        };
        int c;

        *o = (struct options){ .libexec_dir = MCPB_LIBEXECDIR, .vendor_dir = MCPB_VENDORDIR };
        while ((c = getopt_long(argc, argv, "+fa:schV", table, NULL)) >= 0) {
                int r = set_option(o, c);

                if (r >= 0)
                        return r;
        }
        if (optind < argc)
                o->command = argv + optind;
        if ((o->socket && o->socket[0] != '/') || (o->state_dir && o->state_dir[0] != '/')) {
                (void)fprintf(stderr,
                              "mcp-brokerd: --socket and --state-dir take absolute paths\n");
                return 2;
        }
        return -1;
}
