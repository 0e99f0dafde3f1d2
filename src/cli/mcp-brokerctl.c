/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-brokerctl: looks at the daemon and steers it. See mcp-brokerctl(1).
 */
#include "os/process.h"
#include "program/program.h"

static const char help_text[] =
        "Usage: mcp-brokerctl [OPTION]... status|doctor|stop|reload|lock|unlock\n"
        "\n"
        "  status   how the daemon stands: processes and what confines them, store, audit, counts\n"
        "  doctor   which identities the surroundings of the daemon offer, and what they lack\n"
        "  stop     end it when what is under way is done\n"
        "  reload   read configuration and policy again (as SIGHUP does)\n"
        "  lock     forget all secrets until unlock\n"
        "  unlock   open the store again; makes it where there is none yet\n"
        "\n"
        "      --json                 status or doctor as JSON\n"
        "      --passphrase-file=F    the passphrase is the first line of F (- for standard "
        "input)\n" COMMON_HELP "\n"
        "Exit status: 0 done, 2 bad usage, 3 no daemon, 5 denied, 8 locked or wrong passphrase, 10 "
        "storage, 11 busy,\n"
        "1 other.\n";

enum { OPTION_JSON = OPTION_OWN, OPTION_PASSPHRASE_FILE };

struct arguments {
        bool json;
        const char *passphrase_file;
        const char *command;
};

static int parse_arguments(struct program *p, struct arguments *a, int argc, char **argv) {
        static const struct option table[] = {
                COMMON_OPTIONS,
                { "json", no_argument, NULL, OPTION_JSON },
                { "passphrase-file", required_argument, NULL, OPTION_PASSPHRASE_FILE },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "hV", table, NULL)) >= 0) {
                int r = -1;

                if (c == OPTION_JSON)
                        a->json = true;
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

static void print_sandbox(bool seccomp, long long landlock_abi) {
        static const char off[] = "OFF (the kernel does not offer it)";

        (void)printf(" seccomp %s, landlock ", seccomp ? "on" : off);
        if (landlock_abi > 0)
                (void)printf("ABI %lld", landlock_abi);
        else
                (void)printf("%s", off);
}

static void print_process(const json_t *item) {
        const json_t *sandbox = json_object_get(item, "sandbox");
        const json_t *missing = json_object_get(sandbox, "missing");
        const json_t *what;
        size_t i;

        (void)printf("  %-11s pid %-8lld",
                     json_get_string(item, "name") ? json_get_string(item, "name") : "?",
                     (long long)json_get_int(item, "pid", 0));
        if (sandbox)
                print_sandbox(json_get_bool(sandbox, "seccomp", false),
                              (long long)json_get_int(sandbox, "landlock_abi", 0));
        if (json_get_int(item, "restarts", 0) > 0)
                (void)printf(", started again %lld times",
                             (long long)json_get_int(item, "restarts", 0));
        if (json_get_bool(item, "replaced", false))
                (void)printf(", replaced: leaves when it has ended what it has");
        json_array_foreach(missing, i, what)
                (void)printf("%s%s", i == 0 ? ", not granted: " : " ",
                             json_string_value(what) ? json_string_value(what) : "?");
        (void)printf("\n");
}

static void print_store(const json_t *store) {
        const char *by = json_get_string(store, "opened_by");

        (void)printf("Store:     %s%s%s\n",
                     !json_get_bool(store, "exists", false)    ? "none yet"
                     : json_get_bool(store, "unlocked", false) ? "open"
                                                               : "locked",
                     by ? ", opened by slot " : "", by ? by : "");
        if (json_get_bool(store, "key_beside_store", false))
                (void)printf("           its key lies beside it in the clear: as safe as your home "
                             "folder, no safer\n");
        if (json_get_int(store, "damaged", 0) > 0)
                (void)printf("           %lld records are damaged: see the log\n",
                             (long long)json_get_int(store, "damaged", 0));
}

static int print_status(const char *text) {
        AUTO_JSON json_t *status = NULL;
        const json_t *counts;
        const json_t *audit;
        const json_t *item;
        char uptime[32];
        size_t i;

        if (json_parse(text, strlen(text), 16, &status, NULL) < 0)
                return 1;
        counts = json_object_get(status, "counts");
        audit = json_object_get(status, "audit");
        duration_format(uptime, sizeof(uptime), (long)json_get_int(status, "uptime", 0));
        (void)printf("mcp-brokerd %s, %s, up %s\n",
                     json_get_string(status, "version") ? json_get_string(status, "version") : "?",
                     json_get_bool(status, "locked", false) ? "LOCKED" : "serving", uptime);
        print_store(json_object_get(status, "store"));
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
        (void)printf("Processes:\n");
        json_array_foreach(json_object_get(status, "processes"), i, item)
                print_process(item);
        return 0;
}

/* --- doctor ---------------------------------------------------------------------------------- */

static const char *member(const json_t *item, const char *name) {
        const char *text = json_get_string(item, name);

        return text ? text : "?";
}

static void print_identity(const json_t *item) {
        const json_t *missing = json_object_get(item, "missing");
        const json_t *what;
        size_t i;

        (void)printf("  %-20s %s (%s)\n", member(item, "provider"), member(item, "platform"),
                     member(item, "because"));
        json_array_foreach(missing, i, what)
                (void)printf("%s%s", i == 0 ? "                       missing: " : ", ",
                             json_string_value(what) ? json_string_value(what) : "?");
        if (i > 0)
                (void)printf("\n                       %s\n", member(item, "remedy"));
}

static int print_doctor(const char *text, bool as_json) {
        AUTO_JSON json_t *status = NULL;
        AUTO_JSON json_t *shown = NULL;
        AUTO_BUF struct buf b = BUF_INIT;
        const json_t *item;
        json_t *list;
        size_t i;

        if (json_parse(text, strlen(text), 16, &status, NULL) < 0)
                return 1;
        list = json_object_get(status, "identities");
        if (as_json) {
                shown = json_pack("{s:i, s:O?}", "format", 1, "identities", list);
                if (!shown || json_write(&b, shown) < 0)
                        return 1;
                (void)printf("%s\n", b.data);
                return 0;
        }
        if (json_array_size(list) == 0) {
                (void)printf("Nothing here offers an identity; a command or a file can "
                             "(mcp-broker-identities(5)).\n");
                return 0;
        }
        (void)printf("Identities that are offered here; each is used where configuration names "
                     "it:\n");
        json_array_foreach(list, i, item)
                print_identity(item);
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
        if (streq(a->command, "doctor"))
                status = print_doctor(text, a->json);
        else if (a->json)
                (void)printf("%s\n", text);
        else
                status = print_status(text);
        (void)mcpb_text_free(text);
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
        if (streq(a.command, "status") || streq(a.command, "doctor"))
                return run_status(&p, &a);
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
