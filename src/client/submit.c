/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <assert.h>

#include "base/limits.h"
#include "client/client.h"
#include "client/login.h"

/* --- a submitted call ------------------------------------------------------------------------- */

static void forget(mcpb_client *c, struct call *call) {
        list_remove(&call->link);
        c->n_submitted--;
        call_done(call);
        free(call);
}

static struct call *find(struct list *calls, unsigned long long ticket) {
        struct call *call;

        LIST_FOREACH(call, calls, struct call, link)
                if (call->submitted && call->id == ticket)
                        return call;
        return NULL;
}

void client_forget_calls(mcpb_client *c) {
        struct list *const lists[] = { &c->queue, &c->sent, &c->done };
        struct call *call;

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                LIST_FOREACH(call, lists[i], struct call, link)
                        forget(c, call);
        c->n_sent = 0;
        c->n_bytes = 0;
        c->writing = NULL;
}

static bool is_ours(const mcpb_client *c) {
        return c->owner == getpid();
}

void client_adopt(mcpb_client *c) {
        if (is_ours(c))
                return;
        client_forget_calls(c);
        client_disconnect(c);
        c->owner = getpid();
}

/* --- submitting ------------------------------------------------------------------------------- */

static int busy(mcpb_error *err) {
        return client_error(err, MCPB_BUSY, EBUSY, "Try again when one of them is answered.",
                            "Too many calls are under way");
}

static int new_call(mcpb_client *c, const char *method, json_t *params, const struct call *told,
                    struct call **ret, mcpb_error *err) {
        struct call *call;
        int r;

        if (c->n_submitted >= LIMIT_SUBMITTED)
                return busy(err);
        call = malloc(sizeof(*call));
        if (!call)
                return client_oom(err);
        *call = *told;
        call->submitted = true;
        c->n_submitted++;
        r = call_build(c, call, method, params, err);
        if (r == 0 && c->n_bytes + call->line.len > LIMIT_SUBMITTED_BYTES)
                r = busy(err);
        if (r < 0) {
                forget(c, call);
                return r;
        }
        *ret = call;
        return 0;
}

/* Sends what goes. A call that could not even be tried fails here and now. */
static int first_step(mcpb_client *c, struct call *call, mcpb_error *err) {
        int r = client_step(c, err);

        if (r == 0 && (call->state != CALL_DONE || call->r == 0 || call->begun))
                return 0;
        if (call->state != CALL_DONE) {
                client_give_up(c, call);
        } else {
                r = call->r;
                client_error_move(err, &call->err);
        }
        forget(c, call);
        return r;
}

int client_submit(mcpb_client *c, const char *method, json_t *params, const struct call *told,
                  unsigned long long *ret_ticket, mcpb_error *err) {
        AUTO_JSON json_t *owned = params;
        int msec = streq(method, "login.wait") ? LOGIN_WAIT_MSEC : CLIENT_TIMEOUT_MSEC;
        struct call *call = NULL;
        unsigned long long ticket;
        int r;

        if (err)
                mcpb_error_done(err);
        client_adopt(c);
        if (!params)
                return client_oom(err);
        r = new_call(c, method, params, told, &call, err);
        if (r < 0)
                return r;
        assert(call);
        client_set_deadline(c, c->timeout_msec ? c->timeout_msec : msec);
        call->deadline_usec = c->deadline_usec;
        ticket = call->id;
        c->n_bytes += call->line.len;
        client_enqueue(c, call);
        r = first_step(c, call, err);
        if (r == 0 && ret_ticket)
                *ret_ticket = ticket;
        return r;
}

int mcpb_submit(mcpb_client *c, const char *method, const char *params, mcpb_answer_fn fn,
                void *userdata, unsigned long long *ret_ticket, mcpb_error *err) {
        const struct call told = { .on_answer = fn, .userdata = userdata };
        json_t *value = NULL;
        int r = client_parse_params(params, &value, err);

        return r < 0 ? r : client_submit(c, method, value, &told, ret_ticket, err);
}

int mcpb_withdraw(mcpb_client *c, unsigned long long ticket) {
        struct call *call;

        client_adopt(c);
        call = find(&c->done, ticket);
        if (!call) {
                call = find(&c->sent, ticket);
                if (!call)
                        call = find(&c->queue, ticket);
                if (!call)
                        return -ENOENT;
                client_give_up(c, call);
        }
        forget(c, call);
        return 0;
}

/* --- dispatching ------------------------------------------------------------------------------ */

int mcpb_client_events(const mcpb_client *c) {
        return is_ours(c) ? client_events(c) : 0;
}

int mcpb_client_timeout(const mcpb_client *c) {
        if (!is_ours(c))
                return -1;
        if (!list_empty(&c->done) || (c->link == LINK_NONE && !list_empty(&c->queue)))
                return 0;
        return client_msec_until(client_wakeup(c));
}

static void tell_token(struct call *call) {
        mcpb_token *token = NULL;

        if (call->r == 0)
                call->r = client_read_token(call->result, &token, &call->err);
        call->on_token(call->r, token, &call->err, call->userdata);
}

static void tell_answer(struct call *call) {
        AUTO_BUF struct buf text = BUF_INIT;

        if (call->r == 0 && json_write(&text, call->result) < 0)
                call->r = client_oom(&call->err);
        call->on_answer(call->r, call->r == 0 ? text.data : NULL, &call->err, call->userdata);
}

/* As many as are done now: what the functions submit is for the next time. */
static void tell_all(mcpb_client *c) {
        size_t n = 0;

        for (const struct list *item = c->done.next; item != &c->done; item = item->next)
                n++;
        c->telling = true;
        for (; n > 0 && !c->freed && !list_empty(&c->done); n--) {
                struct call *call = LIST_FIRST(&c->done, struct call, link);

                list_remove(&call->link);
                c->n_submitted--;
                if (call->on_token)
                        tell_token(call);
                else if (call->on_answer)
                        tell_answer(call);
                call_done(call);
                free(call);
        }
        c->telling = false;
        if (c->freed)
                free(c);
}

int mcpb_dispatch(mcpb_client *c) {
        int r;

        if (c->telling)
                return -EDEADLK;
        client_adopt(c);
        c->deadline_usec = client_wakeup(c);
        r = client_step(c, NULL);
        if (r == -ETIMEDOUT)
                client_expire(c); /* the deadline was that of one of them */
        tell_all(c);              /* c may be gone */
        return r == -ECANCELED ? r : 0;
}
