/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listener.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "loop/loop.h"
#include "test.h"

#define PATH "/callback/aB3"
#define PAGE "<!doctype html><title>Done</title><p>Connected to example"

struct fixture {
        sd_event *event;
        struct sockowner owner;
        struct listener *listener;
        unsigned n_redirects;
        uint64_t request; /* of the last redirect */
        struct buf query; /* and what it said */
        unsigned answer;  /* status of the page that on_redirect() gives at once; 0: none */
        bool ended;
};

static void give_page(struct fixture *f, uint64_t request, unsigned status) {
        AUTO_BUF struct buf html = BUF_INIT;

        assert_int_equal(buf_append_str(&html, PAGE), 0);
        assert_int_equal(listener_page(f->listener, request, status, &html), 0);
}

static void on_redirect(struct listener *l, uint64_t request, struct buf *query, void *userdata) {
        struct fixture *f = userdata;

        f->n_redirects++;
        f->request = request;
        buf_move(&f->query, query);
        if (f->answer)
                give_page(f, request, f->answer);
}

static void on_end(struct listener *l, void *userdata) {
        struct fixture *f = userdata;

        f->ended = true;
        f->listener = listener_free(f->listener);
}

static const struct listener_ops ops = { .on_redirect = on_redirect, .on_end = on_end };

static int open_listener(struct fixture *f, uint16_t port, bool ipv6, struct error *err) {
        struct listener_options o = { .path = PATH, .port = port, .ipv6 = ipv6 };

        return listener_new(f->event, &f->owner, &o, &ops, f, &f->listener, err);
}

static int set_up(void **state) {
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->owner = SOCKOWNER_INIT;
        assert_int_equal(sockowner_open(&f->owner, NULL), 0);
        assert_int_equal(loop_new(&f->event), 0);
        assert_int_equal(open_listener(f, 0, false, NULL), 0);
        *state = f;
        return 0;
}

static int tear_down(void **state) {
        struct fixture *f = *state;

        f->listener = listener_free(f->listener);
        sockowner_close(&f->owner);
        buf_done(&f->query);
        f->event = loop_free(f->event);
        free(f);
        return 0;
}

/* ---- a browser ---- */

struct browser {
        sd_event_source *source;
        int fd;
        struct buf in;
        bool closed;
};

static int on_browser(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        struct browser *b = userdata;
        char data[4096];
        ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

        if (n > 0) {
                assert_int_equal(buf_append(&b->in, data, (size_t)n), 0);
        } else {
                b->closed = true;
                assert_true(sd_event_source_set_enabled(s, SD_EVENT_OFF) >= 0);
        }
        return 0;
}

static struct browser *browser_new(struct fixture *f, const char *text, size_t len) {
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(listener_port(f->listener)),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct browser *b = calloc(1, sizeof(*b));

        assert_non_null(b);
        b->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(b->fd >= 0);
        assert_int_equal(connect(b->fd, (struct sockaddr *)&a, sizeof(a)), 0);
        if (len > 0)
                assert_int_equal(send(b->fd, text, len, MSG_NOSIGNAL), len);
        assert_true(sd_event_add_io(f->event, &b->source, b->fd, EPOLLIN, on_browser, b) >= 0);
        return b;
}

static void browser_free(struct browser *b) {
        (void)sd_event_source_disable_unref(b->source);
        (void)close(b->fd);
        buf_done(&b->in);
        free(b);
}

static void settle(struct fixture *f) {
        while (sd_event_run(f->event, 30 * USEC_PER_MSEC) > 0)
                ;
}

static void run_until_closed(struct fixture *f, struct browser *b) {
        while (!b->closed)
                assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
}

static void format_request(const struct fixture *f, struct buf *text, const char *method,
                           const char *target) {
        assert_int_equal(buf_printf(text, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", method,
                                    target, listener_port(f->listener)),
                         0);
}

static struct browser *start(struct fixture *f, const char *method, const char *target) {
        AUTO_BUF struct buf text = BUF_INIT;

        format_request(f, &text, method, target);
        return browser_new(f, text.data, text.len);
}

/* The whole answer; the caller frees it. */
static char *ask_raw(struct fixture *f, const char *text) {
        struct browser *b = browser_new(f, text, strlen(text));
        char *answer;

        run_until_closed(f, b);
        answer = buf_steal(&b->in);
        browser_free(b);
        return answer;
}

static char *ask(struct fixture *f, const char *method, const char *target) {
        AUTO_BUF struct buf text = BUF_INIT;

        format_request(f, &text, method, target);
        return ask_raw(f, text.data);
}

static void assert_status(const char *answer, unsigned status) {
        char expected[32];

        (void)snprintf(expected, sizeof(expected), "HTTP/1.1 %u ", status);
        if (strncmp(answer, expected, strlen(expected)) != 0)
                fail_msg("%u expected: %s", status, answer);
}

static void assert_safe(const char *answer) {
        static const char *const fields[] = {
                "\r\nCache-Control: no-store\r\n",
                "\r\nReferrer-Policy: no-referrer\r\n",
                "\r\nX-Content-Type-Options: nosniff\r\n",
                "\r\nContent-Security-Policy: default-src 'none'; ",
                "frame-ancestors 'none'\r\n",
                "\r\nX-Frame-Options: DENY\r\n",
                "\r\nContent-Type: text/html; charset=utf-8\r\n",
        };

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (!strstr(answer, fields[i]))
                        fail_msg("no %s in %s", fields[i], answer);
        assert_null(strstr(answer, "s3cr3t"));
}

/* Where the 303 leads. */
static void take_location(const char *answer, char *target, size_t n_target) {
        const char *p = strstr(answer, "\r\nLocation: ");
        size_t n;

        assert_status(answer, 303);
        assert_non_null(p);
        p += strlen("\r\nLocation: ");
        n = strcspn(p, "\r");
        assert_true(n < n_target);
        memcpy(target, p, n);
        target[n] = '\0';
        assert_int_equal(strncmp(target, "/done/", 6), 0);
        assert_int_equal(n, 6 + 32);
}

/* ---- the way of a login ---- */

/* A104 A123 */
static void a_redirect_is_redeemed_first_and_then_sent_to_a_page_without_the_code(void **state) {
        struct fixture *f = *state;
        struct browser *b = start(f, "GET", PATH "?code=s3cr3t%2Bx&state=a+b&iss=");
        AUTO_FREE char *page = NULL;
        char target[64];

        settle(f);
        assert_int_equal(f->n_redirects, 1);
        assert_string_equal(f->query.data, "code=s3cr3t%2Bx&state=a+b&iss=");
        assert_int_equal(b->in.len, 0); /* not before it was redeemed */

        give_page(f, f->request, 200);
        run_until_closed(f, b);
        assert_safe(b->in.data);
        take_location(b->in.data, target, sizeof(target));
        browser_free(b);

        assert_false(f->ended);
        page = ask(f, "GET", target);
        assert_status(page, 200);
        assert_safe(page);
        assert_non_null(strstr(page, "\r\n\r\n" PAGE));
        settle(f);
        assert_true(f->ended);
        assert_int_equal(f->n_redirects, 1);
}

/* A104 */
static void after_a_valid_response_nothing_more_is_taken(void **state) {
        struct fixture *f = *state;
        AUTO_FREE char *first = NULL;
        AUTO_FREE char *second = NULL;

        f->answer = 200;
        first = ask(f, "GET", PATH "?code=1");
        assert_status(first, 303);
        second = ask(f, "GET", PATH "?code=2");
        assert_status(second, 404);
        assert_int_equal(f->n_redirects, 1);
        assert_string_equal(f->query.data, "code=1");
}

/* A93 A104 */
static void an_invalid_response_does_not_end_the_login(void **state) {
        struct fixture *f = *state;
        char target[64];

        f->answer = 400;
        for (unsigned i = 1; i <= 3; i++) {
                AUTO_FREE char *answer = ask(f, "GET", PATH "?state=wrong");
                AUTO_FREE char *page = NULL;
                AUTO_FREE char *again = NULL;

                take_location(answer, target, sizeof(target));
                page = ask(f, "GET", target);
                assert_status(page, 400);
                assert_safe(page);
                again = ask(f, "GET", target); /* once, and no more */
                assert_status(again, 404);
                assert_int_equal(f->n_redirects, i);
        }
        assert_false(f->ended);
}

/* A105 A112 */
static void other_requests_have_no_effect(void **state) {
        static const struct {
                const char *request; /* with the port in the place of %u */
                unsigned status;
        } table[] = {
                { "POST " PATH
                  "?code=1 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Length: 0\r\n\r\n",
                  405 },
                { "POST " PATH "?code=1 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Length: 5\r\n\r\n"
                  "hello",
                  405 },
                { "HEAD " PATH "?code=1 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", 405 },
                { "OPTIONS " PATH
                  " HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nOrigin: https://evil.example\r\n"
                  "Access-Control-Request-Private-Network: true\r\n\r\n",
                  405 },
                { "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", 404 },
                { "GET /favicon.ico HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", 404 },
                { "GET " PATH "/?code=1 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", 404 },
                { "GET /callback/other?code=1 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", 404 },
                { "GET /callback/%%61B3?code=1 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", 404 },
                { "GET /done/00112233445566778899aabbccddeeff HTTP/1.1\r\nHost: "
                  "127.0.0.1:%u\r\n\r\n",
                  404 },
                { "GET " PATH "?code=1 HTTP/1.1\r\nHost: evil.example:%u\r\n\r\n", 400 },
                { "GET " PATH "?code=1 HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", 400 },
                { "GET " PATH "?code=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Port: %u\r\n\r\n", 400 },
                { "GET " PATH
                  "?code=1 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nHost: evil.example\r\n\r\n",
                  400 },
                { "GET " PATH
                  "?code=1 HTTP/1.1\r\nHost: evil.example\r\nHost: 127.0.0.1:%u\r\n\r\n",
                  400 },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf text = BUF_INIT;
                AUTO_FREE char *answer = NULL;
                const char *at = strstr(table[i].request, "%u");

                assert_int_equal(
                        buf_append(&text, table[i].request, (size_t)(at - table[i].request)), 0);
                assert_int_equal(buf_printf(&text, "%u%s", listener_port(f->listener), at + 2), 0);
                answer = ask_raw(f, text.data);
                assert_status(answer, table[i].status);
                assert_safe(answer);
                if (table[i].status == 405)
                        assert_non_null(strstr(answer, "\r\nAllow: GET\r\n"));
                assert_null(strstr(answer, "Access-Control"));
        }
        assert_int_equal(f->n_redirects, 0);
        assert_false(f->ended);
}

static void what_is_not_http_has_no_effect(void **state) {
        static const char *const table[] = {
                "garbage\r\n\r\n",
                "\x16\x03\x01\x02",
                "GET\r\n\r\n",
                "GET " PATH "?code=1\r\n\r\n",
                "\r\n\r\n\r\n",
                "GET " PATH "?code=1 HTTP/1.1\r\n\r\n",
                "GET " PATH "?code=1 HTTP/1.0\r\n\r\n",
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct browser *b = browser_new(f, table[i], strlen(table[i]));

                settle(f);
                browser_free(b);
                settle(f);
        }
        assert_int_equal(f->n_redirects, 0);
        assert_false(f->ended);
}

static void a_request_cut_anywhere_has_no_effect(void **state) {
        struct fixture *f = *state;
        AUTO_BUF struct buf text = BUF_INIT;

        format_request(f, &text, "GET", PATH "?code=1");
        for (size_t n = 0; n < text.len; n++) {
                struct browser *b = browser_new(f, text.data, n);

                /* What was sent is read before the end comes: libmicrohttpd would keep the
                 * connection until it times out. */
                while (sd_event_run(f->event, USEC_PER_MSEC) > 0)
                        ;
                browser_free(b);
        }
        settle(f);
        assert_int_equal(f->n_redirects, 0);
        f->answer = 200;
        free(ask_raw(f, text.data));
        assert_int_equal(f->n_redirects, 1);
}

/* ---- bounds ---- */

/* S9 */
static void the_number_of_requests_is_bounded(void **state) {
        struct fixture *f = *state;

        f->answer = 400;
        for (unsigned i = 0; i < 64; i++)
                free(ask(f, "GET", i % 2 ? "/" : PATH "?x"));
        assert_int_equal(f->n_redirects, 32);
        for (unsigned i = 0; i < 3; i++) {
                AUTO_FREE char *answer = ask(f, "GET", PATH "?x");

                assert_status(answer, 503);
        }
        assert_int_equal(f->n_redirects, 32);
}

/* S9 */
static void the_number_of_redirects_that_wait_is_bounded(void **state) {
        struct fixture *f = *state;
        struct browser *b[4];
        AUTO_FREE char *answer = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(b); i++)
                b[i] = start(f, "GET", PATH "?x");
        settle(f);
        assert_int_equal(f->n_redirects, ARRAY_SIZE(b));
        answer = ask(f, "GET", PATH "?x");
        assert_status(answer, 503);
        for (size_t i = 0; i < ARRAY_SIZE(b); i++)
                browser_free(b[i]);
}

/* S9 */
static void a_head_without_end_is_cut_off(void **state) {
        struct fixture *f = *state;
        AUTO_BUF struct buf text = BUF_INIT;
        struct browser *b;

        assert_int_equal(buf_append_str(&text, "GET " PATH "?code="), 0);
        while (text.len < (size_t)256 * 1024)
                assert_int_equal(buf_append_str(&text, "0123456789abcdef"), 0);
        b = browser_new(f, text.data, 32 * 1024);
        settle(f);
        for (size_t sent = 0; !b->closed && sent < text.len; sent += 1024) {
                (void)send(b->fd, text.data, 1024, MSG_NOSIGNAL | MSG_DONTWAIT);
                settle(f);
        }
        assert_true(b->closed);
        browser_free(b);
        assert_int_equal(f->n_redirects, 0);
}

/* ---- the end ---- */

static void unlistening_tells_those_who_wait(void **state) {
        struct fixture *f = *state;
        struct browser *b = start(f, "GET", PATH "?x");
        AUTO_BUF struct buf html = BUF_INIT;

        settle(f);
        assert_int_equal(f->n_redirects, 1);
        listener_finish(f->listener);
        assert_int_equal(listener_page(f->listener, f->request, 200, &html), -ENOENT);
        run_until_closed(f, b);
        assert_status(b->in.data, 503);
        browser_free(b);
        settle(f);
        assert_true(f->ended);
}

static void unlistening_without_visitors_ends_at_once(void **state) {
        struct fixture *f = *state;

        listener_finish(f->listener);
        listener_finish(f->listener);
        assert_false(f->ended); /* from the loop, not from here */
        settle(f);
        assert_true(f->ended);
}

static void a_promised_page_is_still_served_after_unlistening(void **state) {
        struct fixture *f = *state;
        AUTO_FREE char *answer = NULL;
        AUTO_FREE char *page = NULL;
        char target[64];

        f->answer = 400;
        answer = ask(f, "GET", PATH "?x");
        take_location(answer, target, sizeof(target));
        listener_finish(f->listener);
        settle(f);
        assert_false(f->ended);
        page = ask(f, "GET", target);
        assert_status(page, 400);
        settle(f);
        assert_true(f->ended);
}

static void a_browser_that_leaves_early_does_no_harm(void **state) {
        struct fixture *f = *state;
        struct browser *b = start(f, "GET", PATH "?x");

        settle(f);
        browser_free(b);
        settle(f);
        give_page(f, f->request, 200);
        settle(f);
        assert_false(f->ended); /* waits a while for somebody to fetch the page */
}

static void a_listener_may_be_freed_while_somebody_waits(void **state) {
        struct fixture *f = *state;
        struct browser *b = start(f, "GET", PATH "?x");

        settle(f);
        assert_int_equal(f->n_redirects, 1);
        f->listener = listener_free(f->listener);
        settle(f);
        assert_true(b->closed);
        assert_status(b->in.data, 503);
        browser_free(b);
}

static void only_pages_that_were_asked_for_are_taken(void **state) {
        struct fixture *f = *state;
        AUTO_BUF struct buf html = BUF_INIT;

        assert_int_equal(listener_page(f->listener, 1, 200, &html), -ENOENT);
        assert_int_equal(listener_page(f->listener, 0, 200, &html), -ENOENT);
        assert_int_equal(listener_page(f->listener, 1, 302, &html), -EINVAL);
}

/* ---- where it listens ---- */

/* A102 A103 */
static void it_binds_to_loopback_and_a_port_of_the_systems_choice(void **state) {
        struct fixture *f = *state;
        struct fixture other = { .event = f->event, .owner = f->owner };
        struct sockaddr_in outside = { .sin_family = AF_INET,
                                       .sin_port = htons(listener_port(f->listener)),
                                       .sin_addr.s_addr = htonl(0x7f000002) };
        AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(open_listener(&other, 0, false, NULL), 0);
        assert_int_not_equal(listener_port(f->listener), listener_port(other.listener));
        other.listener = listener_free(other.listener);
        /* 127.0.0.2 would reach a socket that is bound to all addresses. */
        assert_int_equal(connect(fd, (struct sockaddr *)&outside, sizeof(outside)), -1);
        assert_int_equal(errno, ECONNREFUSED);
}

static void a_port_in_use_is_an_error_that_says_so(void **state) {
        struct fixture *f = *state;
        struct fixture other = { .event = f->event, .owner = f->owner };
        struct error err = ERROR_INIT;

        assert_int_equal(open_listener(&other, listener_port(f->listener), false, &err),
                         -EADDRINUSE);
        assert_int_equal(err.code, MCPB_EXISTS);
        assert_null(other.listener);
}

static void the_same_port_can_be_listened_on_again(void **state) {
        struct fixture *f = *state;
        uint16_t port = listener_port(f->listener);
        AUTO_FREE char *answer = NULL;

        f->answer = 400;
        free(ask(f, "GET", PATH "?x")); /* leaves a connection in TIME_WAIT */
        f->listener = listener_free(f->listener);
        assert_int_equal(open_listener(f, port, false, NULL), 0);
        assert_int_equal(listener_port(f->listener), port);
        answer = ask(f, "GET", PATH "?x");
        assert_status(answer, 303);
}

/* DESIGN 12.11: the redirect comes from a process of our own user, or has no effect. */
static void another_users_connection_is_closed_unread(void **state) {
        struct fixture *f = *state;
        AUTO_BUF struct buf text = BUF_INIT;
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(listener_port(f->listener)),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int status = -1;
        pid_t pid;

        if (getuid() != 0)
                skip(); /* needs to become another user */
        format_request(f, &text, "GET", PATH "?code=1");
        pid = fork();
        if (pid == 0) {
                char answer[64];
                int fd;

                if (setuid(12345) != 0)
                        _exit(1);
                fd = socket(AF_INET, SOCK_STREAM, 0);
                if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
                        _exit(2);
                (void)send(fd, text.data, text.len, MSG_NOSIGNAL);
                _exit(recv(fd, answer, sizeof(answer), 0) <= 0 ? 0 : 3);
        }
        while (waitpid(pid, &status, WNOHANG) == 0)
                assert_true(sd_event_run(f->event, 10 * USEC_PER_MSEC) >= 0);
        assert_int_equal(status, 0);
        assert_int_equal(f->n_redirects, 0);
}

static void nobody_is_let_in_when_nobody_can_be_known(void **state) {
        struct fixture *f = *state;
        struct browser *b;

        sockowner_close(&f->owner);
        b = start(f, "GET", PATH "?x");
        run_until_closed(f, b);
        assert_int_equal(b->in.len, 0);
        assert_int_equal(f->n_redirects, 0);
        browser_free(b);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(a_redirect_is_redeemed_first_and_then_sent_to_a_page_without_the_code),
                TEST(after_a_valid_response_nothing_more_is_taken),
                TEST(an_invalid_response_does_not_end_the_login),
                TEST(other_requests_have_no_effect),
                TEST(what_is_not_http_has_no_effect),
                TEST(a_request_cut_anywhere_has_no_effect),
                TEST(the_number_of_requests_is_bounded),
                TEST(the_number_of_redirects_that_wait_is_bounded),
                TEST(a_head_without_end_is_cut_off),
                TEST(unlistening_tells_those_who_wait),
                TEST(unlistening_without_visitors_ends_at_once),
                TEST(a_promised_page_is_still_served_after_unlistening),
                TEST(a_browser_that_leaves_early_does_no_harm),
                TEST(a_listener_may_be_freed_while_somebody_waits),
                TEST(only_pages_that_were_asked_for_are_taken),
                TEST(it_binds_to_loopback_and_a_port_of_the_systems_choice),
                TEST(a_port_in_use_is_an_error_that_says_so),
                TEST(the_same_port_can_be_listened_on_again),
                TEST(another_users_connection_is_closed_unread),
                TEST(nobody_is_let_in_when_nobody_can_be_known),
        };

        return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
