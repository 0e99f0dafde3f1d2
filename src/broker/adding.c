/* SPDX-License-Identifier: Apache-2.0 */
/* server.add: what mcp-add asks. */
#include <stdio.h>

#include "base/limits.h"
#include "base/url.h"
#include "broker/declare.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/later.h"
#include "broker/login-steps.h"
#include "broker/own.h"
#include "broker/server.h"
#include "crypto/hash.h"
#include "identity/config.h"
#include "oauth/registration.h"

#define HINT_FORGET "Forget it first with: mcp-add -d %s"

enum choice {
        CHOICE_ISSUER,
        CHOICE_CLIENT_ID,
        CHOICE_METADATA_URL,
        CHOICE_OWN, /* and those behind it: how it is logged in to without a person */
        CHOICE_COUNT = CHOICE_OWN + OWN_SETTINGS_COUNT,
};

static const char *const choice_names[CHOICE_OWN] = {
        [CHOICE_ISSUER] = "issuer",
        [CHOICE_CLIENT_ID] = "client id",
        [CHOICE_METADATA_URL] = "client metadata URL",
};

static const char *choice_name(int c) {
        return c < CHOICE_OWN ? choice_names[c]
                              : own_settings_param((enum own_setting)(c - CHOICE_OWN));
}

struct adding {
        struct broker *broker;
        struct list holder; /* the call, or nothing if its peer went away */
        char *server_key;
        bool created;
        bool login;
        enum login_flow flow;
        struct scope_set login_scopes; /* of this login only; empty: by the rules */
        bool applied;
        /* What the server shall have, where it is given; once that is applied, what it had. */
        char *texts[CHOICE_COUNT];
        bool given[CHOICE_COUNT];
        bool no_resource;
        bool has_no_resource;
        struct scope_set scopes;
        bool has_scopes;
        struct registration registration;
        bool has_registration;
};

/* The server, unless another has taken its place while this was under way. */
static struct server *adding_server(const struct adding *a) {
        struct server *s = a->server_key ? strmap_get(a->broker->servers, a->server_key) : NULL;

        return s && s->changing == a ? s : NULL;
}

static bool adding_changes(const struct adding *a) {
        bool any = a->created || a->has_scopes || a->has_no_resource;

        for (int i = 0; i < CHOICE_COUNT; i++)
                any = any || a->given[i];
        return any;
}

static void adding_free(struct adding *a) {
        struct server *s = adding_server(a);

        if (s)
                s->changing = NULL;
        registration_done(&a->registration);
        scope_set_done(&a->login_scopes);
        scope_set_done(&a->scopes);
        for (int i = 0; i < CHOICE_COUNT; i++)
                free(a->texts[i]);
        free(a->server_key);
        free(a);
}

static char **choice_of(struct server *s, enum choice c) {
        char **const members[CHOICE_OWN] = {
                [CHOICE_ISSUER] = &s->configured_issuer,
                [CHOICE_CLIENT_ID] = &s->client_id,
                [CHOICE_METADATA_URL] = &s->metadata_url,
        };

        return c < CHOICE_OWN ? members[c]
                              : own_settings_at(&s->own, (enum own_setting)(c - CHOICE_OWN));
}

/* Once: the server has what was asked for. Twice: it is as it was. */
static void adding_swap(struct adding *a, struct server *s) {
        struct scope_set kept = s->user_scopes;
        bool left_out = s->no_resource;

        for (int i = 0; i < CHOICE_COUNT; i++) {
                char **is = choice_of(s, (enum choice)i);
                char *had = *is;

                if (!a->given[i])
                        continue;
                *is = a->texts[i];
                a->texts[i] = had;
        }
        if (a->has_no_resource) {
                s->no_resource = a->no_resource;
                a->no_resource = left_out;
        }
        if (a->has_scopes) {
                s->user_scopes = a->scopes;
                a->scopes = kept;
        }
        a->applied = !a->applied;
}

/* What the server would then be told of how to log in without a person. */
static int own_of_both(const struct adding *a, struct server *s, struct own_settings *ret) {
        int r = s ? own_settings_copy(ret, &s->own) : 0;

        for (int i = CHOICE_OWN; i < CHOICE_COUNT && r == 0; i++) {
                char **to = own_settings_at(ret, (enum own_setting)(i - CHOICE_OWN));

                if (!a->given[i])
                        continue;
                free(*to);
                *to = strdup(a->texts[i]);
                r = *to ? 0 : -ENOMEM;
        }
        return r;
}

/* By the same rules as a file of servers.d. @s is NULL for a new one. What follows from what is
 * given, and was not said, goes to *@ret_present. */
static int judge_own(const struct adding *a, struct server *s, const struct own_client *client,
                     char **ret_present, struct error *err) {
        struct own_settings own = { 0 };
        bool said;
        int r = own_of_both(a, s, &own);

        said = own.present != NULL;
        if (r == 0 && own_settings_any(&own))
                r = own_settings_judge(&own, client, OWN_WORDS_OPTION, err);
        else if (r < 0)
                (void)error_oom(err);
        if (r == 0 && !said && ret_present)
                *ret_present = TAKE(own.present);
        own_settings_done(&own);
        return r;
}

static struct broker_call *adding_call(struct adding *a) {
        return LIST_FIRST(&a->holder, struct broker_call, link);
}

static void adding_failed(struct adding *a, const struct error *err) {
        struct broker_call *c = adding_call(a);
        struct server *s = adding_server(a);

        if (s && a->applied && !a->created && !s->declared_in) {
                adding_swap(a, s);
                kept_save_soon(&s->record); /* a write that failed may have happened */
        }
        if (s && a->created && !s->declared_in)
                (void)server_free(s);
        if (c)
                call_fail(c, err);
        adding_free(a);
}

static void on_added(int r, const struct error *err, void *userdata) {
        struct adding *a = userdata;
        struct server *s = strmap_get(a->broker->servers, a->server_key);
        struct broker_call *c = adding_call(a);
        struct error problem = ERROR_INIT;
        struct login *l = NULL;

        if (r < 0) {
                adding_failed(a, err);
                return;
        }
        if (!c || !s) {
                adding_free(a);
                return;
        }
        if (s->removing) {
                (void)error_set(&problem, MCPB_NOT_FOUND, ENOENT, "Add it again with mcp-add",
                                "%s was removed while it was added", s->name);
                a->created = false; /* the removal takes it away */
                adding_failed(a, &problem);
                return;
        }
        list_remove(&c->link);
        if (!a->login) {
                adding_free(a);
                call_reply(c, json_pack("{s:o}", "server", server_describe(s)));
                return;
        }
        /* The server stays if the login does not begin: its error is shown by mcp-list. */
        scope_attempts_done(&s->step_ups); /* a person has asked */
        r = login_start(s, a->flow, a->login_scopes.n > 0 ? &a->login_scopes : NULL, NULL, false,
                        &l, &problem);
        adding_free(a);
        if (r < 0)
                call_fail(c, &problem);
        else
                login_join(l, c);
}

static void save_server(struct adding *a) {
        struct server *s = strmap_get(a->broker->servers, a->server_key);
        struct error err = ERROR_INIT;
        int r;

        if (!s || (adding_changes(a) && s->changing != a))
                r = error_set(&err, MCPB_NOT_FOUND, ENOENT, "Add it again with mcp-add",
                              "The server was removed while it was added");
        else {
                /* A file that came in between has the last word. */
                if (adding_changes(a) && !s->declared_in)
                        adding_swap(a, s);
                r = kept_save(&s->record, on_added, a);
        }
        if (r < 0) {
                (void)error_fallback(&err, r, "keeping the server");
                adding_failed(a, &err);
        }
}

static void on_credentials_saved(int r, const struct store_item *item, const struct error *err,
                                 void *userdata) {
        if (r < 0)
                adding_failed(userdata, err);
        else
                save_server(userdata);
}

/* A server that lives by these credentials, or is about to. */
static const struct server *user_of(const struct adding *a, const char *key) {
        const struct registration *reg = &a->registration;
        const struct server *s;

        LIST_FOREACH(s, &a->broker->all_servers, struct server, list_link) {
                if (s->grant && streq(s->grant->registration_key, key))
                        return s;
                if (s != adding_server(a) && s->client_id && s->configured_issuer &&
                    streq(s->client_id, reg->client_id) && streq(s->configured_issuer, reg->issuer))
                        return s;
        }
        return NULL;
}

static bool same_secret(const char *a, const char *b) {
        return a && b ? strlen(a) == strlen(b) && secret_equal(a, b, strlen(a)) : a == b;
}

static bool same_credentials(const struct registration *a, const struct registration *b) {
        return same_secret(a->client_secret, b->client_secret) &&
               same_secret(a->client_key, b->client_key) && streq_null(a->key_id, b->key_id) &&
               streq_null(a->signing_alg, b->signing_alg);
}

static bool has_credentials(const struct registration *r) {
        return r->client_secret || r->client_key;
}

/* Is there what the way of presenting needs? Known only when it is known what the store has. */
static int judge_credentials(const struct adding *a, const struct registration *reg,
                             struct error *err) {
        const struct own_client client = { .id = true,
                                           .secret = reg->client_secret != NULL,
                                           .key = reg->client_key != NULL };
        struct server *s = adding_server(a);

        return s ? judge_own(a, s, &client, NULL, err) : 0;
}

/* Is @item, what is there, to be left as it is? With another secret those who use it would be cut
 * off, and no person was asked: -EEXIST. */
static int leave_credentials(const struct adding *a, const struct store_item *item, const char *key,
                             bool *ret, struct error *err) {
        AUTO_REGISTRATION struct registration stored = REGISTRATION_INIT;
        const struct server *user = user_of(a, key);

        if (!item || registration_from_json(&stored, item->value) < 0)
                return 0;
        *ret = same_credentials(&stored, &a->registration) ||
               (user && !has_credentials(&a->registration));
        if (*ret)
                return judge_credentials(a, &stored, err);
        if (!user)
                return 0;
        (void)error_set(err, MCPB_EXISTS, EEXIST, NULL,
                        "%s uses the client %s with another secret%s already", user->name,
                        a->registration.client_id,
                        stored.client_key || a->registration.client_key ? " or key" : "");
        (void)snprintf(err->hint, sizeof(err->hint), HINT_FORGET, user->name);
        return -EEXIST;
}

static void on_credentials_looked_up(int r, const struct store_item *item, const struct error *err,
                                     void *userdata) {
        struct adding *a = userdata;
        AUTO_JSON json_t *value = NULL;
        AUTO_BUF struct buf key = BUF_INIT;
        struct error problem = ERROR_INIT;
        bool leave = false;

        if (r < 0 && r != -ENOENT && r != -EBADMSG) {
                adding_failed(a, err);
                return;
        }
        r = registration_to_json(&a->registration, &value);
        if (r == 0)
                r = buf_printf(&key, "%s\n%s", a->registration.issuer, a->registration.client_id);
        if (r == 0)
                r = leave_credentials(a, item, key.data, &leave, &problem);
        if (r == 0 && !leave)
                r = judge_credentials(a, &a->registration, &problem);
        if (r == 0 && leave) {
                save_server(a);
                return;
        }
        if (r == 0)
                r = later_put_over(a->broker,
                                   &(struct store_put){ .kind = STORE_REGISTRATION,
                                                        .key = key.data,
                                                        .expect = item ? item->generation : 0,
                                                        .value = value },
                                   on_credentials_saved, a);
        if (r < 0) {
                (void)error_fallback(&problem, r, "keeping the client's credentials");
                adding_failed(a, &problem);
        }
}

static void save_credentials(struct adding *a) {
        AUTO_BUF struct buf key = BUF_INIT;
        struct error err = ERROR_INIT;
        int r = buf_printf(&key, "%s\n%s", a->registration.issuer, a->registration.client_id);

        if (r == 0)
                r = later_get(a->broker, STORE_REGISTRATION, key.data, on_credentials_looked_up, a);
        if (r < 0) {
                (void)error_fallback(&err, r, "keeping the client's credentials");
                adding_failed(a, &err);
        }
}

struct add_params {
        const char *url;
        const char *name;
        const char *account;
        const char *client_id;
        const char *client_secret;
        const char *client_key;
        const char *issuer;
        const char *metadata_url;
        struct own_settings own;
        struct scope_set scopes;
        bool has_scopes;
        bool no_resource;
        bool login;
        enum login_flow flow;
};

/* Whoever typed it can mend it, not whoever runs that site. */
static int check_issuer(const char *issuer, struct error *err) {
        struct error why = ERROR_INIT;
        int r = as_issuer_check(issuer, &why);

        if (r < 0 && why.code == MCPB_ISSUER_ERROR)
                return error_set(err, MCPB_BAD_PARAMS, EINVAL,
                                 "Give the issuer's identifier, such as https://login.example.com",
                                 "%s", why.message);
        return r < 0 ? error_set(err, why.code, -r, why.hint, "%s", why.message) : 0;
}

/* Who may run mcp-add must not thereby have the daemon run a program for them, which is not bound
 * by what they are confined to. */
static int refuse_command(const char *identity, struct error *err) {
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        int r = identity_config_parse(identity, &c, err);

        if (r < 0 || !streq(c.provider, "exec"))
                return r;
        return error_set(err, MCPB_BAD_PARAMS, EINVAL,
                         "Declare the server in a file; see mcp-broker-servers(5)",
                         "A program that the daemon is to start is named in a file only");
}

static int check_own(const struct add_params *p, struct error *err) {
        const char *present = p->own.present;
        int r = own_check(&p->own, err);

        if (r == 0 && p->flow == LOGIN_FLOW_DEVICE && present && !streq(present, "browser"))
                r = login_refuse_device(err);
        if (r == 0 && p->own.identity)
                r = refuse_command(p->own.identity, err);
        /* It was not read in a file: whoever gave it can mend it. */
        if (r < 0 && err->code == MCPB_BAD_CONFIG)
                err->code = MCPB_BAD_PARAMS;
        return r;
}

static int check_credentials(const struct add_params *p, struct error *err) {
        bool any = p->client_secret || p->client_key;

        if (p->client_id && !p->issuer)
                return error_set(err, MCPB_BAD_PARAMS, EINVAL,
                                 "Add --issuer: credentials belong to one issuer",
                                 "A client id was given without its issuer");
        if (p->client_secret && p->client_key)
                return error_set(err, MCPB_BAD_PARAMS, EINVAL,
                                 "A client proves itself in one way: leave one of them out",
                                 "A client secret and a client key were given");
        if ((any || p->own.key_id || p->own.signing_alg) && !p->client_id)
                return error_set(err, MCPB_BAD_PARAMS, EINVAL, "Add --client-id",
                                 "A client %s was given without a client id",
                                 p->client_secret ? "secret" : "key");
        return 0;
}

static int check_add(const struct add_params *p, struct error *err) {
        int r = url_check_allowed(p->url, "server URL", err);

        if (r == 0 && p->name)
                r = server_check_name(p->name, err);
        if (r == 0 && p->account[0])
                r = server_check_name(p->account, err);
        if (r == 0 && p->issuer)
                r = check_issuer(p->issuer, err);
        if (r == 0 && p->metadata_url)
                r = client_metadata_url_check(p->metadata_url, err);
        if (r == 0)
                r = check_credentials(p, err);
        return r < 0 ? r : check_own(p, err);
}

static int parse_extra(struct broker_call *c, struct add_params *p, struct error *err) {
        json_t *given = json_object_get(c->params, own_settings_param(OWN_extra));
        const char *name;
        json_t *value;
        int r = 0;

        json_object_foreach(given, name, value) {
                if (r == 0)
                        r = own_settings_add_extra(&p->own.extra, name, json_string_value(value),
                                                   OWN_WORDS_OPTION, err);
        }
        return r;
}

static int parse_own(struct broker_call *c, struct add_params *p, struct error *err) {
        for (int i = 0; i < OWN_SETTINGS_COUNT; i++) {
                enum own_setting which = (enum own_setting)i;
                const char *text = NULL;
                char **to = own_settings_at(&p->own, which);
                int r;

                if (which == OWN_extra)
                        continue;
                r = call_string(c, own_settings_param(which), false, &text, err);
                if (r == 0 && text)
                        r = own_settings_check(which, text, OWN_WORDS_OPTION, err);
                if (r < 0)
                        return r;
                *to = text ? strdup(text) : NULL;
                if (text && !*to)
                        return error_oom(err);
        }
        return parse_extra(c, p, err);
}

static int parse_add(struct broker_call *c, struct add_params *p, struct error *err) {
        int r = call_string(c, "url", true, &p->url, err);

        if (r == 0)
                r = call_string(c, "name", false, &p->name, err);
        if (r == 0)
                r = call_string(c, "account", false, &p->account, err);
        if (r == 0)
                r = call_string(c, "client_id", false, &p->client_id, err);
        if (r == 0)
                r = call_string(c, "client_secret", false, &p->client_secret, err);
        if (r == 0)
                r = call_string(c, "client_key", false, &p->client_key, err);
        if (r == 0)
                r = call_string(c, "issuer", false, &p->issuer, err);
        if (r == 0)
                r = call_string(c, "client_metadata_url", false, &p->metadata_url, err);
        if (r == 0)
                r = call_scopes(c, &p->scopes, &p->has_scopes, err);
        if (r == 0)
                r = call_bool(c, "no_resource", false, &p->no_resource, err);
        if (r == 0)
                r = call_bool(c, "login", false, &p->login, err);
        if (r == 0)
                r = login_flow_asked(c, &p->flow, err);
        if (r == 0)
                r = parse_own(c, p, err);
        p->account = p->account ? p->account : "";
        return r < 0 ? r : check_add(p, err);
}

static int copy_choices(struct adding *a, const struct add_params *p) {
        const char *asked[CHOICE_COUNT] = {
                [CHOICE_ISSUER] = p->issuer,
                [CHOICE_CLIENT_ID] = p->client_id,
                [CHOICE_METADATA_URL] = p->metadata_url,
        };

        for (int i = CHOICE_OWN; i < CHOICE_COUNT; i++)
                asked[i] = *own_settings_at((struct own_settings *)(uintptr_t)&p->own,
                                            (enum own_setting)(i - CHOICE_OWN));
        for (int i = 0; i < CHOICE_COUNT; i++) {
                a->given[i] = asked[i] != NULL;
                if (!asked[i])
                        continue;
                a->texts[i] = strdup(asked[i]);
                if (!a->texts[i])
                        return -ENOMEM;
        }
        a->has_no_resource = a->no_resource = p->no_resource;
        a->has_scopes = p->has_scopes;
        return p->has_scopes ? scope_set_copy(&a->scopes, &p->scopes) : 0;
}

static int refuse_change(const struct server *s, const char *what, const char *is,
                         const char *asked, struct error *err) {
        (void)error_set(err, MCPB_EXISTS, EEXIST, NULL, "%s is known with another %s: %s, not %s",
                        s->name, what, is, asked);
        (void)snprintf(err->hint, sizeof(err->hint), HINT_FORGET, s->name);
        return -EEXIST;
}

/* Who we are there, to whom we go, and that tokens are asked for this server alone: once a server
 * has that it is changed by nobody but a person, and a server.add asks none. What it has not it may
 * get, as long as nobody has logged in or is about to. Other scopes are only what the next login
 * asks the person for. */
static int check_known(struct server *s, const struct adding *a, struct error *err) {
        bool in_use = s->grant || s->grant_key || s->login;

        for (int i = 0; i < CHOICE_COUNT; i++) {
                const char *is = *choice_of(s, (enum choice)i);

                if (i == CHOICE_ISSUER && !is && in_use)
                        is = s->issuer;
                if (!a->given[i] || (is ? streq(a->texts[i], is) : !in_use))
                        continue;
                return refuse_change(s, choice_name(i), is ? is : "none", a->texts[i], err);
        }
        if (a->has_no_resource && !s->no_resource && in_use)
                return refuse_change(s, "use of the parameter resource", "sent", "left out", err);
        return 0;
}

/* A declaration says how to log in there, once and for all; scopes can be asked for all the same,
 * in the login that begins now. */
static int check_declared(const struct server *s, struct adding *a, struct error *err) {
        bool given = a->has_no_resource;

        for (int i = 0; i < CHOICE_COUNT; i++)
                given = given || a->given[i];
        if (given)
                return declare_refuse(s, "how to log in is said there", err);
        a->login_scopes = a->scopes;
        a->scopes = SCOPE_SET_INIT;
        a->has_scopes = false;
        return 0;
}

/* What is not said, but follows, is remembered as if it had been. */
static int complete_own(struct adding *a, struct server *s, const struct add_params *p,
                        struct error *err) {
        /* What the store has of the client's is judged when it is known. */
        const struct own_client client = { .id = p->client_id || (s && s->client_id),
                                           .secret = true,
                                           .key = true };
        char **present = &a->texts[CHOICE_OWN + OWN_present];
        bool any = false;
        int r;

        for (int i = CHOICE_OWN; i < CHOICE_COUNT; i++)
                any = any || a->given[i];
        if (!any)
                return 0;
        r = judge_own(a, s, &client, a->given[CHOICE_OWN + OWN_present] ? NULL : present, err);
        if (r == 0 && *present)
                a->given[CHOICE_OWN + OWN_present] = true;
        return r;
}

static int find_or_make(struct broker *b, const struct add_params *p, struct adding *a,
                        struct error *err) {
        AUTO_FREE char *chosen = NULL;
        struct server *s;
        struct server *named = p->name ? strmap_get(b->servers_byname, p->name) : NULL;
        int r = server_key(p->url, p->account, &a->server_key, err);

        if (r < 0)
                return r;
        s = strmap_get(b->servers, a->server_key);
        if (s && s->removing)
                return error_set(err, MCPB_BUSY, EBUSY, "Try again in a moment",
                                 "%s is being removed", s->name);
        if ((named && named != s) || (s && p->name && !streq(s->name, p->name)))
                return error_set(err, MCPB_EXISTS, EEXIST,
                                 "Choose another name, or remove the other with mcp-add -d NAME",
                                 "%s is '%s' already", named ? named->url : p->url,
                                 named ? p->name : s->name);
        if (s && s->declared_in) {
                r = check_declared(s, a, err);
                if (r < 0)
                        return r;
        }
        r = complete_own(a, s, p, err);
        if (r < 0)
                return r;
        if (s && s->changing && adding_changes(a))
                return error_set(err, MCPB_BUSY, EBUSY, "Try again in a moment",
                                 "%s is just being changed", s->name);
        if (s) {
                r = check_known(s, a, err);
                if (r < 0)
                        return r;
        } else {
                chosen = p->name ? strdup(p->name) : server_choose_name(b, p->url);
                if (!chosen)
                        return error_oom(err);
                r = server_new(b, p->url, p->account, chosen, &s, err);
                if (r < 0)
                        return r;
                a->created = true;
        }
        if (adding_changes(a))
                s->changing = a;
        return 0;
}

static int set_text(char **to, const char *text) {
        *to = text ? strdup(text) : NULL;
        return text && !*to ? -ENOMEM : 0;
}

static int credentials_of(const struct add_params *p, struct adding *a) {
        if (!p->client_id)
                return 0;
        a->has_registration = true;
        a->registration.how = REGISTRATION_PREREGISTERED;
        a->registration.auth = CLIENT_AUTH_ANY;
        a->registration.issuer = strdup(p->issuer);
        a->registration.client_id = strdup(p->client_id);
        if (set_text(&a->registration.client_secret, p->client_secret) < 0 ||
            set_text(&a->registration.client_key, p->client_key) < 0 ||
            set_text(&a->registration.key_id, p->own.key_id) < 0 ||
            set_text(&a->registration.signing_alg, p->own.signing_alg) < 0)
                return -ENOMEM;
        return a->registration.issuer && a->registration.client_id ? 0 : -ENOMEM;
}

void handle_server_add(struct broker_call *c) {
        struct add_params p = { 0 };
        struct error err = ERROR_INIT;
        struct adding *a = calloc(1, sizeof(*a));
        int r = a ? parse_add(c, &p, &err) : -ENOMEM;

        if (a) {
                a->broker = c->broker;
                list_init(&a->holder);
        }
        if (r == 0)
                r = broker_check_open(c->broker, &err);
        if (r == 0)
                r = copy_choices(a, &p);
        if (r == 0)
                r = credentials_of(&p, a);
        if (r == 0)
                r = find_or_make(c->broker, &p, a, &err);
        scope_set_done(&p.scopes);
        own_settings_done(&p.own);
        if (r < 0) {
                (void)error_fallback(&err, r, "adding a server");
                if (a)
                        adding_free(a);
                call_fail(c, &err);
                return;
        }
        a->login = p.login;
        a->flow = p.flow;
        list_append(&a->holder, &c->link);
        if (a->has_registration)
                save_credentials(a);
        else
                save_server(a);
}
