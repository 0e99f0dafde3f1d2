/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/declare.h"

#include <stdio.h>

#include "base/log.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/later.h"
#include "broker/own.h"
#include "broker/server.h"
#include "config/config.h"
#include "oauth/registration.h"

int declare_refuse(const struct server *s, const char *what, struct error *err) {
        return error_set(
                err, MCPB_EXISTS, EEXIST,
                "Change or remove that file, then: mcp-brokerctl reload. For its login alone: "
                "mcp-add --logout",
                "%s is declared in %s and %s", s->name, s->declared_in, what);
}

static int replace_text(char **to, const char *text) {
        char *copy = text ? strdup(text) : NULL;

        if (text && !copy)
                return -ENOMEM;
        free(*to);
        *to = copy;
        return 0;
}

/* --- Credentials ----------------------------------------------------------------------------- */

/* A client's credentials on their way into the store, where a login looks for them. */
struct keeping {
        struct broker *broker;
        struct registration registration;
        char *key;
};

static void keeping_free(struct keeping *k) {
        registration_done(&k->registration);
        free(k->key);
        free(k);
}

static const char *credential_of(const struct registration *reg) {
        return reg->client_secret ? reg->client_secret : reg->client_key;
}

/* What is sealed need not lie in memory too. */
static void forget_secret(const struct keeping *k) {
        struct declared *d = &k->broker->config->declared;
        const char *credential = credential_of(&k->registration);

        for (size_t i = 0; i < d->n; i++) {
                struct declared_server *s = &d->items[i];

                if (s->secret && credential && s->client_id &&
                    streq(s->client_id, k->registration.client_id) &&
                    streq(s->issuer, k->registration.issuer) && streq(s->secret, credential))
                        s->secret = str_wipe_free(s->secret);
        }
}

static void kept(struct keeping *k, int r, const struct error *err) {
        if (r == 0)
                forget_secret(k);
        else if (err && r != -ECANCELED)
                log_failure(LOG_WARNING, err, "keeping the credentials of a declared client");
        keeping_free(k);
}

static void on_kept(int r, const struct store_item *item, const struct error *err, void *userdata) {
        kept(userdata, r, err);
}

static bool same_text(const char *a, const char *b) {
        return a && b ? streq(a, b) : a == b;
}

static bool is_same(const struct registration *a, const struct registration *b) {
        return a->how == REGISTRATION_PREREGISTERED &&
               same_text(a->client_secret, b->client_secret) &&
               same_text(a->client_key, b->client_key) && same_text(a->key_id, b->key_id) &&
               same_text(a->signing_alg, b->signing_alg);
}

static int replace(struct keeping *k, uint64_t expect) {
        AUTO_JSON json_t *value = NULL;
        int r = registration_to_json(&k->registration, &value);

        return r < 0 ? r
                     : later_put_over(k->broker,
                                      &(struct store_put){ .kind = STORE_REGISTRATION,
                                                           .key = k->key,
                                                           .expect = expect,
                                                           .value = value },
                                      on_kept, k);
}

static void on_looked_up(int r, const struct store_item *item, const struct error *err,
                         void *userdata) {
        struct keeping *k = userdata;
        AUTO_REGISTRATION struct registration old = REGISTRATION_INIT;
        struct error problem = ERROR_INIT;
        bool known = r == 0 && registration_from_json(&old, item->value) == 0;

        if (r < 0 && r != -ENOENT && r != -EBADMSG) {
                kept(k, r, err);
                return;
        }
        if (known && is_same(&old, &k->registration)) {
                kept(k, 0, NULL);
                return;
        }
        r = replace(k, item ? item->generation : 0);
        if (r == 0)
                return;
        (void)store_error(&problem, r);
        kept(k, r, &problem);
}

static int fill(struct keeping *k, const struct declared_server *d) {
        AUTO_BUF struct buf key = BUF_INIT;

        k->registration.how = REGISTRATION_PREREGISTERED;
        k->registration.auth = CLIENT_AUTH_ANY;
        k->registration.issuer = strdup(d->issuer);
        k->registration.client_id = strdup(d->client_id);
        if (d->secret && d->secret_is_key)
                k->registration.client_key = strdup(d->secret);
        else if (d->secret)
                k->registration.client_secret = strdup(d->secret);
        if (replace_text(&k->registration.key_id, d->own.key_id) < 0 ||
            replace_text(&k->registration.signing_alg, d->own.signing_alg) < 0 ||
            !k->registration.issuer || !k->registration.client_id ||
            (d->secret && !credential_of(&k->registration)) ||
            buf_printf(&key, "%s\n%s", d->issuer, d->client_id) < 0)
                return -ENOMEM;
        k->key = buf_steal(&key);
        return k->key ? 0 : -ENOMEM;
}

static void keep_credentials(struct broker *b, const struct declared_server *d) {
        struct keeping *k;
        int r;

        /* A secret that is not there any more lies in the store already. */
        if (!d->client_id || (d->secret_file && !d->secret))
                return;
        k = calloc(1, sizeof(*k));
        r = k ? fill(k, d) : -ENOMEM;
        if (r == 0) {
                k->broker = b;
                r = later_get(b, STORE_REGISTRATION, k->key, on_looked_up, k);
        }
        if (r == 0)
                return;
        log_warning("The credentials of client %s are not kept: %s", d->client_id, strerror(-r));
        if (k)
                keeping_free(k);
}

/* --- The servers ----------------------------------------------------------------------------- */

static struct server *find(struct broker *b, const struct declared_server *d) {
        AUTO_FREE char *key = NULL;
        struct error err = ERROR_INIT;

        return server_key(d->url, d->account, &key, &err) < 0 ? NULL : strmap_get(b->servers, key);
}

/*
 * A name that a person gave stays where it points (DESIGN 6): a client that asks by this name would
 * send the token to another server. Who comes second gets another.
 */
static char *free_name(struct broker *b, const char *name, const char *url) {
        const struct server *other = strmap_get(b->servers_byname, name);

        if (!other)
                return strdup(name);
        log_warning("The declared server %s cannot be '%s': that is %s already", url, name,
                    other->url);
        return server_choose_name(b, url);
}

static int rename_server(struct server *s, const char *wanted) {
        AUTO_FREE char *name = NULL;
        bool same;
        int r;

        /* In the table is what a person has named. */
        if (strmap_get(s->broker->servers_byname, s->name) == s)
                return 0;
        name = free_name(s->broker, wanted, s->url);
        if (!name)
                return -ENOMEM;
        same = streq(s->name, name);
        free(s->name);
        s->name = TAKE(name);
        r = strmap_put(s->broker->servers_byname, s->name, s);
        if (r == 0 && !same && s->record.generation > 0)
                kept_save_soon(&s->record);
        return r;
}

static int set_members(struct server *s, const struct declared_server *d) {
        AUTO_SCOPES struct scope_set scopes = SCOPE_SET_INIT;
        int r = 0;

        for (size_t i = 0; i < d->n_scopes && r == 0; i++)
                r = scope_set_add(&scopes, d->scopes[i]);
        if (r == 0)
                r = scope_set_copy(&s->user_scopes, &scopes);
        if (r == 0)
                r = replace_text(&s->configured_issuer, d->issuer);
        if (r == 0)
                r = replace_text(&s->client_id, d->client_id);
        if (r == 0)
                r = replace_text(&s->metadata_url, d->metadata_url);
        if (r == 0)
                r = own_settings_copy(&s->own, &d->own);
        s->no_resource = d->no_resource;
        if (r == 0)
                r = replace_text(&s->declared_in, d->file);
        own_succeeded(s); /* whoever wrote that may have mended it */
        return r;
}

static void declare(struct broker *b, const struct declared_server *d) {
        struct server *s = find(b, d);
        AUTO_FREE char *name = NULL;
        struct error err = ERROR_INIT;
        int r = 0;

        if (!s) {
                name = free_name(b, d->name, d->url);
                r = name ? server_new(b, d->url, d->account, name, &s, &err) : -ENOMEM;
                if (r == 0)
                        s->of_declaration = true;
        } else {
                r = rename_server(s, d->name);
        }
        if (r == 0)
                r = set_members(s, d);
        if (r == 0) {
                keep_credentials(b, d);
                return;
        }
        (void)error_fallback(&err, r, "declaring a server");
        log_failure(LOG_ERR, &err, d->file);
}

static void on_forgotten(int r, const struct store_item *item, const struct error *err,
                         void *userdata) {
        if (r < 0 && r != -ENOENT && r != -ECANCELED)
                log_failure(LOG_WARNING, err, "removing what is declared no more");
}

/* One that is declared no more. A login that was given is not lost by that: it becomes one that a
 * person added. */
static void undeclare(struct server *s) {
        struct grant *g = s->grant;

        if (g && !g->own) {
                log_notice("%s is declared no more; it stays, as there is a login", s->name);
                s->of_declaration = false;
                own_settings_done(&s->own); /* the login is a person's */
                if (rename_server(s, s->name) < 0)
                        log_warning("%s has no name until the next start", s->url);
                kept_save_soon(&s->record);
                return;
        }
        if (later_remove(s->broker, STORE_SERVER, s->key, on_forgotten, NULL) < 0)
                log_warning("The record of %s stays in the store until the next start", s->name);
        (void)server_free(s);
        if (g && list_empty(&g->servers))
                broker_discard_grant(g->broker, g);
}

void declare_apply(struct broker *b) {
        const struct declared *d = &b->config->declared;
        struct server *s;

        LIST_FOREACH(s, &b->all_servers, struct server, list_link) {
                free(TAKE(s->declared_in));
                /* Its name is the file's to change; two may have swapped theirs. */
                if (s->of_declaration && strmap_get(b->servers_byname, s->name) == s)
                        (void)strmap_remove(b->servers_byname, s->name);
        }
        for (size_t i = 0; i < d->n; i++)
                declare(b, &d->items[i]);
        LIST_FOREACH(s, &b->all_servers, struct server, list_link)
                if (s->of_declaration && !s->declared_in && !s->removing)
                        undeclare(s);
        own_come_up(b);
}
