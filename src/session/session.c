/* SPDX-License-Identifier: Apache-2.0 */
#include "session/session.h"

#include <limits.h>

#include "loop/loop.h"
#include "loop/pump.h"
#include "os/spawn.h"
#include "peer/ours.h"
#include "peer/peer.h"
#include "session/child.h"

/* What may be started, and how many at once: one sort never takes another's place. */
enum helper_kind {
        HELPER_KDF,
        HELPER_IDENTITY,
        HELPER_KIND_COUNT,
};

static const struct {
        const char *name;
        const char *answer; /* "op" of the answer */
        unsigned max;
        unsigned limit_sec; /* from its start to its end */
} helper_table[HELPER_KIND_COUNT] = {
        [HELPER_KDF] = { "mcp-broker-kdf", "kdf-done", LIMIT_HELPERS, LIMIT_HELPER_SEC },
        /* Twice what the keeper has under way: it does not wait for the end of those that it gave
         * up. */
        [HELPER_IDENTITY] = { "mcp-broker-identity", "identity-done", 2 * LIMIT_ORDERS,
                              LIMIT_ORDER_SEC },
};

struct session {
        sd_event *event; /* the caller's */
        struct chan *chan;
        struct pump *pump;
        struct peer_ours *ours;
        const struct session_programs *programs;
        struct list helpers;
        unsigned n_helpers[HELPER_KIND_COUNT];
};

/* A child under way, and the request that it will answer. */
struct helper {
        struct list link;
        struct session *session;
        struct child *child;
        enum helper_kind kind;
        json_int_t id;
};

static void stop(struct session *s, int r) {
        (void)sd_event_exit(s->event, r);
}

/* The members of @err, for an answer that is a failure. */
static int set_error(json_t *head, const struct error *err) {
        if (json_object_set_new(head, "error", json_string(error_name(err->code))) < 0 ||
            json_object_set_new(head, "message", json_string(err->message)) < 0)
                return -ENOMEM;
        if (err->hint[0] && json_object_set_new(head, "hint", json_string(err->hint)) < 0)
                return -ENOMEM;
        return 0;
}

/* Sends @head as the answer @op to request @id. A keeper without its answer would wait: so failure
 * is the end. */
static int answer(struct session *s, const char *op, json_int_t id, json_t *head) {
        int r = 0;

        if (json_object_set_new(head, "op", json_string(op)) < 0 ||
            json_object_set_new(head, "id", json_integer(id)) < 0)
                r = -ENOMEM;
        if (r == 0)
                r = chan_send(s->chan, head, NULL, NULL, 0);
        if (r == 0)
                pump_update(s->pump);
        return r;
}

static int op_attest(struct session *s, json_int_t id, struct frame *f) {
        AUTO_JSON json_t *head = NULL;
        const json_t *pid = json_object_get(f->head, "pid");
        struct evidence e = { 0 };
        struct error err = ERROR_INIT;
        int r;

        if (!json_is_integer(pid) || json_integer_value(pid) < 0 ||
            json_integer_value(pid) > INT_MAX)
                return -EBADMSG;
        r = peer_ours_refresh(s->ours, &err);
        if (r == 0)
                r = peer_attest((int)json_integer_value(pid), f->fds[0], s->ours, &e, &err);
        if (r == 0) {
                r = evidence_to_json(&e, &head);
        } else {
                head = json_object();
                r = head ? set_error(head, &err) : -ENOMEM;
        }
        return r < 0 ? r : answer(s, "evidence", id, head);
}

static void helper_free(struct helper *h) {
        list_remove(&h->link);
        h->session->n_helpers[h->kind]--;
        (void)child_free(h->child);
        free(h);
}

static int answer_helper(struct session *s, const char *op, json_int_t id, int status,
                         const struct error *err) {
        AUTO_JSON json_t *head = json_object();
        int r;

        if (!head || json_object_set_new(head, "status", json_integer(status)) < 0)
                return -ENOMEM;
        r = err ? set_error(head, err) : 0;
        return r < 0 ? r : answer(s, op, id, head);
}

static void on_helper_done(int status, const struct error *err, void *userdata) {
        struct helper *h = userdata;
        struct session *s = h->session;
        int r = answer_helper(s, helper_table[h->kind].answer, h->id, status, err);

        helper_free(h);
        if (r < 0)
                stop(s, r);
}

/* Starts a program whose end is the answer. 0 also when it could not be started and the answer says
 * so. */
static int helper_start(struct session *s, json_int_t id, enum helper_kind kind,
                        const struct spawn *program) {
        const char *op = helper_table[kind].answer;
        struct error err = ERROR_INIT;
        struct helper *h;
        int r;

        if (s->n_helpers[kind] >= helper_table[kind].max) {
                (void)error_set(&err, MCPB_BUSY, EBUSY, "Try again.",
                                "too many helper programs are running");
                return answer_helper(s, op, id, -1, &err);
        }
        h = calloc(1, sizeof(*h));
        if (!h)
                return -ENOMEM;
        *h = (struct helper){ .session = s, .kind = kind, .id = id };
        list_append(&s->helpers, &h->link);
        s->n_helpers[kind]++;
        r = child_start(s->event, program, helper_table[kind].name,
                        helper_table[kind].limit_sec * USEC_PER_SEC, on_helper_done, h, &h->child,
                        &err);
        if (r == 0)
                return 0;
        helper_free(h);
        return answer_helper(s, op, id, -1, &err);
}

/* What it is asked, and its answer, go between it and the keeper. */
static int start_program(struct session *s, json_int_t id, struct frame *f, enum helper_kind kind,
                         const char *path) {
        AUTO_FREE char *name = strdup(helper_table[kind].name);
        char *argv[] = { name, NULL };
        char *envp[] = { NULL };
        const struct spawn_fd fds[] = { { f->fds[0], STDIN_FILENO },
                                        { STDERR_FILENO, STDERR_FILENO } };
        const struct spawn program = { .path = path,
                                       .argv = argv,
                                       .envp = envp,
                                       .fds = fds,
                                       .n_fds = ARRAY_SIZE(fds),
                                       .new_session = true,
                                       .die_with_us = true };

        return name ? helper_start(s, id, kind, &program) : -ENOMEM;
}

/* Argon2id takes its time and memory in a process of its own. */
static int op_kdf(struct session *s, json_int_t id, struct frame *f) {
        return start_program(s, id, f, HELPER_KDF, s->programs->kdf);
}

static int op_identity(struct session *s, json_int_t id, struct frame *f) {
        return start_program(s, id, f, HELPER_IDENTITY, s->programs->identity);
}

/* What the keeper may ask for. Descriptors that come along are closed afterwards. */
static const struct {
        const char *op;
        size_t n_fds;
        int (*fn)(struct session *s, json_int_t id, struct frame *f);
} op_table[] = {
        { "attest", 1, op_attest },
        { "kdf", 1, op_kdf },
        { "identity", 1, op_identity },
};

static int dispatch(struct session *s, struct frame *f) {
        const char *op = json_get_string(f->head, "op");
        const json_t *id = json_object_get(f->head, "id");

        if (!op || !json_is_integer(id) || f->body.len > 0)
                return -EBADMSG;
        for (size_t i = 0; i < ARRAY_SIZE(op_table); i++)
                if (streq(op, op_table[i].op))
                        return f->n_fds == op_table[i].n_fds
                                       ? op_table[i].fn(s, json_integer_value(id), f)
                                       : -EBADMSG;
        return -EBADMSG;
}

static int read_requests(struct session *s) {
        int r = chan_read(s->chan);

        while (r == 0) {
                struct frame f = FRAME_INIT;

                r = chan_next(s->chan, &f);
                if (r <= 0)
                        return r;
                r = dispatch(s, &f);
                frame_done(&f);
        }
        return r;
}

static int on_session_ready(void *userdata, uint32_t revents) {
        struct session *s = userdata;
        int r = read_requests(s);

        if (r == 0)
                r = chan_flush(s->chan);
        if (r == 0)
                return 0;
        stop(s, r == -EPIPE ? 0 : r);
        return r;
}

static short session_events(void *userdata) {
        const struct session *s = userdata;

        return chan_events(s->chan);
}

static const struct pump_ops session_pump_ops = {
        .on_ready = on_session_ready,
        .events = session_events,
        .priority = LOOP_WORKER,
};

int session_new(sd_event *e, int fd, struct peer_ours *ours,
                const struct session_programs *programs, struct session **ret) {
        struct session *s = calloc(1, sizeof(*s));
        int r;

        if (!s) {
                (void)close(fd);
                return -ENOMEM;
        }
        *s = (struct session){ .event = e, .ours = ours, .programs = programs };
        list_init(&s->helpers);
        s->chan = chan_new(fd);
        if (!s->chan) {
                (void)close(fd);
                r = -ENOMEM;
        } else {
                r = pump_new(e, fd, &session_pump_ops, s, "keeper", &s->pump);
        }
        if (r < 0) {
                (void)session_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

struct session *session_free(struct session *s) {
        struct helper *h;

        if (!s)
                return NULL;
        LIST_FOREACH(h, &s->helpers, struct helper, link)
                helper_free(h);
        (void)pump_free(s->pump);
        (void)chan_free(s->chan);
        free(s);
        return NULL;
}
