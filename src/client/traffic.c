/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <poll.h>

#include "base/clock.h"
#include "base/limits.h"
#include "client/client.h"

/* So many reads a step, so that a daemon that never ceases does not keep us. */
#define READS_MAX 16
/* So many connections that bring no answer, one after the other, before the calls are failed. */
#define FUTILE_MAX 3

static bool has_code(const json_t *error, enum error_code code) {
        const char *name = json_get_string(json_object_get(error, "data"), "code");

        return name && streq(name, error_name(code));
}

/* --- the end of a call ------------------------------------------------------------------------ */

/* @err is NULL for a result. */
static void complete(mcpb_client *c, struct call *call, int r, const mcpb_error *err) {
        list_remove(&call->link);
        if (call->state == CALL_SENT)
                c->n_sent--;
        if (c->writing == call)
                c->writing = NULL;
        if (call->submitted)
                c->n_bytes -= call->line.len;
        call->state = CALL_DONE;
        call->r = r;
        client_error_copy(&call->err, err);
        buf_done(&call->line);
        if (call->submitted)
                list_append(&c->done, &call->link);
}

static void complete_lost(mcpb_client *c, struct call *call) {
        mcpb_error err = MCPB_ERROR_INIT;
        int r = client_error(&err, MCPB_RETRY, ECONNRESET, "Try again.",
                             "The daemon went away before it answered");

        complete(c, call, r, &err);
}

static void complete_all(mcpb_client *c, struct list *calls, int r, const mcpb_error *err) {
        struct call *call;

        LIST_FOREACH(call, calls, struct call, link)
                complete(c, call, r, err);
}

/* What concerns the connection ends all calls; it does not last. */
static void fail_all(mcpb_client *c, int r, const mcpb_error *err) {
        client_disconnect(c);
        complete_all(c, &c->sent, r, err);
        complete_all(c, &c->queue, r, err);
}

void client_enqueue(mcpb_client *c, struct call *call) {
        call->state = CALL_QUEUED;
        list_append(&c->queue, &call->link);
}

void client_give_up(mcpb_client *c, struct call *call) {
        list_remove(&call->link);
        if (call->submitted)
                c->n_bytes -= call->line.len;
        if (call->state == CALL_SENT) {
                c->n_sent--;
                c->n_given_up++;
        } else if (c->writing == call) {
                /* A line that was begun is finished: others come behind it. */
                buf_move(&c->rest, &call->line);
                c->n_given_up++;
                c->last_written = call->id;
                c->writing = NULL;
        }
        call->state = CALL_QUEUED;
        buf_done(&call->line);
        if (c->n_sent == 0 && !c->writing &&
            (c->n_given_up > 0 || (c->link != LINK_OPEN && list_empty(&c->queue))))
                client_disconnect(c); /* nobody needs it, and the daemon should know */
}

static void expire(mcpb_client *c, struct list *calls, uint64_t now) {
        mcpb_error err = MCPB_ERROR_INIT;
        struct call *call;

        (void)client_error(&err, MCPB_TIMEOUT, ETIMEDOUT, "Try again.",
                           "The daemon did not answer in time");
        LIST_FOREACH(call, calls, struct call, link) {
                if (call->deadline_usec > now)
                        continue;
                client_give_up(c, call);
                complete(c, call, -ETIMEDOUT, &err);
        }
}

void client_expire(mcpb_client *c) {
        uint64_t now;

        if (list_empty(&c->sent) && list_empty(&c->queue))
                return;
        now = clock_boot_usec();
        expire(c, &c->sent, now);
        expire(c, &c->queue, now);
}

/* --- the end of a connection ------------------------------------------------------------------ */

/*
 * What the daemon did not read as a whole line was not acted upon, and may be sent again. Of what
 * it may have read, only what is repeatable may. Each once.
 */
static void lost(mcpb_client *c) {
        bool whole = c->written == 0;
        bool futile = false;
        struct list again;
        struct call *call;

        if (c->n_sent > 0 || !list_empty(&c->queue))
                futile = ++c->n_futile > FUTILE_MAX;
        list_init(&again);
        if (c->writing && c->writing->n_lost++ > 0)
                complete_lost(c, c->writing);
        LIST_FOREACH(call, &c->sent, struct call, link) {
                bool unread = c->reset && whole && call->id == c->last_written;

                if ((!call->repeatable && !unread) || call->n_lost++ > 0) {
                        complete_lost(c, call);
                        continue;
                }
                list_remove(&call->link);
                call->state = CALL_QUEUED;
                list_append(&again, &call->link);
        }
        list_splice(&again, &c->queue);
        list_splice(&c->queue, &again);
        c->n_sent = 0;
        client_disconnect(c);
        if (!futile)
                return;
        c->n_futile = 0;
        LIST_FOREACH(call, &c->queue, struct call, link)
                complete_lost(c, call);
}

/* --- what arrives ----------------------------------------------------------------------------- */

/* An error that belongs to no request. */
static void on_connection_error(mcpb_client *c, const json_t *error) {
        mcpb_error err = MCPB_ERROR_INIT;
        int r;

        /*
         * What the daemon says when it closes on us is about the connection, not about the calls:
         * the end, which comes next, tells what became of them.
         */
        if (has_code(error, MCPB_TIMEOUT) || has_code(error, MCPB_STOPPING) ||
            (c->n_sent == 0 && !c->writing)) {
                c->leaving = true;
                return;
        }
        r = client_error_remote(&err, error);
        fail_all(c, r, &err);
        mcpb_error_done(&err);
}

static struct call *find_sent(mcpb_client *c, const json_t *id) {
        struct call *call;

        LIST_FOREACH(call, &c->sent, struct call, link)
                if (json_is_integer(id) && json_integer_value(id) == (json_int_t)call->id)
                        return call;
        return NULL;
}

static void on_error(mcpb_client *c, struct call *call, const json_t *error) {
        mcpb_error err = MCPB_ERROR_INIT;
        int r;

        /* Nothing new is begun by a daemon that stops; whoever comes after it may be asked. */
        if (call->repeatable && has_code(error, MCPB_STOPPING)) {
                c->leaving = true;
                if (call->n_lost++ > 0) {
                        complete_lost(c, call);
                        return;
                }
                list_remove(&call->link);
                c->n_sent--;
                call->state = CALL_QUEUED;
                list_prepend(&c->queue, &call->link);
                return;
        }
        r = client_error_remote(&err, error);
        complete(c, call, r, &err);
        mcpb_error_done(&err);
}

static void on_message(mcpb_client *c, const json_t *m) {
        const json_t *id = json_object_get(m, "id");
        const json_t *error = json_object_get(m, "error");
        json_t *result = json_object_get(m, "result");
        mcpb_error err = MCPB_ERROR_INIT;
        struct call *call;
        int r;

        if (json_is_null(id) && json_is_object(error)) {
                on_connection_error(c, error);
                return;
        }
        call = find_sent(c, id);
        if (!call) {
                /* a notification, or the answer to one that was given up */
                if (json_is_integer(id) && c->n_given_up > 0 && (error || result))
                        c->n_given_up--;
                return;
        }
        c->n_futile = 0;
        if (json_is_object(error)) {
                on_error(c, call, error);
                return;
        }
        if (result) {
                call->result = json_incref(result);
                complete(c, call, 0, NULL);
                return;
        }
        r = client_error(&err, MCPB_UNSUPPORTED, EPROTO, NULL,
                         "The daemon's answer has neither result nor error");
        complete(c, call, r, &err);
}

/* One read and what it brought. 1: there may be more. 0: not now. -errno: it was the end. */
static int take(mcpb_client *c) {
        mcpb_error err = MCPB_ERROR_INIT;
        int n = client_fill(c, &err);
        int r = n == -ENOMEM ? n : 1;

        while (r > 0) { /* also what came behind the greeting, and before the end */
                AUTO_JSON json_t *m = NULL;

                r = client_next(c, &m, &err);
                if (r > 0)
                        on_message(c, m);
                if (c->link != LINK_OPEN)
                        return -EPIPE;
        }
        if (r == 0 && n < 0)
                r = n;
        if (r == -EPIPE || r == -ECONNRESET) {
                c->reset |= r == -ECONNRESET;
                lost(c);
        } else if (r < 0) {
                fail_all(c, r, &err);
                mcpb_error_done(&err);
        }
        return r < 0 ? r : n == CLIENT_FILL_BYTES;
}

/* --- what leaves ------------------------------------------------------------------------------ */

static bool may_write(const mcpb_client *c) {
        if (c->broken || c->leaving)
                return false;
        return c->rest.len > 0 || c->writing ||
               (!list_empty(&c->queue) && c->n_sent + c->n_given_up < LIMIT_REQUESTS_PER_CLIENT);
}

/* The end of the stream, which comes next, tells what became of what was sent. */
static void flush(mcpb_client *c) {
        while (may_write(c)) {
                bool rest = c->rest.len > 0;
                struct call *call;
                int r;

                if (!rest && !c->writing)
                        c->writing = LIST_FIRST(&c->queue, struct call, link);
                call = c->writing;
                r = client_write(c, rest ? &c->rest : &call->line);
                if (r < 0) {
                        c->broken = true;
                        c->reset |= r == -ECONNRESET;
                        return;
                }
                if (!rest && (r > 0 || c->written > 0))
                        call->begun = true;
                if (r == 0) {
                        if (c->written == 0)
                                c->writing = NULL;
                        return;
                }
                if (rest) {
                        buf_done(&c->rest);
                        continue;
                }
                c->writing = NULL;
                c->last_written = call->id;
                list_remove(&call->link);
                call->state = CALL_SENT;
                list_append(&c->sent, &call->link);
                c->n_sent++;
        }
}

/* --- all together ----------------------------------------------------------------------------- */

short client_events(const mcpb_client *c) {
        switch (c->link) {
        case LINK_NONE:
        case LINK_STARTING:
                return 0;
        case LINK_GREETING:
        case LINK_OPENING:
                return c->rest.len > 0 ? POLLIN | POLLOUT : POLLIN;
        case LINK_OPEN:
                break;
        }
        return may_write(c) ? POLLIN | POLLOUT : POLLIN;
}

uint64_t client_wakeup(const mcpb_client *c) {
        const struct list *const lists[] = { &c->sent, &c->queue };
        uint64_t at = c->link == LINK_STARTING ? c->retry_usec : UINT64_MAX;
        const struct call *call;

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                LIST_FOREACH(call, lists[i], const struct call, link)
                        at = call->deadline_usec < at ? call->deadline_usec : at;
        return at;
}

/* 1: the session is open. 0: not yet, or nobody needs it. */
static int step_link(mcpb_client *c, mcpb_error *err) {
        mcpb_error e = MCPB_ERROR_INIT;
        int r;

        if (c->link == LINK_OPEN)
                return 1;
        if (c->link == LINK_NONE && list_empty(&c->queue))
                return 0;
        r = client_link(c, &e);
        if (r == -ETIMEDOUT || r == -ECANCELED) {
                client_error_move(err, &e);
                return r;
        }
        if (r < 0)
                fail_all(c, r, &e);
        mcpb_error_done(&e);
        return r < 0 ? 0 : r;
}

int client_step(mcpb_client *c, mcpb_error *err) {
        client_expire(c);
        for (int i = 0; i < READS_MAX; i++) {
                int r = step_link(c, err);

                if (r <= 0)
                        return r;
                r = take(c);
                if (r < 0)
                        continue;
                if (c->leaving && c->n_sent == 0) {
                        lost(c); /* there is nothing to wait for */
                        continue;
                }
                if (r == 0)
                        break;
        }
        if (c->link == LINK_OPEN)
                flush(c);
        return 0;
}
