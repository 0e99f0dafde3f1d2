/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/chan.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "oom.h"
#include "test.h"

struct pair {
        struct chan *a;
        struct chan *b;
};

static struct pair pair_new(void) {
        struct pair p;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        p.a = chan_new(fds[0]);
        p.b = chan_new(fds[1]);
        assert_non_null(p.a);
        assert_non_null(p.b);
        return p;
}

static void pair_free(struct pair *p) {
        p->a = chan_free(p->a);
        p->b = chan_free(p->b);
}

/* A chan whose other end is a plain socket, for bytes that chan_send() would never write. */
static struct chan *raw_new(int *ret_fd) {
        struct chan *c;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        c = chan_new(fds[0]);
        assert_non_null(c);
        *ret_fd = fds[1];
        return c;
}

static int send_text(struct chan *c, const char *op, const char *body, const int *fds,
                     size_t n_fds) {
        AUTO_JSON json_t *head = json_pack("{ss}", "op", op);
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(buf_append_str(&b, body), 0);
        return chan_send(c, head, &b, fds, n_fds);
}

static void frames_arrive_whole_and_in_order(void **state) {
        struct pair p = pair_new();
        char body[40];

        for (int i = 0; i < 50; i++) {
                (void)snprintf(body, sizeof(body), "body %d", i);
                assert_int_equal(send_text(p.a, "x", body, NULL, 0), 0);
        }
        assert_true(chan_idle(p.a));
        assert_int_equal(chan_events(p.a), POLLIN);
        assert_int_equal(chan_read(p.b), 0);
        for (int i = 0; i < 50; i++) {
                struct frame f = FRAME_INIT;

                (void)snprintf(body, sizeof(body), "body %d", i);
                assert_int_equal(chan_next(p.b, &f), 1);
                assert_string_equal(json_get_string(f.head, "op"), "x");
                assert_string_equal(f.body.data, body);
                assert_int_equal(f.n_fds, 0);
                frame_done(&f);
        }
        assert_int_equal(chan_next(p.b, &(struct frame){ 0 }), 0);
        pair_free(&p);
}

static void a_frame_survives_a_cut_at_every_byte(void **state) {
        static const char frame[] = "\x0a\0\0\0\x03\0\0\0{\"op\":\"x\"}abc";
        const size_t len = sizeof(frame) - 1;

        for (size_t cut = 0; cut <= len; cut++) {
                struct frame f = FRAME_INIT;
                AUTO_CLOSE int fd = -1;
                struct chan *c = raw_new(&fd);

                assert_int_equal(send(fd, frame, cut, 0), cut);
                assert_int_equal(chan_read(c), 0);
                if (cut < len)
                        assert_int_equal(chan_next(c, &f), 0);
                assert_int_equal(send(fd, frame + cut, len - cut, 0), len - cut);
                assert_int_equal(chan_read(c), 0);
                assert_int_equal(chan_next(c, &f), 1);
                assert_memory_equal(f.body.data, "abc", 4);
                frame_done(&f);
                assert_int_equal(chan_next(c, &f), 0);
                (void)chan_free(c);
        }
}

static void what_is_no_frame_is_refused(void **state) {
        static const struct {
                const char *bytes;
                size_t len;
        } table[] = {
                { "\0\0\0\0\0\0\0\0", 8 }, /* no head */
                { "\x01\0\0\0\0\0\0\0"
                  "1",
                  9 }, /* a head that holds no object */
                { "\x02\0\0\0\0\0\0\0"
                  "[]",
                  10 }, /* no object */
                { "\x02\0\0\0\0\0\0\0"
                  "{x",
                  10 }, /* no JSON */
                { "\x03\0\0\0\0\0\0\0"
                  "{}x",
                  11 },                            /* text behind it */
                { "\xff\xff\xff\xff\0\0\0\0", 8 }, /* too long: seen before it is here */
                { "\x02\0\0\0\x01\0\x80\0", 8 },   /* the body, too */
                { "\x09\0\0\0\0\0\0\0"
                  "{\"fds\":1}",
                  17 }, /* descriptors that did not come */
                { "\x0a\0\0\0\0\0\0\0"
                  "{\"fds\":-1}",
                  18 }, /* nonsense */
                { "\x0b\0\0\0\0\0\0\0"
                  "{\"fds\":\"1\"}",
                  19 },
                { "\x0f\0\0\0\0\0\0\0"
                  "{\"a\":1,\"a\":23}",
                  23 }, /* one key twice */
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct frame f = FRAME_INIT;
                AUTO_CLOSE int fd = -1;
                struct chan *c = raw_new(&fd);

                assert_int_equal(send(fd, table[i].bytes, table[i].len, 0), table[i].len);
                assert_int_equal(chan_read(c), 0);
                assert_int_equal(chan_next(c, &f), -EBADMSG);
                (void)chan_free(c);
        }
}

static bool same_file(int a, int b) {
        struct stat sa;
        struct stat sb;

        return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
               sa.st_ino == sb.st_ino;
}

static void descriptors_come_with_their_own_frame(void **state) {
        struct pair p = pair_new();
        struct frame f = FRAME_INIT;
        int one[2];
        int two[2];

        assert_int_equal(pipe(one), 0);
        assert_int_equal(pipe(two), 0);
        assert_int_equal(send_text(p.a, "none", "", NULL, 0), 0);
        assert_int_equal(send_text(p.a, "one", "", one, 1), 0);
        assert_int_equal(send_text(p.a, "two", "", (int[]){ two[0], two[1] }, 2), 0);
        assert_int_equal(send_text(p.a, "none", "", NULL, 0), 0);
        for (int i = 0; i < 4; i++)
                assert_int_equal(chan_read(p.b), 0);

        assert_int_equal(chan_next(p.b, &f), 1);
        assert_int_equal(f.n_fds, 0);
        frame_done(&f);
        assert_int_equal(chan_next(p.b, &f), 1);
        assert_int_equal(f.n_fds, 1);
        assert_true(same_file(f.fds[0], one[0]));
        assert_int_equal(fcntl(f.fds[0], F_GETFD), FD_CLOEXEC);
        assert_null(json_object_get(f.head, "fds"));
        frame_done(&f);
        assert_int_equal(chan_next(p.b, &f), 1);
        assert_int_equal(f.n_fds, 2);
        assert_true(same_file(f.fds[1], two[1]));
        frame_done(&f);
        assert_int_equal(chan_next(p.b, &f), 1);
        assert_string_equal(json_get_string(f.head, "op"), "none");
        frame_done(&f);

        /* The sender kept its own. */
        for (int i = 0; i < 2; i++) {
                assert_int_equal(close(one[i]), 0);
                assert_int_equal(close(two[i]), 0);
        }
        pair_free(&p);
}

static int raw_send_fds(int fd, const char *bytes, size_t len, int sent_fd, size_t n_fds) {
        char space[CMSG_SPACE(8 * sizeof(int))] __attribute__((aligned(8))) = { 0 };
        struct iovec iov = { (char *)(uintptr_t)bytes, len };
        struct msghdr msg = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = space,
                              .msg_controllen = CMSG_SPACE(n_fds * sizeof(int)) };
        struct cmsghdr *m = CMSG_FIRSTHDR(&msg);

        m->cmsg_level = SOL_SOCKET;
        m->cmsg_type = SCM_RIGHTS;
        m->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        for (size_t i = 0; i < n_fds; i++)
                memcpy(CMSG_DATA(m) + i * sizeof(int), &sent_fd, sizeof(int));
        return sendmsg(fd, &msg, 0) == (ssize_t)len ? 0 : -errno;
}

static int count_fds(void) {
        int n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void descriptors_nobody_spoke_of_are_refused_and_closed(void **state) {
        static const char frame[] = "\x02\0\0\0\0\0\0\0{}";
        int before = count_fds();

        for (size_t n_fds = 1; n_fds <= 8; n_fds++) {
                struct frame f = FRAME_INIT;
                AUTO_CLOSE int fd = -1;
                struct chan *c = raw_new(&fd);
                int r;

                assert_int_equal(raw_send_fds(fd, frame, sizeof(frame) - 1, 0, n_fds), 0);
                r = chan_read(c);
                if (r == 0)
                        r = chan_next(c, &f);
                assert_int_equal(r, -EBADMSG);
                (void)chan_free(c);
        }
        assert_int_equal(count_fds(), before);
}

static void a_large_body_goes_piece_by_piece(void **state) {
        struct pair p = pair_new();
        AUTO_JSON json_t *head = json_object();
        AUTO_BUF struct buf body = BUF_INIT;
        struct frame f = FRAME_INIT;
        int got = 0;

        assert_int_equal(buf_reserve(&body, LIMIT_FRAME_BODY_BYTES), 0);
        for (body.len = 0; body.len < LIMIT_FRAME_BODY_BYTES; body.len++)
                body.data[body.len] = (char)(body.len * 7 + body.len / 4096);
        body.data[body.len] = '\0';
        assert_int_equal(chan_send(p.a, head, &body, NULL, 0), 0);
        assert_int_equal(body.len, 0);
        assert_false(chan_idle(p.a));
        assert_int_equal(chan_events(p.a), POLLIN | POLLOUT);
        while (got == 0) {
                assert_int_equal(chan_read(p.b), 0);
                got = chan_next(p.b, &f);
                assert_int_equal(chan_flush(p.a), 0);
        }
        assert_int_equal(got, 1);
        assert_int_equal(f.body.len, LIMIT_FRAME_BODY_BYTES);
        for (size_t i = 0; i < f.body.len; i++)
                if (f.body.data[i] != (char)(i * 7 + i / 4096))
                        fail_msg("byte %zu differs", i);
        frame_done(&f);
        assert_true(chan_idle(p.a));
        pair_free(&p);
}

/* S9 */
static void what_the_other_side_does_not_take_has_a_bound(void **state) {
        struct pair p = pair_new();
        AUTO_JSON json_t *head = json_object();
        size_t queued = 0;
        int r = 0;

        while (queued < 2 * (size_t)LIMIT_CHAN_OUT_BYTES) {
                AUTO_BUF struct buf body = BUF_INIT;

                assert_int_equal(buf_reserve(&body, LIMIT_FRAME_BODY_BYTES), 0);
                body.len = LIMIT_FRAME_BODY_BYTES;
                r = chan_send(p.a, head, &body, NULL, 0);
                if (r < 0) {
                        assert_int_equal(body.len, LIMIT_FRAME_BODY_BYTES); /* still the caller's */
                        break;
                }
                queued += LIMIT_FRAME_BODY_BYTES;
        }
        assert_int_equal(r, -ENOBUFS);
        pair_free(&p);
}

/* S9 */
static void what_is_not_taken_is_not_read_on(void **state) {
        struct pair p = pair_new();
        AUTO_JSON json_t *head = json_object();
        size_t n = 0;
        int r = 0;

        for (int round = 0; round < 40 && r == 0; round++) {
                AUTO_BUF struct buf body = BUF_INIT;

                if (chan_idle(p.a)) {
                        assert_int_equal(buf_reserve(&body, LIMIT_FRAME_BODY_BYTES / 4), 0);
                        body.len = LIMIT_FRAME_BODY_BYTES / 4;
                        assert_int_equal(chan_send(p.a, head, &body, NULL, 0), 0);
                        n++;
                }
                for (int i = 0; i < 64; i++) {
                        assert_int_equal(chan_flush(p.a), 0);
                        r = chan_read(p.b);
                        assert_int_equal(r, 0);
                }
                if (!(chan_events(p.b) & POLLIN))
                        break;
        }
        assert_int_equal(chan_events(p.b) & POLLIN, 0);
        assert_true(n >= 4);
        for (struct frame f = FRAME_INIT; chan_next(p.b, &f) == 1; frame_done(&f))
                n--;
        assert_int_equal(chan_events(p.b) & POLLIN, POLLIN);
        assert_true(n <= 1);
        pair_free(&p);
}

static void frames_before_the_end_can_still_be_taken(void **state) {
        struct pair p = pair_new();
        struct frame f = FRAME_INIT;

        assert_int_equal(send_text(p.a, "bye", "", NULL, 0), 0);
        p.a = chan_free(p.a);
        assert_int_equal(chan_read(p.b), -EPIPE);
        assert_int_equal(chan_next(p.b, &f), 1);
        assert_string_equal(json_get_string(f.head, "op"), "bye");
        frame_done(&f);
        assert_int_equal(chan_next(p.b, &f), 0);
        assert_int_equal(send_text(p.b, "late", "", NULL, 0), -EPIPE);
        pair_free(&p);
}

static void heads_over_the_limits_are_not_sent(void **state) {
        struct pair p = pair_new();
        AUTO_FREE char *text = calloc(1, LIMIT_FRAME_HEAD_BYTES + 1);
        AUTO_JSON json_t *array = json_array();
        AUTO_JSON json_t *own = json_pack("{si}", "fds", 1);
        AUTO_JSON json_t *large = NULL;
        const int five[5] = { 0, 0, 0, 0, 0 };

        assert_non_null(text);
        for (size_t i = 0; i < LIMIT_FRAME_HEAD_BYTES; i++)
                text[i] = 'x';
        large = json_pack("{ss}", "x", text);
        assert_int_equal(chan_send(p.a, large, NULL, NULL, 0), -EMSGSIZE);
        assert_int_equal(chan_send(p.a, array, NULL, NULL, 0), -EINVAL);
        assert_int_equal(chan_send(p.a, own, NULL, NULL, 0), -EINVAL);
        assert_int_equal(send_text(p.a, "x", "", five, 5), -EINVAL);
        assert_true(chan_idle(p.a));
        pair_free(&p);
}

static int round_trip(void *userdata) {
        struct pair p = { 0 };
        AUTO_BUF struct buf body = BUF_INIT;
        struct frame f = FRAME_INIT;
        json_t *head = userdata;
        int fds[2];
        int r = -ENOMEM;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        p.a = chan_new(fds[0]);
        p.b = chan_new(fds[1]);
        if (!p.a)
                (void)close(fds[0]);
        if (!p.b)
                (void)close(fds[1]);
        if (p.a && p.b)
                r = buf_append_str(&body, "body");
        if (r == 0)
                r = chan_send(p.a, head, &body, fds, 2);
        if (r == 0)
                r = chan_read(p.b);
        if (r == 0) {
                r = chan_next(p.b, &f);
                if (r == 1)
                        frame_done(&f);
                r = r == 1 ? 0 : r;
        }
        pair_free(&p);
        return r;
}

static void no_allocation_is_taken_for_granted(void **state) {
        AUTO_JSON json_t *head = json_pack("{ss si}", "op", "x", "id", 7);
        int before = count_fds();

        assert_true(oom_sweep_any(round_trip, head) > 5);
        assert_int_equal(count_fds(), before);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(frames_arrive_whole_and_in_order),
                cmocka_unit_test(a_frame_survives_a_cut_at_every_byte),
                cmocka_unit_test(what_is_no_frame_is_refused),
                cmocka_unit_test(descriptors_come_with_their_own_frame),
                cmocka_unit_test(descriptors_nobody_spoke_of_are_refused_and_closed),
                cmocka_unit_test(a_large_body_goes_piece_by_piece),
                cmocka_unit_test(what_the_other_side_does_not_take_has_a_bound),
                cmocka_unit_test(what_is_not_taken_is_not_read_on),
                cmocka_unit_test(frames_before_the_end_can_still_be_taken),
                cmocka_unit_test(heads_over_the_limits_are_not_sent),
                cmocka_unit_test(no_allocation_is_taken_for_granted),
        };

        return cmocka_run_group_tests_name("chan", tests, NULL, NULL);
}
