/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-demo-server: an MCP server with its authorization server, honest or hostile as asked, for
 * trying things out and for tests. It binds to 127.0.0.1 only and contacts nobody.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "authorize.h"
#include "control.h"
#include "demo.h"
#include "device.h"
#include "exchange.h"
#include "jwt.h"
#include "par.h"
#include "signer.h"

#define EXIT_USAGE 2
#define TICKETS_MAX 10000U
#define SESSIONS_MAX 10000U
#define SERVICES_MAX 4U
#define SEEN_MAX 100000U

static void complain(const char *what, int error) {
        fprintf(stderr, "mcp-demo-server: %s: %s\n", what, strerrordesc_np(error));
}

/* --client-key ID=FILE. */
static bool configure_keys(struct demo *d) {
        for (unsigned i = 0; i < d->options.n_client_keys; i++) {
                const char *given = d->options.client_keys[i];
                char *id = mem_copy(given, strcspn(given, "="));
                const char *path = given + strlen(id) + 1;
                json_t *jwks = jwks_read(path);
                bool good = jwks != NULL;

                if (good)
                        (void)clients_add_key(d->idp.clients, id, json_incref(jwks));
                if (!good)
                        fprintf(stderr, "mcp-demo-server: no key set in %s\n", path);
                else if (!(good = clients_add_key(d->as.clients, id, jwks)))
                        fprintf(stderr, "mcp-demo-server: two clients with the id %s\n", id);
                free(id);
                if (!good)
                        return false;
        }
        return true;
}

/* What needs the command line to be right; false after a complaint. */
static bool configure(struct demo *d) {
        char *error = NULL;

        for (unsigned i = 0; i < d->options.n_clients; i++) {
                (void)clients_add_known(d->idp.clients, d->options.clients[i]);
                if (!clients_add_known(d->as.clients, d->options.clients[i])) {
                        fputs("mcp-demo-server: two --client with the same id\n", stderr);
                        return false;
                }
        }
        for (unsigned i = 0; i < d->options.n_clients; i++) {
                const char *secret = strchr(d->options.clients[i], ':');

                if (secret)
                        journal_secret(d->journal, SECRET_CLIENT_SECRET, secret + 1);
        }
        if (!configure_keys(d))
                return false;
        for (unsigned i = 0; i < d->options.n_faults; i++) {
                if (!faults_add(d->faults, d->options.faults[i], &error)) {
                        fprintf(stderr, "mcp-demo-server: %s\n", error);
                        free(error);
                        return false;
                }
        }
        return true;
}

static void session_free(void *value) {
        struct session *session = value;

        free(session->id);
        free(session->channel);
        free(session);
}

static void authority_init(struct authority *a) {
        a->tokens = tokens_new();
        a->clients = clients_new();
        a->tickets = table_new(TICKETS_MAX, true, authorize_ticket_free);
        a->devices = table_new(TICKETS_MAX, true, device_free);
        a->pushed = table_new(TICKETS_MAX, true, par_free);
        a->seen = table_new(SEEN_MAX, true, NULL);
        a->nonce = random_token("an_");
}

static void authority_done(struct authority *a) {
        a->seen = table_free(a->seen);
        a->pushed = table_free(a->pushed);
        a->devices = table_free(a->devices);
        a->tickets = table_free(a->tickets);
        a->clients = clients_free(a->clients);
        a->tokens = tokens_free(a->tokens);
        a->signer = signer_free(a->signer);
        free(a->nonce);
        free(a->origin);
        free(a->issuer);
}

static void demo_init(struct demo *d) {
        d->journal = journal_new();
        d->faults = faults_new();
        authority_init(&d->as);
        authority_init(&d->idp);
        d->idp.path = "";
        d->sessions = table_new(SESSIONS_MAX, true, session_free);
        d->rounds = table_new(SESSIONS_MAX, true, free);
        d->channels = channels_new();
        d->scripts = json_array();
        d->nonce = random_token("rn_");
}

static void demo_done(struct demo *d) {
        d->mcp = http_service_free(d->mcp);
        d->as.service = http_service_free(d->as.service);
        d->idp.service = http_service_free(d->idp.service);
        d->control = http_service_free(d->control);
        json_decref(d->scripts);
        d->channels = channels_free(d->channels);
        d->rounds = table_free(d->rounds);
        d->sessions = table_free(d->sessions);
        authority_done(&d->idp);
        authority_done(&d->as);
        d->faults = faults_free(d->faults);
        d->journal = journal_free(d->journal);
        free(d->mcp_origin);
        free(d->mcp_url);
        free(d->control_origin);
        free(d->nonce);
}

static struct service *listen_on(uint16_t port, const char *what, http_handler_fn handler,
                                 struct demo *d, char **ret_origin) {
        struct service *s = http_service_new(port, handler, d);

        if (!s) {
                complain(what, errno);
                return NULL;
        }
        *ret_origin = mem_printf("http://127.0.0.1:%u", http_service_port(s));
        return s;
}

static bool demo_listen(struct demo *d) {
        const struct options *o = &d->options;

        d->mcp = listen_on(o->port, "MCP port", exchange_on_mcp, d, &d->mcp_origin);
        if (!d->mcp)
                return false;
        d->mcp_url = mem_printf("%s/mcp", d->mcp_origin);
        http_service_body_max(d->mcp, (size_t)o->body_max_mib * 1024U * 1024U);
        http_service_on_head(d->mcp, exchange_on_mcp_head);
        http_service_on_left(d->mcp, exchange_on_left);
        d->as.service = listen_on(o->as_port, "authorization server port", exchange_on_as, d,
                                  &d->as.origin);
        if (!d->as.service)
                return false;
        d->as.path = o->issuer_path;
        d->as.issuer = mem_printf("%s%s", d->as.origin, d->as.path);
        if (o->idp) {
                d->idp.service = listen_on(o->idp_port, "identity provider port", exchange_on_idp,
                                           d, &d->idp.issuer);
                if (!d->idp.service)
                        return false;
                d->idp.origin = mem_string(d->idp.issuer);
                d->idp.signer = signer_new();
        }
        d->control = listen_on(o->control_port, "control port", control_on_request, d,
                               &d->control_origin);
        return d->control != NULL;
}

/* The one line on stdout; whoever started us waits for it. */
static bool announce(const struct demo *d) {
        bool good = printf("{\"mcp\":\"%s\",\"issuer\":\"%s\",\"control\":\"%s\"", d->mcp_url,
                           d->as.issuer, d->control_origin) > 0;

        if (good && d->idp.service)
                good = printf(",\"idp\":\"%s\"", d->idp.issuer) > 0;
        return good && puts("}") >= 0 && fflush(stdout) == 0;
}

/* In the order in which they are run; the identity provider only if there is one. */
static size_t all_services(const struct demo *d, struct service **ret) {
        size_t n = 0;

        ret[n++] = d->mcp;
        ret[n++] = d->as.service;
        if (d->idp.service)
                ret[n++] = d->idp.service;
        ret[n++] = d->control;
        return n;
}

static int next_timeout(struct service *const *services, size_t n) {
        uint64_t now = clock_msec();
        int timeout = -1;

        for (size_t i = 0; i < n; i++) {
                int t = http_service_timeout(services[i], now);

                if (t >= 0 && (timeout < 0 || t < timeout))
                        timeout = t;
        }
        return timeout;
}

static int run(struct demo *d, int signal_fd) {
        struct service *services[SERVICES_MAX];
        struct pollfd fds[SERVICES_MAX + 1];
        size_t n = all_services(d, services);

        for (size_t i = 0; i < n; i++)
                fds[i] = (struct pollfd){ .fd = http_service_fd(services[i]), .events = POLLIN };
        fds[n] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
        while (!d->quit) {
                if (poll(fds, n + 1, next_timeout(services, n)) < 0 && errno != EINTR) {
                        complain("poll", errno);
                        return EXIT_FAILURE;
                }
                if (fds[n].revents)
                        break;
                exchange_tick(d, clock_msec());
                for (size_t i = 0; i + 1 < n; i++)
                        http_service_run(services[i]);
                control_tick(d); /* once all that was asked is done, and before it is asked for */
                http_service_run(d->control);
        }
        return EXIT_SUCCESS;
}

static int open_signals(void) {
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -1;
        return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char **argv) {
        struct demo d = { 0 };
        int status = EXIT_FAILURE;
        pid_t parent = getppid();
        int signal_fd;

        switch (options_parse(&d.options, argc, argv)) {
        case OPTIONS_DONE:
                return EXIT_SUCCESS;
        case OPTIONS_USAGE:
                fputs("Try 'mcp-demo-server --help'.\n", stderr);
                return EXIT_USAGE;
        case OPTIONS_RUN:
                break;
        }
        if (sodium_init() < 0)
                return EXIT_FAILURE;
        signal_fd = open_signals();
        if (signal_fd < 0) {
                complain("signals", errno);
                return EXIT_FAILURE;
        }
        if (d.options.die_with_parent &&
            (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)) {
                (void)close(signal_fd);
                return EXIT_FAILURE;
        }
        demo_init(&d);
        if (!configure(&d))
                status = EXIT_USAGE;
        else if (demo_listen(&d) && announce(&d))
                status = run(&d, signal_fd);
        demo_done(&d);
        (void)close(signal_fd);
        return status;
}
