/* SPDX-License-Identifier: Apache-2.0 */
/* audit.record: one line of the trail for a tool call, of who made it, without what was in it. */
#include "base/clock.h"
#include "broker-world.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void report(struct world *w, json_t *more, struct answer *a) {
        json_t *params = json_pack("{s:s, s:s, s:s}", "server", WORLD_SERVER, "tool",
                                   "generate_summary", "outcome", "ok");

        assert_non_null(params);
        if (more)
                assert_int_equal(json_object_update_new(params, more), 0);
        world_ask(w, METHOD_AUDIT_RECORD, params, a);
        world_run(w);
}

static void assert_recorded(struct answer *a, bool yes) {
        assert_int_equal(a->n_told, 1);
        if (!a->result)
                fail_msg("%s: %s", error_name(a->err.code), a->err.message);
        assert_int_equal(json_get_bool(a->result, "recorded", !yes), yes);
        answer_done(a);
}

/* The last record of the log: to be released. */
static json_t *last_record(struct world *w) {
        char text[8192];
        off_t size = lseek(w->audit_fd, 0, SEEK_END);
        size_t n = size < (off_t)sizeof(text) ? (size_t)size : sizeof(text) - 1;
        json_t *value = NULL;
        char *line;
        char *tab;

        assert_int_equal(pread(w->audit_fd, text, n, size - (off_t)n), (ssize_t)n);
        text[n - 1] = '\0'; /* its line feed */
        line = strrchr(text, '\n') ? strrchr(text, '\n') + 1 : text;
        tab = strrchr(line, '\t');
        assert_non_null(tab);
        assert_int_equal(json_parse(line, (size_t)(tab - line), 16, &value, NULL), 0);
        return value;
}

/* A claim, beside what is known: it is written down, and nothing is decided by it. */
static void for_whom_a_token_was_asked_stands_in_its_record(void **state) {
        static const struct {
                const char *name;
                const char *scope; /* one that was not granted is refused */
                const char *event;
        } table[] = {
                { "planner \"7\"", NULL, "token.release" },
                { NULL, NULL, "token.release" },
                { "planner \"7\"", "admin", "token.deny" },
        };
        struct world *w = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_REPLY struct answer a = { 0 };
                AUTO_JSON json_t *record = NULL;
                json_t *params = json_pack("{s:s, s:s*}", "server", WORLD_SERVER, "on_behalf_of",
                                           table[i].name);
                const char *said;

                if (table[i].scope)
                        assert_int_equal(json_object_set_new(params, "scopes",
                                                             json_pack("[s]", table[i].scope)),
                                         0);
                world_ask(w, METHOD_TOKEN_GET, params, &a);
                world_run(w);
                assert_int_equal(a.result != NULL, !table[i].scope);
                record = last_record(w);
                assert_string_equal(json_get_string(record, "event"), table[i].event);
                said = json_get_string(json_object_get(record, "agent"), "on_behalf_of");
                assert_int_equal(said != NULL, table[i].name != NULL);
                if (said)
                        assert_string_equal(said, table[i].name);
        }
}

static void a_tool_call_leaves_one_record_of_who_made_it(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };
        AUTO_JSON json_t *record = NULL;
        const json_t *call;
        char request[32];
        const char *hash;

        assert_non_null(world_token(w, &a));
        (void)snprintf(request, sizeof(request), "%s", json_get_string(a.result, "request"));
        answer_done(&a);
        report(w,
               json_pack("{s:s, s:i, s:I, s:s}", "request", request, "duration_msec", 120, "bytes",
                         (json_int_t)5000000000, "arguments_hash", HASH),
               &a);
        assert_recorded(&a, true);
        assert_int_equal(world_audit(w, "tool.call"), 1);
        record = last_record(w);
        assert_string_equal(json_get_string(record, "outcome"), "success");
        assert_string_equal(json_get_string(record, "req"), request);
        assert_string_equal(json_get_string(record, "server"), WORLD_SERVER);
        assert_int_equal(json_get_int(json_object_get(record, "agent"), "uid", -1), getuid());
        call = json_object_get(record, "call");
        assert_string_equal(json_get_string(call, "tool"), "generate_summary");
        assert_string_equal(json_get_string(call, "end"), "ok");
        assert_int_equal(json_get_int(call, "msec", -1), 120);
        assert_int_equal(json_get_int(call, "bytes", -1), 5000000000);
        hash = json_get_string(call, "arguments");
        assert_non_null(hash);
        assert_int_equal(strncmp(hash, "hmac:", 5), 0);
        assert_null(strstr(hash, "0123456789abcdef")); /* keyed: guessing finds nothing */
}

static void each_end_has_its_outcome(void **state) {
        static const char *const ends[] = { "ok", "error", "tool_error", "failed" };
        struct world *w = *state;

        for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
                AUTO_REPLY struct answer a = { 0 };
                AUTO_JSON json_t *record = NULL;

                report(w, json_pack("{s:s}", "outcome", ends[i]), &a);
                assert_recorded(&a, true);
                record = last_record(w);
                assert_string_equal(json_get_string(record, "outcome"),
                                    i == 0 ? "success" : "failure");
                assert_string_equal(json_get_string(json_object_get(record, "call"), "end"),
                                    ends[i]);
                assert_null(json_object_get(json_object_get(record, "call"), "arguments"));
                assert_non_null(json_get_string(record, "req"));
        }
}

/* S9 */
static void what_is_no_report_is_refused_and_leaves_none(void **state) {
        struct world *w = *state;
        json_t *const wrong[] = {
                json_pack("{s:s}", "outcome", "great"),
                json_pack("{s:s}", "request", "../../x"),
                json_pack("{s:s}", "request", "0123456789ABCDEF"),
                json_pack("{s:s}", "arguments_hash", "secret words"),
                json_pack("{s:s}", "arguments_hash", HASH "00"),
                json_pack("{s:i}", "duration_msec", -1),
                json_pack("{s:s}", "bytes", "many"),
        };

        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                AUTO_REPLY struct answer a = { 0 };

                report(w, wrong[i], &a);
                assert_string_equal(error_name(a.err.code), "bad_params");
                assert_null(strstr(a.err.message, "secret words"));
        }
        assert_int_equal(world_audit(w, "tool.call"), 0);
}

/* S3 */
static void of_a_server_that_is_not_for_it_an_agent_reports_nothing(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        world_end(w);
        w->policy = "[Rule no]\nAgent=uid:self\nServer=@added\nEffect=deny\n";
        world_begin(w);
        report(w, NULL, &a);
        assert_refused(&a, MCPB_DENIED);
        report(w, json_pack("{s:s}", "server", "https://other.example.com/"), &a);
        assert_refused(&a, MCPB_NOT_FOUND);
        assert_int_equal(world_audit(w, "tool.call"), 0);
}

/* S9 */
static void a_flood_of_reports_is_braked_by_server(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        for (unsigned i = 0; i < 100; i++) {
                report(w, NULL, &a);
                assert_recorded(&a, true);
        }
        for (unsigned i = 0; i < 50; i++) {
                report(w, NULL, &a);
                assert_refused(&a, MCPB_BUSY);
        }
        assert_int_equal(world_audit(w, "tool.call"), 100);
        world_advance(w, USEC_PER_SEC / 2);
        for (unsigned i = 0; i < 10; i++) {
                report(w, NULL, &a);
                assert_recorded(&a, true);
        }
        report(w, NULL, &a);
        assert_refused(&a, MCPB_BUSY);
        world_advance(w, 60 * USEC_PER_SEC);
        for (unsigned i = 0; i < 100; i++) {
                report(w, NULL, &a);
                assert_recorded(&a, true);
        }
        report(w, NULL, &a);
        assert_refused(&a, MCPB_BUSY);
        /* Tokens are not reports. */
        assert_string_equal(world_token(w, &a), "at1");
}

static void who_does_not_want_reports_gets_none(void **state) {
        struct world *w = *state;
        AUTO_REPLY struct answer a = { 0 };

        w->no_reports = true;
        world_reload(w);
        report(w, NULL, &a);
        assert_recorded(&a, false);
        assert_int_equal(world_audit(w, "tool.call"), 0);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                T(for_whom_a_token_was_asked_stands_in_its_record),
                T(a_tool_call_leaves_one_record_of_who_made_it),
                T(each_end_has_its_outcome),
                T(what_is_no_report_is_refused_and_leaves_none),
                T(of_a_server_that_is_not_for_it_an_agent_reports_nothing),
                T(a_flood_of_reports_is_braked_by_server),
                T(who_does_not_want_reports_gets_none),
        };

        return cmocka_run_group_tests_name("broker-report", tests, NULL, NULL);
}
