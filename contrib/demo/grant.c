/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authorization_code, refresh_token, client_credentials, and what all grants end with; revocation
 * (RFC 7009).
 */
#include "grant.h"

#include <stdlib.h>
#include <string.h>

#include "as.h"
#include "assertion.h"
#include "device.h"
#include "dpop.h"
#include "idp.h"
#include "swap.h"
#include "workload.h"

static void family_revoke(struct exchange *x, struct family *f) {
        if (f && !f->revoked) {
                f->revoked = true;
                journal_count(x->demo->journal, COUNT_FAMILIES_REVOKED);
        }
}

static void add_id_token(struct exchange *x, json_t *answer, const struct family *family) {
        char *text = idp_id_token(x, family, x->nonce);

        journal_secret(x->demo->journal, SECRET_ASSERTION, text);
        json_object_set_new(answer, "id_token", json_string(text));
        free(text);
}

void grant_issue(struct exchange *x, struct family *family, const char *scope, bool with_refresh) {
        struct demo *d = x->demo;
        bool expired = exchange_fault(x, FAULT_EXPIRED_AT_ONCE);
        uint64_t ttl_sec = expired ? 0 : d->options.access_ttl_sec;
        char *narrow = NULL;
        char *access;
        char *refresh;
        json_t *answer;

        if (exchange_fault(x, FAULT_SMALLER_SCOPE)) {
                narrow = mem_copy(scope, strcspn(scope, " "));
                scope = narrow;
        }
        access = tokens_add_access(x->at->tokens, family, scope, x->jkt, ttl_sec * 1000U);
        refresh = with_refresh ? tokens_add_refresh(x->at->tokens, family) : NULL;
        journal_count(d->journal, COUNT_ACCESS_TOKENS_ISSUED);
        journal_secret(d->journal, SECRET_ACCESS_TOKEN, access);
        answer = json_pack("{s:s, s:s, s:s}", "access_token", access, "token_type",
                           x->jkt ? "DPoP" : d->options.token_type, "scope", scope);
        if (idp_is_here(x) && words_contain(scope, "openid", 6))
                add_id_token(x, answer, family);
        if (x->issued_token_type)
                json_object_set_new(answer, "issued_token_type", json_string(x->issued_token_type));
        if (exchange_fault(x, FAULT_EXPIRES_IN_STRING)) {
                char *s = mem_printf("%llu", (unsigned long long)ttl_sec);

                json_object_set_new(answer, "expires_in", json_string(s));
                free(s);
        } else if (!d->options.no_expires_in) {
                json_object_set_new(answer, "expires_in", json_integer((json_int_t)ttl_sec));
        }
        if (refresh) {
                journal_count(d->journal, COUNT_REFRESH_TOKENS_ISSUED);
                journal_secret(d->journal, SECRET_REFRESH_TOKEN, refresh);
                json_object_set_new(answer, "refresh_token", json_string(refresh));
        }
        reply_json(x->request, 200, answer);
        as_no_store(x);
        free(access);
        free(refresh);
        free(narrow);
}

struct family *grant_family(struct exchange *x, const char *client_id, const char *scope,
                            const char *resource) {
        struct family *f = tokens_add_family(x->at->tokens, client_id, scope, resource);

        if (f)
                journal_count(x->demo->journal, COUNT_FAMILIES);
        else
                as_error(x, 503, "temporarily_unavailable", "too many grants");
        return f;
}

static bool verifier_matches(const char *verifier, const char *challenge) {
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789-._~";
        size_t n = verifier ? strlen(verifier) : 0;
        char *hash;
        bool same;

        if (n < 43 || n > 128 || strspn(verifier, allowed) != n)
                return false;
        hash = sha256_base64url(verifier);
        same = string_equal(hash, challenge);
        free(hash);
        return same;
}

/* Faults that make a token request fail whatever it says; true once answered. */
static bool refused_by_fault(struct exchange *x) {
        if (exchange_fault(x, FAULT_INVALID_GRANT))
                as_error(x, 400, "invalid_grant", "a fault refuses the grant");
        else if (exchange_fault(x, FAULT_INVALID_SCOPE))
                as_error(x, 400, "invalid_scope", "a fault refuses the scope");
        else if (exchange_fault(x, FAULT_INVALID_TARGET))
                as_error(x, 400, "invalid_target", "a fault refuses the resource");
        else
                return false;
        return true;
}

bool grant_may_refresh(const struct demo *d, const struct client *client, const char *scope) {
        if (d->options.no_refresh_token || !client->may_refresh)
                return false;
        return !d->options.offline_access ||
               words_contain(scope, SCOPE_OFFLINE, strlen(SCOPE_OFFLINE));
}

static void grant_code(struct exchange *x, const struct client *client) {
        const struct form *f = &x->request->form;
        const char *redirect_uri = form_get(f, "redirect_uri");
        const char *resource = as_resource(x, f);
        struct code *code = tokens_code(x->at->tokens, form_get(f, "code"));

        if (!code || strcmp(code->client_id, client->id) != 0) {
                as_error(x, 400, "invalid_grant", "unknown code");
                return;
        }
        if (code->used) {
                journal_count(x->demo->journal, COUNT_CODE_REPLAYS);
                family_revoke(x, code->family);
                as_error(x, 400, "invalid_grant", "code used twice, its tokens are revoked");
                return;
        }
        code->used = true; /* also by a request that fails below: nobody gets to guess */
        if (clock_msec() >= code->expires_msec)
                as_error(x, 400, "invalid_grant", "the code has expired");
        else if (!redirect_uri || strcmp(redirect_uri, code->redirect_uri) != 0)
                as_error(x, 400, "invalid_grant", "redirect_uri is not that of the authorization");
        else if (!verifier_matches(form_get(f, "code_verifier"), code->challenge))
                as_error(x, 400, "invalid_grant", "code_verifier does not fit the challenge");
        else if (!resource || strcmp(resource, code->resource) != 0)
                as_error(x, 400, "invalid_target", "resource is not that of the authorization");
        else if (code->jkt && !string_equal(code->jkt, x->jkt))
                as_error(x, 400, "invalid_grant", "the code is bound to another key");
        else if ((code->family = grant_family(x, client->id, code->scope, code->resource))) {
                if (client->method == METHOD_NONE) /* nothing else binds its refresh tokens */
                        code->family->jkt = mem_string(x->jkt);
                x->nonce = code->nonce;
                grant_issue(x, code->family, code->scope,
                            grant_may_refresh(x->demo, client, code->scope));
                exchange_note(x, "tokens for %s", client->name);
        }
}

static void rotate(struct exchange *x, struct refresh_token *token, const char *scope) {
        struct demo *d = x->demo;

        if (exchange_fault(x, FAULT_REVOKE_FAMILY)) {
                family_revoke(x, token->family);
                as_error(x, 400, "invalid_grant", "a fault revoked the family");
                return;
        }
        journal_count(d->journal, COUNT_REFRESHES);
        if (!d->options.no_rotate)
                token->used = true;
        /* The token may be gone from its table once a new one is added: not used after this. */
        grant_issue(x, token->family, scope, !d->options.no_rotate);
        exchange_note(x, d->options.no_rotate ? "refreshed" : "refreshed and rotated");
}

static void grant_refresh(struct exchange *x, const struct client *client) {
        const struct form *f = &x->request->form;
        const char *scope = form_get(f, "scope");
        const char *resource = as_resource(x, f);
        struct refresh_token *token = tokens_refresh(x->at->tokens, form_get(f, "refresh_token"));

        if (!token || strcmp(token->family->client_id, client->id) != 0) {
                as_error(x, 400, "invalid_grant", "unknown refresh token");
        } else if (token->family->revoked || token->revoked) {
                as_error(x, 400, "invalid_grant", "the refresh token is revoked");
        } else if (token->used) {
                journal_count(x->demo->journal, COUNT_REUSE_DETECTED);
                family_revoke(x, token->family);
                as_error(x, 400, "invalid_grant", "refresh token used twice, family revoked");
        } else if (token->family->jkt && !string_equal(token->family->jkt, x->jkt)) {
                as_error(x, 400, "invalid_grant", "the refresh token is bound to another key");
        } else if (scope && (!words_valid(scope) || !words_subset(scope, token->family->scope))) {
                as_error(x, 400, "invalid_scope", "more scope than was granted");
        } else if (!resource || strcmp(resource, token->family->resource) != 0) {
                as_error(x, 400, "invalid_target", "resource is not that of the grant");
        } else {
                rotate(x, token, scope ? scope : token->family->scope);
        }
}

static void grant_credentials(struct exchange *x, const struct client *client) {
        const struct form *f = &x->request->form;
        const char *scope = form_get(f, "scope");
        const char *resource = as_resource(x, f);
        struct family *family;

        if (!scope)
                scope = as_scope_default(x);
        if (!client->may_act_alone) {
                as_error(x, 400, "unauthorized_client", "this client may not act alone");
        } else if (!words_valid(scope) || !words_subset(scope, as_scopes(x))) {
                as_error(x, 400, "invalid_scope", "unknown scope");
        } else if (!resource) {
                as_error(x, 400, "invalid_target", "resource must be one of this server's");
        } else {
                family = grant_family(x, client->id, scope, resource);
                if (family)
                        grant_issue(x, family, scope, false);
        }
}

/* The request says who its client is, rightly or not. */
static bool names_client(const struct exchange *x) {
        return form_get(&x->request->form, "client_id") || assertion_given(x) ||
               request_header(x->request, "Authorization");
}

/* Whether this grant may do without a client: what it shows speaks for itself. */
static bool needs_no_client(const struct exchange *x, const char *type) {
        const struct options *o = &x->demo->options;

        if (o->n_workload_issuers == 0 || idp_is_here(x) || !type || names_client(x))
                return false;
        if (strcmp(type, GRANT_JWT_BEARER) == 0)
                return !idp_is_jag(form_get(&x->request->form, "assertion"));
        return o->token_exchange && strcmp(type, GRANT_SWAP) == 0;
}

static bool grants_usual(struct exchange *x, const char *type, const struct client *client) {
        if (!type)
                as_error(x, 400, "invalid_request", "grant_type is missing");
        else if (strcmp(type, "authorization_code") == 0)
                grant_code(x, client);
        else if (strcmp(type, "refresh_token") == 0)
                grant_refresh(x, client);
        else
                return false;
        return true;
}

static void dispatch(struct exchange *x, const char *type, const struct client *client) {
        const struct options *o = &x->demo->options;
        bool here = !idp_is_here(x);

        if (grants_usual(x, type, client))
                return;
        if (!here && strcmp(type, GRANT_SWAP) == 0)
                idp_exchange(x, client);
        else if (here && strcmp(type, "client_credentials") == 0)
                grant_credentials(x, client);
        else if (here && strcmp(type, GRANT_JWT_BEARER) == 0 && o->idp && client &&
                 idp_is_jag(form_get(&x->request->form, "assertion")))
                idp_jag_grant(x, client);
        else if (here && strcmp(type, GRANT_JWT_BEARER) == 0 && o->n_workload_issuers > 0)
                workload_grant(x);
        else if (here && strcmp(type, GRANT_SWAP) == 0 && o->token_exchange)
                swap_grant(x, client);
        else if (here && strcmp(type, GRANT_DEVICE) == 0 && o->device)
                device_grant(x, client);
        else if (here && strcmp(type, GRANT_JWT_BEARER) == 0 && o->idp)
                as_error(x, 400, "invalid_grant", "the assertion is not an ID-JAG");
        else
                as_error(x, 400, "unsupported_grant_type", "no such grant");
}

void grant_handle(struct exchange *x) {
        const char *type = form_get(&x->request->form, "grant_type");
        bool must_prove = x->demo->options.dpop == DPOP_REQUIRED && !idp_is_here(x);
        const struct client *client = NULL;

        exchange_label(x, type);
        if (!as_form_right(x))
                return;
        if (!needs_no_client(x, type)) {
                client = as_authenticate(x);
                if (!client)
                        return;
                must_prove = must_prove || client->must_prove;
        }
        if (!refused_by_fault(x) && dpop_judge(x, must_prove))
                dispatch(x, type, client);
}

void grant_revoke(struct exchange *x) {
        const struct form *f = &x->request->form;
        const char *name = form_get(f, "token");
        struct refresh_token *refresh;
        struct access_token *access;
        struct client *client;

        if (!as_form_right(x))
                return;
        client = as_authenticate(x);
        if (!client)
                return;
        if (!name) {
                as_error(x, 400, "invalid_request", "token is missing");
                return;
        }
        refresh = tokens_refresh(x->at->tokens, name);
        access = tokens_access(x->at->tokens, name);
        if (refresh && strcmp(refresh->family->client_id, client->id) == 0) {
                family_revoke(x, refresh->family);
                journal_count(x->demo->journal, COUNT_REVOCATIONS);
                exchange_note(x, "refresh token and its family");
        } else if (access && strcmp(access->family->client_id, client->id) == 0) {
                access->revoked = true;
                journal_count(x->demo->journal, COUNT_REVOCATIONS);
                exchange_note(x, "access token");
        } else {
                exchange_note(x, "unknown token");
        }
        reply_text(x->request, 200, NULL, "");
        as_no_store(x);
}
