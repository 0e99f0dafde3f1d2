/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of an ID-JAG. It is for one issuer, one client and one use, and is no access token:
 * nothing else here takes it.
 */
#include "idp.h"

#include <stdlib.h>
#include <string.h>

#include "as.h"
#include "assertion.h"
#include "grant.h"
#include "guard.h"
#include "signer.h"
#include "swap.h"

#define PERSON "person-1"
#define EMAIL "person@example.com"
#define JAG_TYPE "oauth-id-jag+jwt"
#define JAG_SEC 300
#define ID_TOKEN_SEC 3600

bool idp_is_here(const struct exchange *x) {
        return x->at->signer != NULL;
}

char *idp_id_token(const struct exchange *x, const struct family *f, const char *nonce) {
        json_int_t now = (json_int_t)clock_epoch();
        json_t *claims = json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", x->at->issuer, "sub", PERSON,
                                   "aud", f->client_id, "iat", now, "exp", now + ID_TOKEN_SEC);

        if (nonce)
                json_object_set_new(claims, "nonce", json_string(nonce));
        if (words_contain(f->scope, "email", 5))
                json_object_set_new(claims, "email", json_string(EMAIL));
        return signer_make(x->at->signer, "JWT", claims);
}

static bool same(const char *a, const char *b) {
        return a && b && strcmp(a, b) == 0;
}

/* Made by the identity provider, and still good. */
static const char *own_fault(const struct demo *d, const struct jwt *j) {
        json_t *jwks = signer_jwks(d->idp.signer);
        const char *why = jwt_time_fault(j, clock_epoch());

        if (!same(jwt_claim(j, "iss"), d->idp.issuer))
                why = "it is of another issuer";
        else if (!jwt_verify_set(j, jwks))
                why = "the identity provider did not sign it";
        json_decref(jwks);
        return why;
}

static const char *id_token_fault(struct exchange *x, const char *text,
                                  const struct client *client) {
        const char *why;
        struct jwt j;

        if (!jwt_parse(&j, text))
                return "not a JWT";
        why = own_fault(x->demo, &j);
        if (!why && (strcmp(jwt_type(&j), "JWT") != 0 || !jwt_for_alone(&j, client->id)))
                why = "not an ID token for this client";
        jwt_done(&j);
        return why;
}

static const char *subject_fault(struct exchange *x, const struct client *client) {
        const struct form *f = &x->request->form;
        const char *text = form_get(f, "subject_token");
        const char *type = form_get(f, "subject_token_type");
        const struct refresh_token *t;

        if (!text || !type)
                return "subject_token and its type go together";
        if (strcmp(type, TOKEN_TYPE "id_token") == 0)
                return id_token_fault(x, text, client);
        if (strcmp(type, TOKEN_TYPE "refresh_token") != 0)
                return "a type of token that is not taken here";
        t = tokens_refresh(x->at->tokens, text);
        if (!t || t->used || t->revoked || t->family->revoked ||
            strcmp(t->family->client_id, client->id) != 0)
                return "not a refresh token of this client, or not any more";
        return t->family->jkt && !string_equal(t->family->jkt, x->jkt)
                       ? "the refresh token is bound to another key"
                       : NULL;
}

/* The scopes that the other issuer knows; it is asked, not the identity provider. */
static bool scope_known(struct exchange *x, const char *scope) {
        const struct exchange other = { .demo = x->demo, .at = &x->demo->as };

        return !scope || (words_valid(scope) && words_subset(scope, as_scopes(&other)));
}

static void jag_answer(struct exchange *x, const struct client *client) {
        const struct form *f = &x->request->form;
        const char *scope = form_get(f, "scope");
        const char *resource = form_get(f, "resource");
        json_int_t now = (json_int_t)clock_epoch();
        char *jti = random_token("");
        json_t *claims = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "iss", x->at->issuer,
                                   "sub", PERSON, "aud", x->demo->as.issuer, "client_id",
                                   client->id, "jti", jti, "iat", now, "exp", now + JAG_SEC);
        json_t *answer;
        char *jag;

        if (scope)
                json_object_set_new(claims, "scope", json_string(scope));
        if (resource)
                json_object_set_new(claims, "resource", json_string(resource));
        if (x->jkt)
                json_object_set_new(claims, "cnf", json_pack("{s:s}", "jkt", x->jkt));
        jag = signer_make(x->at->signer, JAG_TYPE, claims);
        answer = json_pack("{s:s, s:s, s:s, s:i}", "access_token", jag, "issued_token_type",
                           TOKEN_TYPE "id-jag", "token_type", "N_A", "expires_in", JAG_SEC);
        if (scope)
                json_object_set_new(answer, "scope", json_string(scope));
        journal_secret(x->demo->journal, SECRET_ASSERTION, jag);
        reply_json(x->request, 200, answer);
        as_no_store(x);
        exchange_note(x, "ID-JAG for %s", client->name);
        free(jag);
        free(jti);
}

void idp_exchange(struct exchange *x, const struct client *client) {
        const struct form *f = &x->request->form;
        const char *wanted = form_get(f, "requested_token_type");
        const char *audience = form_get(f, "audience");
        const char *resource = form_get(f, "resource");
        const char *why = subject_fault(x, client);

        if (client->method == METHOD_NONE)
                as_error(x, 400, "unauthorized_client", "for clients that authenticate");
        else if (!why && !same(wanted, TOKEN_TYPE "id-jag"))
                as_error(x, 400, "invalid_request", "only ID-JAGs are issued");
        else if (why)
                as_error(x, 400, "invalid_request", why);
        else if (!same(audience, x->demo->as.issuer))
                as_error(x, 400, "invalid_target", "audience is no issuer that is known here");
        else if (resource && !guard_is_resource(x->demo, resource))
                as_error(x, 400, "invalid_target", "resource is not known here");
        else if (!scope_known(x, form_get(f, "scope")))
                as_error(x, 400, "invalid_scope", "unknown scope");
        else
                jag_answer(x, client);
}

/* --- at the MCP server's issuer ------------------------------------------------------------ */

bool idp_is_jag(const char *assertion) {
        struct jwt j;
        bool good = jwt_parse(&j, assertion) && strcmp(jwt_type(&j), JAG_TYPE) == 0;

        jwt_done(&j);
        return good;
}

static const char *jag_fault(struct exchange *x, const struct jwt *j, const struct client *client) {
        const json_t *cnf = json_object_get(j->claims, "cnf");
        const char *why = own_fault(x->demo, j);

        if (why)
                return why;
        if (!jwt_for_alone(j, x->at->issuer))
                return "it is not for this server alone";
        if (!same(jwt_claim(j, "client_id"), client->id))
                return "it is for another client";
        if (cnf && !same(json_string_value(json_object_get(cnf, "jkt")), x->jkt))
                return "it is bound to a key that was not proven";
        return assertion_first_time(x, j, "id-jag") ? NULL : "it was used before";
}

/* What the token is to be for: said by the ID-JAG, by the request, or by both alike. */
static const char *jag_resource(const struct exchange *x, const struct jwt *j) {
        const char *said = jwt_claim(j, "resource");
        const char *asked = form_get(&x->request->form, "resource");

        if (said && asked && strcmp(said, asked) != 0)
                return NULL;
        said = said ? said : asked;
        return said && guard_is_resource(x->demo, said) ? said : NULL;
}

static void jag_take(struct exchange *x, const struct jwt *j, const struct client *client) {
        const char *asked = form_get(&x->request->form, "scope");
        const char *given = jwt_claim(j, "scope");
        const char *why = jag_fault(x, j, client);
        const char *resource = jag_resource(x, j);
        struct family *family;

        given = given ? given : SCOPE_SUMMARY;
        if (why) {
                as_error(x, 400, "invalid_grant", why);
        } else if (asked && (!words_valid(asked) || !words_subset(asked, given))) {
                as_error(x, 400, "invalid_scope", "more scope than the ID-JAG has");
        } else if (!resource) {
                as_error(x, 400, "invalid_target", "no resource, an unknown one, or two");
        } else {
                family = grant_family(x, client->id, asked ? asked : given, resource);
                if (family) {
                        family->subject = mem_string(jwt_claim(j, "sub"));
                        grant_issue(x, family, family->scope, false);
                        exchange_note(x, "token for %s by ID-JAG", family->subject);
                }
        }
}

void idp_jag_grant(struct exchange *x, const struct client *client) {
        struct jwt j;

        if (jwt_parse(&j, form_get(&x->request->form, "assertion")))
                jag_take(x, &j, client);
        jwt_done(&j);
}
