/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call that the server refused because its head does not say what the tool's annotations want
 * (-32020): they are not those that the bridge has seen, for the list has changed, or the host
 * never asked for it. The bridge reads the list again, and makes the call once more.
 */
#include "base/clock.h"
#include "base/log.h"
#include "connect/bridge-state.h"
#include "connect/rewrite.h"

/* Everything else of the host's waits for the list. */
#define LIST_USEC (30 * USEC_PER_SEC)
#define PAGES_MAX 64

static struct span content(const struct buf *b) {
        return (struct span){ b->data, b->len };
}

static struct span member(struct span object, const char *key) {
        struct span found;

        return jsonspan_member(object, key, &found) == 0 ? found : SPAN_NONE;
}

/* tools/list in the words of @m, which is a request with params._meta. */
static int write_list(const struct message *m, struct span id, struct span cursor,
                      struct buf *out) {
        AUTO_BUF struct buf meta = { .max = out->max };
        AUTO_BUF struct buf params = { .max = out->max };
        AUTO_BUF struct buf line = { .max = out->max };
        struct rewrite token = { .key = "progressToken" };
        struct rewrite members[] = { { .key = "id", .value = id },
                                     { .key = "method", .value = { "\"tools/list\"", 12 } },
                                     { .key = "params" } };
        int r = rewrite_object(&meta, member(m->params, "_meta"), &token, 1);

        r = r < 0 ? r : buf_printf(&params, "{\"_meta\":%.*s", (int)meta.len, meta.data);
        if (r == 0 && cursor.len > 0)
                r = buf_printf(&params, ",\"cursor\":%.*s", (int)cursor.len, cursor.p);
        r = r < 0 ? r : buf_append(&params, "}", 1);
        members[2].value = content(&params);
        r = r < 0 ? r : rewrite_object(&line, m->whole, members, ARRAY_SIZE(members));
        return r < 0 ? r : jsonspan_compact(out, content(&line));
}

static void ask(struct bridge *b, const struct message *m, struct span cursor) {
        AUTO_BUF struct buf line = { .max = b->message_max };
        char id[48];

        if (write_list(m, eras_new_id(&b->eras, id), cursor, &line) < 0 ||
            bridge_exchange(b, &line, NULL, &b->relist) < 0) {
                log_warning("the list of tools is not read again: out of memory");
                return;
        }
        b->relist->internal = true;
        b->relist->limit_usec = LIST_USEC;
        bridge_send(b, b->relist);
}

static void take_page(struct bridge *b, const struct exchange *x, const struct message *m) {
        AUTO_BUF struct buf unused = { .max = b->message_max };
        struct span cursor = member(m->result, "nextCursor");

        b->relist = NULL;
        if (catalog_take(b->catalog, m->result, true, &unused, NULL, NULL) < 0)
                log_warning("the list of tools is lost: out of memory");
        else if (jsonspan_type(cursor) == JSONSPAN_STRING && ++b->n_pages < PAGES_MAX)
                ask(b, &x->message, cursor);
}

bool relist_answered(struct bridge *b, struct exchange *x, const struct message *m) {
        if (x == b->relist) {
                take_page(b, x, m);
                return true;
        }
        if (x->repeated || x->internal || x->cancelled || !x->message.protocol_version ||
            message_error_code(m) != CODE_HEADER_MISMATCH ||
            !streq_null(x->message.method, "tools/call"))
                return false;
        x->mismatched = true;
        return true;
}

bool relist_ended(struct bridge *b, struct exchange *x) {
        if (x == b->relist)
                b->relist = NULL;
        if (!x->mismatched)
                return false;
        x->mismatched = x->answered = false;
        x->repeated = true;
        list_prepend(&b->waiting, &x->link);
        b->n_waiting++;
        if (b->relist)
                return true;
        log_message(LOG_INFO, "a tool's annotations have changed; reading the list again");
        b->n_pages = 0;
        ask(b, &x->message, SPAN_NONE);
        return true;
}
