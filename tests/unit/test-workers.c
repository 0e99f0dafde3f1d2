/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's ends of its streams, when the process at the other end dies and another takes
 * over. */
#include <malloc.h>

#include "base/clock.h"
#include "daemon/backend.h"
#include "daemon/workers.h"
#include "loop/loop.h"
#include "os/sock.h"
#include "test.h"
#include "wire/chan.h"

/* --- A timer that fires when the test says so ------------------------------------------------- */

static struct {
        sd_event_time_handler_t fn;
        void *userdata;
        sd_event_source *source;
        uint64_t usec;
} timer;

int __wrap_loop_timer(sd_event *e, uint64_t usec, sd_event_time_handler_t fn, void *userdata,
                      const char *description, sd_event_source **ret);

static int never(sd_event_source *s, void *userdata) {
        return 0;
}

static void forget_timer(void *userdata) {
        timer.fn = NULL;
}

int __wrap_loop_timer(sd_event *e, uint64_t usec, sd_event_time_handler_t fn, void *userdata,
                      const char *description, sd_event_source **ret) {
        assert_null(timer.fn);
        assert_true(sd_event_add_defer(e, ret, never, NULL) >= 0);
        assert_true(sd_event_source_set_enabled(*ret, SD_EVENT_OFF) >= 0);
        assert_true(sd_event_source_set_destroy_callback(*ret, forget_timer) >= 0);
        timer.fn = fn;
        timer.userdata = userdata;
        timer.source = *ret;
        timer.usec = usec;
        return 0;
}

int __wrap_loop_timer_set(sd_event_source *s, uint64_t usec);

int __wrap_loop_timer_set(sd_event_source *s, uint64_t usec) {
        assert_ptr_equal(s, timer.source);
        timer.usec = usec;
        return 0;
}

/* --- The other end ---------------------------------------------------------------------------- */

/* Makes a stream; its far end is returned, the near one is for the keeper. */
static struct chan *stream(int *ret_near) {
        int fds[2] = { -1, -1 };
        struct chan *far;

        assert_int_equal(sock_pair(fds), 0);
        far = chan_new(fds[1]);
        assert_non_null(far);
        *ret_near = fds[0];
        return far;
}

static void run(sd_event *e) {
        while (sd_event_run(e, 0) > 0)
                ;
}

/* The next frame, or false. */
static bool next(struct chan *far, struct frame *ret) {
        int r = chan_next(far, ret);

        if (r == 0) {
                r = chan_read(far);
                assert_true(r == 0 || r == -EPIPE);
                r = chan_next(far, ret);
        }
        assert_true(r >= 0);
        return r == 1;
}

static void assert_op(struct chan *far, const char *op, json_int_t *ret_id, const char *body) {
        struct frame f = FRAME_INIT;

        assert_true(next(far, &f));
        assert_string_equal(json_get_string(f.head, "op"), op);
        *ret_id = json_get_int(f.head, "id", 0);
        if (body) {
                assert_int_equal(f.body.len, strlen(body));
                assert_memory_equal(f.body.data, body, strlen(body));
        }
        frame_done(&f);
}

static void assert_nothing(struct chan *far) {
        struct frame f = FRAME_INIT;

        assert_false(next(far, &f));
}

static void say(struct chan *far, json_t *head) {
        assert_int_equal(chan_send(far, head, NULL, NULL, 0), 0);
        json_decref(head);
}

/* --- The writer ------------------------------------------------------------------------------- */

struct told {
        unsigned n;
        int r;
        enum fetch_outcome outcome;
        unsigned status;
        uint16_t port;
};

static void on_done(int r, void *userdata) {
        struct told *t = userdata;

        t->n++;
        t->r = r;
}

static void on_read(int r, struct buf *data, void *userdata) {
        on_done(r, userdata);
}

static void done(struct chan *far, json_int_t id, int r) {
        say(far, json_pack("{s:s, s:I, s:i}", "op", "done", "id", id, "r", r));
}

/* S7 */
static void a_writer_that_takes_over_is_asked_what_the_last_one_has_not_answered(void **state) {
        sd_event *e = NULL;
        struct backend *b = NULL;
        struct told told[4] = { 0 };
        AUTO_BUF struct buf one = BUF_INIT;
        AUTO_BUF struct buf two = BUF_INIT;
        int near = -1;
        json_int_t id = 0;
        struct chan *far = stream(&near);

        assert_int_equal(loop_new(&e), 0);
        assert_int_equal(backend_new(e, near, &b), 0);
        assert_int_equal(buf_append_str(&one, "sealed one"), 0);
        assert_int_equal(buf_append_str(&two, "sealed two"), 0);
        assert_int_equal(backend_ops()->write(b, "one", &one, on_done, &told[0]), 0);
        assert_int_equal(one.len, 0);
        assert_int_equal(backend_ops()->remove(b, "gone", on_done, &told[1]), 0);
        assert_op(far, "write", &id, "sealed one");
        done(far, id, 0);
        run(e);
        assert_int_equal(told[0].n, 1);
        /* It dies with one request in hand; two more come while nobody is there. */
        assert_op(far, "remove", &id, NULL);
        far = chan_free(far);
        run(e);
        assert_int_equal(backend_ops()->write(b, "two", &two, on_done, &told[2]), 0);
        assert_int_equal(backend_ops()->read(b, "three", 100, on_read, &told[3]), 0);
        run(e);
        assert_int_equal(told[1].n + told[2].n + told[3].n, 0);
        far = stream(&near);
        assert_int_equal(backend_attach(b, near), 0);
        assert_op(far, "remove", &id, NULL);
        done(far, id, -ENOENT);
        assert_op(far, "write", &id, "sealed two");
        done(far, id, 0);
        assert_op(far, "read", &id, NULL);
        done(far, id, -ENOENT);
        assert_nothing(far);
        run(e);
        assert_int_equal(told[1].n, 1);
        assert_int_equal(told[1].r, -ENOENT);
        assert_int_equal(told[2].n, 1);
        assert_int_equal(told[2].r, 0);
        assert_int_equal(told[3].n, 1);
        /* What is left at the end is told as well. */
        assert_int_equal(backend_ops()->remove(b, "last", on_done, &told[0]), 0);
        (void)backend_free(b);
        assert_int_equal(told[0].n, 2);
        assert_int_equal(told[0].r, -ECANCELED);
        (void)chan_free(far);
        (void)loop_free(e);
}

/* S9 */
static void a_writer_that_does_not_come_back_is_not_waited_for_for_ever(void **state) {
        sd_event *e = NULL;
        struct backend *b = NULL;
        struct told told[3] = { 0 };
        AUTO_BUF struct buf bytes = BUF_INIT;
        int near = -1;
        json_int_t id = 0;
        struct chan *far = stream(&near);

        assert_int_equal(loop_new(&e), 0);
        assert_int_equal(backend_new(e, near, &b), 0);
        assert_null(timer.fn);
        assert_int_equal(backend_ops()->remove(b, "one", on_done, &told[0]), 0);
        (void)chan_free(far);
        run(e);
        assert_int_equal(backend_ops()->read(b, "two", 100, on_read, &told[1]), 0);
        assert_non_null(timer.fn);
        assert_true(timer.usec <= clock_boot_usec() + 30 * USEC_PER_SEC);
        assert_int_equal(timer.fn(timer.source, timer.usec, timer.userdata), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(told[i].n, 1);
                assert_int_equal(told[i].r, -ETIMEDOUT);
        }
        /* From then on it is said at once, and what was to be written stays with who asks. */
        assert_int_equal(buf_append_str(&bytes, "sealed"), 0);
        assert_int_equal(backend_ops()->write(b, "three", &bytes, on_done, &told[2]), -ETIMEDOUT);
        assert_string_equal(bytes.data, "sealed");
        assert_int_equal(told[2].n, 0);
        assert_null(timer.fn);
        /* Until one is there: it is asked nothing that somebody was told has failed. */
        far = stream(&near);
        assert_int_equal(backend_attach(b, near), 0);
        assert_nothing(far);
        assert_int_equal(backend_ops()->write(b, "three", &bytes, on_done, &told[2]), 0);
        assert_op(far, "write", &id, "sealed");
        done(far, id, 0);
        run(e);
        assert_int_equal(told[2].n, 1);
        assert_int_equal(told[2].r, 0);
        (void)backend_free(b);
        (void)chan_free(far);
        (void)loop_free(e);
}

/* --- The network worker ----------------------------------------------------------------------- */

static void on_fetched(struct fetch_answer *a, void *userdata) {
        struct told *t = userdata;

        t->n++;
        t->outcome = a->outcome;
        t->status = a->status;
}

static void on_listening(int r, uint16_t port, const char *reason, void *userdata) {
        struct told *t = userdata;

        t->n++;
        t->r = r;
        t->port = port;
}

static void on_redirect(uint64_t request, const char *query, void *userdata) {
}

static uint64_t fetch(struct workers *w, struct told *told) {
        struct fetch_request f;
        uint64_t id = 0;

        fetch_request_init(&f);
        assert_int_equal(fetch_request_set(&f, "POST", "https://as.example.com/token"), 0);
        assert_int_equal(buf_append_str(&f.body, "grant_type=x"), 0);
        assert_int_equal(workers_ops()->fetch(w, FETCH_DEAL, &f, on_fetched, told, &id), 0);
        fetch_request_done(&f);
        return id;
}

static json_t *answered(uint64_t id) {
        struct fetch_answer a;
        json_t *head = NULL;

        fetch_answer_init(&a);
        a.id = id;
        a.outcome = FETCH_ANSWERED;
        a.status = 200;
        a.reached = ADDRESS_PUBLIC;
        assert_int_equal(fetch_answer_to_head(&a, &head), 0);
        fetch_answer_done(&a);
        return head;
}

/* Until somebody asks, 4711 is where it listens. */
static void listening(struct chan *far, json_int_t *ret_id) {
        assert_op(far, "listen", ret_id, NULL);
        say(far, json_pack("{s:s, s:I, s:i}", "op", "listening", "id", *ret_id, "port", 4711));
}

static void control(const char *what, void *userdata) {
}

static struct workers *workers(sd_event *e) {
        struct workers *w = NULL;

        assert_int_equal(workers_new(&(struct workers_options){ e, control, NULL }, &w), 0);
        return w;
}

/* A148 S7 */
static void what_a_dead_worker_had_is_in_doubt_and_what_comes_after_waits_for_the_next(
        void **state) {
        sd_event *e = NULL;
        struct workers *w;
        struct told told[4] = { 0 };
        uint64_t forgotten;
        uint64_t listener = 0;
        int near = -1;
        json_int_t id = 0;
        struct chan *far = stream(&near);

        assert_int_equal(loop_new(&e), 0);
        w = workers(e);
        assert_int_equal(workers_attach(w, WORKER_DEAL, near), 0);
        (void)fetch(w, &told[0]);
        assert_op(far, "fetch", &id, "grant_type=x");
        far = chan_free(far);
        run(e);
        assert_int_equal(told[0].n, 1);
        assert_int_equal(told[0].outcome, FETCH_NO_ANSWER);
        (void)fetch(w, &told[1]);
        forgotten = fetch(w, &told[2]);
        assert_int_equal(workers_ops()->listen(w, 0, "/path", on_listening, on_redirect, &told[3],
                                               &listener),
                         0);
        workers_ops()->fetch_forget(w, forgotten);
        assert_non_null(timer.fn);
        far = stream(&near);
        assert_int_equal(workers_attach(w, WORKER_DEAL, near), 0);
        assert_null(timer.fn);
        assert_op(far, "fetch", &id, "grant_type=x");
        say(far, answered((uint64_t)id));
        listening(far, &id);
        assert_nothing(far);
        run(e);
        assert_int_equal(told[1].n, 1);
        assert_int_equal(told[1].outcome, FETCH_ANSWERED);
        assert_int_equal(told[2].n, 0);
        assert_int_equal(told[3].n, 1);
        assert_int_equal(told[3].port, 4711);
        (void)workers_free(w);
        (void)chan_free(far);
        (void)loop_free(e);
}

/* A listener outlives its worker, or whoever has a browser there is told. */
static void a_listener_that_the_next_worker_cannot_open_is_told_as_lost(void **state) {
        sd_event *e = NULL;
        struct workers *w;
        struct told told[2] = { 0 };
        uint64_t kept = 0;
        uint64_t lost = 0;
        int near = -1;
        json_int_t id[2] = { 0 };
        struct chan *far = stream(&near);

        assert_int_equal(loop_new(&e), 0);
        w = workers(e);
        assert_int_equal(workers_attach(w, WORKER_DEAL, near), 0);
        assert_int_equal(
                workers_ops()->listen(w, 0, "/a", on_listening, on_redirect, &told[0], &kept), 0);
        assert_int_equal(
                workers_ops()->listen(w, 0, "/b", on_listening, on_redirect, &told[1], &lost), 0);
        for (int i = 0; i < 2; i++) {
                assert_op(far, "listen", &id[i], NULL);
                say(far,
                    json_pack("{s:s, s:I, s:i}", "op", "listening", "id", id[i], "port", 4711 + i));
        }
        run(e);
        assert_int_equal(told[0].port + told[1].port, 4711 + 4712);
        for (int i = 0; i < 2; i++) {
                far = chan_free(far);
                far = stream(&near);
                assert_int_equal(workers_attach(w, WORKER_DEAL, near), 0);
                assert_op(far, "listen", &id[0], NULL);
                say(far,
                    json_pack("{s:s, s:I, s:i}", "op", "listening", "id", id[0], "port", 4711));
                if (i == 0) {
                        assert_op(far, "listen", &id[1], NULL);
                        say(far, json_pack("{s:s, s:I, s:s}", "op", "listen-failed", "id", id[1],
                                           "reason", "taken"));
                }
                assert_nothing(far);
                run(e);
        }
        assert_int_equal(told[0].n, 1);
        assert_int_equal(told[1].n, 2);
        assert_int_equal(told[1].r, -EADDRINUSE);
        (void)workers_free(w);
        (void)chan_free(far);
        (void)loop_free(e);
}

/* A148 S6 */
static void one_that_is_replaced_ends_what_it_has_and_gets_nothing_new(void **state) {
        sd_event *e = NULL;
        struct workers *w;
        struct told told[4] = { 0 };
        uint64_t listener = 0;
        int near = -1;
        json_int_t id[3] = { 0 };
        struct chan *old = stream(&near);
        struct chan *new;

        assert_int_equal(loop_new(&e), 0);
        w = workers(e);
        assert_int_equal(workers_attach(w, WORKER_DEAL, near), 0);
        (void)fetch(w, &told[0]);
        (void)fetch(w, &told[1]);
        assert_int_equal(workers_ops()->listen(w, 0, "/path", on_listening, on_redirect, &told[2],
                                               &listener),
                         0);
        assert_op(old, "fetch", &id[0], "grant_type=x");
        assert_op(old, "fetch", &id[1], "grant_type=x");
        listening(old, &id[2]);
        new = stream(&near);
        assert_int_equal(workers_attach(w, WORKER_DEAL, near), 0);
        assert_op(old, "leave", &id[1], NULL);
        run(e);
        assert_int_equal(told[0].n + told[1].n, 0);
        assert_int_equal(told[2].n, 1);
        /* What comes now is for the new one, and what belongs to the old one goes there. */
        (void)fetch(w, &told[3]);
        assert_op(new, "fetch", &id[1], "grant_type=x");
        assert_nothing(old);
        say(new, answered((uint64_t)id[1]));
        say(old, answered((uint64_t)id[0]));
        run(e);
        assert_int_equal(told[0].n, 1);
        assert_int_equal(told[0].outcome, FETCH_ANSWERED);
        assert_int_equal(told[3].outcome, FETCH_ANSWERED);
        workers_ops()->page(w, listener, 1, 400, &(struct buf){ 0 });
        assert_op(old, "page", &id[1], NULL);
        assert_nothing(new);
        /* It dies before its time: what it had is in doubt, and the new one takes its listener. */
        old = chan_free(old);
        run(e);
        assert_int_equal(told[1].n, 1);
        assert_int_equal(told[1].outcome, FETCH_NO_ANSWER);
        listening(new, &id[1]);
        assert_int_equal(id[1], id[2]);
        run(e);
        assert_int_equal(told[2].n, 1);
        workers_ops()->unlisten(w, listener);
        assert_op(new, "unlisten", &id[1], NULL);
        assert_nothing(new);
        (void)workers_free(w);
        (void)chan_free(new);
        (void)loop_free(e);
}

/* S9 */
static void requests_that_are_forgotten_leave_nothing_behind(void **state) {
        sd_event *e = NULL;
        struct workers *w;
        struct told told = { 0 };
        int near = -1;
        json_int_t id = 0;
        struct chan *far = stream(&near);
        size_t before = 0;

        assert_int_equal(loop_new(&e), 0);
        w = workers(e);
        assert_int_equal(workers_attach(w, WORKER_DEAL, near), 0);
        for (int i = 0; i < 600; i++) {
                workers_ops()->fetch_forget(w, fetch(w, &told));
                assert_op(far, "fetch", &id, "grant_type=x");
                assert_op(far, "cancel", &id, NULL);
                if (i == 100)
                        before = mallinfo2().uordblks;
        }
        assert_true(mallinfo2().uordblks < before + 16 * 1024);
        /* An answer that was on its way finds nobody. */
        say(far, answered((uint64_t)id));
        run(e);
        assert_int_equal(told.n, 0);
        (void)workers_free(w);
        (void)chan_free(far);
        (void)loop_free(e);
}

/* A137 */
static void a_worker_that_does_not_come_back_is_not_waited_for_for_ever(void **state) {
        sd_event *e = NULL;
        struct workers *w;
        struct told told[2] = { 0 };
        uint64_t listener = 0;

        assert_int_equal(loop_new(&e), 0);
        w = workers(e);
        (void)fetch(w, &told[0]);
        assert_int_equal(workers_ops()->listen(w, 0, "/path", on_listening, on_redirect, &told[1],
                                               &listener),
                         0);
        assert_non_null(timer.fn);
        assert_true(timer.usec <= clock_boot_usec() + 30 * USEC_PER_SEC);
        assert_int_equal(timer.fn(timer.source, timer.usec, timer.userdata), 0);
        assert_int_equal(told[0].n, 1);
        assert_int_equal(told[0].outcome, FETCH_NOT_SENT);
        assert_int_equal(told[1].n, 1);
        assert_int_equal(told[1].r, -EAGAIN);
        /* One that waits at the very end is told nothing: whoever asked is gone. */
        (void)fetch(w, &told[0]);
        (void)workers_free(w);
        assert_int_equal(told[0].n, 1);
        assert_null(timer.fn);
        (void)loop_free(e);
}

/* --- Session ---------------------------------------------------------------------------------- */

static void on_order(int r, struct fetch_answer *answer, struct buf *bytes, const struct error *err,
                     void *userdata) {
        struct told *t = userdata;

        t->n++;
        t->r = r;
        t->status = r == 0 ? (unsigned)bytes->len : 0;
        t->port = err && err->code == MCPB_NOT_FOUND ? 404 : 0;
}

static uint64_t order(struct workers *w, struct told *told) {
        struct order o;
        uint64_t id = 0;

        order_init(&o, ORDER_READ);
        assert_int_equal(order_set_path(&o, "/token"), 0);
        o.max = 9;
        assert_int_equal(workers_ops()->order(w, &o, on_order, told, &id), 0);
        order_done(&o);
        return id;
}

/* The stream that session is to start a process on. */
static struct chan *process(struct chan *session, uint64_t id) {
        struct frame f = FRAME_INIT;
        struct chan *far;

        assert_true(next(session, &f));
        assert_string_equal(json_get_string(f.head, "op"), "identity");
        assert_int_equal(json_get_int(f.head, "id", 0), id);
        assert_int_equal(f.n_fds, 1);
        far = chan_new(TAKE_FD(f.fds[0]));
        assert_non_null(far);
        frame_done(&f);
        return far;
}

/* S1 */
static void session_starts_what_answers_the_keeper_alone(void **state) {
        sd_event *e = NULL;
        struct workers *w;
        struct told told[4] = { 0 };
        AUTO_BUF struct buf body = BUF_INIT;
        struct order_reply p;
        json_t *head = NULL;
        json_int_t none = 0;
        int near = -1;
        uint64_t id;
        struct chan *far = stream(&near);
        struct chan *child;

        assert_int_equal(loop_new(&e), 0);
        w = workers(e);
        id = order(w, &told[0]);
        run(e);
        assert_int_equal(told[0].n, 0); /* until there is a session */
        assert_int_equal(workers_attach(w, WORKER_SESSION, near), 0);
        run(e);
        child = process(far, id);
        assert_op(child, "order", &none, NULL);
        order_reply_init(&p);
        assert_int_equal(order_reply_to_head(&p, ORDER_READ, &head), 0);
        assert_int_equal(buf_append_str(&body, "abc"), 0);
        assert_int_equal(chan_send(child, head, &body, NULL, 0), 0);
        json_decref(head);
        run(e);
        assert_int_equal(told[0].n, 1);
        assert_int_equal(told[0].r, 0);
        assert_int_equal(told[0].status, 3);
        say(far, json_pack("{s:s, s:I, s:i}", "op", "identity-done", "id", id, "status", 0));
        child = chan_free(child);
        run(e);
        /* One that could not be started. */
        id = order(w, &told[1]);
        run(e);
        child = process(far, id);
        child = chan_free(child);
        say(far, json_pack("{s:s, s:I, s:i, s:s, s:s}", "op", "identity-done", "id", id, "status",
                           -1, "error", "not_found", "message", "no such program"));
        run(e);
        assert_int_equal(told[1].n, 1);
        assert_int_equal(told[1].port, 404);
        /* One that is forgotten, and one that session did not live to end. */
        id = order(w, &told[2]);
        run(e);
        child = process(far, id);
        workers_ops()->order_forget(w, id);
        child = chan_free(child);
        id = order(w, &told[3]);
        run(e);
        child = process(far, id);
        child = chan_free(child);
        far = chan_free(far);
        run(e);
        assert_int_equal(told[2].n, 0);
        assert_int_equal(told[3].n, 1);
        assert_int_equal(told[3].r, -EAGAIN);
        (void)workers_free(w);
        (void)loop_free(e);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(
                        a_writer_that_takes_over_is_asked_what_the_last_one_has_not_answered),
                cmocka_unit_test(a_writer_that_does_not_come_back_is_not_waited_for_for_ever),
                cmocka_unit_test(
                        what_a_dead_worker_had_is_in_doubt_and_what_comes_after_waits_for_the_next),
                cmocka_unit_test(a_listener_that_the_next_worker_cannot_open_is_told_as_lost),
                cmocka_unit_test(one_that_is_replaced_ends_what_it_has_and_gets_nothing_new),
                cmocka_unit_test(requests_that_are_forgotten_leave_nothing_behind),
                cmocka_unit_test(a_worker_that_does_not_come_back_is_not_waited_for_for_ever),
                cmocka_unit_test(session_starts_what_answers_the_keeper_alone),
        };

        return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
