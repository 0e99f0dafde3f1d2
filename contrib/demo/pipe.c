/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that wait for their connection, and a connection that waits for bytes.
 */
#include "pipe.h"

#include <stdlib.h>
#include <string.h>

#include "base.h"

#define BLOCK_BYTES 32768U

struct pipe {
        struct MHD_Connection *connection; /* NULL: detached */
        struct text out;
        size_t n_out; /* of out, what went already */
        bool *moved;
        uint64_t size;
        uint64_t stall_at;
        pipe_left_fn left_fn;
        void *userdata;
        unsigned n_ref; /* the request, and the response that reads */
        bool ended;
        bool cut;
        bool broken;
        bool suspended;
};

struct pipe *pipe_new(struct MHD_Connection *connection, uint64_t size, bool *moved) {
        struct pipe *p = mem_new(sizeof(*p));

        p->connection = connection;
        p->moved = moved;
        p->size = size;
        p->stall_at = UINT64_MAX;
        p->n_ref = 1;
        return p;
}

static void unref(struct pipe *p) {
        if (--p->n_ref > 0)
                return;
        text_done(&p->out);
        free(p);
}

static void tell_left(struct pipe *p) {
        pipe_left_fn fn = p->left_fn;

        p->left_fn = NULL;
        if (fn && !p->ended)
                fn(p->userdata);
}

struct pipe *pipe_detach(struct pipe *p) {
        if (!p)
                return NULL;
        p->connection = NULL;
        p->broken = true;
        tell_left(p);
        unref(p);
        return NULL;
}

static ssize_t on_read(void *cls, uint64_t pos, char *buf, size_t max) {
        struct pipe *p = cls;
        uint64_t open = p->stall_at > pos ? p->stall_at - pos : 0;
        size_t n = p->out.n - p->n_out;

        if (p->broken)
                return MHD_CONTENT_READER_END_WITH_ERROR;
        n = n < max ? n : max;
        n = n < open ? n : (size_t)open;
        if (n > 0) {
                memcpy(buf, p->out.p + p->n_out, n);
                *p->moved = true;
                p->n_out += n;
                if (p->n_out == p->out.n)
                        p->out.n = p->n_out = 0;
                return (ssize_t)n;
        }
        if (p->ended && open > 0)
                return p->cut ? MHD_CONTENT_READER_END_WITH_ERROR
                              : MHD_CONTENT_READER_END_OF_STREAM;
        p->suspended = true;
        MHD_suspend_connection(p->connection);
        return 0;
}

static void on_free(void *cls) {
        unref(cls);
}

struct MHD_Response *pipe_response(struct pipe *p) {
        uint64_t size = p->size == PIPE_SIZE_UNKNOWN ? MHD_SIZE_UNKNOWN : p->size;
        struct MHD_Response *response =
                MHD_create_response_from_callback(size, BLOCK_BYTES, on_read, p, on_free);

        if (response)
                p->n_ref++;
        return response;
}

static void wake(struct pipe *p) {
        if (p->connection)
                *p->moved = true;
        if (!p->suspended || !p->connection)
                return;
        p->suspended = false;
        MHD_resume_connection(p->connection);
}

void pipe_on_left(struct pipe *p, pipe_left_fn fn, void *userdata) {
        p->left_fn = fn;
        p->userdata = userdata;
}

void pipe_write(struct pipe *p, const void *bytes, size_t n) {
        if (p->broken || p->ended || n == 0)
                return;
        text_add(&p->out, bytes, n);
        wake(p);
}

void pipe_end(struct pipe *p, bool cut) {
        p->ended = true;
        p->cut = cut;
        p->left_fn = NULL;
        wake(p);
}

void pipe_stall(struct pipe *p, uint64_t after) {
        p->stall_at = after;
}

bool pipe_stalled(const struct pipe *p) {
        return p->stall_at != UINT64_MAX && !p->broken;
}

void pipe_flow(struct pipe *p) {
        p->stall_at = UINT64_MAX;
        wake(p);
}

void pipe_break(struct pipe *p) {
        p->broken = true;
        tell_left(p);
        wake(p);
}
