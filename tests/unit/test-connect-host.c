/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/host.h"

#include <fcntl.h>
#include <signal.h>

#include "loop/loop.h"
#include "test.h"

struct rig {
        sd_event *event;
        struct host *host;
        int to_host;   /* what the host says is written here */
        int from_host; /* and what it hears is read here */
        int in_fd;
        int out_fd;
        struct buf lines; /* what was told, with LF */
        int n_overlong;
        int n_ended;
        int end;
        int n_drained;
};

static void on_line(struct buf *line, void *userdata) {
        struct rig *g = userdata;

        assert_int_equal(buf_append(&g->lines, line->data, line->len), 0);
        assert_int_equal(buf_append(&g->lines, "\n", 1), 0);
}

static void on_overlong(void *userdata) {
        struct rig *g = userdata;

        g->n_overlong++;
}

static void on_end(int r, void *userdata) {
        struct rig *g = userdata;

        g->n_ended++;
        g->end = r;
}

static void on_drained(void *userdata) {
        struct rig *g = userdata;

        g->n_drained++;
}

static void rig_begin(struct rig *g, size_t line_max) {
        static const struct host_ops ops = { .on_line = on_line,
                                             .on_overlong = on_overlong,
                                             .on_end = on_end,
                                             .on_drained = on_drained };
        int in[2];
        int out[2];

        *g = (struct rig){ 0 };
        assert_int_equal(pipe2(in, O_CLOEXEC), 0);
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        g->in_fd = in[0];
        g->to_host = in[1];
        g->from_host = out[0];
        g->out_fd = out[1];
        assert_int_equal(loop_new(&g->event), 0);
        assert_int_equal(host_new(g->event, g->in_fd, g->out_fd, line_max, &ops, g, &g->host), 0);
}

static void turn(struct rig *g) {
        while (sd_event_run(g->event, 0) > 0)
                ;
}

static void say(struct rig *g, const char *text) {
        size_t len = strlen(text);

        assert_int_equal(write(g->to_host, text, len), (ssize_t)len);
        turn(g);
}

static void rig_end(struct rig *g) {
        g->host = host_free(g->host);
        (void)loop_free(g->event);
        if (g->to_host >= 0)
                (void)close(g->to_host);
        if (g->from_host >= 0)
                (void)close(g->from_host);
        (void)close(g->in_fd);
        (void)close(g->out_fd);
        buf_done(&g->lines);
}

static void lines_are_found_however_they_are_cut(void **state) {
        static const char text[] = "{\"a\":1}\r\n\n{\"b\":2}\nlast";

        for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
                struct rig g;
                char first[sizeof(text)];

                rig_begin(&g, 1024);
                (void)snprintf(first, sizeof(first), "%.*s", (int)cut, text);
                say(&g, first);
                say(&g, text + cut);
                assert_int_equal(close(g.to_host), 0);
                g.to_host = -1;
                turn(&g);
                assert_string_equal(g.lines.data, "{\"a\":1}\n{\"b\":2}\nlast\n");
                assert_int_equal(g.n_ended, 1);
                assert_int_equal(g.end, 0);
                rig_end(&g);
        }
}

static void a_line_that_is_too_long_is_skipped_and_told_once(void **state) {
        struct rig g;

        rig_begin(&g, 8);
        say(&g, "12345678901234567890");
        say(&g, "12345678901234567890\nshort\n");
        assert_int_equal(g.n_overlong, 1);
        assert_string_equal(g.lines.data, "short\n");
        rig_end(&g);
}

static void while_it_is_held_nothing_is_read(void **state) {
        struct rig g;

        rig_begin(&g, 1024);
        host_hold(g.host, true);
        say(&g, "later\n");
        assert_int_equal(g.lines.len, 0);
        host_hold(g.host, false);
        turn(&g);
        assert_string_equal(g.lines.data, "later\n");
        rig_end(&g);
}

static void a_message_becomes_one_line(void **state) {
        static const char pretty[] = "{\r\n  \"a\": \"x y\",\n  \"b\": [ 1 ]\n}";
        char text[256] = "";
        struct rig g;

        rig_begin(&g, 1024);
        host_send(g.host, (struct span){ pretty, sizeof(pretty) - 1 });
        host_send(g.host, (struct span){ "{ \"c\": 1.0 }", 12 });
        assert_true(read(g.from_host, text, sizeof(text) - 1) > 0);
        assert_string_equal(text, "{\"a\":\"x y\",\"b\":[1]}\n{ \"c\": 1.0 }\n");
        rig_end(&g);
}

/* Reads all there is, and says how much that was. */
static size_t drain(struct rig *g) {
        static char sink[1024 * 1024];
        size_t total = 0;
        ssize_t n;

        while ((n = read(g->from_host, sink, sizeof(sink))) > 0) {
                total += (size_t)n;
                turn(g);
        }
        return total;
}

static void a_host_that_does_not_read_makes_it_full_and_reading_drains_it(void **state) {
        AUTO_BUF struct buf big = BUF_INIT;
        size_t sent = 0;
        struct rig g;

        for (int i = 0; i < 1024 * 1024; i++)
                assert_int_equal(buf_append(&big, "x", 1), 0);
        rig_begin(&g, 1024);
        assert_int_equal(fcntl(g.from_host, F_SETFL, O_NONBLOCK), 0);
        for (int i = 0; i < 6; i++) {
                assert_int_equal(host_is_full(g.host), i >= 5);
                host_send(g.host, (struct span){ big.data, big.len });
                sent += big.len + 1;
        }
        assert_true(host_is_full(g.host));
        assert_int_equal(drain(&g), sent);
        assert_int_equal(g.n_drained, 1);
        assert_false(host_is_full(g.host));
        rig_end(&g);
}

static void a_host_that_has_gone_is_told_from_the_loop(void **state) {
        struct rig g;

        rig_begin(&g, 1024);
        assert_int_equal(close(g.from_host), 0);
        g.from_host = -1;
        host_send(g.host, (struct span){ "{}", 2 });
        assert_int_equal(g.n_ended, 0);
        turn(&g);
        assert_int_equal(g.n_ended, 1);
        assert_int_equal(g.end, -EPIPE);
        host_send(g.host, (struct span){ "{}", 2 });
        turn(&g);
        assert_int_equal(g.n_ended, 1);
        rig_end(&g);
}

static void the_flags_of_its_output_are_put_back(void **state) {
        struct rig g;
        int before;

        rig_begin(&g, 1024);
        before = fcntl(g.out_fd, F_GETFL);
        assert_true(before & O_NONBLOCK);
        g.host = host_free(g.host);
        assert_false(fcntl(g.out_fd, F_GETFL) & O_NONBLOCK);
        rig_end(&g);
}

static int ignore_sigpipe(void **state) {
        return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(lines_are_found_however_they_are_cut),
                cmocka_unit_test(a_line_that_is_too_long_is_skipped_and_told_once),
                cmocka_unit_test(while_it_is_held_nothing_is_read),
                cmocka_unit_test(a_message_becomes_one_line),
                cmocka_unit_test(a_host_that_does_not_read_makes_it_full_and_reading_drains_it),
                cmocka_unit_test(a_host_that_has_gone_is_told_from_the_loop),
                cmocka_unit_test(the_flags_of_its_output_are_put_back),
        };

        return cmocka_run_group_tests(tests, ignore_sigpipe, NULL);
}
