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

int scope_select_step_up(struct scope_set *ret, const struct scope_set *before,
                         const struct challenge *challenge, const struct scope_set *as) {
        AUTO_SCOPES struct scope_set chosen = SCOPE_SET_INIT;
        int r = scope_set_copy(&chosen, before);

        if (r == 0)
                r = scope_set_union(&chosen, &challenge->scopes);
        if (r == 0)
                r = add_offline(&chosen, as);
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
