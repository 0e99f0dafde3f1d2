/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times round trips over UNIX sockets, one client, in one run: a bare echo server (the floor), the
 * broker's cached token.get, and ssh-agent if its socket is given. Prints median and 99th
 * percentile in microseconds; judges nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5000
#define REPLY_MAX 65536

static double now_usec(void) {
        struct timespec ts = { 0 };

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *)a;
        double y = *(const double *)b;

        return x < y ? -1 : x > y;
}

static int connect_to(const char *path) {
        struct sockaddr_un addr = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
        if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
                return fd;
        if (fd >= 0)
                (void)close(fd);
        return -1;
}

/* One line, or for @binary one message with a length in front. */
static ssize_t read_reply(int fd, char *reply, int binary) {
        size_t n = 0;

        for (;;) {
                ssize_t got = read(fd, reply + n, REPLY_MAX - n);

                if (got <= 0)
                        return -1;
                n += (size_t)got;
                if (!binary && reply[n - 1] == '\n')
                        return (ssize_t)n;
                if (binary && n >= 4) {
                        const unsigned char *p = (const unsigned char *)reply;
                        size_t len =
                                (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];

                        if (n >= len + 4)
                                return (ssize_t)n;
                }
        }
}

static int ask(int fd, const void *request, size_t len, char *reply, int binary) {
        return write(fd, request, len) == (ssize_t)len && read_reply(fd, reply, binary) > 0 ? 0
                                                                                            : -1;
}

static void report(const char *what, double *took, size_t n) {
        qsort(took, n, sizeof(*took), compare);
        (void)printf("%-44s p50 %8.1f us   p99 %8.1f us\n", what, took[n / 2], took[n * 99 / 100]);
        (void)fflush(stdout);
}

static int measure(const char *what, int fd, const void *request, size_t len, int binary) {
        static double took[ROUNDS];
        static char reply[REPLY_MAX];

        if (fd < 0)
                return -1;
        for (size_t i = 0; i < ROUNDS; i++) {
                double begin = now_usec();

                if (ask(fd, request, len, reply, binary) < 0)
                        return -1;
                took[i] = now_usec() - begin;
        }
        report(what, took, ROUNDS);
        return 0;
}

static int measure_echo(size_t reply_size) {
        char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"token.get\",\"params\":{"
                      "\"server\":\"demo\"}}\n";
        static char answer[REPLY_MAX];
        char in[4096];
        int fds[2];
        pid_t child;
        int r;

        for (size_t i = 0; i < reply_size; i++)
                answer[i] = 'x';
        answer[reply_size - 1] = '\n';
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
                return -1;
        child = fork();
        if (child == 0) {
                (void)close(fds[0]);
                while (read(fds[1], in, sizeof(in)) > 0)
                        if (write(fds[1], answer, reply_size) < 0)
                                break;
                _exit(0);
        }
        (void)close(fds[1]);
        r = measure("bare echo, same size of reply", fds[0], line, sizeof(line) - 1, 0);
        (void)close(fds[0]);
        (void)waitpid(child, NULL, 0);
        return r;
}

/* hello, session.open; the nonce is cut out by hand: this is a stopwatch, not a client. */
static int open_session(const char *path) {
        static char reply[REPLY_MAX];
        char request[512];
        char *nonce;
        int fd = connect_to(path);

        if (fd < 0 || read_reply(fd, reply, 0) < 0)
                return -1;
        nonce = strstr(reply, "\"nonce\":\"");
        if (!nonce)
                return -1;
        nonce += 9;
        *strchr(nonce, '"') = '\0';
        (void)snprintf(request, sizeof(request),
                       "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"session.open\",\"params\":{"
                       "\"nonce\":\"%s\"}}\n",
                       nonce);
        return ask(fd, request, strlen(request), reply, 0) < 0 ? -1 : fd;
}

static int measure_connections(const char *path, const char *request) {
        static double took[ROUNDS / 10];
        static char reply[REPLY_MAX];

        for (size_t i = 0; i < ROUNDS / 10; i++) {
                double begin = now_usec();
                int fd = open_session(path);

                if (fd < 0 || ask(fd, request, strlen(request), reply, 0) < 0)
                        return -1;
                (void)close(fd);
                took[i] = now_usec() - begin;
        }
        report("broker: connect, attest twice, token.get", took, ROUNDS / 10);
        return 0;
}

int main(int argc, char **argv) {
        static const unsigned char identities[] = { 0, 0, 0, 1, 11 };
        char request[512];
        int fd;

        if (argc < 3) {
                (void)fprintf(stderr,
                              "Usage: roundtrips BROKER-SOCKET SERVER [SSH-AGENT-SOCKET]\n");
                return 2;
        }
        (void)snprintf(request, sizeof(request),
                       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"token.get\",\"params\":{"
                       "\"server\":\"%s\"}}\n",
                       argv[2]);
        fd = open_session(argv[1]);
        if (measure_echo(400) < 0 ||
            measure("broker: cached token.get, connection kept", fd, request, strlen(request), 0) <
                    0 ||
            measure_connections(argv[1], request) < 0) {
                (void)fprintf(stderr, "roundtrips: a request failed\n");
                return 1;
        }
        if (argc > 3 && measure("ssh-agent: request identities, kept", connect_to(argv[3]),
                                identities, sizeof(identities), 1) < 0)
                return 1;
        return 0;
}
