/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/backend.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "daemon/link.h"
#include "loop/loop.h"

struct request {
        struct list link;
        uint64_t id;
        store_backend_read_fn on_read;
        store_backend_done_fn on_done;
        store_backend_list_fn on_list;
        void *userdata;
        json_t *head;     /* for a writer that takes over */
        struct buf bytes; /* sealed */
};

struct backend {
        sd_event *event;
        struct link *link;        /* NULL: dead, not replaced yet */
        struct list requests;     /* in the order of sending, which is that of the answers */
        sd_event_source *give_up; /* on a writer that does not come back */
        bool given_up;
        uint64_t last_id;
        json_t *sandbox;
};

static void free_request(struct request *q) {
        json_decref(q->head);
        buf_done(&q->bytes);
        free(q);
}

static void answer_list(struct request *q, int r, const json_t *names) {
        size_t n = json_array_size(names);
        const char **texts = NULL;

        if (r == 0 && n > 0) {
                texts = calloc(n, sizeof(*texts));
                r = texts ? 0 : -ENOMEM;
        }
        for (size_t i = 0; r == 0 && i < n; i++) {
                texts[i] = json_string_value(json_array_get(names, i));
                if (!texts[i])
                        r = -EBADMSG;
        }
        q->on_list(r, r == 0 ? texts : NULL, r == 0 ? n : 0, q->userdata);
        free(texts);
}

static void answer(struct request *q, int r, const json_t *head, struct buf *bytes) {
        struct buf none = BUF_INIT;

        list_remove(&q->link);
        if (q->on_read)
                q->on_read(r, bytes ? bytes : &none, q->userdata);
        else if (q->on_list)
                answer_list(q, r, head ? json_object_get(head, "names") : NULL);
        else
                q->on_done(r, q->userdata);
        free_request(q);
}

static int on_frame(struct frame *f, void *userdata) {
        struct backend *b = userdata;
        const char *op = json_get_string(f->head, "op");
        struct request *q = LIST_FIRST(&b->requests, struct request, link);
        json_int_t r = json_get_int(f->head, "r", -EBADMSG);

        if (op && streq(op, "sandbox")) {
                json_decref(b->sandbox);
                b->sandbox = json_incref(json_object_get(f->head, "sandbox"));
                return 0;
        }
        if (!op || !streq(op, "done") || !q ||
            json_get_int(f->head, "id", 0) != (json_int_t)q->id || r > 0 || r < -4096)
                return -EBADMSG;
        answer(q, (int)r, f->head, &f->body);
        return 0;
}

static void fail_all(struct backend *b, int r) {
        while (!list_empty(&b->requests))
                answer(LIST_FIRST(&b->requests, struct request, link), r, NULL, NULL);
}

static void give_up(struct backend *b) {
        b->give_up = loop_source_free(b->give_up);
        b->given_up = true;
        log_error("The writer does not start: nothing is read or written until it does");
        fail_all(b, -ETIMEDOUT);
}

static int on_give_up(sd_event_source *s, uint64_t usec, void *userdata) {
        give_up(userdata);
        return 0;
}

static void on_closed(void *userdata) {
        struct backend *b = userdata;

        log_warning("The writer has ended; it is started again");
        b->link = link_free(b->link);
        /* What is asked meanwhile waits a moment for it. */
        if (loop_timer(b->event, clock_boot_usec() + LIMIT_WRITER_MSEC * USEC_PER_MSEC, on_give_up,
                       b, "writer is back", &b->give_up) < 0)
                give_up(b);
}

static const struct link_ops link_ops = { on_frame, on_closed };

static int send_to_writer(struct backend *b, const struct request *q) {
        AUTO_BUF struct buf bytes = { .max = q->bytes.max };
        int r = 0;

        if (q->bytes.len > 0)
                r = buf_append(&bytes, q->bytes.data, q->bytes.len);
        return r == 0 ? link_send(b->link, q->head, &bytes, NULL, 0) : r;
}

int backend_attach(struct backend *b, int fd) {
        struct request *q;
        int r;

        b->link = link_free(b->link);
        r = link_new(b->event, fd, &link_ops, b, "writer", &b->link);
        b->give_up = loop_source_free(b->give_up);
        b->given_up = false;
        LIST_FOREACH(q, &b->requests, struct request, link)
                r = r == 0 ? send_to_writer(b, q) : r;
        return r;
}

int backend_new(sd_event *event, int fd, struct backend **ret) {
        struct backend *b = calloc(1, sizeof(*b));
        int r;

        if (!b) {
                (void)close(fd);
                return -ENOMEM;
        }
        list_init(&b->requests);
        b->event = event;
        r = backend_attach(b, fd);
        if (r < 0) {
                free(b);
                return r;
        }
        *ret = b;
        return 0;
}

struct backend *backend_free(struct backend *b) {
        if (!b)
                return NULL;
        fail_all(b, -ECANCELED);
        b->give_up = loop_source_free(b->give_up);
        b->link = link_free(b->link);
        json_decref(b->sandbox);
        free(b);
        return NULL;
}

const json_t *backend_sandbox(const struct backend *b) {
        return b->sandbox;
}

static int send_request(struct backend *b, json_t *head, struct buf *bytes, struct request *from) {
        struct request *q = calloc(1, sizeof(*q));
        int r = b->given_up ? -ETIMEDOUT : 0;

        if (!q) {
                json_decref(head);
                return -ENOMEM;
        }
        *q = *from;
        list_init(&q->link);
        q->id = b->last_id + 1;
        q->head = head;
        if (bytes)
                buf_move(&q->bytes, bytes);
        if (r == 0 &&
            (!head || json_object_set_new(head, "id", json_integer((json_int_t)q->id)) < 0))
                r = -ENOMEM;
        /* Without a writer it waits for the next one, as long as one is to be expected. */
        if (r == 0 && b->link)
                r = send_to_writer(b, q);
        if (r < 0 && r != -EPIPE) {
                if (bytes)
                        buf_move(bytes, &q->bytes);
                free_request(q);
                return r;
        }
        b->last_id++;
        list_append(&b->requests, &q->link);
        return 0;
}

static int backend_read(void *backend, const char *name, size_t max, store_backend_read_fn fn,
                        void *userdata) {
        return send_request(
                backend,
                json_pack("{s:s, s:s, s:I}", "op", "read", "name", name, "max", (json_int_t)max),
                NULL, &(struct request){ .on_read = fn, .userdata = userdata });
}

static int backend_write(void *backend, const char *name, struct buf *data,
                         store_backend_done_fn fn, void *userdata) {
        return send_request(backend, json_pack("{s:s, s:s}", "op", "write", "name", name), data,
                            &(struct request){ .on_done = fn, .userdata = userdata });
}

static int backend_remove(void *backend, const char *name, store_backend_done_fn fn,
                          void *userdata) {
        return send_request(backend, json_pack("{s:s, s:s}", "op", "remove", "name", name), NULL,
                            &(struct request){ .on_done = fn, .userdata = userdata });
}

static int backend_list(void *backend, store_backend_list_fn fn, void *userdata) {
        return send_request(backend, json_pack("{s:s}", "op", "list"), NULL,
                            &(struct request){ .on_list = fn, .userdata = userdata });
}

static const struct store_backend_ops ops = { backend_read, backend_write, backend_remove,
                                              backend_list };

const struct store_backend_ops *backend_ops(void) {
        return &ops;
}
