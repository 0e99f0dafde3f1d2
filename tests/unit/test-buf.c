/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "oom.h"
#include "test.h"

static bool is_zero(const char *p, size_t len) {
        for (size_t i = 0; i < len; i++)
                if (p[i] != 0)
                        return false;
        return true;
}

static void what_is_appended_is_there_and_ends_with_nul(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;

        for (int i = 0; i < 1000; i++) {
                assert_int_equal(buf_append(&b, "abc", 3), 0);
                assert_int_equal(b.len, 3 * (i + 1));
                assert_int_equal(b.data[b.len], '\0');
                assert_true(b.cap > b.len);
        }
        assert_int_equal(buf_append(&b, NULL, 0), 0);
        assert_int_equal(buf_append_str(&b, "end"), 0);
        assert_memory_equal(b.data, "abcabc", 6);
        assert_string_equal(b.data + 3000, "end");
        buf_clear(&b);
        assert_int_equal(buf_printf(&b, "%s=%d", "x", 7), 0);
        assert_int_equal(buf_printf(&b, "%s", ""), 0);
        assert_string_equal(b.data, "x=7");
}

/* S9 */
static void the_maximum_holds_to_the_byte(void **state) {
        AUTO_BUF struct buf b;

        buf_init(&b, 10);
        assert_int_equal(buf_append(&b, "0123456789A", 11), -EMSGSIZE);
        assert_int_equal(b.len, 0);
        assert_int_equal(buf_append(&b, "0123456789", 10), 0);
        assert_int_equal(buf_append(&b, "A", 1), -EMSGSIZE);
        assert_int_equal(buf_printf(&b, "%d", 1), -EMSGSIZE);
        assert_int_equal(buf_reserve(&b, SIZE_MAX), -EMSGSIZE);
        assert_string_equal(b.data, "0123456789");
        buf_consume(&b, 4);
        assert_int_equal(buf_append(&b, "ABCD", 4), 0);
        assert_string_equal(b.data, "456789ABCD");
        buf_done(&b);
        assert_int_equal(b.max, 10);
        b = BUF_INIT;
        assert_int_equal(buf_reserve(&b, BUF_MAX_DEFAULT + 1), -EMSGSIZE);
}

/* S1 */
static void what_is_dropped_is_wiped(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(buf_append_str(&b, "secret-and-rest"), 0);
        buf_consume(&b, 7);
        assert_string_equal(b.data, "and-rest");
        assert_true(is_zero(b.data + b.len, b.cap - b.len));
        buf_truncate(&b, 3);
        assert_string_equal(b.data, "and");
        assert_true(is_zero(b.data + b.len, b.cap - b.len));
        buf_truncate(&b, 99); /* never longer */
        assert_int_equal(b.len, 3);
        buf_consume(&b, 99);
        assert_int_equal(b.len, 0);
        assert_true(is_zero(b.data, b.cap));
        assert_int_equal(buf_append_str(&b, "secret"), 0);
        buf_clear(&b);
        assert_true(is_zero(b.data, b.cap));
}

static void ownership_moves_and_leaves_nothing(void **state) {
        AUTO_BUF struct buf a = BUF_INIT;
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_WIPE_STR char *s = NULL;

        assert_int_equal(buf_append_str(&a, "one"), 0);
        assert_int_equal(buf_append_str(&b, "two"), 0);
        buf_move(&a, &b);
        assert_string_equal(a.data, "two");
        assert_null(b.data);
        assert_int_equal(b.len, 0);
        s = buf_steal(&a);
        assert_string_equal(s, "two");
        assert_null(a.data);
        s = str_wipe_free(s);
        s = buf_steal(&a); /* of nothing: an empty string */
        assert_string_equal(s, "");
        assert_null(str_wipe_free(NULL));
        mem_wipe(NULL, 5);
}

static int build(void *userdata) {
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_WIPE_STR char *s = NULL;
        int r = 0;

        for (int i = 0; r == 0 && i < 20; i++)
                r = buf_printf(&b, "%030d", i);
        if (r == 0) {
                s = buf_steal(&b);
                r = s && strlen(s) == 600 ? 0 : -ENOMEM;
        }
        return r;
}

static void no_allocation_is_taken_for_granted(void **state) {
        assert_true(oom_sweep(build, NULL) >= 4);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_appended_is_there_and_ends_with_nul),
                cmocka_unit_test(the_maximum_holds_to_the_byte),
                cmocka_unit_test(what_is_dropped_is_wiped),
                cmocka_unit_test(ownership_moves_and_leaves_nothing),
                cmocka_unit_test(no_allocation_is_taken_for_granted),
        };

        return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
