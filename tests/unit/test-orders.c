/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's ends of the streams to processes that carry out one order each. */
#include "daemon/orders.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "loop/loop.h"
#include "oom.h"
#include "test.h"
#include "wire/chan.h"

#define MANY (LIMIT_ORDERS + 3)

/* --- timers that fire when the test says so ------------------------------------------------ */

struct timer {
        sd_event_source *source;
        sd_event_time_handler_t fn;
        void *userdata;
        uint64_t usec;
};

static struct timer timers[MANY];

int __wrap_loop_timer(sd_event *e, uint64_t usec, sd_event_time_handler_t fn, void *userdata,
                      const char *description, sd_event_source **ret);
int __wrap_loop_timer_set(sd_event_source *s, uint64_t usec);

static int never(sd_event_source *s, void *userdata) {
        return 0;
}

static void forget_timer(void *userdata) {
        struct timer *t = userdata;

        *t = (struct timer){ 0 };
}

int __wrap_loop_timer(sd_event *e, uint64_t usec, sd_event_time_handler_t fn, void *userdata,
                      const char *description, sd_event_source **ret) {
        struct timer *t = timers;

        while (t->fn)
                t++;
        assert_true(t < timers + MANY);
        if (sd_event_add_defer(e, ret, never, t) < 0)
                return -ENOMEM;
        assert_true(sd_event_source_set_enabled(*ret, SD_EVENT_OFF) >= 0);
        assert_true(sd_event_source_set_destroy_callback(*ret, forget_timer) >= 0);
        *t = (struct timer){ *ret, fn, userdata, usec };
        return 0;
}

int __wrap_loop_timer_set(sd_event_source *s, uint64_t usec) {
        for (size_t i = 0; i < MANY; i++)
                if (timers[i].source == s)
                        timers[i].usec = usec;
        return 0;
}

static unsigned n_timers(void) {
        unsigned n = 0;

        for (size_t i = 0; i < MANY; i++)
                n += timers[i].fn != NULL;
        return n;
}

/* --- the world ----------------------------------------------------------------------------- */

struct told {
        unsigned n;
        int r;
        char text[64]; /* bytes, or the answer's body */
        unsigned status;
        struct error err;
        struct world *world;
        bool again; /* gives another order when it is told */
};

struct world {
        sd_event *event;
        struct orders *orders;
        struct told told[MANY];
        uint64_t last_id;
        /* What session was asked to start. */
        uint64_t started[MANY];
        struct chan *far[MANY];
        size_t n_started;
        int refuse; /* session takes nothing: why */
};

static int on_start(uint64_t id, int fd, void *userdata) {
        struct world *w = userdata;

        if (w->refuse < 0)
                return w->refuse;
        assert_true(w->n_started < MANY);
        w->started[w->n_started] = id;
        oom_pause(true);
        w->far[w->n_started] = chan_new(fcntl(fd, F_DUPFD_CLOEXEC, 3));
        oom_pause(false);
        assert_non_null(w->far[w->n_started++]);
        return 0;
}

static int set_up(void **state) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        *state = w;
        assert_int_equal(loop_new(&w->event), 0);
        assert_int_equal(orders_new(w->event, on_start, w, &w->orders), 0);
        orders_session_here(w->orders);
        return 0;
}

static int tear_down(void **state) {
        struct world *w = *state;

        w->orders = orders_free(w->orders);
        assert_int_equal(n_timers(), 0);
        for (size_t i = 0; i < MANY; i++)
                w->far[i] = chan_free(w->far[i]);
        (void)loop_free(w->event);
        free(w);
        return 0;
}

static void run(struct world *w) {
        while (sd_event_run(w->event, 0) > 0)
                ;
}

static uint64_t add(struct world *w, struct order *o, struct told *told);

static void on_done(int r, struct fetch_answer *answer, struct buf *bytes, const struct error *err,
                    void *userdata) {
        struct told *t = userdata;
        const struct buf *b = answer ? &answer->body : bytes;
        struct order o;

        t->n++;
        t->r = r;
        assert_true((r < 0) == (err != NULL));
        assert_true((r < 0) == (answer == NULL && bytes == NULL));
        t->err = err ? *err : ERROR_INIT;
        t->status = answer ? answer->status : 0;
        if (b && b->len > 0)
                (void)snprintf(t->text, sizeof(t->text), "%s", b->data);
        if (!t->again)
                return;
        t->again = false;
        order_init(&o, ORDER_READ);
        assert_int_equal(order_set_path(&o, "/again"), 0);
        o.max = 9;
        (void)add(t->world, &o, t);
}

static uint64_t add(struct world *w, struct order *o, struct told *told) {
        uint64_t id = ++w->last_id;

        told->world = w;
        assert_int_equal(orders_add(w->orders, id, o, on_done, told), 0);
        assert_null(o->path); /* moved */
        order_done(o);
        return id;
}

static uint64_t add_read(struct world *w, struct told *told) {
        struct order o;

        order_init(&o, ORDER_READ);
        assert_int_equal(order_set_path(&o, "/token"), 0);
        o.max = 9;
        return add(w, &o, told);
}

static uint64_t add_call(struct world *w, struct told *told) {
        struct order o;

        order_init(&o, ORDER_CALL);
        assert_int_equal(order_set_path(&o, "/api.sock"), 0);
        assert_int_equal(fetch_request_set(&o.fetch, "POST", "http://localhost/"), 0);
        assert_int_equal(buf_append_str(&o.fetch.body, "ask"), 0);
        o.fetch.timeout_msec = 5000;
        o.fetch.body_max = 100;
        return add(w, &o, told);
}

/* The order as the process gets it. */
static struct order receive(struct chan *far) {
        struct frame f = FRAME_INIT;
        struct order o;

        order_init(&o, ORDER_READ);
        assert_int_equal(chan_read(far), 0);
        assert_int_equal(chan_next(far, &f), 1);
        assert_int_equal(f.n_fds, 0);
        assert_int_equal(order_from_head(&o, f.head, &f.body), 0);
        frame_done(&f);
        return o;
}

static void reply(struct chan *far, struct order_reply *p, enum order_kind kind, const char *text) {
        AUTO_JSON json_t *head = NULL;
        AUTO_BUF struct buf body = BUF_INIT;

        assert_int_equal(buf_append_str(&body, text), 0);
        assert_int_equal(order_reply_to_head(p, kind, &head), 0);
        assert_int_equal(chan_send(far, head, &body, NULL, 0), 0);
        order_reply_done(p);
}

static void reply_read(struct world *w, size_t i, const char *text) {
        struct order_reply p;

        order_reply_init(&p);
        reply(w->far[i], &p, ORDER_READ, text);
        w->far[i] = chan_free(w->far[i]);
        run(w);
}

static void assert_read(const struct told *t, const char *text) {
        assert_int_equal(t->n, 1);
        assert_int_equal(t->r, 0);
        assert_string_equal(t->text, text);
}

static void assert_failed(const struct told *t, int r, enum error_code code) {
        assert_int_equal(t->n, 1);
        assert_int_equal(t->r, r);
        assert_int_equal(t->err.code, code);
        assert_true(t->err.message[0] != '\0');
}

/* --- tests --------------------------------------------------------------------------------- */

static void what_a_process_reads_comes_to_who_asked(void **state) {
        struct world *w = *state;
        struct order o;
        uint64_t id = add_read(w, &w->told[0]);

        assert_int_equal(w->n_started, 0); /* not before it has returned */
        run(w);
        assert_int_equal(w->n_started, 1);
        assert_int_equal(w->started[0], id);
        o = receive(w->far[0]);
        assert_int_equal(o.kind, ORDER_READ);
        assert_string_equal(o.path, "/token");
        order_done(&o);
        reply_read(w, 0, "abc");
        assert_read(&w->told[0], "abc");
        assert_int_equal(n_timers(), 0);
        orders_ended(w->orders, id, NULL); /* nobody waits for that any more */
        assert_int_equal(w->told[0].n, 1);
}

static void a_call_has_its_answer(void **state) {
        struct world *w = *state;
        struct order_reply p;
        struct order o;

        (void)add_call(w, &w->told[0]);
        run(w);
        o = receive(w->far[0]);
        assert_int_equal(o.kind, ORDER_CALL);
        assert_string_equal(o.fetch.body.data, "ask");
        order_done(&o);
        order_reply_init(&p);
        p.answer.outcome = FETCH_ANSWERED;
        p.answer.status = 200;
        reply(w->far[0], &p, ORDER_CALL, "svid");
        run(w);
        assert_read(&w->told[0], "svid");
        assert_int_equal(w->told[0].status, 200);
}

static void a_failure_has_its_words(void **state) {
        struct world *w = *state;
        struct order_reply p;

        (void)add_read(w, &w->told[0]);
        run(w);
        order_reply_init(&p);
        p.r = error_set(&p.err, MCPB_NOT_FOUND, ENOENT, "Mount it", "%s is not there", "/token");
        reply(w->far[0], &p, ORDER_READ, "");
        run(w);
        assert_failed(&w->told[0], -ENOENT, MCPB_NOT_FOUND);
        assert_string_equal(w->told[0].err.message, "/token is not there");
        assert_string_equal(w->told[0].err.hint, "Mount it");
}

/* S9 */
static void only_some_are_under_way_at_once(void **state) {
        struct world *w = *state;

        for (size_t i = 0; i < MANY; i++)
                (void)add_read(w, &w->told[i]);
        run(w);
        assert_int_equal(w->n_started, LIMIT_ORDERS);
        reply_read(w, 3, "abc");
        assert_read(&w->told[3], "abc");
        assert_int_equal(w->n_started, LIMIT_ORDERS + 1);
        assert_int_equal(w->started[LIMIT_ORDERS], LIMIT_ORDERS + 1); /* in order */
        for (size_t i = 0; i < MANY; i++)
                if (i != 3)
                        reply_read(w, i, "abc");
        for (size_t i = 0; i < MANY; i++)
                assert_int_equal(w->told[i].n, 1);
}

static void who_is_told_may_ask_again(void **state) {
        struct world *w = *state;

        w->told[0].again = true;
        (void)add_read(w, &w->told[0]);
        run(w);
        reply_read(w, 0, "abc");
        assert_int_equal(w->n_started, 2);
        reply_read(w, 1, "def");
        assert_int_equal(w->told[0].n, 2);
        assert_string_equal(w->told[0].text, "def");
}

/* What is known of why it ended is told, whichever of the two comes first. */
static void a_process_that_says_nothing_is_a_failure(void **state) {
        struct world *w = *state;
        struct error err = ERROR_INIT;

        (void)error_set(&err, MCPB_NOT_FOUND, ENOENT, NULL, "it is not installed");
        for (size_t i = 0; i < 4; i++) {
                uint64_t id = add_read(w, &w->told[i]);

                run(w);
                if (i % 2)
                        orders_ended(w->orders, id, i < 2 ? &err : NULL);
                run(w);
                assert_int_equal(w->told[i].n, 0);
                w->far[i] = chan_free(w->far[i]);
                run(w);
                if (!(i % 2)) {
                        assert_int_equal(w->told[i].n, 0);
                        orders_ended(w->orders, id, i < 2 ? &err : NULL);
                }
                assert_failed(&w->told[i], -EAGAIN, i < 2 ? MCPB_NOT_FOUND : MCPB_RETRY);
        }
}

static void what_was_said_before_the_end_counts(void **state) {
        struct world *w = *state;
        struct order_reply p;
        uint64_t id = add_read(w, &w->told[0]);

        run(w);
        order_reply_init(&p);
        reply(w->far[0], &p, ORDER_READ, "abc");
        w->far[0] = chan_free(w->far[0]);
        orders_ended(w->orders, id, NULL);
        assert_int_equal(w->told[0].n, 0);
        run(w);
        assert_read(&w->told[0], "abc");
}

static void what_is_no_reply_is_a_failure(void **state) {
        struct world *w = *state;

        for (size_t i = 0; i < 3; i++) {
                uint64_t id = add_read(w, &w->told[i]);
                struct order_reply p;

                run(w);
                order_reply_init(&p);
                if (i == 0)
                        reply(w->far[i], &p, ORDER_RUN, "abc");
                else if (i == 1)
                        reply(w->far[i], &p, ORDER_READ, "more than was asked for");
                else
                        assert_int_equal(send(chan_fd(w->far[i]), "nonsense, of course", 19, 0),
                                         19);
                run(w);
                orders_ended(w->orders, id, NULL);
                assert_failed(&w->told[i], -EAGAIN, MCPB_RETRY);
        }
}

static void what_is_forgotten_is_not_told_and_is_stopped(void **state) {
        struct world *w = *state;
        uint64_t ids[MANY];
        struct frame f = FRAME_INIT;

        for (size_t i = 0; i < MANY; i++)
                ids[i] = add_read(w, &w->told[i]);
        run(w);
        orders_forget(w->orders, ids[LIMIT_ORDERS]); /* one that waits */
        orders_forget(w->orders, ids[0]);            /* one that runs */
        assert_int_equal(w->n_started, LIMIT_ORDERS);
        run(w);
        assert_int_equal(w->n_started, LIMIT_ORDERS + 1);
        assert_int_equal(w->started[LIMIT_ORDERS], ids[LIMIT_ORDERS + 1]);
        /* The process sees that nobody waits. */
        assert_int_equal(chan_read(w->far[0]), -EPIPE);
        assert_int_equal(chan_next(w->far[0], &f), 1);
        frame_done(&f);
        orders_ended(w->orders, ids[0], NULL);
        orders_forget(w->orders, ids[0]);
        orders_forget(w->orders, 4711);
        assert_int_equal(w->told[0].n + w->told[LIMIT_ORDERS].n, 0);
        /* Those that are left are told nothing at the end: who asked is gone before. */
        w->orders = orders_free(w->orders);
        for (size_t i = 0; i < MANY; i++)
                assert_int_equal(w->told[i].n, 0);
        assert_int_equal(orders_new(w->event, on_start, w, &w->orders), 0);
}

/* Others can take what is in that file: its owner learns it, but not at each use. */
static void a_file_that_others_may_read_is_logged_once(void **state) {
        struct world *w = *state;
        char line[512] = { 0 };
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        log_open_plain("test", LOG_INFO, fds[1]);
        for (size_t i = 0; i < 3; i++) {
                struct order_reply p;

                (void)add_read(w, &w->told[i]);
                run(w);
                order_reply_init(&p);
                p.exposed = i > 0;
                reply(w->far[i], &p, ORDER_READ, "abc");
                run(w);
                assert_read(&w->told[i], "abc");
                assert_true((read(fds[0], line, sizeof(line) - 1) > 0) == (i == 1));
        }
        assert_non_null(strstr(line, "/token"));
        log_open_plain("test", LOG_INFO, -1);
        (void)close(fds[0]);
        (void)close(fds[1]);
}

/* --- session -------------------------------------------------------------------------------- */

static void an_order_waits_for_a_session_that_is_started_again(void **state) {
        struct world *w = *state;

        orders_session_gone(w->orders);
        (void)add_read(w, &w->told[0]);
        run(w);
        assert_int_equal(w->n_started, 0);
        orders_session_here(w->orders);
        run(w);
        assert_int_equal(w->n_started, 1);
        reply_read(w, 0, "abc");
        assert_read(&w->told[0], "abc");
}

static void a_session_that_dies_takes_its_children_with_it(void **state) {
        struct world *w = *state;

        for (size_t i = 0; i < 3; i++)
                (void)add_read(w, &w->told[i]);
        run(w);
        w->far[0] = chan_free(w->far[0]); /* killed, and the keeper sees it before the other */
        run(w);
        orders_session_gone(w->orders);
        assert_failed(&w->told[0], -EAGAIN, MCPB_RETRY);
        w->far[1] = chan_free(w->far[1]); /* and this one after it */
        run(w);
        assert_failed(&w->told[1], -EAGAIN, MCPB_RETRY);
        reply_read(w, 2, "abc"); /* had done its work */
        assert_read(&w->told[2], "abc");
}

static void a_session_that_takes_nothing_is_a_failure(void **state) {
        struct world *w = *state;

        w->refuse = -EPIPE;
        (void)add_read(w, &w->told[0]);
        run(w);
        assert_failed(&w->told[0], -EPIPE, MCPB_RETRY);
        assert_int_equal(n_timers(), 0);
}

/* --- bounds --------------------------------------------------------------------------------- */

static void fire(size_t i) {
        assert_non_null(timers[i].fn);
        assert_int_equal(timers[i].fn(timers[i].source, timers[i].usec, timers[i].userdata), 0);
}

static void assert_soon(size_t i, unsigned sec) {
        uint64_t now = clock_boot_usec();

        assert_true(timers[i].usec <= now + sec * USEC_PER_SEC);
        assert_true(timers[i].usec + 4 * USEC_PER_SEC > now + sec * USEC_PER_SEC);
}

/* S9 */
static void nothing_waits_for_ever(void **state) {
        struct world *w = *state;

        orders_session_gone(w->orders);
        (void)add_read(w, &w->told[0]);
        assert_soon(0, 20);
        fire(0);
        assert_failed(&w->told[0], -EAGAIN, MCPB_RETRY);
        orders_session_here(w->orders);
        for (size_t i = 0; i < LIMIT_ORDERS; i++)
                (void)add_call(w, &w->told[1]);
        (void)add_read(w, &w->told[2]);
        run(w);
        assert_soon(0, 25); /* its own five, and some more */
        assert_soon(LIMIT_ORDERS, 20);
        fire(LIMIT_ORDERS);
        assert_failed(&w->told[2], -EAGAIN, MCPB_BUSY);
        fire(0);
        assert_failed(&w->told[1], -ETIMEDOUT, MCPB_TIMEOUT);
}

/* S9 */
static void what_is_no_order_or_too_many_is_refused_at_once(void **state) {
        struct world *w = *state;
        struct order o;

        order_init(&o, ORDER_READ);
        assert_int_equal(orders_add(w->orders, 1, &o, on_done, &w->told[0]), -EINVAL);
        assert_int_equal(order_set_path(&o, "/token"), 0);
        o.max = LIMIT_ORDER_BYTES + 1;
        assert_int_equal(orders_add(w->orders, 1, &o, on_done, &w->told[0]), -EINVAL);
        assert_string_equal(o.path, "/token"); /* still the caller's */
        order_done(&o);
        assert_int_equal(w->told[0].n, 0);
        assert_int_equal(n_timers(), 0);
}

static int sweep(void *userdata) {
        struct world *w = userdata;
        struct told told = { .world = w };
        struct order_reply p;
        struct order o;
        size_t n = w->n_started;
        int r;

        oom_pause(true);
        order_init(&o, ORDER_READ);
        assert_int_equal(order_set_path(&o, "/token"), 0);
        o.max = 9;
        oom_pause(false);
        r = orders_add(w->orders, ++w->last_id, &o, on_done, &told);
        if (r == 0) {
                run(w);
                r = told.r;
        }
        oom_pause(true);
        order_done(&o);
        if (r == 0 && w->n_started > n) {
                order_reply_init(&p);
                reply(w->far[n], &p, ORDER_READ, "abc");
                oom_pause(false);
                run(w);
                oom_pause(true);
                orders_ended(w->orders, w->last_id, NULL);
                r = told.n == 1 ? told.r : -ENOMEM;
        }
        orders_forget(w->orders, w->last_id);
        while (w->n_started > 0) {
                w->n_started--;
                w->far[w->n_started] = chan_free(w->far[w->n_started]);
        }
        run(w);
        oom_pause(false);
        return r;
}

static void no_allocation_is_taken_for_granted(void **state) {
        assert_true(oom_sweep_any(sweep, *state) > 10);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(what_a_process_reads_comes_to_who_asked),
                TEST(a_call_has_its_answer),
                TEST(a_failure_has_its_words),
                TEST(only_some_are_under_way_at_once),
                TEST(who_is_told_may_ask_again),
                TEST(a_process_that_says_nothing_is_a_failure),
                TEST(what_was_said_before_the_end_counts),
                TEST(what_is_no_reply_is_a_failure),
                TEST(what_is_forgotten_is_not_told_and_is_stopped),
                TEST(a_file_that_others_may_read_is_logged_once),
                TEST(an_order_waits_for_a_session_that_is_started_again),
                TEST(a_session_that_dies_takes_its_children_with_it),
                TEST(a_session_that_takes_nothing_is_a_failure),
                TEST(nothing_waits_for_ever),
                TEST(what_is_no_order_or_too_many_is_refused_at_once),
                TEST(no_allocation_is_taken_for_granted),
        };

        return cmocka_run_group_tests_name("orders", tests, NULL, NULL);
}
