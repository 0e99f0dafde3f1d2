/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "test.h"

/* The injected clock: the linker takes this one in place of base's. */
static uint64_t fake_usec = 1000 * USEC_PER_SEC;

uint64_t clock_boot_usec(void) {
        return fake_usec;
}

uint64_t clock_wall_usec(void) {
        return fake_usec;
}

static int on_count(sd_event_source *s, uint64_t usec, void *userdata) {
        ++*(int *)userdata;
        return 0;
}

static int on_deferred(sd_event_source *s, void *userdata) {
        ++*(int *)userdata;
        return 0;
}

static void a_timer_is_set_on_our_own_clock(void **state) {
        AUTO_LOOP sd_event *e = NULL;
        AUTO_LOOP_SOURCE sd_event_source *past = NULL;
        AUTO_LOOP_SOURCE sd_event_source *future = NULL;
        AUTO_LOOP_SOURCE sd_event_source *never = NULL;
        int n_past = 0;
        int n_future = 0;
        int n_never = 0;

        assert_int_equal(loop_new(&e), 0);
        assert_int_equal(loop_timer(e, fake_usec - 1, on_count, &n_past, "past", &past), 0);
        assert_int_equal(loop_timer(e, fake_usec + 3600 * USEC_PER_SEC, on_count, &n_future,
                                    "future", &future),
                         0);
        assert_int_equal(loop_timer(e, UINT64_MAX, on_count, &n_never, "never", &never), 0);
        assert_true(sd_event_run(e, 5 * USEC_PER_SEC) > 0);
        assert_int_equal(n_past, 1);
        assert_int_equal(sd_event_run(e, 0), 0);
        assert_int_equal(n_past, 1); /* once */
        assert_int_equal(n_future, 0);

        /* An hour later by our clock. */
        fake_usec += 3600 * USEC_PER_SEC;
        assert_int_equal(loop_timer_set(future, fake_usec), 0);
        assert_true(sd_event_run(e, 5 * USEC_PER_SEC) > 0);
        assert_int_equal(n_future, 1);
        assert_int_equal(loop_timer_set(past, fake_usec), 0);
        assert_int_equal(loop_timer_stop(past), 0);
        assert_int_equal(sd_event_run(e, 0), 0);
        assert_int_equal(n_past, 1);
        assert_int_equal(n_never, 0);
}

/* sd-event puts a timer off for as long as its accuracy allows, even where nothing else is due. */
static void assert_put_off(sd_event_source *s, uint64_t min, uint64_t max) {
        uint64_t usec = 0;

        assert_int_equal(sd_event_source_get_time_accuracy(s, &usec), 0);
        assert_in_range(usec, min, max);
}

static void only_a_moment_to_come_may_be_put_off(void **state) {
        AUTO_LOOP sd_event *e = NULL;
        AUTO_LOOP_SOURCE sd_event_source *s = NULL;
        int n = 0;

        assert_int_equal(loop_new(&e), 0);
        assert_int_equal(loop_timer(e, fake_usec, on_count, &n, "now", &s), 0);
        assert_put_off(s, 0, 1);
        assert_int_equal(loop_timer_set(s, fake_usec + USEC_PER_SEC), 0);
        assert_put_off(s, 1000, 10000);
        assert_int_equal(loop_timer_set(s, fake_usec - 1), 0);
        assert_put_off(s, 0, 1);
}

static void what_is_deferred_comes_from_the_loop_once(void **state) {
        AUTO_LOOP sd_event *e = NULL;
        AUTO_LOOP_SOURCE sd_event_source *s = NULL;
        AUTO_LOOP_SOURCE sd_event_source *dropped = NULL;
        int n = 0;
        int n_dropped = 0;

        assert_int_equal(loop_new(&e), 0);
        assert_int_equal(loop_defer(e, on_deferred, &n, "later", &s), 0);
        assert_int_equal(loop_defer(e, on_deferred, &n_dropped, "dropped", &dropped), 0);
        assert_int_equal(n, 0);
        dropped = loop_source_free(dropped);
        assert_true(sd_event_run(e, USEC_PER_SEC) > 0);
        assert_int_equal(sd_event_run(e, 0), 0);
        assert_int_equal(n, 1);
        assert_int_equal(n_dropped, 0);
        assert_null(loop_source_free(NULL));
        assert_null(loop_free(NULL));
}

struct looks {
        sd_event *e;
        int fd;      /* written to at the look after the last eager one */
        int n;       /* looks so far */
        int n_eager; /* so many of them say that it is not the time to sleep */
};

static bool is_eager(void *userdata) {
        struct looks *l = userdata;

        if (l->n == l->n_eager)
                assert_int_equal(write(l->fd, "x", 1), 1);
        return l->n++ < l->n_eager;
}

static int on_end(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        const struct looks *l = userdata;

        return sd_event_exit(l->e, l->n);
}

static void an_eager_loop_looks_again_and_then_sleeps(void **state) {
        AUTO_LOOP sd_event *e = NULL;
        AUTO_LOOP_SOURCE sd_event_source *s = NULL;
        struct looks l = { .n_eager = 5 };
        int fds[2];

        assert_int_equal(loop_new(&e), 0);
        assert_int_equal(pipe(fds), 0);
        l.e = e;
        l.fd = fds[1];
        assert_true(sd_event_add_io(e, &s, fds[0], EPOLLIN, on_end, &l) >= 0);
        assert_int_equal(loop_run(e, is_eager, &l), l.n_eager + 1);
        (void)close(fds[0]);
        (void)close(fds[1]);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_timer_is_set_on_our_own_clock),
                cmocka_unit_test(only_a_moment_to_come_may_be_put_off),
                cmocka_unit_test(what_is_deferred_comes_from_the_loop_once),
                cmocka_unit_test(an_eager_loop_looks_again_and_then_sleeps),
        };

        return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
