/* SPDX-License-Identifier: Apache-2.0 */
#include "store-rig.h"

#include <stdio.h>

int n_told; /* all callbacks of a test */

void on_done(int r, const struct store_item *item, const struct error *err, void *userdata) {
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

void on_ready(int r, const struct error *err, void *userdata) {
        struct told *t = userdata;

        assert_true((r < 0) == (err != NULL));
        t->n++;
        t->r = r;
        t->order = ++n_told;
        t->code = err ? err->code : MCPB_NO_ERROR;
}

void told_done(struct told *t) {
        json_decref(t->value);
        *t = (struct told){ 0 };
}

/* Runs the backend and gives what the callback got: it came once, and not before. */
int finish(struct rig *rig, int begun, const struct told *t) {
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

json_t *value_of(int n) {
        return json_pack("{s:s, s:i, s:{s:[i,n]}}", "refresh", TOKEN, "n", n, "unknown", "x", 1);
}

int begin_put(struct rig *rig, enum store_kind kind, const char *key, uint64_t expect, int n,
              struct told *t) {
        AUTO_JSON json_t *value = value_of(n);
        struct store_put put = { .kind = kind, .key = key, .expect = expect, .value = value };

        return store_put(rig->store, &put, on_done, t);
}

int put(struct rig *rig, enum store_kind kind, const char *key, uint64_t expect, int n,
        uint64_t *ret_generation) {
        AUTO_TOLD struct told t = { 0 };
        int r = finish(rig, begin_put(rig, kind, key, expect, n, &t), &t);

        if (ret_generation)
                *ret_generation = t.generation;
        return r;
}

/* The `n` of the record, or -errno. */
int get(struct rig *rig, enum store_kind kind, const char *key, uint64_t *ret_generation) {
        AUTO_TOLD struct told t = { 0 };
        int r = finish(rig, store_get(rig->store, kind, key, on_done, &t), &t);

        if (r < 0)
                return r;
        assert_int_equal(t.kind, kind);
        if (ret_generation)
                *ret_generation = t.generation;
        return (int)json_get_int(t.value, "n", -1);
}

int drop(struct rig *rig, enum store_kind kind, const char *key) {
        AUTO_TOLD struct told t = { 0 };

        return finish(rig, store_remove(rig->store, kind, key, on_done, &t), &t);
}

int load(struct rig *rig) {
        struct told t = { 0 };

        return finish(rig, store_load(rig->store, on_ready, &t), &t);
}

int create(struct rig *rig) {
        struct store_slot_new slot = { .type = SLOT_FILE, .wrapping_key = rig->wrapping };
        struct told t = { 0 };

        return finish(rig, store_create(rig->store, &slot, 1, on_ready, &t), &t);
}

/* As after a restart: a new store on the same files. */
void restart(struct rig *rig) {
        rig->store = store_free(rig->store);
        memory_run(rig->memory);
        rig->store = store_new(&memory_ops, rig->memory);
        assert_int_equal(load(rig), 0);
        assert_int_equal(store_unlock(rig->store, "1", rig->wrapping, NULL), 0);
}

int setup_empty(void **state) {
        struct rig *rig = calloc(1, sizeof(*rig));

        assert_non_null(rig);
        n_told = 0;
        rig->memory = memory_new();
        rig->store = store_new(&memory_ops, rig->memory);
        rig->wrapping = secret_new_random(SECRET_KEY_BYTES);
        *state = rig;
        return rig->store && rig->wrapping ? 0 : -1;
}

int setup(void **state) {
        int r = setup_empty(state);

        if (r == 0 && (load(*state) != -ENOENT || create(*state) != 0))
                return -1;
        return r;
}

int teardown(void **state) {
        struct rig *rig = *state;

        rig->store = store_free(rig->store);
        memory_free(rig->memory);
        rig->wrapping = secret_free(rig->wrapping);
        free(rig);
        return secret_slab_used() == 0 ? 0 : -1;
}

/* The file of the only record. */
const char *only_file(struct rig *rig) {
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
