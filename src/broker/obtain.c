/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/obtain.h"

#include "base/clock.h"
#include "base/log.h"
#include "broker/internal.h"
#include "loop/loop.h"

struct obtain {
        struct broker *broker;
        struct identity_config config;
        struct identity *identity;
        obtain_done_fn fn;
        void *userdata;
        uint64_t fetch_id;
        bool fetching;
        uint64_t order_id;
        bool ordering;
        sd_event_source *timer;
};

struct obtain *obtain_free(struct obtain *o) {
        if (!o)
                return NULL;
        if (o->fetching)
                o->broker->workers->fetch_forget(o->broker->wud, o->fetch_id);
        if (o->ordering)
                o->broker->workers->order_forget(o->broker->wud, o->order_id);
        (void)loop_source_free(o->timer);
        (void)identity_free(o->identity);
        identity_config_done(&o->config);
        free(o);
        return NULL;
}

static void end(struct obtain *o, struct identity_result *result, const struct error *err) {
        obtain_done_fn fn = o->fn;
        void *userdata = o->userdata;
        struct error copy = err ? *err : ERROR_INIT;

        (void)obtain_free(o);
        fn(result, err ? &copy : NULL, userdata);
}

static int go_on(struct obtain *o, struct error *err);

/* From a callback. */
static void go_on_or_end(struct obtain *o) {
        struct error err = ERROR_INIT;
        int r = go_on(o, &err);

        if (r == 0)
                return;
        (void)error_fallback(&err, r, "getting an identity");
        end(o, NULL, &err);
}

static void on_answer(struct fetch_answer *answer, void *userdata) {
        struct obtain *o = userdata;

        o->fetching = false;
        identity_feed_answer(o->identity, answer, clock_wall_usec());
        go_on_or_end(o);
}

static void on_order(int r, struct fetch_answer *answer, struct buf *bytes, const struct error *err,
                     void *userdata) {
        struct obtain *o = userdata;

        o->ordering = false;
        if (r == 0 && answer)
                identity_feed_answer(o->identity, answer, clock_wall_usec());
        else
                identity_feed_bytes(o->identity, r, bytes, err, clock_wall_usec());
        go_on_or_end(o);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        struct obtain *o = userdata;

        o->timer = loop_source_free(o->timer);
        identity_feed_time(o->identity, clock_wall_usec());
        go_on_or_end(o);
        return 0;
}

/* Something is always under way behind a 0, or the run is over and freed. */
static int go_on(struct obtain *o, struct error *err) {
        AUTO_IDENTITY_RESULT struct identity_result result = IDENTITY_RESULT_INIT;
        const struct broker_workers *w = o->broker->workers;
        struct identity_step *step = NULL;
        int r;

        switch (identity_step(o->identity, &step)) {
        case IDENTITY_FETCH:
                r = w->fetch(o->broker->wud, FETCH_DEAL, &step->fetch, on_answer, o, &o->fetch_id);
                o->fetching = r == 0;
                return r;
        case IDENTITY_READ:
        case IDENTITY_RUN:
        case IDENTITY_CALL:
                r = w->order(o->broker->wud, &step->order, on_order, o, &o->order_id);
                o->ordering = r == 0;
                return r;
        case IDENTITY_WAIT:
                return loop_timer(o->broker->event, clock_boot_usec() + step->wait_usec, on_timer,
                                  o, "identity", &o->timer);
        case IDENTITY_DONE:
                r = identity_take(o->identity, &result);
                if (r < 0)
                        return r;
                end(o, &result, NULL);
                return 0;
        case IDENTITY_FAILED:
        default:
                *err = *identity_error(o->identity);
                return -EACCES;
        }
}

/* A provider may need nothing but the environment: also then the callback comes later. */
static int on_begin(sd_event_source *s, uint64_t usec, void *userdata) {
        struct obtain *o = userdata;

        o->timer = loop_source_free(o->timer);
        go_on_or_end(o);
        return 0;
}

int obtain_start(struct broker *b, const char *text, const char *audience, obtain_done_fn fn,
                 void *userdata, struct obtain **ret, struct error *err) {
        struct obtain *o = calloc(1, sizeof(*o));
        int r;

        if (!o)
                return error_oom(err);
        o->broker = b;
        o->fn = fn;
        o->userdata = userdata;
        r = identity_config_parse(text, &o->config, err);
        if (r == 0)
                r = identity_begin(&o->config, &b->identity_env, &audience, audience ? 1 : 0,
                                   clock_wall_usec(), &o->identity, err);
        if (r == 0)
                r = loop_timer(b->event, clock_boot_usec(), on_begin, o, "identity", &o->timer);
        if (r < 0) {
                (void)obtain_free(o);
                return error_fallback(err, r, "getting an identity");
        }
        *ret = o;
        return 0;
}
