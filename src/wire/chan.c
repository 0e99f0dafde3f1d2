/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/chan.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/list.h"

#define FRAME_PREFIX ((size_t)8)
#define FRAME_MAX (FRAME_PREFIX + LIMIT_FRAME_HEAD_BYTES + LIMIT_FRAME_BODY_BYTES)
#define READ_CHUNK ((size_t)64 * 1024)
#define READ_ROUNDS 16                    /* of READ_CHUNK each, then others have their turn */
#define IN_FDS_MAX (16 * LIMIT_FRAME_FDS) /* of frames that nobody took yet */
#define IN_KEEP ((size_t)256 * 1024)      /* an empty buffer larger than this is given back */

/* A frame on its way out. */
struct out {
        struct list link;
        struct buf head; /* prefix and JSON */
        struct buf body;
        size_t sent;
        int fds[LIMIT_FRAME_FDS];
        size_t n_fds;
};

struct chan {
        int fd;
        struct buf in;
        size_t in_pos; /* what lies before it was taken */
        int in_fds[IN_FDS_MAX];
        size_t n_in_fds;
        struct list out;
        size_t n_out_bytes;
};

static void close_fds(int *fds, size_t n_fds) {
        for (size_t i = 0; i < n_fds; i++)
                if (fds[i] >= 0)
                        (void)close(TAKE_FD(fds[i]));
}

void frame_done(struct frame *f) {
        json_decref(f->head);
        buf_done(&f->body);
        close_fds(f->fds, ARRAY_SIZE(f->fds));
        *f = FRAME_INIT;
}

static void out_free(struct out *o) {
        list_remove(&o->link);
        buf_done(&o->head);
        buf_done(&o->body);
        close_fds(o->fds, o->n_fds);
        free(o);
}

struct chan *chan_new(int fd) {
        struct chan *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        c->fd = fd;
        buf_init(&c->in, FRAME_MAX + READ_CHUNK);
        list_init(&c->out);
        return c;
}

struct chan *chan_free(struct chan *c) {
        struct out *o;

        if (!c)
                return NULL;
        LIST_FOREACH(o, &c->out, struct out, link)
                out_free(o);
        close_fds(c->in_fds, c->n_in_fds);
        buf_done(&c->in);
        (void)close(c->fd);
        free(c);
        return NULL;
}

int chan_fd(const struct chan *c) {
        return c->fd;
}

/* What was read waits to be taken: no more is read until it was. */
static bool in_full(const struct chan *c) {
        return c->in.len - c->in_pos >= FRAME_MAX || c->n_in_fds > IN_FDS_MAX - LIMIT_FRAME_FDS;
}

short chan_events(const struct chan *c) {
        return (short)((in_full(c) ? 0 : POLLIN) | (chan_idle(c) ? 0 : POLLOUT));
}

bool chan_idle(const struct chan *c) {
        return list_empty(&c->out);
}

/* Takes over the descriptors that came with a message. */
static int take_fds(struct chan *c, struct msghdr *msg) {
        int r = msg->msg_flags & MSG_CTRUNC ? -EBADMSG : 0;

        for (struct cmsghdr *m = CMSG_FIRSTHDR(msg); m; m = CMSG_NXTHDR(msg, m)) {
                size_t n;

                if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < n; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(m) + i * sizeof(int), sizeof(int));
                        if (c->n_in_fds < IN_FDS_MAX) {
                                c->in_fds[c->n_in_fds++] = fd;
                        } else {
                                (void)close(fd);
                                r = -EBADMSG;
                        }
                }
        }
        return r;
}

/* One recvmsg(): the number of bytes, or -errno. */
static ssize_t read_once(struct chan *c) {
        union {
                char space[CMSG_SPACE(LIMIT_FRAME_FDS * sizeof(int))];
                struct cmsghdr align;
        } control = { .space = { 0 } };
        struct iovec iov;
        struct msghdr msg = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
        ssize_t n;
        int r = buf_reserve(&c->in, READ_CHUNK);

        if (r < 0)
                return r;
        iov = (struct iovec){ c->in.data + c->in.len, READ_CHUNK };
        n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return -errno;
        r = take_fds(c, &msg);
        if (r < 0)
                return r;
        c->in.len += (size_t)n;
        c->in.data[c->in.len] = '\0';
        return n;
}

int chan_read(struct chan *c) {
        buf_consume(&c->in, c->in_pos);
        c->in_pos = 0;
        for (unsigned i = 0; i < READ_ROUNDS && !in_full(c); i++) {
                ssize_t n = read_once(c);

                if (n == -EINTR)
                        continue;
                if (n == -EAGAIN)
                        return 0;
                if (n == 0 || n == -ECONNRESET)
                        return -EPIPE;
                if (n < 0)
                        return (int)n;
        }
        return 0;
}

static uint32_t get_u32(const char *data) {
        const unsigned char *p = (const unsigned char *)data;

        return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_u32(char *data, uint32_t v) {
        for (unsigned i = 0; i < 4; i++)
                data[i] = (char)(v >> (8 * i) & 0xff);
}

/* Parses the head and takes the frame's descriptors out of the queue. */
static int open_head(struct chan *c, const char *text, size_t len, struct frame *f) {
        json_t *count;
        json_int_t n = 0;
        int r = json_parse(text, len, LIMIT_JSON_DEPTH, &f->head, NULL);

        if (r < 0)
                return r;
        if (!json_is_object(f->head))
                return -EBADMSG;
        count = json_object_get(f->head, "fds");
        if (count) {
                n = json_integer_value(count);
                if (n < 1 || n > LIMIT_FRAME_FDS || (size_t)n > c->n_in_fds)
                        return -EBADMSG;
                (void)json_object_del(f->head, "fds");
        }
        f->n_fds = (size_t)n;
        memcpy(f->fds, c->in_fds, f->n_fds * sizeof(int));
        c->n_in_fds -= f->n_fds;
        memmove(c->in_fds, c->in_fds + f->n_fds, c->n_in_fds * sizeof(int));
        return 0;
}

int chan_next(struct chan *c, struct frame *ret) {
        const char *p = c->in.data ? c->in.data + c->in_pos : "";
        size_t rest = c->in.len - c->in_pos;
        struct frame f = FRAME_INIT;
        size_t n_head;
        size_t n_body;
        int r;

        if (rest < FRAME_PREFIX)
                return 0;
        n_head = get_u32(p);
        n_body = get_u32(p + 4);
        if (n_head < 2 || n_head > LIMIT_FRAME_HEAD_BYTES || n_body > LIMIT_FRAME_BODY_BYTES)
                return -EBADMSG;
        if (rest - FRAME_PREFIX < n_head + n_body)
                return 0;
        p += FRAME_PREFIX;
        buf_init(&f.body, LIMIT_FRAME_BODY_BYTES);
        r = buf_append(&f.body, p + n_head, n_body);
        if (r == 0)
                r = open_head(c, p, n_head, &f);
        if (r < 0) {
                frame_done(&f);
                return r;
        }
        /* It may have been a token answer; what is read next may come much later. */
        mem_wipe(c->in.data + c->in_pos, FRAME_PREFIX + n_head + n_body);
        c->in_pos += FRAME_PREFIX + n_head + n_body;
        /* Descriptors that no head spoke of: the two ends no longer agree. */
        if (c->in_pos == c->in.len && c->n_in_fds > 0) {
                frame_done(&f);
                return -EBADMSG;
        }
        if (c->in_pos == c->in.len && c->in.cap > IN_KEEP) {
                c->in_pos = 0;
                buf_done(&c->in);
        }
        *ret = f;
        return 1;
}

/* Prefix and JSON in one buffer; the number of descriptors becomes the head's first member. */
static int make_head(struct buf *b, const json_t *head, size_t n_body, size_t n_fds) {
        AUTO_BUF struct buf text = BUF_INIT;
        char prefix[FRAME_PREFIX] = { 0 };
        int r;

        buf_init(&text, LIMIT_FRAME_HEAD_BYTES);
        r = json_write(&text, head);
        if (r == 0)
                r = buf_append(b, prefix, sizeof(prefix));
        if (r == 0 && n_fds > 0)
                r = buf_printf(b, "{\"fds\":%zu%s", n_fds, text.len > 2 ? "," : "");
        if (r == 0)
                r = buf_append(b, text.data + (n_fds > 0), text.len - (n_fds > 0));
        if (r < 0)
                return r;
        if (b->len - FRAME_PREFIX > LIMIT_FRAME_HEAD_BYTES)
                return -EMSGSIZE;
        put_u32(b->data, (uint32_t)(b->len - FRAME_PREFIX));
        put_u32(b->data + 4, (uint32_t)n_body);
        return 0;
}

static int dup_fds(struct out *o, const int *fds, size_t n_fds) {
        for (; o->n_fds < n_fds; o->n_fds++) {
                o->fds[o->n_fds] = fcntl(fds[o->n_fds], F_DUPFD_CLOEXEC, 3);
                if (o->fds[o->n_fds] < 0)
                        return -errno;
        }
        return 0;
}

int chan_send(struct chan *c, const json_t *head, struct buf *body, const int *fds, size_t n_fds) {
        size_t n_body = body ? body->len : 0;
        struct out *o;
        int r;

        if (!json_is_object(head) || json_object_get(head, "fds") || n_fds > LIMIT_FRAME_FDS)
                return -EINVAL;
        if (n_body > LIMIT_FRAME_BODY_BYTES)
                return -EMSGSIZE;
        o = calloc(1, sizeof(*o));
        if (!o)
                return -ENOMEM;
        list_init(&o->link);
        r = make_head(&o->head, head, n_body, n_fds);
        if (r == 0 && c->n_out_bytes + o->head.len + n_body > LIMIT_CHAN_OUT_BYTES)
                r = -ENOBUFS;
        if (r == 0)
                r = dup_fds(o, fds, n_fds);
        if (r < 0) {
                out_free(o);
                return r;
        }
        if (body)
                buf_move(&o->body, body);
        c->n_out_bytes += o->head.len + o->body.len;
        list_append(&c->out, &o->link);
        return chan_flush(c);
}

/* One sendmsg() of what is left of a frame: 0, -EAGAIN or another -errno. */
static int send_some(struct chan *c, struct out *o) {
        union {
                char space[CMSG_SPACE(LIMIT_FRAME_FDS * sizeof(int))];
                struct cmsghdr align;
        } control = { .space = { 0 } };
        size_t from_head = o->sent < o->head.len ? o->sent : o->head.len;
        size_t from_body = o->sent - from_head;
        struct iovec iov[2] = { { o->head.data + from_head, o->head.len - from_head }, { 0 } };
        struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 1 };
        ssize_t n;

        if (o->body.len > 0) {
                iov[1] = (struct iovec){ o->body.data + from_body, o->body.len - from_body };
                msg.msg_iovlen = 2;
        }
        if (o->n_fds > 0) {
                msg.msg_control = &control;
                msg.msg_controllen = CMSG_SPACE(o->n_fds * sizeof(int));
                control.align = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                                                  .cmsg_type = SCM_RIGHTS,
                                                  .cmsg_len = CMSG_LEN(o->n_fds * sizeof(int)) };
                memcpy(CMSG_DATA(&control.align), o->fds, o->n_fds * sizeof(int));
        }
        n = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return errno == ECONNRESET ? -EPIPE : -errno;
        /* They travel with the first byte. */
        close_fds(o->fds, o->n_fds);
        o->n_fds = 0;
        o->sent += (size_t)n;
        c->n_out_bytes -= (size_t)n;
        return 0;
}

int chan_flush(struct chan *c) {
        struct out *o;

        LIST_FOREACH(o, &c->out, struct out, link) {
                while (o->sent < o->head.len + o->body.len) {
                        int r = send_some(c, o);

                        if (r == -EINTR)
                                continue;
                        if (r < 0)
                                return r == -EAGAIN ? 0 : r;
                }
                out_free(o);
        }
        return 0;
}
