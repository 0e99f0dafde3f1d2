/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "rpc-harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "crypto/init.h"
#include "loop/loop.h"

/* --- The clock and the timers ----------------------------------------------------------------- */

#define TIMERS_MAX 2048
static struct {
        sd_event_source *source;
        uint64_t usec;
} timers[TIMERS_MAX];
static size_t n_timers;
static uint64_t now_usec = 1000 * USEC_PER_SEC;

uint64_t __wrap_clock_boot_usec(void);
int __real_loop_timer(sd_event *e, uint64_t usec, sd_event_time_handler_t fn, void *userdata,
                      const char *description, sd_event_source **ret);
int __wrap_loop_timer(sd_event *e, uint64_t usec, sd_event_time_handler_t fn, void *userdata,
                      const char *description, sd_event_source **ret);
int __real_loop_timer_set(sd_event_source *s, uint64_t usec);
int __wrap_loop_timer_set(sd_event_source *s, uint64_t usec);

uint64_t __wrap_clock_boot_usec(void) {
        return now_usec;
}

int __wrap_loop_timer(sd_event *e, uint64_t usec, sd_event_time_handler_t fn, void *userdata,
                      const char *description, sd_event_source **ret) {
        int r = __real_loop_timer(e, usec, fn, userdata, description, ret);

        assert_true(n_timers < TIMERS_MAX);
        timers[n_timers].source = sd_event_source_ref(*ret);
        timers[n_timers++].usec = usec;
        return r;
}

int __wrap_loop_timer_set(sd_event_source *s, uint64_t usec) {
        for (size_t i = 0; i < n_timers; i++)
                if (timers[i].source == s)
                        timers[i].usec = usec;
        return __real_loop_timer_set(s, usec);
}

void harness_advance(unsigned sec) {
        now_usec += sec * USEC_PER_SEC;
        for (size_t i = 0; i < n_timers; i++) {
                int on = SD_EVENT_OFF;

                (void)sd_event_source_get_enabled(timers[i].source, &on);
                if (on != SD_EVENT_OFF && timers[i].usec <= now_usec)
                        (void)sd_event_source_set_time(timers[i].source, 1);
        }
}

static void forget_timers(void) {
        for (size_t i = 0; i < n_timers; i++)
                (void)sd_event_source_unref(timers[i].source);
        n_timers = 0;
}

/* --- Session and domain ----------------------------------------------------------------------- */

static void tell_evidence(struct harness *h, pid_t pid, rpc_attested_fn done, void *ctx) {
        struct evidence e = h->evidence;

        e.pid = h->wrong_pid ? pid + 1 : pid;
        done(0, &e, ctx);
}

static int on_attest(void *userdata, pid_t pid, int pidfd, rpc_attested_fn done, void *ctx) {
        struct harness *h = userdata;

        assert_true(fcntl(pidfd, F_GETFD) >= 0);
        h->n_attested++;
        switch (h->attest) {
        case ATTEST_NOW:
                tell_evidence(h, pid, done, ctx);
                return 0;
        case ATTEST_LATER:
                h->attest_done = done;
                h->attest_ctx = ctx;
                h->attest_pid = pid;
                return 0;
        case ATTEST_FAILS:
                done(-ESRCH, NULL, ctx);
                return 0;
        case ATTEST_DOWN:
                break;
        }
        return -ENOTCONN;
}

void harness_attest_answer(struct harness *h, int r) {
        rpc_attested_fn done = h->attest_done;

        assert_non_null(done);
        h->attest_done = NULL;
        if (r < 0)
                done(r, NULL, h->attest_ctx);
        else
                tell_evidence(h, h->attest_pid, done, h->attest_ctx);
}

static void fill(struct harness *h, broker_reply_fn fn, void *fn_userdata) {
        char *text = calloc(1, h->fill + 1);
        AUTO_JSON json_t *result = NULL;

        assert_non_null(text);
        for (size_t i = 0; i < h->fill; i++)
                text[i] = 'x';
        result = json_pack("{s:s}", "fill", text);
        free(text);
        fn(result, NULL, NULL, fn_userdata);
}

static int on_call(void *userdata, const struct caller *who, enum method m, const json_t *params,
                   broker_reply_fn fn, void *fn_userdata, struct broker_call **ret) {
        struct harness *h = userdata;
        AUTO_JSON json_t *result = NULL;

        assert_true(json_is_object(params));
        h->last = *who;
        if (h->n_calls < ARRAY_SIZE(h->callers))
                h->callers[h->n_calls] = who->conn_id;
        h->n_calls++;
        *ret = NULL;
        switch (h->call) {
        case CALL_ECHO:
                result = json_pack("{s:s,s:i,s:s}", "method", method_name(m), "pid", (int)who->pid,
                                   "client", who->client);
                fn(result, NULL, NULL, fn_userdata);
                return 0;
        case CALL_PARK:
                assert_true(h->n_parked < PARKED_MAX);
                h->parked[h->n_parked] = (struct parked){ h, fn, fn_userdata };
                *ret = (struct broker_call *)(void *)&h->parked[h->n_parked++];
                return 0;
        case CALL_FILL:
                fill(h, fn, fn_userdata);
                return 0;
        case CALL_FAILS:
                break;
        }
        return -ENOMEM;
}

static void on_abandon(void *userdata, struct broker_call *call) {
        struct parked *p = (struct parked *)(void *)call;
        struct harness *h = userdata;

        assert_ptr_equal(p->h, h);
        assert_non_null(p->fn);
        p->fn = NULL;
        h->n_abandoned++;
}

void harness_answer(struct harness *h, unsigned i, const char *result) {
        AUTO_JSON json_t *value = json_loads(result, 0, NULL);
        broker_reply_fn fn = h->parked[i].fn;

        assert_non_null(value);
        assert_non_null(fn);
        h->parked[i].fn = NULL;
        fn(value, NULL, NULL, h->parked[i].userdata);
}

static const struct rpc_ops ops = {
        .attest = on_attest,
        .call = on_call,
        .abandon = on_abandon,
};

/* --- Set up ----------------------------------------------------------------------------------- */

unsigned harness_count_fds(void) {
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        (void)closedir(d);
        return n;
}

static int listen_at(const char *path) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
        assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        assert_int_equal(listen(fd, 4096), 0);
        return fd;
}

int harness_setup(void **state) {
        struct harness *h = calloc(1, sizeof(*h));

        assert_non_null(h);
        assert_int_equal(crypto_init(NULL), 0);
        h->n_fds = harness_count_fds();
        (void)snprintf(h->dir, sizeof(h->dir), "/tmp/mcpb-rpc-XXXXXX");
        assert_non_null(mkdtemp(h->dir));
        (void)snprintf(h->path, sizeof(h->path), "%s/s", h->dir);
        (void)snprintf(h->labelled, sizeof(h->labelled), "%s/l", h->dir);
        h->evidence = (struct evidence){ .start_ticks = 7,
                                         .ours = true,
                                         .anchor_known = true,
                                         .anchor_pid = 1,
                                         .anchor_start_ticks = 3 };
        h->evidence.exe = (struct evidence_exe){
                .known = true, .path = "/usr/bin/mcp-token", .dev = 1, .ino = 2
        };
        h->evidence.anchor = h->evidence.exe;
        assert_int_equal(loop_new(&h->event), 0);
        assert_int_equal(rpc_new(h->event, &ops, h, &h->rpc), 0);
        assert_int_equal(rpc_add_listener(h->rpc, listen_at(h->path), RPC_MAIN), 0);
        assert_int_equal(rpc_add_listener(h->rpc, listen_at(h->labelled), RPC_LABELLED), 0);
        *state = h;
        return 0;
}

int harness_teardown(void **state) {
        struct harness *h = *state;
        unsigned n_fds = h->n_fds;

        h->rpc = rpc_free(h->rpc);
        if (h->attest_done) /* an answer that comes too late finds nobody, and hurts nobody */
                harness_attest_answer(h, 0);
        forget_timers();
        (void)loop_free(h->event);
        (void)unlink(h->path);
        (void)unlink(h->labelled);
        (void)rmdir(h->dir);
        free(h);
        assert_int_equal(harness_count_fds(), n_fds);
        return 0;
}

void harness_spin(struct harness *h) {
        for (int i = 0; i < 200000; i++) {
                int r = sd_event_run(h->event, 0);

                assert_true(r >= 0);
                if (r == 0)
                        return;
        }
        fail_msg("the loop spins");
}

void harness_wait(struct harness *h, const unsigned *counter, unsigned value) {
        for (int i = 0; i < 1000 && *counter < value; i++)
                assert_true(sd_event_run(h->event, 10 * USEC_PER_MSEC) >= 0);
        assert_true(*counter >= value);
}

/* --- A client, by hand ------------------------------------------------------------------------ */

int client_try(const char *path) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
        return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -1 : TAKE_FD(fd);
}

int client_connect(const char *path) {
        int fd = client_try(path);

        assert_true(fd >= 0);
        return fd;
}

void client_send(int fd, const char *text) {
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

const char *client_line(int fd, bool *ret_eof) {
        static char line[64 * 1024];
        size_t n = 0;

        *ret_eof = false;
        for (;;) {
                ssize_t got = recv(fd, line + n, 1, MSG_DONTWAIT);

                if (got == 0 || (got < 0 && errno == ECONNRESET))
                        *ret_eof = true;
                if (got <= 0)
                        return NULL;
                if (line[n] == '\n') {
                        line[n] = '\0';
                        return line;
                }
                if (++n == sizeof(line))
                        fail_msg("a very long line");
        }
}

void expect_line(int fd, const char *substring) {
        bool eof;
        const char *line = client_line(fd, &eof);

        assert_non_null(line);
        if (!strstr(line, substring))
                fail_msg("expected %s in %s", substring, line);
}

void expect_silence(int fd) {
        bool eof;

        assert_null(client_line(fd, &eof));
        assert_false(eof);
}

void expect_end(int fd) {
        bool eof;

        assert_null(client_line(fd, &eof));
        assert_true(eof);
}

void expect_refusal(int fd, const char *code) {
        char want[64];
        bool eof;
        const char *line = client_line(fd, &eof);

        (void)snprintf(want, sizeof(want), "\"code\":\"%s\"", code);
        assert_non_null(line);
        if (!strstr(line, "\"id\":null") || !strstr(line, want))
                fail_msg("expected %s in %s", want, line);
        expect_end(fd);
}

void client_say_open(int fd) {
        AUTO_JSON json_t *hello = NULL;
        char request[256];
        bool eof;
        const char *line = client_line(fd, &eof);

        assert_non_null(line);
        hello = json_loads(line, 0, NULL);
        (void)snprintf(request, sizeof(request),
                       "{\"jsonrpc\":\"2.0\",\"id\":\"o\",\"method\":\"session.open\",\"params\":"
                       "{\"nonce\":\"%s\",\"client\":\"test\"}}\n",
                       json_get_string(json_object_get(hello, "params"), "nonce"));
        client_send(fd, request);
}

int client_open(struct harness *h, const char *path) {
        int fd = client_connect(path);

        harness_spin(h);
        client_say_open(fd);
        harness_spin(h);
        expect_line(fd, "\"id\":\"o\",\"result\":{\"protocol\":1");
        return fd;
}
