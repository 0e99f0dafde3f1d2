/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "connect/bridge-state.h"

#define LISTENERS_MAX 32

/* A listener is the host's request itself, which is never sent, and answered by no response. */

static void say(struct bridge *b, const char *method, struct span uri) {
        AUTO_BUF struct buf line = { .max = b->message_max };
        struct exchange *x = NULL;
        char id[48];

        if (translate_write_subscribe(eras_new_id(&b->eras, id), method, uri, &line) < 0 ||
            eras_say(b, &line, &x) < 0)
                log_warning("a subscription stays as it is: out of memory");
}

/* By another than @x? */
static bool is_watched(struct bridge *b, const struct exchange *x, struct span uri) {
        struct exchange *other;

        LIST_FOREACH(other, &b->eras.listeners, struct exchange, link) {
                struct span one;
                size_t pos = 0;

                if (other == x)
                        continue;
                while (translate_next_listened(&other->message, &pos, &one))
                        if (jsonspan_same(one, uri))
                                return true;
        }
        return false;
}

static void say_for_all(struct bridge *b, const struct exchange *x, const char *method) {
        struct span uri;
        size_t pos = 0;

        if (!translate_server_can(&b->eras.words, "resources", "subscribe"))
                return;
        while (translate_next_listened(&x->message, &pos, &uri))
                if (!is_watched(b, x, uri))
                        say(b, method, uri);
}

void listener_open(struct bridge *b, struct exchange *x) {
        AUTO_BUF struct buf text = { .max = b->message_max };

        if (b->eras.n_listeners >= LISTENERS_MAX) {
                eras_refuse(b, x, REFUSAL_CODE, "Too many subscriptions");
                return;
        }
        if (translate_write_acknowledged(&b->eras.words, &x->message, &text) < 0) {
                eras_refuse(b, x, REFUSAL_CODE, "out of memory");
                return;
        }
        buf_done(&x->refusal);
        list_append(&b->eras.listeners, &x->link);
        b->eras.n_listeners++;
        host_send(b->host, (struct span){ text.data, text.len });
        say_for_all(b, x, "resources/subscribe");
}

static void listener_close(struct bridge *b, struct exchange *x) {
        list_remove(&x->link);
        b->eras.n_listeners--;
        relay_leave_batch(b, x);
        (void)exchange_free(x);
}

bool listener_cancel(struct bridge *b, struct span id) {
        struct exchange *x;

        LIST_FOREACH(x, &b->eras.listeners, struct exchange, link) {
                if (!message_id_equal(x->message.id, id))
                        continue;
                say_for_all(b, x, "resources/unsubscribe");
                listener_close(b, x);
                return true;
        }
        return false;
}

bool listener_tell(struct bridge *b, const struct message *m) {
        AUTO_BUF struct buf text = { .max = b->message_max };
        struct exchange *x;

        if (!streq(m->method, "notifications/resources/updated") &&
            !streq(m->method, "notifications/resources/list_changed") &&
            !streq(m->method, "notifications/tools/list_changed") &&
            !streq(m->method, "notifications/prompts/list_changed"))
                return false;
        LIST_FOREACH(x, &b->eras.listeners, struct exchange, link) {
                buf_clear(&text);
                if (!translate_listens(&x->message, m))
                        continue;
                if (translate_write_listened(&x->message, m, &text) == 0)
                        host_send(b->host, (struct span){ text.data, text.len });
        }
        bridge_balance(b);
        return true;
}

/* Another session knows nothing of the last one's. */
void listener_again(struct bridge *b) {
        struct exchange *x;

        LIST_FOREACH(x, &b->eras.listeners, struct exchange, link) {
                struct span uri;
                size_t pos = 0;

                if (!translate_server_can(&b->eras.words, "resources", "subscribe"))
                        continue;
                while (translate_next_listened(&x->message, &pos, &uri))
                        say(b, "resources/subscribe", uri);
        }
}

void listener_stop(struct bridge *b) {
        struct exchange *x;

        while ((x = LIST_FIRST(&b->eras.listeners, struct exchange, link)))
                listener_close(b, x);
}
