/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object of JSON with other members: what is not named keeps its bytes and its place.
 */
#pragma once

#include "base/jsonspan.h"

struct rewrite {
        const char *key;
        struct span value; /* empty: there shall be none */
        bool done;
};

/* Appends @object, which was checked (or is empty: none so far), with these members instead of its
 * own of the same names; those that it did not have come last. -EINVAL: no object; -ENOMEM;
 * -EMSGSIZE. After an error nothing was appended. */
int rewrite_object(struct buf *out, struct span object, struct rewrite *members, size_t n)
        MUST_CHECK;
