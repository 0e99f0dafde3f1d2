/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/link.h"

#include <poll.h>

#include "base/log.h"
#include "loop/loop.h"
#include "loop/pump.h"

struct link {
        struct chan *chan;
        struct pump *pump;
        const struct link_ops *ops;
        void *userdata;
        const char *description;
        bool *gone; /* set when the link is freed while it works */
        bool closed;
};

static int end(struct link *l, int r) {
        if (l->closed)
                return r;
        l->closed = true;
        log_debug("%s: the other side is gone (%s)", l->description, strerror(-r));
        l->ops->on_closed(l->userdata);
        return r;
}

static int take_frames(struct link *l, bool *gone) {
        for (;;) {
                struct frame f = FRAME_INIT;
                int r = chan_next(l->chan, &f);

                if (r <= 0)
                        return r;
                r = l->ops->on_frame(&f, l->userdata);
                frame_done(&f);
                if (*gone || r < 0)
                        return r;
        }
}

static int on_ready(void *userdata, uint32_t revents) {
        struct link *l = userdata;
        bool gone = false;
        int r;
        int frames;

        l->gone = &gone;
        /* What came before the end counts: an answer may be followed by the end at once, and one
         * that takes no more may have said something last. */
        r = chan_flush(l->chan);
        if (r == 0 || r == -EPIPE) {
                int read = chan_read(l->chan);

                r = read < 0 ? read : r;
        }
        frames = r == 0 || r == -EPIPE ? take_frames(l, &gone) : 0;
        if (gone)
                return -ECANCELED;
        l->gone = NULL;
        if (frames < 0)
                r = frames;
        return r < 0 ? end(l, r) : 0;
}

void link_read(struct link *l) {
        if (!l->closed)
                (void)on_ready(l, POLLIN);
}

static short events(void *userdata) {
        struct link *l = userdata;

        return l->closed ? 0 : chan_events(l->chan);
}

static const struct pump_ops pump_ops = { .on_ready = on_ready,
                                          .events = events,
                                          .priority = LOOP_WORKER };

int link_new(sd_event *event, int fd, const struct link_ops *ops, void *userdata,
             const char *description, struct link **ret) {
        struct link *l = calloc(1, sizeof(*l));
        int r;

        if (!l) {
                (void)close(fd);
                return -ENOMEM;
        }
        l->ops = ops;
        l->userdata = userdata;
        l->description = description;
        l->chan = chan_new(fd);
        if (!l->chan) {
                (void)close(fd);
                free(l);
                return -ENOMEM;
        }
        r = pump_new(event, chan_fd(l->chan), &pump_ops, l, description, &l->pump);
        if (r < 0) {
                (void)link_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

struct link *link_free(struct link *l) {
        if (!l)
                return NULL;
        if (l->gone)
                *l->gone = true;
        l->pump = pump_free(l->pump);
        (void)chan_free(l->chan);
        free(l);
        return NULL;
}

int link_send(struct link *l, const json_t *head, struct buf *body, const int *fds, size_t n_fds) {
        int r;

        if (l->closed)
                return -EPIPE;
        r = chan_send(l->chan, head, body, fds, n_fds);
        pump_update(l->pump);
        return r;
}

int link_send_head(struct link *l, json_t *head) {
        AUTO_JSON json_t *owned = head;

        return owned ? link_send(l, owned, NULL, NULL, 0) : -ENOMEM;
}

void link_set_userdata(struct link *l, void *userdata) {
        l->userdata = userdata;
}

bool link_idle(const struct link *l) {
        return l->closed || chan_idle(l->chan);
}
