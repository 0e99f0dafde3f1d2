/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/host.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/limits.h"
#include "loop/loop.h"

#define READ_BYTES ((size_t)64 * 1024)
#define OUT_HIGH_BYTES ((size_t)4 * 1024 * 1024)
#define OUT_LOW_BYTES ((size_t)1024 * 1024)
#define LAST_USEC (1 * USEC_PER_SEC)

struct host {
        const struct host_ops *ops;
        void *userdata;

        int in_fd;
        sd_event_source *in;
        struct buf chunk; /* what one read brings; kept, for room and wiping cost */
        struct buf line;
        size_t line_max;
        bool skipping; /* the rest of a line that is too long */
        bool held;
        bool ended;

        int out_fd;
        int out_flags; /* as they were; -1: untouched */
        sd_event_source *out;
        struct buf queue;
        size_t written; /* of the queue */
        bool out_waits;
        bool full;
        int out_error;
        sd_event *event;
        sd_event_source *broken; /* tells of out_error */
};

/* ---- in ---- */

static void end(struct host *h, int r) {
        if (h->ended)
                return;
        h->ended = true;
        (void)sd_event_source_set_enabled(h->in, SD_EVENT_OFF);
        h->ops->on_end(r, h->userdata);
}

static void give_line(struct host *h) {
        AUTO_BUF struct buf line = BUF_INIT;

        buf_move(&line, &h->line);
        h->line.max = h->line_max;
        if (line.len > 0 && line.data[line.len - 1] == '\r')
                buf_truncate(&line, line.len - 1);
        if (line.len > 0)
                h->ops->on_line(&line, h->userdata);
}

static void keep(struct host *h, const char *data, size_t len) {
        if (h->skipping)
                return;
        if (buf_append(&h->line, data, len) == 0)
                return;
        h->skipping = true;
        buf_clear(&h->line);
        h->ops->on_overlong(h->userdata);
}

/* Lines are given out as they are found: the last ones also while the host holds its breath, for
 * they are here already. */
static void take(struct host *h, const char *data, size_t len) {
        const char *stop = data + len;

        while (data < stop) {
                const char *lf = memchr(data, '\n', (size_t)(stop - data));

                keep(h, data, (size_t)((lf ? lf : stop) - data));
                if (!lf)
                        return;
                if (!h->skipping)
                        give_line(h);
                h->skipping = false;
                data = lf + 1;
        }
}

static void read_some(struct host *h) {
        ssize_t n;

        if (buf_reserve(&h->chunk, READ_BYTES - 1) < 0) {
                end(h, -ENOMEM);
                return;
        }
        n = read(h->in_fd, h->chunk.data, READ_BYTES - 1);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        if (n > 0) {
                h->chunk.len = (size_t)n;
                take(h, h->chunk.data, h->chunk.len);
                buf_clear(&h->chunk);
                return;
        }
        if (n == 0 && !h->skipping)
                give_line(h); /* the last line may lack its end */
        end(h, n < 0 ? -errno : 0);
}

static int on_in(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        read_some(userdata);
        return 0;
}

static int on_in_file(sd_event_source *s, void *userdata) {
        read_some(userdata);
        return 0;
}

void host_hold(struct host *h, bool hold) {
        if (h->held == hold || h->ended)
                return;
        h->held = hold;
        (void)sd_event_source_set_enabled(h->in, hold ? SD_EVENT_OFF : SD_EVENT_ON);
}

/* ---- out ---- */

static void wait_for_room(struct host *h, bool wait) {
        if (h->out_waits == wait || !h->out)
                return;
        h->out_waits = wait;
        (void)sd_event_source_set_enabled(h->out, wait ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_broken(sd_event_source *s, void *userdata) {
        struct host *h = userdata;

        end(h, h->out_error);
        return 0;
}

/* Told from the loop: who sends is in the middle of something. */
static void drop_output(struct host *h, int r) {
        h->out_error = r;
        h->written = 0;
        buf_done(&h->queue);
        wait_for_room(h, false);
        if (!h->broken && loop_defer(h->event, on_broken, h, "host-broken", &h->broken) < 0)
                h->broken = NULL; /* the host's end of input will tell */
}

/* 0: all is written; -EAGAIN; another: nothing ever will be. */
static int write_some(struct host *h) {
        while (h->written < h->queue.len) {
                ssize_t n = write(h->out_fd, h->queue.data + h->written, h->queue.len - h->written);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                h->written += (size_t)n;
        }
        return 0;
}

/* What was written leaves in large pieces, so that a slow reader costs no copying. */
static void settle(struct host *h) {
        if (h->written == h->queue.len)
                buf_done(&h->queue);
        else if (h->written >= OUT_LOW_BYTES)
                buf_consume(&h->queue, h->written);
        else
                return;
        h->written = 0;
}

static void flush(struct host *h) {
        int r = write_some(h);

        if (r < 0 && r != -EAGAIN) {
                drop_output(h, r);
                return;
        }
        settle(h);
        wait_for_room(h, r == -EAGAIN);
}

static int on_out(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        struct host *h = userdata;

        flush(h);
        if (h->full && h->queue.len - h->written <= OUT_LOW_BYTES) {
                h->full = false;
                h->ops->on_drained(h->userdata);
        }
        return 0;
}

static int queue(struct host *h, struct span text) {
        int r;

        if (memchr(text.p, '\n', text.len) || memchr(text.p, '\r', text.len))
                r = jsonspan_compact(&h->queue, text);
        else
                r = buf_append(&h->queue, text.p, text.len);
        return r < 0 ? r : buf_append(&h->queue, "\n", 1);
}

void host_send(struct host *h, struct span text) {
        int r;

        if (h->out_error < 0)
                return;
        r = queue(h, text);
        if (r < 0)
                drop_output(h, r);
        else if (!h->out_waits)
                flush(h);
        if (h->queue.len - h->written > OUT_HIGH_BYTES)
                h->full = true;
}

bool host_is_full(const struct host *h) {
        return h->full;
}

/* ---- life ---- */

/* Neither a file nor /dev/null can be waited for: they are always ready. */
static int watch_in(struct host *h, sd_event *event) {
        int r = sd_event_add_io(event, &h->in, h->in_fd, EPOLLIN, on_in, h);

        if (r == -EPERM) {
                r = loop_defer(event, on_in_file, h, "host-in-file", &h->in);
                if (r >= 0)
                        r = sd_event_source_set_enabled(h->in, SD_EVENT_ON);
        }
        if (r >= 0)
                r = sd_event_source_set_priority(h->in, LOOP_CLIENT);
        return r < 0 ? r : 0;
}

static int watch_out(struct host *h, sd_event *event) {
        struct stat st;
        int r;

        if (fstat(h->out_fd, &st) < 0)
                return -errno;
        if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
                return 0; /* a file or a terminal takes what it is given */
        h->out_flags = fcntl(h->out_fd, F_GETFL);
        if (h->out_flags < 0 || fcntl(h->out_fd, F_SETFL, h->out_flags | O_NONBLOCK) < 0)
                return -errno;
        r = sd_event_add_io(event, &h->out, h->out_fd, EPOLLOUT, on_out, h);
        if (r >= 0)
                r = sd_event_source_set_enabled(h->out, SD_EVENT_OFF);
        return r < 0 ? r : 0;
}

int host_new(sd_event *event, int in_fd, int out_fd, size_t line_max, const struct host_ops *ops,
             void *userdata, struct host **ret) {
        struct host *h = calloc(1, sizeof(*h));
        int r;

        if (!h)
                return -ENOMEM;
        *h = (struct host){ .event = event,
                            .ops = ops,
                            .userdata = userdata,
                            .in_fd = in_fd,
                            .out_fd = out_fd,
                            .line_max = line_max,
                            .out_flags = -1 };
        h->chunk.max = READ_BYTES;
        h->line.max = line_max;
        h->queue.max = LIMIT_HOST_QUEUE_BYTES;
        r = watch_in(h, event);
        if (r == 0)
                r = watch_out(h, event);
        if (r < 0) {
                (void)host_free(h);
                return r;
        }
        *ret = h;
        return 0;
}

static void flush_last(struct host *h) {
        struct pollfd p = { .fd = h->out_fd, .events = POLLOUT };
        uint64_t end = clock_boot_usec() + LAST_USEC;

        while (h->written < h->queue.len && h->out_error == 0 && clock_boot_usec() < end)
                if (poll(&p, 1, (int)(LAST_USEC / USEC_PER_MSEC / 10)) > 0)
                        flush(h);
}

struct host *host_free(struct host *h) {
        if (!h)
                return NULL;
        flush_last(h);
        (void)loop_source_free(h->in);
        (void)loop_source_free(h->out);
        (void)loop_source_free(h->broken);
        if (h->out_flags >= 0)
                (void)fcntl(h->out_fd, F_SETFL, h->out_flags);
        buf_done(&h->chunk);
        buf_done(&h->line);
        buf_done(&h->queue);
        free(h);
        return NULL;
}
