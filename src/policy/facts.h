/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known at the moment of a decision: a table of names, each with its values and the class
 * of the evidence (how hard it is to forge). What is not in the table, or is marked so, is unknown,
 * and unknown is not "no". The decision reads this table and never the host, so that it can be
 * replayed.
 *
 * Names: "agent.<selector>" for the peer ("agent.uid", "agent.exe", "agent.peer-exe", "agent.unit",
 * "agent.user-unit", ...), "self.uid" for the daemon's own uid, and the condition's name for all
 * others ("unlocked", "idle"); "time@<zone>" is the local time of a zone as "Mon 17:05".
 */
#pragma once

#include "base/json.h"

/* How hard is it to forge? Ordered: a higher one satisfies a lower Assurance=. */
enum fact_class {
        FACT_SELF,     /* any process of the same uid can forge it */
        FACT_ROOT,     /* only root can */
        FACT_PLATFORM, /* signed elsewhere */
        FACT_KERNEL,   /* asserted by the kernel */
        FACT_CLASS_COUNT,
};

struct fact {
        const char *name;
        bool known;
        enum fact_class class;
        const char *const *values; /* none is fine: known to be empty */
        size_t n_values;
};

#define FACTS_MAX 256        /* facts in a table */
#define FACT_VALUES_MAX 1024 /* values of one fact */
#define FACT_TEXT_MAX 4096   /* bytes of a name or a value */

struct facts;

struct facts *facts_new(void) MUST_CHECK; /* NULL: out of memory */
struct facts *facts_free(struct facts *f);

/*
 * All replace what stood under @name. -E2BIG over a bound above, -EINVAL an empty name, -ENOMEM;
 * the table is then unchanged.
 */
int facts_set(struct facts *f, const char *name, enum fact_class class, const char *value)
        MUST_CHECK;
int facts_set_list(struct facts *f, const char *name, enum fact_class class,
                   const char *const *values, size_t n_values) MUST_CHECK;
int facts_set_number(struct facts *f, const char *name, enum fact_class class, uint64_t value)
        MUST_CHECK;
int facts_unknown(struct facts *f, const char *name) MUST_CHECK;

/*
 * NULL if it never was set; a fact with known = false if it was marked so. Borrowed until the next
 * change.
 */
const struct fact *facts_get(const struct facts *f, const char *name);
size_t facts_count(const struct facts *f);
const struct fact *facts_at(const struct facts *f, size_t i); /* in order of name */

const char *fact_class_name(enum fact_class class);
int fact_class_from_name(const char *name, enum fact_class *ret) MUST_CHECK; /* -ENOENT */

DEFINE_CLEANUP(struct facts *, facts, facts_free)
#define AUTO_FACTS __attribute__((cleanup(cleanup_facts), unused))
