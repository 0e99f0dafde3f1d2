/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"

#include "test.h"

struct item {
        int n;
        struct list link;
};

/* The items' numbers as one decimal number. */
static int digits(struct list *l) {
        struct item *i;
        int n = 0;

        LIST_FOREACH(i, l, struct item, link)
                n = n * 10 + i->n;
        return n;
}

static void items_keep_their_order(void **state) {
        struct list l = LIST_INIT(l);
        struct item items[] = { { .n = 1 }, { .n = 2 }, { .n = 3 } };

        assert_true(list_empty(&l));
        assert_null(LIST_FIRST(&l, struct item, link));
        list_append(&l, &items[1].link);
        list_append(&l, &items[2].link);
        list_prepend(&l, &items[0].link);
        assert_int_equal(digits(&l), 123);
        assert_ptr_equal(LIST_FIRST(&l, struct item, link), &items[0]);
        list_remove(&items[1].link);
        assert_int_equal(digits(&l), 13);
        list_remove(&items[1].link); /* in no list any more: harmless */
        assert_int_equal(digits(&l), 13);
        list_append(&l, &items[1].link);
        assert_int_equal(digits(&l), 132);
}

static void the_current_item_may_be_removed_on_the_way(void **state) {
        struct list l = LIST_INIT(l);
        struct list other = LIST_INIT(other);
        struct item items[5];
        struct item *i;
        int seen = 0;

        for (int n = 0; n < 5; n++) {
                items[n].n = n + 1;
                list_append(&l, &items[n].link);
        }
        LIST_FOREACH(i, &l, struct item, link) {
                seen++;
                if (i->n % 2 == 0) {
                        list_remove(&i->link);
                        list_append(&other, &i->link);
                }
        }
        assert_int_equal(seen, 5);
        assert_int_equal(digits(&l), 135);
        assert_int_equal(digits(&other), 24);
}

static void a_list_moves_whole(void **state) {
        struct list a = LIST_INIT(a);
        struct list b = LIST_INIT(b);
        struct item items[] = { { .n = 1 }, { .n = 2 }, { .n = 3 }, { .n = 4 } };

        list_splice(&a, &b);
        assert_true(list_empty(&a));
        for (size_t n = 0; n < 4; n++)
                list_append(n < 2 ? &a : &b, &items[n].link);
        list_splice(&a, &b);
        assert_true(list_empty(&b));
        assert_int_equal(digits(&a), 1234);
        list_splice(&b, &a);
        assert_true(list_empty(&a));
        assert_int_equal(digits(&b), 1234);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(items_keep_their_order),
                cmocka_unit_test(the_current_item_may_be_removed_on_the_way),
                cmocka_unit_test(a_list_moves_whole),
        };

        return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
