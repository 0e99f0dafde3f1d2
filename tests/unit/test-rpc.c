/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets a session, and what may be said in it.
 */
#include "config.h"

#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "rpc-harness.h"
#include "rpc/conn.h"

#define REQUEST(id, method, params) \
        "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\",\"params\":" params "}\n"
#define TOKEN_GET(id) REQUEST(id, "token.get", "{\"server\":\"x\"}")

static void a_peer_is_greeted_and_served(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);

        assert_int_equal(h->n_attested, 2);
        client_send(fd, TOKEN_GET("1"));
        harness_spin(h);
        expect_line(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"method\":\"token.get\"");
        assert_int_equal(h->last.pid, getpid());
        assert_int_equal(h->last.uid, geteuid());
        assert_string_equal(h->last.client, "test");
        assert_int_equal(h->last.evidence->exe.ino, 2);
}

/* S3 */
static void nothing_is_said_before_the_peer_is_known(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = -1;

        h->attest = ATTEST_LATER;
        fd = client_connect(h->path);
        client_send(fd, TOKEN_GET("1"));
        harness_spin(h);
        expect_silence(fd);
        harness_attest_answer(h, 0);
        harness_spin(h);
        expect_line(fd, "\"method\":\"hello\"");
        expect_refusal(fd, "not_permitted"); /* what was sent too early was no session.open */
        assert_int_equal(h->n_calls, 0);
}

static void nothing_is_taken_before_the_second_look(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_connect(h->path);

        harness_spin(h);
        h->attest = ATTEST_LATER;
        client_say_open(fd);
        client_send(fd, TOKEN_GET("1"));
        harness_spin(h);
        expect_silence(fd);
        assert_int_equal(h->n_calls, 0);
        harness_attest_answer(h, 0);
        harness_spin(h);
        expect_line(fd, "\"id\":\"o\",\"result\"");
        expect_line(fd, "\"id\":1,\"result\"");
}

static void only_session_open_opens_a_session(void **state) {
        static const char *const first[] = {
                TOKEN_GET("1"),
                REQUEST("1", "broker.stop", "{}"),
                "{\"jsonrpc\":\"2.0\",\"method\":\"session.open\",\"params\":{\"nonce\":\"x\"}}\n",
                "\n",
                "SSH-2.0-OpenSSH\r\n",
                REQUEST("1", "session.open", "{}"),
                REQUEST("1", "session.open", "{\"nonce\":1}"),
                REQUEST("1", "session.open", "{\"nonce\":\"\"}"),
                REQUEST("1", "session.open", "{\"nonce\":\"wrong\"}"),
        };
        struct harness *h = *state;

        for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
                AUTO_CLOSE int fd = client_connect(h->path);
                bool eof;

                harness_spin(h);
                expect_line(fd, "hello");
                client_send(fd, first[i]);
                harness_spin(h);
                assert_non_null(strstr(client_line(fd, &eof), "\"error\""));
                expect_end(fd);
        }
        assert_int_equal(h->n_calls, 0);
}

static void a_nonce_is_good_for_one_connection(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int a = client_connect(h->path);
        AUTO_CLOSE int b = client_connect(h->path);
        AUTO_FREE char *first = NULL;
        bool eof;

        harness_spin(h);
        first = strdup(client_line(a, &eof));
        assert_string_not_equal(first, client_line(b, &eof));
        {
                AUTO_JSON json_t *hello = json_loads(first, 0, NULL);
                const char *nonce = json_get_string(json_object_get(hello, "params"), "nonce");
                AUTO_BUF struct buf line = BUF_INIT;

                assert_int_equal(strlen(nonce), 43);
                assert_int_equal(buf_printf(&line,
                                            REQUEST("1", "session.open", "{\"nonce\":\"%s\"}"),
                                            nonce),
                                 0);
                client_send(b, line.data);
        }
        harness_spin(h);
        expect_refusal(b, "not_permitted");
}

/* S3 */
static void a_peer_that_turns_into_another_program_is_refused(void **state) {
        struct harness *h = *state;
        const struct evidence honest = h->evidence;

        for (int i = 0; i < 5; i++) {
                AUTO_CLOSE int fd = client_connect(h->path);

                h->evidence = honest;
                harness_spin(h);
                if (i == 0)
                        h->evidence.exe.ino++;
                else if (i == 1)
                        h->evidence.exe.dev++;
                else if (i == 2)
                        h->evidence.start_ticks++;
                else if (i == 3)
                        h->evidence.anchor.ino++;
                else
                        h->evidence.exe.known = false;
                client_say_open(fd);
                client_send(fd, TOKEN_GET("1"));
                harness_spin(h);
                expect_refusal(fd, "not_permitted");
        }
        assert_int_equal(h->n_calls, 0);
}

/* S3 */
static void unknown_is_no(void **state) {
        static const struct {
                enum attest_mode mode;
                const char *code;
        } table[] = { { ATTEST_FAILS, "retry" }, { ATTEST_DOWN, "retry" } };
        struct harness *h = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_CLOSE int fd = -1;

                h->attest = table[i].mode;
                fd = client_connect(h->path);
                harness_spin(h);
                expect_refusal(fd, table[i].code);
        }
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_CLOSE int fd = -1;

                h->attest = ATTEST_NOW;
                fd = client_connect(h->path);
                harness_spin(h);
                h->attest = table[i].mode;
                client_say_open(fd);
                harness_spin(h);
                expect_refusal(fd, table[i].code);
        }
        h->attest = ATTEST_NOW;
        h->wrong_pid = true;
        {
                AUTO_CLOSE int fd = client_connect(h->path);

                harness_spin(h);
                expect_refusal(fd, "not_permitted");
        }
}

/* S3 */
static void our_own_daemons_are_not_served(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = -1;

        h->evidence.daemon = true;
        fd = client_connect(h->path);
        harness_spin(h);
        expect_refusal(fd, "not_permitted");
}

static void a_client_that_leaves_while_it_is_looked_at_is_forgotten(void **state) {
        struct harness *h = *state;
        struct rpc_counts n;
        int fd;

        h->attest = ATTEST_LATER;
        fd = client_connect(h->path);
        harness_spin(h);
        (void)close(fd);
        harness_spin(h);
        rpc_counts(h->rpc, &n);
        assert_int_equal(n.clients, 0);
        harness_attest_answer(h, 0); /* finds nobody */
}

/* S3 */
static void bytes_of_another_process_end_the_connection(void **state) {
        struct harness *h = *state;

        for (int opened = 0; opened < 2; opened++) {
                AUTO_CLOSE int fd = opened ? client_open(h, h->path) : client_connect(h->path);
                pid_t child;

                harness_spin(h);
                if (!opened)
                        expect_line(fd, "hello");
                child = fork();
                if (child == 0) {
                        (void)!write(fd, TOKEN_GET("1"), strlen(TOKEN_GET("1")));
                        _exit(0);
                }
                assert_int_equal(waitpid(child, NULL, 0), child);
                harness_spin(h);
                expect_refusal(fd, "not_permitted");
        }
        assert_int_equal(h->n_calls, 0);
}

/* S3 */
static void half_a_line_of_another_process_is_not_completed(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);
        pid_t child = fork();

        if (child == 0) {
                (void)!write(fd, "{\"jsonrpc\":\"2.0\",", 17);
                _exit(0);
        }
        assert_int_equal(waitpid(child, NULL, 0), child);
        client_send(fd, "\"id\":1,\"method\":\"token.get\",\"params\":{\"server\":\"x\"}}\n");
        harness_spin(h);
        expect_refusal(fd, "not_permitted");
        assert_int_equal(h->n_calls, 0);
}

/*
 * The child opens a session, asks, leaves the socket to the grandchild, and dies when @hold ends.
 * What does the grandchild get to read?
 */
static void heir_main(const char *path, int answer, int hold) {
        char text[4096] = "";
        char request[512];
        int fd = client_try(path);
        ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
        char *nonce = n > 0 ? strstr(text, "\"nonce\":\"") : NULL;
        char *end = nonce ? strchr(nonce + 9, '"') : NULL;

        if (!end)
                _exit(1);
        *end = '\0';
        (void)snprintf(request, sizeof(request), REQUEST("0", "session.open", "{\"nonce\":\"%s\"}"),
                       nonce + 9);
        (void)!write(fd, request, strlen(request));
        n = recv(fd, text, sizeof(text) - 1, 0);
        if (n <= 0 || !strstr(text, "result"))
                _exit(2);
        (void)!write(fd, TOKEN_GET("1"), strlen(TOKEN_GET("1")));
        if (fork() != 0) {
                (void)!read(hold, text, 1);
                _exit(0);
        }
        n = recv(fd, text, sizeof(text), 0);
        (void)!write(answer, n > 0 ? "got" : "end", 3);
        _exit(0);
}

/* S3 */
static void no_answer_goes_to_the_heirs_of_a_dead_process(void **state) {
        struct harness *h = *state;
        char said[4] = "";
        int fds[2];
        int hold[2];
        pid_t child;
        int status = 0;

        assert_int_equal(pipe(fds), 0);
        assert_int_equal(pipe(hold), 0);
        h->call = CALL_PARK;
        child = fork();
        if (child == 0) {
                (void)close(hold[1]);
                heir_main(h->path, fds[1], hold[0]);
        }
        (void)close(fds[1]);
        (void)close(hold[0]);
        harness_wait(h, &h->n_parked, 1);
        (void)close(hold[1]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        if (h->parked[0].fn)
                harness_answer(h, 0, "{\"token\":\"secret\"}");
        harness_spin(h);
        assert_int_equal(read(fds[0], said, 3), 3);
        assert_string_equal(said, "end");
        (void)close(fds[0]);
}

/* A234 S3 */
static void another_user_is_turned_away(void **state) {
        struct harness *h = *state;
        const struct passwd *nobody = getpwnam("nobody");
        struct rpc_counts n;
        char text[512] = "";
        int fds[2];
        pid_t child;

        if (geteuid() != 0 || !nobody)
                skip();
        assert_int_equal(chmod(h->dir, 0755), 0);
        assert_int_equal(chmod(h->path, 0666), 0);
        assert_int_equal(pipe(fds), 0);
        child = fork();
        if (child == 0) {
                int fd;

                if (setgid(nobody->pw_gid) < 0 || setuid(nobody->pw_uid) < 0)
                        _exit(1);
                (void)alarm(20); /* one who is served after all must not wait for ever */
                fd = client_try(h->path);
                (void)!write(fds[1], "!", 1);
                for (ssize_t got; (got = recv(fd, text, sizeof(text), 0)) > 0;)
                        (void)!write(fds[1], text, (size_t)got);
                _exit(0);
        }
        (void)close(fds[1]);
        assert_int_equal(read(fds[0], text, 1), 1);
        harness_spin(h);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
        (void)close(fds[0]);
        assert_non_null(strstr(text, "\"id\":null"));
        assert_non_null(strstr(text, "not_permitted"));
        assert_null(strstr(text, "hello"));
        assert_int_equal(h->n_attested, 0);
        rpc_counts(h->rpc, &n);
        assert_int_equal(n.refused, 1);
        assert_int_equal(n.clients, 0);
}

/* The parameters do not matter: what is not permitted is refused before they are looked at. */
static void each_method_is_served_to_its_class_only(void **state) {
        struct harness *h = *state;

        for (int i = 0; i < 4; i++) {
                bool ours = i & 1;
                bool main_socket = i & 2;
                AUTO_CLOSE int fd = -1;

                h->evidence.ours = ours;
                fd = client_connect(main_socket ? h->path : h->labelled);
                harness_spin(h);
                client_say_open(fd);
                harness_spin(h);
                expect_line(fd, ours && main_socket ? "\"manage\":true" : "\"manage\":false");
                for (enum method m = 0; m < METHOD_COUNT; m++) {
                        bool served = method_class(m) == METHOD_USE || (ours && main_socket);
                        char line[128];

                        (void)snprintf(line, sizeof(line),
                                       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\","
                                       "\"params\":{\"no\":1}}\n",
                                       method_name(m));
                        client_send(fd, line);
                        harness_spin(h);
                        if (method_class(m) == METHOD_OPEN)
                                expect_line(fd, "bad_request");
                        else
                                expect_line(fd, served ? "bad_params" : "not_permitted");
                }
        }
        assert_int_equal(h->n_calls, 0);
}

static void a_session_survives_garbage(void **state) {
        static const struct {
                const char *line;
                const char *answer; /* NULL: none */
        } table[] = {
                { "garbage\n", "\"id\":null,\"error\":{\"code\":-32700" },
                { "\n", "\"id\":null,\"error\":{\"code\":-32700" },
                { "\xff\xfe\n", "-32700" },
                { "["
                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"token.get\"}"
                  "]\n",
                  "-32600" },
                { "{\"id\":5}\n", "\"id\":5,\"error\":{\"code\":-32600" },
                { REQUEST("2", "no.such", "{}"), "\"id\":2,\"error\":{\"code\":-32601" },
                { REQUEST("2", "TOKEN.GET", "{}"), "-32601" },
                { REQUEST("\"z\"", "token.get", "{}"), "\"id\":\"z\",\"error\":{\"code\":-32602" },
                { REQUEST("2", "token.get", "[]"), "-32602" },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"token.get\",\"params\":{\"server\":\"x\"}}\n",
                  NULL },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"no.such\"}\n", NULL },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"broker.stop\",\"params\":[]}\n", NULL },
                { "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}\n", "\"id\":3,\"error\"" },
        };
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                client_send(fd, table[i].line);
                harness_spin(h);
                if (table[i].answer)
                        expect_line(fd, table[i].answer);
                else
                        expect_silence(fd);
        }
        assert_int_equal(h->n_calls, 0);
        client_send(fd, TOKEN_GET("9"));
        harness_spin(h);
        expect_line(fd, "\"id\":9,\"result\"");
}

static void a_request_may_come_in_any_pieces(void **state) {
        static const char line[] = TOKEN_GET("1");
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);

        for (size_t cut = 1; cut < strlen(line); cut++) {
                assert_int_equal(send(fd, line, cut, 0), cut);
                harness_spin(h);
                expect_silence(fd);
                assert_int_equal(send(fd, line + cut, strlen(line) - cut, 0), strlen(line) - cut);
                harness_spin(h);
                expect_line(fd, "\"id\":1,\"result\"");
        }
}

static void requests_are_pipelined_and_answered_in_any_order(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);

        h->call = CALL_PARK;
        client_send(fd, TOKEN_GET("1") TOKEN_GET("\"two\"") TOKEN_GET("3"));
        harness_spin(h);
        assert_int_equal(h->n_parked, 3);
        harness_answer(h, 2, "{\"n\":3}");
        harness_answer(h, 0, "{\"n\":1}");
        harness_answer(h, 1, "{\"n\":2}");
        harness_spin(h);
        expect_line(fd, "\"id\":3,\"result\":{\"n\":3}");
        expect_line(fd, "\"id\":1,\"result\":{\"n\":1}");
        expect_line(fd, "\"id\":\"two\",\"result\":{\"n\":2}");
}

static void a_call_that_cannot_start_is_an_error(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);

        h->call = CALL_FAILS;
        client_send(fd, TOKEN_GET("1"));
        harness_spin(h);
        expect_line(fd, "\"code\":\"internal\"");
        h->call = CALL_ECHO;
        client_send(fd, TOKEN_GET("2"));
        harness_spin(h);
        expect_line(fd, "\"id\":2,\"result\"");
}

static void a_client_that_leaves_abandons_its_requests(void **state) {
        struct harness *h = *state;
        struct rpc_counts n;
        int fd = client_open(h, h->path);

        h->call = CALL_PARK;
        client_send(fd, TOKEN_GET("1") TOKEN_GET("2"));
        harness_spin(h);
        (void)close(fd);
        harness_spin(h);
        assert_int_equal(h->n_abandoned, 2);
        rpc_counts(h->rpc, &n);
        assert_int_equal(n.clients, 0);
        assert_int_equal(n.requests, 0);
}

static void a_client_that_only_listens_gets_its_answer(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);

        h->call = CALL_PARK;
        client_send(fd, TOKEN_GET("1"));
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        harness_spin(h);
        expect_silence(fd);
        harness_answer(h, 0, "{}");
        harness_spin(h);
        expect_line(fd, "\"id\":1,\"result\"");
        expect_end(fd);
}

/* S1 */
static void a_secret_that_came_in_does_not_stay(void **state) {
        static const char unlock[] =
                REQUEST("1", "broker.unlock", "{\"passphrase\":\"correct horse\"}");
        struct harness *h = *state;
        AUTO_CLOSE int fd = client_open(h, h->path);
        const struct conn *c = LIST_ENTRY(h->rpc->conns.next, struct conn, link);

        client_send(fd, unlock);
        harness_spin(h);
        expect_line(fd, "broker.unlock");
        assert_null(memmem(h->rpc->scratch, sizeof(h->rpc->scratch), "correct", 7));
        assert_null(memmem(h->rpc->line.data, h->rpc->line.cap, "correct", 7));
        assert_true(c && c->in.cap == 0);
}

static void free_takes_what_is_under_way_along(void **state) {
        struct harness *h = *state;
        AUTO_CLOSE int a = client_open(h, h->path);
        AUTO_CLOSE int b = -1;

        h->call = CALL_PARK;
        client_send(a, TOKEN_GET("1"));
        harness_spin(h);
        h->attest = ATTEST_LATER;
        b = client_connect(h->path);
        harness_spin(h);
        h->rpc = rpc_free(h->rpc);
        assert_int_equal(h->n_abandoned, 1);
        expect_end(a);
        expect_end(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(a_peer_is_greeted_and_served),
                TEST(nothing_is_said_before_the_peer_is_known),
                TEST(nothing_is_taken_before_the_second_look),
                TEST(only_session_open_opens_a_session),
                TEST(a_nonce_is_good_for_one_connection),
                TEST(a_peer_that_turns_into_another_program_is_refused),
                TEST(unknown_is_no),
                TEST(our_own_daemons_are_not_served),
                TEST(a_client_that_leaves_while_it_is_looked_at_is_forgotten),
                TEST(bytes_of_another_process_end_the_connection),
                TEST(half_a_line_of_another_process_is_not_completed),
                TEST(no_answer_goes_to_the_heirs_of_a_dead_process),
                TEST(another_user_is_turned_away),
                TEST(each_method_is_served_to_its_class_only),
                TEST(a_session_survives_garbage),
                TEST(a_request_may_come_in_any_pieces),
                TEST(requests_are_pipelined_and_answered_in_any_order),
                TEST(a_call_that_cannot_start_is_an_error),
                TEST(a_client_that_leaves_abandons_its_requests),
                TEST(a_client_that_only_listens_gets_its_answer),
                TEST(a_secret_that_came_in_does_not_stay),
                TEST(free_takes_what_is_under_way_along),
        };

        return cmocka_run_group_tests_name("rpc", tests, NULL, NULL);
}
