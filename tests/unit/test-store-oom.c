/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "crypto/init.h"
#include "memory-backend.h"
#include "oom.h"
#include "store/slot.h"
#include "store/store.h"
#include "test.h"

/* What has come back of the operation under way. */
struct told {
        int n;
        int r;
        uint64_t generation;
};

struct life {
        struct memory *memory;
        struct secret *wrapping;
        const json_t *passphrase_params;
        const json_t *value;
};

static void on_done(int r, const struct store_item *item, const struct error *err, void *userdata) {
        struct told *t = userdata;

        t->n++;
        t->r = r;
        t->generation = item ? item->generation : 0;
}

static void on_ready(int r, const struct error *err, void *userdata) {
        on_done(r, NULL, err, userdata);
}

static void on_each(int r, const struct store_item *item, const char *file, const struct error *err,
                    void *userdata) {
        assert_true(r == 0 || r == -EBADMSG);
}

/*
 * A few failed allocations inside jansson look like a bad token (base/json.c): then a value counts
 * as one that cannot be stored, a record as damaged. Both leave alone what is there.
 */
static bool is_out_of_memory(int r) {
        return r == -ENOMEM || r == -EINVAL || r == -EBADMSG;
}

/* 0, out of memory, or what @also allows; told exactly once, or refused and never told. */
static int settle(struct life *l, int r, const struct told *t, int also) {
        if (r == 0) {
                assert_int_equal(t->n, 0);
                memory_run(l->memory);
                assert_int_equal(t->n, 1);
                r = t->r;
        } else {
                assert_int_equal(t->n, 0);
        }
        assert_true(r == 0 || is_out_of_memory(r) || (also != 0 && r == also));
        return r;
}

static int open_store(struct life *l, struct store *s) {
        struct store_slot_new slots[] = {
                { .type = SLOT_FILE, .wrapping_key = l->wrapping },
                { .type = SLOT_PASSPHRASE,
                  .params = l->passphrase_params,
                  .wrapping_key = l->wrapping },
        };
        struct told t = { 0 };
        int r = settle(l, store_load(s, on_ready, &t), &t, -ENOENT);

        if (r == 0)
                return store_unlock(s, "2", l->wrapping, NULL);
        if (r != -ENOENT)
                return r;
        t = (struct told){ 0 };
        return settle(l, store_create(s, slots, ARRAY_SIZE(slots), on_ready, &t), &t, 0);
}

static int put_one(struct life *l, struct store *s, uint64_t *generation) {
        struct store_put put = {
                .kind = STORE_GRANT, .key = "k", .expect = *generation, .value = l->value
        };
        struct told t = { 0 };
        int r = settle(l, store_put(s, &put, on_done, &t), &t, 0);

        if (r == 0)
                *generation = t.generation;
        return r;
}

static int use_store(struct life *l, struct store *s) {
        struct store_slot_new slot = { .type = SLOT_FILE, .wrapping_key = l->wrapping };
        uint64_t generation = 0;
        struct told t = { 0 };
        int r;

        r = put_one(l, s, &generation);
        if (r == 0)
                r = put_one(l, s, &generation);
        if (r == 0)
                r = settle(l, store_get(s, STORE_GRANT, "k", on_done, &t), &t, 0);
        t = (struct told){ 0 };
        if (r == 0)
                r = settle(l, store_each(s, STORE_KIND_COUNT, on_each, on_ready, &t), &t, 0);
        t = (struct told){ 0 };
        if (r == 0)
                r = settle(l, store_slot_add(s, &slot, on_ready, &t), &t, 0);
        t = (struct told){ 0 };
        if (r == 0)
                r = settle(l, store_slot_remove(s, "1", on_ready, &t), &t, 0);
        t = (struct told){ 0 };
        if (r == 0)
                r = settle(l, store_remove(s, STORE_GRANT, "k", on_done, &t), &t, 0);
        return r;
}

static void quiet(bool on) {
        oom_pause(on);
}

/* The life of a store, on an empty disk each time. */
static int live(void *userdata) {
        struct life *l = userdata;
        size_t n_secrets = secret_slab_used();
        struct store *s;
        int r;

        oom_pause(true);
        l->memory = memory_new();
        l->memory->quiet = quiet;
        oom_pause(false);
        s = store_new(&memory_ops, l->memory);
        r = s ? open_store(l, s) : -ENOMEM;
        if (r == 0)
                r = use_store(l, s);
        s = store_free(s);
        if (r == 0) {
                s = store_new(&memory_ops, l->memory);
                r = s ? open_store(l, s) : -ENOMEM;
                s = store_free(s);
        }
        memory_free(l->memory);
        assert_int_equal(secret_slab_used(), n_secrets);
        return r;
}

static void every_allocation_may_fail(void **state) {
        AUTO_JSON json_t *value = json_pack("{s:s, s:[i]}", "refresh", "mcp_rt_1", "later", 1);
        AUTO_SECRET struct secret *wrapping = secret_new_random(SECRET_KEY_BYTES);
        AUTO_JSON json_t *params = NULL;
        struct kdf_params kdf;
        struct life l = { .wrapping = wrapping, .value = value };

        assert_int_equal(slot_passphrase_new(&kdf, &params), 0);
        l.passphrase_params = params;
        assert_true(oom_sweep_any(live, &l) > 100);
}

static int start(void **state) {
        return crypto_init(NULL);
}

static int stop(void **state) {
        assert_int_equal(secret_slab_used(), 0);
        crypto_done();
        return 0;
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_allocation_may_fail),
        };

        return cmocka_run_group_tests_name("store-oom", tests, start, stop);
}
