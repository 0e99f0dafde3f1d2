/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/select.h"

#include "base/limits.h"

#define OFFLINE "offline_access"

/* A141: only where the issuer lists it, and never alone. */
static int add_offline(struct scope_set *s, const struct scope_set *as) {
        int r;

        if (!as || s->n == 0 || !scope_set_has(as, OFFLINE))
                return 0;
        r = scope_set_add(s, OFFLINE);
        return r == -E2BIG ? 0 : r; /* a full set goes without it */
}

int scope_select_login(struct scope_set *ret, const struct scope_sources *from) {
        AUTO_SCOPES struct scope_set chosen = SCOPE_SET_INIT;
        const struct scope_set *base = NULL;
        int r = 0;

        if (from->user && from->user->n > 0)
                base = from->user;
        else if (from->challenge && from->challenge->has_scope)
                base = &from->challenge->scopes;
        else if (from->prm)
                base = from->prm;
        if (base)
                r = scope_set_copy(&chosen, base);
        if (r == 0)
                r = add_offline(&chosen, from->as);
        if (r < 0)
                return r;
        *ret = chosen;
        chosen = SCOPE_SET_INIT;
        return 0;
}

int scope_select_step_up(struct scope_set *ret, const struct scope_step_up *from) {
        AUTO_SCOPES struct scope_set chosen = SCOPE_SET_INIT;
        int r = scope_set_copy(&chosen, from->requested);

        if (r == 0)
                r = scope_set_union(&chosen, from->granted);
        if (r == 0)
                r = scope_set_union(&chosen, from->more);
        if (r == 0)
                r = add_offline(&chosen, from->as);
        if (r < 0)
                return r;
        *ret = chosen;
        chosen = SCOPE_SET_INIT;
        return 0;
}

bool scope_challenge_asks_more(const struct scope_set *requested_before,
                               const struct challenge *challenge) {
        return challenge->has_scope && !scope_set_contains(requested_before, &challenge->scopes);
}

int scope_refusal_note(struct scope_refusal *r, const struct scope_set *asked, uint64_t now_boot) {
        int k = scope_set_copy(&r->scopes, asked);

        if (k == 0)
                r->until_boot = now_boot + LIMIT_REFUSAL_SEC * USEC_PER_SEC;
        return k;
}

/* Whoever was refused a set asks in vain for it again, and for anything that includes it. */
bool scope_refusal_holds(const struct scope_refusal *r, const struct scope_set *asked,
                         uint64_t now_boot) {
        return r->until_boot > now_boot && scope_set_contains(asked, &r->scopes);
}

void scope_refusal_done(struct scope_refusal *r) {
        scope_set_done(&r->scopes);
        r->until_boot = 0;
}

int scope_attempts_note(struct scope_attempts *a, const struct scope_set *asked,
                        uint64_t now_boot) {
        size_t place = LIMIT_STEP_UP_SETS;
        int r;

        for (size_t i = 0; i < LIMIT_STEP_UP_SETS; i++) {
                bool over = a->items[i].until_boot <= now_boot;

                if (!over && scope_set_equal(&a->items[i].scopes, asked))
                        return ++a->items[i].n > LIMIT_STEP_UPS ? -EAGAIN : 0;
                if (over)
                        place = i;
        }
        if (place == LIMIT_STEP_UP_SETS)
                return -EAGAIN;
        r = scope_set_copy(&a->items[place].scopes, asked);
        if (r < 0)
                return r;
        a->items[place].n = 1;
        a->items[place].until_boot = now_boot + LIMIT_STEP_UP_SEC * USEC_PER_SEC;
        return 0;
}

void scope_attempts_done(struct scope_attempts *a) {
        for (size_t i = 0; i < LIMIT_STEP_UP_SETS; i++)
                scope_set_done(&a->items[i].scopes);
        *a = (struct scope_attempts){ 0 };
}
