/* SPDX-License-Identifier: Apache-2.0 */
/* From the redirect to the grant: the code is judged, sent at most once, and what it gives is
 * durable before anybody hears of it. */
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "broker/ask.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/later.h"
#include "broker/lease.h"
#include "broker/login-steps.h"
#include "broker/page.h"
#include "broker/release.h"
#include "broker/removal.h"

/* The grant that was to be replaced may have operations again. */
static void leave_grant(struct login *l) {
        struct grant *g = l->new_grant_key ? strmap_get(l->broker->grants, l->new_grant_key) : NULL;

        if (!g)
                return;
        if (g->replacement == l)
                g->replacement = NULL;
        if (l->replacing && g->state == GRANT_REPLACING)
                grant_not_replaced(g);
        l->replacing = false;
        grant_pump(g); /* it may be the new one, with those who waited at the old one */
}

void login_end(struct login *l, int r, const struct error *err, const char *doing) {
        struct error why = err ? *err : ERROR_INIT;

        login_operation_end(l);
        leave_grant(l);
        (void)error_fallback(&why, r, doing);
        if (l->page_request)
                login_page(l, l->page_request, 400, &why);
        l->page_request = 0;
        login_fail(l, &why);
}

void login_store_failed(struct login *l, int r, const struct error *err) {
        struct error why = later_error(r, err);

        login_end(l, r, &why, NULL);
}

void login_storing(struct login *l, int r) {
        if (r == 0)
                l->n_storing++;
        else
                login_store_failed(l, r, NULL);
}

void login_server_is_gone(struct login *l) {
        struct error err = ERROR_INIT;

        (void)error_set(&err, MCPB_LOGIN_CANCELLED, ENOENT, "Add it again with mcp-add",
                        "The server was removed during the login");
        login_end(l, -ENOENT, &err, "the login");
}

void login_operation_end(struct login *l) {
        if (l->operating)
                broker_operation_end(l->broker);
        l->operating = false;
}

void login_superseded(struct login *l) {
        struct error err = ERROR_INIT;

        (void)error_set(&err, MCPB_CONFLICT, EALREADY, "Look with mcp-list; log in again if needed",
                        "Another login for the same grant came in between");
        login_end(l, -EALREADY, &err, "the login");
}

void login_page(struct login *l, uint64_t request, unsigned status, const struct error *err) {
        AUTO_BUF struct buf html = BUF_INIT;
        int r;

        if (request == 0)
                return;
        if (err)
                r = page_failure(&html, l->server ? l->server->name : NULL, err);
        else
                r = page_success(&html, l->server ? l->server->name : "",
                                 l->server ? l->server->url : "");
        if (r < 0)
                log_warning("No page for the browser: out of memory");
        l->broker->workers->page(l->broker->wud, l->listener, request, status, &html);
}

void login_on_redirect(uint64_t request, const char *query, void *userdata) {
        struct login *l = userdata;
        struct error err = ERROR_INIT;

        if (!login_take_redirect(l, request, query, &err))
                login_page(l, request, 400, &err);
}

/* --- The grant is durable -------------------------------------------------------------------- */

static void on_server_saved(int r, const struct error *err, void *userdata) {
        struct login *l = userdata;
        struct broker *b = l->broker;
        struct grant *g;

        if (login_unwanted(l))
                return;
        if (!l->server) {
                login_server_is_gone(l);
                return;
        }
        g = l->server->grant;
        if (r < 0)
                log_failure(LOG_WARNING, err, "the server's record");
        login_page(l, l->page_request, 200, NULL);
        l->page_request = 0;
        login_set_state(l, LOGIN_DONE);
        release_note(b, &(struct release_event){ .event = AUDIT_AUTH_FLOW_FINISH,
                                                 .outcome = AUDIT_SUCCESS,
                                                 .server = l->server,
                                                 .grant = g,
                                                 .scopes = g ? &g->scopes : NULL });
        login_finished(l);
        if (g)
                grant_pump(g);
}

static void replace_text(char **member, const char *text) {
        char *copy = text ? strdup(text) : NULL;

        free(*member);
        *member = copy;
}

/* Points the server at its new grant; the old one goes when nobody uses it any more. */
static void adopt(struct login *l, struct grant *g) {
        struct server *s = l->server;
        struct grant *old = s->grant;

        if (old && old != g) {
                list_remove(&s->grant_link);
                s->grant = NULL;
                if (list_empty(&old->servers)) {
                        grant_take_waiters(g, old);
                        broker_discard_grant(l->broker, old);
                }
        }
        if (s->grant != g) {
                s->grant = g;
                list_append(&g->servers, &s->grant_link);
        }
        g->allow = s->allow;
        if (l->bound.issuer_nonce && !g->bound.issuer_nonce)
                g->bound.issuer_nonce = TAKE(l->bound.issuer_nonce);
        replace_text(&s->issuer, l->found.issuer);
        replace_text(&s->resource, l->found.resource);
        replace_text(&s->prm_url, l->found.prm_url);
        replace_text(&s->registration_key, l->registration_key);
        replace_text(&s->grant_key, g->key);
        s->issuer_changed = false;
        s->open = false;
        server_clear_error(s);
        scope_refusal_done(&s->refusal);
        if (scope_set_copy(&s->last_requested, &l->authorization.scopes) < 0)
                log_warning("Out of memory: a step-up may be asked for twice");
}

static void on_grant_saved(int r, const struct store_item *item, const struct error *err,
                           void *userdata) {
        struct login *l = userdata;
        struct broker *b = l->broker;
        struct grant *g = NULL;

        login_operation_end(l);
        if (login_unwanted(l))
                return;
        if (r == 0)
                r = grant_install(b, l->new_grant_key, item->generation, item->value, &g);
        if (r < 0) {
                login_store_failed(l, r, err);
                return;
        }
        if (!l->server || l->server->removing) {
                if (list_empty(&g->servers)) {
                        g->allow = l->allow;
                        broker_discard_grant(b, g);
                }
                login_server_is_gone(l);
                return;
        }
        adopt(l, g);
        login_storing(l, kept_save(&l->server->record, on_server_saved, l));
}

/* Also when the server is gone: the account is the end of its key. */
static const char *account_of(const struct login *l) {
        const char *blank = strrchr(l->server_key, ' ');

        return blank ? blank + 1 : "";
}

static int grant_value(struct login *l, json_t **ret) {
        const struct authorization *a = &l->authorization;
        const struct token_reply *reply = &l->reply;
        const struct scope_set *scopes = reply->has_scope ? &reply->scopes : &a->scopes;
        AUTO_JSON json_t *lease = lease_first_json(reply, &a->scopes);
        json_t *as = NULL;
        AUTO_JSON json_t *value = NULL;

        if (!lease || as_metadata_to_json(&l->found.as, &as) < 0)
                return -ENOMEM;
        value = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:o, s:o, s:O}", "issuer", a->issuer,
                          "client_id", a->client_id, "account", account_of(l), "resource",
                          a->resource, "no_resource", a->no_resource, "registration_key",
                          l->registration_key, "as", as, "scopes", scopes_value(scopes), "lease",
                          lease);
        if (!value || json_object_set_new(value, "own", json_boolean(l->present)) < 0 ||
            bound_to_json(&l->bound, l->broker->shield, value) < 0)
                return -ENOMEM;
        if (reply->refresh_token.len > 0 &&
            json_object_set_new(value, "refresh_token",
                                json_stringn(reply->refresh_token.data, reply->refresh_token.len)) <
                    0)
                return -ENOMEM;
        *ret = TAKE(value);
        return 0;
}

static void put_grant(struct login *l, uint64_t expect) {
        struct store_put put = { .kind = STORE_GRANT,
                                 .key = l->new_grant_key,
                                 .expect = expect,
                                 .value = l->grant_value };

        login_storing(l, later_put_over(l->broker, &put, on_grant_saved, l));
}

static void on_old_grant(int r, const struct store_item *item, const struct error *err,
                         void *userdata) {
        struct login *l = userdata;

        if (login_unwanted(l))
                return;
        if (r == 0 || r == -ENOENT || r == -EBADMSG)
                put_grant(l, r == 0 ? item->generation : 0);
        else
                login_store_failed(l, r, err);
}

/* The grant that this login replaces is quiet (S6): its record may be replaced. */
void login_store_grant(struct login *l) {
        login_storing(l, later_get(l->broker, STORE_GRANT, l->new_grant_key, on_old_grant, l));
}

/* --- The token endpoint ---------------------------------------------------------------------- */

void login_take_reply(struct login *l) {
        struct grant *g;
        int r;

        login_set_state(l, LOGIN_STORING);
        r = grant_key(l->found.issuer, l->authorization.client_id, account_of(l), l->found.resource,
                      &l->new_grant_key);
        if (r == 0)
                r = grant_value(l, &l->grant_value);
        if (r < 0) {
                login_end(l, r, NULL, "keeping the grant");
                return;
        }
        g = strmap_get(l->broker->grants, l->new_grant_key);
        if (!l->server) {
                /* Where another server lives by a grant of that key nothing is revoked: many an
                 * issuer would end that one too. */
                if (!g || list_empty(&g->servers))
                        removal_of_unkept(l->broker, l->id, l->grant_value, l->allow);
                login_server_is_gone(l);
        } else if (g)
                grant_when_quiet(g, l);
        else
                login_store_grant(l);
}

int login_bind(struct login *l) {
        if (!l->found.dpop_required || bound_is(&l->bound))
                return 0;
        return bound_new_key(&l->bound, l->broker->shield);
}

int login_check_bound(const struct login *l, struct error *err) {
        if (!l->found.dpop_required || streq(l->reply.token_type, "DPoP"))
                return 0;
        return error_set(err, MCPB_ISSUER_ERROR, EPROTO, "Report it to whoever runs the server",
                         "%s gave a token that is bound to no key, and the server takes only "
                         "bound ones",
                         l->found.issuer);
}

static void redeem(struct login *l);

static void on_redeemed(struct fetch_answer *answer, void *userdata) {
        struct login *l = userdata;
        struct token_fault fault = { 0 };
        struct error err = ERROR_INIT;
        int r;

        l->fetching = false;
        /* A122, A211: the one case in which a code is sent again. */
        if (bound_hear_issuer(&l->bound, answer) && !l->nonce_tried && l->server) {
                l->nonce_tried = true;
                login_operation_end(l);
                redeem(l);
                return;
        }
        l->code = str_wipe_free(l->code);
        r = bound_is(&l->bound) ? token_answer_dpop(&l->reply, &l->found.as, answer, &fault, &err)
                                : token_answer(&l->reply, &l->found.as, answer, &fault, &err);
        if (r == 0)
                r = login_check_bound(l, &err);
        if (r == 0) {
                login_take_reply(l);
                return;
        }
        if (l->server &&
            token_error_ends_registration(fault.what, &l->registration, true, l->n_registered)) {
                login_operation_end(l);
                login_page(l, l->page_request, 400, &err);
                l->page_request = 0;
                login_register_anew(l);
                return;
        }
        login_end(l, r, &err, "redeeming the code");
}

static void redeem(struct login *l) {
        struct broker *b = l->broker;
        struct fetch_request f;
        struct error err = ERROR_INIT;
        int r;

        fetch_request_init(&f);
        r = token_request_code(&f, &l->authorization, &l->registration, &l->found.as, l->code,
                               &err);
        if (r == 0)
                r = login_bind(l);
        if (r == 0)
                r = bound_add_proof(&l->bound, b->shield, &f);
        if (r == 0) {
                f.allow = l->allow = l->server->allow;
                r = ask_network(b, FETCH_DEAL, &f, on_redeemed, l, &l->fetch_id);
                l->fetching = r == 0;
        }
        fetch_request_done(&f);
        if (r == 0) {
                l->operating = true;
                broker_operation_begin(b);
                return;
        }
        login_end(l, r, &err, "redeeming the code");
}

/* A122: the record is gone before the code is sent, so that no crash can make us send it twice. */
static void on_record_gone(int r, const struct store_item *item, const struct error *err,
                           void *userdata) {
        struct login *l = userdata;

        if (login_unwanted(l))
                return;
        if (r < 0 && r != -ENOENT) {
                login_store_failed(l, r, err);
                return;
        }
        login_set_state(l, LOGIN_REDEEMING);
        if (l->server) {
                redeem(l);
                return;
        }
        login_server_is_gone(l);
}

static void close_record(struct login *l) {
        login_stop_fetching(l); /* another URL is not needed any more */
        login_set_state(l, LOGIN_CLOSING);
        login_storing(l, later_remove(l->broker, STORE_LOGIN, l->id, on_record_gone, l));
}

bool login_take_redirect(struct login *l, uint64_t request, const char *query, struct error *err) {
        char *code = NULL;
        enum authorization_result result;

        if (l->state != LOGIN_WAITING) {
                (void)error_set(err, MCPB_BAD_REQUEST, EALREADY, "You can close this page",
                                "This login is over already");
                return false;
        }
        result = authorization_response(&l->authorization, query, clock_wall_usec(), &code, err);
        switch (result) {
        case AUTHORIZATION_IGNORED:
                return false;
        case AUTHORIZATION_REFUSED:
                if (l->server && l->step_up &&
                    scope_refusal_note(&l->server->refusal, &l->scopes, clock_boot_usec()) < 0)
                        log_warning("Out of memory: the refusal is not remembered");
                break;
        case AUTHORIZATION_CODE:
                l->page_request = request;
                l->code = code;
                close_record(l);
                return true;
        case AUTHORIZATION_FAILED:
        case AUTHORIZATION_RESULT_COUNT:
                break;
        }
        l->page_request = request;
        login_end(l, -EACCES, err, "the authorization");
        return true;
}
