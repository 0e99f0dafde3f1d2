/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-brokerctl: looks at the daemon and steers it. See mcp-brokerctl(1).
 */
#include "cli/doctor.h"
#include "cli/standing.h"
#include "os/process.h"
#include "program/program.h"

static const char help_text[] =
        "Usage: mcp-brokerctl [OPTION]... status|doctor|stop|reload|lock|unlock\n"
        "\n"
        "  status   how the daemon stands: processes and what confines them, store, audit, counts\n"
        "  doctor   which identities the surroundings of the daemon offer, what they lack, and "
        "how\n"
        "           servers stand that need no person\n"
        "  stop     end it when what is under way is done\n"
        "  reload   read configuration and policy again (as SIGHUP does)\n"
        "  lock     forget all secrets until unlock\n"
        "  unlock   open the store again; makes it where there is none yet\n"
        "\n"
        "      --json                 status or doctor as JSON\n"
        "      --probe                doctor: also try to reach the metadata service of a cloud\n"
        "      --passphrase-file=F    the passphrase is the first line of F (- for standard "
        "input)\n" COMMON_HELP "\n"
        "Exit status: 0 done, 2 bad usage, 3 no daemon, 5 denied, 8 locked or wrong passphrase, 10 "
        "storage, 11 busy,\n"
        "1 other.\n";

enum { OPTION_JSON = OPTION_OWN, OPTION_PROBE, OPTION_PASSPHRASE_FILE };

struct arguments {
        bool json;
        bool probe;
        const char *passphrase_file;
        const char *command;
};

static int parse_arguments(struct program *p, struct arguments *a, int argc, char **argv) {
        static const struct option table[] = {
                COMMON_OPTIONS,
                { "json", no_argument, NULL, OPTION_JSON },
                { "probe", no_argument, NULL, OPTION_PROBE },
                { "passphrase-file", required_argument, NULL, OPTION_PASSPHRASE_FILE },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "hV", table, NULL)) >= 0) {
                int r = -1;

                if (c == OPTION_JSON)
                        a->json = true;
                else if (c == OPTION_PROBE)
                        a->probe = true;
                else if (c == OPTION_PASSPHRASE_FILE)
                        a->passphrase_file = optarg;
                else
                        r = program_option(p, c, optarg);
                if (r >= 0)
                        return r;
        }
        if (optind + 1 != argc)
                return program_usage(
                        p, "give one command: status, doctor, stop, reload, lock or unlock");
        a->command = argv[optind];
        return -1;
}

/* --- status ---------------------------------------------------------------------------------- */

static int print_status(const char *text) {
        AUTO_JSON json_t *status = NULL;
        const json_t *counts;
        const json_t *audit;
        char uptime[32];

        if (json_parse(text, strlen(text), 16, &status, NULL) < 0)
                return 1;
        counts = json_object_get(status, "counts");
        audit = json_object_get(status, "audit");
        duration_format(uptime, sizeof(uptime), (long)json_get_int(status, "uptime", 0));
        (void)printf("mcp-brokerd %s, %s, up %s\n",
                     json_get_string(status, "version") ? json_get_string(status, "version") : "?",
                     json_get_bool(status, "locked", false) ? "LOCKED" : "serving", uptime);
        standing_print_store(json_object_get(status, "store"));
        (void)printf("Audit:     %s, next record %lld\n",
                     json_get_bool(audit, "available", false) ? "writing" : "NOT AVAILABLE",
                     (long long)json_get_int(audit, "next_seq", 0));
        (void)printf("Servers:   %lld, grants %lld, logins under way %lld, requests waiting %lld\n",
                     (long long)json_get_int(counts, "servers", 0),
                     (long long)json_get_int(counts, "grants", 0),
                     (long long)json_get_int(counts, "logins", 0),
                     (long long)json_get_int(counts, "waiting", 0));
        (void)printf("Tokens:    %lld handed out, %lld refused, %lld refreshes\n",
                     (long long)json_get_int(counts, "released", 0),
                     (long long)json_get_int(counts, "denied", 0),
                     (long long)json_get_int(counts, "refreshes", 0));
        standing_print_processes(json_object_get(status, "processes"));
        return 0;
}

static int run_status(const struct program *p, const struct arguments *a) {
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;
        char *text = NULL;
        int status = 0;
        int r = program_connect(p, &c, &err);

        if (r == 0)
                r = mcpb_broker_status(c, &text, &err);
        (void)mcpb_client_free(c);
        if (r < 0)
                return program_fail(p, &err);
        if (a->json)
                (void)printf("%s\n", text);
        else
                status = print_status(text);
        (void)mcpb_text_free(text);
        return status;
}

static int run_doctor(const struct program *p, const struct arguments *a) {
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;
        char *state = NULL;
        char *servers = NULL;
        int status;
        int r = program_connect(p, &c, &err);

        if (r == 0)
                r = mcpb_broker_status(c, &state, &err);
        if (r == 0 && !doctor_is_locked(state))
                r = mcpb_server_list(c, &servers, &err);
        (void)mcpb_client_free(c);
        status = r < 0 ? program_fail(p, &err) : doctor_print(state, servers, a->json, a->probe);
        (void)mcpb_text_free(servers);
        (void)mcpb_text_free(state);
        return status;
}

static int run_simple(const struct program *p, int (*fn)(mcpb_client *c, mcpb_error *err)) {
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;
        int r = program_connect(p, &c, &err);

        if (r == 0)
                r = fn(c, &err);
        (void)mcpb_client_free(c);
        return r < 0 ? program_fail(p, &err) : 0;
}

int main(int argc, char **argv) {
        struct program p;
        struct arguments a = { .command = "" };
        int status;

        if (process_prepare(NULL) < 0)
                return 1;
        program_init(&p, "mcp-brokerctl", help_text);
        status = parse_arguments(&p, &a, argc, argv);
        if (status >= 0)
                return status;
        if (streq(a.command, "status"))
                return run_status(&p, &a);
        if (streq(a.command, "doctor"))
                return run_doctor(&p, &a);
        if (streq(a.command, "lock"))
                return program_lock(&p, true, NULL);
        if (streq(a.command, "unlock"))
                return program_lock(&p, false, a.passphrase_file);
        /* Nobody starts a daemon in order to stop it. */
        p.options.no_autostart = 1;
        if (streq(a.command, "stop"))
                return run_simple(&p, mcpb_broker_stop);
        if (streq(a.command, "reload"))
                return run_simple(&p, mcpb_broker_reload);
        return program_usage(&p, "'%s' is no command: status, doctor, stop, reload, lock or unlock",
                             a.command);
}
