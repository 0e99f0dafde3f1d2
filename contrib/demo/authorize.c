/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors about the client or its redirect URI are shown to the person; all others, and the code,
 * go back to the client by redirect, always with state and iss.
 */
#include "authorize.h"

#include <stdlib.h>
#include <string.h>

#include "as.h"
#include "idp.h"
#include "pages.h"
#include "par.h"

#define CODE_MSEC 60000U

/* A valid authorization request that waits for the person. */
struct ticket {
        char *client_id;
        char *client_name;
        char *redirect_uri;
        char *scope;
        char *resource;
        char *challenge;
        char *jkt;   /* or NULL */
        char *nonce; /* of OpenID, or NULL */
        char *state; /* or NULL */
};

void authorize_ticket_free(void *ticket) {
        struct ticket *t = ticket;

        free(t->client_id);
        free(t->client_name);
        free(t->redirect_uri);
        free(t->scope);
        free(t->resource);
        free(t->challenge);
        free(t->jkt);
        free(t->nonce);
        free(t->state);
        free(t);
}

static void add_param(struct text *t, const char *name, const char *value) {
        text_puts(t, strchr(t->p, '?') ? "&" : "?");
        text_puts(t, name);
        text_puts(t, "=");
        form_encode(t, value);
}

/* name is "code" or "error". */
static void redirect_back(struct exchange *x, const char *redirect_uri, const char *state,
                          const char *name, const char *value, const char *description) {
        const char *iss = x->at->issuer;
        bool code = strcmp(name, "code") == 0;
        struct text t = { 0 };

        text_puts(&t, redirect_uri);
        add_param(&t, name, value);
        if (code && exchange_fault(x, FAULT_DUPLICATE_CODE))
                add_param(&t, name, value);
        if (description)
                add_param(&t, "error_description", description);
        if (state && exchange_fault(x, FAULT_WRONG_STATE))
                add_param(&t, "state", "not-the-state-of-the-request");
        else if (state)
                add_param(&t, "state", state);
        (void)exchange_fault_arg(x, FAULT_WRONG_ISS, "https://wrong.example", &iss);
        if (!exchange_fault(x, FAULT_NO_ISS))
                add_param(&t, "iss", iss);
        reply_text(x->request, x->route == STEP_CONSENT ? 303 : 302, "text/plain", "");
        reply_header(x->request, "Location", "%s", t.p);
        reply_header(x->request, "Referrer-Policy", "no-referrer");
        as_no_store(x);
        text_done(&t);
}

static void grant_code(struct exchange *x, const struct ticket *t) {
        struct code code = {
                .client_id = mem_string(t->client_id),
                .redirect_uri = mem_string(t->redirect_uri),
                .scope = mem_string(t->scope),
                .resource = mem_string(t->resource),
                .challenge = mem_string(t->challenge),
                .jkt = mem_string(t->jkt),
                .nonce = mem_string(t->nonce),
                .expires_msec = clock_msec() + CODE_MSEC,
        };
        char *name = tokens_add_code(x->at->tokens, &code);

        if (!name) {
                redirect_back(x, t->redirect_uri, t->state, "error", "temporarily_unavailable",
                              "too many codes");
                return;
        }
        journal_count(x->demo->journal, COUNT_CONSENTS);
        journal_count(x->demo->journal, COUNT_CODES_ISSUED);
        journal_secret(x->demo->journal, SECRET_CODE, name);
        redirect_back(x, t->redirect_uri, t->state, "code", name, NULL);
        exchange_note(x, "consent given, code issued");
        free(name);
}

static void deny(struct exchange *x, const struct ticket *t) {
        const char *text = "the person said no";

        journal_count(x->demo->journal, COUNT_DENIALS);
        if (exchange_fault(x, FAULT_ANSI_TEXT))
                text = "\033[2J\033[31mno\033[0m\r\n<b>really</b>";
        redirect_back(x, t->redirect_uri, t->state, "error", "access_denied", text);
        exchange_note(x, "consent refused");
}

static void error_page(struct exchange *x, const char *text) {
        pages_error(x->request, text);
        exchange_note(x, "%s", text);
}

const char *authorize_fault(struct exchange *x, const struct form *q,
                            const char **ret_description) {
        const char *scope = form_get(q, "scope");
        struct demo *d = x->demo;
        const char *type = form_get(q, "response_type");
        const char *challenge = form_get(q, "code_challenge");
        const char *method = form_get(q, "code_challenge_method");

        *ret_description = "a fault refuses";
        if (exchange_fault(x, FAULT_INVALID_SCOPE))
                return "invalid_scope";
        if (exchange_fault(x, FAULT_INVALID_TARGET))
                return "invalid_target";
        *ret_description = "response_type must be code";
        if (!type || strcmp(type, "code") != 0)
                return type ? "unsupported_response_type" : "invalid_request";
        *ret_description = "code_challenge with code_challenge_method S256 is required";
        if (!challenge || strlen(challenge) != 43 || !method || strcmp(method, "S256") != 0)
                return "invalid_request";
        *ret_description = d->options.refuse_resource
                                   ? "resource is refused"
                                   : "resource must be one of the resources of this server";
        if (!as_resource(x, q))
                return "invalid_target";
        *ret_description = "unknown scope";
        if (scope && (!words_valid(scope) || !words_subset(scope, as_scopes(x))))
                return "invalid_scope";
        return NULL;
}

static struct ticket *ticket_new(const struct exchange *x, const struct form *q,
                                 const struct client *client, const char *scope) {
        struct ticket *t = mem_new(sizeof(*t));

        t->client_id = mem_string(client->id);
        t->client_name = mem_string(client->name);
        t->redirect_uri = mem_string(form_get(q, "redirect_uri"));
        t->scope = mem_string(scope);
        t->resource = mem_string(as_resource(x, q));
        t->challenge = mem_string(form_get(q, "code_challenge"));
        t->jkt = mem_string(form_get(q, "dpop_jkt"));
        t->nonce = mem_string(form_get(q, "nonce"));
        t->state = mem_string(form_get(q, "state"));
        return t;
}

static void ask_person(struct exchange *x, struct ticket *t) {
        struct demo *d = x->demo;
        char *id;

        if (d->options.auto_consent) {
                grant_code(x, t);
                authorize_ticket_free(t);
        } else if (d->options.auto_deny) {
                deny(x, t);
                authorize_ticket_free(t);
        } else {
                id = random_token("ct_");
                pages_consent(x->request, &(struct consent){
                                                  .client_name = t->client_name,
                                                  .redirect_uri = t->redirect_uri,
                                                  .scope = t->scope,
                                                  .resource = t->resource,
                                                  .ticket = id,
                                                  .issuer = x->at->issuer,
                                          });
                exchange_note(x, "consent page for %s", t->client_name);
                (void)table_add(x->at->tickets, id, t);
                free(id);
        }
}

/* The request itself, be it in the query or pushed before. */
static void judge(struct exchange *x, const struct form *q, const char *jkt) {
        struct demo *d = x->demo;
        const char *id = form_get(q, "client_id");
        const char *redirect_uri = form_get(q, "redirect_uri");
        const char *scope = form_get(q, "scope");
        const char *description;
        const char *error;
        struct client *client = clients_get(x->at->clients, id);
        struct ticket *ticket;

        if (!client && id && d->options.cimd)
                client = clients_add_document(x->at->clients, id);
        if (q->bad || form_repeated(q)) {
                error_page(x, "The request is malformed or names a parameter twice.");
        } else if (!client) {
                error_page(x, "This client is not known here.");
        } else if (!redirect_uri || !client_redirect_allowed(client, redirect_uri)) {
                error_page(x, "The redirect URI is not one of this client's.");
        } else {
                error = authorize_fault(x, q, &description);
                if (!error && d->options.par == PAR_REQUIRED && !idp_is_here(x) &&
                    q == &x->request->query) {
                        error = "invalid_request";
                        description = "requests have to be pushed";
                }
                if (error) {
                        redirect_back(x, redirect_uri, form_get(q, "state"), "error", error,
                                      description);
                        exchange_note(x, "%s: %s", error, description);
                        return;
                }
                journal_count(d->journal, COUNT_AUTHORIZATIONS);
                ticket = ticket_new(x, q, client, scope ? scope : as_scope_default(x));
                if (jkt && !ticket->jkt)
                        ticket->jkt = mem_string(jkt);
                ask_person(x, ticket);
        }
}

void authorize_handle(struct exchange *x) {
        const struct form *q = &x->request->query;
        struct form pushed = { 0 };
        char *jkt = NULL;

        if (strcmp(x->request->method, "GET") != 0)
                reply_text(x->request, 405, "text/plain", "GET or POST\n");
        else if (x->demo->options.par == PAR_OFF || idp_is_here(x) || !form_get(q, "request_uri"))
                judge(x, q, NULL);
        else if (!par_take(x, q, &pushed, &jkt))
                error_page(x, "This request was never pushed, was used before, or is too old.");
        else
                judge(x, &pushed, jkt);
        form_done(&pushed);
        free(jkt);
}

void authorize_consent(struct exchange *x) {
        const struct form *f = &x->request->form;
        const char *id = form_get(f, "ticket");
        const char *decision = form_get(f, "decision");
        const struct ticket *t = table_get(x->at->tickets, id);

        if (!t || !decision) {
                error_page(x, "This page was answered before, or is too old.");
                return;
        }
        if (strcmp(decision, "allow") == 0)
                grant_code(x, t);
        else
                deny(x, t);
        (void)table_remove(x->at->tickets, id);
}
