/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-broker-net: the one program with a network. Started by mcp-brokerd only, with its stream to
 * the keeper on descriptor 3; leaves when that ends.
 */
#include "config.h"

#include <getopt.h>
#include <stdio.h>

#include "base/log.h"
#include "loop/loop.h"
#include "net/worker.h"
#include "os/alloc.h"
#include "os/io.h"
#include "os/process.h"
#include "sandbox/sandbox.h"

#define KEEPER_FD 3

struct arguments {
        enum fetch_via via;
        struct http_options http;
};

static int usage(FILE *to, int status) {
        (void)fprintf(to, "mcp-broker-net --role=explore|deal [--ca-file=PEM] [--proxy=URL] "
                          "[--no-proxy=HOSTS]\n"
                          "Started by mcp-brokerd, not by hand.\n");
        return status;
}

/* Below zero: go on. Otherwise the exit status. */
static int parse_arguments(struct arguments *a, int argc, char **argv) {
        static const struct option options[] = {
                { "role", required_argument, NULL, 'r' },
                { "ca-file", required_argument, NULL, 'c' },
                { "proxy", required_argument, NULL, 'p' },
                { "no-proxy", required_argument, NULL, 'n' },
                { "version", no_argument, NULL, 'V' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        bool role = false;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
                switch (c) {
                case 'r':
                        role = streq(optarg, "explore") || streq(optarg, "deal");
                        a->via = streq(optarg, "deal") ? FETCH_DEAL : FETCH_EXPLORE;
                        break;
                case 'c':
                        a->http.ca_file = optarg;
                        break;
                case 'p':
                        a->http.proxy = optarg;
                        break;
                case 'n':
                        a->http.no_proxy = optarg;
                        break;
                case 'V':
                        (void)printf("mcp-broker-net %s\n", PACKAGE_VERSION);
                        return 0;
                case 'h':
                        return usage(stdout, 0);
                default:
                        return usage(stderr, 2);
                }
        }
        if (!role || optind < argc)
                return usage(stderr, 2);
        /* Everybody can read our arguments (S1). */
        if (a->http.proxy && strchr(a->http.proxy, '@')) {
                (void)fprintf(stderr, "mcp-broker-net: a proxy with a password is not supported\n");
                return 2;
        }
        return -1;
}

/* What must happen before anything else is allocated or opened. */
static int begin(struct error *err) {
        int r;

        json_use_wiping_allocator();
        /* Nothing in it is for us; the C library's resolver alone would take search domains and
         * host files from it. */
        r = clearenv() == 0 ? 0 : -ENOMEM;
        if (r == 0)
                r = process_ignore_signals();
        if (r == 0)
                r = http_init();
        if (r == 0)
                r = fd_set_nonblock(KEEPER_FD);
        if (r == 0)
                r = fd_set_cloexec(KEEPER_FD, true);
        return r < 0 ? error_fallback(err, r, "Starting the network worker") : 0;
}

static int close_in(struct worker *w, struct error *err) {
        struct sandbox_profile profile = sandbox_net();
        struct sandbox_report report = { 0 };
        int r = sandbox_enter(&profile, &report, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < report.n_missing; i++)
                log_warning("This kernel does not grant %s: the sandbox is weaker",
                            report.missing[i]);
        return error_fallback(err, worker_tell_sandbox(w, &report), "Telling the keeper");
}

static int serve(const struct arguments *a, struct error *err) {
        AUTO_LOOP sd_event *event = NULL;
        struct sockowner owner = SOCKOWNER_INIT;
        struct worker_options options = {
                .via = a->via, .fd = KEEPER_FD, .http = a->http, .owner = &owner
        };
        struct worker *w = NULL;
        int r = a->via == FETCH_DEAL ? sockowner_open(&owner, err) : 0;

        if (r == 0) {
                r = loop_new(&event);
                if (r < 0)
                        (void)error_fallback(err, r, "Making the event loop");
        }
        if (r == 0)
                r = worker_new(event, &options, &w, err);
        if (r == 0)
                r = close_in(w, err);
        if (r == 0) {
                r = sd_event_loop(event);
                if (r < 0)
                        (void)error_fallback(err, r, "Serving the keeper");
        }
        (void)worker_free(w);
        sockowner_close(&owner);
        return r;
}

int main(int argc, char **argv) {
        struct arguments arguments = { 0 };
        struct error err = ERROR_INIT;
        int r = process_harden(&err); /* first: until then others of our uid can look in */
        int status = parse_arguments(&arguments, argc, argv);

        if (status >= 0)
                return status;
        log_open(arguments.via == FETCH_DEAL ? "mcp-broker-net (deal)" : "mcp-broker-net (explore)",
                 LOG_INFO);
        if (r == 0)
                r = begin(&err);
        if (r == 0 && !alloc_is_wiping())
                log_debug("freed memory is not wiped in this build");
        if (r == 0)
                r = serve(&arguments, &err);
        if (r < 0) {
                log_failure(LOG_ERR, &err, "Leaving");
                return 1;
        }
        return 0;
}
