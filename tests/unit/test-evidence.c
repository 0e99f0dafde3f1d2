/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/evidence.h"

#include "oom.h"
#include "test.h"

static struct evidence sample(void) {
        return (struct evidence){
                .pid = 4711,
                .start_ticks = UINT64_MAX,
                .exe = { true, "/usr/bin/mcp-token", 2049, UINT64_MAX - 1 },
                .ours = true,
                .anchor_known = true,
                .anchor_pid = 4000,
                .anchor_start_ticks = 99,
                .anchor = { true, "/usr/bin/agent (deleted)", 2049, 17 },
                .cgroup = "/user.slice/user-1000.slice",
                .user_unit = "agent.service",
        };
}

static void evidence_crosses_unchanged(void **state) {
        struct evidence e = sample();
        struct evidence back = { 0 };
        AUTO_JSON json_t *value = NULL;

        assert_int_equal(evidence_to_json(&e, &value), 0);
        assert_int_equal(evidence_from_json(&back, value), 0);
        assert_int_equal(back.pid, e.pid);
        assert_true(back.start_ticks == UINT64_MAX);
        assert_true(back.exe.known);
        assert_true(back.exe.ino == UINT64_MAX - 1);
        assert_string_equal(back.exe.path, e.exe.path);
        assert_true(back.ours);
        assert_false(back.daemon);
        assert_string_equal(back.anchor.path, e.anchor.path);
        assert_string_equal(back.cgroup, e.cgroup);
        assert_string_equal(back.unit, "");
        assert_string_equal(back.user_unit, e.user_unit);
        assert_true(evidence_same(&e, &back));
}

/* S3 */
static void unknown_is_absent_and_stays_unknown(void **state) {
        struct evidence e = { .pid = 1, .exe = { true, "/bin/\xff", 1, 2 }, .cgroup = "\xfe" };
        struct evidence back = { 0 };
        AUTO_JSON json_t *value = NULL;

        assert_int_equal(evidence_to_json(&e, &value), 0);
        assert_null(json_object_get(value, "exe"));
        assert_null(json_object_get(value, "cgroup"));
        assert_null(json_object_get(value, "unit"));
        assert_null(json_object_get(value, "anchor_pid"));
        assert_int_equal(evidence_from_json(&back, value), 0);
        assert_false(back.exe.known);
        assert_false(back.anchor_known);
        assert_int_equal(back.start_ticks, 0);
}

static void what_is_no_evidence_is_refused(void **state) {
        static const char *const bad[] = {
                "[]",
                "{}",
                "{\"pid\":0}",
                "{\"pid\":-4}",
                "{\"pid\":\"1\"}",
                "{\"pid\":99999999999}",
                "{\"pid\":1,\"start_ticks\":7}",
                "{\"pid\":1,\"start_ticks\":\"x\"}",
                "{\"pid\":1,\"ours\":1}",
                "{\"pid\":1,\"daemon\":\"no\"}",
                "{\"pid\":1,\"exe\":\"/bin/sh\"}",
                "{\"pid\":1,\"exe\":{\"path\":\"/bin/sh\"}}",
                "{\"pid\":1,\"exe\":{\"path\":\"\",\"dev\":\"1\",\"ino\":\"1\"}}",
                "{\"pid\":1,\"exe\":{\"path\":\"/bin/sh\",\"dev\":1,\"ino\":\"1\"}}",
                "{\"pid\":1,\"cgroup\":\"\"}",
                "{\"pid\":1,\"unit\":7}",
                "{\"pid\":1,\"anchor_start_ticks\":\"7\"}",
                "{\"pid\":1,\"anchor\":{\"path\":\"/bin/sh\",\"dev\":\"1\",\"ino\":\"1\"}}",
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct evidence e = { .pid = 5 };
                AUTO_JSON json_t *value = NULL;

                assert_int_equal(json_parse(bad[i], strlen(bad[i]), 8, &value, NULL), 0);
                assert_int_equal(evidence_from_json(&e, value), -EBADMSG);
                assert_int_equal(e.pid, 5);
        }
}

static void a_text_longer_than_its_field_is_refused(void **state) {
        char text[EVIDENCE_TEXT_MAX + 1] = { 0 };
        struct evidence e = { 0 };

        for (size_t len = EVIDENCE_TEXT_MAX - 1; len <= EVIDENCE_TEXT_MAX; len++) {
                AUTO_JSON json_t *value = NULL;

                for (size_t i = 0; i < len; i++)
                        text[i] = 'x';
                value = json_pack("{si ss}", "pid", 1, "unit", text);
                assert_int_equal(evidence_from_json(&e, value),
                                 len < EVIDENCE_TEXT_MAX ? 0 : -EBADMSG);
        }
}

/* S3 */
static void any_change_between_two_looks_is_seen(void **state) {
        struct evidence a = sample();
        struct evidence b;

        b = a;
        assert_true(evidence_same(&a, &b));
        b.pid++;
        assert_false(evidence_same(&a, &b));
        b = a;
        b.start_ticks--;
        assert_false(evidence_same(&a, &b));
        b = a;
        b.exe.ino--;
        assert_false(evidence_same(&a, &b));
        b = a;
        b.exe.dev++;
        assert_false(evidence_same(&a, &b));
        b = a;
        b.exe.known = false;
        assert_false(evidence_same(&a, &b));
        b = a;
        b.ours = false;
        assert_false(evidence_same(&a, &b));
        b = a;
        b.daemon = true;
        assert_false(evidence_same(&a, &b));
        b = a;
        b.anchor_known = false;
        assert_false(evidence_same(&a, &b));
        b = a;
        b.anchor_pid++;
        assert_false(evidence_same(&a, &b));
        b = a;
        b.anchor_start_ticks++;
        assert_false(evidence_same(&a, &b));
        b = a;
        b.anchor.ino++;
        assert_false(evidence_same(&a, &b));
}

/* S3 */
static void without_a_start_time_nothing_is_the_same(void **state) {
        struct evidence a = sample();

        a.start_ticks = 0;
        assert_false(evidence_same(&a, &a));
        a = sample();
        a.anchor_start_ticks = 0;
        assert_false(evidence_same(&a, &a));
}

static int make_json(void *userdata) {
        struct evidence e = sample();
        AUTO_JSON json_t *value = NULL;

        return evidence_to_json(&e, &value);
}

static void no_allocation_is_taken_for_granted(void **state) {
        assert_true(oom_sweep(make_json, NULL) > 10);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(evidence_crosses_unchanged),
                cmocka_unit_test(unknown_is_absent_and_stays_unknown),
                cmocka_unit_test(what_is_no_evidence_is_refused),
                cmocka_unit_test(a_text_longer_than_its_field_is_refused),
                cmocka_unit_test(any_change_between_two_looks_is_seen),
                cmocka_unit_test(without_a_start_time_nothing_is_the_same),
                cmocka_unit_test(no_allocation_is_taken_for_granted),
        };

        return cmocka_run_group_tests_name("evidence", tests, NULL, NULL);
}
