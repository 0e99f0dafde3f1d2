/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store tells at once what it knows at once: that a record is not there. These tell it like
 * everything else, by the callback and later, so that whoever asks has one way to go on.
 */
#pragma once

#include "base/error.h"
#include "store/store.h"

struct broker;

int later_get(struct broker *b, enum store_kind kind, const char *key, store_done_fn fn,
              void *userdata) MUST_CHECK;
int later_remove(struct broker *b, enum store_kind kind, const char *key, store_done_fn fn,
                 void *userdata) MUST_CHECK;
/*
 * store_put() for those who have all that the record shall hold: what lies damaged in its place is
 * removed first. The store itself writes over nothing that it cannot read.
 */
int later_put_over(struct broker *b, const struct store_put *put, store_done_fn fn, void *userdata)
        MUST_CHECK;
/* What an answer of the store means: its own @from (may be NULL), or what the code @r says. */
struct error later_error(int r, const struct error *from);
/* Ends what is still to be told with -ECANCELED. */
void later_cancel(struct broker *b);
