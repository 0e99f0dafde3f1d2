/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a token is of and what it may at most, for the subject and for the actor; what both may and
 * the request asks for is what the new token can do.
 */
#include "swap.h"

#include <stdlib.h>
#include <string.h>

#include "as.h"
#include "grant.h"
#include "jwt.h"
#include "workload.h"

/* Somebody that a token speaks of. */
struct party {
        char *subject;
        char *scopes;
        json_t *act;     /* who acts for it already, or NULL */
        json_t *may_act; /* who may, or NULL: everybody */
};

static void party_done(struct party *p) {
        free(p->subject);
        free(p->scopes);
        json_decref(p->act);
        json_decref(p->may_act);
}

static bool is_type(const char *type, const char *name) {
        size_t n = strlen(TOKEN_TYPE);

        return type && strncmp(type, TOKEN_TYPE, n) == 0 && strcmp(type + n, name) == 0;
}

/* One of our own tokens. A bound one is exchanged by who has its key alone. */
static const char *party_of_access(struct exchange *x, const char *text, struct party *ret) {
        const struct access_token *t = tokens_access(x->at->tokens, text);
        const struct family *f;

        if (!t || !access_token_alive(x->at->tokens, t))
                return "an access token that is unknown, expired or revoked";
        if (t->jkt && !string_equal(t->jkt, x->jkt))
                return "an access token that is bound to another key";
        f = t->family;
        ret->subject = mem_string(f->subject ? f->subject : f->client_id);
        ret->scopes = mem_string(t->scope);
        ret->act = json_deep_copy(f->act);
        return NULL;
}

static const char *party_of_jwt(struct exchange *x, const char *text, struct party *ret) {
        const char *why = "not a JWT taken here";
        const char *code;
        struct jwt j;

        if (!jwt_parse(&j, text))
                return why;
        ret->scopes = workload_scopes(x, &j, &code, &why);
        if (ret->scopes) {
                ret->subject = mem_string(jwt_claim(&j, "sub"));
                ret->act = json_deep_copy(json_object_get(j.claims, "act"));
                ret->may_act = json_deep_copy(json_object_get(j.claims, "may_act"));
                why = NULL;
        }
        jwt_done(&j);
        return why;
}

/* Why the token will not do; NULL: it does. */
static const char *party_of(struct exchange *x, const char *text, const char *type,
                            struct party *ret) {
        if (!text || !type)
                return "a token and its type go together";
        if (is_type(type, "access_token"))
                return party_of_access(x, text, ret);
        if (is_type(type, "jwt"))
                return party_of_jwt(x, text, ret);
        return "a type of token that is not taken here";
}

static const char *actor_fault(const struct party *subject, const struct party *actor) {
        const char *wanted = json_string_value(json_object_get(subject->may_act, "sub"));

        if (!subject->may_act || (wanted && actor->subject && strcmp(wanted, actor->subject) == 0))
                return NULL;
        return "may_act of the subject names somebody else";
}

/* The outermost is who acts now; who did before stands inside (RFC 8693 4.1). */
static json_t *act_of(const struct party *subject, const struct party *actor) {
        json_t *act;

        if (!actor->subject)
                return json_incref(subject->act);
        act = json_pack("{s:s}", "sub", actor->subject);
        if (subject->act)
                json_object_set(act, "act", subject->act);
        return act;
}

static char *words_common(const char *some, const char *others) {
        struct text t = { 0 };

        while (*some) {
                size_t n = strcspn(some, " ");

                if (words_contain(others, some, n))
                        text_printf(&t, "%s%.*s", t.n > 0 ? " " : "", (int)n, some);
                some += n;
                some += strspn(some, " ");
        }
        return text_take(&t);
}

static void give(struct exchange *x, const struct client *client, const struct party *subject,
                 const struct party *actor) {
        const struct form *f = &x->request->form;
        const char *asked = form_get(f, "scope");
        const char *resource = as_resource(x, f);
        char *allowed =
                words_common(subject->scopes, actor->scopes ? actor->scopes : subject->scopes);
        struct family *family;

        if (!resource) {
                as_error(x, 400, "invalid_target", "resource must be one of this server's");
        } else if (!*allowed || (asked && (!words_valid(asked) || !words_subset(asked, allowed)))) {
                as_error(x, 400, "invalid_scope", "more than subject and actor may, or nothing");
        } else {
                family = grant_family(x, client ? client->id : subject->subject,
                                      asked ? asked : allowed, resource);
                if (family) {
                        family->subject = mem_string(subject->subject);
                        family->act = act_of(subject, actor);
                        x->issued_token_type = TOKEN_TYPE "access_token";
                        grant_issue(x, family, family->scope, false);
                        exchange_note(x, "token for %s", family->subject);
                }
        }
        free(allowed);
}

static bool target_known(const struct exchange *x, const char *audience) {
        return !audience || strcmp(audience, x->at->issuer) == 0 ||
               strcmp(audience, x->demo->mcp_url) == 0;
}

void swap_grant(struct exchange *x, const struct client *client) {
        const struct form *f = &x->request->form;
        const char *type = form_get(f, "subject_token_type");
        const char *actor_token = form_get(f, "actor_token");
        const char *actor_type = form_get(f, "actor_token_type");
        const char *wanted = form_get(f, "requested_token_type");
        struct party subject = { 0 };
        struct party actor = { 0 };
        const char *why;

        if (!client && !is_type(type, "jwt")) {
                as_refuse_client(x, false, "the request names no client");
                return;
        }
        if (client && client->method == METHOD_NONE && !actor_token) {
                as_error(x, 400, "unauthorized_client", "a public client needs an actor's token");
                return;
        }
        why = party_of(x, form_get(f, "subject_token"), type, &subject);
        if (!why && (actor_token || actor_type))
                why = party_of(x, actor_token, actor_type, &actor);
        if (!why)
                why = actor_fault(&subject, &actor);
        if (!why && wanted && !is_type(wanted, "access_token"))
                why = "only access tokens are issued";
        if (why)
                as_error(x, 400, "invalid_request", why);
        else if (!target_known(x, form_get(f, "audience")))
                as_error(x, 400, "invalid_target", "audience is not known here");
        else
                give(x, client, &subject, &actor);
        party_done(&subject);
        party_done(&actor);
}
