/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object of ours and its record in the store: saves that come while one is under way are joined
 * into one that follows it, so that the record always ends as the object is.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/list.h"
#include "store/store.h"

struct broker;

typedef void (*kept_done_fn)(int r, const struct error *err, void *userdata);

struct kept {
        struct broker *broker;
        enum store_kind kind;
        const char *key; /* the owner's */
        uint64_t generation;
        json_t *(*build)(const void *owner); /* the value to be stored, new reference */
        const void *owner;
        bool busy;
        bool again;
        bool unsure; /* a write has failed: perhaps it has happened, with another generation */
        bool gone;   /* the owner is being freed: its last operation tells nobody */
        struct list waiting; /* struct kept_waiter: of the save under way */
        struct list next;    /* of the one that follows */
        struct kept_job *job;
};

void kept_init(struct kept *r, struct broker *b, enum store_kind kind, const char *key,
               json_t *(*build)(const void *owner), const void *owner);
/* Those who wait for a save that is not over are told CANCELED, from here. */
void kept_done(struct kept *r);

/* @fn (may be NULL) is called once, after this call returned: by kept_done() at the latest. */
int kept_save(struct kept *r, kept_done_fn fn, void *userdata) MUST_CHECK;
/* Without anybody to tell: a failure is logged. */
void kept_save_soon(struct kept *r);
