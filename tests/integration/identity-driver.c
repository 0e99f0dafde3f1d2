/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt to get an identity, step by step, for identity.py and identity-live.py: descriptor 0
 * is a stream of frames, on which each step is said as the keeper would say it to its workers, and
 * what came of it is read. Ends with {"op":"done"} and the identity, or {"op":"failed"}.
 *
 *     identity-driver CONFIG [AUDIENCE]...
 */
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "identity/identity.h"
#include "os/io.h"
#include "wire/chan.h"

static int turn(struct chan *c) {
        struct pollfd p = { .fd = chan_fd(c), .events = chan_events(c) };
        int r = poll(&p, 1, -1) < 0 ? -errno : 0;

        if (r == 0 && (p.revents & POLLOUT))
                r = chan_flush(c);
        if (r == 0 && (p.revents & (POLLIN | POLLHUP)))
                r = chan_read(c);
        return r;
}

static int receive(struct chan *c, struct frame *f) {
        int r;

        while ((r = chan_next(c, f)) == 0) {
                r = turn(c);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : 0;
}

static int say(struct chan *c, json_t *head, struct buf *body) {
        struct buf nothing = BUF_INIT;
        int r = head ? chan_send(c, head, body ? body : &nothing, NULL, 0) : -ENOMEM;

        json_decref(head);
        while (r == 0 && !chan_idle(c))
                r = turn(c);
        return r;
}

/* As the broker does it: the request is gone when its answer comes. */
static int fetch(struct chan *c, struct identity *i, struct identity_step *step) {
        struct frame f = FRAME_INIT;
        struct fetch_answer a;
        json_t *head = NULL;
        int r = fetch_request_to_head(&step->fetch, &head);

        fetch_answer_init(&a);
        if (r == 0)
                r = say(c, head, &step->fetch.body);
        fetch_request_done(&step->fetch);
        if (r == 0)
                r = receive(c, &f);
        if (r == 0)
                r = fetch_answer_from_head(&a, f.head, &f.body);
        if (r == 0)
                identity_feed_answer(i, &a, clock_wall_usec());
        fetch_answer_done(&a);
        frame_done(&f);
        return r;
}

static int give_order(struct chan *c, struct identity *i, struct identity_step *step) {
        enum order_kind kind = step->order.kind;
        struct frame f = FRAME_INIT;
        struct order_reply p;
        struct order o;
        json_t *head = NULL;
        int r;

        order_init(&o, kind);
        order_reply_init(&p);
        order_move(&o, &step->order);
        r = order_to_head(&o, &head);
        if (r == 0)
                r = say(c, head, kind == ORDER_CALL ? &o.fetch.body : NULL);
        if (r == 0)
                r = receive(c, &f);
        if (r == 0)
                r = order_reply_from_head(&p, kind, f.head, &f.body);
        if (r == 0 && kind == ORDER_CALL)
                identity_feed_answer(i, &p.answer, clock_wall_usec());
        else if (r == 0)
                identity_feed_bytes(i, p.r, &p.bytes, &p.err, clock_wall_usec());
        order_reply_done(&p);
        order_done(&o);
        frame_done(&f);
        return r;
}

static int pause_for(struct chan *c, struct identity *i, uint64_t usec) {
        struct frame f = FRAME_INIT;
        int r = say(c, json_pack("{ss sI}", "op", "wait", "usec", (json_int_t)usec), NULL);

        if (r == 0)
                r = receive(c, &f);
        if (r == 0)
                identity_feed_time(i, clock_wall_usec());
        frame_done(&f);
        return r;
}

static int say_done(struct chan *c, struct identity *i) {
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        int r = identity_take(i, &got);

        if (r < 0)
                return r;
        return say(c,
                   json_pack("{ss si ss ss? sI sI}", "op", "done", "kind", (int)got.kind,
                             "provider", got.provider, "subject", got.subject, "expires",
                             (json_int_t)(got.expires_wall / USEC_PER_SEC), "key_bytes",
                             (json_int_t)got.key_der.len),
                   got.kind == IDENTITY_X509 ? &got.chain_der : &got.jwt);
}

static int say_failed(struct chan *c, const struct error *err) {
        return say(c,
                   json_pack("{ss ss ss ss}", "op", "failed", "code", error_name(err->code),
                             "message", err->message, "hint", err->hint),
                   NULL);
}

static int walk(struct chan *c, struct identity *i) {
        for (;;) {
                struct identity_step *step;
                int r = 0;

                switch (identity_step(i, &step)) {
                case IDENTITY_FETCH:
                        r = fetch(c, i, step);
                        break;
                case IDENTITY_READ:
                case IDENTITY_RUN:
                case IDENTITY_CALL:
                        r = give_order(c, i, step);
                        break;
                case IDENTITY_WAIT:
                        r = pause_for(c, i, step->wait_usec);
                        break;
                case IDENTITY_DONE:
                        return say_done(c, i);
                case IDENTITY_FAILED:
                        return say_failed(c, identity_error(i));
                }
                if (r < 0)
                        return r;
        }
}

static int get_one(struct chan *c, char **argv, int n, char *const *environment) {
        AUTO_IDENTITY_CONFIG struct identity_config config = IDENTITY_CONFIG_INIT;
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        struct error err = ERROR_INIT;
        int r = identity_env_take(environment, &env);

        if (r == 0)
                r = identity_config_parse(argv[1], &config, &err);
        if (r == 0)
                r = identity_begin(&config, &env, (const char *const *)argv + 2, (size_t)n - 2,
                                   clock_wall_usec(), &i, &err);
        return r < 0 ? say_failed(c, &err) : walk(c, i);
}

int main(int argc, char **argv, char **environment) {
        struct chan *c = NULL;
        int r = argc < 2 ? -EINVAL : fd_set_nonblock(STDIN_FILENO);

        if (r == 0)
                c = chan_new(STDIN_FILENO);
        if (r == 0)
                r = c ? get_one(c, argv, argc, environment) : -ENOMEM;
        if (r < 0)
                (void)fprintf(stderr, "identity-driver: %s\n", strerror(-r));
        (void)chan_free(c);
        return r < 0;
}
