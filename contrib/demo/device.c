/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logins by device code. Who asks too often is told so, and has to wait 5 s longer from then on.
 */
#include "device.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "as.h"
#include "grant.h"
#include "pages.h"

#define LIFE_SEC 300
#define SLOW_DOWN_SEC 5U
#define USER_CODE_LETTERS 8U

enum login_state {
        LOGIN_WAITS,
        LOGIN_ALLOWED,
        LOGIN_DENIED,
        LOGIN_EXPIRED,
};

struct login {
        char *client_id;
        char *client_name;
        char *scope;
        char *resource;
        char *user_code;
        uint64_t interval_sec;
        uint64_t next_msec; /* not asked again before */
        uint64_t expires_msec;
        enum login_state state;
};

struct decision {
        const char *user_code; /* NULL: every one */
        enum login_state state;
        unsigned n;
};

void device_free(void *login) {
        struct login *l = login;

        free(l->client_id);
        free(l->client_name);
        free(l->scope);
        free(l->resource);
        free(l->user_code);
        free(l);
}

/* Consonants only, so that it is no word, in two groups. */
static char *user_code_new(void) {
        static const char letters[] = "BCDFGHJKLMNPQRSTVWXZ";
        struct text t = { 0 };

        for (unsigned i = 0; i < USER_CODE_LETTERS; i++) {
                if (i == USER_CODE_LETTERS / 2)
                        text_puts(&t, "-");
                text_add(&t, &letters[randombytes_uniform(sizeof(letters) - 1)], 1);
        }
        return text_take(&t);
}

static enum login_state state_first(const struct options *o) {
        if (o->auto_consent)
                return LOGIN_ALLOWED;
        return o->auto_deny ? LOGIN_DENIED : LOGIN_WAITS;
}

static void begin(struct exchange *x, const struct client *client, const char *scope,
                  const char *resource) {
        const struct options *o = &x->demo->options;
        struct login *l = mem_new(sizeof(*l));
        char *device_code = random_token("vc_");
        char *page = mem_printf("%s/device", x->at->issuer);
        char *complete;

        l->client_id = mem_string(client->id);
        l->client_name = mem_string(client->name);
        l->scope = mem_string(scope);
        l->resource = mem_string(resource);
        l->user_code = user_code_new();
        l->interval_sec = o->device_interval_sec;
        l->expires_msec = clock_msec() + LIFE_SEC * 1000U;
        l->state = state_first(o);
        complete = mem_printf("%s?user_code=%s", page, l->user_code);
        journal_count(x->demo->journal, COUNT_DEVICE_LOGINS);
        journal_secret(x->demo->journal, SECRET_CODE, device_code);
        reply_json(x->request, 200,
                   json_pack("{s:s, s:s, s:s, s:s, s:i, s:I}", "device_code", device_code,
                             "user_code", l->user_code, "verification_uri", page,
                             "verification_uri_complete", complete, "expires_in", LIFE_SEC,
                             "interval", (json_int_t)l->interval_sec));
        as_no_store(x);
        exchange_note(x, "%s for %s", l->user_code, client->name);
        (void)table_add(x->at->devices, device_code, l);
        free(device_code);
        free(page);
        free(complete);
}

void device_handle(struct exchange *x) {
        const struct form *f = &x->request->form;
        const char *scope = form_get(f, "scope");
        const char *resource = as_resource(x, f);
        const struct client *client;

        if (!x->demo->options.device || !as_form_right(x))
                return;
        client = as_authenticate(x);
        if (!client)
                return;
        if (!client->may_use_device)
                as_error(x, 400, "unauthorized_client", "not registered for this grant");
        else if (scope && (!words_valid(scope) || !words_subset(scope, as_scopes(x))))
                as_error(x, 400, "invalid_scope", "unknown scope");
        else if (!resource)
                as_error(x, 400, "invalid_target", "resource must be one of this server's");
        else
                begin(x, client, scope ? scope : SCOPE_SUMMARY, resource);
}

static void decide_one(void *value, void *userdata) {
        struct decision *d = userdata;
        struct login *l = value;

        if (l->state != LOGIN_WAITS || (d->user_code && strcmp(l->user_code, d->user_code) != 0))
                return;
        l->state = d->state;
        d->n++;
}

unsigned device_decide(struct authority *a, const char *user_code, const char *decision) {
        struct decision d = { .user_code = user_code };

        if (strcmp(decision, "allow") == 0)
                d.state = LOGIN_ALLOWED;
        else
                d.state = strcmp(decision, "deny") == 0 ? LOGIN_DENIED : LOGIN_EXPIRED;
        table_each(a->devices, decide_one, &d);
        return d.n;
}

/* The login of a code that a person typed, while it waits. */
struct search {
        const char *user_code;
        const struct login *found;
};

static void search_one(void *value, void *userdata) {
        struct search *s = userdata;
        const struct login *l = value;

        if (l->state == LOGIN_WAITS && clock_msec() < l->expires_msec &&
            strcmp(l->user_code, s->user_code) == 0)
                s->found = l;
}

static const struct login *find(const struct authority *a, const char *user_code) {
        struct search s = { .user_code = user_code };

        if (user_code)
                table_each(a->devices, search_one, &s);
        return s.found;
}

void device_page(struct exchange *x) {
        bool post = strcmp(x->request->method, "POST") == 0;
        const struct form *f = post ? &x->request->form : &x->request->query;
        const char *user_code = form_get(f, "user_code");
        const char *decision = form_get(f, "decision");
        const struct login *l = find(x->at, user_code);
        bool allow = decision && strcmp(decision, "allow") == 0;

        if (!x->demo->options.device)
                return;
        if (user_code && !l) {
                pages_error(x->request, "This code is not known, was used, or is too old.");
        } else if (!l) {
                pages_code(x->request, x->at->issuer);
        } else if (!post || !decision) {
                pages_consent(x->request, &(struct consent){
                                                  .client_name = l->client_name,
                                                  .scope = l->scope,
                                                  .resource = l->resource,
                                                  .ticket = user_code,
                                                  .issuer = x->at->issuer,
                                          });
        } else {
                journal_count(x->demo->journal, allow ? COUNT_CONSENTS : COUNT_DENIALS);
                (void)device_decide(x->at, user_code, allow ? "allow" : "deny");
                pages_done(x->request);
                exchange_note(x, "%s by device code", allow ? "consent given" : "consent refused");
        }
}

static bool too_early(struct exchange *x, struct login *l) {
        uint64_t now = clock_msec();
        bool early = now < l->next_msec;

        if (early) {
                l->interval_sec += SLOW_DOWN_SEC;
                journal_count(x->demo->journal, COUNT_SLOW_DOWNS);
        }
        l->next_msec = now + l->interval_sec * 1000U;
        return early;
}

static void give(struct exchange *x, const struct client *client, const struct login *l) {
        struct family *family = grant_family(x, client->id, l->scope, l->resource);

        if (!family)
                return;
        if (client->method == METHOD_NONE) /* nothing else binds its refresh tokens */
                family->jkt = mem_string(x->jkt);
        grant_issue(x, family, family->scope, grant_may_refresh(x->demo, client, family->scope));
        exchange_note(x, "tokens for %s", client->name);
        (void)table_remove(x->at->devices, form_get(&x->request->form, "device_code"));
}

void device_grant(struct exchange *x, const struct client *client) {
        const struct form *f = &x->request->form;
        const char *resource = as_resource(x, f);
        struct login *l = table_get(x->at->devices, form_get(f, "device_code"));

        journal_count(x->demo->journal, COUNT_DEVICE_POLLS);
        if (!l || strcmp(l->client_id, client->id) != 0)
                as_error(x, 400, "invalid_grant", "unknown device code");
        else if (!resource || strcmp(resource, l->resource) != 0)
                as_error(x, 400, "invalid_target", "resource is not that of the login");
        else if (l->state == LOGIN_EXPIRED || clock_msec() >= l->expires_msec)
                as_error(x, 400, "expired_token", "the device code has expired");
        else if (too_early(x, l))
                as_error(x, 400, "slow_down", "asked before the interval was over");
        else if (l->state == LOGIN_WAITS)
                as_error(x, 400, "authorization_pending", "the person has not answered yet");
        else if (l->state == LOGIN_DENIED)
                as_error(x, 400, "access_denied", "the person said no");
        else
                give(x, client, l);
}
