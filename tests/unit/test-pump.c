/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/pump.h"

#include <poll.h>
#include <sys/socket.h>

#include "loop/loop.h"
#include "test.h"

struct object {
        struct pump *pump;
        int fd;
        short wants;
        int n_ready;
        uint32_t revents;
        int r;
        bool free_in_ready;
};

static int on_ready(void *userdata, uint32_t revents) {
        struct object *o = userdata;
        char data[64];

        o->n_ready++;
        o->revents = revents;
        if (revents & POLLIN)
                (void)recv(o->fd, data, sizeof(data), MSG_DONTWAIT);
        if (o->free_in_ready)
                o->pump = pump_free(o->pump);
        return o->r;
}

static short events(void *userdata) {
        return ((struct object *)userdata)->wants;
}

static const struct pump_ops ops = { on_ready, events, LOOP_CLIENT };

struct fixture {
        sd_event *e;
        struct object o;
        int other;
};

static int setup(void **state) {
        struct fixture *f = calloc(1, sizeof(*f));
        int fds[2];

        assert_non_null(f);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        f->o.fd = fds[0];
        f->other = fds[1];
        assert_int_equal(loop_new(&f->e), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        struct fixture *f = *state;

        f->o.pump = pump_free(f->o.pump);
        f->e = loop_free(f->e);
        (void)close(f->o.fd);
        (void)close(f->other);
        free(f);
        return 0;
}

static void start(struct fixture *f, short wants) {
        f->o.wants = wants;
        assert_int_equal(pump_new(f->e, f->o.fd, &ops, &f->o, "object", &f->o.pump), 0);
}

static void input_wakes_the_object(void **state) {
        struct fixture *f = *state;

        start(f, POLLIN);
        assert_int_equal(sd_event_run(f->e, 0), 0);
        assert_int_equal(send(f->other, "x", 1, 0), 1);
        assert_true(sd_event_run(f->e, USEC_PER_SEC) > 0);
        assert_int_equal(f->o.n_ready, 1);
        assert_int_equal(f->o.revents, POLLIN);
        assert_int_equal(sd_event_run(f->e, 0), 0);
}

static void output_is_waited_for_only_while_there_is_some(void **state) {
        struct fixture *f = *state;

        start(f, POLLIN);
        f->o.wants = POLLIN | POLLOUT;
        assert_int_equal(sd_event_run(f->e, 0), 0);
        pump_update(f->o.pump);
        assert_true(sd_event_run(f->e, USEC_PER_SEC) > 0);
        assert_int_equal(f->o.revents, POLLOUT);
        /* events() is asked again after on_ready() by itself. */
        f->o.wants = POLLIN;
        assert_true(sd_event_run(f->e, USEC_PER_SEC) > 0);
        assert_int_equal(f->o.n_ready, 2);
        assert_int_equal(sd_event_run(f->e, 0), 0);
}

static void an_object_that_wants_nothing_sleeps_even_after_a_hang_up(void **state) {
        struct fixture *f = *state;

        start(f, 0);
        assert_int_equal(send(f->other, "x", 1, 0), 1);
        assert_int_equal(shutdown(f->other, SHUT_RDWR), 0);
        assert_int_equal(sd_event_run(f->e, 0), 0);
        f->o.wants = POLLIN;
        pump_update(f->o.pump);
        assert_true(sd_event_run(f->e, USEC_PER_SEC) > 0);
        assert_true(f->o.revents & POLLIN);
        f->o.wants = 0;
        pump_update(f->o.pump);
        assert_int_equal(sd_event_run(f->e, 0), 0);
        assert_int_equal(f->o.n_ready, 1);
}

static void a_failed_object_is_not_called_again(void **state) {
        struct fixture *f = *state;

        start(f, POLLIN);
        f->o.r = -EPIPE;
        assert_int_equal(shutdown(f->other, SHUT_RDWR), 0);
        assert_true(sd_event_run(f->e, USEC_PER_SEC) > 0);
        assert_int_equal(sd_event_run(f->e, 0), 0);
        pump_update(f->o.pump);
        assert_int_equal(sd_event_run(f->e, 0), 0);
        assert_int_equal(f->o.n_ready, 1);
}

static void an_object_may_free_its_pump_when_called(void **state) {
        struct fixture *f = *state;

        for (int r = -EPIPE; r <= 0; r += EPIPE) {
                start(f, POLLIN);
                f->o.free_in_ready = true;
                f->o.r = r;
                assert_int_equal(send(f->other, "x", 1, 0), 1);
                assert_true(sd_event_run(f->e, USEC_PER_SEC) > 0);
                assert_null(f->o.pump);
                assert_int_equal(sd_event_run(f->e, 0), 0);
        }
        assert_int_equal(f->o.n_ready, 2);
}

static void a_descriptor_that_cannot_be_polled_is_an_error(void **state) {
        struct fixture *f = *state;
        struct pump *p = NULL;

        assert_int_equal(pump_new(f->e, -1, &ops, &f->o, "none", &p), -EBADF);
        assert_null(p);
        assert_null(pump_free(NULL));
}

int main(void) {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        static const struct CMUnitTest tests[] = {
                T(input_wakes_the_object),
                T(output_is_waited_for_only_while_there_is_some),
                T(an_object_that_wants_nothing_sleeps_even_after_a_hang_up),
                T(a_failed_object_is_not_called_again),
                T(an_object_may_free_its_pump_when_called),
                T(a_descriptor_that_cannot_be_polled_is_an_error),
        };
#undef T

        return cmocka_run_group_tests_name("pump", tests, NULL, NULL);
}
