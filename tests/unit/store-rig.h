/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the store share: a store on a folder in memory, and what its callbacks were
 * told.
 */
#pragma once

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

extern int n_told; /* all callbacks of a test */

void on_done(int r, const struct store_item *item, const struct error *err, void *userdata);
void on_ready(int r, const struct error *err, void *userdata);
void told_done(struct told *t);
int finish(struct rig *rig, int begun, const struct told *t);
json_t *value_of(int n);
int begin_put(struct rig *rig, enum store_kind kind, const char *key, uint64_t expect, int n,
              struct told *t);
int put(struct rig *rig, enum store_kind kind, const char *key, uint64_t expect, int n,
        uint64_t *ret_generation);
int get(struct rig *rig, enum store_kind kind, const char *key, uint64_t *ret_generation);
int drop(struct rig *rig, enum store_kind kind, const char *key);
int load(struct rig *rig);
int create(struct rig *rig);
void restart(struct rig *rig);
int setup_empty(void **state);
int setup(void **state);
int teardown(void **state);
const char *only_file(struct rig *rig);

#define AUTO_TOLD __attribute__((cleanup(told_done), unused))
