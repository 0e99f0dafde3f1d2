/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>

#include "base/limits.h"
#include "crypto/init.h"
#include "memory-backend.h"
#include "store/slot.h"
#include "store/store.h"
#include "test.h"

#define KEY "https://as.example|client|me|https://mcp.example/"
#define TOKEN "mcp_rt_8f2kJ"

/* What was told to one callback. */
struct told {
        int n;
        int r;
        enum store_kind kind;
        uint64_t generation;
        json_t *value;
        enum error_code code;
        int order; /* the how-manieth callback of all */
};

struct rig {
        struct memory *memory;
        struct store *store;
        struct secret *wrapping;
};

static int n_told; /* all callbacks of a test */

static void on_done(int r, const struct store_item *item, const struct error *err, void *userdata) {
        struct told *t = userdata;

        t->n++;
        t->r = r;
        t->order = ++n_told;
        t->code = err ? err->code : MCPB_NO_ERROR;
        assert_true((r < 0) == (err != NULL));
        if (item) {
                assert_int_equal(r, 0);
                t->kind = item->kind;
                t->generation = item->generation;
                json_decref(t->value);
                t->value = json_deep_copy(item->value);
        }
}

static void on_ready(int r, const struct error *err, void *userdata) {
        struct told *t = userdata;

        assert_true((r < 0) == (err != NULL));
        t->n++;
        t->r = r;
        t->order = ++n_told;
        t->code = err ? err->code : MCPB_NO_ERROR;
}

static void told_done(struct told *t) {
        json_decref(t->value);
        *t = (struct told){ 0 };
}
#define AUTO_TOLD __attribute__((cleanup(told_done)))

/* Runs the backend and gives what the callback got: it came once, and not before. */
static int finish(struct rig *rig, int begun, const struct told *t) {
        if (begun < 0) {
                assert_int_equal(t->n, 0);
                return begun;
        }
        assert_int_equal(t->n, 0);
        memory_run(rig->memory);
        assert_int_equal(t->n, 1);
        assert_int_equal(store_pending(rig->store), 0);
        return t->r;
}

static json_t *value_of(int n) {
        return json_pack("{s:s, s:i, s:{s:[i,n]}}", "refresh", TOKEN, "n", n, "unknown", "x", 1);
}

static int begin_put(struct rig *rig, enum store_kind kind, const char *key, uint64_t expect, int n,
                     struct told *t) {
        AUTO_JSON json_t *value = value_of(n);
        struct store_put put = { .kind = kind, .key = key, .expect = expect, .value = value };

        return store_put(rig->store, &put, on_done, t);
}

static int put(struct rig *rig, enum store_kind kind, const char *key, uint64_t expect, int n,
               uint64_t *ret_generation) {
        AUTO_TOLD struct told t = { 0 };
        int r = finish(rig, begin_put(rig, kind, key, expect, n, &t), &t);

        if (ret_generation)
                *ret_generation = t.generation;
        return r;
}

/* The `n` of the record, or -errno. */
static int get(struct rig *rig, enum store_kind kind, const char *key, uint64_t *ret_generation) {
        AUTO_TOLD struct told t = { 0 };
        int r = finish(rig, store_get(rig->store, kind, key, on_done, &t), &t);

        if (r < 0)
                return r;
        assert_int_equal(t.kind, kind);
        if (ret_generation)
                *ret_generation = t.generation;
        return (int)json_get_int(t.value, "n", -1);
}

static int drop(struct rig *rig, enum store_kind kind, const char *key) {
        AUTO_TOLD struct told t = { 0 };

        return finish(rig, store_remove(rig->store, kind, key, on_done, &t), &t);
}

static int load(struct rig *rig) {
        struct told t = { 0 };

        return finish(rig, store_load(rig->store, on_ready, &t), &t);
}

static int create(struct rig *rig) {
        struct store_slot_new slot = { .type = SLOT_FILE, .wrapping_key = rig->wrapping };
        struct told t = { 0 };

        return finish(rig, store_create(rig->store, &slot, 1, on_ready, &t), &t);
}

/* As after a restart: a new store on the same files. */
static void restart(struct rig *rig) {
        rig->store = store_free(rig->store);
        memory_run(rig->memory);
        rig->store = store_new(&memory_ops, rig->memory);
        assert_int_equal(load(rig), 0);
        assert_int_equal(store_unlock(rig->store, "1", rig->wrapping, NULL), 0);
}

static int setup_empty(void **state) {
        struct rig *rig = calloc(1, sizeof(*rig));

        assert_non_null(rig);
        n_told = 0;
        rig->memory = memory_new();
        rig->store = store_new(&memory_ops, rig->memory);
        rig->wrapping = secret_new_random(SECRET_KEY_BYTES);
        *state = rig;
        return rig->store && rig->wrapping ? 0 : -1;
}

static int setup(void **state) {
        int r = setup_empty(state);

        if (r == 0 && (load(*state) != -ENOENT || create(*state) != 0))
                return -1;
        return r;
}

static int teardown(void **state) {
        struct rig *rig = *state;

        rig->store = store_free(rig->store);
        memory_free(rig->memory);
        rig->wrapping = secret_free(rig->wrapping);
        free(rig);
        return secret_slab_used() == 0 ? 0 : -1;
}

/* The file of the only record. */
static const char *only_file(struct rig *rig) {
        const char *found = NULL;

        for (size_t i = 0; memory_name_at(rig->memory, i); i++) {
                const char *name = memory_name_at(rig->memory, i);

                if (streq(name, STORE_HEADER_NAME))
                        continue;
                assert_null(found);
                found = name;
        }
        assert_non_null(found);
        return found;
}

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

/* --- failures --- */

/* S7 */
static void after_a_failed_write_the_truth_is_read(void **state) {
        struct rig *rig = *state;
        uint64_t g1 = 0;
        uint64_t g2 = 0;

        for (int applied = 0; applied < 2; applied++) {
                const char *key = applied ? "a" : "b";
                AUTO_TOLD struct told t = { 0 };

                assert_int_equal(put(rig, STORE_GRANT, key, 0, 1, &g1), 0);
                assert_int_equal(begin_put(rig, STORE_GRANT, key, g1, 2, &t), 0);
                memory_fail(rig->memory, 0, -ENOSPC, applied == 1);
                assert_int_equal(t.r, -ENOSPC);
                assert_int_equal(t.code, MCPB_STORE_UNAVAILABLE);
                assert_int_equal(put(rig, STORE_GRANT, key, g1, 3, &g2), applied ? -ESTALE : 0);
                assert_int_equal(get(rig, STORE_GRANT, key, &g2), applied ? 2 : 3);
                /* The number of the failed write is not given to another. */
                assert_int_equal(g2, applied ? g1 + 1 : g1 + 2);
        }
}

/* S7 */
static void after_a_failed_removal_the_truth_is_read(void **state) {
        struct rig *rig = *state;

        for (int applied = 0; applied < 2; applied++) {
                const char *key = applied ? "a" : "b";
                AUTO_TOLD struct told t = { 0 };

                assert_int_equal(put(rig, STORE_GRANT, key, 0, 1, NULL), 0);
                assert_int_equal(store_remove(rig->store, STORE_GRANT, key, on_done, &t), 0);
                memory_fail(rig->memory, 0, -EIO, applied == 1);
                assert_int_equal(t.r, -EIO);
                assert_int_equal(get(rig, STORE_GRANT, key, NULL), applied ? -ENOENT : 1);
                assert_int_equal(drop(rig, STORE_GRANT, key), applied ? -ENOENT : 0);
        }
}

static void a_failed_read_fails_its_own_operation_only(void **state) {
        struct rig *rig = *state;
        AUTO_TOLD struct told t1 = { 0 };
        AUTO_TOLD struct told t2 = { 0 };

        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, NULL), 0);
        assert_int_equal(store_get(rig->store, STORE_GRANT, KEY, on_done, &t1), 0);
        assert_int_equal(store_get(rig->store, STORE_GRANT, KEY, on_done, &t2), 0);
        memory_fail(rig->memory, 0, -EIO, false);
        assert_int_equal(t1.r, -EIO);
        memory_run(rig->memory);
        assert_int_equal(t2.r, 0);
        restart(rig);
        assert_int_equal(begin_put(rig, STORE_GRANT, KEY, 0, 1, &t1), 0);
        t1.n = 0;
        memory_fail(rig->memory, 0, -EIO, false); /* the look before the put */
        assert_int_equal(t1.r, -EIO);
        assert_int_equal(t1.n, 1);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), 1);
}

/* S7 */
static void a_damaged_record_is_told_and_not_written_over(void **state) {
        struct rig *rig = *state;
        struct buf *file;
        const char *name;

        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, NULL), 0);
        name = only_file(rig);
        file = memory_file(rig->memory, name);
        for (size_t i = 0; i < file->len; i += 7) {
                AUTO_TOLD struct told t = { 0 };

                file->data[i] = (char)(file->data[i] ^ 0x20);
                assert_int_equal(
                        finish(rig, store_get(rig->store, STORE_GRANT, KEY, on_done, &t), &t),
                        -EBADMSG);
                assert_int_equal(t.code, MCPB_STORE_CORRUPT);
                file->data[i] = (char)(file->data[i] ^ 0x20);
        }
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), 1);
        file->data[40] = (char)(file->data[40] ^ 1);
        restart(rig);
        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 2, NULL), -EBADMSG);
        assert_int_equal(put(rig, STORE_GRANT, KEY, 1, 2, NULL), -EBADMSG);
        assert_int_equal(drop(rig, STORE_GRANT, KEY), 0);
        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 2, NULL), 0);
}

static void swapped_files_are_noticed(void **state) {
        struct rig *rig = *state;
        AUTO_BUF struct buf a = BUF_INIT;
        char name[65] = "";
        const struct buf *b;

        assert_int_equal(put(rig, STORE_GRANT, "a", 0, 1, NULL), 0);
        memcpy(name, only_file(rig), sizeof(name));
        assert_int_equal(buf_append(&a, memory_file(rig->memory, name)->data,
                                    memory_file(rig->memory, name)->len),
                         0);
        memory_remove_file(rig->memory, name);
        assert_int_equal(put(rig, STORE_GRANT, "b", 0, 2, NULL), 0);
        b = memory_file(rig->memory, only_file(rig));
        memory_put_file(rig->memory, name, b->data, b->len);
        restart(rig);
        assert_int_equal(get(rig, STORE_GRANT, "a", NULL), -EBADMSG);
        assert_int_equal(get(rig, STORE_GRANT, "b", NULL), 2);
        memory_put_file(rig->memory, name, a.data, a.len);
        assert_int_equal(get(rig, STORE_GRANT, "a", NULL), 1);
}

static void an_old_copy_of_a_record_is_noticed_while_we_run(void **state) {
        struct rig *rig = *state;
        AUTO_BUF struct buf old = BUF_INIT;
        char name[65];
        uint64_t g = 0;

        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, &g), 0);
        memcpy(name, only_file(rig), sizeof(name));
        assert_int_equal(buf_append(&old, memory_file(rig->memory, name)->data,
                                    memory_file(rig->memory, name)->len),
                         0);
        assert_int_equal(put(rig, STORE_GRANT, KEY, g, 2, &g), 0);
        memory_put_file(rig->memory, name, old.data, old.len);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), -EBADMSG);
        /* What the store knows is what counts: the next put writes over it. */
        assert_int_equal(put(rig, STORE_GRANT, KEY, g, 3, &g), 0);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), 3);
        /* doc/STORE.md says so: a new process cannot know. */
        memory_put_file(rig->memory, name, old.data, old.len);
        restart(rig);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), 1);
}

static int n_each;
static int n_each_bad;

static void on_each(int r, const struct store_item *item, const char *file, const struct error *err,
                    void *userdata) {
        assert_int_equal(strlen(file), 64);
        assert_true((r < 0) == (err != NULL) && (r == 0) == (item != NULL));
        if (r < 0) {
                assert_int_equal(r, -EBADMSG);
                n_each_bad++;
                return;
        }
        n_each++;
}

static int walk(struct rig *rig, enum store_kind kind) {
        struct told t = { 0 };

        n_each = n_each_bad = 0;
        return finish(rig, store_each(rig->store, kind, on_each, on_ready, &t), &t);
}

static void a_removed_record_that_comes_back_is_noticed_while_we_run(void **state) {
        struct rig *rig = *state;
        AUTO_BUF struct buf old = BUF_INIT;
        char name[65];

        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, NULL), 0);
        memcpy(name, only_file(rig), sizeof(name));
        assert_int_equal(buf_append(&old, memory_file(rig->memory, name)->data,
                                    memory_file(rig->memory, name)->len),
                         0);
        restart(rig); /* also if this process had never read it */
        assert_int_equal(drop(rig, STORE_GRANT, KEY), 0);
        memory_put_file(rig->memory, name, old.data, old.len);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), -ENOENT);
        assert_int_equal(walk(rig, STORE_KIND_COUNT), 0);
        assert_int_equal(n_each, 0);
        assert_int_equal(n_each_bad, 1);
        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 2, NULL), 0);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), 2);
}

static void a_record_that_vanishes_is_told_once(void **state) {
        struct rig *rig = *state;

        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, NULL), 0);
        memory_remove_file(rig->memory, only_file(rig));
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), -EBADMSG);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), -ENOENT);
        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 2, NULL), 0);
}

/* --- all records --- */

static void fill(struct rig *rig, int n) {
        for (int i = 0; i < n; i++) {
                char key[32];

                (void)snprintf(key, sizeof(key), "record %d", i);
                assert_int_equal(put(rig, i % 3 == 0 ? STORE_SERVER : STORE_GRANT, key, 0, i, NULL),
                                 0);
        }
}

static void a_walk_tells_each_record_of_its_kind_once(void **state) {
        struct rig *rig = *state;

        fill(rig, 300);
        memory_put_file(rig->memory, STORE_KEY_NAME, "not a record", 12);
        for (int known = 0; known < 2; known++) {
                if (!known)
                        restart(rig);
                assert_int_equal(walk(rig, STORE_SERVER), 0);
                assert_int_equal(n_each, 100);
                assert_int_equal(walk(rig, STORE_GRANT), 0);
                assert_int_equal(n_each, 200);
                assert_int_equal(walk(rig, STORE_LOGIN), 0);
                assert_int_equal(n_each, 0);
                assert_int_equal(walk(rig, STORE_KIND_COUNT), 0);
                assert_int_equal(n_each, 300);
                assert_int_equal(n_each_bad, 0);
        }
        /* Kinds that are known are not read again for nothing. */
        rig->memory->n_asked[MEMORY_READ] = 0;
        assert_int_equal(walk(rig, STORE_SERVER), 0);
        assert_int_equal(rig->memory->n_asked[MEMORY_READ], 100);
}

static void an_empty_store_can_be_walked(void **state) {
        assert_int_equal(walk(*state, STORE_KIND_COUNT), 0);
        assert_int_equal(n_each, 0);
}

/* S7 */
static void a_walk_tells_damaged_records_and_goes_on(void **state) {
        struct rig *rig = *state;
        struct buf *file;

        fill(rig, 100);
        restart(rig);
        for (size_t i = 1; i <= 10; i++) {
                file = memory_file(rig->memory, memory_name_at(rig->memory, i * 5));
                buf_truncate(file, i * 30);
        }
        assert_int_equal(walk(rig, STORE_KIND_COUNT), 0);
        assert_int_equal(n_each, 90);
        assert_int_equal(n_each_bad, 10);
}

static void a_walk_meets_changes_under_way(void **state) {
        struct rig *rig = *state;
        struct told t = { 0 };
        struct told t2 = { 0 };
        unsigned seed = 7;

        fill(rig, 60);
        n_each = n_each_bad = 0;
        assert_int_equal(store_each(rig->store, STORE_KIND_COUNT, on_each, on_ready, &t), 0);
        memory_answer(rig->memory, 0); /* the list */
        for (int i = 0; i < 60; i += 2) {
                char key[32];

                (void)snprintf(key, sizeof(key), "record %d", i);
                assert_int_equal(store_remove(rig->store, i % 3 == 0 ? STORE_SERVER : STORE_GRANT,
                                              key, on_done, &t2),
                                 0);
        }
        while (rig->memory->n_requests > 0) {
                seed = seed * 1103515245 + 12345;
                memory_answer(rig->memory, (seed >> 8) % rig->memory->n_requests);
        }
        assert_int_equal(t.n, 1);
        assert_int_equal(t.r, 0);
        assert_int_equal(t2.n, 30);
        assert_true(n_each >= 30 && n_each <= 60);
        assert_int_equal(n_each_bad, 0);
        assert_int_equal(walk(rig, STORE_KIND_COUNT), 0);
        assert_int_equal(n_each, 30);
}

static void a_walk_ends_when_the_store_is_locked_or_the_writer_is_gone(void **state) {
        struct rig *rig = *state;

        fill(rig, 100);
        for (int i = 0; i < 3; i++) {
                struct told t = { 0 };

                restart(rig);
                n_each = n_each_bad = 0;
                assert_int_equal(store_each(rig->store, STORE_KIND_COUNT, on_each, on_ready, &t),
                                 0);
                if (i == 0) {
                        store_lock(rig->store); /* before the list */
                } else {
                        memory_answer(rig->memory, 0);
                        memory_answer(rig->memory, 0);
                        if (i == 1)
                                store_lock(rig->store);
                        else
                                memory_fail(rig->memory, 0, -EPIPE, false);
                }
                memory_run(rig->memory);
                assert_int_equal(t.n, 1);
                assert_int_equal(t.r, i < 2 ? -ENOKEY : -EPIPE);
                assert_true(n_each < 100);
                assert_int_equal(n_each_bad, 0);
                assert_int_equal(store_pending(rig->store), 0);
        }
}

/* --- lock and end --- */

/* S1 */
static void a_locked_store_has_no_keys_and_gives_nothing(void **state) {
        struct rig *rig = *state;
        struct told t = { 0 };

        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, NULL), 0);
        assert_true(secret_slab_used() > 1);
        store_lock(rig->store);
        store_lock(rig->store);
        assert_int_equal(secret_slab_used(), 1); /* the test's wrapping key */
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), -ENOKEY);
        assert_int_equal(put(rig, STORE_GRANT, KEY, 1, 1, NULL), -ENOKEY);
        assert_int_equal(drop(rig, STORE_GRANT, KEY), -ENOKEY);
        assert_int_equal(store_each(rig->store, STORE_GRANT, on_each, on_ready, &t), -ENOKEY);
        assert_int_equal(store_unlock(rig->store, "1", rig->wrapping, NULL), 0);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), 1);
}

/* S7 */
static void a_write_under_way_survives_the_lock_and_what_waits_does_not(void **state) {
        struct rig *rig = *state;
        AUTO_TOLD struct told writing = { 0 };
        AUTO_TOLD struct told waiting = { 0 };
        AUTO_TOLD struct told reading = { 0 };
        uint64_t g = 0;

        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, &g), 0);
        assert_int_equal(put(rig, STORE_GRANT, "other", 0, 1, NULL), 0);
        assert_int_equal(begin_put(rig, STORE_GRANT, KEY, g, 2, &writing), 0);
        assert_int_equal(begin_put(rig, STORE_GRANT, KEY, g + 1, 3, &waiting), 0);
        assert_int_equal(store_get(rig->store, STORE_GRANT, "other", on_done, &reading), 0);
        store_lock(rig->store);
        /* Even if it is opened again before they had their turn. */
        assert_int_equal(store_unlock(rig->store, "1", rig->wrapping, NULL), 0);
        memory_run(rig->memory);
        assert_int_equal(writing.r, 0);
        assert_int_equal(waiting.r, -ENOKEY);
        assert_int_equal(reading.r, -ENOKEY);
        assert_null(reading.value);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), 2);
}

static void a_store_that_is_freed_ends_everything_once(void **state) {
        struct rig *rig = *state;
        struct told put_told = { 0 };
        struct told queued = { 0 };
        struct told get_told = { 0 };
        struct told walks[2] = { { 0 } };
        struct told slot_told = { 0 };
        struct store_slot_new slot = { .type = SLOT_FILE, .wrapping_key = rig->wrapping };

        fill(rig, 50);
        assert_int_equal(store_each(rig->store, STORE_KIND_COUNT, on_each, on_ready, &walks[0]), 0);
        memory_answer(rig->memory, 0);
        assert_int_equal(store_each(rig->store, STORE_KIND_COUNT, on_each, on_ready, &walks[1]), 0);
        assert_int_equal(begin_put(rig, STORE_LOGIN, KEY, 0, 2, &put_told), 0);
        assert_int_equal(begin_put(rig, STORE_LOGIN, KEY, 1, 2, &queued), 0);
        assert_int_equal(store_get(rig->store, STORE_SERVER, "record 0", on_done, &get_told), 0);
        assert_int_equal(store_slot_add(rig->store, &slot, on_ready, &slot_told), 0);
        rig->store = store_free(rig->store);
        assert_true(put_told.n == 1 && put_told.r == -ECANCELED);
        assert_true(queued.n == 1 && queued.r == -ECANCELED);
        assert_true(get_told.n == 1 && get_told.r == -ECANCELED);
        assert_true(slot_told.n == 1 && slot_told.r == -ECANCELED);
        for (int i = 0; i < 2; i++)
                assert_true(walks[i].n == 1 && walks[i].r == -ECANCELED);
        memory_run(rig->memory);
        assert_true(put_told.n == 1 && walks[0].n == 1 && walks[1].n == 1 && slot_told.n == 1);
}

/* S7 */
static void a_writer_that_dies_loses_nothing_that_was_told(void **state) {
        struct rig *rig = *state;
        AUTO_TOLD struct told t = { 0 };
        uint64_t g = 0;

        assert_int_equal(put(rig, STORE_GRANT, KEY, 0, 1, &g), 0);
        assert_int_equal(begin_put(rig, STORE_GRANT, KEY, g, 2, &t), 0);
        rig->memory->refuse = -EPIPE;
        memory_fail(rig->memory, 0, -EPIPE, false);
        assert_int_equal(t.r, -EPIPE);
        assert_int_equal(put(rig, STORE_GRANT, KEY, g, 2, NULL), -EPIPE);
        rig->memory->refuse = 0;
        restart(rig);
        assert_int_equal(get(rig, STORE_GRANT, KEY, NULL), 1);
}

/* A file of the store that is kept in the source tree (tests/store/v1). */
static void take_file(struct memory *m, const char *name) {
        const char *top = getenv("top_srcdir");
        char path[1024];
        char data[1024];
        size_t len;
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/tests/store/v1/%s", top ? top : ".", name);
        f = fopen(path, "re");
        assert_non_null(f);
        len = fread(data, 1, sizeof(data), f);
        (void)fclose(f);
        memory_put_file(m, name, data, len);
}

static void a_store_of_the_first_format_opens_by_each_slot(void **state) {
        static const char *const names[] = {
                STORE_HEADER_NAME, STORE_KEY_NAME,
                "18dcce1174dd4b1c96f44558f40c0db3555b91b40563ddad301d0b84ba2f365d",
                "e4cf94b7d974a07c4636a3a1c7da75167316aadfb61aaad29f213f24d5ee4e08"
        };
        struct rig *rig = *state;
        const struct buf *file;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                take_file(rig->memory, names[i]);
        file = memory_file(rig->memory, STORE_KEY_NAME);
        assert_int_equal(load(rig), 0);
        for (size_t i = 0; i < 2; i++) {
                AUTO_SECRET struct secret *wrapping = NULL;
                struct store_slot slot;
                struct kdf_params kdf;

                assert_true(store_slot_at(rig->store, i, &slot));
                if (streq(slot.type, SLOT_FILE)) {
                        assert_int_equal(slot_file_key(file->data, file->len, &wrapping), 0);
                } else {
                        assert_int_equal(slot_passphrase_params(slot.params, &kdf), 0);
                        assert_int_equal(kdf_derive(&kdf, "correct horse", 13, &wrapping), 0);
                }
                assert_int_equal(store_unlock(rig->store, slot.id, wrapping, NULL), 0);
                assert_int_equal(walk(rig, STORE_KIND_COUNT), 0);
                assert_int_equal(n_each, 2);
                assert_int_equal(n_each_bad, 0);
                store_lock(rig->store);
        }
}

static void every_answer_has_a_text(void **state) {
        static const int all[] = { -ENOENT, -ESTALE,    -EBADMSG, -ENOKEY, -EINVAL, -EMSGSIZE,
                                   -EBUSY,  -ECANCELED, -ENOSPC,  -EPIPE,  -EIO,    -ENOMEM };

        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                struct error err = ERROR_INIT;

                assert_int_equal(store_error(&err, all[i]), all[i]);
                assert_int_not_equal(err.code, MCPB_NO_ERROR);
                assert_true(err.message[0] != '\0');
        }
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
                T(after_a_failed_write_the_truth_is_read),
                T(after_a_failed_removal_the_truth_is_read),
                T(a_failed_read_fails_its_own_operation_only),
                T(a_damaged_record_is_told_and_not_written_over),
                T(swapped_files_are_noticed),
                T(an_old_copy_of_a_record_is_noticed_while_we_run),
                T(a_removed_record_that_comes_back_is_noticed_while_we_run),
                T(a_record_that_vanishes_is_told_once),
                T(a_walk_tells_each_record_of_its_kind_once),
                T(an_empty_store_can_be_walked),
                T(a_walk_tells_damaged_records_and_goes_on),
                T(a_walk_meets_changes_under_way),
                T(a_walk_ends_when_the_store_is_locked_or_the_writer_is_gone),
                T(a_locked_store_has_no_keys_and_gives_nothing),
                T(a_write_under_way_survives_the_lock_and_what_waits_does_not),
                T(a_store_that_is_freed_ends_everything_once),
                T(a_writer_that_dies_loses_nothing_that_was_told),
                T_EMPTY(a_store_of_the_first_format_opens_by_each_slot),
                T(every_answer_has_a_text),
        };

        return cmocka_run_group_tests_name("store", tests, start, stop);
}
