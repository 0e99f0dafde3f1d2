/* SPDX-License-Identifier: Apache-2.0 */
#include "os/proc.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "test.h"

#define BEHIND " S 42 43 41 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3\n"

static void the_name_may_hold_anything(void **state) {
        static const char *const names[] = { "x", "a b", ")", ") R 1 (", "((", ") S 1 2 3", "" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                struct proc_stat st = { 0 };
                char text[256];
                int n = snprintf(text, sizeof(text), "7 (%s)" BEHIND, names[i]);

                assert_int_equal(proc_stat_parse(text, (size_t)n, &st), 0);
                assert_int_equal(st.ppid, 42);
                assert_int_equal(st.session, 41);
                assert_int_equal(st.state, 'S');
                assert_int_equal(st.start_ticks, 987654);
        }
}

static void a_cut_line_is_refused(void **state) {
        static const char text[] = "7 (x)" BEHIND;
        /* Behind the start time nothing is missed. */
        size_t end = (size_t)(strstr(text, "987654 ") - text) + strlen("987654");

        for (size_t len = 0; len <= end; len++) {
                struct proc_stat st = { .ppid = -1 };

                assert_int_equal(proc_stat_parse(text, len, &st), -EBADMSG);
                assert_int_equal(st.ppid, -1);
        }
}

static void nonsense_is_refused(void **state) {
        static const char *const bad[] = {
                "7 (x) SS 42 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1",
                "7 (x) S -42 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1",
                "7 (x) S 42 1 -1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1",
                "7 (x) S 42 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98x654 1",
                "7 (x) S 42 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 99999999999999999999999 1",
                "7 x S 42 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1",
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct proc_stat st;

                assert_int_equal(proc_stat_parse(bad[i], strlen(bad[i]), &st), -EBADMSG);
        }
}

static void a_nul_in_a_field_hides_nothing(void **state) {
        static const char text[] = "7 (x)" BEHIND;
        static const char *const fields[] = { "S ", "42 ", "41 ", "987654 " };

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                size_t n = strlen(fields[i]) - 1;
                size_t at = (size_t)(strstr(text, fields[i]) - text);
                struct proc_stat st;

                for (size_t j = 0; j < n; j++) {
                        char bad[sizeof(text)];

                        memcpy(bad, text, sizeof(text));
                        bad[at + j] = '\0';
                        assert_int_equal(proc_stat_parse(bad, sizeof(text) - 1, &st), -EBADMSG);
                }
        }
}

static void our_own_start_lies_in_the_past_and_stays(void **state) {
        AUTO_CLOSE int dir = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct proc_stat st;
        uint64_t a = 0;
        uint64_t b = 0;
        int ppid = 0;

        assert_int_equal(proc_start_ticks(getpid(), &a), 0);
        assert_int_equal(proc_start_ticks(getpid(), &b), 0);
        assert_true(a > 0 && a == b);
        assert_int_equal(proc_ppid(getpid(), &ppid), 0);
        assert_int_equal(ppid, getppid());
        assert_int_equal(proc_stat_at(dir, &st), 0);
        assert_true(st.start_ticks == a);
        assert_true(proc_boot_usec_from_ticks(a) <= clock_boot_usec());
        assert_true(proc_boot_usec_from_ticks(a) + 3600 * USEC_PER_SEC > clock_boot_usec());
}

static void a_process_that_is_gone_is_gone(void **state) {
        uint64_t ticks = 5;
        pid_t pid = fork();
        int ppid = 5;

        if (pid == 0)
                _exit(0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(proc_start_ticks(pid, &ticks), -ESRCH);
        assert_int_equal(proc_ppid(pid, &ppid), -ESRCH);
        assert_int_equal(proc_ppid(0, &ppid), -ESRCH);
        assert_int_equal(proc_ppid(-1, &ppid), -ESRCH);
        assert_int_equal(ticks, 5);
        assert_int_equal(ppid, 5);
}

static void ticks_become_microseconds(void **state) {
        uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);

        assert_int_equal(proc_boot_usec_from_ticks(0), 0);
        assert_int_equal(proc_boot_usec_from_ticks(hz), USEC_PER_SEC);
        assert_int_equal(proc_boot_usec_from_ticks(hz * 3 / 2), USEC_PER_SEC * 3 / 2);
        assert_true(proc_boot_usec_from_ticks(UINT64_MAX) > UINT64_MAX / 200);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_name_may_hold_anything),
                cmocka_unit_test(a_cut_line_is_refused),
                cmocka_unit_test(nonsense_is_refused),
                cmocka_unit_test(a_nul_in_a_field_hides_nothing),
                cmocka_unit_test(our_own_start_lies_in_the_past_and_stays),
                cmocka_unit_test(a_process_that_is_gone_is_gone),
                cmocka_unit_test(ticks_become_microseconds),
        };

        return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
