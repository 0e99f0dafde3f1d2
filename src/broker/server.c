/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/server.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/name.h"
#include "base/url.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/lease.h"
#include "broker/login.h"
#include "broker/own.h"
#include "broker/recheck.h"
#include "broker/release.h"

static json_t *build_record(const void *owner) {
        return server_to_json(owner);
}

int server_key(const char *url, const char *account, char **ret, struct error *err) {
        AUTO_URL struct url u = URL_INIT;
        AUTO_BUF struct buf b = BUF_INIT;
        int r;

        r = url_check_allowed(url, "server URL", err);
        if (r == 0)
                r = url_parse(&u, url, "server URL", err);
        if (r < 0)
                return r;
        r = url_append_canonical(&u, &b);
        if (r == 0)
                r = buf_printf(&b, " %s", account);
        *ret = r < 0 ? NULL : buf_steal(&b);
        return *ret ? 0 : error_oom(err);
}

int server_check_name(const char *name, struct error *err) {
        if (name_valid(name))
                return 0;
        return error_set(err, MCPB_BAD_PARAMS, EINVAL, NAME_RULE, "'%s' cannot be a name", name);
}

char *server_choose_name(struct broker *b, const char *url) {
        AUTO_URL struct url u = URL_INIT;
        char base[48];
        char name[LIMIT_NAME_BYTES + 1];

        if (url_parse(&u, url, "server URL", NULL) < 0)
                return NULL;
        url_short_name(&u, base, sizeof(base));
        (void)snprintf(name, sizeof(name), "%s", base);
        for (unsigned n = 2;
             strmap_get(b->servers_byname, name) || server_check_name(name, NULL) < 0; n++) {
                if (n > LIMIT_SERVERS)
                        return NULL;
                (void)snprintf(name, sizeof(name), "%s-%u",
                               server_check_name(base, NULL) < 0 ? "server" : base, n);
        }
        return strdup(name);
}

int server_new(struct broker *b, const char *url, const char *account, const char *name,
               struct server **ret, struct error *err) {
        struct server *s;
        int r;

        if (strmap_count(b->servers) >= LIMIT_SERVERS)
                return error_set(err, MCPB_BUSY, E2BIG, "Remove some with mcp-add -d NAME",
                                 "%d servers are known already", LIMIT_SERVERS);
        s = calloc(1, sizeof(*s));
        if (!s)
                return error_oom(err);
        s->broker = b;
        list_init(&s->list_link);
        list_init(&s->grant_link);
        s->added_wall = clock_wall_usec();
        r = server_key(url, account, &s->key, err);
        if (r < 0) {
                (void)server_free(s);
                return r;
        }
        kept_init(&s->record, b, STORE_SERVER, s->key, build_record, s);
        s->url = strdup(url);
        s->account = strdup(account);
        s->name = strdup(name);
        if (!s->url || !s->account || !s->name || strmap_put(b->servers, s->key, s) < 0 ||
            strmap_put(b->servers_byname, s->name, s) < 0) {
                (void)server_free(s);
                return error_oom(err);
        }
        list_append(&b->all_servers, &s->list_link);
        *ret = s;
        return 0;
}

/* Nobody waits for what goes: neither at its login nor at a grant that other servers share. */
static void send_away(struct server *s) {
        struct broker_call *c;
        struct error err = ERROR_INIT;

        (void)error_set(&err, MCPB_NOT_FOUND, ENOENT, "Add it again with mcp-add",
                        "The server has been removed");
        LIST_FOREACH(c, &s->broker->calls, struct broker_call, all_link) {
                if (c->server != s)
                        continue;
                if (c->grant || c->looking)
                        release_refused(c, &err);
                else
                        c->server = NULL;
        }
        err.code = MCPB_LOGIN_CANCELLED;
        if (s->login)
                login_cancel(s->login, &err);
}

struct server *server_free(struct server *s) {
        struct login *l;

        if (!s)
                return NULL;
        send_away(s);
        if (s->key && strmap_get(s->broker->servers, s->key) == s)
                (void)strmap_remove(s->broker->servers, s->key);
        if (s->name && strmap_get(s->broker->servers_byname, s->name) == s)
                (void)strmap_remove(s->broker->servers_byname, s->name);
        list_remove(&s->list_link);
        list_remove(&s->grant_link);
        LIST_FOREACH(l, &s->broker->all_logins, struct login, list_link)
                if (l->server == s)
                        l->server = NULL;
        recheck_cancel(s);
        kept_done(&s->record);
        scope_set_done(&s->user_scopes);
        scope_refusal_done(&s->refusal);
        scope_attempts_done(&s->step_ups);
        scope_set_done(&s->last_requested);
        free(s->key);
        free(s->name);
        free(s->url);
        free(s->account);
        free(s->configured_issuer);
        free(s->client_id);
        free(s->metadata_url);
        own_settings_done(&s->own);
        free(s->issuer);
        free(s->resource);
        free(s->prm_url);
        free(s->registration_key);
        free(s->grant_key);
        free(s->declared_in);
        free(s);
        return NULL;
}

/* The string members of a record, in one table for both directions. */
static const struct {
        const char *name;
        size_t offset;
} string_members[] = {
        { "configured_issuer", offsetof(struct server, configured_issuer) },
        { "client_id", offsetof(struct server, client_id) },
        { "client_metadata_url", offsetof(struct server, metadata_url) },
        { "issuer", offsetof(struct server, issuer) },
        { "resource", offsetof(struct server, resource) },
        { "prm_url", offsetof(struct server, prm_url) },
        { "registration_key", offsetof(struct server, registration_key) },
        { "grant_key", offsetof(struct server, grant_key) },
};

static int add_last_error(const struct server *s, json_t *value) {
        if (s->last_error.code == MCPB_NO_ERROR)
                return 0;
        return json_object_set_new(
                value, "last_error",
                json_pack("{s:s, s:s, s:s, s:I}", "code", error_name(s->last_error.code), "message",
                          s->last_error.message, "hint", s->last_error.hint, "time",
                          (json_int_t)(s->last_error_wall / USEC_PER_SEC)));
}

/* Beside the others, for there an "audience" or a "profile" may come to be something else. */
static int add_own(const struct server *s, json_t *value) {
        json_t *own = json_object();

        if (!own || json_object_set_new(value, "own", own) < 0)
                return -ENOMEM;
        return own_settings_to_json(&s->own, own);
}

json_t *server_to_json(const struct server *s) {
        AUTO_JSON json_t *value = NULL;

        value = json_pack(
                "{s:s, s:s, s:s, s:o, s:o, s:b, s:i, s:b, s:b, s:b, s:I}", "name", s->name, "url",
                s->url, "account", s->account, "scopes", scopes_value(&s->user_scopes),
                "last_requested", scopes_value(&s->last_requested), "no_resource", s->no_resource,
                "allow", (int)s->allow, "open", s->open, "issuer_changed", s->issuer_changed,
                "declared", s->of_declaration, "added", (json_int_t)(s->added_wall / USEC_PER_SEC));
        if (!value)
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(string_members); i++) {
                const char *text =
                        *(char *const *)(const void *)((const char *)s + string_members[i].offset);

                if (text &&
                    json_object_set_new(value, string_members[i].name, json_string(text)) < 0)
                        return NULL;
        }
        if (add_last_error(s, value) < 0 || (own_settings_any(&s->own) && add_own(s, value) < 0))
                return NULL;
        return TAKE(value);
}

static int load_members(struct server *s, const json_t *value) {
        const json_t *e = json_object_get(value, "last_error");

        for (size_t i = 0; i < ARRAY_SIZE(string_members); i++) {
                const char *text = json_get_string(value, string_members[i].name);
                char **member = (char **)(void *)((char *)s + string_members[i].offset);

                if (!text)
                        continue;
                *member = strdup(text);
                if (!*member)
                        return -ENOMEM;
        }
        s->no_resource = json_get_bool(value, "no_resource", false);
        s->allow = (unsigned)json_get_int(value, "allow", 0) & 7u;
        s->open = json_get_bool(value, "open", false);
        s->issuer_changed = json_get_bool(value, "issuer_changed", false);
        s->of_declaration = json_get_bool(value, "declared", false);
        s->added_wall = (uint64_t)json_get_int(value, "added", 0) * USEC_PER_SEC;
        if (json_is_object(e) && json_get_string(e, "message")) {
                (void)error_set(&s->last_error, error_from_name(json_get_string(e, "code") ?: ""),
                                0, json_get_string(e, "hint"), "%s", json_get_string(e, "message"));
                s->last_error_wall = (uint64_t)json_get_int(e, "time", 0) * USEC_PER_SEC;
        }
        if (own_settings_from_json(&s->own, json_object_get(value, "own")) < 0 ||
            scope_set_from_json(&s->user_scopes, json_object_get(value, "scopes"), NULL) < 0 ||
            scope_set_from_json(&s->last_requested, json_object_get(value, "last_requested"),
                                NULL) < 0)
                return -ENOMEM;
        return 0;
}

/* One of a declaration is not found by its name until declare_apply() has judged it: meanwhile a
 * person may have given that name to another. */
static int new_unnamed(struct broker *b, const json_t *value, struct server **ret,
                       struct error *err) {
        AUTO_FREE char *name = strdup(json_get_string(value, "name"));
        char none[32]; /* nobody's name begins so */
        struct server *s = NULL;
        int r;

        if (!name)
                return error_oom(err);
        (void)snprintf(none, sizeof(none), ".%zu", strmap_count(b->servers));
        r = server_new(b, json_get_string(value, "url"), json_get_string(value, "account"), none,
                       &s, err);
        if (r < 0)
                return r;
        assert(s);
        (void)strmap_remove(b->servers_byname, none);
        free(s->name);
        s->name = TAKE(name);
        *ret = s;
        return 0;
}

int server_from_json(struct broker *b, const json_t *value, struct server **ret,
                     struct error *err) {
        const char *url = json_get_string(value, "url");
        const char *account = json_get_string(value, "account");
        const char *name = json_get_string(value, "name");
        bool declared = json_get_bool(value, "declared", false);
        struct server *s = NULL;
        int r;

        if (!url || !account || !name || server_check_name(name, NULL) < 0 ||
            (!declared && strmap_get(b->servers_byname, name)))
                return error_set(err, MCPB_STORE_CORRUPT, EBADMSG,
                                 "Add the server again with mcp-add",
                                 "The record of a server lacks its name or URL, or repeats a name");
        r = declared ? new_unnamed(b, value, &s, err) : server_new(b, url, account, name, &s, err);
        if (r < 0)
                return r;
        if (load_members(s, value) < 0) {
                (void)server_free(s);
                return error_oom(err);
        }
        *ret = s;
        return 0;
}

static int find_by_url(struct broker *b, const char *url, const char *account, struct server **ret,
                       struct error *err) {
        AUTO_FREE char *key = NULL;
        struct server *found = NULL;
        struct server *s;
        size_t n;
        int r = server_key(url, account ? account : "", &key, err);

        if (r < 0)
                return r;
        *ret = strmap_get(b->servers, key);
        if (*ret || account)
                return 0;
        n = strlen(key); /* ends in a blank, as the account is empty */
        LIST_FOREACH(s, &b->all_servers, struct server, list_link) {
                if (strncmp(s->key, key, n) != 0)
                        continue;
                if (found)
                        return error_set(err, MCPB_AMBIGUOUS, EEXIST,
                                         "Say which with --account, or use the name",
                                         "Several accounts use %s", url);
                found = s;
        }
        *ret = found;
        return 0;
}

int server_find(struct broker *b, const char *name_or_url, const char *account, struct server **ret,
                struct error *err) {
        struct server *s = NULL;
        char hint[sizeof(err->hint)];
        int r;

        if (strstr(name_or_url, "://")) {
                r = find_by_url(b, name_or_url, account, &s, err);
                if (r < 0)
                        return r;
        } else {
                s = strmap_get(b->servers_byname, name_or_url);
                if (s && account && !streq(s->account, account))
                        s = NULL;
        }
        if (!s || s->removing) {
                (void)snprintf(hint, sizeof(hint), "Add it with: mcp-add %s", name_or_url);
                return error_set(err, MCPB_NOT_FOUND, ENOENT,
                                 strstr(name_or_url, "://")
                                         ? hint
                                         : "mcp-list shows the names; mcp-add URL adds a server",
                                 "No server '%s'%s%s is known", name_or_url,
                                 account ? " for account " : "", account ? account : "");
        }
        *ret = s;
        return 0;
}

struct grant *server_grant(const struct server *s) {
        /* Who declares another issuer than the login is of wants that one (A71). */
        if (s->declared_in && s->issuer && s->configured_issuer &&
            !streq(s->issuer, s->configured_issuer))
                return NULL;
        /* What a person was granted is not what the machine itself may do, nor the other way. */
        if (s->grant && s->grant->own != own_is(s))
                return NULL;
        return s->issuer_changed ? NULL : s->grant;
}

void server_note_error(struct server *s, const struct error *err) {
        s->last_error = *err;
        s->last_error_wall = clock_wall_usec();
}

void server_clear_error(struct server *s) {
        s->last_error = ERROR_INIT;
        s->last_error_wall = 0;
}

struct discover_params server_discovery(const struct server *s, const struct challenge *challenge) {
        return (struct discover_params){
                .server_url = s->url,
                .challenge = challenge,
                .challenge_is_hint = true,
                .recorded_prm_url = s->prm_url,
                .probe = true,
                .known_issuers = (const char *const *)&s->issuer,
                .n_known = s->issuer ? 1 : 0,
                .configured_issuer = s->configured_issuer,
                .use = own_is(s) ? AS_USE_TOKEN : AS_USE_CODE,
                .server_allow = s->allow,
        };
}

/* Without a person there is nothing that somebody would have to do, unless it fails. */
static const char *own_state(const struct server *s) {
        struct grant *g = server_grant(s);
        struct lease *l = g ? grant_find_lease(g, NULL, true) : NULL;

        if (l && lease_left(l) > 0)
                return grant_state_name(g);
        return s->last_error.code != MCPB_NO_ERROR ? "error" : "idle";
}

const char *server_state(const struct server *s) {
        if (s->broker->locked)
                return "locked";
        if (s->login)
                return "login_pending";
        if (s->open)
                return "open";
        if (own_is(s))
                return own_state(s);
        if (!server_grant(s))
                return s->last_error.code != MCPB_NO_ERROR && !s->grant ? "error"
                                                                        : "login_required";
        return grant_state_name(s->grant);
}

/* After a failure, how long nothing else is tried. */
static int add_held(const struct server *s, json_t *value) {
        uint64_t now = clock_boot_usec();
        uint64_t held = own_is(s) && s->own_not_before > now ? s->own_not_before - now : 0;

        if (held == 0)
                return 0;
        held = held / USEC_PER_SEC + 1;
        return json_object_set_new(value, "held", json_integer((json_int_t)held));
}

json_t *server_describe(const struct server *s) {
        AUTO_JSON json_t *value = NULL;
        const struct scope_set *scopes = s->grant ? &s->grant->scopes : &s->user_scopes;

        value = json_pack("{s:s, s:s, s:s, s:s, s:o, s:I}", "name", s->name, "url", s->url,
                          "account", s->account, "state", server_state(s), "scopes",
                          scopes_value(scopes), "added",
                          (json_int_t)(s->added_wall / USEC_PER_SEC));
        if (!value)
                return NULL;
        if ((s->issuer && json_object_set_new(value, "issuer", json_string(s->issuer)) < 0) ||
            (s->resource && json_object_set_new(value, "resource", json_string(s->resource)) < 0) ||
            (s->no_resource && json_object_set_new(value, "no_resource", json_true()) < 0) ||
            (s->grant && grant_describe(s->grant, value) < 0) ||
            (s->login && json_object_set_new(value, "login", json_string(s->login->id)) < 0) ||
            (s->declared_in &&
             json_object_set_new(value, "declared", json_string(s->declared_in)) < 0) ||
            own_settings_to_json(&s->own, value) < 0 || add_held(s, value) < 0)
                return NULL;
        if (add_last_error(s, value) < 0)
                return NULL;
        return TAKE(value);
}
