/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever host and server say of themselves and to each other: what comes out of a translation is
 * one message of the same kind, and what one era keeps to itself does not reach the other. */
#include <assert.h>

#include "base/limits.h"
#include "connect/input.h"
#include "connect/question.h"
#include "connect/translate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct span id = { "\"new\"", 5 };
static const struct span none = { 0 };

static void is_message(struct buf *out, enum message_kind kind) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;

        assert(message_scan(&m, out->data, out->len, NULL) == 0);
        assert(m.kind == kind);
        buf_clear(out);
}

static void calls(struct translate *t, const struct message *m, struct buf *out) {
        AUTO_MESSAGE struct message up = MESSAGE_INIT;
        AUTO_MESSAGE struct message down = MESSAGE_INIT;
        AUTO_BUF struct buf back = BUF_INIT;

        if (translate_up(t, m, none, none, none, out) < 0) {
                assert(translate_down(m, out) == -EINVAL && out->len == 0);
                return;
        }
        assert(message_scan(&up, out->data, out->len, NULL) == 0);
        assert(up.kind == m->kind && streq(up.method, m->method));
        assert(streq_null(up.protocol_version, TRANSLATE_MODERN));
        assert(translate_down(&up, &back) == 0);
        assert(message_scan(&down, back.data, back.len, NULL) == 0);
        assert(down.kind == m->kind && streq(down.method, m->method));
        assert(!down.protocol_version && streq_null(down.name, m->name));
        assert(down.id.len == m->id.len);
        buf_clear(out);
        if (m->kind != MESSAGE_REQUEST)
                return;
        (void)translate_listens(m, m);
        assert(translate_write_listened(m, m, out) == 0);
        is_message(out, MESSAGE_REQUEST);
        assert(translate_write_acknowledged(t, m, out) == 0);
        is_message(out, MESSAGE_NOTIFICATION);
}

static void answers(const struct message *m, struct buf *out) {
        static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\"}";
        AUTO_MESSAGE struct message asked = MESSAGE_INIT;

        assert(message_scan(&asked, line, strlen(line), NULL) == 0);
        assert(translate_answer_up(&asked, m, out) == 0);
        is_message(out, MESSAGE_RESPONSE);
        assert(translate_answer_down(&asked, m, out) == 0);
        is_message(out, MESSAGE_RESPONSE);
        if (m->error.len > 0 && question_write_addresses(m->error, id, out) == 0)
                is_message(out, MESSAGE_RESPONSE);
}

/* What a server wants to know, as requests to the host; whatever it answers. */
static void rounds(const struct message *m, struct buf *out) {
        static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}";
        AUTO_MESSAGE struct message asked = MESSAGE_INIT;
        AUTO_BUF struct buf copy = BUF_INIT;
        struct errand *e = NULL;
        uint64_t last = 0;

        assert(buf_append_str(&copy, line) == 0);
        assert(message_scan(&asked, copy.data, copy.len, NULL) == 0);
        assert(errand_new(&copy, &asked, &e) == 0);
        if (errand_take_result(e, m->result, &last) == 0) {
                for (size_t i = 0; i < e->n_inputs; i++) {
                        assert(errand_write_request(e, i, out) == 0);
                        is_message(out, MESSAGE_REQUEST);
                }
        }
        (void)errand_free(e);
}

static void descriptions(struct translate *t, const struct message *m, struct buf *out) {
        struct span said = m->kind == MESSAGE_RESPONSE ? m->result : m->params;

        if (m->kind == MESSAGE_REQUEST) {
                assert(translate_hear_initialize(t, m) == 0);
                assert(translate_write_discover(t, id, out) == 0);
                is_message(out, MESSAGE_REQUEST);
                assert(translate_write_initialized(t, m, "n", out) == 0);
                is_message(out, MESSAGE_RESPONSE);
                assert(translate_hear_meta(t, m) == 0);
                assert(translate_write_initialize(t, id, out) == 0);
                is_message(out, MESSAGE_REQUEST);
        }
        if (said.len == 0)
                return;
        if (translate_hear_discovered(t, said) == 0)
                (void)translate_lists_change(t);
        assert(translate_hear_initialized(t, said) == 0);
        assert(translate_write_discovered(t, id, out) == 0);
        is_message(out, MESSAGE_RESPONSE);
        assert(translate_write_listen(t, id, NULL, out) == 0);
        is_message(out, MESSAGE_REQUEST);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        AUTO_BUF struct buf out = BUF_INIT;
        struct translate t;

        if (message_scan(&m, (const char *)data, size, NULL) < 0 || m.kind == MESSAGE_BATCH)
                return 0;
        translate_init(&t, 0);
        descriptions(&t, &m, &out);
        if (m.kind == MESSAGE_RESPONSE) {
                answers(&m, &out);
                rounds(&m, &out);
        } else {
                calls(&t, &m, &out);
        }
        translate_done(&t);
        return 0;
}
