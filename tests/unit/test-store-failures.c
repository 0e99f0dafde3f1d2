/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/limits.h"
#include "store-rig.h"

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
        for (int i = 0; i < 4; i++) {
                const int gone = i == 2 ? -EPIPE : -ETIMEDOUT;
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
                                memory_fail(rig->memory, 0, gone, false);
                }
                memory_run(rig->memory);
                assert_int_equal(t.n, 1);
                assert_int_equal(t.r, i < 2 ? -ENOKEY : gone);
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
        static const int all[] = { -ENOENT,   -ESTALE, -EBADMSG,   -ENOKEY, -EINVAL,
                                   -EMSGSIZE, -EBUSY,  -ECANCELED, -ENOSPC, -EPIPE,
                                   -EIO,      -ENOMEM, -ETIMEDOUT };

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

        return cmocka_run_group_tests_name("store-failures", tests, start, stop);
}
