/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever the line: a message is one kind of thing, its parts lie within it, and what is written
 * of it reads the same but for the id. */
#include <assert.h>

#include "base/limits.h"
#include "connect/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct span new_id = { "\"new\"", 5 };

static void within(struct span part, struct span whole) {
        assert(part.len == 0 || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len));
}

static bool same(struct span a, struct span b) {
        return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static void look(const struct message *m) {
        bool call = m->kind == MESSAGE_REQUEST || m->kind == MESSAGE_NOTIFICATION;

        within(m->id, m->whole);
        within(m->params, m->whole);
        within(m->arguments, m->params);
        within(m->cancelled_id, m->params);
        within(m->progress_token, m->params);
        within(m->result, m->whole);
        within(m->error, m->whole);
        assert(call == (m->method != NULL));
        assert(call || (!m->name && !m->protocol_version && m->params.len == 0));
        assert((m->kind == MESSAGE_RESPONSE) == (m->result.len > 0 || m->error.len > 0));
        assert(m->result.len == 0 || m->error.len == 0);
        assert(m->kind != MESSAGE_REQUEST || m->id.len > 0);
        assert(m->kind != MESSAGE_NOTIFICATION || m->id.len == 0);
        assert(m->id.len == 0 || message_id_equal(m->id, m->id));
        if (m->protocol_version)
                for (const char *p = m->protocol_version; *p; p++)
                        assert(*p > 0x20 && *p < 0x7f);
}

static void with_another_id(const struct message *m) {
        AUTO_MESSAGE struct message again = MESSAGE_INIT;
        AUTO_BUF struct buf out = BUF_INIT;

        assert(message_write_with_id(&out, m, new_id) == 0);
        assert(message_scan(&again, out.data, out.len, NULL) == 0);
        assert(message_id_equal(again.id, new_id));
        assert(again.kind == (m->kind == MESSAGE_NOTIFICATION ? MESSAGE_REQUEST : m->kind));
        assert(streq_null(again.method, m->method) && streq_null(again.name, m->name));
        assert(same(again.params, m->params) && same(again.result, m->result) &&
               same(again.error, m->error));
}

static void answered(struct span id, const char *why) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        AUTO_BUF struct buf out = BUF_INIT;

        assert(message_error(&out, id, -32603, why, "{ }") == 0);
        assert(message_scan(&m, out.data, out.len, NULL) == 0);
        assert(m.kind == MESSAGE_RESPONSE && same(m.id, id) && message_error_code(&m) == -32603);
        assert(!memchr(out.data, '\n', out.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        const char *why = NULL;
        struct span item;
        size_t pos = 0;
        int r;

        r = message_scan(&m, (const char *)data, size, &why);
        assert(r == 0 || (why && (r == -EBADMSG || r == -EPROTO)));
        if (r < 0) {
                answered(m.id, why);
                return 0;
        }
        within(m.whole, (struct span){ (const char *)data, size });
        if (m.kind != MESSAGE_BATCH) {
                look(&m);
                with_another_id(&m);
                answered(m.id, m.method ? m.method : "");
                return 0;
        }
        while (jsonspan_next_item(m.items, &pos, &item)) {
                AUTO_MESSAGE struct message one = MESSAGE_INIT;

                within(item, m.items);
                if (message_scan_value(&one, item, &why) == 0) {
                        look(&one);
                        with_another_id(&one);
                }
        }
        return 0;
}
