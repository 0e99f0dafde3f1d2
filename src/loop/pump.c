/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/pump.h"

#include <poll.h>
#include <sys/epoll.h>

#include "loop/loop.h"

struct pump {
        sd_event_source *source;
        const struct pump_ops *ops;
        void *userdata;
        short events; /* what the source waits for now */
        bool stopped; /* on_ready() failed */
        bool *freed;  /* set while on_ready() runs: tells on_pump_io() that we are gone */
};

_Static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT, "poll and epoll speak the same bits");

static void apply(struct pump *p, short events) {
        int r = 0;

        if (events == p->events)
                return;
        if (events != 0)
                r = sd_event_source_set_io_events(p->source, (uint32_t)events);
        /* With nothing to wait for the source is off altogether: epoll would still report a
         * hang-up, for ever. */
        if (r >= 0 && (events == 0) != (p->events == 0))
                r = sd_event_source_set_enabled(p->source, events ? SD_EVENT_ON : SD_EVENT_OFF);
        if (r >= 0)
                p->events = events;
}

static int on_pump_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        struct pump *p = userdata;
        bool freed = false;
        int r;

        p->freed = &freed;
        r = p->ops->on_ready(p->userdata, revents);
        if (freed)
                return 0;
        p->freed = NULL;
        if (r < 0) {
                p->stopped = true;
                apply(p, 0);
        } else {
                pump_update(p);
        }
        return 0;
}

int pump_new(sd_event *e, int fd, const struct pump_ops *ops, void *userdata,
             const char *description, struct pump **ret) {
        struct pump *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        p->ops = ops;
        p->userdata = userdata;
        p->events = ops->events(userdata);
        r = sd_event_add_io(e, &p->source, fd, (uint32_t)p->events, on_pump_io, p);
        if (r >= 0)
                r = sd_event_source_set_priority(p->source, ops->priority);
        if (r >= 0)
                r = sd_event_source_set_description(p->source, description);
        if (r >= 0 && p->events == 0)
                r = sd_event_source_set_enabled(p->source, SD_EVENT_OFF);
        if (r < 0) {
                (void)pump_free(p);
                return r;
        }
        *ret = p;
        return 0;
}

void pump_update(struct pump *p) {
        if (!p->stopped)
                apply(p, p->ops->events(p->userdata));
}

struct pump *pump_free(struct pump *p) {
        if (!p)
                return NULL;
        if (p->freed)
                *p->freed = true;
        (void)loop_source_free(p->source);
        free(p);
        return NULL;
}
