/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each role still can do: the libraries it lives by, with their first use inside the sandbox.
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <dirent.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "inside.h"
#include "jose/jws.h"
#include "tmp.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* --- keeper -------------------------------------------------------------------------------- */

static int on_time(sd_event_source *s, uint64_t usec, void *userdata) {
        ++*(int *)userdata;
        return 0;
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        char byte;

        if (read(fd, &byte, 1) == 1)
                ++*(int *)userdata;
        return 0;
}

static int on_defer(sd_event_source *s, void *userdata) {
        ++*(int *)userdata;
        return 0;
}

static int use_event_loop(struct scene *scene) {
        sd_event_source *timer = NULL;
        sd_event_source *io = NULL;
        sd_event_source *defer = NULL;
        sd_event *e = NULL;
        int done = 0;
        int fds[2];
        int r = sd_event_new(&e);

        if (r >= 0)
                r = pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
        if (r >= 0)
                r = sd_event_add_time_relative(e, &timer, CLOCK_BOOTTIME, 1000, 0, on_time, &done);
        if (r >= 0)
                r = sd_event_add_io(e, &io, fds[0], POLLIN, on_io, &done);
        if (r >= 0)
                r = sd_event_add_defer(e, &defer, on_defer, &done);
        if (r >= 0)
                r = write(fds[1], "x", 1) == 1 ? 0 : -errno;
        while (r >= 0 && done < 3)
                r = sd_event_run(e, 5000000);
        (void)sd_event_source_disable_unref(timer);
        (void)sd_event_source_disable_unref(io);
        (void)sd_event_source_disable_unref(defer);
        (void)sd_event_unref(e);
        (void)close(fds[0]);
        (void)close(fds[1]);
        return r < 0 ? r : 0;
}

static int use_signals(struct scene *scene) {
        sd_event_source *s = NULL;
        sd_event *e = NULL;
        sigset_t set;
        int r;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGUSR1);
        r = sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : sd_event_new(&e);
        if (r >= 0)
                r = sd_event_add_signal(e, &s, SIGUSR1, NULL, NULL);
        if (r >= 0)
                r = raise(SIGUSR1) != 0 ? -errno : 0;
        if (r >= 0)
                r = sd_event_loop(e) == 0 ? 0 : -EIO; /* a NULL handler ends the loop */
        (void)sd_event_source_disable_unref(s);
        (void)sd_event_unref(e);
        return r;
}

static int use_accept(struct scene *s) {
        struct ucred cred = { 0 };
        socklen_t len = sizeof(cred);
        int one = 1;
        int pidfd = -1;
        int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        int r = 0;

        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
                r = -errno;
        len = sizeof(pidfd);
        if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) < 0 &&
            errno != ENOPROTOOPT)
                r = -errno;
        if (r == 0 && pidfd < 0) {
                pidfd = (int)syscall(SYS_pidfd_open, cred.pid, 0);
                r = pidfd < 0 ? -errno : 0;
        }
        if (r == 0) {
                struct pollfd p = { .fd = pidfd, .events = POLLIN };

                r = poll(&p, 1, 0) == 0 ? 0 : -ESRCH;
        }
        if (pidfd >= 0)
                (void)close(pidfd);
        if (r == 0 && send(fd, "hello\n", 6, MSG_NOSIGNAL) != 6)
                r = -errno;
        (void)close(fd);
        return r;
}

static int use_passing(struct scene *s) {
        char space[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = { 0 };
        char byte = 'x';
        struct iovec iov = { &byte, 1 };
        struct msghdr msg = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = space,
                              .msg_controllen = sizeof(space) };
        struct cmsghdr *m = CMSG_FIRSTHDR(&msg);
        int fds[2];
        int got = -1;
        int r = 0;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        *m = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                               .cmsg_type = SCM_RIGHTS,
                               .cmsg_len = CMSG_LEN(sizeof(int)) };
        memcpy(CMSG_DATA(m), &s->file, sizeof(int));
        if (sendmsg(fds[0], &msg, MSG_NOSIGNAL) != 1 ||
            recvmsg(fds[1], &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != 1)
                r = -errno;
        if (r == 0) {
                memcpy(&got, CMSG_DATA(m), sizeof(int));
                r = fcntl(got, F_GETFD) == FD_CLOEXEC ? 0 : -EBADF;
                (void)close(got);
        }
        (void)close(fds[0]);
        (void)close(fds[1]);
        return r;
}

static int use_audit_file(struct scene *s) {
        struct stat st;

        if (lseek(s->file, 0, SEEK_END) < 0 || write(s->file, "line\n", 5) != 5 ||
            fdatasync(s->file) < 0 || fstat(s->file, &st) < 0 || ftruncate(s->file, 4) < 0 ||
            pwrite(s->file, "text", 4, 0) != 4 || fsync(s->file) < 0)
                return -errno;
        return 0;
}

static int use_sodium(struct scene *s) {
        unsigned char key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
        unsigned char nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES] = { 0 };
        unsigned char out[64];
        unsigned long long len = 0;
        void *slab;

        if (sodium_init() < 0)
                return -EIO;
        slab = sodium_malloc(4096);
        if (!slab || sodium_mprotect_readonly(slab) != 0 || sodium_mprotect_readwrite(slab) != 0)
                return -ENOMEM;
        sodium_free(slab);
        randombytes_buf(key, sizeof(key));
        if (crypto_aead_xchacha20poly1305_ietf_encrypt(out, &len, (const unsigned char *)"text", 4,
                                                       NULL, 0, NULL, nonce, key) != 0)
                return -EIO;
        return 0;
}

/* The first use of OpenSSL in this process. */
static int use_signing_keys(struct scene *s) {
        static const enum jose_alg algs[] = { JOSE_ES256, JOSE_EDDSA };
        AUTO_JSON json_t *claims = json_object();
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(algs) && r == 0; i++) {
                AUTO_JOSE_KEY struct jose_key *key = NULL;
                AUTO_JOSE_KEY struct jose_key *again = NULL;
                AUTO_BUF struct buf pem = BUF_INIT;
                AUTO_BUF struct buf jws = BUF_INIT;

                r = jose_key_generate(algs[i], &key);
                if (r == 0)
                        r = jose_key_to_pem(key, &pem);
                if (r == 0)
                        r = jose_key_read(pem.data, pem.len, &again, NULL);
                if (r == 0)
                        r = jws_sign(again, algs[i], NULL, claims, &jws);
        }
        return r;
}

static int use_argon2(struct scene *s) {
        unsigned char out[32];
        unsigned char salt[crypto_pwhash_SALTBYTES] = { 0 };

        if (sodium_init() < 0)
                return -EIO;
        return crypto_pwhash(out, sizeof(out), "word", 4, salt, crypto_pwhash_OPSLIMIT_MIN,
                             (size_t)8 << 20, crypto_pwhash_ALG_ARGON2ID13) == 0
                       ? 0
                       : -ENOMEM;
}

static int use_json(struct scene *s) {
        AUTO_JSON json_t *value = NULL;
        AUTO_BUF struct buf b = BUF_INIT;
        static const char text[] = "{\"b\":[1,2.5,\"x\"],\"a\":null}";
        int r = json_parse(text, strlen(text), 8, &value, NULL);

        return r < 0 ? r : json_write_canonical(&b, value);
}

static int use_clocks(struct scene *s) {
        struct rlimit limit;
        struct timespec ts = { .tv_nsec = 1000 };
        time_t now = time(NULL);
        struct tm tm;

        /* lint: allow nanosleep: whether it may is what is tried */
        if (!localtime_r(&now, &tm) || nanosleep(&ts, NULL) < 0 ||
            clock_gettime(CLOCK_BOOTTIME, &ts) < 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
                return -errno;
        return 0;
}

static int use_large_memory(struct scene *s) {
        AUTO_FREE char *p = calloc(1, (size_t)64 << 20);
        char *larger;

        if (!p)
                return -ENOMEM;
        p[12345] = 'x';
        larger = realloc(TAKE(p),
                         (size_t)96 << 20); /* lint: allow realloc: mremap is what is tried */
        free(larger);
        return larger ? 0 : -ENOMEM;
}

static int use_stderr(struct scene *s) {
        return fprintf(stderr, "%s", "") < 0 || fflush(stderr) != 0 || isatty(2) < 0 ? -EIO : 0;
}

/* --- writer -------------------------------------------------------------------------------- */

static int use_state_folder(struct scene *s) {
        AUTO_CLOSE int fd = openat(s->state_dirfd, "tmp",
                                   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        AUTO_CLOSE int again = -1;
        char data[8];

        if (fd < 0 || write(fd, "sealed", 6) != 6 || fsync(fd) < 0 ||
            renameat(s->state_dirfd, "tmp", s->state_dirfd, "record") < 0 ||
            fsync(s->state_dirfd) < 0)
                return -errno;
        again = openat(s->state_dirfd, "record", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (again < 0 || read(again, data, sizeof(data)) != 6)
                return -errno;
        if (mkdirat(s->state_dirfd, "sub", 0700) < 0)
                return -errno;
        return unlinkat(s->state_dirfd, "record", 0) < 0 ? -errno : 0;
}

static int use_listing(struct scene *s) {
        int fd = openat(s->state_dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);
        int n = 0;

        if (!d)
                return -errno;
        while (readdir(d))
                n++;
        (void)closedir(d);
        return n >= 2 ? 0 : -EIO;
}

/* --- net ----------------------------------------------------------------------------------- */

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **con) {
        static char page[] = "hello";
        struct MHD_Response *answer =
                MHD_create_response_from_buffer(sizeof(page) - 1, page, MHD_RESPMEM_PERSISTENT);
        enum MHD_Result r = MHD_queue_response(c, MHD_HTTP_OK, answer);

        MHD_destroy_response(answer);
        return r;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata) {
        AUTO_JSON json_t *text = json_stringn(data, size * n);

        *(bool *)userdata = streq_null(json_string_value(text), "hello");
        return size * n;
}

/* One transfer by name, so that the resolver's thread runs; the server in the same loop. */
static int transfer(uint16_t port, struct MHD_Daemon *server, const char *scheme, CURLcode *ret) {
        CURLM *multi = curl_multi_init();
        CURL *easy = curl_easy_init();
        char url[64];
        bool good = false;
        int running = 1;
        CURLMsg *done;
        int left;

        (void)snprintf(url, sizeof(url), "%s://localhost:%u/", scheme, (unsigned)port);
        (void)curl_easy_setopt(easy, CURLOPT_URL, url);
        (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
        (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 20000L);
        (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
        (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, &good);
        (void)curl_multi_add_handle(multi, easy);
        while (running > 0) {
                if (curl_multi_perform(multi, &running) != CURLM_OK || MHD_run(server) != MHD_YES)
                        return -EIO;
                if (running > 0)
                        (void)curl_multi_poll(multi, NULL, 0, 5, NULL);
        }
        done = curl_multi_info_read(multi, &left);
        *ret = done ? done->data.result : CURLE_FAILED_INIT;
        (void)curl_multi_remove_handle(multi, easy);
        curl_easy_cleanup(easy);
        (void)curl_multi_cleanup(multi);
        return *ret == CURLE_OK && !good ? -EIO : 0;
}

static int use_http(struct scene *s) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        const union MHD_DaemonInfo *info;
        struct MHD_Daemon *server;
        CURLcode plain = CURLE_OK;
        CURLcode tls = CURLE_OK;
        int r;

        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -EIO;
        server = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, NULL,
                                  MHD_OPTION_SOCK_ADDR, &a, MHD_OPTION_END);
        if (!server)
                return -ENOTCONN;
        info = MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT);
        r = transfer(info->port, server, "http", &plain);
        /* No TLS there; to find that out, OpenSSL and the certificates must have been loaded. */
        if (r == 0)
                r = transfer(info->port, server, "https", &tls);
        MHD_stop_daemon(server);
        curl_global_cleanup();
        if (r == 0 && plain != CURLE_OK)
                r = -1000 - (int)plain;
        if (r == 0 && tls != CURLE_SSL_CONNECT_ERROR &&
            access("/etc/ssl/certs/ca-certificates.crt", R_OK) == 0)
                r = -2000 - (int)tls;
        return r;
}

static int use_resolver(struct scene *s) {
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
        struct addrinfo *found = NULL;
        int r = getaddrinfo("localhost", "80", &hints, &found);

        if (found)
                freeaddrinfo(found);
        if (r != 0)
                return -1000 - r;
        return 0;
}

/* --- the scene ----------------------------------------------------------------------------- */

static int setup(void **state) {
        struct scene *s = calloc(1, sizeof(*s));
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        char path[TMP_PATH_MAX];

        assert_non_null(s);
        s->folder = tmp_new();
        s->file = open(tmp_path(path, s->folder, "audit"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(s->file >= 0);
        assert_int_equal(mkdir(tmp_path(path, s->folder, "state"), 0700), 0);
        s->state_dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(s->state_dirfd >= 0);
        (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/listener", s->folder);
        s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(listen(s->listener, 4), 0);
        s->client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(s->client, (struct sockaddr *)&a, sizeof(a)), 0);
        *state = s;
        return 0;
}

static int teardown(void **state) {
        struct scene *s = *state;

        assert_int_equal(close(s->file), 0);
        assert_int_equal(close(s->state_dirfd), 0);
        assert_int_equal(close(s->listener), 0);
        assert_int_equal(close(s->client), 0);
        (void)tmp_free(s->folder);
        free(s);
        return 0;
}

/* --- claims -------------------------------------------------------------------------------- */

#define EVERYWHERE                                            \
        { "json", use_json, 0 }, { "clocks", use_clocks, 0 }, \
                { "large memory", use_large_memory, 0 }, {    \
                "stderr", use_stderr, 0                       \
        }

static void the_keeper_can_do_its_work(void **state) {
        static const struct attempt attempts[] = {
                EVERYWHERE,
                { "event loop", use_event_loop, 0 },
                { "signals", use_signals, 0 },
                { "accept", use_accept, 0 },
                { "passing descriptors", use_passing, 0 },
                { "audit file", use_audit_file, 0 },
                { "sodium", use_sodium, 0 },
                { "signing keys", use_signing_keys, 0 },
        };
        struct sandbox_profile p = sandbox_keeper();

        inside(&p, *state, attempts, ARRAY_SIZE(attempts));
}

static void the_writer_can_do_its_work(void **state) {
        static const struct attempt attempts[] = {
                EVERYWHERE,
                { "event loop", use_event_loop, 0 },
                { "passing descriptors", use_passing, 0 },
                { "state folder", use_state_folder, 0 },
                { "listing", use_listing, 0 },
        };
        struct scene *s = *state;
        struct sandbox_profile p = sandbox_writer(s->state_dirfd);

        inside(&p, s, attempts, ARRAY_SIZE(attempts));
}

static void net_can_do_its_work(void **state) {
        static const struct attempt attempts[] = {
                EVERYWHERE,
                { "event loop", use_event_loop, 0 },
                { "passing descriptors", use_passing, 0 },
                { "resolver", use_resolver, 0 },
                { "http", use_http, 0 },
        };
        struct sandbox_profile p = sandbox_net();

        inside(&p, *state, attempts, ARRAY_SIZE(attempts));
}

static void the_kdf_can_do_its_work(void **state) {
        static const struct attempt attempts[] = {
                EVERYWHERE,
                { "sodium", use_sodium, 0 },
                { "argon2", use_argon2, 0 },
        };
        struct sandbox_profile p = sandbox_kdf();

        inside(&p, *state, attempts, ARRAY_SIZE(attempts));
}

/* A failed assertion must end the process, not leave it running half dead. */
static void an_assertion_still_ends_the_process(void **state) {
        struct sandbox_profile profiles[] = { sandbox_keeper(), sandbox_net() };

        for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
                int status = 0;
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0) {
                        struct sandbox_report report;
                        struct rlimit core = { 0 };

                        (void)setrlimit(RLIMIT_CORE, &core);
                        (void)signal(SIGABRT, SIG_DFL);
                        if (sandbox_enter(&profiles[i], &report, NULL) < 0)
                                child_exit(1);
                        abort();
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFSIGNALED(status));
                assert_int_equal(WTERMSIG(status), SIGABRT);
        }
}

int main(void) {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        static const struct CMUnitTest tests[] = {
                T(the_keeper_can_do_its_work),
                T(the_writer_can_do_its_work),
                T(net_can_do_its_work),
                T(the_kdf_can_do_its_work),
                T(an_assertion_still_ends_the_process),
        };
#undef T

        return cmocka_run_group_tests_name("sandbox-work", tests, NULL, NULL);
}
