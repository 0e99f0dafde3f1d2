/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codes, token families, refresh and access tokens, in bounded tables.
 */
#include "tokens.h"

#include <stdio.h>
#include <stdlib.h>

#include "base.h"
#include "table.h"

#define FAMILIES_MAX 65536U
#define TOKENS_MAX 200000U

struct tokens {
        struct table *codes;
        struct table *families;
        struct table *refresh;
        struct table *access;
        uint64_t n_families;
        uint64_t serial;
        uint64_t dead_until_serial;
};

static void code_free(void *value) {
        struct code *c = value;

        free(c->client_id);
        free(c->redirect_uri);
        free(c->scope);
        free(c->resource);
        free(c->challenge);
        free(c->jkt);
        free(c->nonce);
        free(c);
}

static void family_free(void *value) {
        struct family *f = value;

        free(f->client_id);
        free(f->subject);
        json_decref(f->act);
        free(f->scope);
        free(f->resource);
        free(f->jkt);
        free(f);
}

static void access_free(void *value) {
        struct access_token *a = value;

        free(a->scope);
        free(a->jkt);
        free(a);
}

struct tokens *tokens_new(void) {
        struct tokens *t = mem_new(sizeof(*t));

        t->codes = table_new(FAMILIES_MAX, true, code_free);
        t->families = table_new(FAMILIES_MAX, false, family_free);
        t->refresh = table_new(TOKENS_MAX, true, free);
        t->access = table_new(TOKENS_MAX, true, access_free);
        return t;
}

struct tokens *tokens_free(struct tokens *t) {
        if (!t)
                return NULL;
        t->codes = table_free(t->codes);
        t->refresh = table_free(t->refresh);
        t->access = table_free(t->access);
        t->families = table_free(t->families);
        free(t);
        return NULL;
}

static char *add(struct table *table, const char *prefix, void *value) {
        char *name = random_token(prefix);

        if (!table_add(table, name, value)) {
                free(name);
                return NULL;
        }
        return name;
}

char *tokens_add_code(struct tokens *t, const struct code *code) {
        struct code *c = mem_new(sizeof(*c));

        *c = *code;
        return add(t->codes, "ac_", c);
}

struct family *tokens_add_family(struct tokens *t, const char *client_id, const char *scope,
                                 const char *resource) {
        struct family *f = mem_new(sizeof(*f));
        char key[32];

        f->client_id = mem_string(client_id);
        f->scope = mem_string(scope);
        f->resource = mem_string(resource);
        (void)snprintf(key, sizeof(key), "%llu", (unsigned long long)t->n_families++);
        return table_add(t->families, key, f) ? f : NULL;
}

char *tokens_add_refresh(struct tokens *t, struct family *family) {
        struct refresh_token *r = mem_new(sizeof(*r));

        r->family = family;
        return add(t->refresh, "rt_", r);
}

char *tokens_add_access(struct tokens *t, struct family *family, const char *scope, const char *jkt,
                        uint64_t ttl_msec) {
        struct access_token *a = mem_new(sizeof(*a));

        a->family = family;
        a->scope = mem_string(scope);
        a->jkt = mem_string(jkt);
        a->serial = ++t->serial;
        a->expires_msec = clock_msec() + ttl_msec;
        return add(t->access, "at_", a);
}

struct code *tokens_code(struct tokens *t, const char *name) {
        return table_get(t->codes, name);
}

struct refresh_token *tokens_refresh(struct tokens *t, const char *name) {
        return table_get(t->refresh, name);
}

struct access_token *tokens_access(struct tokens *t, const char *name) {
        return table_get(t->access, name);
}

bool access_token_alive(const struct tokens *t, const struct access_token *a) {
        return !a->revoked && !a->family->revoked && a->serial > t->dead_until_serial &&
               clock_msec() < a->expires_msec;
}

void tokens_expire_access(struct tokens *t) {
        t->dead_until_serial = t->serial;
}

static void refresh_expire(void *value, void *userdata) {
        struct refresh_token *r = value;

        r->revoked = true;
}

void tokens_expire_refresh(struct tokens *t) {
        table_each(t->refresh, refresh_expire, NULL);
}

static void family_revoke(void *value, void *userdata) {
        struct family *f = value;
        unsigned *n = userdata;

        *n += f->revoked ? 0 : 1;
        f->revoked = true;
}

unsigned tokens_revoke_all(struct tokens *t) {
        unsigned n = 0;

        table_each(t->families, family_revoke, &n);
        return n;
}
