/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/lease.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "crypto/rand.h"
#include "oauth/token.h"

/* A helper's second call means nothing where the token is new: then it was not refused for what has
 * happened since. Nor at once: a client that starts several connections runs its helper for each.
 * One whose token a server refused does so a round trip later. */
#define HELPER_FRESH_SEC 5
#define HELPER_AT_ONCE_MSEC 20
/* Nobody's lifetime: a century. Larger numbers are mistakes or tricks. */
#define LIFETIME_MAX_SEC ((uint64_t)100 * 365 * 86400)

struct lease *lease_free(struct lease *l) {
        if (!l)
                return NULL;
        list_remove(&l->link);
        scope_set_done(&l->scopes);
        scope_set_done(&l->asked);
        shielded_done(&l->token);
        free(l->token_type);
        free(l);
        return NULL;
}

/* Of nothing else that has a name: who knows a token's is told nothing of a login. */
static void make_id(char id[static LEASE_ID_MAX]) {
        unsigned char bytes[12];

        random_bytes(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++)
                (void)snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

static struct lease *new_lease(void) {
        struct lease *l = calloc(1, sizeof(*l));

        if (!l)
                return NULL;
        list_init(&l->link);
        make_id(l->token_id);
        l->obtained_boot = clock_boot_usec();
        l->obtained_wall = clock_wall_usec();
        return l;
}

static void set_lifetime(struct lease *l, bool known, uint64_t sec) {
        if (sec > LIFETIME_MAX_SEC)
                sec = LIFETIME_MAX_SEC;
        l->expires_known = known;
        l->expires_boot = known ? l->obtained_boot + sec * USEC_PER_SEC : 0;
        l->expires_wall = known ? l->obtained_wall + sec * USEC_PER_SEC : 0;
}

int lease_new(struct grant *g, const struct token_reply *reply, const struct scope_set *requested,
              bool full, struct lease **ret) {
        struct lease *l = new_lease();
        int r;

        if (!l)
                return -ENOMEM;
        set_lifetime(l, reply->expires_known, reply->expires_in);
        l->full = full;
        l->token_type = strdup(reply->token_type);
        r = l->token_type
                    ? scope_set_copy(&l->scopes, reply->has_scope ? &reply->scopes : requested)
                    : -ENOMEM;
        if (r == 0)
                r = scope_set_copy(&l->asked, requested);
        if (r == 0)
                r = shield_put(g->broker->shield, reply->access_token.data, reply->access_token.len,
                               &l->token);
        if (r < 0) {
                (void)lease_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

static json_t *build_value(const struct lease *l, const struct scope_set *scopes,
                           const char *token_type, const struct buf *token) {
        AUTO_JSON json_t *value =
                json_pack("{s:s%, s:s, s:s, s:o, s:b}", "access_token", token->data, token->len,
                          "token_type", token_type, "token_id", l->token_id, "scopes",
                          scopes_value(scopes), "dead", l->dead);

        if (value && l->obtained_wall > 0 &&
            json_object_set_new(value, "obtained",
                                json_integer((json_int_t)(l->obtained_wall / USEC_PER_SEC))) < 0)
                return NULL;
        if (value && l->expires_known &&
            json_object_set_new(value, "expires",
                                json_integer((json_int_t)(l->expires_wall / USEC_PER_SEC))) < 0)
                return NULL;
        return TAKE(value);
}

json_t *lease_to_json(struct grant *g, const struct lease *l) {
        AUTO_BUF struct buf token = BUF_INIT;

        if (shield_open(g->broker->shield, &l->token, &token) < 0)
                return NULL;
        return build_value(l, &l->scopes, l->token_type, &token);
}

json_t *lease_first_json(const struct token_reply *reply, const struct scope_set *requested) {
        struct lease first = { .obtained_boot = clock_boot_usec(),
                               .obtained_wall = clock_wall_usec() };

        make_id(first.token_id);
        set_lifetime(&first, reply->expires_known, reply->expires_in);
        return build_value(&first, reply->has_scope ? &reply->scopes : requested, reply->token_type,
                           &reply->access_token);
}

/* What the record says of its time. A wall clock that was set back since then would lengthen its
 * life: how old it is nobody can say any more, so it is over. */
static void restore_lifetime(struct lease *l, const json_t *value) {
        json_int_t obtained = json_get_int(value, "obtained", 0);
        json_int_t expires = json_get_int(value, "expires", 0);
        json_int_t now = (json_int_t)(clock_wall_usec() / USEC_PER_SEC);

        if (json_object_get(value, "expires"))
                set_lifetime(l, true,
                             obtained <= now && expires > now ? (uint64_t)(expires - now) : 0);
        l->obtained_wall = obtained > 0 ? (uint64_t)obtained * USEC_PER_SEC : 0;
}

int lease_from_json(struct grant *g, const json_t *value, struct lease **ret) {
        const char *token = json_get_string(value, "access_token");
        const char *type = json_get_string(value, "token_type");
        const char *id = json_get_string(value, "token_id");
        struct lease *l;
        int r;

        if (!token || !type || !id || strlen(id) >= LEASE_ID_MAX)
                return -EBADMSG;
        l = new_lease();
        if (!l)
                return -ENOMEM;
        (void)snprintf(l->token_id, sizeof(l->token_id), "%s", id);
        l->full = true;
        l->dead = json_get_bool(value, "dead", false);
        restore_lifetime(l, value);
        l->token_type = strdup(type);
        r = l->token_type ? scope_set_from_json(&l->scopes, json_object_get(value, "scopes"), NULL)
                          : -ENOMEM;
        if (r == 0)
                r = scope_set_copy(&l->asked, &l->scopes);
        if (r == 0)
                r = shield_put(g->broker->shield, token, strlen(token), &l->token);
        if (r < 0) {
                (void)lease_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

uint64_t lease_left(const struct lease *l) {
        uint64_t now = clock_boot_usec();

        if (l->dead)
                return 0;
        if (!l->expires_known)
                return UINT64_MAX;
        return l->expires_boot > now ? l->expires_boot - now : 0;
}

bool lease_serves(const struct lease *l, uint64_t min_ttl_usec) {
        uint64_t life = l->expires_known ? l->expires_boot - l->obtained_boot : UINT64_MAX;

        if (min_ttl_usec > life / 2)
                min_ttl_usec = life / 2;
        return lease_left(l) > 0 && lease_left(l) >= min_ttl_usec;
}

bool lease_is_old(const struct lease *l, uint64_t margin_usec) {
        uint64_t left = lease_left(l);
        uint64_t life = l->expires_known ? l->expires_boot - l->obtained_boot : UINT64_MAX;

        /* A short-lived token is not old from its birth: a fifth of its life is margin enough. */
        if (margin_usec > life / 5)
                margin_usec = life / 5;
        return left <= margin_usec;
}

bool lease_note_helper(struct lease *l, int pid, uint64_t start_ticks, uint64_t now_boot) {
        /* By the wall clock, for a lease may be older than this daemon. */
        bool fresh = clock_wall_usec() - l->obtained_wall < HELPER_FRESH_SEC * USEC_PER_SEC;
        struct lease_helper *h;

        for (size_t i = 0; i < LEASE_HELPERS; i++) {
                h = &l->helpers[i];
                if (h->pid == pid && h->start_ticks == start_ticks && h->first_boot != 0)
                        return !fresh &&
                               now_boot - h->first_boot >= HELPER_AT_ONCE_MSEC * USEC_PER_MSEC;
        }
        h = &l->helpers[l->next_helper++ % LEASE_HELPERS];
        *h = (struct lease_helper){ pid, start_ticks, now_boot };
        return false;
}
