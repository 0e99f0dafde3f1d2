/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/limits.h"
#include "store-rig.h"

/* --- the header --- */

static void a_new_store_is_created_and_opens_again(void **state) {
        struct rig *rig = *state;
        struct store_slot slot;
        char id[33];

        assert_null(store_id(rig->store));
        assert_int_equal(store_n_slots(rig->store), 0);
        assert_int_equal(create(rig), -EINVAL); /* it has not been looked for yet */
        assert_int_equal(load(rig), -ENOENT);
        assert_int_equal(store_unlock(rig->store, "1", rig->wrapping, NULL), -ENODATA);
        assert_int_equal(create(rig), 0);
        assert_true(store_is_unlocked(rig->store));
        assert_int_equal(create(rig), -EEXIST);
        assert_int_equal(load(rig), -EALREADY);
        assert_int_equal(strlen(store_id(rig->store)), 32);
        memcpy(id, store_id(rig->store), sizeof(id));
        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, NULL), 0);

        restart(rig);
        assert_string_equal(store_id(rig->store), id);
        assert_int_equal(store_n_slots(rig->store), 1);
        assert_true(store_slot_at(rig->store, 0, &slot));
        assert_string_equal(slot.id, "1");
        assert_string_equal(slot.type, SLOT_FILE);
        assert_false(store_slot_at(rig->store, 1, &slot));
        assert_int_equal(store_unlock(rig->store, "1", rig->wrapping, NULL), -EALREADY);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), 1);
}

static void a_wrong_key_does_not_open_it(void **state) {
        struct rig *rig = *state;
        AUTO_SECRET struct secret *wrong = secret_new_random(SECRET_KEY_BYTES);
        struct error err = ERROR_INIT;

        store_lock(rig->store);
        assert_int_equal(store_unlock(rig->store, "1", wrong, &err), -EKEYREJECTED);
        assert_int_equal(err.code, MCPB_WRONG_PASSPHRASE);
        assert_int_equal(store_unlock(rig->store, "2", rig->wrapping, &err), -ENOENT);
        assert_false(store_is_unlocked(rig->store));
        assert_int_equal(store_unlock(rig->store, "1", rig->wrapping, &err), 0);
}

static void a_changed_header_does_not_open_it(void **state) {
        struct rig *rig = *state;
        struct buf *file = memory_file(rig->memory, STORE_HEADER_NAME);
        char *at = memmem(file->data, file->len, "\"next_slot\":2", 13);
        struct error err = ERROR_INIT;

        assert_non_null(at);
        at[12] = '9'; /* still a header, and the key is still the right one */
        store_lock(rig->store);
        assert_int_equal(load(rig), 0);
        assert_int_equal(store_unlock(rig->store, "1", rig->wrapping, &err), -EBADMSG);
        assert_int_equal(err.code, MCPB_STORE_CORRUPT);
        assert_false(store_is_unlocked(rig->store));
        at[0] = 'x';
        assert_int_equal(load(rig), -EBADMSG);
}

/* S7 */
static void a_store_whose_creation_failed_is_looked_for_again(void **state) {
        struct rig *rig = *state;
        struct store_slot_new slot = { .type = SLOT_FILE, .wrapping_key = rig->wrapping };

        for (int applied = 0; applied < 2; applied++) {
                struct told t = { 0 };

                assert_int_equal(load(rig), -ENOENT);
                assert_int_equal(store_create(rig->store, &slot, 1, on_ready, &t), 0);
                assert_int_equal(store_create(rig->store, &slot, 1, on_ready, &t), -EBUSY);
                assert_int_equal(store_pending(rig->store), 1);
                memory_fail(rig->memory, 0, -EIO, applied == 1);
                assert_int_equal(t.r, -EIO);
                assert_false(store_is_unlocked(rig->store));
                assert_int_equal(create(rig), -EINVAL);
        }
        assert_int_equal(load(rig), 0);
        assert_int_equal(store_unlock(rig->store, "1", rig->wrapping, NULL), 0);
}

static void a_backend_that_refuses_is_told_at_once(void **state) {
        struct rig *rig = *state;

        assert_int_equal(load(rig), -ENOENT);
        rig->memory->refuse = -EPIPE;
        assert_int_equal(load(rig), -EPIPE);
        assert_int_equal(create(rig), -EPIPE);
        rig->memory->refuse = 0;
        assert_int_equal(create(rig), 0);
        rig->memory->refuse = -EPIPE;
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), -EPIPE);
        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, NULL), -EPIPE);
        assert_int_equal(drop(rig, STORE_GRANT, KEY), -EPIPE);
        assert_int_equal(store_each(rig->store, STORE_GRANT, NULL, on_ready, NULL), -EPIPE);
        rig->memory->refuse = 0;
        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, NULL), 0);
}

static int change_slots(struct rig *rig, const struct secret *add, const char *remove) {
        struct store_slot_new slot = { .type = SLOT_FILE, .wrapping_key = add };
        struct told t = { 0 };

        return finish(rig,
                      add ? store_slot_add(rig->store, &slot, on_ready, &t)
                          : store_slot_remove(rig->store, remove, on_ready, &t),
                      &t);
}

static void every_slot_opens_it_and_the_last_one_stays(void **state) {
        struct rig *rig = *state;
        AUTO_SECRET struct secret *second = secret_new_random(SECRET_KEY_BYTES);
        struct store_slot slot;

        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, NULL), 0);
        assert_int_equal(change_slots(rig, second, NULL), 0);
        assert_int_equal(store_n_slots(rig->store), 2);
        restart(rig);
        store_lock(rig->store);
        assert_int_equal(store_unlock(rig->store, "2", second, NULL), 0);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), 1);
        assert_int_equal(change_slots(rig, NULL, "7"), -ENOENT);
        assert_int_equal(change_slots(rig, NULL, "1"), 0);
        assert_int_equal(change_slots(rig, NULL, "2"), -EPERM);
        assert_false(store_slot_find(rig->store, "1", &slot));
        assert_true(store_slot_find(rig->store, "2", &slot));
        store_lock(rig->store);
        assert_int_equal(change_slots(rig, second, NULL), -ENOKEY);
        assert_int_equal(store_unlock(rig->store, "1", rig->wrapping, NULL), -ENOENT);
        assert_int_equal(store_unlock(rig->store, "2", second, NULL), 0);
        assert_int_equal(change_slots(rig, rig->wrapping, NULL), 0);
        assert_true(store_slot_find(rig->store, "3", &slot));
}

static void a_slot_change_that_failed_changes_nothing(void **state) {
        struct rig *rig = *state;
        AUTO_SECRET struct secret *second = secret_new_random(SECRET_KEY_BYTES);
        struct store_slot_new slot = { .type = SLOT_FILE, .wrapping_key = second };
        struct told t = { 0 };

        assert_int_equal(store_slot_add(rig->store, &slot, on_ready, &t), 0);
        assert_int_equal(store_slot_remove(rig->store, "1", on_ready, &t), -EBUSY);
        memory_fail(rig->memory, 0, -ENOSPC, false);
        assert_int_equal(t.n, 1);
        assert_int_equal(t.r, -ENOSPC);
        assert_int_equal(store_n_slots(rig->store), 1);
        restart(rig);
}

/* --- one record --- */

static void a_put_goes_through_only_on_what_it_is_based_on(void **state) {
        struct rig *rig = *state;
        uint64_t g1 = 0;
        uint64_t g2 = 0;
        uint64_t g3 = 0;

        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), -ENOENT);
        assert_int_equal(put(rig, STORE_GRANT, KEY, 1, 1, NULL), -ESTALE);
        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, &g1), 0);
        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 2, NULL), -ESTALE);
        assert_int_equal(put(rig, STORE_GRANT, KEY, g1 + 1, 2, NULL), -ESTALE);
        assert_int_equal(put(rig, STORE_GRANT, KEY, g1, 2, &g2), 0);
        assert_true(g2 > g1);
        assert_int_equal(put(rig, STORE_GRANT, KEY, g1, 3, NULL), -ESTALE);
        restart(rig);
        assert_int_equal(put(rig, STORE_GRANT, KEY, g1, 3, NULL), -ESTALE);
        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 3, NULL), -ESTALE);
        assert_int_equal(get(rig, STORE_GRANT, KEY, &g3), 2);
        assert_int_equal(g3, g2);
        assert_int_equal(drop(rig, STORE_GRANT, KEY), 0);
        assert_int_equal(drop(rig, STORE_GRANT, KEY), -ENOENT);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), -ENOENT);
        assert_int_equal(put(rig, STORE_GRANT, KEY, g3, 4, NULL), -ESTALE);
        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 4, &g3), 0);
        assert_true(g3 > g2); /* also across a removal */
}

static void a_known_record_is_compared_without_reading_it(void **state) {
        struct rig *rig = *state;
        uint64_t g = 0;

        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, &g), 0);
        rig->memory->n_asked[MEMORY_READ] = 0;
        for (int i = 0; i < 10; i++)
                assert_int_equal(put(rig, STORE_GRANT, KEY, g, i, &g), 0);
        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, NULL), -ESTALE);
        assert_int_equal(rig->memory->n_asked[MEMORY_READ], 0);
}

static void every_member_of_a_value_is_kept(void **state) {
        struct rig *rig = *state;
        AUTO_JSON json_t *value = value_of(5);
        AUTO_TOLD struct told t = { 0 };

        assert_int_equal(put(rig, STORE_LOGIN, KEY, 0, 5, NULL), 0);
        restart(rig);
        assert_int_equal(finish(rig, store_get(rig->store, STORE_LOGIN, KEY, on_done, &t), &t), 0);
        assert_true(json_equal(t.value, value));
}

static void a_value_may_change_as_soon_as_put_returned(void **state) {
        struct rig *rig = *state;
        AUTO_JSON json_t *value = value_of(1);
        struct store_put p = { .kind = STORE_GRANT, .key = KEY, .value = value };
        AUTO_TOLD struct told t = { 0 };

        assert_int_equal(store_put(rig->store, &p, on_done, &t), 0);
        assert_int_equal(json_object_set_new(value, "n", json_integer(99)), 0);
        memory_run(rig->memory);
        assert_int_equal(json_get_int(t.value, "n", 0), 1); /* told what was written */
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), 1);
}

static void kinds_do_not_share_keys(void **state) {
        struct rig *rig = *state;

        for (int kind = 0; kind < STORE_KIND_COUNT; kind++)
                assert_int_equal(put(rig, (enum store_kind)kind, KEY, 0, kind, NULL), 0);
        for (int kind = 0; kind < STORE_KIND_COUNT; kind++)
                assert_int_equal(get(rig, (enum store_kind)kind, KEY, NULL), kind);
}

/* S9 */
static void bad_arguments_are_refused_at_once(void **state) {
        struct rig *rig = *state;
        AUTO_JSON json_t *array = json_array();
        struct store_put p = { .kind = STORE_GRANT, .key = KEY, .value = array };
        char key[LIMIT_STORE_KEY_BYTES + 2];

        for (size_t i = 0; i < sizeof(key) - 1; i++)
                key[i] = 'k';
        key[sizeof(key) - 1] = '\0';
        assert_int_equal(get(rig, STORE_GRANT, "", NULL), -EINVAL);
        assert_int_equal(get(rig, STORE_GRANT, key, NULL), -EINVAL);
        assert_int_equal(get(rig, STORE_GRANT, key + 1, NULL), -ENOENT);
        assert_int_equal(get(rig, STORE_GRANT, "\xff", NULL), -EINVAL);
        assert_int_equal(get(rig, STORE_KIND_COUNT, KEY, NULL), -EINVAL);
        assert_int_equal(store_put(rig->store, &p, on_done, NULL), -EINVAL);
        assert_int_equal(store_each(rig->store, STORE_KIND_COUNT + 1, NULL, NULL, NULL), -EINVAL);
        assert_int_equal(store_pending(rig->store), 0);
}

/* S1 */
static void the_files_tell_nothing(void **state) {
        static const char *const words[] = { TOKEN, "mcp.example", "as.example", "grant",
                                             "refresh" };
        struct rig *rig = *state;

        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, NULL), 0);
        for (size_t i = 0; memory_name_at(rig->memory, i); i++) {
                const char *name = memory_name_at(rig->memory, i);
                struct buf *file = memory_file(rig->memory, name);

                for (size_t w = 0; w < ARRAY_SIZE(words); w++)
                        assert_null(memmem(file->data, file->len, words[w], strlen(words[w])));
        }
        assert_int_equal(strlen(only_file(rig)), 64);
        assert_int_equal((memory_file(rig->memory, only_file(rig))->len - 64) % 256, 0);
}

/* --- several at a time --- */

static void operations_on_one_record_are_done_in_order(void **state) {
        struct rig *rig = *state;
        AUTO_TOLD struct told t1 = { 0 };
        AUTO_TOLD struct told t2 = { 0 };
        AUTO_TOLD struct told t3 = { 0 };
        AUTO_TOLD struct told t4 = { 0 };

        assert_int_equal(begin_put(rig, STORE_GRANT, KEY, 0, 1, &t1), 0);
        assert_int_equal(begin_put(rig, STORE_GRANT, KEY, 0, 2, &t2), 0);
        assert_int_equal(store_get(rig->store, STORE_GRANT, KEY, on_done, &t3), 0);
        assert_int_equal(store_remove(rig->store, STORE_GRANT, KEY, on_done, &t4), 0);
        assert_int_equal(store_pending(rig->store), 4);
        assert_int_equal(rig->memory->n_requests, 1);
        assert_int_equal(n_told, 2); /* load and create */
        memory_run(rig->memory);
        assert_int_equal(t1.r, 0);
        assert_int_equal(t2.r, -ESTALE);
        assert_int_equal(t2.code, MCPB_CONFLICT);
        assert_int_equal(t3.r, 0);
        assert_int_equal(json_get_int(t3.value, "n", 0), 1);
        assert_int_equal(t4.r, 0);
        assert_true(t1.order < t2.order && t2.order < t3.order && t3.order < t4.order);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), -ENOENT);
}

struct chain {
        struct rig *rig;
        int n;
        uint64_t generation;
};

static void on_chain_put(int r, const struct store_item *item, const struct error *err,
                         void *userdata) {
        struct chain *c = userdata;
        AUTO_JSON json_t *value = value_of(c->n);
        struct store_put p = { .kind = STORE_GRANT, .key = KEY, .value = value };

        assert_int_equal(r, 0);
        c->generation = item->generation;
        if (++c->n > 5)
                return;
        p.expect = item->generation;
        assert_int_equal(store_put(c->rig->store, &p, on_chain_put, c), 0);
}

static void a_callback_may_put_the_next(void **state) {
        struct rig *rig = *state;
        struct chain c = { .rig = rig };
        AUTO_JSON json_t *value = value_of(0);
        struct store_put p = { .kind = STORE_GRANT, .key = KEY, .value = value };
        uint64_t g = 0;

        assert_int_equal(store_put(rig->store, &p, on_chain_put, &c), 0);
        memory_run(rig->memory);
        assert_int_equal(c.n, 6);
        assert_int_equal(get(rig, STORE_GRANT, KEY, &g), 4);
        assert_int_equal(g, c.generation);
}

/* Any order of answers: each record ends with the last put that went through. */
static void records_do_not_disturb_each_other(void **state) {
        struct rig *rig = *state;
        struct told t[40] = { { 0 } };
        unsigned seed = 1;

        for (int round = 0; round < 50; round++) {
                for (int i = 0; i < 40; i++) {
                        char key[32];
                        uint64_t expect = round == 0 ? 0 : t[i].generation;

                        (void)snprintf(key, sizeof(key), "record %d", i);
                        t[i].n = 0;
                        assert_int_equal(
                                begin_put(rig, STORE_GRANT, key, expect, round * 100 + i, &t[i]),
                                0);
                }
                while (rig->memory->n_requests > 0) {
                        seed = seed * 1103515245 + 12345;
                        memory_answer(rig->memory, (seed >> 8) % rig->memory->n_requests);
                }
                for (int i = 0; i < 40; i++)
                        assert_true(t[i].n == 1 && t[i].r == 0);
        }
        restart(rig);
        for (int i = 0; i < 40; i++) {
                char key[32];

                (void)snprintf(key, sizeof(key), "record %d", i);
                assert_int_equal(get(rig, STORE_GRANT, key, NULL), 4900 + i);
                told_done(&t[i]);
        }
}

/* S9 */
static void a_long_queue_that_fails_does_not_eat_the_stack(void **state) {
        struct rig *rig = *state;
        struct told t = { 0 };
        size_t n = 0;
        int r;

        while ((r = store_get(rig->store, STORE_GRANT, KEY, on_done, &t)) == 0)
                n++;
        assert_int_equal(r, -EBUSY);
        assert_int_equal(n, LIMIT_STORE_OPS);
        store_lock(rig->store);
        memory_answer(rig->memory, 0);
        assert_int_equal(t.n, LIMIT_STORE_OPS);
        assert_int_equal(t.r, -ENOKEY);
        assert_int_equal(store_pending(rig->store), 0);
}

static int start(void **state) {
        return crypto_init(NULL);
}

static int stop(void **state) {
        crypto_done();
        return 0;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define T_EMPTY(fn) cmocka_unit_test_setup_teardown(fn, setup_empty, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                T_EMPTY(a_new_store_is_created_and_opens_again),
                T(a_wrong_key_does_not_open_it),
                T(a_changed_header_does_not_open_it),
                T_EMPTY(a_store_whose_creation_failed_is_looked_for_again),
                T_EMPTY(a_backend_that_refuses_is_told_at_once),
                T(every_slot_opens_it_and_the_last_one_stays),
                T(a_slot_change_that_failed_changes_nothing),
                T(a_put_goes_through_only_on_what_it_is_based_on),
                T(a_known_record_is_compared_without_reading_it),
                T(every_member_of_a_value_is_kept),
                T(a_value_may_change_as_soon_as_put_returned),
                T(kinds_do_not_share_keys),
                T(bad_arguments_are_refused_at_once),
                T(the_files_tell_nothing),
                T(operations_on_one_record_are_done_in_order),
                T(a_callback_may_put_the_next),
                T(records_do_not_disturb_each_other),
                T(a_long_queue_that_fails_does_not_eat_the_stack),
        };

        return cmocka_run_group_tests_name("store", tests, start, stop);
}
