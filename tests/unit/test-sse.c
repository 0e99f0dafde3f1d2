/* SPDX-License-Identifier: Apache-2.0 */
#include "http/sse.h"

#include "base/limits.h"
#include "oom.h"
#include "test.h"

/* ---- events as text: type|data|id|its own?|retry; one behind the other ---- */

struct told {
        struct buf text;
        unsigned n;
        unsigned stop_at; /* the event that fails; 0: none */
};

static int on_event(const struct sse_event *e, void *userdata) {
        struct told *t = userdata;
        int r = buf_printf(&t->text, "{%s|", e->type);

        assert_int_equal(e->has_data, e->len > 0);
        assert_int_equal(e->data[e->len], '\0');
        if (r == 0)
                r = buf_append(&t->text, e->data, e->len);
        if (r == 0)
                r = buf_printf(&t->text, "|%s|%d|%ld}", e->id ? e->id : "-", e->id_seen,
                               e->retry_msec);
        if (++t->n == t->stop_at)
                return -EPIPE;
        return r;
}

static int feed_in_pieces(struct told *t, size_t event_max, const char *p, size_t len, size_t first,
                          size_t piece) {
        struct sse s;
        int r = 0;

        sse_init(&s, event_max);
        for (size_t n = first; len > 0 && r == 0; n = piece) {
                n = n < len ? n : len;
                r = sse_feed(&s, p, n, on_event, t);
                p += n;
                len -= n;
        }
        sse_done(&s);
        return r;
}

/* What must come out must come out wherever the bytes are cut in two, and byte by byte. */
static void assert_told(const char *in, size_t len, const char *out) {
        for (size_t cut = 0; cut <= len; cut++) {
                struct told t = { 0 };

                assert_int_equal(feed_in_pieces(&t, 0, in, len, cut, cut == 0 ? 1 : len), 0);
                assert_string_equal(t.text.data ? t.text.data : "", out);
                buf_done(&t.text);
        }
}

#define ASSERT_TOLD(in, out) assert_told(in, sizeof(in) - 1, out)

static void every_kind_of_line_end_ends_a_line(void **state) {
        ASSERT_TOLD("data: a\n\ndata: b\n\n", "{message|a|-|0|-1}{message|b|-|0|-1}");
        ASSERT_TOLD("data: a\r\n\r\ndata: b\r\n\r\n", "{message|a|-|0|-1}{message|b|-|0|-1}");
        ASSERT_TOLD("data: a\r\rdata: b\r\r", "{message|a|-|0|-1}{message|b|-|0|-1}");
        ASSERT_TOLD("data: a\r\n\rdata: b\n\r\n", "{message|a|-|0|-1}{message|b|-|0|-1}");
        ASSERT_TOLD("data: a\rdata: b\r\ndata: c\n\n", "{message|a\nb\nc|-|0|-1}");
        ASSERT_TOLD("data: a\n\r\n", "{message|a|-|0|-1}");
}

/* A CR is told at once, and not only when what follows has shown that no LF does. */
static void an_event_does_not_wait_for_what_follows_a_cr(void **state) {
        struct told t = { 0 };

        assert_int_equal(feed_in_pieces(&t, 0, "data: a\r\r", 9, 9, 9), 0);
        assert_int_equal(t.n, 1);
        buf_done(&t.text);
}

static void fields_mean_what_the_standard_says(void **state) {
        ASSERT_TOLD("event: endpoint\ndata: /x\n\n", "{endpoint|/x|-|0|-1}");
        ASSERT_TOLD("event: a\nevent: b\ndata: x\n\n", "{b|x|-|0|-1}");
        ASSERT_TOLD("event: a\nevent\ndata: x\n\n", "{message|x|-|0|-1}");
        ASSERT_TOLD("data:x\n\ndata:  x \n\n", "{message|x|-|0|-1}{message| x |-|0|-1}");
        ASSERT_TOLD("data: a: b:c\n\n", "{message|a: b:c|-|0|-1}");
        ASSERT_TOLD("data: {\ndata:  \"a\": 1\ndata: }\n\n", "{message|{\n \"a\": 1\n}|-|0|-1}");
        ASSERT_TOLD("data\ndata\n\n", "{message|\n|-|0|-1}");
        ASSERT_TOLD("data: a\ndata\n\n", "{message|a\n|-|0|-1}");
        ASSERT_TOLD("data: a\nDATA: b\n data: c\ndata : d\ndat: e\ndatax: f\ndata-long-name: g\n\n",
                    "{message|a|-|0|-1}");
        ASSERT_TOLD(": comment\n:\n::data: x\ndata: a\n:data: b\nunknown\n\n",
                    "{message|a|-|0|-1}");
        ASSERT_TOLD("data: caf\xc3\xa9 \xff\n\n", "{message|caf\xc3\xa9 \xff|-|0|-1}");
}

static void the_type_is_of_one_event_and_the_id_of_all_that_follow(void **state) {
        ASSERT_TOLD("event: a\nid: 1\ndata: x\n\ndata: y\n\nid\ndata: z\n\n",
                    "{a|x|1|1|-1}{message|y|1|0|-1}{message|z||1|-1}");
        ASSERT_TOLD("event: a\n\ndata: x\n\n", "{message|x|-|0|-1}");
}

static void an_id_or_a_retry_is_told_without_data(void **state) {
        ASSERT_TOLD("id: 7\n\n", "{message||7|1|-1}");
        ASSERT_TOLD("id: 7\ndata:\n\n", "{message||7|1|-1}");
        ASSERT_TOLD("retry: 250\n\n", "{message||-|0|250}");
        ASSERT_TOLD("data:\n\n", "{message||-|0|-1}");
        ASSERT_TOLD("event: ping\n\n\n\n: hello\n\n", "");
}

static void an_id_with_a_nul_is_none(void **state) {
        ASSERT_TOLD("id: 1\nid: 2\0\n\n", "{message||1|1|-1}");
        ASSERT_TOLD("id: \0\n\n", "");
        ASSERT_TOLD("event: message\0x\ndata: a\n\n", "{message?x|a|-|0|-1}");
}

static void retry_takes_digits_only(void **state) {
        ASSERT_TOLD("retry: 0\n\n", "{message||-|0|0}");
        ASSERT_TOLD("retry: 1\nretry: 02\n\n", "{message||-|0|2}");
        ASSERT_TOLD("retry: 1\nretry: x\nretry: -2\nretry: 3 \nretry:  4\nretry\nretry: 5\0\n\n",
                    "{message||-|0|1}");
        ASSERT_TOLD("retry: 99999999999999999999999999\n\n", "{message||-|0|2147483647}");
}

static void one_bom_in_front_is_no_part_of_a_name(void **state) {
        ASSERT_TOLD("\xef\xbb\xbf"
                    "data: a\n\n",
                    "{message|a|-|0|-1}");
        ASSERT_TOLD("\xef\xbb\xbf\xef\xbb\xbf"
                    "data: a\ndata: b\n\n",
                    "{message|b|-|0|-1}");
        ASSERT_TOLD("\xef\xbb"
                    "data: a\ndata: b\n\n",
                    "{message|b|-|0|-1}");
        ASSERT_TOLD("\xef\n"
                    "data: b\n\n",
                    "{message|b|-|0|-1}");
        ASSERT_TOLD("data: a\n\xef\xbb\xbf"
                    "data: b\n\n",
                    "{message|a|-|0|-1}");
        ASSERT_TOLD("\xef\xbb\xbf\n"
                    "data: a\n\n",
                    "{message|a|-|0|-1}");
}

static void what_no_blank_line_ends_is_no_event(void **state) {
        ASSERT_TOLD("", "");
        ASSERT_TOLD("data: a\n", "");
        ASSERT_TOLD("data: a\n\nid: 1\ndata: b", "{message|a|-|0|-1}");
}

/* ---- bounds ---- */

/* S9 */
static void an_event_may_be_as_large_as_allowed_and_not_larger(void **state) {
        static const struct {
                const char *in;
                int r;
        } table[] = {
                { "data: 0123456789\n\n", 0 },
                { "data: 01234567890\n\n", -EMSGSIZE },
                { "data: 01234567890", -EMSGSIZE }, /* not only when it ends */
                { "data: 01234\ndata: 6789\n\n", 0 },
                { "data: 01234\ndata: 67890\n\n", -EMSGSIZE },
                { "data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n\n", 0 },
                { "data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n\n",
                  -EMSGSIZE },
                { "id: 01234567890\n", -EMSGSIZE },
                { "event: 01234567890\n", -EMSGSIZE },
                { "retry: 00000000000\n", -EMSGSIZE },
                { "id: 01234\nid: 01234\n", 0 },
                { "id: 01234\nid: 012345\n", -EMSGSIZE },
                { "data: 0123456789\n\ndata: 0123456789\n\n", 0 },
                { ": 0123456789012345678901234567890123456789\n"
                  "unknown: 0123456789012345678901234567890123456789\n"
                  "0123456789012345678901234567890123456789\ndata: 0123456789\n\n",
                  0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                for (size_t cut = 0; cut <= strlen(table[i].in); cut++) {
                        struct told t = { 0 };
                        size_t len = strlen(table[i].in);

                        assert_int_equal(
                                feed_in_pieces(&t, 10, table[i].in, len, cut, cut == 0 ? 1 : len),
                                table[i].r);
                        buf_done(&t.text);
                }
}

/* S9 */
static void the_usual_limit_is_that_of_limits_h(void **state) {
        static const char megabyte[1024 * 1024];
        struct told t = { 0 };
        struct sse s;
        int r;

        sse_init(&s, 0);
        r = sse_feed(&s, "data:", 5, on_event, &t);
        for (size_t i = 0; i < LIMIT_EVENT_BYTES / sizeof(megabyte); i++)
                r = r == 0 ? sse_feed(&s, megabyte, sizeof(megabyte), on_event, &t) : r;
        assert_int_equal(r, 0);
        assert_int_equal(sse_feed(&s, "", 1, on_event, &t), -EMSGSIZE);
        assert_int_equal(sse_feed(&s, "\n\n", 2, on_event, &t), -EMSGSIZE);
        assert_int_equal(t.n, 0);
        sse_done(&s);
}

static void a_large_event_leaves_no_large_buffer_behind(void **state) {
        static const char megabyte[1024 * 1024];
        struct told t = { 0 };
        struct sse s;

        sse_init(&s, 0);
        assert_int_equal(sse_feed(&s, "data:", 5, on_event, &t), 0);
        assert_int_equal(sse_feed(&s, megabyte, sizeof(megabyte), on_event, &t), 0);
        assert_int_equal(sse_feed(&s, "\n\n", 2, on_event, &t), 0);
        assert_int_equal(t.n, 1);
        assert_int_equal(s.data.cap, 0);
        sse_done(&s);
        buf_done(&t.text);
}

/* ---- ends ---- */

static void a_callback_may_stop_it(void **state) {
        static const char in[] = "data: a\n\ndata: b\n\ndata: c\n\n";
        struct told t = { .stop_at = 2 };
        struct sse s;

        sse_init(&s, 0);
        assert_int_equal(sse_feed(&s, in, sizeof(in) - 1, on_event, &t), -EPIPE);
        assert_int_equal(t.n, 2);
        assert_int_equal(sse_feed(&s, in, sizeof(in) - 1, on_event, &t), -ECANCELED);
        assert_int_equal(t.n, 2);
        sse_done(&s);
        buf_done(&t.text);
}

static int drop_it(const struct sse_event *e, void *userdata) {
        struct sse **s = userdata;

        sse_done(*s);
        free(*s);
        *s = NULL;
        return -ECANCELED;
}

static void a_callback_that_stops_it_may_free_it(void **state) {
        struct sse *s = malloc(sizeof(*s));

        assert_non_null(s);
        sse_init(s, 0);
        assert_int_equal(sse_feed(s, "data: a\n\ndata: b\n\n", 18, drop_it, &s), -ECANCELED);
        assert_null(s);
}

static int parse_short_of_memory(void *userdata) {
        static const char in[] = "event: a\nid: 1\nretry: 2\ndata: x\ndata: y\n\n";
        struct told t = { 0 };
        int r = feed_in_pieces(&t, 0, in, sizeof(in) - 1, 1, 1);

        buf_done(&t.text);
        return r;
}

static void every_allocation_may_fail(void **state) {
        assert_true(oom_sweep(parse_short_of_memory, NULL) >= 4);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_kind_of_line_end_ends_a_line),
                cmocka_unit_test(an_event_does_not_wait_for_what_follows_a_cr),
                cmocka_unit_test(fields_mean_what_the_standard_says),
                cmocka_unit_test(the_type_is_of_one_event_and_the_id_of_all_that_follow),
                cmocka_unit_test(an_id_or_a_retry_is_told_without_data),
                cmocka_unit_test(an_id_with_a_nul_is_none),
                cmocka_unit_test(retry_takes_digits_only),
                cmocka_unit_test(one_bom_in_front_is_no_part_of_a_name),
                cmocka_unit_test(what_no_blank_line_ends_is_no_event),
                cmocka_unit_test(an_event_may_be_as_large_as_allowed_and_not_larger),
                cmocka_unit_test(the_usual_limit_is_that_of_limits_h),
                cmocka_unit_test(a_large_event_leaves_no_large_buffer_behind),
                cmocka_unit_test(a_callback_may_stop_it),
                cmocka_unit_test(a_callback_that_stops_it_may_free_it),
                cmocka_unit_test(every_allocation_may_fail),
        };

        return cmocka_run_group_tests_name("sse", tests, NULL, NULL);
}
