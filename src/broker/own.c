/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/own.h"

#include "base/clock.h"
#include "base/log.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/lease.h"
#include "broker/login.h"
#include "broker/server.h"
#include "identity/config.h"
#include "oauth/present.h"

#define FINAL_SEC 60
#define FINAL_MAX_SEC 900
#define TRANSIENT_MAX_SEC 60

/* ---- what is said of it ---- */

const struct present_profile *own_profile(const struct own_settings *o) {
        return o->profile ? present_profile_find(o->profile) : NULL;
}

int own_extra(const struct own_settings *o, json_t **ret) {
        *ret = NULL;
        /* It is our own text: no other fault than that memory lacks. */
        if (o->extra && json_parse(o->extra, strlen(o->extra), 2, ret, NULL) < 0)
                return -ENOMEM;
        return 0;
}

static int no_such_profile(const char *name, struct error *err) {
        AUTO_BUF struct buf names = BUF_INIT;
        const struct present_profile *p;
        int r = 0;

        for (size_t i = 0; r == 0 && (p = present_profile_at(i)) != NULL; i++)
                r = buf_printf(&names, "%s%s", i > 0 ? ", " : "", p->name);
        if (r < 0)
                return error_oom(err);
        return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Leave it out for a server of no such kind",
                         "A profile is one of %s; not '%.64s'", names.data, name);
}

static int check_identity(const char *text, struct error *err) {
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;

        return identity_config_parse(text, &c, err);
}

int own_check(const struct own_settings *o, struct error *err) {
        AUTO_JSON json_t *extra = NULL;
        int r = 0;

        if (o->profile && !own_profile(o))
                return no_such_profile(o->profile, err);
        if (o->audience)
                r = present_audience_check(o->audience, err);
        if (r == 0 && o->identity)
                r = check_identity(o->identity, err);
        if (r < 0)
                return r;
        r = own_extra(o, &extra);
        return r < 0 ? error_oom(err) : present_extra_check(own_profile(o), extra, err);
}

/* ---- which one ---- */

enum present own_present(const struct server *s) {
        enum present p = PRESENT_BROWSER;

        if (s->own.present && present_from_name(s->own.present, &p) < 0)
                return PRESENT_BROWSER;
        return p;
}

bool own_is(const struct server *s) {
        return own_present(s) != PRESENT_BROWSER;
}

struct server *own_of(const struct grant *g) {
        struct server *s;

        LIST_FOREACH(s, (struct list *)(uintptr_t)&g->servers, struct server, grant_link)
                if (own_is(s))
                        return s;
        return NULL;
}

const struct scope_set *own_issuer_scopes(const struct server *s, const struct as_metadata *as) {
        return as->has_scopes && !own_is(s) ? &as->scopes_supported : NULL;
}

/* ---- after a failure ---- */

bool own_holds(const struct server *s, struct error *err) {
        if (clock_boot_usec() >= s->own_not_before)
                return false;
        *err = s->last_error;
        return true;
}

void own_failed(struct server *s, bool final) {
        unsigned n = s->n_own_failures < 10 ? s->n_own_failures++ : 10;
        uint64_t sec = (final ? FINAL_SEC : 1) * ((uint64_t)1 << n);
        uint64_t max = final ? FINAL_MAX_SEC : TRANSIENT_MAX_SEC;

        s->own_not_before = clock_boot_usec() + (sec < max ? sec : max) * USEC_PER_SEC;
}

void own_succeeded(struct server *s) {
        s->n_own_failures = 0;
        s->own_not_before = 0;
}

/* ---- ahead of need ---- */

static void begin(struct server *s) {
        struct error err = ERROR_INIT;
        struct login *l = NULL;

        if (s->login || s->removing || own_holds(s, &err))
                return;
        if (login_start(s, LOGIN_FLOW_ANY, NULL, NULL, false, &l, &err) < 0)
                log_failure(LOG_WARNING, &err, s->name);
}

void own_come_up(struct broker *b) {
        struct server *s;

        if (b->locked || b->locking || b->stopping)
                return;
        LIST_FOREACH(s, &b->all_servers, struct server, list_link) {
                struct grant *g = server_grant(s);
                struct lease *l = g ? grant_find_lease(g, NULL, true) : NULL;

                if (own_is(s) && !s->open && !(l && lease_left(l) > 0))
                        begin(s);
        }
}

void own_renew(struct grant *g) {
        struct server *s = own_of(g);

        if (s)
                begin(s);
}
