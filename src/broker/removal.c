/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/removal.h"
#include "broker/ask.h"

#include "base/log.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/later.h"
#include "broker/lease.h"
#include "broker/release.h"
#include "oauth/revoke.h"
#include "store/store.h"

struct removal {
        struct broker *broker;
        struct grant *grant; /* NULL: given up; the next callback of the store frees this */
        struct registration registration;
        struct buf refresh_token;
        removal_done_fn fn;
        void *userdata;
        enum revoke_kind next; /* what is to be revoked next */
        bool any_failed;
        unsigned n_asked;
        struct error error;
        uint64_t fetch_id;
        bool fetching;
        bool storing; /* a callback of the store will come */
        bool unkept;  /* there is no record of it: the refresh token is here from the start */
};

static void removal_free(struct removal *r) {
        registration_done(&r->registration);
        buf_done(&r->refresh_token);
        free(r);
}

/* Tells that it is over, whatever the end; the removal itself may have to stay for a callback. */
static void over(struct removal *r, bool revoked) {
        broker_operation_end(r->broker);
        if (r->fn)
                r->fn(revoked, &r->error, r->userdata);
}

void removal_abandon(struct removal *r) {
        r->grant = NULL;
        if (r->fetching)
                r->broker->workers->fetch_forget(r->broker->wud, r->fetch_id);
        (void)error_set(&r->error, MCPB_CANCELLED, ECANCELED, "Remove it again",
                        "The removal was not finished");
        over(r, false);
        if (!r->storing)
                removal_free(r);
}

void removal_move(struct removal *r, struct grant *to) {
        r->grant = to;
        to->removal = r;
}

/* In a callback of the store: is it still wanted? */
static bool given_up(struct removal *r) {
        r->storing = false;
        if (r->grant)
                return false;
        removal_free(r);
        return true;
}

static struct removal *removal_new(struct grant *g) {
        struct removal *r = calloc(1, sizeof(*r));

        if (!r)
                return NULL;
        r->broker = g->broker;
        r->grant = g;
        g->removal = r;
        return r;
}

int removal_start(struct grant *g, removal_done_fn fn, void *userdata) {
        struct removal *r;
        struct error err = ERROR_INIT;

        if (g->removal || g->state == GRANT_REMOVING)
                return -EALREADY;
        r = removal_new(g);
        if (!r)
                return -ENOMEM;
        r->fn = fn;
        r->userdata = userdata;
        (void)error_set(&err, MCPB_NOT_FOUND, ENOENT, "Add it again with mcp-add",
                        "The server has been removed");
        grant_fail_waiters(g, NULL, false, &err);
        broker_operation_begin(g->broker);
        grant_pump(g);
        return 0;
}

static void finish(struct removal *r) {
        struct grant *g = TAKE(r->grant);
        bool revoked = r->n_asked > 0 && !r->any_failed;

        release_note(r->broker, &(struct release_event){
                                        .event = AUDIT_TOKEN_REVOKE,
                                        .outcome = revoked ? AUDIT_SUCCESS : AUDIT_FAILURE,
                                        .grant = g,
                                        .why = r->error.code != MCPB_NO_ERROR ? &r->error : NULL });
        g->removal = NULL;
        (void)grant_free(g);
        over(r, revoked);
        removal_free(r);
}

static void on_gone(int res, const struct store_item *item, const struct error *err,
                    void *userdata) {
        struct removal *r = userdata;

        if (given_up(r))
                return;
        if (res < 0 && res != -ENOENT && err) {
                r->error = *err;
                log_failure(LOG_ERR, err, "removing a grant");
        }
        finish(r);
}

static void remove_record(struct removal *r) {
        int res = r->unkept ? -ENOENT
                            : later_remove(r->broker, STORE_GRANT, r->grant->key, on_gone, r);

        r->storing = res == 0;
        if (res == 0)
                return;
        if (!r->unkept)
                (void)error_fallback(&r->error, res, "removing the grant's record");
        finish(r);
}

static void revoke_next(struct removal *r);

static void on_revoked(struct fetch_answer *answer, void *userdata) {
        struct removal *r = userdata;
        struct error err = ERROR_INIT;
        uint64_t retry = 0;
        enum revoke_outcome outcome = revoke_answer(&r->grant->as, answer, &retry, &err);

        r->fetching = false;
        if (outcome != REVOKE_DONE) {
                r->error = err;
                r->any_failed = r->any_failed || outcome != REVOKE_OTHER;
        }
        /* Who does not answer now is not asked for the other one as well: somebody waits. */
        if (outcome == REVOKE_LATER)
                r->next = REVOKE_KIND_COUNT;
        revoke_next(r);
}

static int token_to_revoke(struct removal *r, enum revoke_kind kind, struct buf *token) {
        struct lease *l;

        if (kind == REVOKE_REFRESH_TOKEN)
                return r->refresh_token.len > 0
                               ? buf_append(token, r->refresh_token.data, r->refresh_token.len)
                               : -ENOENT;
        LIST_FOREACH(l, &r->grant->leases, struct lease, link)
                if (l->full && lease_left(l) > 0)
                        return shield_open(r->broker->shield, &l->token, token);
        return -ENOENT;
}

static void revoke_next(struct removal *r) {
        while (r->next < REVOKE_KIND_COUNT) {
                enum revoke_kind kind = r->next++;
                AUTO_BUF struct buf token = BUF_INIT;
                struct fetch_request f;
                struct error err = ERROR_INIT;
                int res;

                if (!r->registration.client_id || token_to_revoke(r, kind, &token) < 0)
                        continue;
                fetch_request_init(&f);
                res = revoke_request(&f, &r->registration, &r->grant->as, kind, token.data, &err);
                if (res == 0) {
                        f.allow = broker_grant_allow(r->grant);
                        res = ask_network(r->broker, FETCH_DEAL, &f, on_revoked, r, &r->fetch_id);
                }
                fetch_request_done(&f);
                r->fetching = res == 0;
                if (res == 0) {
                        r->n_asked++;
                        return;
                }
                r->error = err;
                r->any_failed = true;
        }
        remove_record(r);
}

static void on_registration(int res, const struct store_item *item, const struct error *err,
                            void *userdata) {
        struct removal *r = userdata;

        if (given_up(r))
                return;
        if (res == 0)
                res = registration_from_json(&r->registration, item->value);
        if (res < 0)
                registration_done(&r->registration);
        revoke_next(r);
}

static void look_for_registration(struct removal *r) {
        r->storing = later_get(r->broker, STORE_REGISTRATION, r->grant->registration_key,
                               on_registration, r) == 0;
        if (!r->storing)
                remove_record(r);
}

static void on_record(int res, const struct store_item *item, const struct error *err,
                      void *userdata) {
        struct removal *r = userdata;
        const char *token = res == 0 ? json_get_string(item->value, "refresh_token") : NULL;

        if (given_up(r))
                return;
        if (token && buf_append_str(&r->refresh_token, token) < 0)
                r->any_failed = true;
        look_for_registration(r);
}

void removal_go(struct removal *r) {
        if (r->unkept) {
                look_for_registration(r);
                return;
        }
        r->storing = later_get(r->broker, STORE_GRANT, r->grant->key, on_record, r) == 0;
        if (!r->storing)
                remove_record(r);
}

void removal_of_unkept(struct broker *b, const char *name, const json_t *value, unsigned allow) {
        const char *token = json_get_string(value, "refresh_token");
        struct grant *g = NULL;
        struct removal *r = NULL;

        if (grant_from_json(b, name, 0, value, &g) == 0)
                r = removal_new(g);
        if (!r || (token && buf_append_str(&r->refresh_token, token) < 0)) {
                log_warning("Out of memory: tokens that nobody wants any more are not revoked");
                if (r)
                        removal_free(TAKE(g->removal));
                (void)grant_free(g);
                return;
        }
        g->allow = allow;
        r->unkept = true;
        broker_operation_begin(b);
        grant_pump(g);
}

void broker_discard_grant(struct broker *b, struct grant *g) {
        int r = removal_start(g, NULL, NULL);

        if (r < 0 && r != -EALREADY)
                log_warning("A grant that nobody uses any more stays in the store: %s",
                            strerror(-r));
}
