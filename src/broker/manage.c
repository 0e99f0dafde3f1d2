/* SPDX-License-Identifier: Apache-2.0 */
/* server.list, show and remove: what mcp-list and mcp-add ask. */
#include "base/log.h"
#include "broker/declare.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/later.h"
#include "broker/login-steps.h"
#include "broker/removal.h"
#include "broker/server.h"

/* --- server.list, server.show ---------------------------------------------------------------- */

void handle_server_list(struct broker_call *c) {
        AUTO_JSON json_t *array = json_array();
        struct error err = ERROR_INIT;
        struct server *s;

        if (broker_check_open(c->broker, &err) < 0) {
                call_fail(c, &err);
                return;
        }
        LIST_FOREACH(s, &c->broker->all_servers, struct server, list_link) {
                if (array && !s->removing && json_array_append_new(array, server_describe(s)) < 0) {
                        json_decref(array);
                        array = NULL;
                }
        }
        call_reply(c, array ? json_pack("{s:i, s:O}", "format", 1, "servers", array) : NULL);
}

void handle_server_show(struct broker_call *c) {
        struct error err = ERROR_INIT;

        if (call_find_server(c, &err) < 0)
                call_fail(c, &err);
        else
                call_reply(c, json_pack("{s:o}", "server", server_describe(c->server)));
}

/* --- server.remove --------------------------------------------------------------------------- */

struct removing {
        struct broker *broker;
        struct list holder; /* the call */
        bool all;
        bool login_only;  /* the server stays: its login goes */
        char *server_key; /* the one that is being removed */
        bool had_login;   /* that one */
        json_t *removed;
        json_t *logged_out;
        unsigned n_revoked;
        unsigned n_not_revoked;
        struct error warning; /* of the issuer */
        struct error failure; /* ours: the server is still there */
};

static void remove_next(struct removing *r);

static void removing_over(struct removing *r) {
        struct broker_call *c = LIST_FIRST(&r->holder, struct broker_call, link);
        json_t *result = json_pack("{s:O, s:O, s:b}", "removed", r->removed, "logged_out",
                                   r->logged_out, "revoked", r->n_not_revoked == 0);

        if (result && r->warning.code != MCPB_NO_ERROR &&
            json_object_set_new(result, "warning", json_string(r->warning.message)) < 0) {
                json_decref(result);
                result = NULL;
        }
        if (c)
                list_remove(&c->link);
        json_decref(r->removed);
        json_decref(r->logged_out);
        free(r->server_key);
        if (c && r->failure.code != MCPB_NO_ERROR)
                call_fail(c, &r->failure);
        else if (c)
                call_reply(c, json_incref(result));
        json_decref(result);
        free(r);
}

static void removing_failed(struct removing *r, const struct error *err) {
        struct server *s = strmap_get(r->broker->servers, r->server_key);

        if (s)
                s->removing = false;
        r->failure = *err;
        removing_over(r);
}

static void go_on(struct removing *r) {
        if (r->all)
                remove_next(r);
        else
                removing_over(r);
}

static void on_server_gone(int res, const struct store_item *item, const struct error *err,
                           void *userdata) {
        struct removing *r = userdata;
        struct server *s = strmap_get(r->broker->servers, r->server_key);

        if (res < 0 && res != -ENOENT) {
                removing_failed(r, err);
                return;
        }
        if (s && json_array_append_new(r->removed, json_string(s->name)) < 0)
                log_warning("Out of memory while listing what was removed");
        (void)server_free(s);
        go_on(r);
}

static void remove_server_record(struct removing *r) {
        int res = later_remove(r->broker, STORE_SERVER, r->server_key, on_server_gone, r);
        struct error err = ERROR_INIT;

        if (res < 0) {
                (void)store_error(&err, res);
                removing_failed(r, &err);
        }
}

static void on_login_forgotten(int res, const struct error *err, void *userdata) {
        struct removing *r = userdata;
        const struct server *s = strmap_get(r->broker->servers, r->server_key);

        if (res < 0) {
                removing_failed(r, err);
                return;
        }
        if (s && json_array_append_new(r->logged_out, json_string(s->name)) < 0)
                log_warning("Out of memory while listing who was logged out");
        go_on(r);
}

/* The server stays, as if nobody had ever logged in. */
static void forget_login(struct removing *r, struct server *s) {
        struct error err = ERROR_INIT;
        int res;

        if (!s->grant) {
                free(TAKE(s->grant_key));
                s->issuer_changed = false;
                scope_set_done(&s->last_requested);
                server_clear_error(s);
        }
        res = kept_save(&s->record, on_login_forgotten, r);
        if (res < 0) {
                (void)error_fallback(&err, res, "keeping the server");
                removing_failed(r, &err);
        }
}

static void end_server(struct removing *r) {
        struct server *s = strmap_get(r->broker->servers, r->server_key);

        if (!s || s->removing)
                remove_server_record(r);
        else if (r->had_login)
                forget_login(r, s);
        else
                removing_over(r); /* it was named: remove_next() passes such servers over */
}

static void on_grant_gone(bool revoked, const struct error *err, void *userdata) {
        struct removing *r = userdata;

        if (!revoked && err->code == MCPB_CANCELLED) {
                removing_failed(r, err);
                return;
        }
        if (revoked) {
                r->n_revoked++;
        } else {
                r->n_not_revoked++;
                if (err->code != MCPB_NO_ERROR)
                        r->warning = *err;
                else
                        (void)error_set(&r->warning, MCPB_UNSUPPORTED, 0, NULL,
                                        "The issuer offers no revocation: its tokens live until "
                                        "they expire");
        }
        end_server(r);
}

static void remove_server(struct removing *r, struct server *s) {
        struct grant *g = s->grant;
        struct error why = ERROR_INIT;

        s->removing = !r->login_only && !s->declared_in;
        (void)error_set(&why, MCPB_LOGIN_CANCELLED, ECANCELED, NULL, "The %s was removed",
                        s->removing ? "server" : "login");
        if (s->login)
                login_cancel(s->login, &why);
        free(r->server_key);
        r->server_key = strdup(s->key);
        if (!r->server_key) {
                (void)error_oom(&r->failure);
                s->removing = false;
                removing_over(r);
                return;
        }
        r->had_login = g != NULL;
        if (g) {
                list_remove(&s->grant_link);
                s->grant = NULL;
        }
        if (!g || !list_empty(&g->servers) || removal_start(g, on_grant_gone, r) < 0)
                end_server(r);
}

static void remove_next(struct removing *r) {
        struct server *s;

        /* Those that somebody else is removing are on their way. */
        LIST_FOREACH(s, &r->broker->all_servers, struct server, list_link) {
                if (s->removing || ((r->login_only || s->declared_in) && !s->grant))
                        continue;
                remove_server(r, s);
                return;
        }
        removing_over(r);
}

static struct removing *removing_new(struct broker_call *c, bool all, bool login_only) {
        AUTO_FREE struct removing *r = calloc(1, sizeof(*r));

        if (!r)
                return NULL;
        r->broker = c->broker;
        r->all = all;
        r->login_only = login_only;
        r->removed = json_array();
        r->logged_out = json_array();
        if (!r->removed || !r->logged_out) {
                json_decref(r->removed);
                json_decref(r->logged_out);
                return NULL;
        }
        list_init(&r->holder);
        list_append(&r->holder, &c->link);
        return TAKE(r);
}

void handle_server_remove(struct broker_call *c) {
        struct error err = ERROR_INIT;
        struct removing *r = NULL;
        bool all = false;
        bool login_only = false;
        int res = call_bool(c, "all", false, &all, &err);

        if (res == 0)
                res = call_bool(c, "login_only", false, &login_only, &err);
        if (res == 0)
                res = all ? broker_check_open(c->broker, &err) : call_find_server(c, &err);
        if (res == 0 && !all && !login_only && c->server->declared_in)
                res = declare_refuse(c->server, "cannot be removed here; its login can", &err);
        if (res == 0) {
                r = removing_new(c, all, login_only);
                res = r ? 0 : error_oom(&err);
        }
        if (res < 0)
                call_fail(c, &err);
        else if (all)
                remove_next(r);
        else
                remove_server(r, c->server);
}
