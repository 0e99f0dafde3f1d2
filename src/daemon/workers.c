/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/workers.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "broker/caller.h"
#include "crypto/kdf.h"
#include "daemon/derive.h"
#include "daemon/link.h"
#include "daemon/orders.h"
#include "loop/loop.h"
#include "os/sock.h"

struct fetching {
        struct list link;
        uint64_t id;
        fetch_done_fn fn;
        void *userdata;
        struct fetch_request request; /* while it waits for the worker to be back */
        bool unsent;
        bool lost;
};

struct listening {
        struct list link;
        uint64_t id;
        struct worker *at; /* who has it, or shall have it */
        uint16_t port;
        char *path;
        bool open; /* @done was told the port: what it may hear still is that the port is lost */
        listen_done_fn done;
        redirect_fn on_redirect;
        void *userdata;
};

struct attesting {
        struct list link;
        uint64_t id;
        attest_done_fn done;
        void *userdata;
};

struct worker {
        struct list retired; /* in workers->retired: one that does what it has, and no more */
        struct workers *owner;
        enum worker_kind kind;
        struct link *link; /* NULL: dead, not replaced yet */
        struct list fetches;
        sd_event_source *give_up; /* on a worker that does not come back */
};

struct workers {
        sd_event *event;
        void (*control)(const char *what, void *userdata);
        void *control_userdata;
        struct worker all[WORKER_KIND_COUNT];
        struct list retired;
        struct list listeners; /* of the deal worker */
        struct list attests;   /* of session */
        struct orders *orders; /* for processes that session starts */
        uint64_t last_id;
        json_t *processes;
        json_t *sandboxes;
};

static const char *const names[WORKER_KIND_COUNT] = {
        [WORKER_EXPLORE] = "explore",
        [WORKER_DEAL] = "deal",
        [WORKER_SESSION] = "session",
};

const char *worker_name(enum worker_kind kind) {
        return names[kind];
}

int worker_from_name(const char *name, enum worker_kind *ret) {
        for (int i = 0; i < WORKER_KIND_COUNT; i++) {
                if (streq(names[i], name)) {
                        *ret = (enum worker_kind)i;
                        return 0;
                }
        }
        return -ENOENT;
}

/* --- Answers --------------------------------------------------------------------------------- */

static void free_listening(struct listening *l) {
        list_remove(&l->link);
        free(l->path);
        free(l);
}

static void free_fetching(struct fetching *f) {
        list_remove(&f->link);
        fetch_request_done(&f->request);
        free(f);
}

static void answer_fetch(struct fetching *f, struct fetch_answer *a) {
        list_remove(&f->link);
        f->fn(a, f->userdata);
        fetch_answer_done(a);
        free_fetching(f);
}

static struct fetching *next_lost(struct worker *w) {
        struct fetching *f;

        LIST_FOREACH(f, &w->fetches, struct fetching, link)
                if (f->lost)
                        return f;
        return NULL;
}

/* Answers in the worker's place what it had, or (@unsent) what waits for it. */
static void lose_fetches(struct worker *w, bool unsent) {
        struct fetching *f;

        /* Marked first: whoever is told may ask again at once, or forget another one. */
        LIST_FOREACH(f, &w->fetches, struct fetching, link)
                f->lost = f->unsent == unsent;
        while ((f = next_lost(w)) != NULL) {
                struct fetch_answer a;

                /* Whether what the worker had was sent, nobody can say: so it was. */
                fetch_answer_init(&a);
                a.outcome = unsent ? FETCH_NOT_SENT : FETCH_NO_ANSWER;
                a.failure = FETCH_FAILURE_WORKER;
                a.reason = strdup(unsent ? "the network worker does not start"
                                         : "the network worker ended");
                answer_fetch(f, &a);
        }
}

static void lose_attests(struct workers *w) {
        struct error err = ERROR_INIT;
        struct attesting *a;

        (void)error_set(&err, MCPB_RETRY, EAGAIN, "Try again in a moment",
                        "The process that looks at peers has ended");
        while ((a = LIST_FIRST(&w->attests, struct attesting, link)) != NULL) {
                list_remove(&a->link);
                a->done(-EAGAIN, NULL, &err, a->userdata);
                free(a);
        }
}

static bool is_retired(const struct worker *w) {
        return w != &w->owner->all[w->kind];
}

static struct worker *free_retired(struct worker *w) {
        list_remove(&w->retired);
        w->link = link_free(w->link);
        while (!list_empty(&w->fetches))
                free_fetching(LIST_FIRST(&w->fetches, struct fetching, link));
        free(w);
        return NULL;
}

static void take_listeners(struct worker *w, const struct worker *from);

static void lose_link(struct worker *w) {
        w->link = link_free(w->link);
        lose_fetches(w, false);
        if (w->kind == WORKER_SESSION) {
                orders_session_gone(w->owner->orders);
                lose_attests(w->owner);
        }
}

static void worker_ended(struct worker *w) {
        log_warning("The %s worker has ended; it is started again", names[w->kind]);
        lose_link(w);
}

static void on_closed(void *userdata) {
        struct worker *w = userdata;

        if (!is_retired(w)) {
                worker_ended(w);
                return;
        }
        lose_link(w);
        take_listeners(&w->owner->all[w->kind], w);
        (void)free_retired(w);
}

/*
 * Another takes its place. It does what it was given, keeps its listeners for the browsers that are
 * on their way, and leaves by itself: nothing that is in the air is cut.
 */
static void retire(struct worker *w) {
        struct worker *old = calloc(1, sizeof(*old));
        struct listening *l;

        if (!old || link_send_head(w->link, json_pack("{s:s}", "op", "leave")) < 0) {
                free(old);
                worker_ended(w);
                return;
        }
        *old = (struct worker){ .owner = w->owner, .kind = w->kind, .link = TAKE(w->link) };
        list_init(&old->retired);
        list_init(&old->fetches);
        list_splice(&old->fetches, &w->fetches);
        link_set_userdata(old->link, old);
        LIST_FOREACH(l, &w->owner->listeners, struct listening, link)
                if (l->at == w)
                        l->at = old;
        list_append(&w->owner->retired, &old->retired);
}

static int on_answer(struct worker *w, struct frame *f) {
        struct fetch_answer a;
        struct fetching *q;
        int r;

        fetch_answer_init(&a);
        r = fetch_answer_from_head(&a, f->head, &f->body);
        if (r < 0) {
                fetch_answer_done(&a);
                return r;
        }
        LIST_FOREACH(q, &w->fetches, struct fetching, link) {
                if (q->id == a.id) {
                        answer_fetch(q, &a);
                        return 0;
                }
        }
        fetch_answer_done(&a);
        return 0; /* cancelled, and answered before that was read */
}

static struct listening *listening_of(struct workers *w, uint64_t id) {
        struct listening *l;

        LIST_FOREACH(l, &w->listeners, struct listening, link)
                if (l->id == id)
                        return l;
        return NULL;
}

static struct listening *find_listening(struct workers *w, const json_t *head) {
        json_int_t id = json_get_int(head, "id", 0);

        return id > 0 ? listening_of(w, (uint64_t)id) : NULL;
}

static int on_listening(struct worker *w, struct frame *f) {
        struct listening *l = find_listening(w->owner, f->head);
        json_int_t port = json_get_int(f->head, "port", 0);

        if (port <= 0 || port > 65535)
                return -EBADMSG;
        if (!l)
                return 0;
        if (l->open)
                return 0; /* back after the worker was replaced: nobody waits for it */
        l->port = (uint16_t)port;
        l->open = true;
        l->done(0, l->port, NULL, l->userdata);
        return 0;
}

/* There is no listener then, and nobody who would close it: a worker that comes later is not asked
 * for it again. */
static void refuse_listening(struct listening *l, int r, const char *reason) {
        listen_done_fn done = l->done;
        void *userdata = l->userdata;

        free_listening(l);
        done(r, 0, reason, userdata);
}

static int on_listen_failed(struct worker *w, struct frame *f) {
        struct listening *l = find_listening(w->owner, f->head);
        const char *reason = json_get_string(f->head, "reason");

        if (l)
                refuse_listening(l, -EADDRINUSE, reason);
        return 0;
}

static int on_redirect(struct worker *w, struct frame *f) {
        struct listening *l = find_listening(w->owner, f->head);
        json_int_t request = json_get_int(f->head, "request", 0);

        if (request <= 0 || buf_append(&f->body, "", 0) < 0 || strlen(f->body.data) != f->body.len)
                return -EBADMSG;
        if (l)
                l->on_redirect((uint64_t)request, f->body.data, l->userdata);
        return 0;
}

static int on_evidence(struct worker *w, struct frame *f) {
        json_int_t id = json_get_int(f->head, "id", 0);
        const char *code = json_get_string(f->head, "error");
        struct evidence e = { 0 };
        struct error err = ERROR_INIT;
        struct attesting *a;
        int r = 0;

        if (code) {
                const char *message = json_get_string(f->head, "message");

                r = error_set(&err, error_from_name(code), EACCES, json_get_string(f->head, "hint"),
                              "%s", message ? message : "the peer cannot be looked at");
        } else if (evidence_from_json(&e, f->head) < 0) {
                return -EBADMSG;
        }
        LIST_FOREACH(a, &w->owner->attests, struct attesting, link) {
                if ((json_int_t)a->id != id)
                        continue;
                list_remove(&a->link);
                a->done(r, r < 0 ? NULL : &e, r < 0 ? &err : NULL, a->userdata);
                free(a);
                break;
        }
        return 0;
}

static int on_kdf_done(struct worker *w, struct frame *f) {
        return 0; /* the end of the stream to the child says the same, and sooner */
}

/* It has ended, or, with an error, was never there. */
static int on_identity_done(struct worker *w, struct frame *f) {
        json_int_t id = json_get_int(f->head, "id", 0);
        const char *code = json_get_string(f->head, "error");
        const char *message = json_get_string(f->head, "message");
        struct error err = ERROR_INIT;

        if (id <= 0 || (code && !message))
                return -EBADMSG;
        if (code)
                (void)error_set(&err, error_from_name(code), EAGAIN,
                                json_get_string(f->head, "hint"), "%s", message);
        orders_ended(w->owner->orders, (uint64_t)id, code ? &err : NULL);
        return 0;
}

static int on_sandbox(struct worker *w, struct frame *f) {
        if (is_retired(w))
                return 0;
        workers_set_sandbox(w->owner, names[w->kind],
                            json_incref(json_object_get(f->head, "sandbox")));
        return 0;
}

static int on_frame(struct frame *f, void *userdata) {
        static const struct {
                const char *op;
                unsigned kinds; /* who may say it */
                int (*fn)(struct worker *w, struct frame *f);
        } table[] = {
                { "answer", 1u << WORKER_EXPLORE | 1u << WORKER_DEAL, on_answer },
                { "listening", 1u << WORKER_DEAL, on_listening },
                { "listen-failed", 1u << WORKER_DEAL, on_listen_failed },
                { "redirect", 1u << WORKER_DEAL, on_redirect },
                { "evidence", 1u << WORKER_SESSION, on_evidence },
                { "kdf-done", 1u << WORKER_SESSION, on_kdf_done },
                { "identity-done", 1u << WORKER_SESSION, on_identity_done },
                { "sandbox", 1u << WORKER_EXPLORE | 1u << WORKER_DEAL, on_sandbox },
        };
        struct worker *w = userdata;
        const char *op = json_get_string(f->head, "op");

        for (size_t i = 0; op && i < ARRAY_SIZE(table); i++)
                if (streq(table[i].op, op) && (table[i].kinds & 1u << w->kind))
                        return table[i].fn(w, f);
        log_warning("The %s worker says what is not understood", names[w->kind]);
        return -EBADMSG;
}

static const struct link_ops link_ops = { on_frame, on_closed };

/* The process's end of a stream goes to session, which starts one on it. */
static int start_identity(uint64_t id, int fd, void *userdata) {
        struct workers *w = userdata;
        struct link *session = w->all[WORKER_SESSION].link;
        AUTO_JSON json_t *head = json_pack("{s:s, s:I}", "op", "identity", "id", (json_int_t)id);

        if (!head)
                return -ENOMEM;
        return session ? link_send(session, head, NULL, &fd, 1) : -EAGAIN;
}

/* --- Their life ------------------------------------------------------------------------------ */

int workers_new(const struct workers_options *o, struct workers **ret) {
        struct workers *w = calloc(1, sizeof(*w));

        if (!w)
                return -ENOMEM;
        w->event = o->event;
        w->control = o->control;
        w->control_userdata = o->userdata;
        list_init(&w->retired);
        list_init(&w->listeners);
        list_init(&w->attests);
        for (int i = 0; i < WORKER_KIND_COUNT; i++) {
                w->all[i].owner = w;
                w->all[i].kind = (enum worker_kind)i;
                list_init(&w->all[i].retired);
                list_init(&w->all[i].fetches);
        }
        w->sandboxes = json_object();
        if (!w->sandboxes || orders_new(w->event, start_identity, w, &w->orders) < 0) {
                json_decref(w->sandboxes);
                free(w);
                return -ENOMEM;
        }
        *ret = w;
        return 0;
}

struct workers *workers_free(struct workers *w) {
        if (!w)
                return NULL;
        /* Nobody is told any more: those who asked are gone before us. */
        w->orders = orders_free(w->orders);
        for (int i = 0; i < WORKER_KIND_COUNT; i++) {
                w->all[i].link = link_free(w->all[i].link);
                w->all[i].give_up = loop_source_free(w->all[i].give_up);
                while (!list_empty(&w->all[i].fetches))
                        free_fetching(LIST_FIRST(&w->all[i].fetches, struct fetching, link));
        }
        while (!list_empty(&w->retired))
                (void)free_retired(LIST_FIRST(&w->retired, struct worker, retired));
        while (!list_empty(&w->attests)) {
                struct attesting *a = LIST_FIRST(&w->attests, struct attesting, link);

                list_remove(&a->link);
                free(a);
        }
        while (!list_empty(&w->listeners))
                free_listening(LIST_FIRST(&w->listeners, struct listening, link));
        json_decref(w->processes);
        json_decref(w->sandboxes);
        free(w);
        return NULL;
}

/* One that was never open and that somebody waits for. One that was refused is out of the list. */
static struct listening *unopened(struct workers *w) {
        struct listening *l;

        LIST_FOREACH(l, &w->listeners, struct listening, link) /* NOLINT(clang-analyzer-*) */
                if (!l->open)
                        return l;
        return NULL;
}

static int on_give_up(sd_event_source *s, uint64_t usec, void *userdata) {
        struct worker *w = userdata;
        struct listening *l;

        w->give_up = loop_source_free(w->give_up);
        lose_fetches(w, true);
        while (w->kind == WORKER_DEAL && (l = unopened(w->owner)) != NULL)
                refuse_listening(l, -EAGAIN, "the network worker does not start");
        return 0;
}

static int send_listen(struct worker *w, const struct listening *l) {
        return w->link ? link_send_head(w->link, json_pack("{s:s, s:I, s:i, s:s}", "op", "listen",
                                                           "id", (json_int_t)l->id, "port",
                                                           (int)l->port, "path", l->path))
                       : -EAGAIN;
}

static int send_fetch(struct worker *w, struct fetching *q, struct fetch_request *f) {
        AUTO_JSON json_t *head = NULL;
        int r;

        f->id = q->id;
        r = fetch_request_to_head(f, &head);
        return r < 0 ? r : link_send(w->link, head, &f->body, NULL, 0);
}

/* It is being started again: what is asked meanwhile waits a moment for it. */
static int wait_for_worker(struct worker *w) {
        return w->give_up ? 0
                          : loop_timer(w->owner->event,
                                       clock_boot_usec() + LIMIT_FETCH_MSEC * USEC_PER_MSEC,
                                       on_give_up, w, "worker is back", &w->give_up);
}

/* Browsers that are on their way come back to the same port. */
static void listen_again(struct worker *w, struct listening *l) {
        if (send_listen(w, l) < 0)
                log_warning("The redirect listener on port %u is not opened again",
                            (unsigned)l->port);
}

/* @from has left without them. */
static void take_listeners(struct worker *w, const struct worker *from) {
        struct listening *l;

        LIST_FOREACH(l, &w->owner->listeners, struct listening, link) {
                if (l->at != from)
                        continue;
                l->at = w;
                if (w->link)
                        listen_again(w, l);
                else if (!l->open && wait_for_worker(w) < 0)
                        log_warning("No timer: a login waits for the network worker");
        }
}

int workers_attach(struct workers *w, enum worker_kind kind, int fd) {
        struct worker *worker = &w->all[kind];
        struct listening *l;
        struct fetching *f;
        int r;

        if (worker->link && kind == WORKER_SESSION)
                worker_ended(worker);
        else if (worker->link)
                retire(worker);
        r = link_new(w->event, fd, &link_ops, worker, names[kind], &worker->link);
        worker->give_up = loop_source_free(worker->give_up);
        LIST_FOREACH(f, &worker->fetches, struct fetching, link)
                if (r == 0 && send_fetch(worker, f, &f->request) == 0)
                        f->unsent = false;
        lose_fetches(worker, true);
        if (r == 0 && kind == WORKER_SESSION)
                orders_session_here(w->orders);
        if (r < 0 || kind != WORKER_DEAL)
                return r;
        LIST_FOREACH(l, &w->listeners, struct listening, link)
                if (l->at == worker)
                        listen_again(worker, l);
        return 0;
}

/* --- struct broker_workers ------------------------------------------------------------------- */

static int do_fetch(void *userdata, enum fetch_via via, struct fetch_request *f, fetch_done_fn fn,
                    void *arg, uint64_t *ret_id) {
        struct workers *w = userdata;
        struct worker *worker = &w->all[via == FETCH_DEAL ? WORKER_DEAL : WORKER_EXPLORE];
        struct fetching *q = calloc(1, sizeof(*q));
        int r;

        if (!q)
                return -ENOMEM;
        list_init(&q->link);
        fetch_request_init(&q->request);
        q->id = ++w->last_id;
        q->fn = fn;
        q->userdata = arg;
        q->unsent = worker->link == NULL;
        r = q->unsent ? wait_for_worker(worker) : send_fetch(worker, q, f);
        if (r < 0) {
                free_fetching(q);
                return r;
        }
        if (q->unsent) {
                q->request = *f;
                fetch_request_init(f);
        }
        list_append(&worker->fetches, &q->link);
        *ret_id = q->id;
        return 0;
}

/* True: it was there. An answer that is on its way finds nobody, and is dropped. */
static bool forget_at(struct worker *w, uint64_t id) {
        struct fetching *f;

        LIST_FOREACH(f, &w->fetches, struct fetching, link) {
                if (f->id != id)
                        continue;
                if (!f->unsent && w->link &&
                    link_send_head(w->link, json_pack("{s:s, s:I}", "op", "cancel", "id",
                                                      (json_int_t)id)) < 0)
                        log_debug("a request is not cancelled: its answer will be dropped");
                free_fetching(f);
                return true;
        }
        return false;
}

static void do_fetch_forget(void *userdata, uint64_t id) {
        struct workers *w = userdata;
        struct worker *old;

        for (int i = 0; i < WORKER_KIND_COUNT; i++)
                if (forget_at(&w->all[i], id))
                        return;
        LIST_FOREACH(old, &w->retired, struct worker, retired)
                if (forget_at(old, id))
                        return;
}

static int do_listen(void *userdata, uint16_t port, const char *path, listen_done_fn done,
                     redirect_fn redirect, void *arg, uint64_t *ret_id) {
        struct workers *w = userdata;
        struct listening *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        list_init(&l->link);
        l->id = ++w->last_id;
        l->at = &w->all[WORKER_DEAL];
        l->port = port;
        l->done = done;
        l->on_redirect = redirect;
        l->userdata = arg;
        l->path = strdup(path);
        if (!l->path)
                r = -ENOMEM;
        else if (w->all[WORKER_DEAL].link)
                r = send_listen(&w->all[WORKER_DEAL], l);
        else
                r = wait_for_worker(&w->all[WORKER_DEAL]);
        if (r < 0) {
                free_listening(l);
                return r;
        }
        list_append(&w->listeners, &l->link);
        *ret_id = l->id;
        return 0;
}

static void do_unlisten(void *userdata, uint64_t id) {
        struct workers *w = userdata;
        struct listening *l;

        LIST_FOREACH(l, &w->listeners, struct listening, link) {
                const struct worker *at = l->at;

                if (l->id != id)
                        continue;
                free_listening(l);
                if (at->link && link_send_head(at->link, json_pack("{s:s, s:I}", "op", "unlisten",
                                                                   "id", (json_int_t)id)) < 0)
                        log_warning("A redirect listener is not closed: the worker does not take "
                                    "messages");
                return;
        }
}

static void do_page(void *userdata, uint64_t listener, uint64_t request, unsigned status,
                    struct buf *html) {
        struct workers *w = userdata;
        const struct listening *l = listening_of(w, listener);
        AUTO_JSON json_t *head = json_pack("{s:s, s:I, s:I, s:i, s:s}", "op", "page", "id",
                                           (json_int_t)listener, "request", (json_int_t)request,
                                           "status", (int)status, "title", "mcp-broker");

        if (l && l->at->link && (!head || link_send(l->at->link, head, html, NULL, 0) < 0))
                log_warning("The browser gets no page: the worker does not take messages");
}

static int do_derive(void *userdata, const struct kdf_params *params, struct buf *passphrase,
                     derive_done_fn done, void *arg) {
        struct workers *w = userdata;
        AUTO_CLOSE int child = -1;
        AUTO_JSON json_t *head = NULL;
        int r;

        if (!w->all[WORKER_SESSION].link)
                return -EAGAIN;
        r = derive_start(w->event, params, passphrase, done, arg, &child);
        if (r < 0)
                return r;
        head = json_pack("{s:s, s:I}", "op", "kdf", "id", (json_int_t)++w->last_id);
        /* If it cannot be sent the child's end closes here, and the derivation ends with that. */
        if (!head || link_send(w->all[WORKER_SESSION].link, head, NULL, &child, 1) < 0)
                log_warning("No process for the key derivation: session does not take messages");
        return 0;
}

static int do_order(void *userdata, struct order *o, order_done_fn fn, void *arg,
                    uint64_t *ret_id) {
        struct workers *w = userdata;
        uint64_t id = ++w->last_id;
        int r = orders_add(w->orders, id, o, fn, arg);

        if (r == 0)
                *ret_id = id;
        return r;
}

static void do_order_forget(void *userdata, uint64_t id) {
        struct workers *w = userdata;

        orders_forget(w->orders, id);
}

int workers_attest(struct workers *w, pid_t pid, int pidfd, attest_done_fn done, void *userdata) {
        struct worker *session = &w->all[WORKER_SESSION];
        struct attesting *a = calloc(1, sizeof(*a));
        AUTO_JSON json_t *head = NULL;
        int r;

        if (!a)
                return -ENOMEM;
        list_init(&a->link);
        a->id = ++w->last_id;
        a->done = done;
        a->userdata = userdata;
        head = json_pack("{s:s, s:I, s:I}", "op", "attest", "id", (json_int_t)a->id, "pid",
                         (json_int_t)pid);
        r = !head            ? -ENOMEM
            : !session->link ? -EAGAIN
                             : link_send(session->link, head, NULL, &pidfd, 1);
        if (r < 0) {
                free(a);
                return r;
        }
        list_append(&w->attests, &a->link);
        return 0;
}

static int do_attest(void *userdata, const struct caller *who, attest_done_fn done, void *arg) {
        return workers_attest(userdata, who->pid, who->pidfd, done, arg);
}

static void do_control(void *userdata, const char *what) {
        struct workers *w = userdata;

        w->control(what, w->control_userdata);
}

static json_t *do_processes(void *userdata) {
        struct workers *w = userdata;
        json_t *list = w->processes ? json_deep_copy(w->processes) : json_array();
        json_t *item;
        size_t i;

        json_array_foreach(list, i, item) {
                const char *name = json_get_string(item, "name");
                json_t *sandbox = name ? json_object_get(w->sandboxes, name) : NULL;

                if (sandbox && json_object_set(item, "sandbox", sandbox) < 0)
                        break;
        }
        return list;
}

void workers_set_processes(struct workers *w, json_t *processes) {
        json_decref(w->processes);
        w->processes = processes;
}

void workers_set_sandbox(struct workers *w, const char *name, json_t *sandbox) {
        if (json_object_set_new(w->sandboxes, name, sandbox) < 0)
                log_warning("Out of memory: status will not show the sandbox of %s", name);
}

static const struct broker_workers ops = {
        .fetch = do_fetch,
        .fetch_forget = do_fetch_forget,
        .listen = do_listen,
        .page = do_page,
        .unlisten = do_unlisten,
        .derive = do_derive,
        .order = do_order,
        .order_forget = do_order_forget,
        .attest = do_attest,
        .control = do_control,
        .processes = do_processes,
};

const struct broker_workers *workers_ops(void) {
        return &ops;
}
