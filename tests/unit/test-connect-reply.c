/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/reply.h"

#include "test.h"

#define A "{\"jsonrpc\":\"2.0\",\"method\":\"a\"}"
#define B "{\"jsonrpc\":\"2.0\",\"method\":\"b\"}"

struct heard {
        struct buf text; /* messages, "id:", "retry:" and "other:" as they come */
};

static void add(struct heard *h, const char *what, const char *text, size_t len) {
        assert_int_equal(buf_append_str(&h->text, what), 0);
        assert_int_equal(buf_append(&h->text, text, len), 0);
        assert_int_equal(buf_append(&h->text, "\n", 1), 0);
}

static void on_message(const struct message *m, void *userdata) {
        add(userdata, "", m->method, strlen(m->method));
}

/* The place that it has come to. */
static void add_place(struct heard *h, const struct reply *r) {
        char text[32];

        if (r->event_id)
                add(h, "id:", r->event_id, strlen(r->event_id));
        if (r->retry_msec < 0)
                return;
        (void)snprintf(text, sizeof(text), "%ld", r->retry_msec);
        add(h, "retry:", text, strlen(text));
}

static void on_other_event(const struct sse_event *e, void *userdata) {
        add(userdata, "other:", e->data, e->len);
}

static const struct reply_ops ops = { .on_message = on_message, .on_other_event = on_other_event };

struct attempt {
        unsigned status;
        const char *type;
        const char *body;
        enum reply_kind kind;
        int r; /* of feed and end */
        const char *heard;
};

static int run(const struct attempt *a, size_t cut, struct heard *h, struct reply *r) {
        struct fetch_answer head;
        int e;

        fetch_answer_init(&head);
        head.status = a->status;
        if (a->type)
                assert_int_equal(fetch_answer_add_header(&head, "content-type", a->type), 0);
        reply_init(r, &ops, h, 4096);
        reply_begin(r, &head);
        fetch_answer_done(&head);
        assert_int_equal(r->kind, a->kind);
        e = reply_feed(r, a->body, cut);
        if (e == 0)
                e = reply_feed(r, a->body + cut, strlen(a->body) - cut);
        return e < 0 ? e : reply_end(r);
}

static void an_answer_is_what_its_head_says(void **state) {
        static const struct attempt table[] = {
                { 200, "application/json", A, REPLY_JSON, 0, "a\n" },
                { 200, "Application/JSON; charset=utf-8", " " A "\r\n", REPLY_JSON, 0, "a\n" },
                { 400, "application/json", A, REPLY_JSON, 0, "a\n" },
                { 200, "application/json", "[" A ", " B " ,3]", REPLY_JSON, 0, "a\nb\n" },
                { 200, "application/json", "", REPLY_JSON, 0, "" },
                { 200, "application/json", "{\"error\":\"oauth\"}", REPLY_JSON, 0, "" },
                { 200, "application/json", "{\"a\":", REPLY_JSON, -EBADMSG, "" },
                { 200, "application/json", "12", REPLY_JSON, -EBADMSG, "" },
                { 200, "application/jsonp", "{}", REPLY_OTHER, 0, "" },
                { 202, "application/json", A, REPLY_NOTHING, 0, "" },
                { 200, "text/event-stream", "data: " A "\n\ndata: " B "\n\n", REPLY_EVENTS, 0,
                  "a\nb\n" },
                { 200, "text/event-stream", "id: 7\nretry: 500\ndata:\n\n", REPLY_EVENTS, 0,
                  "id:7\nretry:500\n" },
                { 200, "text/event-stream", "data: nonsense\n\ndata: " B "\n\n", REPLY_EVENTS, 0,
                  "b\n" },
                { 200, "text/event-stream", "event: endpoint\ndata: /m?s=1\n\n", REPLY_EVENTS, 0,
                  "other:/m?s=1\n" },
                { 200, "text/event-stream", "data: " A "\n", REPLY_EVENTS, 0, "" },
                { 500, "text/event-stream", "data: " A "\n\n", REPLY_OTHER, 0, "" },
                { 502, "text/html", "<html>", REPLY_OTHER, 0, "" },
                { 200, NULL, A, REPLY_OTHER, 0, "" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                for (size_t cut = 0; cut <= strlen(table[i].body); cut++) {
                        struct heard h = { 0 };
                        struct reply r;

                        assert_int_equal(run(&table[i], cut, &h, &r), table[i].r);
                        add_place(&h, &r);
                        assert_string_equal(h.text.data ? h.text.data : "", table[i].heard);
                        assert_int_equal(r.why != NULL, table[i].r < 0);
                        reply_done(&r);
                        buf_done(&h.text);
                }
        }
}

static void a_message_has_a_bound(void **state) {
        static const struct {
                const char *type;
                enum reply_kind kind;
                int r;
        } table[] = { { "application/json", REPLY_JSON, -EMSGSIZE },
                      { "text/event-stream", REPLY_EVENTS, -EMSGSIZE },
                      { "text/plain", REPLY_OTHER, 0 } };
        char body[8192];

        memset(body, 'x', sizeof(body));
        memcpy(body, "data:", 5);
        body[sizeof(body) - 1] = '\0';
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct attempt a = { 200, table[i].type, body, table[i].kind, 0, "" };
                struct heard h = { 0 };
                struct reply r;

                assert_int_equal(run(&a, 1, &h, &r), table[i].r);
                assert_true(r.body.len <= 4096);
                reply_done(&r);
                buf_done(&h.text);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_answer_is_what_its_head_says),
                cmocka_unit_test(a_message_has_a_bound),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
