/* SPDX-License-Identifier: Apache-2.0 */
#include "memory-backend.h"

#include "test.h"

static void copy_name(char to[static 65], const char *name) {
        assert_true(strlen(name) <= 64);
        memcpy(to, name, strlen(name) + 1);
}

static void quiet(struct memory *m, bool on) {
        if (m->quiet)
                m->quiet(on);
}

static struct memory_request *ask(struct memory *m, enum memory_verb verb, const char *name,
                                  void *userdata) {
        struct memory_request *q;

        quiet(m, true);
        q = calloc(1, sizeof(*q));
        quiet(m, false);
        assert_non_null(q);
        /* A promise of the store. */
        for (size_t i = 0; verb != MEMORY_LIST && i < m->n_requests; i++)
                assert_string_not_equal(m->requests[i]->name, name);
        assert_true(m->n_requests < MEMORY_FILES_MAX);
        q->verb = verb;
        copy_name(q->name, name);
        q->userdata = userdata;
        m->requests[m->n_requests++] = q;
        m->n_asked[verb]++;
        return q;
}

static int memory_read(void *backend, const char *name, size_t max, store_backend_read_fn fn,
                       void *userdata) {
        struct memory *m = backend;
        struct memory_request *q = m->refuse ? NULL : ask(m, MEMORY_READ, name, userdata);

        if (!q)
                return m->refuse;
        q->max = max;
        q->read_fn = fn;
        return 0;
}

static int memory_write(void *backend, const char *name, struct buf *data, store_backend_done_fn fn,
                        void *userdata) {
        struct memory *m = backend;
        struct memory_request *q = m->refuse ? NULL : ask(m, MEMORY_WRITE, name, userdata);

        if (!q)
                return m->refuse;
        buf_move(&q->data, data);
        q->done_fn = fn;
        return 0;
}

static int memory_remove(void *backend, const char *name, store_backend_done_fn fn,
                         void *userdata) {
        struct memory *m = backend;
        struct memory_request *q = m->refuse ? NULL : ask(m, MEMORY_REMOVE, name, userdata);

        if (!q)
                return m->refuse;
        q->done_fn = fn;
        return 0;
}

static int memory_list(void *backend, store_backend_list_fn fn, void *userdata) {
        struct memory *m = backend;
        struct memory_request *q = m->refuse ? NULL : ask(m, MEMORY_LIST, "", userdata);

        if (!q)
                return m->refuse;
        q->list_fn = fn;
        return 0;
}

const struct store_backend_ops memory_ops = {
        .read = memory_read,
        .write = memory_write,
        .remove = memory_remove,
        .list = memory_list,
};

struct memory *memory_new(void) {
        struct memory *m = calloc(1, sizeof(*m));

        assert_non_null(m);
        return m;
}

void memory_free(struct memory *m) {
        while (m->n_requests > 0)
                memory_fail(m, 0, -ECANCELED, false);
        while (m->n_files > 0)
                memory_remove_file(m, m->files[0]->name);
        free(m);
}

static size_t find(const struct memory *m, const char *name) {
        size_t i;

        for (i = 0; i < m->n_files; i++) {
                if (streq(m->files[i]->name, name))
                        break;
        }
        return i;
}

struct buf *memory_file(struct memory *m, const char *name) {
        size_t i = find(m, name);

        return i < m->n_files ? &m->files[i]->data : NULL;
}

const char *memory_name_at(struct memory *m, size_t i) {
        return i < m->n_files ? m->files[i]->name : NULL;
}

void memory_put_file(struct memory *m, const char *name, const void *data, size_t len) {
        size_t i = find(m, name);

        if (i == m->n_files) {
                assert_true(i < MEMORY_FILES_MAX);
                m->files[i] = calloc(1, sizeof(*m->files[i]));
                assert_non_null(m->files[i]);
                copy_name(m->files[i]->name, name);
                m->n_files++;
        }
        buf_clear(&m->files[i]->data);
        assert_int_equal(buf_append(&m->files[i]->data, data, len), 0);
}

void memory_remove_file(struct memory *m, const char *name) {
        size_t i = find(m, name);

        assert_true(i < m->n_files);
        buf_done(&m->files[i]->data);
        free(m->files[i]);
        m->files[i] = m->files[--m->n_files];
}

static struct memory_request *take(struct memory *m, size_t i) {
        struct memory_request *q;

        assert_true(i < m->n_requests);
        q = m->requests[i];
        m->n_requests--;
        for (; i < m->n_requests; i++)
                m->requests[i] = m->requests[i + 1];
        return q;
}

/* What the disk does with a request, without the answer. */
static int apply(struct memory *m, struct memory_request *q) {
        const struct buf *file = memory_file(m, q->name);

        switch (q->verb) {
        case MEMORY_READ:
                if (!file)
                        return -ENOENT;
                if (file->len > q->max)
                        return -EMSGSIZE;
                return buf_append(&q->data, file->data, file->len);
        case MEMORY_WRITE:
                memory_put_file(m, q->name, q->data.data, q->data.len);
                return 0;
        case MEMORY_REMOVE:
                if (!file)
                        return -ENOENT;
                memory_remove_file(m, q->name);
                return 0;
        case MEMORY_LIST:
                return 0;
        }
        return -EINVAL;
}

static void answer(struct memory *m, struct memory_request *q, int r) {
        const char **names = NULL;

        switch (q->verb) {
        case MEMORY_READ:
                q->read_fn(r, r < 0 ? NULL : &q->data, q->userdata);
                break;
        case MEMORY_WRITE:
        case MEMORY_REMOVE:
                q->done_fn(r, q->userdata);
                break;
        case MEMORY_LIST:
                quiet(m, true);
                names = calloc(m->n_files + 1, sizeof(*names));
                quiet(m, false);
                assert_non_null(names);
                for (size_t i = 0; i < m->n_files; i++)
                        names[i] = m->files[i]->name;
                q->list_fn(r, r < 0 ? NULL : names, r < 0 ? 0 : m->n_files, q->userdata);
                free(names);
                break;
        }
        buf_done(&q->data);
        free(q);
}

void memory_answer(struct memory *m, size_t i) {
        struct memory_request *q = take(m, i);

        int r;

        quiet(m, true);
        r = apply(m, q);
        quiet(m, false);
        answer(m, q, r);
}

void memory_fail(struct memory *m, size_t i, int r, bool applied) {
        struct memory_request *q = take(m, i);

        if (applied)
                (void)apply(m, q);
        answer(m, q, r);
}

void memory_run(struct memory *m) {
        while (m->n_requests > 0)
                memory_answer(m, 0);
}
