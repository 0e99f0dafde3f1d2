/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-broker-session: sees /proc and the desktop for the keeper, which may not; holds no secret.
 * Not sandboxed: a process under Landlock cannot read another's executable. Started by mcp-brokerd
 * with the stream to the keeper as descriptor 3; leaves when that ends.
 */
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/log.h"
#include "loop/loop.h"
#include "os/io.h"
#include "os/process.h"
#include "peer/ours.h"
#include "session/session.h"

#define KEEPER_FD 3
#define KDF_NAME "/mcp-broker-kdf"
#define IDENTITY_NAME "/mcp-broker-identity"

static char arg_kdf[PATH_MAX];
static char arg_identity[PATH_MAX];

static void usage(FILE *to) {
        (void)fputs("Usage: mcp-broker-session [--kdf=PATH] [--identity=PATH]\n"
                    "\n"
                    "A part of mcp-brokerd, which starts it; not for use by hand.\n"
                    "\n"
                    "      --kdf=PATH       program that derives keys from passphrases\n"
                    "      --identity=PATH  program that reads, runs and calls for an identity\n"
                    "  -h, --help           this text\n"
                    "  -V, --version        version\n",
                    to);
}

/* 0: go on; 1: all is said; -EINVAL. */
static int parse_arguments(int argc, char **argv) {
        static const struct option options[] = { { "kdf", required_argument, NULL, 'k' },
                                                 { "identity", required_argument, NULL, 'i' },
                                                 { "help", no_argument, NULL, 'h' },
                                                 { "version", no_argument, NULL, 'V' },
                                                 { 0 } };
        int c;

        while ((c = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
                if (c == 'h') {
                        usage(stdout);
                        return 1;
                }
                if (c == 'V') {
                        (void)puts("mcp-broker-session " PACKAGE_VERSION);
                        return 1;
                }
                if ((c != 'k' && c != 'i') || optarg[0] != '/' || strlen(optarg) >= PATH_MAX) {
                        usage(stderr);
                        return -EINVAL;
                }
                memcpy(c == 'k' ? arg_kdf : arg_identity, optarg, strlen(optarg) + 1);
        }
        if (optind < argc) {
                usage(stderr);
                return -EINVAL;
        }
        return 0;
}

/* Beside our own file: the same in an installed, a moved and a build tree. */
static int find_program(char path[static PATH_MAX], const char *name, struct error *err) {
        size_t n_name = strlen(name);
        ssize_t n;
        char *slash;

        if (path[0])
                return 0;
        n = readlink("/proc/self/exe", path, PATH_MAX - n_name - 1);
        path[n > 0 ? n : 0] = '\0';
        slash = strrchr(path, '/');
        if (!slash)
                return error_set(err, MCPB_INTERNAL, ENOENT, NULL,
                                 "cannot tell where our own program stands");
        memcpy(slash, name, n_name + 1);
        return 0;
}

static int check_keeper_fd(struct error *err) {
        int type = 0;
        socklen_t len = sizeof(type);
        int r = 0;

        if (getsockopt(KEEPER_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM)
                return error_set(err, MCPB_BAD_REQUEST, EBADF, "Start mcp-brokerd instead.",
                                 "descriptor %d is no stream to a broker", KEEPER_FD);
        r = fd_set_nonblock(KEEPER_FD);
        if (r == 0)
                r = fd_set_cloexec(KEEPER_FD, true);
        return error_fallback(err, r, "cannot prepare the stream to the broker");
}

/* sd-event watches children only if nobody else could take their end away. */
static int block_sigchld(struct error *err) {
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGCHLD);
        return sigprocmask(SIG_BLOCK, &set, NULL) < 0
                       ? error_fallback(err, -errno, "cannot block SIGCHLD")
                       : 0;
}

static int run(struct error *err) {
        AUTO_LOOP sd_event *e = NULL;
        struct peer_ours *ours = NULL;
        struct session *s = NULL;
        const struct session_programs programs = { .kdf = arg_kdf, .identity = arg_identity };
        int r = process_harden(err);

        if (r == 0)
                r = error_fallback(err, process_ignore_signals(), "cannot ignore signals");
        if (r == 0)
                r = block_sigchld(err);
        if (r == 0)
                r = check_keeper_fd(err);
        if (r == 0)
                r = find_program(arg_kdf, KDF_NAME, err);
        if (r == 0)
                r = find_program(arg_identity, IDENTITY_NAME, err);
        if (r == 0)
                r = peer_ours_new(NULL, &ours, err);
        if (r == 0)
                r = error_fallback(err, loop_new(&e), "cannot make an event loop");
        if (r == 0)
                r = error_fallback(err, session_new(e, KEEPER_FD, ours, &programs, &s),
                                   "cannot listen to the broker");
        if (r == 0)
                r = error_fallback(err, sd_event_loop(e), "the stream to the broker failed");
        (void)session_free(s);
        (void)peer_ours_free(ours);
        return r;
}

int main(int argc, char **argv) {
        struct error err = ERROR_INIT;
        int r;

        json_use_wiping_allocator();
        log_open("mcp-broker-session", LOG_INFO);
        r = parse_arguments(argc, argv);
        if (r != 0)
                return r < 0 ? error_exit_status(MCPB_BAD_REQUEST) : 0;
        r = run(&err);
        if (r < 0) {
                log_failure(LOG_ERR, &err, "mcp-broker-session");
                return error_exit_status(err.code);
        }
        return 0;
}
