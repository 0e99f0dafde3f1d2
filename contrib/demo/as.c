/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routing, registration (RFC 7591), client authentication.
 */
#include "as.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "assertion.h"
#include "authorize.h"
#include "device.h"
#include "grant.h"
#include "guard.h"
#include "idp.h"
#include "metadata.h"
#include "par.h"
#include "signer.h"

const char *as_scopes(const struct exchange *x) {
        if (idp_is_here(x))
                return IDP_SCOPES;
        return x->demo->options.offline_access ? SCOPE_SUMMARY " " SCOPE_ADMIN " " SCOPE_OFFLINE
                                               : SCOPE_SUMMARY " " SCOPE_ADMIN;
}

const char *as_scope_default(const struct exchange *x) {
        return idp_is_here(x) ? IDP_SCOPE_DEFAULT : SCOPE_SUMMARY;
}

const char *as_resource(const struct exchange *x, const struct form *params) {
        const struct demo *d = x->demo;
        const char *resource = form_get(params, "resource");

        if (idp_is_here(x))
                return x->at->issuer; /* what it gives out is good at itself alone */
        if (d->options.refuse_resource)
                return resource ? NULL : d->mcp_url;
        return resource && guard_is_resource(d, resource) ? resource : NULL;
}

const char *as_below(const struct authority *a, const char *path) {
        size_t n = strlen(a->path);

        return strncmp(path, a->path, n) == 0 ? path + n : NULL;
}

enum step as_step(const struct authority *a, const struct request *r) {
        const char *path = as_below(a, r->path);
        const char *grant = form_get(&r->form, "grant_type");

        if (metadata_is(a, r->path))
                return STEP_ASMETA;
        if (!path)
                return STEP_OTHER;
        if (strcmp(path, "/device_authorization") == 0)
                return STEP_DEVICE;
        if (strcmp(path, "/device") == 0)
                return STEP_CONSENT;
        if (strcmp(path, "/par") == 0)
                return STEP_PAR;
        if (strcmp(path, "/register") == 0)
                return STEP_REGISTER;
        if (strcmp(path, "/authorize") == 0)
                return strcmp(r->method, "POST") == 0 ? STEP_CONSENT : STEP_AUTHORIZE;
        if (strcmp(path, "/token") == 0)
                return grant && strcmp(grant, "refresh_token") == 0 ? STEP_REFRESH : STEP_TOKEN;
        return strcmp(path, "/revoke") == 0 ? STEP_REVOKE : STEP_OTHER;
}

void as_no_store(struct exchange *x) {
        reply_header(x->request, "Cache-Control", "no-store");
        reply_header(x->request, "Pragma", "no-cache");
}

void as_error(struct exchange *x, unsigned status, const char *code, const char *description) {
        const char *text = description;

        if (exchange_fault(x, FAULT_ANSI_TEXT))
                text = "\033[2J\033[31mYour computer is at risk\033[0m\r\n\007call us";
        reply_json(x->request, status,
                   json_pack("{s:s, s:s}", "error", code, "error_description", text));
        as_no_store(x);
        exchange_note(x, "%s: %s", code, description);
}

bool as_form_right(struct exchange *x) {
        struct request *r = x->request;

        if (strcmp(r->method, "POST") != 0) {
                reply_text(r, 405, "text/plain", "POST only\n");
                reply_header(r, "Allow", "POST");
        } else if (!request_is_form(r) || r->form.bad || r->query.n > 0) {
                as_error(x, 400, "invalid_request", "the body is not a form, or there is a query");
        } else if (form_repeated(&r->form)) {
                as_error(x, 400, "invalid_request", "a parameter stands twice");
        } else {
                return true;
        }
        return false;
}

static json_t *registration_answer(struct exchange *x, struct client *client, const json_t *asked) {
        const json_t *type = json_object_get(asked, "application_type");
        const char *forced = NULL;
        json_t *doc = json_pack("{s:s, s:I, s:s}", "client_id", client->id, "client_id_issued_at",
                                (json_int_t)clock_epoch(), "client_name", client->name);
        json_t *redirects = json_array();
        json_t *grants;
        uint64_t expires = 0;

        for (unsigned i = 0; i < client->n_redirects; i++)
                json_array_append_new(redirects, json_string(client->redirects[i]));
        json_object_set_new(doc, "redirect_uris", redirects);
        grants = json_array();
        metadata_word(grants, client->may_log_in, "authorization_code");
        metadata_word(grants, client->may_refresh, "refresh_token");
        metadata_word(grants, client->may_act_alone, "client_credentials");
        metadata_word(grants, client->may_use_device, GRANT_DEVICE);
        json_object_set_new(doc, "grant_types", grants);
        metadata_words(doc, "response_types", client->may_log_in ? "code" : "");
        if (client->must_prove)
                json_object_set_new(doc, "dpop_bound_access_tokens", json_true());
        if (type)
                json_object_set_new(doc, "application_type", json_deep_copy(type));
        json_object_set_new(doc, "token_endpoint_auth_method",
                            json_string(method_name(client->method)));
        if (exchange_fault_arg(x, FAULT_REGISTRATION_METHOD, "omit", &forced)) {
                if (strcmp(forced, "omit") == 0) {
                        json_object_del(doc, "token_endpoint_auth_method");
                } else {
                        client->method = method_parse(forced);
                        json_object_set_new(doc, "token_endpoint_auth_method", json_string(forced));
                }
                if (!client->secret && strcmp(forced, "none") != 0)
                        clients_set_secret(client, random_token("cs_"));
        }
        if (client->secret) {
                if (faults_take_number(x->demo->faults, FAULT_SECRET_EXPIRES, &x->site, 0,
                                       &expires))
                        client->secret_expires = (int64_t)expires;
                json_object_set_new(doc, "client_secret", json_string(client->secret));
                json_object_set_new(doc, "client_secret_expires_at",
                                    json_integer((json_int_t)client->secret_expires));
                journal_secret(x->demo->journal, SECRET_CLIENT_SECRET, client->secret);
        }
        return doc;
}

static void handle_register(struct exchange *x) {
        struct request *r = x->request;
        const char *code = NULL;
        char *description = NULL;
        struct client *client;
        json_t *asked;

        if (strcmp(r->method, "POST") != 0) {
                reply_text(r, 405, "text/plain", "POST only\n");
                return;
        }
        asked = r->body.n > 0 ? json_loadb(r->body.p, r->body.n, 0, NULL) : NULL;
        if (!json_is_object(asked)) {
                as_error(x, 400, "invalid_client_metadata", "the body is not a JSON object");
        } else if (exchange_fault(x, FAULT_INVALID_CLIENT)) {
                as_error(x, 400, "invalid_client_metadata", "a fault refuses");
        } else {
                client = clients_register(x->at->clients, asked, &code, &description);
                if (client) {
                        journal_count(x->demo->journal, COUNT_REGISTRATIONS);
                        reply_json(r, 201, registration_answer(x, client, asked));
                        as_no_store(x);
                        exchange_note(x, "client %s", client->name);
                } else {
                        as_error(x, 400, code, description);
                        free(description);
                }
        }
        json_decref(asked);
}

void as_refuse_client(struct exchange *x, bool basic, const char *why) {
        as_error(x, 401, "invalid_client", why);
        if (basic)
                reply_header(x->request, "WWW-Authenticate", "Basic realm=\"token\"");
}

/* "Basic" carries both parts form-encoded (RFC 6749 2.3.1). */
static bool basic_decode(const char *encoded, char **ret_id, char **ret_secret) {
        char plain[2048];
        const char *colon;
        size_t n;

        if (sodium_base642bin((unsigned char *)plain, sizeof(plain) - 1, encoded, strlen(encoded),
                              NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
                return false;
        plain[n] = '\0';
        colon = memchr(plain, ':', n);
        if (!colon)
                return false;
        *ret_id = form_decode(plain, (size_t)(colon - plain));
        *ret_secret = form_decode(colon + 1, n - (size_t)(colon - plain) - 1);
        return *ret_id && *ret_secret;
}

static struct client *check_client(struct exchange *x, const char *id, const char *secret,
                                   bool basic) {
        struct client *c = clients_get(x->at->clients, id);
        const char *why = NULL;

        if (!c)
                why = "unknown client";
        else if (exchange_fault(x, FAULT_INVALID_CLIENT))
                why = "a fault refuses the client";
        else if (c->method == METHOD_KEY)
                why = "this client signs its requests, and this one has no assertion";
        else if (c->method == METHOD_NONE && secret)
                why = "a public client sends no secret";
        else if (c->method != METHOD_NONE && !secret)
                why = "this client has a secret and did not send it";
        else if ((c->method == METHOD_BASIC && !basic) || (c->method == METHOD_POST && basic) ||
                 c->method == METHOD_UNKNOWN)
                why = "not the registered authentication method";
        else if (secret && !string_equal(secret, c->secret))
                why = "wrong secret";
        else if (secret && c->secret_expires > 0 && clock_epoch() >= c->secret_expires)
                why = "the secret has expired";
        if (why)
                as_refuse_client(x, basic, why);
        return why ? NULL : c;
}

struct client *as_authenticate(struct exchange *x) {
        const struct form *f = &x->request->form;
        const char *header = request_header(x->request, "Authorization");
        const char *id = form_get(f, "client_id");
        const char *secret = form_get(f, "client_secret");
        struct client *client = NULL;
        char *basic_id = NULL;
        char *basic_secret = NULL;

        if (assertion_given(x))
                return assertion_client(x);
        if (!header) {
                if (id)
                        return check_client(x, id, secret, false);
                as_refuse_client(x, false, "the request names no client");
                return NULL;
        }
        if (secret)
                as_error(x, 400, "invalid_request", "two authentication methods at once");
        else if (strncasecmp(header, "Basic ", 6) != 0 ||
                 !basic_decode(header + 6, &basic_id, &basic_secret))
                as_refuse_client(x, true, "Authorization is not well-formed Basic");
        else if (id && strcmp(id, basic_id) != 0)
                as_error(x, 400, "invalid_request", "client_id and Authorization differ");
        else
                client = check_client(x, basic_id, basic_secret, true);
        journal_secret(x->demo->journal, SECRET_CLIENT_SECRET, basic_secret);
        free(basic_id);
        free(basic_secret);
        return client;
}

/* The key set: the identity provider's is real, the other issuer signs nothing. */
static void handle_jwks(struct exchange *x) {
        if (idp_is_here(x))
                reply_json(x->request, 200, signer_jwks(x->at->signer));
        else
                reply_json(x->request, 200, json_pack("{s:[]}", "keys"));
}

/* What the identity provider does not have. */
static bool beyond_idp(const struct exchange *x, const char *below) {
        return idp_is_here(x) && (x->route == STEP_REGISTER || x->route == STEP_DEVICE ||
                                  x->route == STEP_PAR || strcmp(below, "/device") == 0);
}

void as_handle(struct exchange *x) {
        const char *below = as_below(x->at, x->request->path);

        if (below && beyond_idp(x, below))
                return;
        if (x->route == STEP_ASMETA)
                metadata_handle(x);
        else if (x->route == STEP_REGISTER)
                handle_register(x);
        else if (x->route == STEP_AUTHORIZE)
                authorize_handle(x);
        else if (x->route == STEP_TOKEN || x->route == STEP_REFRESH)
                grant_handle(x);
        else if (x->route == STEP_DEVICE)
                device_handle(x);
        else if (x->route == STEP_CONSENT && strcmp(below, "/device") == 0)
                device_page(x);
        else if (x->route == STEP_CONSENT)
                authorize_consent(x);
        else if (x->route == STEP_PAR)
                par_handle(x);
        else if (x->route == STEP_REVOKE)
                grant_revoke(x);
        else if (below && strcmp(below, "/jwks") == 0)
                handle_jwks(x);
}
